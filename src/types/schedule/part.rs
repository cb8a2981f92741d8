//! The parts of a schedule, each in the form in which the file holds it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidSchedule;

/// Minutes of one day.
const DAY: u16 = 24 * 60;

/// A minute of the day in UTC: `HH:MM`, `00:00` to `23:59`.
///
/// ```
/// use autoforge_store::TimeOfDay;
/// let start: TimeOfDay = "09:30".parse()?;
/// assert_eq!((start.hour(), start.minute(), start.to_string().as_str()), (9, 30, "09:30"));
/// assert!("9:30".parse::<TimeOfDay>().is_err());
/// # Ok::<(), autoforge_store::InvalidSchedule>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// The minute of an hour of the day; `None` beyond 23:59.
    #[must_use]
    pub fn new(hour: u16, minute: u16) -> Option<Self> {
        (hour < 24 && minute < 60).then_some(Self(hour * 60 + minute))
    }

    /// The hour, 0 to 23.
    #[must_use]
    pub fn hour(self) -> u16 {
        self.0 / 60
    }

    /// The minute of the hour, 0 to 59.
    #[must_use]
    pub fn minute(self) -> u16 {
        self.0 % 60
    }

    /// Minutes since midnight.
    #[must_use]
    pub fn minutes(self) -> u16 {
        self.0
    }

    /// What another program may have meant: its numbers need not have two digits each.
    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let number = |text: &str| {
            let text = text.trim();
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
        };
        Self::new(number(hour)?, number(minute)?)
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let two_digits = text.len() == "HH:MM".len();
        Self::from_stored(text)
            .filter(|time| two_digits && time.to_string() == text)
            .ok_or_else(|| InvalidSchedule::Start { found: text.to_owned() })
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = InvalidSchedule;

    fn try_from(text: String) -> Result<Self, InvalidSchedule> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour(), self.minute())
    }
}

/// The days of a week as AutoForge names them.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The days on which windows start, as a set of bits: Monday is 1, Tuesday 2, … Sunday 64. None of
/// them, 0, means never.
///
/// As text they are short names: `mon,wed-fri`, or `daily`, or `never`.
///
/// ```
/// use autoforge_store::Weekdays;
/// let days: Weekdays = "mon-fri".parse()?;
/// assert_eq!((days.bits(), days.to_string().as_str()), (31, "mon-fri"));
/// assert_eq!(Weekdays::new(127)?, Weekdays::ALL);
/// assert!(Weekdays::new(128).is_err());
/// # Ok::<(), autoforge_store::InvalidSchedule>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self(127);
    /// No day, so never.
    pub const NONE: Self = Self(0);

    /// Checks the set.
    ///
    /// # Errors
    /// [`InvalidSchedule::Days`] outside 0 to 127.
    pub fn new(bits: i64) -> Result<Self, InvalidSchedule> {
        let known = u8::try_from(bits).ok().filter(|bits| *bits <= Self::ALL.0);
        known.map(Self).ok_or(InvalidSchedule::Days { found: bits })
    }

    /// The set as a number.
    #[must_use]
    pub fn bits(self) -> i64 {
        self.0.into()
    }

    /// Whether a day is in the set, counted from Monday as 0; the days go round.
    #[must_use]
    pub fn contains(self, day: i64) -> bool {
        self.0 >> day.rem_euclid(7) & 1 == 1
    }

    /// What another program stored: of a number that is too large, the bits that mean days.
    pub(crate) fn from_stored(bits: i64) -> Self {
        Self(u8::try_from(bits & Self::ALL.bits()).unwrap_or(0))
    }
}

impl From<Weekdays> for i64 {
    fn from(days: Weekdays) -> Self {
        days.bits()
    }
}

impl TryFrom<i64> for Weekdays {
    type Error = InvalidSchedule;

    fn try_from(bits: i64) -> Result<Self, InvalidSchedule> {
        Self::new(bits)
    }
}

impl FromStr for Weekdays {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let unknown = || InvalidSchedule::DayNames { found: text.to_owned() };
        let day = |name: &str| {
            let name = name.trim();
            DAYS.iter().position(|day| name.eq_ignore_ascii_case(day)).ok_or_else(unknown)
        };
        let mut bits = 0_u8;
        for part in text.split(',') {
            bits |= match part.trim().to_ascii_lowercase().as_str() {
                "daily" => Self::ALL.0,
                "never" => Self::NONE.0,
                range => {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    let (first, last) = (day(first)?, day(last)?);
                    // From Saturday to Monday goes over the week's end.
                    let last = if last < first { last + 7 } else { last };
                    (first..=last).fold(0, |bits, day| bits | 1 << (day % 7))
                }
            };
        }
        Ok(Self(bits))
    }
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => return f.pad("daily"),
            Self::NONE => return f.pad("never"),
            _ => {}
        }
        let mut runs: Vec<(&str, &str)> = Vec::new();
        let mut before = false;
        for (number, name) in (0..).zip(DAYS) {
            let set = self.contains(number);
            match runs.last_mut() {
                Some((_, last)) if set && before => *last = name,
                _ if set => runs.push((name, name)),
                _ => {}
            }
            before = set;
        }
        let text = |(first, last): (&str, &str)| {
            if first == last { first.to_owned() } else { format!("{first}-{last}") }
        };
        f.pad(&runs.into_iter().map(text).collect::<Vec<_>>().join(","))
    }
}

/// How long a window lasts: 1 to 1440 minutes, which is a day.
///
/// ```
/// use autoforge_store::WindowMinutes;
/// assert_eq!(WindowMinutes::new(240)?.get(), 240);
/// assert!(WindowMinutes::new(0).is_err() && WindowMinutes::new(1441).is_err());
/// # Ok::<(), autoforge_store::InvalidSchedule>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
pub struct WindowMinutes(u16);

impl WindowMinutes {
    /// Checks the length.
    ///
    /// # Errors
    /// [`InvalidSchedule::Duration`] outside 1 to 1440.
    pub fn new(minutes: i64) -> Result<Self, InvalidSchedule> {
        let known = u16::try_from(minutes).ok().filter(|minutes| (1..=DAY).contains(minutes));
        known.map(Self).ok_or(InvalidSchedule::Duration { found: minutes })
    }

    /// The minutes.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0.into()
    }

    /// What another program stored: longer than a day counts as a day, and nothing as no window.
    pub(crate) fn from_stored(minutes: i64) -> Option<Self> {
        Self::new(minutes.min(DAY.into())).ok()
    }
}

impl From<WindowMinutes> for i64 {
    fn from(minutes: WindowMinutes) -> Self {
        minutes.get()
    }
}

impl TryFrom<i64> for WindowMinutes {
    type Error = InvalidSchedule;

    fn try_from(minutes: i64) -> Result<Self, InvalidSchedule> {
        Self::new(minutes)
    }
}

impl fmt::Display for WindowMinutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_day_reads_back_and_nothing_else_is_one() {
        for minutes in 0..DAY {
            let time = TimeOfDay::new(minutes / 60, minutes % 60).unwrap();
            assert_eq!(time.to_string().parse(), Ok(time));
            assert_eq!(time.minutes(), minutes);
        }
        for text in ["", "9:30", "09:3", "09:30:00", "24:00", "12:60", "+9:30", "0９:30", " 9:30"]
        {
            let found = text.to_owned();
            assert_eq!(text.parse::<TimeOfDay>(), Err(InvalidSchedule::Start { found }));
        }
        assert_eq!(TimeOfDay::new(24, 0), None);
    }

    #[test]
    fn a_stored_time_is_read_as_it_was_meant_and_never_invented() {
        let at = |hour, minute| TimeOfDay::new(hour, minute);
        for (text, meant) in [
            ("09:30", at(9, 30)),
            ("9:5", at(9, 5)),
            (" 23 : 59 ", at(23, 59)),
            ("009:30", at(9, 30)),
            ("24:00", None),
            ("-1:00", None),
            ("1:+2", None),
            ("0930", None),
            ("09:30:00", None),
            ("nine", None),
            (":", None),
            ("", None),
        ] {
            assert_eq!(TimeOfDay::from_stored(text), meant, "{text:?}");
        }
    }

    #[test]
    fn every_set_of_days_reads_back_from_its_number_and_from_its_text() {
        for bits in 0..128 {
            let days = Weekdays::new(bits).unwrap();
            assert_eq!(days.bits(), bits);
            assert_eq!(days.to_string().parse(), Ok(days), "{days}");
            let set = (0..7).filter(|day| days.contains(*day)).map(|day| 1 << day).sum::<i64>();
            assert_eq!(set, bits);
        }
        for bits in [-1, 128, 255, i64::MIN, i64::MAX] {
            assert_eq!(Weekdays::new(bits), Err(InvalidSchedule::Days { found: bits }));
            assert_eq!(Weekdays::from_stored(bits).bits(), bits & 127);
        }
    }

    #[test]
    fn days_are_named_in_the_ways_that_people_use() {
        for (text, bits) in [
            ("mon", 1),
            ("SUN", 64),
            ("Mon, wed , Fri", 21),
            ("mon-fri", 31),
            ("sat-mon", 97),
            ("tue-tue", 2),
            ("daily", 127),
            ("never", 0),
            ("mon-wed,sun", 71),
        ] {
            assert_eq!(text.parse::<Weekdays>().map(Weekdays::bits), Ok(bits), "{text}");
        }
        for text in ["", "monday", "mon,", "mon-", "mo", "1", "mon-tue-wed"] {
            let found = text.to_owned();
            assert_eq!(text.parse::<Weekdays>(), Err(InvalidSchedule::DayNames { found }));
        }
        assert_eq!(Weekdays::new(0b110_1001).unwrap().to_string(), "mon,thu,sat-sun");
    }

    #[test]
    fn numbers_have_their_bounds_and_stored_ones_come_within_them() {
        assert_eq!(WindowMinutes::new(1440).map(WindowMinutes::get), Ok(1440));
        for found in [0, -5, 1441, i64::MAX] {
            assert_eq!(WindowMinutes::new(found), Err(InvalidSchedule::Duration { found }));
        }
        let stored = |minutes| WindowMinutes::from_stored(minutes).map(WindowMinutes::get);
        assert_eq!(
            [stored(0), stored(-1), stored(1), stored(9999)],
            [None, None, Some(1), Some(1440)]
        );
    }

    #[test]
    fn what_a_file_holds_of_an_answer_is_checked_as_well() {
        assert!(serde_json::from_str::<TimeOfDay>("\"09:30\"").is_ok());
        assert!(serde_json::from_str::<TimeOfDay>("\"99:99\"").is_err());
        assert!(serde_json::from_str::<Weekdays>("128").is_err());
        assert!(serde_json::from_str::<WindowMinutes>("0").is_err());
        assert_eq!(serde_json::to_string(&Weekdays::ALL).unwrap(), "127");
    }
}
