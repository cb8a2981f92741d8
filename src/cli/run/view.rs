//! How a run looks: live on a terminal, else as lines, for people or for programs.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::cli::board::{Board, tasks};
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
    board: Option<Board>,
    stands: Option<Snapshot>,
}

impl View {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, board: (form == Form::Live).then(Board::new), stands: None }
    }

    pub(crate) fn show(&mut self, happening: &Happening) {
        if self.form == Form::Json {
            // Whoever reads no further is told so at the end, by the last line that fails.
            let _ = writeln!(std::io::stdout().lock(), "{}", happening.to_json());
            return;
        }
        if let Some(board) = &mut self.board {
            draw(board, happening);
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
        self.board.is_some()
    }

    /// Takes everything off the screen.
    pub(crate) fn finish(&mut self) {
        self.board = None;
    }

    /// Shows a line that stays.
    pub(crate) fn print(&self, text: &str) {
        let text = one_line(text);
        match &self.board {
            Some(board) => board.print(&text),
            // Whoever has closed stderr does not want to know.
            None => drop(writeln!(anstream::stderr(), "{text}")),
        }
    }

    /// What is worth a line that stays.
    fn line(&self, happening: &Happening) -> Option<String> {
        let live = self.board.is_some();
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

fn draw(board: &mut Board, happening: &Happening) {
    match happening {
        Happening::Stands(snapshot) => board.stands(snapshot),
        Happening::Began { agent, features, .. } => {
            let name = agent.to_string();
            board.works(&name, &name, Duration::ZERO, features.clone());
        }
        Happening::Changed(event) if ends_work(event.kind) => board.settled(event.feature),
        Happening::Said { agent, line } => board.said(&agent.to_string(), line),
        Happening::Ended { agent, .. } => board.gone(&agent.to_string()),
        _ => {}
    }
}

fn list(ids: &[FeatureId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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

/// Whether an agent that was at the feature goes on to its next one.
fn ends_work(kind: EventKind) -> bool {
    use EventKind::{Asked, Deleted, Failed, Passed, Released, Skipped};
    matches!(kind, Passed | Failed | Skipped | Released | Asked | Deleted)
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
