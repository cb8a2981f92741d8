//! Points in time, in the textual forms that the files use.

use std::fmt;

use jiff::civil::{DateTime, DateTimeRound};
use jiff::{RoundMode, Unit, tz::TimeZone};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time with microsecond resolution.
///
/// Commands take the time as a field and never read a clock themselves, so the same commands give
/// the same file.
///
/// ```
/// use autoforge_store::Timestamp;
/// let t = Timestamp::from_microseconds(1_767_225_600_000_001).unwrap();
/// assert_eq!(t.to_iso8601(), "2026-01-01T00:00:00.000001+00:00");
/// assert_eq!(t.to_sqlite_text(), "2026-01-01 00:00:00.000001");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// 1970-01-01 00:00 UTC.
    pub(crate) const EPOCH: Self = Self(jiff::Timestamp::UNIX_EPOCH);

    /// The current time of the system's clock.
    #[must_use]
    pub fn now() -> Self {
        let now = jiff::Timestamp::now();
        // Rounding to a microsecond fails only outside the representable range, where `now` stays.
        Self(now.round(Unit::Microsecond).unwrap_or(now))
    }

    /// The point `microseconds` after 1970-01-01 00:00 UTC; `None` outside the years -9999..9999.
    #[must_use]
    pub fn from_microseconds(microseconds: i64) -> Option<Self> {
        jiff::Timestamp::from_microsecond(microseconds).ok().map(Self)
    }

    /// Microseconds since 1970-01-01 00:00 UTC: what [`Timestamp::from_microseconds`] takes.
    #[must_use]
    pub fn to_microseconds(self) -> i64 {
        self.0.as_microsecond()
    }

    /// ISO 8601 in UTC with its offset, six fraction digits: how JSON columns hold a time.
    #[must_use]
    pub fn to_iso8601(self) -> String {
        format!("{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00"))
    }

    /// `YYYY-MM-DD HH:MM:SS.ffffff` in UTC without an offset: how DATETIME columns hold a time.
    #[must_use]
    pub fn to_sqlite_text(self) -> String {
        format!("{}", self.0.strftime("%Y-%m-%d %H:%M:%S%.6f"))
    }

    /// Reads what a DATETIME column may hold: the form of [`Timestamp::to_sqlite_text`], also with a
    /// `T`, with fewer digits of a second, without a time, or with an offset; without one it is UTC.
    /// `None` for anything else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let with_offset = text.parse::<jiff::Timestamp>().ok();
        let time = with_offset.or_else(|| {
            let civil = text.parse::<DateTime>().ok()?;
            TimeZone::UTC.to_timestamp(civil).ok()
        })?;
        Self::from_microseconds(time.as_microsecond())
    }

    /// `YYYY-MM-DD HH:MM ZONE` in the machine's time zone: how people read a time.
    #[must_use]
    pub fn to_local_text(self) -> String {
        format!("{}", self.0.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z"))
    }

    /// The same point on the clock of the machine's time zone.
    pub(crate) fn to_local(self) -> LocalTime {
        LocalTime(TimeZone::system().to_datetime(self.0))
    }

    /// The same point on a clock in UTC.
    pub(crate) fn to_utc(self) -> LocalTime {
        LocalTime(TimeZone::UTC.to_datetime(self.0))
    }

    /// `YYYYMMDD_HHMMSS` in the machine's time zone: how names of backups carry a time.
    #[must_use]
    pub fn to_file_stamp(self) -> String {
        format!("{}", self.0.to_zoned_datetime(TimeZone::system()).strftime("%Y%m%d_%H%M%S"))
    }
}

/// What a clock on the wall showed, with microsecond resolution, without a word on where it hung: so
/// the registry holds when a project was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(DateTime);

impl LocalTime {
    /// `YYYY-MM-DD HH:MM:SS.ffffff`: how DATETIME columns hold a time.
    #[must_use]
    pub fn to_sqlite_text(self) -> String {
        format!("{}", self.0.strftime("%Y-%m-%d %H:%M:%S%.6f"))
    }

    /// What a DATETIME column means, as [`Timestamp::from_text`]; an offset is left out.
    pub(crate) fn from_sqlite_text(text: &str) -> Option<Self> {
        let shown = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse::<DateTime>().ok()?;
        let microseconds = DateTimeRound::new().smallest(Unit::Microsecond).mode(RoundMode::Trunc);
        shown.round(microseconds).ok().map(Self)
    }
}

/// ISO 8601 without an offset.
impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%.6f"))
    }
}

/// As [`Timestamp::to_microseconds`], which loses nothing.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.to_microseconds())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let microseconds = i64::deserialize(deserializer)?;
        Self::from_microseconds(microseconds)
            .ok_or_else(|| D::Error::custom("a time outside the years -9999..9999"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_iso8601())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_every_form_that_programs_write() {
        let whole = Timestamp::from_microseconds(1_767_262_830_000_000).unwrap();
        let exact = Timestamp::from_microseconds(1_767_262_830_123_456).unwrap();
        for (text, at) in [
            ("2026-01-01 10:20:30.123456", exact),
            ("2026-01-01T10:20:30.123456", exact),
            ("2026-01-01T10:20:30.123456+00:00", exact),
            ("2026-01-01T12:20:30.123456+02:00", exact),
            ("2026-01-01 10:20:30.123456789", exact),
            ("2026-01-01 10:20:30", whole),
            ("2026-01-01 10:20:30.000000", whole),
            ("2026-01-01T10:20:30Z", whole),
        ] {
            assert_eq!(Timestamp::from_text(text), Some(at), "{text}");
        }
        let midnight = Timestamp::from_text("2026-01-01").unwrap();
        assert_eq!(midnight.to_sqlite_text(), "2026-01-01 00:00:00.000000");
        for text in ["", "yesterday", "2026-13-01 00:00:00", "1767262830", "2026-01-01 25:00"] {
            assert_eq!(Timestamp::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for microseconds in [0, 1, 999_999, 1_767_262_830_120_000, 221_845_392_000_999_999] {
            let at = Timestamp::from_microseconds(microseconds).unwrap();
            assert_eq!(Timestamp::from_text(&at.to_sqlite_text()), Some(at));
            let local = at.to_local();
            assert_eq!(LocalTime::from_sqlite_text(&local.to_sqlite_text()), Some(local));
            assert_eq!(at.to_utc().to_sqlite_text(), at.to_sqlite_text());
        }
    }

    #[test]
    fn a_local_time_is_what_was_shown_whatever_is_said_of_the_place() {
        let shown = "2026-11-23 14:06:30.738417";
        let local = LocalTime::from_sqlite_text(shown).unwrap();
        assert_eq!(local.to_sqlite_text(), shown);
        assert_eq!(local.to_string(), "2026-11-23T14:06:30.738417");
        for text in ["2026-11-23T14:06:30.738417+05:00", "2026-11-23T14:06:30.738417Z"] {
            assert_eq!(LocalTime::from_sqlite_text(text), Some(local), "{text}");
        }
        assert_eq!(LocalTime::from_sqlite_text("soon"), None);
    }

    #[test]
    fn stored_times_read_back_to_the_microsecond() {
        for microseconds in [0, 1, -1, 1_767_225_600_000_001, 253_402_000_000_999_999] {
            let time = Timestamp::from_microseconds(microseconds).unwrap();
            assert_eq!(Timestamp::from_text(&time.to_sqlite_text()), Some(time));
            assert_eq!(Timestamp::from_text(&time.to_iso8601()), Some(time));
        }
    }

    #[test]
    fn a_stored_time_is_read_in_the_forms_that_programs_write() {
        let expected = Timestamp::from_microseconds(1_770_109_200_000_000);
        for text in [
            "2026-02-03 09:00:00.000000",
            "2026-02-03 09:00:00",
            "2026-02-03T09:00:00",
            "2026-02-03T09:00:00Z",
            "2026-02-03 10:00:00+01:00",
            " 2026-02-03 09:00 ",
        ] {
            assert_eq!(Timestamp::from_text(text), expected, "{text}");
        }
        assert!(Timestamp::from_text("2026-02-03").is_some());
        for text in
            ["", "soon", "2026-02-30 09:00:00", "1770109200", "09:00", "2026-02-03 25:00:00"]
        {
            assert_eq!(Timestamp::from_text(text), None, "{text}");
        }
    }
}
