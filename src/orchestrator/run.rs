//! The loop: looks, has decided, does, waits.

mod hands;
mod runner;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::happening::Happening;
use super::plan::Finish;
use super::settings::{InvalidSettings, Settings};
use super::stop::Stop;
use crate::{FeatureId, OpenError, OpenOptions, StorageError, Store};

use runner::Runner;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Why there was nothing more to do; `None` where the run was stopped.
    pub finish: Option<Finish>,
    /// How many agents were started.
    pub agents: u32,
    /// How many features passed in agents' hands.
    pub passed: usize,
    /// How many attempts failed.
    pub failed: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// Processes that could not be killed.
    pub left: Vec<u32>,
    /// Claims that could not be ended, and why. They are over all the same, since this process no
    /// longer renews them.
    pub unsettled: BTreeMap<FeatureId, String>,
}

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A setting makes no sense.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The project cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage has failed for good.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The system refused something.
    #[error("{action} failed: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The agents' program does not start.
    #[error("no agent can be started: {why}; check the command line: {command}")]
    NoAgent {
        /// What the system said at last.
        why: String,
        /// The command line.
        command: String,
    },
}

impl RunError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "usage",
            Self::Open(error) => error.code(),
            Self::Storage(fault) => fault.code(),
            Self::System { .. } => "system",
            Self::NoAgent { .. } => "no_agent",
        }
    }

    pub(super) fn system(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

/// Drives the project's backlog to its end: until every feature passes, nothing more can be done, or
/// somebody says [`Stop`]. Blocks the calling thread meanwhile, and tells `observe` on it what happens.
///
/// Opens the project, and closes it at the end, however that comes: agents and all of their processes
/// have ended, their claims are settled, the log is copied back.
///
/// Several orchestrators may work on one project: each starts agents for what the others leave.
///
/// # Errors
/// [`RunError`] where the run cannot begin or go on. What was begun has been ended then, too.
pub fn run(
    project: &Path,
    options: &OpenOptions,
    settings: &Settings,
    stop: &Stop,
    observe: &mut dyn FnMut(&Happening),
) -> Result<Outcome, RunError> {
    settings.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::system("starting"))?;
    let store = Store::open_project_with(project, options)?;
    let outcome = runtime.block_on(async {
        stop.listen().map_err(RunError::system("listening for signals"))?;
        let mut runner = Runner::new(project, options, settings, stop, observe, store)?;
        let ended = runner.drive().await;
        let outcome = runner.wind_up().await;
        ended.map(|finish| Outcome { finish, ..outcome })
    });
    // A thread that waits for commits wakes within a second, and holds nothing that matters.
    runtime.shutdown_background();
    outcome
}
