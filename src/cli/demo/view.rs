//! What is seen while the demonstration runs: a bar and a line for each worker on a terminal,
//! otherwise a line now and then. All of it on stderr, so that stdout holds the verdict alone.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::event::{Event, What};

/// Where nothing is drawn, one line is written for each of so many parts of the backlog.
const PARTS: usize = 10;

#[derive(Debug)]
pub(super) struct View {
    features: usize,
    passed: usize,
    /// The workers that show a claim, for the count of the bar.
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    screen: MultiProgress,
    bar: ProgressBar,
    workers: BTreeMap<u32, ProgressBar>,
}

impl View {
    pub(super) fn new(features: usize) -> Self {
        let live = std::io::stderr().is_terminal().then(|| {
            let screen = MultiProgress::new();
            let bar = screen.add(ProgressBar::new(features as u64));
            bar.set_style(style("  [{bar:40}] {pos}/{len} features pass, {elapsed}"));
            Live { screen, bar, workers: BTreeMap::new() }
        });
        Self { features, passed: 0, live }
    }

    pub(super) fn started(&mut self, number: u32) {
        if let Some(live) = &mut self.live {
            let line = live.screen.add(ProgressBar::new_spinner());
            line.set_style(style("  {spinner} {prefix:>9}  {wide_msg}"));
            line.set_prefix(format!("worker {number}"));
            line.set_message("starts its server");
            live.workers.insert(number, line);
        }
    }

    pub(super) fn event(&mut self, number: u32, event: &Event) {
        if let What::Passed { .. } = event.what {
            self.passed += 1;
            self.count();
        }
        let text = match &event.what {
            What::Claimed { id, name } => format!("works on feature {id}: {name}"),
            What::Passed { id } => format!("feature {id} passes"),
            What::GaveUp { id } => format!("gave feature {id} back"),
            What::Waits => "waits for features that others work on".to_owned(),
            What::Ready { server } => format!("talks to its server, process {server}"),
            What::Refused { message } | What::Failed { message } => message.clone(),
            What::Asks | What::GivesUp { .. } | What::Passes { .. } | What::Done => return,
        };
        self.line(number, text);
    }

    /// A worker was killed, another one takes its place.
    pub(super) fn killed(&mut self, number: u32, feature: i64, next: u32) {
        self.close(number, format!("killed while it worked on feature {feature}"));
        self.note(&format!(
            "worker {number} and its server were killed while it worked on feature {feature}; \
             worker {next} takes its place"
        ));
        self.started(next);
    }

    /// What a killed worker held has another one now.
    pub(super) fn taken_over(&self, feature: i64, number: u32, after_us: u64) {
        let milliseconds = after_us / 1_000;
        self.note(&format!(
            "worker {number} has feature {feature} now, {milliseconds} ms after the kill: its claim \
             ended with the process that held it"
        ));
    }

    pub(super) fn done(&mut self, number: u32) {
        self.close(number, "done".to_owned());
    }

    pub(super) fn tick(&self) {
        for line in self.live.iter().flat_map(|live| live.workers.values()) {
            if !line.is_finished() {
                line.tick();
            }
        }
    }

    /// Takes everything off the screen.
    pub(super) fn finish(&mut self) {
        if let Some(live) = self.live.take() {
            live.bar.finish_and_clear();
            for line in live.workers.values() {
                line.finish_and_clear();
            }
            // What cannot be cleared stays on the screen, which harms nobody.
            drop(live.screen.clear());
        }
    }

    fn count(&self) {
        if let Some(live) = &self.live {
            live.bar.set_position(self.passed as u64);
            return;
        }
        let part = |passed: usize| passed * PARTS / self.features.max(1);
        if part(self.passed) > part(self.passed.saturating_sub(1)) {
            self.note(&format!("{} of {} features pass", self.passed, self.features));
        }
    }

    fn line(&self, number: u32, text: String) {
        if let Some(line) = self.live.as_ref().and_then(|live| live.workers.get(&number)) {
            line.set_message(text);
        }
    }

    fn close(&self, number: u32, text: String) {
        if let Some(line) = self.live.as_ref().and_then(|live| live.workers.get(&number)) {
            line.finish_with_message(text);
        }
    }

    fn note(&self, text: &str) {
        if let Some(live) = &self.live {
            // Beside the bar such a line is worth nothing where it cannot be written.
            drop(live.screen.println(text));
            return;
        }
        drop(writeln!(anstream::stderr(), "{text}"));
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.finish();
    }
}

/// How often a terminal is drawn at most is left to indicatif.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
