//! Features: looking at them, choosing, claiming, judging, creating and changing them.

mod authority;
mod check;
mod claim;
mod create;
mod delete;
mod import;
mod list;
mod schedule;
mod update;
mod verdict;

pub(super) use authority::authority;
pub use check::{CheckFeatures, FeatureFindings, RecordFindings};
pub use claim::{
    Claim, ClaimBatch, ClaimFeature, ClaimNext, ClaimedFeature, ClaimedNext, ClearInProgress,
    MarkInProgress,
};
pub use create::{BulkRefusal, CreateFeature, CreateFeatures, CreateRefusal, CreatedFeatures};
pub use delete::{DeleteFeature, DeletedFeature};
pub use import::{ImportBacklog, ImportRefusal};
pub use list::{
    Board, BoardEntry, FoldFeatures, GetBoard, GetFeature, GetStats, GetSummary, ListFeatures,
    Stats,
};
pub use schedule::{
    Blocked, BlockedFeature, GetBlocked, GetGraph, GetReady, Graph, GraphEntry, Ready,
};
pub use update::{FeatureChanges, UpdateFeature, UpdateRefusal};
pub use verdict::{MarkFailing, MarkPassing, PassedFeature, SkipFeature, SkippedFeature};

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Refusal};
use crate::tx::{Access, Tx};
use crate::types::{DependencyGraph, Feature, FeatureId, FenceToken, Holder, Limits};

/// Why a command on one feature changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureRefusal {
    /// There is no such feature.
    #[error("feature {id} does not exist")]
    NotFound {
        /// The id that was asked for.
        id: FeatureId,
    },
    /// The feature is done.
    #[error("feature {id} is already passing")]
    AlreadyPassing {
        /// Which one.
        id: FeatureId,
    },
    /// Somebody works on the feature.
    #[error("feature {id} is already in progress")]
    AlreadyInProgress {
        /// Which one.
        id: FeatureId,
    },
    /// The feature waits for an answer from a human.
    #[error("feature {id} is waiting for human input")]
    WaitingForHuman {
        /// Which one.
        id: FeatureId,
    },
    /// The claim that the call was made under has ended: it was released, its lease ran out, or
    /// another program ended it. What its holder does now would undo what others have done since.
    #[error("claim {token} on feature {id} has ended, and {}; nothing was changed, claim it again",
        holds_it_now(.holder.as_deref()))]
    StaleToken {
        /// Which feature.
        id: FeatureId,
        /// The token that the call carried.
        token: FenceToken,
        /// Who holds the feature now.
        holder: Option<Box<Holder>>,
    },
    /// Somebody else owns the claim on the feature, and the call neither carried its token nor
    /// said that it means to override.
    #[error("feature {id} belongs to {holder}; nothing was changed")]
    HeldByOther {
        /// Which feature.
        id: FeatureId,
        /// Who holds it.
        holder: Box<Holder>,
    },
    /// The feature's attempts have failed too often; it is not tried again until somebody resets
    /// it.
    #[error("feature {id} has failed {failures} times of {limit}; reset it to try it again")]
    OutOfAttempts {
        /// Which feature.
        id: FeatureId,
        /// How often it has failed.
        failures: u32,
        /// How often it may.
        limit: u32,
    },
}

fn holds_it_now(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!("{holder} holds it now"),
        None => "nobody holds it now".to_owned(),
    }
}

impl Refusal for FeatureRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::AlreadyPassing { .. } => "already_passing",
            Self::AlreadyInProgress { .. } => "already_in_progress",
            Self::WaitingForHuman { .. } => "waiting_for_human",
            Self::StaleToken { .. } => "stale_token",
            Self::HeldByOther { .. } => "held_by_other",
            Self::OutOfAttempts { .. } => "out_of_attempts",
        }
    }

    fn retryable(&self) -> bool {
        matches!(
            self,
            Self::AlreadyInProgress { .. }
                | Self::WaitingForHuman { .. }
                | Self::HeldByOther { .. }
        )
    }

    fn features(&self) -> Vec<FeatureId> {
        match *self {
            Self::NotFound { id }
            | Self::AlreadyPassing { id }
            | Self::AlreadyInProgress { id }
            | Self::WaitingForHuman { id }
            | Self::StaleToken { id, .. }
            | Self::HeldByOther { id, .. }
            | Self::OutOfAttempts { id, .. } => vec![id],
        }
    }
}

/// The feature, or a refusal that it does not exist.
pub(super) fn existing<A: Access>(
    tx: &Tx<'_, A>,
    id: FeatureId,
) -> Result<Feature, Failure<FeatureRefusal>> {
    tx.feature(id)?.ok_or(Failure::Refused(FeatureRefusal::NotFound { id }))
}

/// Why a list of dependencies is refused. Every command that takes one applies the same rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum DependencyProblem {
    /// A feature cannot wait for itself.
    #[error("feature {id} cannot depend on itself")]
    Itself {
        /// Which one.
        id: FeatureId,
    },
    /// There are too many.
    #[error("{count} dependencies are more than the {max} that a feature may have")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// One is named twice.
    #[error("dependency {id} is named twice")]
    Repeated {
        /// Which one.
        id: FeatureId,
    },
    /// Some do not exist.
    #[error("these dependencies do not exist: {}", list(.ids))]
    Unknown {
        /// All that do not exist.
        ids: Vec<FeatureId>,
    },
    /// The feature would wait for itself through others.
    #[error("feature {id} cannot depend on {dependency}, which itself waits for {id}")]
    Cycle {
        /// The feature.
        id: FeatureId,
        /// The dependency that closes the cycle.
        dependency: FeatureId,
    },
}

impl Refusal for DependencyProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Itself { .. } => "depends_on_itself",
            Self::TooMany { .. } => "too_many_dependencies",
            Self::Repeated { .. } => "repeated_dependency",
            Self::Unknown { .. } => "unknown_dependency",
            Self::Cycle { .. } => "dependency_cycle",
        }
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::Itself { id } | Self::Repeated { id } => vec![*id],
            Self::TooMany { .. } => Vec::new(),
            Self::Unknown { ids } => ids.clone(),
            Self::Cycle { id, dependency } => vec![*id, *dependency],
        }
    }
}

/// Why a priority that was asked for is refused: no command gives a feature a priority that another
/// one has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum PriorityProblem {
    /// It is below 1.
    #[error("a priority must be at least 1, not {priority}")]
    TooLow {
        /// What was asked for.
        priority: i64,
    },
    /// It belongs to another feature.
    #[error("priority {priority} belongs to feature {holder} already")]
    Taken {
        /// The priority.
        priority: i64,
        /// The feature that has it.
        holder: FeatureId,
    },
}

impl Refusal for PriorityProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLow { .. } => "priority_too_low",
            Self::Taken { .. } => "priority_taken",
        }
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::TooLow { .. } => Vec::new(),
            Self::Taken { holder, .. } => vec![*holder],
        }
    }
}

pub(super) fn list(ids: &[FeatureId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Checks what the dependencies of `id` shall become, against the graph as it is, and gives them
/// sorted.
pub(super) fn checked_dependencies(
    graph: &DependencyGraph,
    id: FeatureId,
    wanted: &[FeatureId],
) -> Result<Vec<FeatureId>, DependencyProblem> {
    let sorted = checked_but_for_cycles(graph, id, wanted)?;
    match sorted.iter().find(|dependency| graph.closes_cycle(id, **dependency)) {
        Some(&dependency) => Err(DependencyProblem::Cycle { id, dependency }),
        None => Ok(sorted),
    }
}

/// As [`checked_dependencies`], for whoever looks for cycles in the whole graph at once.
fn checked_but_for_cycles(
    graph: &DependencyGraph,
    id: FeatureId,
    wanted: &[FeatureId],
) -> Result<Vec<FeatureId>, DependencyProblem> {
    if wanted.contains(&id) {
        return Err(DependencyProblem::Itself { id });
    }
    if wanted.len() > Limits::DEPENDENCIES {
        return Err(DependencyProblem::TooMany { count: wanted.len(), max: Limits::DEPENDENCIES });
    }
    let mut sorted = wanted.to_vec();
    sorted.sort_unstable();
    if let Some([repeated, _]) = sorted
        .windows(2)
        .find_map(|pair| <[FeatureId; 2]>::try_from(pair).ok().filter(|[a, b]| a == b))
    {
        return Err(DependencyProblem::Repeated { id: repeated });
    }
    let unknown: Vec<_> = sorted.iter().copied().filter(|d| !graph.contains(*d)).collect();
    if unknown.is_empty() { Ok(sorted) } else { Err(DependencyProblem::Unknown { ids: unknown }) }
}
