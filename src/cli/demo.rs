//! The demonstration: a backlog is driven to its end by simulated agents, each a process with an MCP
//! server process of its own; one of them is killed on the way; and then everything is checked.

mod backlog;
mod verdict;

use std::collections::BTreeMap;
use std::process::ExitCode;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::args::{Arguments, DemoArgs};
use super::exit::{Exit, Failed, INTERRUPTED};
use super::locate::Place;
use super::output::{Answer, Output};
use super::page::{Cell, Page};
use super::run::{Form, Report, View, drive_with, simulated};
use super::stage;
use super::verdict::Verdict;
use crate::orchestrator::{AgentExit, AgentId, Happening, Kind, Outcome, Settings, Stop};
use crate::{CreateFeatures, OpenOptions, PlannedFeature, Store};

/// Of a hundred features, agents put off or give back so many.
const WHIMS: &str = "10";

/// A project that the demonstration has made.
struct Stage {
    place: Place,
    planned: Vec<PlannedFeature>,
}

/// What happened on it.
struct Play {
    outcome: Outcome,
    report: Report,
    /// The agent that was killed.
    killed: Option<AgentId>,
}

pub(super) fn run(demo: &DemoArgs, arguments: &Arguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match perform(demo, arguments) {
        Ok(None) => {
            output
                .failure(&Failed::new("interrupted", "stopped by a signal; all agents were ended"));
            ExitCode::from(INTERRUPTED)
        }
        Ok(Some((stage, play, verdict))) => {
            let answer = Answer::new(
                data(&stage, &play, &verdict, demo),
                page(&stage, &play, &verdict, demo),
            );
            match output.answer(&answer) {
                Exit::Success if !verdict.holds() => Exit::Failure.into(),
                exit => exit.into(),
            }
        }
        Err(failed) => output.failure(&failed).into(),
    }
}

/// `None` where somebody has stopped it.
fn perform(
    demo: &DemoArgs,
    arguments: &Arguments,
) -> Result<Option<(Stage, Play, Verdict)>, Failed> {
    let stage = Stage::set(demo, arguments.open_options())?;
    let play = play(&stage, demo, arguments)?;
    if play.outcome.finish.is_none() {
        return Ok(None);
    }
    let store = Store::open_project_with(&stage.place.folder, &arguments.open_options())?;
    let verdict = verdict::reach(&store, &play, stage.planned.len())?;
    Ok(Some((stage, play, verdict)))
}

impl Stage {
    /// Makes the project with its backlog.
    fn set(demo: &DemoArgs, options: OpenOptions) -> Result<Self, Failed> {
        let broken = || Failed::new("backlog", "the built-in backlog is not what it should be");
        let planned = backlog::plan(demo.features as usize).ok_or_else(broken)?;
        let (place, store) =
            stage::new_project(demo.project.as_deref(), "autoforge-demo", options)?;
        store.call(CreateFeatures::new(planned.clone()))?;
        store.close();
        Ok(Self { place, planned })
    }
}

/// Lets the agents work, and kills one of them when a part of the features passes.
fn play(stage: &Stage, demo: &DemoArgs, arguments: &Arguments) -> Result<Play, Failed> {
    let work = demo.work.to_string();
    let agent = simulated(&["--work", &work, "--whims", WHIMS])?;
    let coding = demo.workers as usize;
    let settings = Settings { coding, total: coding + 1, ..Settings::new(agent) };
    let stop = Stop::on_signals()
        .map_err(|error| Failed::new("system", format!("listening for signals: {error}")))?;
    let mut report = Report::default();
    let (mut pids, mut victim, mut killed) = (BTreeMap::new(), None, None);
    // The verdict is the answer; what happens on the way is no part of it.
    let mut view = View::new(if arguments.json {
        Form::Lines { said: false }
    } else {
        Form::of(false, false)
    });
    let part = stage.planned.len() * 2 / 5;
    let options = arguments.open_options();
    let outcome = drive_with(&stage.place, &settings, options, &stop, &mut |happening| {
        report.hear(happening);
        match happening {
            Happening::Began { agent, pid, .. } => {
                pids.insert(*agent, *pid);
            }
            Happening::Said { agent, line }
                if victim.is_none() && works(*agent, line) && report.passed.len() >= part =>
            {
                victim = pids.get(agent).and_then(|pid| kill(*pid)).map(|()| *agent);
            }
            Happening::Ended { agent, exit, .. } if victim == Some(*agent) => {
                // One that was done before it was killed does not count.
                killed = victim.filter(|_| matches!(exit, AgentExit::Signal(_)));
                victim = killed;
            }
            _ => {}
        }
        view.show(happening);
    });
    view.finish();
    Ok(Play { outcome: outcome?, report, killed })
}

/// Whether the agent has just begun to build a feature.
fn works(agent: AgentId, line: &str) -> bool {
    agent.kind == Kind::Coding && line.starts_with("{\"works_on\"")
}

/// Kills an agent with its server at this moment, without a chance to clean up.
fn kill(pid: u32) -> Option<()> {
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    kill_process_group(group, Signal::KILL).ok()
}

fn data(stage: &Stage, play: &Play, verdict: &Verdict, demo: &DemoArgs) -> Value {
    let mut data = json!({
        "project": stage.place.folder.display().to_string(),
        "features": stage.planned.len(),
        "depth": backlog::depth(&stage.planned),
        "workers": demo.workers,
        "agents": play.outcome.agents,
        "killed": play.killed.map(|agent| agent.to_string()),
        "seconds": play.outcome.elapsed.as_secs_f64(),
        "calls": play.report.took.count(),
        "slowest_call_ms": play.report.took.slowest().as_secs_f64() * 1000.0,
    });
    if let (Some(data), Value::Object(verdict)) = (data.as_object_mut(), verdict.to_json()) {
        data.extend(verdict);
    }
    data
}

fn page(stage: &Stage, play: &Play, verdict: &Verdict, demo: &DemoArgs) -> Page {
    let what = format!(
        "{} features, up to {} deep; {} agents at a time, each with an MCP server process of its own",
        stage.planned.len(),
        backlog::depth(&stage.planned),
        demo.workers,
    );
    let killed = play.killed.map_or("nobody".to_owned(), |agent| agent.to_string());
    let figures = format!(
        "{:.2} s, {} agents, {} calls that changed something, the slowest {:.1} ms; killed: {killed}",
        play.outcome.elapsed.as_secs_f64(),
        play.outcome.agents,
        play.report.took.count(),
        play.report.took.slowest().as_secs_f64() * 1000.0,
    );
    let folder = stage.place.folder.display();
    let look = format!("Look at the result: autoforge-store log -C {folder}");
    Page::default()
        .line([Cell::plain(what)])
        .gap()
        .table(&["", "check", "found"], verdict.rows())
        .gap()
        .line([Cell::plain(figures)])
        .gap()
        .line([verdict.conclusion()])
        .line([Cell::plain(look)])
        .line([Cell::plain(format_args!("What each agent said: {folder}/.autoforge/agents"))])
}
