//! Points in time, in the two textual forms that the files use.

use std::fmt;

use jiff::{Unit, tz::TimeZone};
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
            let civil = text.parse::<jiff::civil::DateTime>().ok()?;
            TimeZone::UTC.to_timestamp(civil).ok()
        })?;
        Self::from_microseconds(time.as_microsecond())
    }

    /// `YYYY-MM-DD HH:MM ZONE` in the machine's time zone: how people read a time.
    #[must_use]
    pub fn to_local_text(self) -> String {
        format!("{}", self.0.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z"))
    }

    /// `YYYYMMDD_HHMMSS` in the machine's time zone: how names of backups carry a time.
    #[must_use]
    pub fn to_file_stamp(self) -> String {
        format!("{}", self.0.to_zoned_datetime(TimeZone::system()).strftime("%Y%m%d_%H%M%S"))
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
