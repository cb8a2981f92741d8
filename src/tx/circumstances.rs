//! What a command is told of the world outside the file: the time, and which processes live.

use std::collections::BTreeSet;

use crate::host::{self, Fate};
use crate::types::{LocalTime, Moment, ProcessIdentity};

/// The time, and which processes live.
///
/// The engine asks the system at the beginning of each group. Tests tell a command what they want
/// it to believe, so that the same commands in the same order give the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    moment: Moment,
    /// The processes that are known to be dead, instead of asking the system.
    told_dead: Option<BTreeSet<u32>>,
}

impl Circumstances {
    /// As the system says.
    pub(crate) fn now() -> Self {
        Self { moment: host::now(), told_dead: None }
    }

    /// As a test wants them: it is this moment, and of all processes these are dead.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn told(moment: Moment, dead: impl IntoIterator<Item = u32>) -> Self {
        Self { moment, told_dead: Some(dead.into_iter().collect()) }
    }

    /// The time, by both clocks.
    #[must_use]
    pub fn moment(&self) -> &Moment {
        &self.moment
    }

    /// What a clock in the machine's own time zone shows; one in UTC, where a test tells the time.
    pub(crate) fn local_time(&self) -> LocalTime {
        let now = self.moment.wall;
        if self.told_dead.is_some() { now.to_utc() } else { now.to_local() }
    }

    /// Whether a process is proven dead.
    pub(crate) fn is_dead(&self, process: &ProcessIdentity) -> bool {
        match &self.told_dead {
            Some(dead) => dead.contains(&process.pid),
            None => host::fate(process) == Fate::Dead,
        }
    }
}
