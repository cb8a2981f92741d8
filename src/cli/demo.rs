//! The demonstration: many workers, each a process with an MCP server process of its own, carry out
//! one backlog; one of them is killed on the way; and then everything is checked.

mod backlog;
mod client;
mod crew;
mod director;
mod event;
mod told;
mod verdict;
mod view;
mod worker;

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use self::crew::Crew;
use self::director::Director;
use self::event::What;
use self::verdict::Verdict;
use self::view::View;
use super::args::{Arguments, DemoArgs, DemoWorkerArgs};
use super::exit::{Exit, Failed};
use super::output::{Answer, Output};
use super::page::{Cell, Page, Tone};
use crate::{CreateFeatures, OpenError, PlannedFeature, ProjectLayout, Store};

/// What a shell expects of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{} has a database or a list of features already; name a new folder", .0.display())]
    Occupied(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}")]
    Storage(String),
    #[error("the built-in backlog is not what it should be")]
    Backlog,
    #[error("{action} failed: {source}")]
    System { action: &'static str, source: io::Error },
    #[error("worker {number} could not go on: {reason}; its messages are in {}", .messages.display())]
    Worker { number: u32, reason: String, messages: PathBuf },
    #[error("the features did not all pass within {seconds} s")]
    TooSlow { seconds: u64 },
    #[error("stopped by a signal; all workers were ended")]
    Interrupted,
}

impl DemoError {
    fn storage(error: impl std::fmt::Display) -> Self {
        Self::Storage(error.to_string())
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Occupied(_) => "not_empty",
            Self::Open(error) => error.code(),
            Self::Storage(_) => "storage",
            Self::Backlog => "backlog",
            Self::System { .. } => "system",
            Self::Worker { .. } => "worker",
            Self::TooSlow { .. } => "too_slow",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A project that the demonstration has made.
struct Stage {
    folder: PathBuf,
    store: Store,
    planned: Vec<PlannedFeature>,
    seed: u64,
}

pub(super) fn run(demo: &DemoArgs, arguments: &Arguments) -> ExitCode {
    let outcome = Stage::set(demo).and_then(|stage| {
        let verdict = play(&stage, demo.workers)?;
        Ok((stage, verdict))
    });
    let output = Output::new(arguments.json);
    match outcome {
        Ok((stage, verdict)) => {
            let page = page(&stage, &verdict, demo.workers);
            let answer = Answer::new(data(&stage, &verdict, demo.workers), page);
            match output.answer(&answer) {
                Exit::Success if !verdict.holds() => Exit::Failure.into(),
                exit => exit.into(),
            }
        }
        Err(error) => {
            let exit = output.failure(&Failed::new(error.code(), &error));
            let interrupted = matches!(error, DemoError::Interrupted);
            if interrupted { ExitCode::from(INTERRUPTED) } else { exit.into() }
        }
    }
}

pub(super) fn work(arguments: &DemoWorkerArgs) -> ExitCode {
    let worked = match runtime() {
        Ok(runtime) => runtime.block_on(worker::work(arguments)),
        Err(error) => Err(error.into()),
    };
    match worked {
        Ok(()) => Exit::Success.into(),
        Err(error) => {
            // Where the parent is gone, there is nobody to tell.
            drop(worker::report(What::Failed { message: error.to_string() }, None));
            Exit::Failure.into()
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

impl Stage {
    /// Makes the project with its backlog.
    fn set(demo: &DemoArgs) -> Result<Self, DemoError> {
        let seed = demo.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
        let planned = backlog::plan(demo.features as usize).ok_or(DemoError::Backlog)?;
        let folder = match &demo.project {
            Some(folder) => folder.clone(),
            None => temporary_folder()?,
        };
        let layout = ProjectLayout::create(&folder)?;
        if layout.has_features() {
            return Err(DemoError::Occupied(folder));
        }
        let store = Store::open_project(layout.folder())?;
        let backlog = CreateFeatures::new(planned.clone());
        store.call(backlog).map_err(DemoError::storage)?;
        Ok(Self { folder: layout.folder().to_owned(), store, planned, seed })
    }
}

fn temporary_folder() -> Result<PathBuf, DemoError> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |source| DemoError::System { action: "making a temporary folder", source };
    let mut attempts = 0;
    loop {
        let name = format!("autoforge-demo-{:08x}", fastrand::u32(..));
        let folder = std::env::temp_dir().join(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < 100 => {
                attempts += 1;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Lets the workers work, and looks at what came of it.
fn play(stage: &Stage, workers: u32) -> Result<Verdict, DemoError> {
    let failed = |action| move |source| DemoError::System { action, source };
    let messages = stage.folder.join("demo");
    std::fs::create_dir_all(&messages).map_err(failed("making a folder for messages"))?;
    let runtime = runtime().map_err(failed("starting"))?;
    let features = stage.planned.len();
    runtime.block_on(async {
        let mut crew = Crew::new(&stage.folder, &messages, stage.seed);
        let mut view = View::new(features);
        let mut director = Director { crew: &mut crew, view: &mut view, features };
        let course = director.run(workers).await;
        view.finish();
        let course = match course {
            Ok(course) => course,
            Err(error) => {
                crew.end().await;
                return Err(error);
            }
        };
        keep_events(&crew, &messages)?;
        Verdict::reach(&stage.store, &mut crew, &course, features).await
    })
}

/// What all workers told, for whoever wants to check the verdict.
fn keep_events(crew: &Crew, folder: &Path) -> Result<(), DemoError> {
    let mut events: Vec<_> = crew
        .workers
        .iter()
        .flat_map(|worker| worker.told.events.iter().map(move |event| (worker.told.number, event)))
        .collect();
    events.sort_by_key(|(_, event)| event.at);
    let mut text = String::new();
    for (number, event) in events {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "worker {number}: {}", event.to_line());
    }
    #[expect(clippy::disallowed_methods, reason = "a text file in a folder of its own")]
    std::fs::write(folder.join("events.log"), text)
        .map_err(|source| DemoError::System { action: "writing the events", source })
}

fn data(stage: &Stage, verdict: &Verdict, workers: u32) -> Value {
    let mut data = json!({
        "project": stage.folder.display().to_string(),
        "features": stage.planned.len(),
        "depth": backlog::depth(&stage.planned),
        "workers": workers,
        "seed": stage.seed,
    });
    if let (Some(data), Value::Object(verdict)) = (data.as_object_mut(), verdict.to_json()) {
        data.extend(verdict);
    }
    data
}

fn page(stage: &Stage, verdict: &Verdict, workers: u32) -> Page {
    let depth = backlog::depth(&stage.planned);
    let features = stage.planned.len();
    let what = format!(
        "{features} features, up to {depth} deep; {workers} workers at a time, each with an MCP \
         server process of its own; seed {}",
        stage.seed
    );
    let rows = verdict.checks.iter().map(|check| {
        let holds =
            if check.holds { Cell::new(Tone::Good, "ok") } else { Cell::new(Tone::Bad, "FAILED") };
        vec![holds, Cell::plain(check.name), Cell::plain(&check.found)]
    });
    let figures = format!(
        "{:.2} s, {} calls, {} calls/s, the slowest {:.1} ms; workers killed: {}",
        verdict.elapsed.as_secs_f64(),
        verdict.calls,
        verdict.calls_per_second(),
        verdict.slowest.as_secs_f64() * 1000.0,
        verdict.kills,
    );
    let end = if verdict.holds() {
        Cell::new(Tone::Good, "Everything held.")
    } else {
        Cell::new(Tone::Bad, "Not everything held.")
    };
    let folder = stage.folder.display();
    Page::default()
        .line([Cell::plain(what)])
        .gap()
        .table(&["", "check", "found"], rows.collect())
        .gap()
        .line([Cell::plain(figures)])
        .gap()
        .line([end])
        .line([Cell::plain(format_args!("Look at the result: autoforge-store list -C {folder}"))])
        .line([Cell::plain(format_args!("What each worker did: {folder}/demo/events.log"))])
}
