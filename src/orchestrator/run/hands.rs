//! What the agents of a run have in their hands, and settling it when they have ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::orchestrator::happening::{AgentExit, AgentId, Settled};
use crate::{Caller, FeatureId, FenceToken};

/// What an agent has.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) caller: Arc<Caller>,
    /// Claims, in the order in which the agent was told to build them.
    pub(super) claims: Vec<(FeatureId, FenceToken)>,
    /// What it tests.
    pub(super) tests: BTreeSet<FeatureId>,
}

/// An agent that has ended, with what is left to be settled.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) agent: AgentId,
    pub(super) caller: Arc<Caller>,
    pub(super) exit: AgentExit,
    pub(super) killed: usize,
    pub(super) left: Vec<u32>,
    pub(super) open: VecDeque<(FeatureId, FenceToken)>,
    pub(super) settled: Vec<(FeatureId, Settled)>,
}

impl Settling {
    /// What has to become of the next feature, if it is still the agent's: the first that it has not
    /// settled is the one that it was at, unless it never had a chance.
    pub(super) fn verdict(&self) -> Settled {
        let had_a_chance = !matches!(self.exit, AgentExit::Stopped | AgentExit::NotStarted(_));
        let is_first = !self
            .settled
            .iter()
            .any(|(_, settled)| matches!(settled, Settled::Failed | Settled::Released));
        if had_a_chance && is_first { Settled::Failed } else { Settled::Released }
    }

    /// Why, for the history.
    pub(super) fn reason(&self) -> String {
        match self.verdict() {
            Settled::Failed => format!("{} did not settle it: {}", self.agent, self.exit),
            _ if matches!(self.exit, AgentExit::Stopped | AgentExit::NotStarted(_)) => {
                self.exit.to_string()
            }
            _ => format!("{} ended before it came to it", self.agent),
        }
    }
}

/// The agents that run.
#[derive(Debug, Default)]
pub(super) struct Hands(BTreeMap<AgentId, Hand>);

impl Hands {
    pub(super) fn insert(&mut self, agent: AgentId, hand: Hand) {
        self.0.insert(agent, hand);
    }

    pub(super) fn remove(&mut self, agent: AgentId) -> Option<Hand> {
        self.0.remove(&agent)
    }

    pub(super) fn agents(&self) -> Vec<AgentId> {
        self.0.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::Kind;

    fn settling(exit: AgentExit, settled: &[Settled]) -> Settling {
        Settling {
            agent: AgentId { kind: Kind::Coding, number: 3 },
            caller: Arc::new(Caller::new("coder-3", "s")),
            exit,
            killed: 0,
            left: Vec::new(),
            open: VecDeque::new(),
            settled: settled.iter().map(|settled| (FeatureId::from(1), *settled)).collect(),
        }
    }

    #[test]
    fn only_the_feature_that_an_agent_was_at_has_failed() {
        let verdict = |settled: &[Settled]| settling(AgentExit::Code(0), settled).verdict();
        assert_eq!(verdict(&[]), Settled::Failed, "also where it says that all is well");
        assert_eq!(verdict(&[Settled::Passed, Settled::Otherwise]), Settled::Failed);
        assert_eq!(verdict(&[Settled::Passed, Settled::Failed]), Settled::Released);
    }

    #[test]
    fn who_never_had_a_chance_has_not_failed() {
        for exit in [AgentExit::Stopped, AgentExit::NotStarted("no".to_owned())] {
            assert_eq!(settling(exit, &[]).verdict(), Settled::Released);
        }
    }

    #[test]
    fn the_reason_says_what_happened() {
        let reason = |exit, settled: &[Settled]| settling(exit, settled).reason();
        let failed = "coder-3 did not settle it: it ended with exit code 1";
        assert_eq!(reason(AgentExit::Code(1), &[]), failed);
        let behind = "coder-3 ended before it came to it";
        assert_eq!(reason(AgentExit::Code(1), &[Settled::Failed]), behind);
        assert_eq!(reason(AgentExit::Stopped, &[]), "the run was stopped");
    }
}
