//! Making, changing and deleting schedules.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{ScheduleRefusal, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{LenientRow, Tx, Write};
use crate::types::{
    Concurrency, Limits, ModelName, NewSchedule, Schedule, ScheduleId, TimeOfDay, Weekdays,
    WindowMinutes,
};

/// Makes a schedule, and gives it as it is in the file. A project has [`Limits::SCHEDULES`] at most.
///
/// Its number is above that of every schedule and of every override in the file, and of every
/// schedule that a command of ours has deleted: overrides that another program left behind, and
/// whoever still has the number of a deleted one in mind, do not meet a stranger.
#[derive(Debug, Clone, Serialize)]
pub struct CreateSchedule(
    /// What it shall be.
    pub NewSchedule,
);

impl Command for CreateSchedule {
    const NAME: &'static str = "create_schedule";
    type Database = Features;
    type Access = Write;
    type Output = Schedule;
    type Rejection = ScheduleRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Schedule, Failure<ScheduleRefusal>> {
        let new = &self.0;
        let count = tx.first(
            "SELECT count(*) FROM schedules WHERE project_name = ?1",
            [new.project.as_str()],
            |row| row.integer(0, 0),
        )?;
        let count = usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX);
        if count >= Limits::SCHEDULES {
            let (project, max) = (new.project.clone(), Limits::SCHEDULES);
            return Err(Failure::Refused(ScheduleRefusal::TooMany { project, count, max }));
        }
        let id = next_id(tx)?.ok_or(Failure::Refused(ScheduleRefusal::NoNumberLeft))?;
        tx.execute(
            "INSERT INTO schedules (id, project_name, start_time, duration_minutes, days_of_week,
                 enabled, yolo_mode, model, max_concurrency, crash_count, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10)",
            params![
                id.get(),
                new.project.as_str(),
                new.window.start.to_string(),
                new.window.duration.get(),
                new.window.days.bits(),
                new.enabled,
                new.yolo_mode,
                new.model.as_ref().map(ModelName::as_str),
                new.max_concurrency.get(),
                tx.circumstances().moment().wall.to_sqlite_text(),
            ],
        )?;
        existing(tx, id)
    }
}

/// The lowest number that nothing in the file has or mentions.
fn next_id(tx: &Tx<'_, Write>) -> rusqlite::Result<Option<ScheduleId>> {
    let highest = tx.first(
        "SELECT max(
            coalesce((SELECT max(id) FROM schedules), 0),
            coalesce((SELECT max(schedule_id) FROM schedule_overrides), 0),
            coalesce((SELECT value FROM autoforge_store WHERE fact = 'schedule_id_floor'), 0))",
        [],
        |row| row.integer(0, 0),
    )?;
    Ok(highest.unwrap_or(0).checked_add(1).map(ScheduleId::from))
}

/// The parts of a schedule that are to change; `None` leaves a part as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScheduleChanges {
    /// When its windows open.
    pub start: Option<TimeOfDay>,
    /// How long they last.
    pub duration: Option<WindowMinutes>,
    /// On which days they open.
    pub days: Option<Weekdays>,
    /// Whether it counts.
    pub enabled: Option<bool>,
    /// Agents skip testing.
    pub yolo_mode: Option<bool>,
    /// The model that agents use; the only part that can be taken away.
    pub model: ModelChange,
    /// How many agents run at once.
    pub max_concurrency: Option<Concurrency>,
}

/// What becomes of the model of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelChange {
    /// It stays.
    #[default]
    Keep,
    /// It is taken away: agents use the project's own.
    Clear,
    /// It becomes this one.
    Set(ModelName),
}

/// Changes the parts of a schedule that are given, and gives it as it is afterwards. Overrides that
/// were said before keep their end.
#[derive(Debug, Clone, Serialize)]
pub struct UpdateSchedule {
    /// Which one.
    pub id: ScheduleId,
    /// What changes.
    pub changes: ScheduleChanges,
}

impl Command for UpdateSchedule {
    const NAME: &'static str = "update_schedule";
    type Database = Features;
    type Access = Write;
    type Output = Schedule;
    type Rejection = ScheduleRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Schedule, Failure<ScheduleRefusal>> {
        let ScheduleChanges { start, duration, days, enabled, yolo_mode, model, max_concurrency } =
            &self.changes;
        let (keeps_model, model) = match model {
            ModelChange::Keep => (true, None),
            ModelChange::Clear => (false, None),
            ModelChange::Set(model) => (false, Some(model.as_str())),
        };
        tx.execute(
            "UPDATE schedules SET
                 start_time = coalesce(?2, start_time),
                 duration_minutes = coalesce(?3, duration_minutes),
                 days_of_week = coalesce(?4, days_of_week),
                 enabled = coalesce(?5, enabled),
                 yolo_mode = coalesce(?6, yolo_mode),
                 model = CASE WHEN ?7 THEN model ELSE ?8 END,
                 max_concurrency = coalesce(?9, max_concurrency)
             WHERE id = ?1",
            params![
                self.id.get(),
                start.map(|start| start.to_string()),
                duration.map(WindowMinutes::get),
                days.map(Weekdays::bits),
                enabled,
                yolo_mode,
                keeps_model,
                model,
                max_concurrency.map(Concurrency::get),
            ],
        )?;
        existing(tx, self.id)
    }
}

/// A schedule that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedSchedule {
    /// The schedule as it was.
    pub schedule: Schedule,
    /// How many overrides went with it.
    pub overrides: usize,
}

/// Deletes a schedule and its overrides.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DeleteSchedule {
    /// Which one.
    pub id: ScheduleId,
}

impl Command for DeleteSchedule {
    const NAME: &'static str = "delete_schedule";
    type Database = Features;
    type Access = Write;
    type Output = DeletedSchedule;
    type Rejection = ScheduleRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<DeletedSchedule, Failure<ScheduleRefusal>> {
        let id = self.id.get();
        let schedule = existing(tx, self.id)?;
        // Foreign keys are off for every program that uses the file.
        let overrides =
            tx.execute("DELETE FROM schedule_overrides WHERE schedule_id = ?1", [id])?;
        tx.execute("DELETE FROM schedules WHERE id = ?1", [id])?;
        tx.execute(
            "INSERT INTO autoforge_store (fact, value) VALUES ('schedule_id_floor', ?1)
             ON CONFLICT (fact) DO UPDATE SET value = max(value, excluded.value)",
            [id],
        )?;
        Ok(DeletedSchedule { schedule, overrides })
    }
}
