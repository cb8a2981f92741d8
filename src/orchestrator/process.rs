//! An agent's processes, all of them, and their end.
//!
//! An agent is a command line, and what it starts is its own affair: servers, compilers, browsers,
//! things that put themselves into a session of their own and outlive whoever started them. To end an
//! agent means to end all of that. Its processes are recognised in three ways, and each finds some
//! that the others miss:
//!
//! - **the group** that the agent was started in;
//! - **the descendants** of what was found so far;
//! - **the mark** in the environment, which detached processes have inherited too, and which tells
//!   after the death of an orchestrator what it has left behind.
//!
//! What hides from all three (a process that has detached itself, cleared its environment and lost
//! its parents) is not found. Windows has an implementation of its own, which nobody has run yet.

#[cfg(not(windows))]
mod unix;
#[cfg(windows)]
mod windows;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

#[cfg(not(windows))]
use unix as system;
#[cfg(windows)]
use windows as system;

use crate::ProcessIdentity;

/// The variable that marks the processes of agents.
pub(super) const VARIABLE: &str = "AUTOFORGE_TREE";

/// How often it is looked whether processes have ended.
const LOOK: Duration = Duration::from_millis(10);
/// So many looks in a row must find nobody until a tree counts as gone. One look proves nothing: a
/// process that becomes another program shows no environment for a moment, and one that ends while it
/// is looked at may just have started another one.
const EMPTY_LOOKS: u32 = 3;
/// After this, what cannot be killed is reported and left: the system itself keeps it.
const KILLING: Duration = Duration::from_secs(10);

/// What every process of one agent carries in its environment: who started it, for which database,
/// and which of its agents it is.
///
/// Two orchestrators never make the same mark: their process numbers differ, or the times at which
/// they started do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(String);

impl Mark {
    /// The mark of the `agent`-th agent of this orchestrator.
    pub(super) fn new(orchestrator: &ProcessIdentity, agent: u32, database: &Path) -> Self {
        let ProcessIdentity { pid, started, .. } = orchestrator;
        Self(format!("{pid}.{started}.{agent} {}", database.display()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a mark; `None` for what none of ours has written.
    fn parse(text: &str) -> Option<Self> {
        let (numbers, _) = text.split_once(' ')?;
        let mut numbers = numbers.split('.').map(|number| number.parse::<u64>().is_ok());
        let three = numbers.by_ref().take(3).filter(|is| *is).count();
        (three == 3 && numbers.next().is_none()).then(|| Self(text.to_owned()))
    }

    /// The orchestrator that made it: its process number, and when it started.
    fn orchestrator(&self) -> Option<(u32, u64)> {
        let mut numbers = self.0.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    fn is_for(&self, database: &Path) -> bool {
        self.0.split_once(' ').is_some_and(|(_, name)| *name == database.display().to_string())
    }
}

/// A process, told apart from others that have had its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) started: u64,
}

/// The processes of one agent.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The process that the orchestrator has started, which leads the group.
    leader: Option<Process>,
    mark: Mark,
}

/// How processes are told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// They may tidy up.
    Please,
    /// At this moment.
    Now,
}

/// What became of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ended {
    /// Processes that did not end when they were asked to.
    pub(super) killed: usize,
    /// Processes that could not even be killed.
    pub(super) left: Vec<u32>,
}

impl Tree {
    /// The tree of a process that was started just now, in a group of its own and with the mark.
    pub(super) fn of(leader: u32, mark: Mark) -> Self {
        Self { leader: system::identify(leader), mark }
    }

    /// Whether any of its processes is seen; that none is says little, see [`EMPTY_LOOKS`].
    pub(super) fn is_alive(&self) -> bool {
        !system::members(self).is_empty()
    }

    /// Ends all of its processes: asks them, gives them some time, and kills what is left.
    pub(super) async fn end(&self, grace: Duration) -> Ended {
        system::order(self, Order::Please);
        if !self.gone_within(grace, None).await {
            let killed = system::members(self).len();
            self.gone_within(KILLING, Some(Order::Now)).await;
            let left = system::members(self).into_iter().map(|process| process.pid).collect();
            return Ended { killed, left };
        }
        Ended::default()
    }

    /// Waits until none is left; gives the order again at each look, since a process may have started
    /// another one in between.
    async fn gone_within(&self, patience: Duration, order: Option<Order>) -> bool {
        let deadline = Instant::now() + patience;
        let mut empty = 0;
        loop {
            if let Some(order) = order {
                system::order(self, order);
            }
            empty = if self.is_alive() { 0 } else { empty + 1 };
            if empty == EMPTY_LOOKS {
                return true;
            }
            // Who was not seen at the deadline gets the looks that are missing.
            if empty == 0 && Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK).await;
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.leader {
            Some(leader) => write!(f, "process {} and what it started", leader.pid),
            None => f.write_str("processes of an agent"),
        }
    }
}

/// Whether some process has this number.
pub(super) fn is_running(pid: u32) -> bool {
    system::identify(pid).is_some()
}

/// The processes that belong to this database: those of agents, whoever has started them and whether or
/// not that is still alive, with all that descends from them or from this process. A process that is
/// just becoming another program may be missing for a moment. `None` where the system does not show
/// the environment of processes.
#[must_use]
pub fn processes_at(database: &Path) -> Option<BTreeSet<u32>> {
    system::present(|mark| mark.is_for(database))
}

/// A variable and its value for the environment of a process that works beside agents: it belongs to
/// the database from then on, so [`processes_at`] finds it, and where this program dies before it, the
/// next orchestrator of the project ends it with the agents. `number` tells several of them apart.
/// `None` where the system does not tell which process this is.
#[must_use]
pub fn companion_mark(database: &Path, number: u32) -> Option<(&'static str, String)> {
    let own = ProcessIdentity::current()?;
    // Agents are numbered from the other end.
    let Mark(value) = Mark::new(&own, u32::MAX - number, database);
    Some((VARIABLE, value))
}

/// The trees that orchestrators of this database have left behind, which are dead themselves.
pub(super) async fn strays(database: &Path) -> Vec<Tree> {
    let mut marks: Vec<Mark> = system::marks();
    for _ in 1..EMPTY_LOOKS {
        sleep(LOOK).await;
        marks.extend(system::marks());
    }
    marks.retain(|mark| {
        let alive = |(pid, started)| system::identify(pid) == Some(Process { pid, started });
        mark.is_for(database) && !mark.orchestrator().is_some_and(alive)
    });
    marks.sort_by(|a, b| a.0.cmp(&b.0));
    marks.dedup();
    marks.into_iter().map(|mark| Tree { leader: None, mark }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_anything_else_is_none() {
        let identity = ProcessIdentity {
            host: "h".to_owned(),
            boot: "b".to_owned(),
            namespace: "n".to_owned(),
            pid: 12,
            started: 345,
        };
        let database = Path::new("/a b/features.db");
        let mark = Mark::new(&identity, 3, database);
        assert_eq!(Mark::parse(mark.as_str()), Some(mark.clone()));
        assert_eq!(mark.orchestrator(), Some((12, 345)));
        assert!(mark.is_for(database) && !mark.is_for(Path::new("/a")));
        for text in ["", "1.2.3", "1.2 /x", "1.2.3.4 /x", "1.2.x /x", "a.b.c /x"] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }
}
