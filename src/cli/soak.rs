//! The endurance test: agents at full concurrency on one project, killed at random, with writers beside
//! them as AutoForge's own programs are; and then everything is checked.

mod backlog;
mod course;
mod ledger;
mod verdict;
mod writers;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, value_parser};
use serde_json::{Value, json};

use self::course::Run;
use self::verdict::Findings;
use super::args::Arguments;
use super::exit::{Exit, Failed, INTERRUPTED};
use super::locate::Place;
use super::output::{Answer, Output};
use super::page::{Cell, Page, Tone};
use super::run::{Latencies, simulated};
use super::stage;
use super::time::{parse_duration, span};
use crate::orchestrator::{Settings, Stop};
use crate::{Policy, SetPolicy, Store};

/// Milliseconds that an agent works on a feature, at most.
const WORK: &str = "60";
/// Of a hundred features, agents put off or give back so many.
const WHIMS: &str = "10";
/// Agents that test beside those that build.
const TESTING: usize = 1;
/// An agent that says nothing for so long is ended; a slow one is silent for less.
const SILENCE: Duration = Duration::from_secs(8);
/// Those that hang do not end when they are asked to.
const GRACE: Duration = Duration::from_secs(1);
/// Writers where Python is there and nobody has said how many.
const WRITERS: usize = 2;

/// Options of `soak`.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// For how long agents work and are killed, such as `60s`, `10m` or `8h`.
    #[arg(long = "for", visible_alias = "seconds", value_name = "DURATION", default_value = "60s",
        value_parser = parse_time)]
    time: Duration,
    /// How many agents build at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 5,
        value_parser = value_parser!(u32).range(1..=32))]
    agents: u32,
    /// How many Python programs change the same project beside them, as AutoForge's own do. Default: 2
    /// where there is a `python3`.
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u32).range(0..=16))]
    writers: Option<u32>,
    /// What decides who is killed and when, and what features there are. Default: chosen at random,
    /// and told.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Where to make the project: on the disk that is to be tested. Default: a new temporary folder,
    /// which is kept.
    #[arg(long, value_name = "FOLDER")]
    project: Option<PathBuf>,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < Duration::from_secs(1) {
        return Err("it is at least 1s".to_owned());
    }
    Ok(time)
}

/// What shall happen.
#[derive(Debug)]
struct Plan {
    time: Duration,
    agents: usize,
    writers: usize,
    /// Python's SQLite, or why there are no writers.
    python: Result<String, String>,
    seed: u64,
    json: bool,
}

impl Plan {
    fn new(soak: &SoakArgs, json: bool, python: Result<String, String>) -> Self {
        let wanted = soak.writers.map_or(WRITERS, |writers| writers as usize);
        Self {
            time: soak.time,
            agents: soak.agents as usize,
            writers: if python.is_ok() { wanted } else { 0 },
            python,
            seed: soak.seed.unwrap_or_else(|| fastrand::u64(..)),
            json,
        }
    }

    /// While so many features are ready, nobody waits for work.
    fn enough(&self) -> usize {
        6 * self.agents + 8 * self.writers
    }

    fn settings(&self) -> Result<Settings, Failed> {
        let agent = simulated(&["--work", WORK, "--whims", WHIMS])?;
        Ok(Settings {
            coding: self.agents,
            testing: TESTING,
            total: self.agents + TESTING,
            silence: Some(SILENCE),
            grace: GRACE,
            ..Settings::new(agent)
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (agents, time, seed) = (self.agents, span(self.time), self.seed);
        write!(f, "{agents} agents at a time, each with an MCP server process of its own, ")?;
        match &self.python {
            Ok(sqlite) if self.writers > 0 => {
                write!(f, "{} Python writers with SQLite {sqlite}", self.writers)?;
            }
            Ok(_) => f.write_str("no Python writers")?,
            Err(why) => write!(f, "no Python writers ({why})")?,
        }
        write!(f, "; {time}, seed {seed}")
    }
}

pub(super) fn run(soak: &SoakArgs, arguments: &Arguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match perform(soak, arguments) {
        Ok((plan, place, mut run, findings)) => {
            let data = data(&plan, &place, &mut run, &findings);
            let page = page(&plan, &place, &mut run, &findings);
            match output.answer(&Answer::new(data, page)) {
                Exit::Success if !findings.verdict.holds() => Exit::Failure.into(),
                Exit::Success if run.interrupted => ExitCode::from(INTERRUPTED),
                exit => exit.into(),
            }
        }
        Err(failed) => output.failure(&failed).into(),
    }
}

fn perform(soak: &SoakArgs, arguments: &Arguments) -> Result<(Plan, Place, Run, Findings), Failed> {
    let system =
        |what| move |error: std::io::Error| Failed::new("system", format!("{what}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("starting"))?;
    let python = match soak.writers {
        Some(0) => Err("nobody wants any".to_owned()),
        _ => runtime.block_on(writers::python()),
    };
    let plan = Plan::new(soak, arguments.json, python);
    let settings = plan.settings()?;
    let options = arguments.open_options();
    let (place, store) = stage::new_project(soak.project.as_deref(), "autoforge-soak", options)?;
    // All of the history is looked at in the end.
    let everything = Policy { events: u32::MAX, ended_claims: u32::MAX, ..Policy::default() };
    store.call(SetPolicy(everything))?;
    let stop = Stop::on_signals().map_err(system("listening for signals"))?;
    let run = runtime.block_on(course::run(&plan, &place, store, settings, stop, options))?;
    let store = Store::open_project_with(&place.folder, &options)?;
    let findings = verdict::reach(&store, &run)?;
    Ok((plan, place, run, findings))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn times(took: &mut Latencies, seconds: f64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 calls")]
    let count = took.count() as f64;
    json!({
        "count": took.count(),
        "per_second": if seconds > 0.0 { count / seconds } else { 0.0 },
        "median_ms": milliseconds(took.within(50)),
        "p95_ms": milliseconds(took.within(95)),
        "p99_ms": milliseconds(took.within(99)),
        "slowest_ms": milliseconds(took.slowest()),
    })
}

fn data(plan: &Plan, place: &Place, run: &mut Run, findings: &Findings) -> Value {
    let worked = run.worked.as_secs_f64();
    let mut data = json!({
        "project": place.folder.display().to_string(),
        "seed": plan.seed,
        "asked_seconds": plan.time.as_secs_f64(),
        "worked_seconds": worked,
        "seconds": run.outcome.elapsed.as_secs_f64(),
        "interrupted": run.interrupted,
        "agents": {
            "at_a_time": plan.agents,
            "started": run.outcome.agents,
            "killed": run.killed,
        },
        "calls": times(&mut run.report.took, worked),
        "writers": {
            "at_a_time": plan.writers,
            "sqlite": plan.python.as_ref().ok(),
            "why_none": plan.python.as_ref().err(),
            "started": run.writers.started,
            "killed": run.writers.killed,
            "changes": times(&mut run.writers.took, worked),
        },
        "features": findings.features,
        "passing": findings.passing,
        "claims": findings.claims,
        "events": findings.events,
        "acknowledged": run.ledger.acknowledgements(),
        "longest_log_bytes": run.longest_log,
        "processes": run.processes.as_ref().map(|(before, after)| {
            json!({"before": before.len(), "after": after.len()})
        }),
    });
    if let (Some(data), Value::Object(verdict)) = (data.as_object_mut(), findings.verdict.to_json())
    {
        data.extend(verdict);
    }
    data
}

fn figures(what: &str, took: &mut Latencies, worked: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 calls")]
    let rate = took.count() as f64 / worked.as_secs_f64().max(0.001);
    format!(
        "{what}: {} changes, {rate:.0} a second; half within {:.1} ms, 95 % within {:.1} ms, 99 % within \
         {:.1} ms, the slowest {:.1} ms",
        took.count(),
        milliseconds(took.within(50)),
        milliseconds(took.within(95)),
        milliseconds(took.within(99)),
        milliseconds(took.slowest()),
    )
}

fn page(plan: &Plan, place: &Place, run: &mut Run, findings: &Findings) -> Page {
    let worked = run.worked;
    let agents = format!("{} agents, {} of them killed", run.outcome.agents, run.killed);
    let mut page = Page::default()
        .line([Cell::plain(plan)])
        .gap()
        .table(&["", "check", "found"], findings.verdict.rows())
        .gap()
        .line([Cell::plain(figures(&agents, &mut run.report.took, worked))]);
    if plan.writers > 0 {
        let writers = format!(
            "{} Python writers, {} of them killed",
            run.writers.started, run.writers.killed
        );
        page = page.line([Cell::plain(figures(&writers, &mut run.writers.took, worked))]);
    }
    let file = format!(
        "{} features, {} of them pass; {} claims, {} events; the log was {} KiB at most",
        findings.features,
        findings.passing,
        findings.claims,
        findings.events,
        run.longest_log / 1024,
    );
    page = page.line([Cell::plain(file)]).gap();
    if run.interrupted {
        let text = "interrupted: what was done until then is what was checked";
        page = page.line([Cell::new(Tone::Attention, text)]);
    }
    let folder = place.folder.display();
    page.line([findings.verdict.conclusion()])
        .line([Cell::plain(format_args!("The project is kept: {folder}"))])
        .line([Cell::plain(format_args!("What each agent said: {folder}/.autoforge/agents"))])
}
