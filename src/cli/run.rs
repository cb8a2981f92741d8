//! `run`: drives the backlog with agents, and shows how it goes.

mod config;
mod report;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use self::config::Config;
pub(super) use self::report::{Latencies, Report};
pub(super) use self::view::{Form, View};
use super::args::{Arguments, parse_lease};
use super::exit::{Exit, Failed, INTERRUPTED};
use super::locate::Place;
use super::notify::{self, Notifier};
use super::output::{Answer, Note, Output, note};
use super::page::{Cell, Page, Tone};
use crate::OpenOptions;
use crate::orchestrator::{
    AgentCommand, Finish, Happening, InvalidCommand, Outcome, RunError, Settings, Stop, run,
};

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The agent's command line, after `--`. Placeholders: `{features}`, `{feature}`, `{project}`,
    /// `{prompt}`, `{prompt_file}`, `{mcp_config}`, `{mcp_program}`, `{mcp_env_toml}`, `{kind}`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// A known agent instead of a command line.
    #[arg(long, value_enum, conflicts_with = "command")]
    agent: Option<Preset>,
    /// A file that says all of this. Default: `agents.toml` beside the project's database, where
    /// there is one. Options come before what it says.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many agents build at a time.
    #[arg(long, value_name = "COUNT")]
    coding: Option<usize>,
    /// How many agents test beside them.
    #[arg(long, value_name = "COUNT")]
    testing: Option<usize>,
    /// How many agents there are in all, at most.
    #[arg(long, value_name = "COUNT")]
    total: Option<usize>,
    /// How many features an agent gets at a time.
    #[arg(long, value_name = "COUNT")]
    batch: Option<usize>,
    /// How many features are tested at a time.
    #[arg(long, value_name = "COUNT")]
    test_batch: Option<usize>,
    /// How long a claim outlasts its last renewal, such as `2m`.
    #[arg(long, value_name = "DURATION", value_parser = parse_lease)]
    lease: Option<Duration>,
    /// An agent that says nothing for so long is ended; `none` for no limit.
    #[arg(long, value_name = "DURATION", value_parser = parse_limit)]
    silence: Option<Limit>,
    /// An agent that takes longer is ended; `none` for no limit.
    #[arg(long, value_name = "DURATION", value_parser = parse_limit)]
    time: Option<Limit>,
    /// How long processes may take to end before they are killed.
    #[arg(long, value_name = "DURATION", value_parser = parse_lease)]
    grace: Option<Duration>,
    /// End when nothing but features that wait for a human is left.
    #[arg(long)]
    no_wait: bool,
    /// Report to this webhook whenever more features pass than were reported before, by whatever
    /// program. Default: `$PROGRESS_N8N_WEBHOOK_URL`, where that is set.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Print the command lines and how many agents there would be, and start nothing.
    #[arg(long)]
    dry_run: bool,
    /// Show what agents say, too, where nothing is drawn.
    #[arg(long)]
    verbose: bool,
}

/// A known agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// Codex, of `OpenAI`.
    Codex,
    /// One that only pretends, for trying things out. It lets features pass that nobody has built.
    Simulated,
}

impl Preset {
    pub(crate) fn command(self) -> Result<AgentCommand, Failed> {
        match self {
            Self::ClaudeCode => Ok(AgentCommand::claude_code()),
            Self::Codex => Ok(AgentCommand::codex()),
            Self::Simulated => simulated(&[]),
        }
    }
}

/// The command line of the simulated agent, with more options.
pub(super) fn simulated(options: &[&str]) -> Result<AgentCommand, Failed> {
    let program = std::env::current_exe()
        .map_err(|error| Failed::new("system", format!("looking for this program: {error}")))?;
    let program = program.display().to_string().replace('{', "{{");
    let words = [&program, "simulated-agent", "--features", "{features}", "--kind", "{kind}"];
    AgentCommand::new(words.iter().chain(options)).map_err(|problem| invalid(&problem))
}

fn invalid(problem: &InvalidCommand) -> Failed {
    Failed::new("usage", problem)
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<Duration>);

fn parse_limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => parse_lease(text).map(|length| Limit(Some(length))),
    }
}

impl RunArgs {
    fn settings(&self, place: &Place) -> Result<Settings, Failed> {
        let config = Config::read(self.config.as_deref(), &place.folder)?;
        let own = match (self.agent, self.command.as_slice()) {
            (Some(preset), _) => Some(preset.command()?),
            (None, []) => None,
            (None, words) => Some(AgentCommand::new(words).map_err(|problem| invalid(&problem))?),
        };
        let mut settings = config.settings(own)?;
        let numbers = [
            (&mut settings.coding, self.coding),
            (&mut settings.testing, self.testing),
            (&mut settings.total, self.total),
            (&mut settings.batch, self.batch),
            (&mut settings.test_batch, self.test_batch),
        ];
        for (setting, wanted) in numbers {
            *setting = wanted.unwrap_or(*setting);
        }
        settings.lease = self.lease.unwrap_or(settings.lease);
        settings.grace = self.grace.unwrap_or(settings.grace);
        settings.silence = self.silence.map_or(settings.silence, |limit| limit.0);
        settings.time = self.time.map_or(settings.time, |limit| limit.0);
        settings.wait_for_humans &= !self.no_wait;
        settings.check().map_err(|problem| Failed::new("usage", problem))?;
        Ok(settings)
    }
}

pub(super) fn start(run: &RunArgs, arguments: &Arguments) -> ExitCode {
    let output = Output::new(arguments.json);
    let ended = prepare(run, arguments).and_then(|(place, settings)| {
        if run.dry_run {
            return Ok(output.answer(&shown(&settings)).into());
        }
        // A wrong address must cost no report.
        let webhook = notify::webhook(run.webhook.as_deref())?;
        let notifier = webhook.map(|webhook| Notifier::new(webhook, &place.folder));
        let settings = Settings { report_progress: notifier.is_some(), ..settings };
        let form = Form::of(arguments.json, run.verbose);
        let outcome = drive(&place, &settings, arguments, form, notifier)?;
        Ok(conclude(&outcome, output))
    });
    ended.unwrap_or_else(|failed| output.failure(&failed).into())
}

fn prepare(run: &RunArgs, arguments: &Arguments) -> Result<(Place, Settings), Failed> {
    let place = Place::find(arguments.dir.as_deref())?;
    let settings = run.settings(&place)?;
    if settings.initializer.is_none() {
        place.existing()?;
    }
    Ok((place, settings))
}

/// Runs, and shows it.
fn drive(
    place: &Place,
    settings: &Settings,
    arguments: &Arguments,
    form: Form,
    mut notifier: Option<Notifier>,
) -> Result<Outcome, Failed> {
    let stop = Stop::on_signals()
        .map_err(|error| Failed::new("system", format!("listening for signals: {error}")))?;
    let mut view = View::new(form);
    let options = arguments.open_options();
    let outcome = drive_with(place, settings, options, &stop, &mut |happening| {
        if let (Happening::Progressed(report), Some(notifier)) = (happening, &mut notifier) {
            notifier.send(report);
        }
        view.show(happening);
    });
    view.finish();
    if let Some(notifier) = notifier {
        notifier.finish();
    }
    outcome
}

/// As [`drive`], for whoever looks at everything.
pub(super) fn drive_with(
    place: &Place,
    settings: &Settings,
    options: OpenOptions,
    stop: &Stop,
    observe: &mut dyn FnMut(&Happening),
) -> Result<Outcome, Failed> {
    run(&place.folder, &options, settings, stop, observe).map_err(|error| failed(&error))
}

fn failed(error: &RunError) -> Failed {
    let failed = Failed::new(error.code(), error);
    match error {
        RunError::NoAgent { .. } => failed.hint("--dry-run shows what would be started"),
        _ => failed,
    }
}

/// What would be started.
fn shown(settings: &Settings) -> Answer {
    let tester = settings.tester.as_ref().unwrap_or(&settings.coder);
    let mut page = Page::default()
        .field("coding", Cell::plain(settings.coding))
        .field("testing", Cell::plain(settings.testing))
        .field("batch", Cell::plain(settings.batch))
        .field("coder", Cell::plain(&settings.coder))
        .field("tester", Cell::plain(tester));
    let initializer = settings.initializer.as_ref();
    if let Some(initializer) = initializer {
        page = page.field("initializer", Cell::plain(initializer));
    }
    let data = json!({
        "coding": settings.coding,
        "testing": settings.testing,
        "total": settings.total,
        "batch": settings.batch,
        "test_batch": settings.test_batch,
        "coder": settings.coder.to_string(),
        "tester": tester.to_string(),
        "initializer": initializer.map(ToString::to_string),
    });
    Answer::new(data, page)
}

/// The last words, and the exit.
fn conclude(outcome: &Outcome, output: Output) -> ExitCode {
    let (said, exit) = match outcome.finish {
        Some(Finish::AllPassing) => ("every feature passes", Exit::Success),
        Some(Finish::NoFeatures) => ("the project has no features", Exit::NothingReady),
        Some(Finish::Stuck) => ("no feature can be taken any more", Exit::NothingReady),
        None => ("stopped", Exit::Success),
    };
    for (feature, why) in &outcome.unsettled {
        note(&Note::Warning(format!("the claim on feature {feature} was not ended: {why}")));
    }
    for pid in &outcome.left {
        note(&Note::Warning(format!("process {pid} could not be killed")));
    }
    if exit == Exit::NothingReady {
        note(&Note::Hint("`autoforge-store explain ID` says what is in the way".to_owned()));
    }
    let data = json!({
        "what": "ended",
        "finish": outcome.finish.map(Finish::as_str),
        "agents": outcome.agents,
        "passed": outcome.passed,
        "failed": outcome.failed,
        "seconds": outcome.elapsed.as_secs_f64(),
        "left": outcome.left,
        "unsettled": outcome.unsettled.keys().map(|id| id.get()).collect::<Vec<_>>(),
    });
    let figures = format!(
        "{} agents, {} features passed, {} attempts failed, {:.1} s",
        outcome.agents,
        outcome.passed,
        outcome.failed,
        outcome.elapsed.as_secs_f64()
    );
    let tone = if exit == Exit::Success { Tone::Good } else { Tone::Attention };
    let page = Page::default().line([Cell::new(tone, said), Cell::plain(format!(": {figures}"))]);
    let printed = output.answer(&Answer::new(data, page));
    match outcome.finish {
        None => ExitCode::from(INTERRUPTED),
        Some(_) if printed != Exit::Success => printed.into(),
        Some(_) => exit.into(),
    }
}
