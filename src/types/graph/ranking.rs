//! In what order features should be taken.

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};

use super::{DependencyGraph, FeatureId, PerNode, distinct};

/// What the shape of a graph says of each feature, and who is ready in that order.
#[derive(Debug, Clone)]
pub(super) struct Ranking {
    /// By position.
    scores: Vec<f64>,
    ready: BTreeSet<Rank>,
}

/// A place in the scheduling order: by score, higher first, then by priority, then by id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rank {
    score: f64,
    priority: i64,
    /// Positions are in the order of ids.
    pub(super) at: usize,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score
            .then_with(|| self.priority.cmp(&other.priority))
            .then_with(|| self.at.cmp(&other.at))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rank {}

impl Ranking {
    /// Notes whether a feature is ready. Its place is the one that it had when the scores were
    /// computed: nothing that would change it leaves a ranking behind.
    pub(super) fn note(&mut self, at: usize, priority: i64, ready: bool) {
        let rank = self.rank(at, priority);
        if ready {
            self.ready.insert(rank);
        } else {
            self.ready.remove(&rank);
        }
    }

    fn rank(&self, at: usize, priority: i64) -> Rank {
        Rank { score: self.scores.get(at).copied().unwrap_or_default(), priority, at }
    }
}

impl DependencyGraph {
    /// The features that can be taken now, which are those without any [`Obstacle`]. The one to take
    /// first comes first.
    ///
    /// The order is by score, higher first, then by priority, then by id. The score is
    /// `1000·u + 100·d + 10·p`: `u` grows with the number of dependency paths that start at the
    /// feature, `d` with its closeness to features without dependencies, `p` with the urgency of
    /// its priority. Each is 1 at best; priorities below 0 alone exceed that.
    ///
    /// [`Obstacle`]: super::Obstacle
    #[must_use]
    pub fn ready(&self) -> Vec<FeatureId> {
        self.first_ready(usize::MAX)
    }

    /// The first of [`DependencyGraph::ready`]. Costs what it gives, as long as the graph keeps its
    /// shape.
    #[must_use]
    pub fn first_ready(&self, max: usize) -> Vec<FeatureId> {
        self.ready_in_order().take(max).collect()
    }

    pub(super) fn ready_in_order(&self) -> impl Iterator<Item = FeatureId> {
        let ready = self.ranking().ready.iter();
        ready.filter_map(|rank| self.node_at(rank.at).map(|node| node.id))
    }

    /// How many there are of [`DependencyGraph::ready`].
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.ranking().ready.len()
    }

    /// The place of a feature in [`DependencyGraph::ready`], from 0; `None` for one that is not.
    #[must_use]
    pub fn place_among_ready(&self, id: FeatureId) -> Option<usize> {
        let ready = &self.ranking().ready;
        let rank = self.rank_of(self.position(id)?)?;
        ready.contains(&rank).then(|| ready.range(..rank).count())
    }

    /// The position in the scheduling order of a feature, whether or not it is ready.
    pub(super) fn rank_of(&self, at: usize) -> Option<Rank> {
        Some(self.ranking().rank(at, self.node_at(at)?.priority))
    }

    fn ranking(&self) -> &Ranking {
        self.ranking.get_or_init(|| {
            let mut ranking = Ranking { scores: self.scores(), ready: BTreeSet::new() };
            let nodes = (0..self.slots.len()).filter_map(|at| Some((at, self.node_at(at)?)));
            let ready = nodes.filter(|(_, node)| self.is_ready(node));
            ranking.ready = ready.map(|(at, node)| ranking.rank(at, node.priority)).collect();
            ranking
        })
    }

    /// The score of each position. Every feature counts, passing ones included, so a score does not
    /// shift when another feature passes.
    pub(super) fn scores(&self) -> Vec<f64> {
        let downstream = self.downstream_counts();
        let depths = self.depths();
        let most = downstream.0.iter().copied().fold(0.0, f64::max);
        let deepest = f64::from(depths.0.iter().copied().max().unwrap_or(0));
        let score = |at| {
            let u = if most > 0.0 { downstream.of(at) / most } else { 0.0 };
            let d = if deepest > 0.0 { 1.0 - f64::from(depths.of(at)) / deepest } else { 1.0 };
            let priority = self.node_at(at).map_or(0, |node| node.priority);
            let p = (10.0 - float(priority.min(10))) / 10.0;
            1000.0 * u + 100.0 * d + 10.0 * p
        };
        (0..self.slots.len()).map(score).collect()
    }

    /// For each position the number of dependency paths that start at it: the sum over its
    /// dependents of 1 + the dependent's own number.
    ///
    /// A dependent whose own number never resolves, because a cycle lies on it or above it, adds 1.
    pub(super) fn downstream_counts(&self) -> PerNode<f64> {
        // The number of paths doubles with every layer of a lattice, so it outgrows every integer.
        // As a float it is exact up to 2^53. Clamping keeps it finite: with two infinite numbers,
        // one divided by the other would be NaN, and every other feature would score 0.
        let add = |a: f64, b: f64| (a + b).min(f64::MAX);
        let mut counts = self.per_node(0.0);
        let positions = 0..self.slots.len();
        let mut unresolved = PerNode(positions.map(|at| self.above(at).count()).collect());
        let mut resolved: Vec<usize> = Vec::new();
        resolved.extend((0..self.slots.len()).filter(|at| unresolved.of(*at) == 0));
        while let Some(at) = resolved.pop() {
            for below in self.others_below(at) {
                counts.set(below, add(counts.of(below), add(1.0, counts.of(at))));
                unresolved.set(below, unresolved.of(below) - 1);
                if unresolved.of(below) == 0 {
                    resolved.push(below);
                }
            }
        }
        for at in (0..self.slots.len()).filter(|at| unresolved.of(*at) > 0) {
            for below in self.others_below(at) {
                counts.set(below, add(counts.of(below), 1.0));
            }
        }
        counts
    }

    /// For each position the length of the shortest way to a feature without dependencies; 0 where
    /// there is none, because every way ends in a cycle.
    pub(super) fn depths(&self) -> PerNode<u32> {
        let positions = 0..self.slots.len();
        let has_none =
            |at: usize| self.node_at(at).is_some() && self.below(at).all(|below| below == at);
        let mut seen = PerNode(positions.map(has_none).collect());
        let mut queue: VecDeque<usize> = (0..self.slots.len()).filter(|at| seen.of(*at)).collect();
        let mut depths = self.per_node(0_u32);
        while let Some(at) = queue.pop_front() {
            for above in self.above(at) {
                if !seen.of(above) {
                    seen.set(above, true);
                    depths.set(above, depths.of(at).saturating_add(1));
                    queue.push_back(above);
                }
            }
        }
        depths
    }

    /// The positions of the others that a feature depends on, each once.
    fn others_below(&self, at: usize) -> impl Iterator<Item = usize> {
        let named = self.node_at(at).map_or_else(Vec::new, |node| distinct(&node.dependencies));
        named.into_iter().filter_map(|id| self.position(id)).filter(move |below| *below != at)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a score needs no more than 53 bits of a priority")]
fn float(number: i64) -> f64 {
    number as f64
}
