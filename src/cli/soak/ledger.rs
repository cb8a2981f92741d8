//! What was acknowledged to whom, and what was on its way to somebody who was killed: all that must be
//! in the file at the end, and all that may be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::orchestrator::AgentId;
use crate::{Event, EventKind, FeatureId};

/// Under which name the endurance test itself changes features.
pub(super) const OURSELVES: &str = "soak";

/// Who has changed a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The endurance test itself.
    Soak,
    /// An agent that builds, by its number.
    Coder(u32),
    /// A program that does not say who it is: one of the writers.
    Writer,
}

impl Who {
    /// Who has made an event; `None` for anybody else.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event.agent.as_deref() {
            None => Some(Self::Writer),
            Some(OURSELVES) => Some(Self::Soak),
            Some(name) => name.strip_prefix("coder-")?.parse().ok().map(Self::Coder),
        }
    }
}

/// One kind of change of one feature by somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deed {
    pub(super) feature: i64,
    pub(super) kind: EventKind,
    pub(super) who: Who,
}

/// Everything that was said.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// How often each deed was acknowledged.
    pub(super) acknowledged: BTreeMap<Deed, usize>,
    /// What writers were about to do to features when they were killed.
    pub(super) unheard: BTreeMap<(i64, EventKind), usize>,
    /// What features were to be called that writers were about to add when they were killed.
    pub(super) unheard_names: BTreeSet<String>,
    /// Agents that did not end by themselves, so that they may not have heard of their last change.
    pub(super) cut_short: BTreeSet<u32>,
}

/// What a writer has announced and not told the end of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    Change(i64, EventKind),
    Creation(String),
}

impl Ledger {
    pub(super) fn acknowledge(&mut self, who: Who, feature: i64, kind: EventKind) {
        *self.acknowledged.entry(Deed { feature, kind, who }).or_default() += 1;
    }

    /// Features that the endurance test has added.
    pub(super) fn added(&mut self, features: &[FeatureId]) {
        for id in features {
            self.acknowledge(Who::Soak, id.get(), EventKind::Created);
        }
    }

    /// What an agent says of its work.
    pub(super) fn said(&mut self, agent: AgentId, line: &str) {
        let Ok(told) = serde_json::from_str::<Value>(line) else { return };
        let number = |key: &str| told.get(key).and_then(Value::as_i64);
        let kind = match told.get("by").and_then(Value::as_str) {
            Some("feature_skip") => Some(EventKind::Skipped),
            Some("feature_clear_in_progress") => Some(EventKind::Released),
            Some("feature_mark_failing") => Some(EventKind::Failed),
            _ => None,
        };
        if let Some(id) = number("passed") {
            self.acknowledge(Who::Coder(agent.number), id, EventKind::Passed);
        } else if let (Some(id), Some(kind)) = (number("settled"), kind) {
            self.acknowledge(Who::Coder(agent.number), id, kind);
        }
    }

    /// A writer was killed with this on its way.
    pub(super) fn lost_sight(&mut self, pending: Pending) {
        match pending {
            Pending::Change(feature, kind) => {
                *self.unheard.entry((feature, kind)).or_default() += 1;
            }
            Pending::Creation(name) => drop(self.unheard_names.insert(name)),
        }
    }

    pub(super) fn acknowledgements(&self) -> usize {
        self.acknowledged.values().sum()
    }

    pub(super) fn created(&self) -> usize {
        self.acknowledged.keys().filter(|deed| deed.kind == EventKind::Created).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::Kind;

    #[test]
    fn what_agents_say_is_noted_as_what_it_is() {
        let agent = AgentId { kind: Kind::Coding, number: 4 };
        let mut ledger = Ledger::default();
        for line in [
            r#"{"works_on":1,"name":"x"}"#,
            r#"{"passes":1}"#,
            r#"{"passed":1,"us":90}"#,
            r#"{"settled":2,"by":"feature_skip","us":90}"#,
            r#"{"settled":3,"by":"feature_clear_in_progress","us":90}"#,
            r#"{"settled":4,"by":"feature_mark_failing","us":90}"#,
            r#"{"refused":5,"tool":"feature_skip","message":"no"}"#,
            "line 7 of far too many",
        ] {
            ledger.said(agent, line);
        }
        let deed = |feature, kind| Deed { feature, kind, who: Who::Coder(4) };
        let expected = [
            deed(1, EventKind::Passed),
            deed(2, EventKind::Skipped),
            deed(3, EventKind::Released),
            deed(4, EventKind::Failed),
        ];
        assert_eq!(ledger.acknowledged.keys().copied().collect::<Vec<_>>(), expected);
        assert_eq!(ledger.acknowledgements(), 4);
    }
}
