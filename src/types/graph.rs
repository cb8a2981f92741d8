//! Which feature waits for which, and in what order the ready ones should be taken.
//!
//! The graph holds a feature's dependencies as the file has them, so it may contain ids that do not
//! exist, repetitions, features that wait for themselves, and cycles. Every walk is a loop over an
//! explicit stack or queue: chains of any length are fine.
//!
//! A graph can be kept up to date instead of being built anew. What a feature's own state decides,
//! whether it is ready or blocked, is adjusted for it and its direct dependents; the scores, which
//! hang on the shape of the whole graph, are computed when they are next asked for after the shape
//! has changed.

mod batch;
mod obstacle;
mod ranking;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{FeatureId, Status};
pub use obstacle::{DependencyState, Obstacle, RootCauses};
use ranking::Ranking;

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
/// It computes the order of what is ready when it is first asked for it, and keeps it; so it can be sent
/// to another thread, but not be shared between threads.
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
/// let mut graph = DependencyGraph::new([node(1, &[]), node(2, &[1]), node(3, &[])]);
/// assert_eq!(graph.ready(), [one, three], "another feature waits for 1, so it goes first");
/// assert_eq!(graph.status(two), Some(Status::Blocked));
/// assert!(graph.closes_cycle(one, two));
/// assert!(!graph.closes_cycle(three, two));
///
/// graph.set(GraphNode { passes: true, ..node(1, &[]) });
/// assert_eq!(graph.ready(), [three, two], "2 is farther from what waits for nothing");
/// ```
#[derive(Debug, Clone, Default)]
pub struct DependencyGraph {
    /// By id, each id once. A *position* is an index into this list. Removing a feature leaves its
    /// slot vacant, so positions stay.
    slots: Vec<Slot>,
    /// Who depends on an id that has no slot.
    named: BTreeMap<FeatureId, Vec<usize>>,
    counts: GraphCounts,
    /// The positions of [`DependencyGraph::blocked`].
    blocked: BTreeSet<usize>,
    /// Scores, and who is ready in their order. Empty after a change of the graph's shape.
    ranking: OnceCell<Ranking>,
}

#[derive(Debug, Clone)]
struct Slot {
    node: GraphNode,
    is_there: bool,
    /// The positions of those who depend on it, itself included: by id, each once.
    named_by: Vec<usize>,
}

/// How many features of a graph are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GraphCounts {
    /// All features.
    pub total: usize,
    /// Those that pass.
    pub passing: usize,
    /// Those that somebody works on, whether or not they pass.
    pub in_progress: usize,
    /// Those that wait for a human, whether or not they pass.
    pub needs_human_input: usize,
    /// Of those that do not pass: somebody works on them.
    pub open_in_progress: usize,
    /// Of those that do not pass: they wait for a human.
    pub open_needs_human_input: usize,
    /// Of those that do not pass: they have failed too often.
    pub open_exhausted: usize,
}

impl GraphCounts {
    fn add(&mut self, node: &GraphNode) {
        self.each(node, |count| *count += 1);
    }

    fn take(&mut self, node: &GraphNode) {
        self.each(node, |count| *count = count.saturating_sub(1));
    }

    fn each(&mut self, node: &GraphNode, change: impl Fn(&mut usize)) {
        let open = !node.passes;
        for (count, counts) in [
            (&mut self.total, true),
            (&mut self.passing, node.passes),
            (&mut self.in_progress, node.in_progress),
            (&mut self.needs_human_input, node.needs_human_input),
            (&mut self.open_in_progress, open && node.in_progress),
            (&mut self.open_needs_human_input, open && node.needs_human_input),
            (&mut self.open_exhausted, open && node.exhausted),
        ] {
            if counts {
                change(count);
            }
        }
    }
}

impl DependencyGraph {
    /// Builds the graph. Of several nodes with one id the first counts.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = GraphNode>) -> Self {
        let mut nodes: Vec<GraphNode> = nodes.into_iter().collect();
        nodes.sort_by_key(|node| node.id);
        nodes.dedup_by_key(|node| node.id);

        let mut graph = Self::default();
        graph.slots.reserve_exact(nodes.len());
        graph.slots.extend(nodes.into_iter().map(|node| Slot {
            node,
            is_there: true,
            named_by: Vec::new(),
        }));
        graph.make_room();
        for at in 0..graph.slots.len() {
            graph.link(at);
        }
        for at in 0..graph.slots.len() {
            if let Some(node) = graph.node_at(at)
                && graph.is_blocked(node)
            {
                graph.blocked.insert(at);
            }
        }
        for slot in &graph.slots {
            graph.counts.add(&slot.node);
        }
        graph
    }

    /// Makes the graph what [`DependencyGraph::new`] would build with this node in the place of the
    /// one with its id, or beside the others where there is none.
    ///
    /// A change that leaves dependencies and priority alone costs in proportion to the feature's own
    /// dependents. After any other, the next question for an order computes all scores anew.
    pub fn set(&mut self, node: GraphNode) {
        let Some(at) = self.place(node.id) else {
            // In the middle: every position behind it changes.
            *self = Self::new(self.nodes().cloned().chain([node]));
            return;
        };
        let Some(slot) = self.slots.get_mut(at) else { return };
        let (was_there, new) = (std::mem::replace(&mut slot.is_there, true), node);
        if was_there {
            self.counts.take(&slot.node);
        }
        self.counts.add(&new);
        let was_met = was_there && slot.node.passes;
        let is_met = new.passes;
        if was_there && slot.node.dependencies == new.dependencies {
            if slot.node.priority != new.priority {
                self.ranking.take();
            }
            slot.node = new;
        } else {
            self.ranking.take();
            self.unlink(at);
            if let Some(slot) = self.slots.get_mut(at) {
                slot.node = new;
            }
            self.link(at);
        }
        self.judge(at);
        if was_met != is_met {
            self.judge_dependents(at);
        }
    }

    /// Makes the graph what it would be without this feature. Those that depend on it go on naming
    /// it, and so wait for what does not exist.
    pub fn remove(&mut self, id: FeatureId) {
        let Some(at) = self.position(id) else { return };
        self.ranking.take();
        self.unlink(at);
        let Some(slot) = self.slots.get_mut(at) else { return };
        self.counts.take(&slot.node);
        slot.is_there = false;
        slot.node.dependencies = Vec::new();
        self.judge(at);
        self.judge_dependents(at);
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &GraphNode> + Clone {
        self.slots.iter().filter(|slot| slot.is_there).map(|slot| &slot.node)
    }

    /// How many features are in which state. Costs the same however many there are.
    #[must_use]
    pub fn counts(&self) -> GraphCounts {
        self.counts
    }

    /// What is known of one feature.
    #[must_use]
    pub fn node(&self, id: FeatureId) -> Option<&GraphNode> {
        self.node_at(self.position(id)?)
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

    /// The other features that depend directly on this one, by id. Empty for an unknown one.
    #[must_use]
    pub fn dependents(&self, id: FeatureId) -> Vec<FeatureId> {
        let Some(at) = self.position(id) else { return Vec::new() };
        self.ids(self.above(at))
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
        let Some(start) = self.position(dependency) else { return false };
        let Some(goals) = self.named_by(feature).filter(|goals| !goals.is_empty()) else {
            return false;
        };
        let mut seen = self.per_node(false);
        seen.set(start, true);
        let mut pending = vec![start];
        while let Some(at) = pending.pop() {
            if goals.binary_search(&at).is_ok() {
                return true;
            }
            for next in self.below(at) {
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
            .components_from(0..self.slots.len(), |_| true)
            .into_iter()
            .map(|mut component| {
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
            let mut missing = distinct(&node.dependencies);
            missing.retain(|id| !self.contains(*id));
            let id = node.id;
            missing.into_iter().map(move |missing| (id, missing))
        };
        self.nodes().flat_map(named).collect()
    }

    /// Where the id is, or where it goes: a new place at the end, if that is where it belongs.
    fn place(&mut self, id: FeatureId) -> Option<usize> {
        if let Some(at) = slot_of(&self.slots, id) {
            return Some(at);
        }
        if self.slots.last().is_some_and(|last| last.node.id > id) {
            return None;
        }
        let at = self.slots.len();
        let named_by = self.named.remove(&id).unwrap_or_default();
        let node = GraphNode {
            id,
            priority: 0,
            passes: false,
            in_progress: false,
            needs_human_input: false,
            exhausted: false,
            dependencies: Vec::new(),
        };
        self.slots.push(Slot { node, is_there: false, named_by });
        Some(at)
    }

    /// Lists that grow by themselves take half as much again.
    fn make_room(&mut self) {
        let mut named = vec![0; self.slots.len()];
        for at in 0..self.slots.len() {
            for of in self.names(at).iter().filter_map(|id| slot_of(&self.slots, *id)) {
                if let Some(count) = named.get_mut(of) {
                    *count += 1;
                }
            }
        }
        for (slot, named) in self.slots.iter_mut().zip(named) {
            slot.named_by.reserve_exact(named);
        }
    }

    fn named_by_mut(&mut self, id: FeatureId) -> &mut Vec<usize> {
        match slot_of(&self.slots, id).and_then(|at| self.slots.get_mut(at)) {
            Some(slot) => &mut slot.named_by,
            None => self.named.entry(id).or_default(),
        }
    }

    /// Notes at each id that a feature names that it does.
    fn link(&mut self, at: usize) {
        for id in self.names(at) {
            let named_by = self.named_by_mut(id);
            if let Err(place) = named_by.binary_search(&at) {
                named_by.insert(place, at);
            }
        }
    }

    fn unlink(&mut self, at: usize) {
        for id in self.names(at) {
            let named_by = self.named_by_mut(id);
            if let Ok(place) = named_by.binary_search(&at) {
                named_by.remove(place);
            }
            if named_by.is_empty() {
                self.named.remove(&id);
            }
        }
    }

    /// Notes whether a feature is blocked and whether it is ready.
    fn judge(&mut self, at: usize) {
        let node = self.node_at(at);
        let (blocked, ready) =
            node.map_or((false, false), |node| (self.is_blocked(node), self.is_ready(node)));
        if blocked {
            self.blocked.insert(at);
        } else {
            self.blocked.remove(&at);
        }
        if let Some(slot) = self.slots.get(at)
            && let Some(ranking) = self.ranking.get_mut()
        {
            ranking.note(at, slot.node.priority, ready);
        }
    }

    fn judge_dependents(&mut self, at: usize) {
        let dependents = self.slots.get(at).map(|slot| slot.named_by.clone()).unwrap_or_default();
        for dependent in dependents {
            self.judge(dependent);
        }
    }

    fn node_at(&self, at: usize) -> Option<&GraphNode> {
        self.slots.get(at).filter(|slot| slot.is_there).map(|slot| &slot.node)
    }

    fn position(&self, id: FeatureId) -> Option<usize> {
        slot_of(&self.slots, id).filter(|at| self.node_at(*at).is_some())
    }

    /// The ids that a feature names, each once.
    fn names(&self, at: usize) -> Vec<FeatureId> {
        self.node_at(at).map_or_else(Vec::new, |node| distinct(&node.dependencies))
    }

    /// Who depends on an id, whether or not it exists.
    fn named_by(&self, id: FeatureId) -> Option<&[usize]> {
        match slot_of(&self.slots, id) {
            Some(at) => self.slots.get(at).map(|slot| slot.named_by.as_slice()),
            None => self.named.get(&id).map(Vec::as_slice),
        }
    }

    /// The positions that a feature depends on, in the file's order with its repetitions.
    fn below(&self, at: usize) -> impl Iterator<Item = usize> {
        let named = self.node_at(at).map_or(&[][..], |node| node.dependencies.as_slice());
        named.iter().filter_map(|id| self.position(*id))
    }

    /// The positions of the others that depend on a feature: by id, each once.
    fn above(&self, at: usize) -> impl Iterator<Item = usize> {
        let named_by = self.slots.get(at).map_or(&[][..], |slot| slot.named_by.as_slice());
        named_by.iter().copied().filter(move |above| *above != at)
    }

    fn ids(&self, positions: impl IntoIterator<Item = usize>) -> Vec<FeatureId> {
        positions.into_iter().filter_map(|at| Some(self.node_at(at)?.id)).collect()
    }

    fn unmet_of(&self, node: &GraphNode) -> impl Iterator<Item = FeatureId> {
        node.dependencies.iter().copied().filter(|id| !self.passes(*id))
    }

    /// Whether a feature names itself as a dependency.
    #[must_use]
    pub fn waits_for_itself(&self, id: FeatureId) -> bool {
        self.node(id).is_some_and(|node| node.dependencies.contains(&id))
    }

    fn per_node<T: Copy + Default>(&self, value: T) -> PerNode<T> {
        PerNode(vec![value; self.slots.len()])
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
        // `Some(None)` for an edge to what does not exist.
        let edge_of = |at, edge| {
            let dependency = self.node_at(at)?.dependencies.get(edge)?;
            Some(self.position(*dependency))
        };
        let mut components = Vec::new();
        // When a node was first met, from 1; 0 before that, FINISHED once its component is known.
        let mut met = self.per_node(0_usize);
        // The earliest node on the stack that is known to be reachable.
        let mut low = self.per_node(0_usize);
        let mut clock = 0;
        let mut stack = Vec::new();
        let mut walk: Vec<(usize, usize)> = Vec::new();
        for root in roots {
            if met.of(root) == 0 && self.node_at(root).is_some() {
                walk.push((root, 0));
            }
            while let Some((at, edge)) = walk.pop() {
                if edge == 0 {
                    clock += 1;
                    met.set(at, clock);
                    low.set(at, clock);
                    stack.push(at);
                } else if let Some(Some(child)) = edge_of(at, edge - 1) {
                    // Back from this child, or it needed no visit: one that is finished or outside
                    // changes nothing.
                    if !matches!(met.of(child), 0 | FINISHED) {
                        low.set(at, low.of(at).min(low.of(child)));
                    }
                }
                if let Some(next) = edge_of(at, edge) {
                    walk.push((at, edge + 1));
                    let unmet = next.filter(|next| met.of(*next) == 0 && inside(*next));
                    walk.extend(unmet.map(|next| (next, 0)));
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
    fn of(&self, at: usize) -> T {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn set(&mut self, at: usize, value: T) {
        if let Some(slot) = self.0.get_mut(at) {
            *slot = value;
        }
    }
}

/// By id, each once.
fn distinct(ids: &[FeatureId]) -> Vec<FeatureId> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The slot of an id, vacant or not.
fn slot_of(slots: &[Slot], id: FeatureId) -> Option<usize> {
    // Ids mostly run without gaps, so the distance from the first is nearly always the place.
    let first = slots.first()?.node.id.get();
    let guess = id.get().checked_sub(first).and_then(|distance| usize::try_from(distance).ok());
    guess
        .filter(|&at| slots.get(at).is_some_and(|slot| slot.node.id == id))
        .or_else(|| slots.binary_search_by_key(&id, |slot| slot.node.id).ok())
}

#[cfg(test)]
mod tests;
