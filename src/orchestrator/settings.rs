//! How a backlog is driven: how many agents, which command lines, and how long each may take.

use std::path::PathBuf;
use std::time::Duration;

use super::command_line::AgentCommand;

/// How an orchestrator works.
///
/// ```
/// use autoforge_store::orchestrator::{AgentCommand, Settings};
/// let agent = AgentCommand::new(["my-agent", "--features", "{features}"])?;
/// let settings = Settings { coding: 5, ..Settings::new(agent) };
/// assert_eq!((settings.coding, settings.testing, settings.batch), (5, 1, 3));
/// # Ok::<(), autoforge_store::orchestrator::InvalidCommand>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The agent that builds features.
    pub coder: AgentCommand,
    /// The agent that tests features which pass; `None` for the same command line as the coder's.
    pub tester: Option<AgentCommand>,
    /// The agent that makes the features of a project that has none; `None` ends the run there.
    pub initializer: Option<AgentCommand>,
    /// How many agents build at a time, 1 to [`Settings::AGENTS_MAX`]. Default: 3.
    pub coding: usize,
    /// How many agents test beside them, 0 to [`Settings::AGENTS_MAX`]. Default: 1.
    pub testing: usize,
    /// How many agents there are in all, at most. Default: 10.
    pub total: usize,
    /// How many features an agent gets at a time, 1 to [`Settings::BATCH_MAX`]. Default: 3.
    pub batch: usize,
    /// How many features are tested at a time, 1 to [`Settings::BATCH_MAX`]. Default: 3.
    pub test_batch: usize,
    /// How long a claim outlasts its last renewal. Default: 120 s. The orchestrator renews it by
    /// itself as long as it lives.
    pub lease: Duration,
    /// An agent that says nothing for so long is ended. Default: 30 minutes; `None` for no limit.
    pub silence: Option<Duration>,
    /// An agent that takes longer is ended. Default: 4 hours; `None` for no limit.
    pub time: Option<Duration>,
    /// The same for the initializer. Default: 30 minutes.
    pub initializer_time: Option<Duration>,
    /// How long processes may take to end by themselves before they are killed. Default: 5 s.
    pub grace: Duration,
    /// Go on as long as a feature waits for a human, who may answer at any time. Default: `true`.
    pub wait_for_humans: bool,
    /// Claim the report of progress whenever more features pass, and hand it out as
    /// [`Happening::Progressed`](super::Happening::Progressed), for whoever sends it somewhere. Of all
    /// programs that do this for one project, one gets each report. Default: `false`.
    pub report_progress: bool,
    /// Bytes of output that are kept of one agent, at most. Default: 4 MiB.
    pub log_bytes: u64,
    /// Where output is kept; `None` for `agents` in the folder of the project's database.
    pub logs: Option<PathBuf>,
}

/// A number in [`Settings`] that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be from {min} to {max}, not {found}")]
pub struct InvalidSettings {
    /// Which setting.
    pub what: &'static str,
    /// What it is.
    pub found: usize,
    /// What it must be at least.
    pub min: usize,
    /// What it may be at most.
    pub max: usize,
}

impl Settings {
    /// The most agents of one kind.
    pub const AGENTS_MAX: usize = 64;
    /// The most features in one agent's hands.
    pub const BATCH_MAX: usize = 15;

    /// The defaults, with this agent for building and testing.
    #[must_use]
    pub fn new(coder: AgentCommand) -> Self {
        const MINUTE: u64 = 60;
        Self {
            coder,
            tester: None,
            initializer: None,
            coding: 3,
            testing: 1,
            total: 10,
            batch: 3,
            test_batch: 3,
            lease: Duration::from_secs(2 * MINUTE),
            silence: Some(Duration::from_secs(30 * MINUTE)),
            time: Some(Duration::from_secs(240 * MINUTE)),
            initializer_time: Some(Duration::from_secs(30 * MINUTE)),
            grace: Duration::from_secs(5),
            wait_for_humans: true,
            report_progress: false,
            log_bytes: 4 << 20,
            logs: None,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first that is out of its range.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        for (what, found, min, max) in [
            ("the number of coding agents", self.coding, 1, Self::AGENTS_MAX),
            ("the number of testing agents", self.testing, 0, Self::AGENTS_MAX),
            ("the number of agents in all", self.total, 1, 2 * Self::AGENTS_MAX),
            ("the batch", self.batch, 1, Self::BATCH_MAX),
            ("the batch for tests", self.test_batch, 1, Self::BATCH_MAX),
        ] {
            if !(min..=max).contains(&found) {
                return Err(InvalidSettings { what, found, min, max });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_named() {
        let good = Settings::new(AgentCommand::new(["a"]).unwrap());
        assert_eq!(good.check(), Ok(()));
        let check = |settings: Settings| settings.check().map_err(|e| e.to_string());
        let found = check(Settings { coding: 0, ..good.clone() });
        assert_eq!(found.unwrap_err(), "the number of coding agents must be from 1 to 64, not 0");
        assert!(check(Settings { testing: 0, ..good.clone() }).is_ok());
        assert!(check(Settings { batch: 16, ..good.clone() }).is_err());
        assert!(check(Settings { total: 0, ..good }).is_err());
    }
}
