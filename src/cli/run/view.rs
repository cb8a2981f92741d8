//! How a run looks: live on a terminal, else as lines, for people or for programs.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::render::one_line;
use crate::orchestrator::{AgentExit, AgentId, Finish, Happening, Kind, Settled};
use crate::{Event, EventKind, FeatureId, Snapshot};

/// In what form a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A bar and a line for each agent, on stderr.
    Live,
    /// A line for each thing that happens, on stderr; with what agents say, or without.
    Lines { said: bool },
    /// A line of JSON for each, on stdout.
    Json,
}

impl Form {
    pub(crate) fn of(json: bool, said: bool) -> Self {
        match (json, std::io::stderr().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Live,
            (false, false) => Self::Lines { said },
        }
    }
}

/// What is seen of a run.
#[derive(Debug)]
pub(crate) struct View {
    form: Form,
    live: Option<Live>,
    stands: Option<Snapshot>,
}

#[derive(Debug)]
struct Live {
    screen: MultiProgress,
    bar: ProgressBar,
    agents: BTreeMap<AgentId, ProgressBar>,
}

impl View {
    pub(crate) fn new(form: Form) -> Self {
        let live = (form == Form::Live).then(|| {
            let screen = MultiProgress::new();
            let bar = screen.add(ProgressBar::new(0));
            bar.set_style(style("  [{bar:40}] {pos}/{len} pass, {elapsed}  {wide_msg}"));
            bar.enable_steady_tick(Duration::from_millis(250));
            Live { screen, bar, agents: BTreeMap::new() }
        });
        Self { form, live, stands: None }
    }

    pub(crate) fn show(&mut self, happening: &Happening) {
        if self.form == Form::Json {
            // Whoever reads no further is told so at the end, by the last line that fails.
            let _ = writeln!(std::io::stdout().lock(), "{}", happening.to_json());
            return;
        }
        if let Some(live) = &mut self.live {
            live.show(happening);
        }
        if let Some(line) = self.line(happening) {
            self.print(&line);
        }
        if let Happening::Stands(snapshot) = happening {
            self.stands = Some(snapshot.clone());
        }
    }

    /// Whether it is drawn, rather than written line by line.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Takes everything off the screen.
    pub(crate) fn finish(&mut self) {
        if let Some(live) = self.live.take() {
            live.bar.finish_and_clear();
            for line in live.agents.values() {
                line.finish_and_clear();
            }
            // What cannot be cleared stays on the screen, which harms nobody.
            drop(live.screen.clear());
        }
    }

    /// Shows a line that stays.
    pub(crate) fn print(&self, text: &str) {
        let text = one_line(text);
        match &self.live {
            Some(live) => drop(live.screen.println(text)),
            // Whoever has closed stderr does not want to know.
            None => drop(writeln!(anstream::stderr(), "{text}")),
        }
    }

    /// What is worth a line that stays.
    fn line(&self, happening: &Happening) -> Option<String> {
        let live = self.live.is_some();
        Some(match happening {
            Happening::Stands(snapshot) if !live => self.progress(snapshot)?,
            Happening::Recovered(features) => {
                format!("free again, since whoever held them is gone: {}", list(features))
            }
            Happening::Swept(trees) => {
                format!(
                    "processes of {trees} agents, left by an orchestrator that died, were ended"
                )
            }
            Happening::Began { agent, features, pid, .. } if !live => {
                format!("{agent} (process {pid}): {}", tasks(features))
            }
            Happening::Said { agent, line } if self.form == (Form::Lines { said: true }) => {
                format!("{agent} | {line}")
            }
            Happening::Ended { agent, exit, features, killed, left } => {
                ended(*agent, exit, features, *killed, left, live)?
            }
            Happening::Changed(event) => changed(event)?,
            Happening::Draining => "a pause is asked for: nothing new is started".to_owned(),
            Happening::Paused => "paused, until .pause_drain is gone".to_owned(),
            Happening::Resumed => "going on".to_owned(),
            Happening::Trouble(text) => format!("trouble: {text}; trying again"),
            Happening::Stopping { hurry: false } => {
                "stopping: agents are asked to end; ask again to kill them".to_owned()
            }
            Happening::Stopping { hurry: true } => "stopping: agents are killed".to_owned(),
            Happening::Finished(Finish::Stuck) => "nothing more can be taken".to_owned(),
            _ => return None,
        })
    }

    fn progress(&self, snapshot: &Snapshot) -> Option<String> {
        let before = self.stands.as_ref().map(|before| (before.passing, before.total));
        (before != Some((snapshot.passing, snapshot.total)))
            .then(|| format!("{} of {} features pass", snapshot.passing, snapshot.total))
    }
}

impl Live {
    fn show(&mut self, happening: &Happening) {
        match happening {
            Happening::Stands(snapshot) => {
                self.bar.set_length(snapshot.total as u64);
                self.bar.set_position(snapshot.passing as u64);
                self.bar.set_message(counts(snapshot));
            }
            Happening::Began { agent, features, .. } => {
                let line = self.screen.add(ProgressBar::new_spinner());
                line.set_style(style("  {spinner} {prefix:<14} {elapsed:>4}  {wide_msg}"));
                line.set_prefix(agent.to_string());
                line.set_message(one_line(&tasks(features)));
                line.enable_steady_tick(Duration::from_millis(250));
                self.agents.insert(*agent, line);
            }
            Happening::Said { agent, line } => {
                if let Some(bar) = self.agents.get(agent) {
                    bar.set_message(one_line(line));
                }
            }
            Happening::Ended { agent, .. } => {
                if let Some(line) = self.agents.remove(agent) {
                    line.finish_and_clear();
                    self.screen.remove(&line);
                }
            }
            _ => {}
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What is not in the bar, where there is any.
fn counts(snapshot: &Snapshot) -> String {
    let counts = [
        (snapshot.in_progress, "in progress"),
        (snapshot.ready.len(), "ready"),
        (snapshot.blocked, "blocked"),
        (snapshot.waiting_for_human, "waiting for a human"),
        (snapshot.exhausted, "out of attempts"),
    ];
    let shown = counts.iter().filter(|(count, _)| *count > 0);
    shown.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

fn list(ids: &[FeatureId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn tasks(features: &[(FeatureId, String)]) -> String {
    match features {
        [] => "makes the backlog".to_owned(),
        [(id, name)] => format!("#{id} {name}"),
        [(id, name), rest @ ..] => format!("#{id} {name}, and {} more", rest.len()),
    }
}

/// Only ends that say more than the changes of the features do.
fn ended(
    agent: AgentId,
    exit: &AgentExit,
    features: &[(FeatureId, Settled)],
    killed: usize,
    left: &[u32],
    live: bool,
) -> Option<String> {
    let failed = features.iter().any(|(_, settled)| *settled == Settled::Failed);
    let plain = *exit == AgentExit::Code(0) && !failed && killed == 0 && left.is_empty();
    if plain && (live || agent.kind == Kind::Coding) {
        return None;
    }
    let settled =
        features.iter().map(|(id, settled)| format!(", feature {id} {}", settled.as_str()));
    let killed = (killed > 0).then(|| format!("; {killed} processes were killed"));
    let left = (!left.is_empty()).then(|| format!("; processes that cannot be killed: {left:?}"));
    let text = std::iter::once(format!("{agent}: {exit}")).chain(settled).chain(killed).chain(left);
    Some(text.collect())
}

/// What people want to see of the history while it is made.
fn changed(event: &Event) -> Option<String> {
    let who = event.agent.as_deref().unwrap_or("somebody");
    let what = match event.kind {
        EventKind::Passed => "passes",
        EventKind::Failed => "fails",
        EventKind::Skipped => "is put off",
        EventKind::Asked => "waits for a human: `autoforge-store answer` shows the question",
        EventKind::Answered => "was answered by a human",
        EventKind::Died => "is free again: its agent's process is dead",
        EventKind::Expired => "is free again: its claim was not renewed",
        _ => return None,
    };
    let why = event.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    Some(format!("feature {} {what} ({who}){why}", event.feature))
}

/// How often a terminal is drawn at most is left to indicatif.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
