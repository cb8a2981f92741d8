//! Which features one agent should get together.

use std::collections::BTreeSet;

use super::{DependencyGraph, FeatureId, GraphNode, Obstacle};

impl DependencyGraph {
    /// The features for one agent, in the order in which it should build them; at most `max`, and
    /// none where nothing is ready.
    ///
    /// The first is the first of [`DependencyGraph::ready`]. Then come, as long as there are any,
    /// features that can be built once those before them pass and that wait for at least one of
    /// them, the highest score first: whoever has built the one knows best how to build the other.
    /// What is left is filled with ready features of the same kind as the first, but `others` of the
    /// ready ones are left to other agents, where there are so many.
    ///
    /// ```
    /// use autoforge_store::{DependencyGraph, FeatureId, GraphNode};
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
    /// let graph = DependencyGraph::new([node(1, &[]), node(2, &[1]), node(3, &[])]);
    /// assert_eq!(graph.batch(3, 0, |_, _| true), [one, two, three]);
    /// assert_eq!(graph.batch(3, 1, |_, _| true), [one, two], "3 is left for somebody else");
    /// ```
    #[must_use]
    pub fn batch(
        &self,
        max: usize,
        others: usize,
        same_kind: impl Fn(FeatureId, FeatureId) -> bool,
    ) -> Vec<FeatureId> {
        let mut batch = self.first_ready(max.min(1));
        let Some(&first) = batch.first() else { return Vec::new() };
        while batch.len() < max
            && let Some(next) = self.next_in_chain(&batch)
        {
            batch.push(next);
        }
        let room = max - batch.len();
        let spare = self.ready_count().saturating_sub(1 + others).min(room);
        if spare > 0 {
            let others = self.ready_in_order().skip(1);
            batch.extend(others.filter(|id| same_kind(first, *id)).take(spare));
        }
        batch
    }

    /// The best of those that wait for nothing but features which are taken, and for at least one.
    fn next_in_chain(&self, taken: &[FeatureId]) -> Option<FeatureId> {
        let taken: BTreeSet<FeatureId> = taken.iter().copied().collect();
        let only_for_taken = |node: &GraphNode| {
            self.obstacles_of(node).all(|obstacle| match obstacle {
                Obstacle::Dependency(id) => taken.contains(&id),
                _ => false,
            })
        };
        let positions = taken.iter().filter_map(|id| self.position(*id));
        let followers = positions.flat_map(|at| self.above(at));
        let candidates = followers.filter(|at| {
            self.node_at(*at).is_some_and(|node| !taken.contains(&node.id) && only_for_taken(node))
        });
        let best = candidates.filter_map(|at| self.rank_of(at)).min()?;
        self.node_at(best.at).map(|node| node.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: i64, dependencies: &[i64]) -> GraphNode {
        GraphNode {
            id: id.into(),
            priority: id,
            passes: false,
            in_progress: false,
            needs_human_input: false,
            exhausted: false,
            dependencies: dependencies.iter().map(|&id| id.into()).collect(),
        }
    }

    fn batch(graph: &DependencyGraph, max: usize, others: usize) -> Vec<i64> {
        let alike = |a: FeatureId, b: FeatureId| a.get() % 2 == b.get() % 2;
        graph.batch(max, others, alike).into_iter().map(FeatureId::get).collect()
    }

    #[test]
    fn a_chain_comes_before_features_of_the_same_kind() {
        let graph = DependencyGraph::new([
            node(1, &[]),
            node(2, &[1]),
            node(3, &[2, 1]),
            node(4, &[]),
            node(5, &[]),
            node(7, &[]),
        ]);
        assert_eq!(batch(&graph, 9, 0), [1, 2, 3, 5, 7]);
        assert_eq!(batch(&graph, 2, 0), [1, 2]);
        assert_eq!(batch(&graph, 9, 2), [1, 2, 3, 5], "of 4 ready ones 2 stay");
        assert_eq!(batch(&graph, 9, 99), [1, 2, 3]);
        assert_eq!(batch(&graph, 0, 0), [] as [i64; 0]);
    }

    #[test]
    fn what_waits_for_anything_else_stays() {
        let mut asked = node(3, &[1]);
        asked.needs_human_input = true;
        let mut claimed = node(4, &[1]);
        claimed.in_progress = true;
        let mut failed = node(5, &[1]);
        failed.exhausted = true;
        let graph = DependencyGraph::new([
            node(1, &[]),
            node(2, &[1, 99]),
            asked,
            claimed,
            failed,
            node(6, &[1, 8]),
            node(7, &[7, 1]),
            node(8, &[]),
        ]);
        assert_eq!(batch(&graph, 9, 9), [1]);
    }

    #[test]
    fn among_dependents_the_score_decides() {
        let graph = DependencyGraph::new([
            node(1, &[]),
            node(2, &[1]),
            node(3, &[1]),
            node(4, &[3]),
            node(5, &[4]),
        ]);
        assert_eq!(batch(&graph, 3, 0), [1, 3, 4], "most waits for 3");
    }

    #[test]
    fn nothing_ready_makes_no_batch() {
        let graph = DependencyGraph::new([node(1, &[2]), node(2, &[1])]);
        assert_eq!(batch(&graph, 3, 0), [] as [i64; 0]);
    }
}
