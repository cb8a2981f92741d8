//! Taking changes back: the last one of a feature, any one, or all of an agent's session.
//!
//! Nothing is erased. A change that is taken back stays in the history, and so does what took it
//! back, an event of its own that names it. An event is **in force** unless an event that is in
//! force takes it back; so taking back what took a change back brings the change into force again.
//!
//! Decided in `plan`, which only reads, and then carried out; a preview ends after the first half.

mod ledger;
mod plan;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Command;
use super::feature::{DependencyProblem, PriorityProblem, list};
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Occasion, Read, Standing, Tx, Write};
use crate::types::{
    Change, Effect, EventId, EventKind, FeatureId, FenceToken, Field, Fields, Holder, Stored,
};

/// What is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoTarget {
    /// The last change of a feature that is in force, takes nothing back itself, and is more than a
    /// movement of its claim. So the same call again goes one change further back, at last to the
    /// creation.
    Last(FeatureId),
    /// One change. If it took another one back itself, that one is in force again.
    Event(EventId),
    /// All changes of a session that are in force and are still in the history, newest first. What
    /// the session did and took back itself is left alone.
    Session {
        /// As in [`Event::session`](crate::Event::session).
        session: String,
        /// Of this agent. `None` where one agent alone has a session of that name, else it is
        /// refused.
        agent: Option<String>,
    },
}

impl fmt::Display for UndoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(id) => write!(f, "feature {id}"),
            Self::Event(id) => write!(f, "event {id}"),
            Self::Session { session, agent: None } => write!(f, "session {session}"),
            Self::Session { session, agent: Some(agent) } => {
                write!(f, "session {session} of {agent}")
            }
        }
    }
}

/// What [`Undo`] did, or would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Undone {
    /// What is taken back, in this order. Never empty.
    pub steps: Vec<UndoneStep>,
    /// What was done together with a deletion that is taken back, but stays: the dependencies of
    /// features which were changed again since.
    pub left: Vec<LeftOut>,
}

/// One event that is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoneStep {
    /// Which one.
    pub event: EventId,
    /// What it was about.
    pub kind: EventKind,
    /// The feature.
    pub feature: FeatureId,
    /// What the feature is called afterwards, or was called before it went.
    pub name: String,
    /// What happens to the feature.
    pub effect: Effect,
    /// What happens to its columns, in their order; all of them where it comes or goes.
    pub changes: Vec<Change>,
}

/// A change that was made together with one that is taken back, and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which one.
    pub event: EventId,
    /// The feature that it changed.
    pub feature: FeatureId,
    /// Why it stays.
    pub because: UndoRefusal,
}

impl Undone {
    /// As the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "steps": self.steps.iter().map(UndoneStep::to_json).collect::<Value>(),
            "left": self.left.iter().map(LeftOut::to_json).collect::<Value>(),
        })
    }
}

impl UndoneStep {
    /// As the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "event": self.event.get(),
            "kind": self.kind.as_str(),
            "feature_id": self.feature.get(),
            "name": self.name,
            "effect": self.effect.as_str(),
            "changes": self.changes.iter().map(Change::to_json).collect::<Value>(),
        })
    }

    /// Whether it decides what only a feature that nobody works on may have decided.
    fn settles(&self) -> bool {
        self.effect == Effect::Removes
            || self.changes.iter().any(|change| SETTLED.has(change.field))
    }

    fn values(&self) -> Vec<(Field, Stored)> {
        self.changes.iter().map(|change| (change.field, change.after.clone())).collect()
    }
}

impl LeftOut {
    /// As the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "event": self.event.get(),
            "feature_id": self.feature.get(),
            "code": self.because.code(),
            "message": self.because.to_string(),
        })
    }
}

/// What is settled by whoever works on a feature.
const SETTLED: Fields = Fields::of(&[Field::Passes, Field::NeedsHumanInput]);

/// Why nothing was taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum UndoRefusal {
    /// There is no such feature, and the history knows none.
    #[error("feature {id} does not exist")]
    NotFound {
        /// The id.
        id: FeatureId,
    },
    /// There was no such event yet: the number is of another file, or of a newer copy of this one.
    #[error("there is no event {event}, the last one is {last}")]
    UnknownEvent {
        /// The event that was asked for.
        event: EventId,
        /// The last event of the file.
        last: EventId,
    },
    /// The claim that the call was made under has ended, so what its caller believes of the project
    /// may be out of date.
    #[error(
        "claim {token} has ended; nothing was changed, look again before you take anything back"
    )]
    StaleToken {
        /// The token that the call carried.
        token: FenceToken,
    },
    /// The history does not go back so far any more.
    #[error("what happened before event {oldest} is forgotten, so it cannot be taken back")]
    Forgotten {
        /// The oldest event that is kept, or the next one where none is.
        oldest: EventId,
    },
    /// All of it is taken back already, or there never was a change.
    #[error("there is nothing to take back of {target}")]
    NothingToUndo {
        /// What was asked for.
        target: UndoTarget,
    },
    /// The event began or ended a claim, and claims are not given and taken in retrospect.
    #[error(
        "event {event} ({kind}) only moved a claim, which cannot be taken back; claim or release the feature instead"
    )]
    ClaimAlone {
        /// The event.
        event: EventId,
        /// What it was about.
        kind: EventKind,
    },
    /// The event is taken back already.
    #[error("event {event} is taken back already, by event {by}; take that back to have it again")]
    AlreadyUndone {
        /// The event.
        event: EventId,
        /// What took it back.
        by: EventId,
    },
    /// Several agents have sessions of that name.
    #[error("several agents have a session {session}: {}; say which one", .agents.join(", "))]
    SeveralAgents {
        /// The session.
        session: String,
        /// The agents, by name.
        agents: Vec<String>,
    },
    /// A later change stands on the event.
    #[error(
        "event {event} cannot be taken back: event {by} changed feature {id} since; take that back first"
    )]
    ChangedSince {
        /// The event.
        event: EventId,
        /// The feature.
        id: FeatureId,
        /// The last change that stands on it.
        by: EventId,
    },
    /// The feature is not as the event left it, though nobody wrote down a change.
    #[error(
        "event {event} cannot be taken back: since then the {field} of feature {id} was changed, and nobody wrote it down; change it by hand"
    )]
    ChangedUnseen {
        /// The event.
        event: EventId,
        /// The feature.
        id: FeatureId,
        /// The first column that differs.
        field: Field,
    },
    /// Somebody works on the feature, and would be told what it is to decide.
    #[error("event {event} cannot be taken back while {} works on feature {id}; release it first",
        .holder.as_ref().map_or_else(|| "somebody".to_owned(), ToString::to_string))]
    InProgress {
        /// The event.
        event: EventId,
        /// The feature.
        id: FeatureId,
        /// Who holds it, where anybody knows.
        holder: Option<Box<Holder>>,
    },
    /// The feature passes by now, and what passes keeps its texts.
    #[error(
        "event {event} cannot be taken back: feature {id} passes by now; take that back first, or mark it as failing"
    )]
    Passing {
        /// The event.
        event: EventId,
        /// The feature.
        id: FeatureId,
    },
    /// The feature would go, but others wait for it.
    #[error(
        "event {event} cannot be taken back: other features depend on feature {id}: {}; remove those dependencies first",
        list(.dependents)
    )]
    HasDependents {
        /// The event.
        event: EventId,
        /// The feature.
        id: FeatureId,
        /// The features that wait for it, by id.
        dependents: Vec<FeatureId>,
    },
    /// The feature would come back, but it is there.
    #[error("event {event} cannot be taken back: there is a feature {id} again")]
    Exists {
        /// The event.
        event: EventId,
        /// The feature.
        id: FeatureId,
    },
    /// The feature would get a priority that another one has by now.
    #[error("event {event} cannot be taken back: {problem}; give that one another priority first")]
    Priority {
        /// The event.
        event: EventId,
        /// What is wrong with it.
        problem: PriorityProblem,
    },
    /// The feature would wait for what it cannot wait for any more.
    #[error("event {event} cannot be taken back: {problem}")]
    Dependencies {
        /// The event.
        event: EventId,
        /// What is wrong with them.
        problem: DependencyProblem,
    },
}

impl Refusal for UndoRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::UnknownEvent { .. } => "unknown_event",
            Self::StaleToken { .. } => "stale_token",
            Self::Forgotten { .. } => "events_forgotten",
            Self::NothingToUndo { .. } => "nothing_to_undo",
            Self::ClaimAlone { .. } => "claim_alone",
            Self::AlreadyUndone { .. } => "already_undone",
            Self::SeveralAgents { .. } => "several_agents",
            Self::ChangedSince { .. } | Self::ChangedUnseen { .. } => "changed_since",
            Self::InProgress { .. } => "already_in_progress",
            Self::Passing { .. } => "already_passing",
            Self::HasDependents { .. } => "has_dependents",
            Self::Exists { .. } => "feature_exists",
            Self::Priority { problem, .. } => problem.code(),
            Self::Dependencies { problem, .. } => problem.code(),
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, Self::InProgress { .. })
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::NothingToUndo { target: UndoTarget::Last(id) }
            | Self::NotFound { id }
            | Self::ChangedSince { id, .. }
            | Self::ChangedUnseen { id, .. }
            | Self::InProgress { id, .. }
            | Self::Passing { id, .. }
            | Self::Exists { id, .. } => vec![*id],
            Self::HasDependents { id, dependents, .. } => {
                std::iter::once(*id).chain(dependents.iter().copied()).collect()
            }
            Self::Priority { problem, .. } => problem.features(),
            Self::Dependencies { problem, .. } => problem.features(),
            Self::NothingToUndo { .. }
            | Self::UnknownEvent { .. }
            | Self::StaleToken { .. }
            | Self::Forgotten { .. }
            | Self::ClaimAlone { .. }
            | Self::AlreadyUndone { .. }
            | Self::SeveralAgents { .. } => Vec::new(),
        }
    }
}

/// Takes changes back, all that the target names or none.
///
/// - **A change** of some columns gives each of them exactly what it held before. It is refused if a
///   later change of one of them is in force, or if one of them is not as the event left it.
/// - **A creation** or an entry of an import: the feature goes, and its id is never given out
///   again. Refused if a later change of the feature is in force, or another feature depends on it.
/// - **A deletion**, also another program's: the feature comes back with its id and exactly its
///   columns, and to the features from whose dependencies [`DeleteFeature`](crate::DeleteFeature)
///   took it; those that were changed again since stay as they are, and are told in
///   [`Undone::left`]. Refused if there is a feature of that id.
///
/// Claims are left alone. What only moved a claim cannot be taken back, no feature is put in
/// progress, and while somebody works on a feature, the caller or another, it is neither removed nor
/// made to pass, to fail or to wait for a human; its texts, priority and dependencies can be taken
/// back meanwhile, as [`UpdateFeature`](crate::UpdateFeature) can change them. A feature that passes
/// keeps its texts and its priority until its pass is taken back. Failed attempts that were counted
/// or forgotten stay so. A call that carries the token of a claim which is over is refused.
///
/// The rules of the store hold: no priority comes back that another feature has by now, and no
/// dependency that closes a cycle or on a feature that is gone since. An id that named no feature
/// even then comes back as it was.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{
///     CreateFeature, Effect, GetFeature, MarkPassing, NewFeature, PreviewUndo, Store, Undo,
///     UndoTarget,
/// };
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let id = store.call(CreateFeature::new(login)).unwrap().id;
/// store.call(MarkPassing { id }).unwrap();
///
/// let target = UndoTarget::Last(id);
/// let shown = store.call(PreviewUndo { target: target.clone() }).unwrap();
/// assert_eq!(store.call(Undo { target: target.clone() }).unwrap(), shown);
/// assert!(!store.call(GetFeature { id }).unwrap().passes);
///
/// let undone = store.call(Undo { target }).unwrap();
/// assert_eq!(undone.steps[0].effect, Effect::Removes, "before the pass, it was created");
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct Undo {
    /// What to take back.
    pub target: UndoTarget,
}

impl Command for Undo {
    const NAME: &'static str = "undo";
    type Database = Features;
    type Access = Write;
    type Output = Undone;
    type Rejection = UndoRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Undone, Failure<UndoRefusal>> {
        let undone = plan::plan(tx, &self.target)?;
        for step in &undone.steps {
            carry_out(tx, step)?;
        }
        Ok(undone)
    }
}

/// Says what [`Undo`] would do or why it would refuse, and changes nothing.
#[derive(Debug, Clone)]
pub struct PreviewUndo {
    /// What would be taken back.
    pub target: UndoTarget,
}

impl Command for PreviewUndo {
    const NAME: &'static str = "preview_undo";
    type Database = Features;
    type Access = Read;
    type Output = Undone;
    type Rejection = UndoRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Undone, Failure<UndoRefusal>> {
        plan::plan(tx, &self.target)
    }
}

fn carry_out(tx: &Tx<'_, Write>, step: &UndoneStep) -> rusqlite::Result<()> {
    let kind = match step.effect {
        Effect::Creates => EventKind::Restored,
        Effect::Changes => EventKind::Undone,
        Effect::Removes => EventKind::Withdrawn,
    };
    let mut occasion = Occasion { undoes: Some(step.event), ..kind.into() };
    if let Some(mut feature) = tx.feature(step.feature)? {
        match tx.standing(&feature)? {
            Standing::Lapsed(claim, outcome) if step.settles() => {
                tx.end_lapsed(&mut feature, &claim, outcome)?;
            }
            Standing::Owned(claim) | Standing::Unowned(Some(claim)) => {
                let caller = tx.signature().caller.as_deref();
                occasion.overrode = claim.owner.is_some() && claim.owner.as_ref() != caller;
                occasion.claim = Some(claim.token);
            }
            Standing::Free | Standing::Unowned(None) | Standing::Lapsed(..) => {}
        }
    }
    match step.effect {
        Effect::Creates => tx.restore_feature(step.feature, &step.values(), occasion),
        Effect::Changes => tx.change_stored(step.feature, &step.values(), occasion),
        Effect::Removes => tx.remove_feature(step.feature, occasion),
    }
}
