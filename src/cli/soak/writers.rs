//! Writers beside the agents, as AutoForge's own Python processes are.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::ledger::{Ledger, Pending, Who};
use crate::EventKind;
use crate::cli::run::Latencies;
use crate::orchestrator::companion_mark;

/// What a writer does.
const SCRIPT: &str = include_str!("writer.py");
const PYTHON: &str = "python3";
/// Tells which SQLite Python has.
const PROBE: &str = "import sqlite3; print(sqlite3.sqlite_version)";

/// The SQLite that Python has; why there is none otherwise.
pub(super) async fn python() -> Result<String, String> {
    let probe = Command::new(PYTHON).args(["-c", PROBE]).stdin(Stdio::null()).output().await;
    match probe {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(_) => Err(format!("{PYTHON} has no sqlite3")),
        Err(error) => Err(format!("{PYTHON} does not start: {error}")),
    }
}

/// What comes from a writer.
#[derive(Debug)]
pub(super) enum Heard {
    /// A line on its stdout.
    Said(usize, String),
    /// It has ended: well, badly, or by a signal.
    Ended(usize, Ended),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    Killed,
    Badly(String),
}

/// A writer's place: when the writer is killed, another one takes it.
#[derive(Debug, Default)]
struct Place {
    lives: usize,
    /// While it runs: its process, and the input whose end ends it.
    running: Option<(u32, Option<ChildStdin>)>,
    /// It has acknowledged something.
    has_written: bool,
    pending: Option<Pending>,
    /// The feature that it has claimed.
    holds: Option<i64>,
}

/// All writers.
#[derive(Debug)]
pub(super) struct Writers {
    database: PathBuf,
    seed: u64,
    places: Vec<Place>,
    sender: mpsc::UnboundedSender<Heard>,
    receiver: mpsc::UnboundedReceiver<Heard>,
    pub(super) started: usize,
    pub(super) killed: usize,
    /// How long their changes took, with their waiting for the lock.
    pub(super) took: Latencies,
    pub(super) failures: Vec<String>,
}

impl Writers {
    pub(super) fn new(count: usize, database: &Path, seed: u64) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            database: database.to_owned(),
            seed,
            places: (0..count).map(|_| Place::default()).collect(),
            sender,
            receiver,
            started: 0,
            killed: 0,
            took: Latencies::default(),
            failures: Vec::new(),
        }
    }

    pub(super) async fn next(&mut self) -> Heard {
        match self.receiver.recv().await {
            Some(heard) => heard,
            // It cannot end, since one of its senders is ours.
            None => std::future::pending().await,
        }
    }

    /// Starts a writer in each place.
    pub(super) fn start_all(&mut self) {
        for at in 0..self.places.len() {
            self.start(at);
        }
    }

    /// Starts a writer in a place that has none.
    pub(super) fn start(&mut self, at: usize) {
        let slots = self.places.len();
        let Some(place) = self.places.get_mut(at) else { return };
        place.lives += 1;
        let number = u32::try_from(self.started).unwrap_or(u32::MAX);
        let mut command = Command::new(PYTHON);
        command
            .args(["-c", SCRIPT])
            .arg(&self.database)
            .args([at, slots, place.lives].map(|number| number.to_string()))
            .arg(self.seed.wrapping_add(u64::from(number)).to_string())
            .envs(companion_mark(&self.database, number))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // What a terminal sends to this program is not for them.
            .process_group(0);
        match command.spawn() {
            Ok(mut child) => {
                self.started += 1;
                place.running = Some((child.id().unwrap_or(0), child.stdin.take()));
                tokio::spawn(attend(at, child, self.sender.clone()));
            }
            Err(error) => self.failures.push(format!("a writer does not start: {error}")),
        }
    }

    /// Takes note of what a writer has said.
    pub(super) fn said(&mut self, at: usize, line: &str, ledger: &mut Ledger) {
        let Some(place) = self.places.get_mut(at) else { return };
        let Ok(told) = serde_json::from_str::<Value>(line) else {
            self.failures.push(format!("a writer said {line:?}"));
            return;
        };
        let text = |key: &str| told.get(key).and_then(Value::as_str);
        let number = |key: &str| told.get(key).and_then(Value::as_i64);
        if let Some(message) = text("failed") {
            self.failures.push(format!("a writer: {message}"));
        }
        let kind = |key: &str| text(key).and_then(EventKind::from_name);
        if let Some(kind) = kind("does") {
            let creation = text("name").map(|name| Pending::Creation(name.to_owned()));
            place.pending =
                creation.or_else(|| number("id").map(|feature| Pending::Change(feature, kind)));
        }
        let (Some(kind), Some(feature)) = (kind("did"), number("id")) else { return };
        place.pending = None;
        if let Some(us) = told.get("us").and_then(Value::as_u64) {
            self.took.add(Duration::from_micros(us));
        }
        // A statement that found nothing to change is no deed.
        if number("rows").is_some_and(|rows| rows > 0) {
            place.has_written = true;
            ledger.acknowledge(Who::Writer, feature, kind);
            match kind {
                EventKind::Claimed => place.holds = Some(feature),
                EventKind::Created => {}
                _ => place.holds = None,
            }
        }
    }

    /// Takes note of a writer's end; gives the feature that it may have left in progress.
    pub(super) fn ended(&mut self, at: usize, how: Ended, ledger: &mut Ledger) -> Option<i64> {
        let place = self.places.get_mut(at)?;
        place.running = None;
        match how {
            Ended::Well => {}
            Ended::Killed => self.killed += 1,
            Ended::Badly(why) => self.failures.push(format!("a writer ended badly: {why}")),
        }
        let pending = place.pending.take();
        let begun = match &pending {
            Some(Pending::Change(feature, _)) => Some(*feature),
            _ => None,
        };
        if let Some(pending) = pending {
            ledger.lost_sight(pending);
        }
        place.holds.take().or(begun)
    }

    /// The processes of those that run.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.places.iter().filter_map(|place| Some(place.running.as_ref()?.0)).collect()
    }

    /// The process of the writer in a place, while it runs.
    pub(super) fn process_of(&self, at: usize) -> Option<u32> {
        Some(self.places.get(at)?.running.as_ref()?.0)
    }

    /// Whether there has been a writer in each place that has changed something.
    pub(super) fn all_have_written(&self) -> bool {
        self.places.iter().all(|place| place.has_written)
    }

    pub(super) fn all_have_ended(&self) -> bool {
        self.places.iter().all(|place| place.running.is_none())
    }

    /// Asks all of them to end: they give back what they hold.
    pub(super) fn end(&mut self) {
        for (_, input) in self.places.iter_mut().filter_map(|place| place.running.as_mut()) {
            drop(input.take());
        }
    }
}

/// Stays with a writer until it has ended, and tells what it says.
async fn attend(at: usize, mut child: Child, heard: mpsc::UnboundedSender<Heard>) {
    let complaints = child.stderr.take().map(|stderr| tokio::spawn(last_line(stderr)));
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // Nobody listens any more where this fails, here and below.
            let _ = heard.send(Heard::Said(at, line));
        }
    }
    let complaint = match complaints {
        Some(complaints) => complaints.await.unwrap_or_default(),
        None => String::new(),
    };
    let ended = match child.wait().await {
        Ok(status) if status.success() => Ended::Well,
        // Whoever has no exit code was ended by a signal.
        Ok(status) if status.code().is_none() => Ended::Killed,
        Ok(_) => Ended::Badly(complaint),
        Err(error) => Ended::Badly(error.to_string()),
    };
    let _ = heard.send(Heard::Ended(at, ended));
}

/// Python says last what is wrong.
async fn last_line(output: impl AsyncRead + Unpin) -> String {
    let mut lines = BufReader::new(output).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        last = line;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::soak::ledger::Deed;

    #[test]
    fn what_a_writer_says_is_noted_and_what_it_held_when_it_was_killed_is_told() {
        let mut ledger = Ledger::default();
        let mut writers = Writers::new(2, Path::new("/x"), 1);
        let mut say = |writers: &mut Writers, line| writers.said(1, line, &mut ledger);
        say(&mut writers, r#"{"does":"claimed","id":7}"#);
        say(&mut writers, r#"{"did":"claimed","rows":0,"us":5,"id":7}"#);
        say(&mut writers, r#"{"does":"claimed","id":9}"#);
        say(&mut writers, r#"{"did":"claimed","rows":1,"us":5,"id":9}"#);
        say(&mut writers, r#"{"does":"passed","id":9}"#);
        assert_eq!(writers.ended(1, Ended::Killed, &mut ledger), Some(9));
        writers.said(1, r#"{"does":"claimed","id":11}"#, &mut ledger);
        assert_eq!(writers.ended(1, Ended::Killed, &mut ledger), Some(11));
        writers.said(1, r#"{"does":"created","name":"n"}"#, &mut ledger);
        assert_eq!(writers.ended(1, Ended::Killed, &mut ledger), None);
        let deed = Deed { feature: 9, kind: EventKind::Claimed, who: Who::Writer };
        assert_eq!(ledger.acknowledged.into_iter().collect::<Vec<_>>(), [(deed, 1)]);
        let unheard: Vec<_> = ledger.unheard.into_keys().collect();
        assert_eq!(unheard, [(9, EventKind::Passed), (11, EventKind::Claimed)]);
        assert!(ledger.unheard_names.contains("n"));
        assert_eq!((writers.killed, writers.took.count(), writers.failures.len()), (3, 2, 0));
    }

    #[test]
    fn what_goes_wrong_with_a_writer_is_a_failure() {
        let (mut ledger, mut writers) = (Ledger::default(), Writers::new(1, Path::new("/x"), 1));
        writers.said(0, r#"{"failed":"database is locked"}"#, &mut ledger);
        writers.said(0, "no JSON", &mut ledger);
        let badly = Ended::Badly("NameError".to_owned());
        assert_eq!(writers.ended(0, badly, &mut ledger), None);
        let expected = ["a writer: database is locked", "a writer said \"no JSON\""];
        assert_eq!(writers.failures[..2], expected);
        assert_eq!(writers.failures[2], "a writer ended badly: NameError");
    }
}
