//! Looking at schedules, and at what they come to.

use std::convert::Infallible;

use super::{ScheduleRefusal, all_overrides, all_schedules, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Read, Tx};
use crate::types::{ProjectName, Schedule, ScheduleId, ScheduleState, Timestamp};

/// Schedules by their start time, then by number.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateSchedule, ListSchedules, NewSchedule, Store, WindowMinutes};
///
/// let store = Store::open_project(dir.path())?;
/// let hours = WindowMinutes::new(240)?;
/// store.call(CreateSchedule(NewSchedule::new("shop".parse()?, "09:00".parse()?, hours)))?;
/// assert_eq!(store.call(ListSchedules::default())?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ListSchedules {
    /// Of this project alone; `None` for all that the file holds.
    pub project: Option<ProjectName>,
    /// Only those that are enabled.
    pub enabled: bool,
}

impl Command for ListSchedules {
    const NAME: &'static str = "list_schedules";
    type Database = Features;
    type Access = Read;
    type Output = Vec<Schedule>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Schedule>, Failure<Infallible>> {
        let mut schedules = all_schedules(tx, self.project.as_ref())?;
        schedules.retain(|schedule| schedule.enabled || !self.enabled);
        Ok(schedules)
    }
}

/// One schedule.
#[derive(Debug, Clone, Copy)]
pub struct GetSchedule {
    /// Which one.
    pub id: ScheduleId,
}

impl Command for GetSchedule {
    const NAME: &'static str = "get_schedule";
    type Database = Features;
    type Access = Read;
    type Output = Schedule;
    type Rejection = ScheduleRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Schedule, Failure<ScheduleRefusal>> {
        existing(tx, self.id)
    }
}

/// Whether agents should run at a moment, why, until when, and what starts next; see
/// [`ScheduleState`].
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateSchedule, GetScheduleState, NewSchedule, Store, WindowMinutes};
///
/// let store = Store::open_project(dir.path())?;
/// let all_day = WindowMinutes::new(1440)?;
/// store.call(CreateSchedule(NewSchedule::new("shop".parse()?, "00:00".parse()?, all_day)))?;
/// let state = store.call(GetScheduleState::default())?;
/// assert!(state.verdict.runs());
/// assert_eq!(state.changes_at, None, "each window ends where the next one starts");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct GetScheduleState {
    /// Of this project alone; `None` for all that the file holds.
    pub project: Option<ProjectName>,
    /// At this moment, as schedules and overrides are now; `None` for now.
    pub at: Option<Timestamp>,
}

impl Command for GetScheduleState {
    const NAME: &'static str = "get_schedule_state";
    type Database = Features;
    type Access = Read;
    type Output = ScheduleState;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<ScheduleState, Failure<Infallible>> {
        let at = self.at.unwrap_or_else(|| tx.circumstances().moment().wall);
        let schedules = all_schedules(tx, self.project.as_ref())?;
        Ok(ScheduleState::of(&schedules, &all_overrides(tx)?, at))
    }
}
