//! Schedules: the hours in which agents may run by themselves, and what humans say to the contrary.

mod part;
mod state;
mod window;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::named_enum;
use super::{Concurrency, Limits, ProjectName, Timestamp};

pub use part::{TimeOfDay, Weekdays, WindowMinutes};
pub(crate) use state::override_at;
pub use state::{ConcernedSchedule, ScheduleState, Verdict};
pub use window::{WeeklyWindow, Window};

/// The number of a schedule, unique in its file.
///
/// ```
/// use autoforge_store::ScheduleId;
/// assert_eq!(ScheduleId::from(7).to_string(), "7");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScheduleId(i64);

impl ScheduleId {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for ScheduleId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an override, unique in its file.
///
/// ```
/// use autoforge_store::OverrideId;
/// assert_eq!(OverrideId::from(7).get(), 7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OverrideId(i64);

impl OverrideId {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for OverrideId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl fmt::Display for OverrideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

named_enum! {
    /// What a human said to a schedule.
    OverrideKind;
    /// Agents were started by hand: the end of a window does not stop them while this counts.
    Start = "start",
    /// Agents were stopped by hand: no window starts them while this counts.
    Stop = "stop",
}

/// One schedule as the file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its number.
    pub id: ScheduleId,
    /// The project that it is for, as its row says.
    pub project: String,
    /// When its windows are. `None` where another program stored a time or a duration that is none:
    /// such a schedule never runs, until it is given a window.
    pub window: Option<WeeklyWindow>,
    /// Whether it counts.
    pub enabled: bool,
    /// Agents skip testing.
    pub yolo_mode: bool,
    /// The model that agents use; `None` for the project's own.
    pub model: Option<String>,
    /// How many agents run at once.
    pub max_concurrency: Concurrency,
    /// How often agents have crashed in the window that is open, or was last.
    pub crash_count: u32,
    /// When it was made; `None` where another program stored what is no time.
    pub created_at: Option<Timestamp>,
}

/// A schedule to be made.
///
/// ```
/// use autoforge_store::{NewSchedule, WindowMinutes};
/// let nights = NewSchedule::new("shop".parse()?, "22:30".parse()?, WindowMinutes::new(480)?);
/// assert!(nights.enabled && nights.model.is_none());
/// assert_eq!((nights.window.days.bits(), nights.max_concurrency.get()), (127, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewSchedule {
    /// The project that it is for.
    pub project: ProjectName,
    /// When its windows are.
    pub window: WeeklyWindow,
    /// Whether it counts.
    pub enabled: bool,
    /// Agents skip testing.
    pub yolo_mode: bool,
    /// The model that agents use; `None` for the project's own.
    pub model: Option<ModelName>,
    /// How many agents run at once.
    pub max_concurrency: Concurrency,
}

impl NewSchedule {
    /// A schedule with AutoForge's defaults: enabled, every day, three agents of the project's own
    /// model, with testing.
    #[must_use]
    pub fn new(project: ProjectName, start: TimeOfDay, duration: WindowMinutes) -> Self {
        Self {
            project,
            window: WeeklyWindow { start, duration, days: Weekdays::ALL },
            enabled: true,
            yolo_mode: false,
            model: None,
            max_concurrency: Concurrency::default(),
        }
    }
}

/// The name of a model: 1 to [`Limits::MODEL_CHARS`] characters, none of them a control character.
///
/// ```
/// use autoforge_store::ModelName;
/// let model: ModelName = "claude-opus-4-5".parse()?;
/// assert_eq!(model.as_str(), "claude-opus-4-5");
/// # Ok::<(), autoforge_store::InvalidSchedule>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ModelName(String);

impl ModelName {
    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidSchedule::Model`] where it is empty, too long, or not to be seen.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidSchedule> {
        let found = text.into();
        let length = 1..=Limits::MODEL_CHARS;
        if length.contains(&found.chars().count()) && !found.contains(char::is_control) {
            return Ok(Self(found));
        }
        Err(InvalidSchedule::Model { found })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Why a value is no part of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchedule {
    /// The text is no time of day.
    #[error("{found:?} is no time of day; write HH:MM in UTC, 00:00 to 23:59")]
    Start {
        /// The text.
        found: String,
    },
    /// A window cannot be so long.
    #[error("a window lasts 1 to 1440 minutes, not {found}")]
    Duration {
        /// The minutes.
        found: i64,
    },
    /// The number is no set of days.
    #[error("the days are a number from 0 to 127 (Mon=1, Tue=2, … Sun=64), not {found}")]
    Days {
        /// The number.
        found: i64,
    },
    /// The text names no days.
    #[error("{found:?} names no days; write mon,tue,wed,thu,fri,sat,sun, mon-fri, daily or never")]
    DayNames {
        /// The text.
        found: String,
    },
    /// The text names no model.
    #[error("{found:?} names no model; take 1 to {} characters", Limits::MODEL_CHARS)]
    Model {
        /// The text.
        found: String,
    },
}

/// What a human said to a schedule, as the file holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleOverride {
    /// Its number.
    pub id: OverrideId,
    /// The schedule that it is about, which may be gone.
    pub schedule: ScheduleId,
    /// What was said; `None` for what this release does not know, which counts for nothing.
    pub kind: Option<OverrideKind>,
    /// Until when it counts; `None` where the file holds no time, which counts for nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was said.
    pub created_at: Option<Timestamp>,
}

impl ScheduleOverride {
    /// Whether it counts at a moment, if no newer one does.
    #[must_use]
    pub fn counts_at(&self, moment: Timestamp) -> bool {
        self.kind.is_some() && self.expires_at.is_some_and(|expiry| expiry > moment)
    }
}

/// How long to wait before agents that have crashed are started again: 10, 30 and 90 seconds after
/// the first, second and third crash in a window; `None` after any other, since three attempts are
/// all.
///
/// ```
/// use std::time::Duration;
/// use autoforge_store::restart_delay;
/// assert_eq!(restart_delay(1), Some(Duration::from_secs(10)));
/// assert_eq!(restart_delay(3), Some(Duration::from_secs(90)));
/// assert_eq!(restart_delay(4), None);
/// ```
#[must_use]
pub fn restart_delay(crashes: u32) -> Option<Duration> {
    match crashes {
        1 => Some(Duration::from_secs(10)),
        2 => Some(Duration::from_secs(30)),
        3 => Some(Duration::from_secs(90)),
        _ => None,
    }
}
