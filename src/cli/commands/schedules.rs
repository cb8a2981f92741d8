//! `schedules`.

mod change;
mod view;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::{
    GetScheduleState, ListOverrides, ListSchedules, OverrideKind, ProjectName,
    PurgeExpiredOverrides, ScheduleId, ScheduleState, SetOverride, Timestamp, Verdict,
};

use change::{AddScheduleArgs, EditScheduleArgs, RemoveScheduleArgs};
use view::{
    OVERRIDE_HEAD, SCHEDULE_HEAD, over_json, over_row, schedule_json, schedule_row, time_json,
};

/// The file by which a person asks running agents to pause.
const PAUSE: &str = ".autoforge/.pause_drain";

/// Options of `schedules`.
#[derive(Debug, Args)]
pub(crate) struct SchedulesArgs {
    /// Only the schedules of the project of this name. Default: all that the database holds.
    #[arg(long, global = true, value_name = "NAME")]
    project: Option<ProjectName>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List schedules by their start time.
    List(ListArgs),
    /// Add a schedule. Times are UTC.
    Add(AddScheduleArgs),
    /// Change parts of a schedule.
    Edit(EditScheduleArgs),
    /// Remove a schedule and what was said to it.
    Remove(RemoveScheduleArgs),
    /// Tell whether agents should run, why, until when, and what starts next.
    Next(NextArgs),
    /// Say to every open window: agents are started, or stopped, until it is over.
    Override(OverrideArgs),
    /// List what was said to schedules.
    Overrides(OverridesArgs),
}

/// Options of `schedules list`.
#[derive(Debug, Args)]
struct ListArgs {
    /// Only those that are enabled.
    #[arg(long)]
    enabled: bool,
}

/// Options of `schedules next`.
#[derive(Debug, Args)]
struct NextArgs {
    /// At this moment instead of now, in UTC: 2026-02-09 or 2026-02-09T10:30, perhaps with an offset.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
}

/// Options of `schedules override`.
#[derive(Debug, Args)]
struct OverrideArgs {
    /// What is said.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Agents were started.
    Start,
    /// Agents were stopped.
    Stop,
}

/// Options of `schedules overrides`.
#[derive(Debug, Args)]
struct OverridesArgs {
    /// Delete those that have expired and those whose schedule is gone, in the whole database, and
    /// list them.
    #[arg(long, conflicts_with = "project")]
    purge: bool,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let moment = Timestamp::from_text(text);
    moment.ok_or_else(|| "write 2026-02-09 or 2026-02-09T10:30, perhaps with an offset".to_owned())
}

impl Task for SchedulesArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let project = self.project.as_ref();
        match &self.what {
            What::List(args) => args.run(session, project),
            What::Add(args) => args.run(session, project),
            What::Edit(args) => args.run(session),
            What::Remove(args) => args.run(session),
            What::Next(args) => args.run(session, project),
            What::Override(args) => args.run(session, project),
            What::Overrides(args) => args.run(session, project),
        }
    }
}

impl ListArgs {
    fn run(
        &self,
        session: &mut Session<'_>,
        project: Option<&ProjectName>,
    ) -> Result<Answer, Failed> {
        let list = ListSchedules { project: project.cloned(), enabled: self.enabled };
        let schedules = session.open()?.call(list)?;
        let now = Timestamp::now();
        let data = schedules.iter().map(|schedule| schedule_json(schedule, now)).collect();
        let rows: Vec<_> = schedules.iter().map(|schedule| schedule_row(schedule, now)).collect();
        let page = match rows.len() {
            0 => Page::default().ornament([Cell::faint("there are no schedules")]),
            _ => Page::default().table(SCHEDULE_HEAD, rows),
        };
        Ok(Answer::new(data, page))
    }
}

impl NextArgs {
    fn run(
        &self,
        session: &mut Session<'_>,
        project: Option<&ProjectName>,
    ) -> Result<Answer, Failed> {
        let pausing = session.place()?.folder.join(PAUSE).exists();
        let ask = GetScheduleState { project: project.cloned(), at: self.at };
        let state = session.open()?.call(ask)?;
        let next = state
            .next_start
            .map(|(schedule, at)| json!({"schedule": schedule.get(), "at": at.to_iso8601()}));
        let data = json!({
            "at": state.at.to_iso8601(),
            "should_run": state.verdict.runs(),
            "reason": state.verdict.as_str(),
            "schedule": state.verdict.schedule().map(ScheduleId::get),
            "changes_at": time_json(state.changes_at),
            "next_start": next,
            "open": state.concerned.iter().map(|one| json!({
                "schedule": one.schedule.get(),
                "should_run": one.runs(),
                "window_start": time_json(one.window.map(|window| window.start)),
                "window_end": time_json(one.window.map(|window| window.end)),
                "override": one.overridden.map(|(kind, _)| kind.as_str()),
                "override_expires_at": time_json(one.overridden.map(|(_, expiry)| expiry)),
            })).collect::<Value>(),
            "pausing": pausing,
        });
        Ok(Answer::new(data, state_page(&state, pausing)))
    }
}

fn state_page(state: &ScheduleState, pausing: bool) -> Page {
    let runs = state.verdict.runs();
    let answer = if runs { Cell::new(Tone::Good, "yes") } else { Cell::new(Tone::Attention, "no") };
    let why = match state.verdict {
        Verdict::Window(id) => format!("a window of schedule {id} is open"),
        Verdict::StartedByHand(id) => {
            format!("agents of schedule {id} were started by hand")
        }
        Verdict::StoppedByHand => "agents were stopped by hand in each open window".to_owned(),
        Verdict::NoWindow => "no window is open".to_owned(),
        Verdict::NoSchedule => "no schedule is enabled".to_owned(),
    };
    let change = match (state.changes_at, runs) {
        (Some(at), _) => view::time_cell(at),
        (None, true) => Cell::faint("no end"),
        (None, false) => Cell::faint("never"),
    };
    let mut page = Page::default()
        .field("should run", answer)
        .field("because", Cell::plain(why))
        .field(if runs { "until" } else { "not before" }, change);
    if let Some((schedule, at)) = state.next_start {
        let when = view::time_cell(at).text;
        page = page.field("next start", Cell::plain(format!("{when}, schedule {schedule}")));
    }
    if pausing {
        let said = format!("{PAUSE} asks running agents to finish and pause");
        page = page.field("pausing", Cell::new(Tone::Attention, said));
    }
    page
}

impl OverrideArgs {
    fn run(
        &self,
        session: &mut Session<'_>,
        project: Option<&ProjectName>,
    ) -> Result<Answer, Failed> {
        let kind = match self.kind {
            Kind::Start => OverrideKind::Start,
            Kind::Stop => OverrideKind::Stop,
        };
        let said = session.open()?.call(SetOverride { project: project.cloned(), kind })?;
        if said.is_empty() {
            session.hint("no window is open, so there is nothing to say this to");
        }
        let rows = said.iter().map(over_row).collect();
        let page = Page::default().table(OVERRIDE_HEAD, rows);
        let page = if said.is_empty() { Page::default() } else { page };
        Ok(Answer::new(said.iter().map(over_json).collect(), page))
    }
}

impl OverridesArgs {
    fn run(
        &self,
        session: &mut Session<'_>,
        project: Option<&ProjectName>,
    ) -> Result<Answer, Failed> {
        let store = session.open()?;
        let list = ListOverrides { project: project.cloned() };
        let overrides =
            if self.purge { store.call(PurgeExpiredOverrides)? } else { store.call(list)? };
        let data = overrides.iter().map(over_json).collect();
        let said = if self.purge { "there was nothing to delete" } else { "nothing was said" };
        let page = match overrides.len() {
            0 => Page::default().ornament([Cell::faint(said)]),
            _ => Page::default().table(OVERRIDE_HEAD, overrides.iter().map(over_row).collect()),
        };
        Ok(Answer::new(data, page))
    }
}
