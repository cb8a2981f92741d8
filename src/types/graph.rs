//! Which feature waits for which, and in what order the ready ones should be taken.
//!
//! The graph holds a feature's dependencies as the file has them, so it may contain ids that do not
//! exist, repetitions, features that wait for themselves, and cycles. Every walk is a loop over an
//! explicit stack or queue: chains of any length are fine.

mod batch;
mod obstacle;

use std::collections::VecDeque;

use super::{FeatureId, Status};
pub use obstacle::{DependencyState, Obstacle, RootCauses};

/// What the graph needs to know of one feature.
///
/// ```
/// use autoforge_store::{FeatureId, GraphNode};
/// let login = GraphNode {
///     id: FeatureId::from(2),
///     priority: 1,
///     passes: false,
///     in_progress: false,
///     needs_human_input: false,
///     exhausted: false,
///     dependencies: vec![FeatureId::from(1)],
/// };
/// assert_eq!(login.dependencies.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column or a mark of its own")]
pub struct GraphNode {
    /// Its number.
    pub id: FeatureId,
    /// Lower is sooner.
    pub priority: i64,
    /// It is done.
    pub passes: bool,
    /// An agent works on it: it is claimed, and the claim is not over.
    pub in_progress: bool,
    /// It waits for an answer from a human.
    pub needs_human_input: bool,
    /// Its attempts have failed so often that it is not tried again.
    pub exhausted: bool,
    /// The features that must pass first, as the file has them.
    pub dependencies: Vec<FeatureId>,
}

/// The features of a project and the edges between them.
///
/// ```
/// use autoforge_store::{DependencyGraph, FeatureId, GraphNode, Status};
/// let node = |id: i64, dependencies: &[i64]| GraphNode {
///     id: FeatureId::from(id),
///     priority: id,
///     passes: false,
///     in_progress: false,
///     needs_human_input: false,
///     exhausted: false,
///     dependencies: dependencies.iter().map(|&id| FeatureId::from(id)).collect(),
/// };
/// let [one, two, three] = [1, 2, 3].map(FeatureId::from);
///
/// let graph = DependencyGraph::new([node(1, &[]), node(2, &[1]), node(3, &[])]);
/// assert_eq!(graph.ready(), [one, three], "another feature waits for 1, so it goes first");
/// assert_eq!(graph.status(two), Some(Status::Blocked));
/// assert!(graph.closes_cycle(one, two));
/// assert!(!graph.closes_cycle(three, two));
/// ```
#[derive(Debug, Clone)]
pub struct DependencyGraph {
    /// By id, each id once. A *position* is an index into this list.
    nodes: Vec<GraphNode>,
    /// For each position, the positions it depends on: each once, without itself.
    dependencies: Vec<Vec<usize>>,
    /// For each position, the positions that depend on it: by id, each once, without itself.
    dependents: Vec<Vec<usize>>,
}

impl DependencyGraph {
    /// Builds the graph. Of several nodes with one id the first counts.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = GraphNode>) -> Self {
        let mut nodes: Vec<GraphNode> = nodes.into_iter().collect();
        nodes.sort_by_key(|node| node.id);
        nodes.dedup_by_key(|node| node.id);

        let mut dependencies = Vec::with_capacity(nodes.len());
        let mut dependents = vec![Vec::new(); nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            let mut below: Vec<usize> =
                node.dependencies.iter().filter_map(|id| position(&nodes, *id)).collect();
            below.sort_unstable();
            below.dedup();
            below.retain(|&dependency| dependency != at);
            for &dependency in &below {
                if let Some(above) = dependents.get_mut(dependency) {
                    above.push(at);
                }
            }
            dependencies.push(below);
        }
        Self { nodes, dependencies, dependents }
    }

    /// All nodes, by id.
    #[must_use]
    pub fn nodes(&self) -> &[GraphNode] {
        &self.nodes
    }

    /// What is known of one feature.
    #[must_use]
    pub fn node(&self, id: FeatureId) -> Option<&GraphNode> {
        self.nodes.get(position(&self.nodes, id)?)
    }

    /// Whether there is such a feature.
    #[must_use]
    pub fn contains(&self, id: FeatureId) -> bool {
        self.node(id).is_some()
    }

    /// Whether there is such a feature and it passes.
    #[must_use]
    pub fn passes(&self, id: FeatureId) -> bool {
        self.node(id).is_some_and(|node| node.passes)
    }

    /// The dependencies of a feature that do not pass, those that do not exist included, in the
    /// file's order with its repetitions. Empty for an unknown feature.
    #[must_use]
    pub fn unmet(&self, id: FeatureId) -> Vec<FeatureId> {
        self.node(id).map_or_else(Vec::new, |node| self.unmet_of(node).collect())
    }

    /// The features that can be taken now, which are those without any [`Obstacle`]. The one to take
    /// first comes first.
    ///
    /// The order is by score, higher first, then by priority, then by id. The score is
    /// `1000·u + 100·d + 10·p`: `u` grows with the number of dependency paths that start at the
    /// feature, `d` with its closeness to features without dependencies, `p` with the urgency of
    /// its priority. Each is 1 at best; priorities below 0 alone exceed that.
    #[must_use]
    pub fn ready(&self) -> Vec<FeatureId> {
        let mut ready: Vec<(f64, &GraphNode)> = self
            .scores()
            .into_iter()
            .zip(&self.nodes)
            .filter(|(_, node)| self.obstacles_of(node).next().is_none())
            .collect();
        ready.sort_by(batch::in_order);
        ready.into_iter().map(|(_, node)| node.id).collect()
    }

    /// The other features that depend directly on this one, by id. Empty for an unknown one.
    #[must_use]
    pub fn dependents(&self, id: FeatureId) -> Vec<FeatureId> {
        let above = position(&self.nodes, id).and_then(|at| self.dependents.get(at));
        self.ids(above.map_or(&[], Vec::as_slice))
    }

    /// Whether making `feature` depend on `dependency` would close a cycle: they are the same, or
    /// `dependency` already waits for `feature`, directly or through others.
    ///
    /// Neither needs to exist: an id that a feature names counts although nothing has it yet.
    #[must_use]
    pub fn closes_cycle(&self, feature: FeatureId, dependency: FeatureId) -> bool {
        if dependency == feature {
            return true;
        }
        let Some(start) = position(&self.nodes, dependency) else { return false };
        let mut seen = PerNode::new(&self.nodes, false);
        seen.set(start, true);
        let mut pending = vec![start];
        while let Some(at) = pending.pop() {
            if self.nodes.get(at).is_some_and(|node| node.dependencies.contains(&feature)) {
                return true;
            }
            for &next in edges(&self.dependencies, at) {
                if !seen.of(next) {
                    seen.set(next, true);
                    pending.push(next);
                }
            }
        }
        false
    }

    /// The sets of features that wait for each other, and features that wait for themselves. Each
    /// set is sorted, and the sets are sorted by their first member.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<FeatureId>> {
        let mut cycles: Vec<Vec<FeatureId>> = self
            .components_from(0..self.nodes.len(), |_| true)
            .iter_mut()
            .map(|component| {
                component.sort_unstable();
                self.ids(component)
            })
            .filter(|ids| ids.len() > 1 || ids.iter().any(|id| self.waits_for_itself(*id)))
            .collect();
        cycles.sort_unstable();
        cycles
    }

    /// Every feature with an id that it depends on and that does not exist: by feature, then by
    /// the missing id, each pair once.
    #[must_use]
    pub fn dangling(&self) -> Vec<(FeatureId, FeatureId)> {
        let named = |node: &GraphNode| {
            let mut missing: Vec<(FeatureId, FeatureId)> = node
                .dependencies
                .iter()
                .filter(|id| !self.contains(**id))
                .map(|id| (node.id, *id))
                .collect();
            missing.sort_unstable();
            missing.dedup();
            missing
        };
        self.nodes.iter().flat_map(named).collect()
    }

    fn ids(&self, positions: &[usize]) -> Vec<FeatureId> {
        positions.iter().filter_map(|&at| Some(self.nodes.get(at)?.id)).collect()
    }

    fn unmet_of(&self, node: &GraphNode) -> impl Iterator<Item = FeatureId> {
        node.dependencies.iter().copied().filter(|id| !self.passes(*id))
    }

    fn waits_for_itself(&self, id: FeatureId) -> bool {
        self.node(id).is_some_and(|node| node.dependencies.contains(&id))
    }

    /// The score of each position. Every feature counts, passing ones included, so a score does not
    /// shift when another feature passes.
    fn scores(&self) -> Vec<f64> {
        let downstream = self.downstream_counts();
        let depths = self.depths();
        let most = downstream.0.iter().copied().fold(0.0, f64::max);
        let deepest = f64::from(depths.0.iter().copied().max().unwrap_or(0));
        let score = |(at, node): (usize, &GraphNode)| {
            let u = if most > 0.0 { downstream.of(at) / most } else { 0.0 };
            let d = if deepest > 0.0 { 1.0 - f64::from(depths.of(at)) / deepest } else { 1.0 };
            let p = (10.0 - float(node.priority.min(10))) / 10.0;
            1000.0 * u + 100.0 * d + 10.0 * p
        };
        self.nodes.iter().enumerate().map(score).collect()
    }

    /// For each position the number of dependency paths that start at it: the sum over its
    /// dependents of 1 + the dependent's own number.
    ///
    /// A dependent whose own number never resolves, because a cycle lies on it or above it, adds 1.
    fn downstream_counts(&self) -> PerNode<f64> {
        // The number of paths doubles with every layer of a lattice, so it outgrows every integer.
        // As a float it is exact up to 2^53. Clamping keeps it finite: with two infinite numbers,
        // one divided by the other would be NaN, and every other feature would score 0.
        let add = |a: f64, b: f64| (a + b).min(f64::MAX);
        let mut counts = PerNode::new(&self.nodes, 0.0);
        let mut unresolved = PerNode(self.dependents.iter().map(Vec::len).collect());
        let free = |(at, above): (usize, &Vec<usize>)| above.is_empty().then_some(at);
        let mut resolved: Vec<usize> =
            self.dependents.iter().enumerate().filter_map(free).collect();
        while let Some(at) = resolved.pop() {
            for &below in edges(&self.dependencies, at) {
                counts.set(below, add(counts.of(below), add(1.0, counts.of(at))));
                unresolved.set(below, unresolved.of(below) - 1);
                if unresolved.of(below) == 0 {
                    resolved.push(below);
                }
            }
        }
        for (at, dependencies) in self.dependencies.iter().enumerate() {
            if unresolved.of(at) > 0 {
                for &below in dependencies {
                    counts.set(below, add(counts.of(below), 1.0));
                }
            }
        }
        counts
    }

    /// For each position the length of the shortest way to a feature without dependencies; 0 where
    /// there is none, because every way ends in a cycle.
    fn depths(&self) -> PerNode<u32> {
        let mut seen = PerNode(self.dependencies.iter().map(Vec::is_empty).collect());
        let root = |(at, below): (usize, &Vec<usize>)| below.is_empty().then_some(at);
        let mut queue: VecDeque<usize> =
            self.dependencies.iter().enumerate().filter_map(root).collect();
        let mut depths = PerNode::new(&self.nodes, 0_u32);
        while let Some(at) = queue.pop_front() {
            for &above in edges(&self.dependents, at) {
                if !seen.of(above) {
                    seen.set(above, true);
                    depths.set(above, depths.of(at).saturating_add(1));
                    queue.push_back(above);
                }
            }
        }
        depths
    }

    /// The strongly connected components of what can be reached from the roots without leaving what
    /// is `inside`, by Tarjan's algorithm. The roots must be inside.
    fn components_from(
        &self,
        roots: impl IntoIterator<Item = usize>,
        inside: impl Fn(usize) -> bool,
    ) -> Vec<Vec<usize>> {
        /// Later than every node that is still on the stack.
        const FINISHED: usize = usize::MAX;
        let mut components = Vec::new();
        // When a node was first met, from 1; 0 before that, FINISHED once its component is known.
        let mut met = PerNode::new(&self.nodes, 0_usize);
        // The earliest node on the stack that is known to be reachable.
        let mut low = PerNode::new(&self.nodes, 0_usize);
        let mut clock = 0;
        let mut stack = Vec::new();
        let mut walk: Vec<(usize, usize)> = Vec::new();
        for root in roots {
            if met.of(root) == 0 {
                walk.push((root, 0));
            }
            while let Some((at, edge)) = walk.pop() {
                if edge == 0 {
                    clock += 1;
                    met.set(at, clock);
                    low.set(at, clock);
                    stack.push(at);
                } else if let Some(&child) = edges(&self.dependencies, at).get(edge - 1) {
                    // Back from this child, or it needed no visit: one that is finished or outside
                    // changes nothing.
                    if !matches!(met.of(child), 0 | FINISHED) {
                        low.set(at, low.of(at).min(low.of(child)));
                    }
                }
                if let Some(&next) = edges(&self.dependencies, at).get(edge) {
                    walk.push((at, edge + 1));
                    if met.of(next) == 0 && inside(next) {
                        walk.push((next, 0));
                    }
                } else if low.of(at) == met.of(at) {
                    let start = stack.iter().rposition(|&other| other == at).unwrap_or(0);
                    let component = stack.split_off(start);
                    for &member in &component {
                        met.set(member, FINISHED);
                    }
                    components.push(component);
                }
            }
        }
        components
    }
}

/// One value for each position. Positions come from the graph itself, so none is ever missing.
struct PerNode<T>(Vec<T>);

impl<T: Copy + Default> PerNode<T> {
    fn new(nodes: &[GraphNode], value: T) -> Self {
        Self(vec![value; nodes.len()])
    }

    fn of(&self, at: usize) -> T {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn set(&mut self, at: usize, value: T) {
        if let Some(slot) = self.0.get_mut(at) {
            *slot = value;
        }
    }
}

fn edges(lists: &[Vec<usize>], at: usize) -> &[usize] {
    lists.get(at).map_or(&[], Vec::as_slice)
}

fn position(nodes: &[GraphNode], id: FeatureId) -> Option<usize> {
    // Ids mostly run without gaps, so the distance from the first is nearly always the place.
    let first = nodes.first()?.id.get();
    let guess = id.get().checked_sub(first).and_then(|distance| usize::try_from(distance).ok());
    guess
        .filter(|&at| nodes.get(at).is_some_and(|node| node.id == id))
        .or_else(|| nodes.binary_search_by_key(&id, |node| node.id).ok())
}

#[expect(clippy::cast_precision_loss, reason = "a score needs no more than 53 bits of a priority")]
fn float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
