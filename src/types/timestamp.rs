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
