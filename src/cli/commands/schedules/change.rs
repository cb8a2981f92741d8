//! `schedules add`, `edit` and `remove`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::view::{SCHEDULE_HEAD, schedule_json, schedule_row};
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::{
    Concurrency, CreateSchedule, DeleteSchedule, InvalidConcurrency, InvalidSchedule,
    ListSchedules, ModelChange, ModelName, NewSchedule, ProjectName, Schedule, ScheduleChanges,
    ScheduleId, Store, TimeOfDay, Timestamp, UpdateSchedule, Weekdays, WeeklyWindow, WindowMinutes,
};

/// Options of `schedules add`.
#[derive(Debug, Args)]
pub(super) struct AddScheduleArgs {
    /// When windows open: HH:MM in UTC.
    #[arg(long, value_name = "HH:MM")]
    start: TimeOfDay,
    /// How long they last: 1 to 1440 minutes, past midnight if need be.
    #[arg(long, value_name = "N", value_parser = parse_minutes)]
    minutes: WindowMinutes,
    /// The days on which they open: `mon,wed`, `mon-fri`, `daily`, `never`.
    #[arg(long, value_name = "DAYS", default_value = "daily")]
    days: Weekdays,
    /// How many agents run at once: 1 to 5.
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse_agents)]
    agents: Concurrency,
    /// The model that agents use. Default: the project's own.
    #[arg(long)]
    model: Option<ModelName>,
    /// Skip testing.
    #[arg(long)]
    yolo: bool,
    /// Do not let it count yet.
    #[arg(long)]
    disabled: bool,
}

/// Options of `schedules edit`.
#[derive(Debug, Args)]
pub(super) struct EditScheduleArgs {
    /// The schedule.
    #[arg(value_parser = parse_schedule)]
    id: ScheduleId,
    #[command(flatten)]
    changes: Changes,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Changes {
    /// When windows open: HH:MM in UTC.
    #[arg(long, value_name = "HH:MM")]
    start: Option<TimeOfDay>,
    /// How long they last: 1 to 1440 minutes, past midnight if need be.
    #[arg(long, value_name = "N", value_parser = parse_minutes)]
    minutes: Option<WindowMinutes>,
    /// The days on which they open: `mon,wed`, `mon-fri`, `daily`, `never`.
    #[arg(long, value_name = "DAYS")]
    days: Option<Weekdays>,
    /// How many agents run at once: 1 to 5.
    #[arg(long, value_name = "N", value_parser = parse_agents)]
    agents: Option<Concurrency>,
    /// The model that agents use.
    #[arg(long, conflicts_with = "no_model")]
    model: Option<ModelName>,
    /// Use the project's own model.
    #[arg(long)]
    no_model: bool,
    /// Skip testing.
    #[arg(long, conflicts_with = "no_yolo")]
    yolo: bool,
    /// Test.
    #[arg(long)]
    no_yolo: bool,
    /// Let it count.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Let it not count.
    #[arg(long)]
    disable: bool,
}

/// Options of `schedules remove`.
#[derive(Debug, Args)]
pub(super) struct RemoveScheduleArgs {
    /// The schedule.
    #[arg(value_parser = parse_schedule)]
    id: ScheduleId,
}

fn parse_schedule(text: &str) -> Result<ScheduleId, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse::<i64>();
    number
        .map(ScheduleId::from)
        .map_err(|_| "the number of a schedule is a whole number".to_owned())
}

fn parse_minutes(text: &str) -> Result<WindowMinutes, InvalidSchedule> {
    WindowMinutes::new(text.parse().unwrap_or(0))
}

fn parse_agents(text: &str) -> Result<Concurrency, InvalidConcurrency> {
    Concurrency::new(text.parse().unwrap_or(0))
}

impl AddScheduleArgs {
    pub(super) fn run(
        &self,
        session: &mut Session<'_>,
        project: Option<&ProjectName>,
    ) -> Result<Answer, Failed> {
        let folder = session.place()?.folder;
        let store = session.open()?;
        let project = match project {
            Some(project) => project.clone(),
            None => usual_project(&store, &folder)?,
        };
        let new = NewSchedule {
            window: WeeklyWindow { start: self.start, duration: self.minutes, days: self.days },
            enabled: !self.disabled,
            yolo_mode: self.yolo,
            model: self.model.clone(),
            max_concurrency: self.agents,
            ..NewSchedule::new(project, self.start, self.minutes)
        };
        Ok(answer(&store.call(CreateSchedule(new))?, "added"))
    }
}

/// The project that all schedules of the database name; where there is none, the folder's name.
fn usual_project(store: &Store, folder: &Path) -> Result<ProjectName, Failed> {
    let schedules = store.call(ListSchedules::default())?;
    let mut names: Vec<&str> = schedules.iter().map(|one| one.project.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = match names.as_slice() {
        [] => folder.as_ref(),
        [name] => name,
        names => {
            let message = format!("the schedules name several projects: {}", names.join(", "));
            return Err(Failed::new("usage", message).hint("--project says which one is meant"));
        }
    };
    ProjectName::new(name).map_err(|invalid| {
        let hint = "--project gives the name under which AutoForge knows the project";
        Failed::new("usage", invalid).hint(hint)
    })
}

impl EditScheduleArgs {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let changes = &self.changes;
        let flag = |on: bool, off: bool| (on || off).then_some(on);
        let model = match (&changes.model, changes.no_model) {
            (Some(model), _) => ModelChange::Set(model.clone()),
            (None, true) => ModelChange::Clear,
            (None, false) => ModelChange::Keep,
        };
        let changes = ScheduleChanges {
            start: changes.start,
            duration: changes.minutes,
            days: changes.days,
            enabled: flag(changes.enable, changes.disable),
            yolo_mode: flag(changes.yolo, changes.no_yolo),
            model,
            max_concurrency: changes.agents,
        };
        let schedule = session.open()?.call(UpdateSchedule { id: self.id, changes })?;
        Ok(answer(&schedule, "changed"))
    }
}

impl RemoveScheduleArgs {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let deleted = session.open()?.call(DeleteSchedule { id: self.id })?;
        let now = Timestamp::now();
        let data = json!({
            "removed": schedule_json(&deleted.schedule, now),
            "overrides": deleted.overrides,
        });
        Ok(Answer::new(data, page(&deleted.schedule, "removed", Tone::Bad)))
    }
}

fn answer(schedule: &Schedule, done: &str) -> Answer {
    Answer::new(schedule_json(schedule, Timestamp::now()), page(schedule, done, Tone::Good))
}

fn page(schedule: &Schedule, done: &str, tone: Tone) -> Page {
    let said = Cell::new(tone, format_args!("{done} "));
    Page::default()
        .line([said, Cell::strong(format_args!("schedule {}", schedule.id))])
        .table(SCHEDULE_HEAD, vec![schedule_row(schedule, Timestamp::now())])
}
