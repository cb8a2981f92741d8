//! The orchestrator with real processes: whatever agents do, and whatever happens to it, no process
//! is left, no claim is wrongly held, and nothing that was acknowledged is lost.
#![cfg(test)]

mod agents;
mod endings;
mod others;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use autoforge_store::{
    AttemptOutcome, CreateFeatures, GetAttempts, GetClaims, ListFeatures, NewFeature, Policy,
    SetPolicy,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Project, processes_of};

/// A project with a feature for each behaviour, in this order.
pub(crate) fn project(behaviours: &[&str]) -> Project {
    let project = Project::new();
    let store = project.open();
    let feature = |(number, behaviour): (usize, &&str)| {
        let steps = [format!("simulate: {behaviour}")];
        NewFeature::new("Test", format!("Feature {}", number + 1), "As told.", steps)
            .unwrap()
            .into()
    };
    store.call(CreateFeatures::new(behaviours.iter().enumerate().map(feature).collect())).unwrap();
    store.close();
    project
}

/// As [`project`], where the first failure of a feature is its last.
pub(crate) fn impatient(behaviours: &[&str]) -> Project {
    let project = project(behaviours);
    let store = project.open();
    store.call(SetPolicy(Policy { attempts: Some(1), ..Policy::default() })).unwrap();
    store.close();
    project
}

/// A run whose lines are read as they come.
pub(crate) struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// What was read so far.
    pub(crate) seen: Vec<Value>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) seen: Vec<Value>,
}

impl Run {
    /// With agents that do what the features say.
    pub(crate) fn start(project: &Project, options: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_autoforge-store")), project, options)
    }

    /// As [`Run::start`], by a program that starts ours.
    pub(crate) fn start_by(mut program: Command, project: &Project, options: &[&str]) -> Self {
        let mut child = program
            .arg("-C")
            .arg(project.folder())
            .args(["--json", "run", "--agent", "simulated"])
            .args(options)
            .args(["--batch", "1"].iter().filter(|_| !options.contains(&"--batch")))
            .args(["--testing", "0"].iter().filter(|_| !options.contains(&"--testing")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads until a line is as wanted; panics where the run ends before.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.next().unwrap_or_else(|| panic!("it ended: {:#?}", self.seen));
            if wanted(&line) {
                return line;
            }
        }
    }

    fn next(&mut self) -> Option<Value> {
        let line: Value = serde_json::from_str(&self.lines.next()?.unwrap()).unwrap();
        self.seen.push(line.clone());
        Some(line)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Reads to the end.
    pub(crate) fn end(mut self) -> Ended {
        while self.next().is_some() {}
        Ended { code: self.child.wait().unwrap().code(), seen: self.seen }
    }
}

impl Ended {
    /// All happenings of this kind.
    pub(crate) fn all(&self, what: &str) -> Vec<&Value> {
        self.seen.iter().filter(|line| line["what"] == what).collect()
    }

    /// The last words.
    pub(crate) fn last(&self) -> &Value {
        &self.seen.last().unwrap()["data"]
    }

    /// How each agent ended, and what became of its features.
    pub(crate) fn ends(&self) -> Vec<(String, Vec<String>)> {
        let settled = |one: &Value| one["settled"].as_str().unwrap().to_owned();
        let end = |line: &&Value| {
            let features = line["features"].as_array().unwrap().iter().map(settled).collect();
            (line["exit"].as_str().unwrap().to_owned(), features)
        };
        self.all("ended").iter().map(end).collect()
    }
}

/// Whether somebody works, by what an agent says.
pub(crate) fn works(line: &Value) -> bool {
    line["what"] == "said" && line["line"].as_str().unwrap().contains("works_on")
}

/// What must hold after every run: nobody is left, nothing is held, and each pass that was
/// acknowledged is in the file, once.
pub(crate) fn assert_tidy(project: &Project, ended: &Ended) {
    assert_eq!(processes_of(project.folder()), Vec::<String>::new());
    let log = project.log();
    assert!(!log.exists(), "the log is copied back at the end");
    let store = project.open();
    assert_eq!(store.call(GetClaims).unwrap().len(), 0, "{ended:#?}");
    let features = store.call(ListFeatures).unwrap();
    assert!(features.iter().all(|feature| !feature.in_progress), "{features:#?}");
    for line in ended.all("said") {
        let told: Value = serde_json::from_str(line["line"].as_str().unwrap()).unwrap_or_default();
        if let Some(id) = told["passed"].as_i64() {
            let stored = features.iter().find(|feature| feature.id.get() == id).unwrap();
            assert!(stored.passes, "feature {id} was acknowledged");
        }
    }
}

/// How the attempts at all features ended, oldest first, with the reasons.
pub(crate) fn attempts(project: &Project) -> Vec<(i64, AttemptOutcome, String)> {
    let store = project.open();
    let mut attempts = store.call(GetAttempts { feature: None, limit: 1_000 }).unwrap();
    attempts.sort_by_key(|attempt| attempt.token);
    let one = |attempt: autoforge_store::ClaimRecord| {
        let end = attempt.end.unwrap();
        (attempt.feature.get(), end.outcome, end.reason.unwrap_or_default())
    };
    attempts.into_iter().map(one).collect()
}
