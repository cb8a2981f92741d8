//! Schedules and what humans say to the contrary.
//!
//! AutoForge's programs keep both in tables of their own, and delete the overrides of a schedule
//! themselves. Rows that they wrote are read without trust, as everywhere.

mod change;
mod crash;
mod list;
mod overrides;

use rusqlite::Row;

use crate::error::{Failure, Refusal};
use crate::tx::{Access, LenientRow, Tx};
use crate::types::{
    Concurrency, OverrideId, OverrideKind, ProjectName, Schedule, ScheduleId, ScheduleOverride,
    TimeOfDay, Timestamp, Weekdays, WeeklyWindow, WindowMinutes,
};

pub use change::{
    CreateSchedule, DeleteSchedule, DeletedSchedule, ModelChange, ScheduleChanges, UpdateSchedule,
};
pub use crash::{AfterCrash, IncrementCrashCount, NotWanted, ResetCrashCount};
pub use list::{GetSchedule, GetScheduleState, ListSchedules};
pub use overrides::{GetActiveOverride, ListOverrides, PurgeExpiredOverrides, SetOverride};

/// Why a command on schedules changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleRefusal {
    /// There is no such schedule.
    #[error("schedule {id} does not exist")]
    NotFound {
        /// The id that was asked for.
        id: ScheduleId,
    },
    /// The project has as many schedules as it may have.
    #[error("project {project} has {count} schedules, the limit is {max}; delete one first")]
    TooMany {
        /// Which project.
        project: ProjectName,
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// The highest number is taken, by a schedule or by an override that another program left.
    #[error("there is no number left for a schedule; purge the overrides of those that are gone")]
    NoNumberLeft,
}

impl Refusal for ScheduleRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "no_such_schedule",
            Self::TooMany { .. } => "too_many_schedules",
            Self::NoNumberLeft => "exhausted",
        }
    }
}

macro_rules! select_schedules {
    ($rest:literal) => {
        concat!(
            "SELECT id, project_name, start_time, duration_minutes, days_of_week, enabled, \
             yolo_mode, model, max_concurrency, crash_count, created_at FROM schedules ",
            $rest
        )
    };
}

macro_rules! select_overrides {
    ($rest:literal) => {
        concat!(
            "SELECT id, schedule_id, override_type, expires_at, created_at \
             FROM schedule_overrides ",
            $rest
        )
    };
}

/// Every schedule of a project, or of the file; by start time as it is stored, then by number.
fn all_schedules<A: Access>(
    tx: &Tx<'_, A>,
    project: Option<&ProjectName>,
) -> rusqlite::Result<Vec<Schedule>> {
    tx.all(
        select_schedules!("WHERE ?1 IS NULL OR project_name = ?1 ORDER BY start_time, id"),
        [project.map(ProjectName::as_str)],
        schedule,
    )
}

/// The schedule, or a refusal that it does not exist.
fn existing<A: Access>(
    tx: &Tx<'_, A>,
    id: ScheduleId,
) -> Result<Schedule, Failure<ScheduleRefusal>> {
    let found = tx.first(select_schedules!("WHERE id = ?1"), [id.get()], schedule)?;
    found.ok_or(Failure::Refused(ScheduleRefusal::NotFound { id }))
}

/// Every override of the file, by schedule, then by number.
fn all_overrides<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Vec<ScheduleOverride>> {
    tx.all(select_overrides!("ORDER BY schedule_id, id"), [], schedule_override)
}

/// The overrides of one schedule.
fn overrides_of<A: Access>(
    tx: &Tx<'_, A>,
    id: ScheduleId,
) -> rusqlite::Result<Vec<ScheduleOverride>> {
    tx.all(select_overrides!("WHERE schedule_id = ?1 ORDER BY id"), [id.get()], schedule_override)
}

fn schedule(row: &Row<'_>) -> rusqlite::Result<Schedule> {
    let start = TimeOfDay::from_stored(&row.text(2)?);
    let duration = WindowMinutes::from_stored(row.integer(3, 0)?);
    let days = Weekdays::from_stored(row.integer(4, 0)?);
    let window = start.zip(duration);
    Ok(Schedule {
        id: ScheduleId::from(row.integer(0, 0)?),
        project: row.text(1)?,
        window: window.map(|(start, duration)| WeeklyWindow { start, duration, days }),
        enabled: row.boolean(5)?,
        yolo_mode: row.boolean(6)?,
        model: row.optional_text(7)?,
        max_concurrency: Concurrency::from_stored(row.integer(8, Concurrency::default().get())?),
        crash_count: u32::try_from(row.integer(9, 0)?.max(0)).unwrap_or(u32::MAX),
        created_at: Timestamp::from_text(&row.text(10)?),
    })
}

fn schedule_override(row: &Row<'_>) -> rusqlite::Result<ScheduleOverride> {
    Ok(ScheduleOverride {
        id: OverrideId::from(row.integer(0, 0)?),
        schedule: ScheduleId::from(row.integer(1, 0)?),
        kind: OverrideKind::from_name(&row.text(2)?),
        expires_at: Timestamp::from_text(&row.text(3)?),
        created_at: Timestamp::from_text(&row.text(4)?),
    })
}
