//! When windows open and close: arithmetic on days and minutes, all of it in UTC.
//!
//! UTC has no summer time, and the clock of the files no leap seconds, so each day has 1440 minutes
//! and weeks go round without exception.

use serde::{Deserialize, Serialize};

use super::{TimeOfDay, Weekdays, WindowMinutes};
use crate::types::Timestamp;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1440 * MINUTE;
/// 1970-01-01 was a Thursday, the fourth day after Monday as 0.
const FIRST_WEEKDAY: i64 = 3;

/// A stretch of time that is open: from its start on, until its end, at which it is over.
///
/// ```
/// use autoforge_store::{Timestamp, Window};
/// let at = |second: i64| Timestamp::from_microseconds(second * 1_000_000).unwrap();
/// let window = Window { start: at(60), end: at(120) };
/// assert!(window.contains(at(60)) && window.contains(at(119)) && !window.contains(at(120)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// When it opens.
    pub start: Timestamp,
    /// When it is over.
    pub end: Timestamp,
}

impl Window {
    /// Whether it is open at the moment: `start <= moment < end`.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        (self.start..self.end).contains(&moment)
    }
}

/// Windows that come back every week: one starts on each day of the set, and may last past midnight
/// into a day that is not in it. Two of them never overlap, since none is longer than a day.
///
/// ```
/// use autoforge_store::{Timestamp, WeeklyWindow, Weekdays, WindowMinutes};
/// let fridays = WeeklyWindow {
///     start: "22:30".parse()?,
///     duration: WindowMinutes::new(480)?,
///     days: "fri".parse()?,
/// };
/// // 2026-02-07 03:00 UTC, a Saturday.
/// let night = Timestamp::from_microseconds(1_770_433_200_000_000).unwrap();
/// let window = fridays.open_at(night).expect("Friday's window is open until 06:30");
/// assert_eq!(window.end.to_sqlite_text(), "2026-02-07 06:30:00.000000");
/// let next = fridays.next_after(night).expect("they come back");
/// assert_eq!(next.start.to_sqlite_text(), "2026-02-13 22:30:00.000000");
/// # Ok::<(), autoforge_store::InvalidSchedule>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WeeklyWindow {
    /// When each of them opens.
    pub start: TimeOfDay,
    /// How long each of them lasts.
    pub duration: WindowMinutes,
    /// The days on which they open.
    pub days: Weekdays,
}

impl WeeklyWindow {
    /// The window that is open at the moment.
    #[must_use]
    pub fn open_at(self, moment: Timestamp) -> Option<Window> {
        // At most a day long, so it began today or yesterday.
        let today = day_of(moment);
        [today, today - 1]
            .into_iter()
            .filter_map(|day| self.on(day))
            .find(|window| window.contains(moment))
    }

    /// The first window that opens after the moment; one that opens at the moment itself does not
    /// count. `None` for a set without days.
    #[must_use]
    pub fn next_after(self, moment: Timestamp) -> Option<Window> {
        let today = day_of(moment);
        // A week later the same day has its window again.
        (today..=today + 7).filter_map(|day| self.on(day)).find(|window| window.start > moment)
    }

    /// The window that opens on a day, counted from 1970-01-01.
    fn on(self, day: i64) -> Option<Window> {
        if !self.days.contains(day + FIRST_WEEKDAY) {
            return None;
        }
        let start = day * DAY + i64::from(self.start.minutes()) * MINUTE;
        let end = start + self.duration.get() * MINUTE;
        // Beyond the year 9999 there is nothing.
        Some(Window {
            start: Timestamp::from_microseconds(start)?,
            end: Timestamp::from_microseconds(end)?,
        })
    }
}

/// Days since 1970-01-01.
fn day_of(moment: Timestamp) -> i64 {
    moment.to_microseconds().div_euclid(DAY)
}
