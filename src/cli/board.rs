//! The picture of a project at work that stays at the bottom of a terminal: a bar with counts, what
//! waits for a human, and a line for each agent. What happens goes by above it.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::render::one_line;
use crate::{FeatureId, Snapshot};

/// How often the times on it go on.
const TICK: Duration = Duration::from_millis(250);
/// So many features that wait are named; the bar counts them all.
const NAMED: usize = 8;

/// The picture. It is drawn on stderr, and taken off the screen when it is dropped.
#[derive(Debug)]
pub(crate) struct Board {
    screen: MultiProgress,
    bar: ProgressBar,
    /// The line for humans, while there is something on it.
    waiting: Option<ProgressBar>,
    /// By a key of their own: two runs may have agents of one name.
    agents: BTreeMap<String, Agent>,
}

#[derive(Debug)]
struct Agent {
    line: ProgressBar,
    /// What it is at, and what comes after it.
    features: Vec<(FeatureId, String)>,
    words: String,
}

impl Board {
    pub(crate) fn new() -> Self {
        let screen = MultiProgress::new();
        let bar = screen.add(ProgressBar::new(0));
        bar.set_style(style("  [{bar:40}] {pos}/{len} pass, {elapsed}  {wide_msg}"));
        bar.enable_steady_tick(TICK);
        Self { screen, bar, waiting: None, agents: BTreeMap::new() }
    }

    /// Where the project stands.
    pub(crate) fn stands(&mut self, snapshot: &Snapshot) {
        self.bar.set_length(snapshot.total as u64);
        self.bar.set_position(snapshot.passing as u64);
        self.bar.set_message(counts(snapshot));
        match (waits(&snapshot.waiting_for_human), &self.waiting) {
            (Some(text), Some(line)) => line.set_message(text),
            (Some(text), None) => {
                let line = self.screen.insert_after(&self.bar, ProgressBar::new_spinner());
                line.set_style(style("  {wide_msg}"));
                line.set_message(text);
                self.waiting = Some(line);
            }
            (None, _) => {
                if let Some(line) = self.waiting.take() {
                    self.remove(&line);
                }
            }
        }
    }

    /// An agent has worked for so long, and has these features before it.
    pub(crate) fn works(
        &mut self,
        key: &str,
        name: &str,
        since: Duration,
        features: Vec<(FeatureId, String)>,
    ) {
        if let Some(agent) = self.agents.get_mut(key) {
            agent.features = features;
            agent.draw();
            return;
        }
        let line = self.screen.add(ProgressBar::new_spinner().with_elapsed(since));
        line.set_style(style("  {spinner} {prefix:<14} {elapsed:>4}  {wide_msg}"));
        line.set_prefix(one_line(name));
        line.enable_steady_tick(TICK);
        let agent = Agent { line, features, words: String::new() };
        agent.draw();
        self.agents.insert(key.to_owned(), agent);
    }

    /// Nobody is at this feature any more.
    pub(crate) fn settled(&mut self, feature: FeatureId) {
        for agent in self.agents.values_mut() {
            // The last one stays, so that the line does not go blank before its agent does.
            if agent.features.len() > 1 && agent.features.iter().any(|(id, _)| *id == feature) {
                agent.features.retain(|(id, _)| *id != feature);
                agent.draw();
            }
        }
    }

    /// The last thing that an agent has said.
    pub(crate) fn said(&mut self, key: &str, words: &str) {
        if let Some(agent) = self.agents.get_mut(key) {
            words.clone_into(&mut agent.words);
            agent.draw();
        }
    }

    /// An agent is gone.
    pub(crate) fn gone(&mut self, key: &str) {
        if let Some(agent) = self.agents.remove(key) {
            self.remove(&agent.line);
        }
    }

    /// Prints a line above the picture.
    pub(crate) fn print(&self, line: &str) {
        // A terminal that cannot be written to shows no picture either.
        drop(self.screen.println(line));
    }

    /// Takes the picture away while something is printed by other means.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.screen.suspend(print)
    }

    fn remove(&self, line: &ProgressBar) {
        line.finish_and_clear();
        self.screen.remove(line);
    }
}

impl Agent {
    fn draw(&self) {
        let tasks = tasks(&self.features);
        let text = if self.words.is_empty() { tasks } else { format!("{tasks} | {}", self.words) };
        self.line.set_message(one_line(&text));
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let agents = self.agents.values().map(|agent| &agent.line);
        for line in agents.chain(&self.waiting).chain([&self.bar]) {
            line.finish_and_clear();
        }
        // What cannot be cleared stays on the screen, which harms nobody.
        drop(self.screen.clear());
    }
}

/// What an agent has to do, in a few words.
pub(crate) fn tasks(features: &[(FeatureId, String)]) -> String {
    match features {
        [] => "makes the backlog".to_owned(),
        [(id, name)] => format!("#{id} {name}"),
        [(id, name), rest @ ..] => format!("#{id} {name}, and {} more", rest.len()),
    }
}

/// What is not in the bar, where there is any.
fn counts(snapshot: &Snapshot) -> String {
    let counts = [
        (snapshot.in_progress, "in progress"),
        (snapshot.ready.len(), "ready"),
        (snapshot.blocked, "blocked"),
        (snapshot.waiting_for_human.len(), "waiting for a human"),
        (snapshot.exhausted, "out of attempts"),
    ];
    let shown = counts.iter().filter(|(count, _)| *count > 0);
    shown.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

fn waits(features: &[FeatureId]) -> Option<String> {
    let (first, ..) = features.split_first()?;
    let named = features.iter().take(NAMED).map(|id| format!("#{id}")).collect::<Vec<_>>();
    let more = if features.len() > NAMED { ", …" } else { "" };
    let named = named.join(", ");
    Some(format!("? waiting for you: {named}{more} (autoforge-store answer {first})"))
}

/// How often a terminal is drawn at most is left to indicatif.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is_is_counted() {
        let nothing = Snapshot::default();
        assert_eq!(counts(&nothing), "");
        let ready = vec![1.into(), 2.into()];
        let some = Snapshot { ready, blocked: 3, ..nothing };
        assert_eq!(counts(&some), "2 ready, 3 blocked");
    }

    #[test]
    fn who_waits_for_a_human_is_named_with_what_to_do() {
        let ids = |count: i64| (1..=count).map(FeatureId::from).collect::<Vec<_>>();
        assert_eq!(waits(&[]), None);
        let two = "? waiting for you: #1, #2 (autoforge-store answer 1)";
        assert_eq!(waits(&ids(2)).unwrap(), two);
        assert!(waits(&ids(9)).unwrap().contains("#8, … ("));
    }
}
