//! A graph that is kept up to date is the one that would be built anew.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone)]
enum Edit {
    Set(GraphNode),
    /// Of the feature in this place alone, whatever it is then.
    Flip(FeatureId, [bool; 4]),
    Remove(FeatureId),
    /// An order is asked for, so that there is one to be kept.
    Ask,
}

fn any_node() -> impl Strategy<Value = GraphNode> {
    let dependencies = prop::collection::vec(0..12_i64, 0..5);
    (0..12_i64, -2..12_i64, any::<[bool; 4]>(), dependencies).prop_map(
        |(id, priority, [passes, in_progress, needs_human_input, exhausted], depends_on)| {
            let states = GraphNode {
                passes,
                in_progress,
                needs_human_input,
                exhausted,
                ..node(id, &depends_on)
            };
            GraphNode { priority, ..states }
        },
    )
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let id = || (0..12_i64).prop_map(FeatureId::from);
    prop_oneof![
        3 => any_node().prop_map(Edit::Set),
        4 => (id(), any::<[bool; 4]>()).prop_map(|(id, states)| Edit::Flip(id, states)),
        1 => id().prop_map(Edit::Remove),
        2 => Just(Edit::Ask),
    ]
}

fn is_as_if_built_anew(kept: &DependencyGraph) {
    let anew = DependencyGraph::new(kept.nodes().cloned());
    assert_eq!(kept.counts(), anew.counts());
    assert_eq!((kept.blocked(), kept.blocked_count()), (anew.blocked(), anew.blocked().len()));
    assert_eq!(kept.first_blocked(2), anew.blocked().into_iter().take(2).collect::<Vec<_>>());
    assert_eq!((kept.cycles(), kept.dangling()), (anew.cycles(), anew.dangling()));
    for id in (0..13).map(FeatureId::from) {
        assert_eq!(kept.dependents(id), anew.dependents(id));
        assert_eq!((kept.unmet(id), kept.status(id)), (anew.unmet(id), anew.status(id)));
        assert_eq!(kept.root_causes(id), anew.root_causes(id));
        assert_eq!(kept.closes_cycle(id, 3.into()), anew.closes_cycle(id, 3.into()));
        assert_eq!(kept.closes_cycle(3.into(), id), anew.closes_cycle(3.into(), id));
    }
}

fn has_the_order_of_one_built_anew(kept: &DependencyGraph) {
    let anew = DependencyGraph::new(kept.nodes().cloned());
    let ready = anew.ready();
    assert_eq!((kept.ready(), kept.ready_count()), (ready.clone(), ready.len()));
    assert_eq!(kept.first_ready(2), ready.iter().copied().take(2).collect::<Vec<_>>());
    for id in (0..13).map(FeatureId::from) {
        assert_eq!(kept.place_among_ready(id), ready.iter().position(|other| *other == id));
    }
    let alike = |a: FeatureId, b: FeatureId| a.get() % 2 == b.get() % 2;
    assert_eq!(kept.batch(4, 1, alike), anew.batch(4, 1, alike));
}

proptest! {
    #[test]
    fn a_graph_that_is_kept_is_the_one_that_would_be_built_anew(
        start in prop::collection::vec(any_node(), 0..8),
        edits in prop::collection::vec(any_edit(), 0..24),
    ) {
        let mut kept = DependencyGraph::new(start.clone());
        let mut nodes: BTreeMap<FeatureId, GraphNode> = BTreeMap::new();
        for node in start {
            nodes.entry(node.id).or_insert(node);
        }
        for edit in edits {
            match edit {
                Edit::Set(node) => {
                    nodes.insert(node.id, node.clone());
                    kept.set(node);
                }
                Edit::Flip(id, [passes, in_progress, needs_human_input, exhausted]) => {
                    if let Some(node) = nodes.get_mut(&id) {
                        *node = GraphNode {
                            passes, in_progress, needs_human_input, exhausted, ..node.clone()
                        };
                        kept.set(node.clone());
                    }
                }
                Edit::Remove(id) => {
                    nodes.remove(&id);
                    kept.remove(id);
                }
                Edit::Ask => has_the_order_of_one_built_anew(&kept),
            }
            prop_assert!(kept.nodes().eq(nodes.values()));
            is_as_if_built_anew(&kept);
        }
        has_the_order_of_one_built_anew(&kept);
    }
}
