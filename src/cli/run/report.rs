//! What simulated agents have told of their work, for whoever checks the file afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::orchestrator::{AgentExit, AgentId, Happening};

/// How long calls took, each to the microsecond.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_micros(self.0.iter().max().copied().unwrap_or(0).into())
    }

    /// The time within which so many of a hundred calls were answered; zero where there are none.
    pub(crate) fn within(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        let at = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        Duration::from_micros(self.0.get(at).copied().unwrap_or(0).into())
    }
}

/// All that was heard in a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How often agents were told that a feature passes now.
    pub(crate) passed: BTreeMap<i64, usize>,
    /// Features whose pass was announced, so that it may have happened unheard.
    pub(crate) announced: BTreeSet<i64>,
    /// Calls that were refused.
    pub(crate) refused: Vec<String>,
    /// How long the calls took that were answered.
    pub(crate) took: Latencies,
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
            self.took.add(Duration::from_micros(us));
        }
        if let (Some(id), Some(message)) = (number("refused"), told.get("message")) {
            self.refused.push(format!("feature {id}: {message}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_calls_so_many_are_within_the_time_that_is_told() {
        let mut took = Latencies::default();
        assert_eq!((took.within(99), took.slowest()), (Duration::ZERO, Duration::ZERO));
        for us in (1..=100).rev() {
            took.add(Duration::from_micros(us));
        }
        let within = |took: &mut Latencies, percent| took.within(percent).as_micros();
        assert_eq!(within(&mut took, 50), 50);
        assert_eq!(within(&mut took, 99), 99);
        assert_eq!((took.count(), took.slowest().as_micros()), (100, 100));
        took.add(Duration::from_secs(1 << 20));
        assert_eq!(took.slowest().as_micros(), u32::MAX.into(), "more than an hour is an hour");
    }
}
