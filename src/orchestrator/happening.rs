//! What happens in a run, for whoever watches it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::Finish;
use crate::{Event, FeatureId, ProgressReport, Snapshot};

/// What an agent is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It builds features.
    Coding,
    /// It tests features that pass.
    Testing,
    /// It makes the features of a project that has none.
    Initializing,
}

impl Kind {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coding => "coding",
            Self::Testing => "testing",
            Self::Initializing => "initializing",
        }
    }
}

/// An agent of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId {
    /// What it is for.
    pub kind: Kind,
    /// Its number among all agents of the run, from 1.
    pub number: u32,
}

/// As the agent is called in the history: `coder-3`.
impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Coding => "coder",
            Kind::Testing => "tester",
            Kind::Initializing => "initializer",
        };
        f.pad(&format!("{kind}-{}", self.number))
    }
}

/// How an agent's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentExit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It said nothing for too long, and was ended.
    Silent(Duration),
    /// It took too long, and was ended.
    TooLong(Duration),
    /// The run was stopped, and it with it.
    Stopped,
    /// It could not be started.
    NotStarted(String),
}

impl fmt::Display for AgentExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "it ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "it was ended by signal {signal}"),
            Self::Silent(limit) => {
                write!(f, "it said nothing for {} s and was ended", limit.as_secs_f64())
            }
            Self::TooLong(limit) => {
                write!(f, "it took longer than {} s and was ended", limit.as_secs_f64())
            }
            Self::Stopped => f.write_str("the run was stopped"),
            Self::NotStarted(why) => write!(f, "it could not be started: {why}"),
        }
    }
}

/// What became of a feature that an agent had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It passes.
    Passed,
    /// The attempt has failed.
    Failed,
    /// The claim was given back.
    Released,
    /// The claim had ended before the agent did: the agent has skipped the feature, asked a human, or
    /// somebody else has ended it.
    Otherwise,
}

impl Settled {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Otherwise => "otherwise",
        }
    }
}

/// Something that has happened in a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// Where the project stands, at the beginning and whenever that has changed.
    Stands(Snapshot),
    /// Claims of others were over and have been ended.
    Recovered(Vec<FeatureId>),
    /// So many trees of processes, which dead orchestrators had left behind, were ended.
    Swept(usize),
    /// An agent was started.
    Began {
        /// Which one.
        agent: AgentId,
        /// What it has to do.
        features: Vec<(FeatureId, String)>,
        /// Its process.
        pid: u32,
        /// Where its output is kept.
        log: PathBuf,
    },
    /// An agent has said something, on stdout or stderr.
    Said {
        /// Which one.
        agent: AgentId,
        /// A line without its end; what is no UTF-8 in it is replaced.
        line: String,
    },
    /// An agent has ended, with all of its processes.
    Ended {
        /// Which one.
        agent: AgentId,
        /// How.
        exit: AgentExit,
        /// What became of its features.
        features: Vec<(FeatureId, Settled)>,
        /// Processes that had to be killed.
        killed: usize,
        /// Processes that could not be killed.
        left: Vec<u32>,
    },
    /// Somebody has changed a feature.
    Changed(Event),
    /// More features pass than were reported before by any program. Nobody else gets this report; see
    /// [`Settings::report_progress`](super::Settings::report_progress).
    Progressed(ProgressReport),
    /// Nothing is started any more, since somebody has asked for a pause.
    Draining,
    /// Nothing runs any more; the run waits until it may go on.
    Paused,
    /// It goes on.
    Resumed,
    /// Something does not work and is tried again.
    Trouble(String),
    /// The run ends before its time: agents are asked to end, or are killed where somebody is in a
    /// hurry.
    Stopping {
        /// Nobody is asked.
        hurry: bool,
    },
    /// There is nothing more to do.
    Finished(Finish),
}

impl Happening {
    /// As a line of JSON for programs: `what`, and what belongs to it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Stands(snapshot) => json!({
                "what": "stands",
                "total": snapshot.total,
                "passing": snapshot.passing,
                "ready": snapshot.ready.len(),
                "in_progress": snapshot.in_progress,
                "waiting_for_human": numbers(&snapshot.waiting_for_human),
                "blocked": snapshot.blocked,
                "out_of_attempts": snapshot.exhausted,
            }),
            Self::Recovered(features) => {
                json!({"what": "recovered", "feature_ids": numbers(features)})
            }
            Self::Swept(trees) => json!({"what": "swept", "trees": trees}),
            Self::Began { agent, features, pid, log } => {
                let feature =
                    |(id, name): &(FeatureId, String)| json!({"id": id.get(), "name": name});
                json!({
                    "what": "began",
                    "agent": agent.to_string(),
                    "kind": agent.kind.as_str(),
                    "features": features.iter().map(feature).collect::<Value>(),
                    "pid": pid,
                    "log": log.display().to_string(),
                })
            }
            Self::Said { agent, line } => {
                json!({"what": "said", "agent": agent.to_string(), "line": line})
            }
            Self::Ended { agent, exit, features, killed, left } => {
                let feature = |(id, settled): &(FeatureId, Settled)| json!({"id": id.get(), "settled": settled.as_str()});
                json!({
                    "what": "ended",
                    "agent": agent.to_string(),
                    "kind": agent.kind.as_str(),
                    "exit": exit.to_string(),
                    "features": features.iter().map(feature).collect::<Value>(),
                    "killed": killed,
                    "left": left,
                })
            }
            Self::Changed(event) => json!({"what": "changed", "event": event.to_json()}),
            Self::Progressed(report) => json!({
                "what": "progressed",
                "passing": report.passing,
                "total": report.total,
                "previous_passing": report.previous_passing,
                "completed": report.completed,
            }),
            Self::Draining => json!({"what": "draining"}),
            Self::Paused => json!({"what": "paused"}),
            Self::Resumed => json!({"what": "resumed"}),
            Self::Trouble(text) => json!({"what": "trouble", "message": text}),
            Self::Stopping { hurry } => json!({"what": "stopping", "hurry": hurry}),
            Self::Finished(finish) => json!({"what": "finished", "why": finish.as_str()}),
        }
    }
}

fn numbers(ids: &[FeatureId]) -> Value {
    ids.iter().map(|id| Value::from(id.get())).collect()
}
