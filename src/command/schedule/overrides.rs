//! What humans say to schedules: that agents run, or do not run, until the window is over.

use std::convert::Infallible;

use serde::Serialize;

use super::{ScheduleRefusal, all_overrides, all_schedules, existing, overrides_of};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{LenientRow, Read, Tx, Write};
use crate::types::{
    OverrideId, OverrideKind, ProjectName, Schedule, ScheduleId, ScheduleOverride, Timestamp,
    override_at,
};

/// Says to every enabled schedule that has a window open: agents were started, or stopped, by hand,
/// and that counts until the window is over. Replaces what was said to these schedules before, of
/// either kind. Gives what was said, by schedule; nothing where no window is open.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{
///     CreateSchedule, GetScheduleState, NewSchedule, OverrideKind, SetOverride, Store, Verdict,
///     WindowMinutes,
/// };
///
/// let store = Store::open_project(dir.path())?;
/// let all_day = WindowMinutes::new(1440)?;
/// store.call(CreateSchedule(NewSchedule::new("shop".parse()?, "00:00".parse()?, all_day)))?;
/// store.call(SetOverride { project: None, kind: OverrideKind::Stop })?;
/// let state = store.call(GetScheduleState::default())?;
/// assert_eq!(state.verdict, Verdict::StoppedByHand);
/// assert_eq!(state.changes_at, state.next_start.map(|(_, midnight)| midnight));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct SetOverride {
    /// Of this project alone; `None` for all that the file holds.
    pub project: Option<ProjectName>,
    /// What is said.
    pub kind: OverrideKind,
}

impl Command for SetOverride {
    const NAME: &'static str = "set_override";
    type Database = Features;
    type Access = Write;
    type Output = Vec<ScheduleOverride>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Vec<ScheduleOverride>, Failure<Infallible>> {
        let now = tx.circumstances().moment().wall;
        let mut open: Vec<(ScheduleId, Timestamp)> = all_schedules(tx, self.project.as_ref())?
            .iter()
            .filter_map(|schedule| Some((schedule.id, open_until(schedule, now)?)))
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(schedule, end)| Ok(say(tx, schedule, self.kind, end)?)).collect()
    }
}

/// The end of the schedule's window, if it is enabled and has one open.
fn open_until(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let weekly = schedule.window.filter(|_| schedule.enabled)?;
    Some(weekly.open_at(now)?.end)
}

/// Puts one override in the place of all that the schedule has. Those of earlier windows are over
/// anyway, so what goes is what was said for this one.
fn say(
    tx: &Tx<'_, Write>,
    schedule: ScheduleId,
    kind: OverrideKind,
    expires_at: Timestamp,
) -> rusqlite::Result<ScheduleOverride> {
    let now = tx.circumstances().moment().wall;
    tx.execute("DELETE FROM schedule_overrides WHERE schedule_id = ?1", [schedule.get()])?;
    tx.execute(
        "INSERT INTO schedule_overrides (schedule_id, override_type, expires_at, created_at)
         VALUES (?1, ?2, ?3, ?4)",
        (schedule.get(), kind.as_str(), expires_at.to_sqlite_text(), now.to_sqlite_text()),
    )?;
    let id = tx.first("SELECT last_insert_rowid()", [], |row| row.integer(0, 0))?;
    let (id, kind) = (OverrideId::from(id.unwrap_or(0)), Some(kind));
    Ok(ScheduleOverride { id, schedule, kind, expires_at: Some(expires_at), created_at: Some(now) })
}

/// The override of a schedule that counts now, if it is of this kind. Of several that have not
/// expired, which another program may have left, the newest counts.
#[derive(Debug, Clone, Copy)]
pub struct GetActiveOverride {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The kind.
    pub kind: OverrideKind,
}

impl Command for GetActiveOverride {
    const NAME: &'static str = "get_active_override";
    type Database = Features;
    type Access = Read;
    type Output = Option<ScheduleOverride>;
    type Rejection = ScheduleRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Option<ScheduleOverride>, Failure<ScheduleRefusal>> {
        let schedule = existing(tx, self.schedule)?.id;
        let now = tx.circumstances().moment().wall;
        let overrides = overrides_of(tx, schedule)?;
        let counts = override_at(&overrides, schedule, now);
        Ok(counts.filter(|over| over.kind == Some(self.kind)).copied())
    }
}

/// All overrides that a file holds, expired ones and those of deleted schedules included: by
/// schedule, then by number.
#[derive(Debug, Clone, Default)]
pub struct ListOverrides {
    /// Of the schedules of this project alone; `None` for all that the file holds.
    pub project: Option<ProjectName>,
}

impl Command for ListOverrides {
    const NAME: &'static str = "list_overrides";
    type Database = Features;
    type Access = Read;
    type Output = Vec<ScheduleOverride>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<ScheduleOverride>, Failure<Infallible>> {
        let mut overrides = all_overrides(tx)?;
        if let Some(project) = &self.project {
            let schedules = all_schedules(tx, Some(project))?;
            overrides.retain(|over| schedules.iter().any(|one| one.id == over.schedule));
        }
        Ok(overrides)
    }
}

/// Deletes the overrides that have expired, and those whose schedule is gone; gives them. One whose
/// time cannot be read never counts, and stays until something is said to its schedule.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PurgeExpiredOverrides;

impl Command for PurgeExpiredOverrides {
    const NAME: &'static str = "purge_expired_overrides";
    type Database = Features;
    type Access = Write;
    type Output = Vec<ScheduleOverride>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Vec<ScheduleOverride>, Failure<Infallible>> {
        let now = tx.circumstances().moment().wall;
        let schedules = all_schedules(tx, None)?;
        let mut gone = all_overrides(tx)?;
        gone.retain(|over| {
            over.expires_at.is_some_and(|expiry| expiry <= now)
                || !schedules.iter().any(|schedule| schedule.id == over.schedule)
        });
        for over in &gone {
            tx.execute("DELETE FROM schedule_overrides WHERE id = ?1", [over.id.get()])?;
        }
        Ok(gone)
    }
}
