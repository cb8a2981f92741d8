//! What simulated agents have told of their work, for whoever checks the file afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::orchestrator::{AgentExit, AgentId, Happening};

/// All that was heard in a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How often agents were told that a feature passes now.
    pub(crate) passed: BTreeMap<i64, usize>,
    /// Features whose pass was announced, so that it may have happened unheard.
    pub(crate) announced: BTreeSet<i64>,
    /// Calls that were refused.
    pub(crate) refused: Vec<String>,
    /// Calls that were answered, and the slowest of them.
    pub(crate) calls: usize,
    pub(crate) slowest: Duration,
    /// How agents ended, where it was not with exit code 0.
    pub(crate) bad_ends: BTreeMap<AgentId, String>,
    /// Processes that had to be killed at an agent's end.
    pub(crate) killed: usize,
}

impl Report {
    pub(crate) fn hear(&mut self, happening: &Happening) {
        match happening {
            Happening::Said { line, .. } => {
                if let Ok(told) = serde_json::from_str::<Value>(line) {
                    self.told(&told);
                }
            }
            Happening::Ended { agent, exit, killed, .. } => {
                self.killed += killed;
                if *exit != AgentExit::Code(0) {
                    self.bad_ends.insert(*agent, exit.to_string());
                }
            }
            _ => {}
        }
    }

    fn told(&mut self, told: &Value) {
        let number = |key: &str| told.get(key).and_then(Value::as_i64);
        if let Some(id) = number("passes") {
            self.announced.insert(id);
        }
        if let Some(id) = number("passed") {
            *self.passed.entry(id).or_default() += 1;
        }
        if let Some(us) = told.get("us").and_then(Value::as_u64) {
            self.calls += 1;
            self.slowest = self.slowest.max(Duration::from_micros(us));
        }
        if let (Some(id), Some(message)) = (number("refused"), told.get("message")) {
            self.refused.push(format!("feature {id}: {message}"));
        }
    }
}
