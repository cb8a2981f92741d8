//! Why a feature cannot be taken: the one place that says so. What is ready, what is blocked and
//! what status a feature has all follow from it.

use std::collections::VecDeque;
use std::fmt;

use super::{DependencyGraph, FeatureId, GraphNode, Status};

/// A reason why a feature is not ready. Without any it is.
///
/// ```
/// use autoforge_store::{DependencyGraph, FeatureId, GraphNode, Obstacle};
/// let missing = FeatureId::from(9);
/// let node = GraphNode {
///     id: FeatureId::from(1),
///     priority: 1,
///     passes: false,
///     in_progress: true,
///     needs_human_input: false,
///     exhausted: false,
///     dependencies: vec![missing],
/// };
/// let graph = DependencyGraph::new([node]);
/// let obstacles = graph.obstacles(FeatureId::from(1)).unwrap();
/// assert_eq!(obstacles, [Obstacle::Dependency(missing), Obstacle::InProgress]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// It is done. Nothing else is an obstacle then.
    Passes,
    /// It waits for an answer from a human.
    WaitsForHuman,
    /// This one must pass before it, and does not.
    Dependency(FeatureId),
    /// An agent works on it.
    InProgress,
    /// Its attempts have failed too often.
    Exhausted,
}

impl Obstacle {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::WaitsForHuman => "waits_for_human",
            Self::Dependency(_) => "dependency",
            Self::InProgress => "in_progress",
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a dependency that does not pass stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DependencyState {
    /// There is no such feature.
    Missing,
    /// It is the feature that depends on it.
    Itself,
    /// It is there, and not done.
    Open(Status),
}

/// Where the waiting of a feature ends: what can be done, or has to be put right, before anything
/// else that it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootCauses {
    /// How many other features have to pass before it, at any distance, missing ones included.
    pub waits_for: usize,
    /// Those of them that wait for no feature themselves, by id.
    pub first: Vec<FeatureId>,
    /// The ids among them that do not exist, by id.
    pub missing: Vec<FeatureId>,
    /// The sets of features that wait for each other, or for themselves, and that it waits for or is
    /// in. Each by id, sorted by their first member.
    pub cycles: Vec<Vec<FeatureId>>,
}

impl DependencyGraph {
    /// Why a feature cannot be taken: nothing if it is ready, `None` for an unknown one. The first
    /// obstacle is the one that its status tells; dependencies come in the file's order with its
    /// repetitions.
    #[must_use]
    pub fn obstacles(&self, id: FeatureId) -> Option<Vec<Obstacle>> {
        self.node(id).map(|node| self.obstacles_of(node).collect())
    }

    /// Where a feature stands; `None` for an unknown one.
    #[must_use]
    pub fn status(&self, id: FeatureId) -> Option<Status> {
        Some(match self.obstacles_of(self.node(id)?).next() {
            Some(Obstacle::Passes) => Status::Done,
            Some(Obstacle::WaitsForHuman) => Status::NeedsHumanInput,
            Some(Obstacle::Dependency(_)) => Status::Blocked,
            Some(Obstacle::InProgress) => Status::InProgress,
            Some(Obstacle::Exhausted) | None => Status::Pending,
        })
    }

    /// The features that do not pass and have a dependency that does not pass, by id.
    #[must_use]
    pub fn blocked(&self) -> Vec<FeatureId> {
        self.first_blocked(usize::MAX)
    }

    /// The first of [`DependencyGraph::blocked`]. Costs what it gives.
    #[must_use]
    pub fn first_blocked(&self, max: usize) -> Vec<FeatureId> {
        self.ids(self.blocked.iter().copied().take(max))
    }

    /// How many there are of [`DependencyGraph::blocked`].
    #[must_use]
    pub fn blocked_count(&self) -> usize {
        self.blocked.len()
    }

    /// Where an unmet dependency of `id` stands; `None` if that feature does not wait for it.
    #[must_use]
    pub fn dependency_state(
        &self,
        id: FeatureId,
        dependency: FeatureId,
    ) -> Option<DependencyState> {
        let mut unmet = self.unmet_of(self.node(id)?);
        unmet.find(|other| *other == dependency)?;
        Some(match self.status(dependency) {
            _ if dependency == id => DependencyState::Itself,
            Some(status) => DependencyState::Open(status),
            None => DependencyState::Missing,
        })
    }

    /// The shortest circle that a feature waits in by way of this dependency: the feature, the
    /// dependency, and on to the last, which waits for the feature. None of them passes. `None` if
    /// there is no such circle.
    #[must_use]
    pub fn cycle_through(&self, id: FeatureId, dependency: FeatureId) -> Option<Vec<FeatureId>> {
        match self.dependency_state(id, dependency)? {
            DependencyState::Missing => return None,
            DependencyState::Itself => return Some(vec![id]),
            DependencyState::Open(_) => {}
        }
        let (goal, start) = (self.position(id)?, self.position(dependency)?);
        // For each feature that was reached, from which one.
        let mut from = self.per_node(None);
        from.set(start, Some(goal));
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for next in self.below(at) {
                if next == goal {
                    let mut circle = vec![at];
                    while let Some(before) = circle.last().and_then(|last| from.of(*last)) {
                        circle.push(before);
                    }
                    circle.reverse();
                    return Some(self.ids(circle));
                }
                if self.is_open(next) && from.of(next).is_none() {
                    from.set(next, Some(at));
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// Where the waiting of a feature ends. Nothing for one that waits for no feature, for one that
    /// passes, and for an unknown one.
    #[must_use]
    pub fn root_causes(&self, id: FeatureId) -> RootCauses {
        let mut causes = RootCauses::default();
        let at = self.position(id).filter(|at| self.is_open(*at));
        for mut component in self.components_from(at, |at| self.is_open(at)) {
            component.sort_unstable();
            let members = self.ids(component.iter().copied());
            causes.waits_for += members.iter().filter(|member| **member != id).count();
            for node in component.iter().filter_map(|at| self.node_at(*at)) {
                causes.missing.extend(node.dependencies.iter().filter(|id| !self.contains(**id)));
            }
            match members.as_slice() {
                [alone] if !self.waits_for_itself(*alone) => {
                    let is_first = *alone != id && self.unmet(*alone).is_empty();
                    causes.first.extend(is_first.then_some(*alone));
                }
                _ => causes.cycles.push(members),
            }
        }
        causes.first.sort_unstable();
        causes.missing.sort_unstable();
        causes.missing.dedup();
        causes.waits_for += causes.missing.len();
        causes.cycles.sort_unstable();
        causes
    }

    /// Why a feature cannot be taken. Lazy, and the only judge of it: whoever asks whether there is
    /// any obstacle pays for the first alone.
    pub(super) fn obstacles_of(&self, node: &GraphNode) -> impl Iterator<Item = Obstacle> {
        let own = |is: bool, obstacle| is.then_some(obstacle).into_iter();
        let open = (!node.passes).then(|| {
            own(node.needs_human_input, Obstacle::WaitsForHuman)
                .chain(self.unmet_of(node).map(Obstacle::Dependency))
                .chain(own(node.in_progress, Obstacle::InProgress))
                .chain(own(node.exhausted, Obstacle::Exhausted))
        });
        own(node.passes, Obstacle::Passes).chain(open.into_iter().flatten())
    }

    pub(super) fn is_ready(&self, node: &GraphNode) -> bool {
        self.obstacles_of(node).next().is_none()
    }

    pub(super) fn is_blocked(&self, node: &GraphNode) -> bool {
        self.obstacles_of(node).any(|obstacle| matches!(obstacle, Obstacle::Dependency(_)))
    }

    fn is_open(&self, at: usize) -> bool {
        self.node_at(at).is_some_and(|node| !node.passes)
    }
}
