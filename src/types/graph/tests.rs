mod kept;

use proptest::prelude::*;

use super::*;

fn node(id: i64, dependencies: &[i64]) -> GraphNode {
    GraphNode {
        id: id.into(),
        priority: id,
        passes: false,
        in_progress: false,
        needs_human_input: false,
        exhausted: false,
        dependencies: ids(dependencies),
    }
}

fn ids(numbers: &[i64]) -> Vec<FeatureId> {
    numbers.iter().copied().map(FeatureId::from).collect()
}

fn graph(nodes: &[(i64, &[i64])]) -> DependencyGraph {
    DependencyGraph::new(nodes.iter().map(|(id, dependencies)| node(*id, dependencies)))
}

#[test]
fn an_empty_graph_answers_every_question() {
    let empty = graph(&[]);
    assert!(
        empty.ready().is_empty() && empty.blocked().is_empty() && empty.nodes().next().is_none()
    );
    assert!(empty.cycles().is_empty() && empty.dangling().is_empty());
    assert_eq!(empty.status(1.into()), None);
    assert!(!empty.closes_cycle(1.into(), 2.into()));
    assert!(empty.closes_cycle(1.into(), 1.into()));
}

#[test]
fn of_several_nodes_with_one_id_the_first_counts() {
    let twice = graph(&[(2, &[]), (1, &[2]), (2, &[1])]);
    assert_eq!(twice.counts().total, 2);
    assert_eq!(twice.ready(), ids(&[2]));
}

#[test]
fn ids_with_gaps_and_at_the_ends_of_the_range_are_found() {
    let wide = graph(&[(i64::MIN, &[]), (-5, &[i64::MIN]), (7, &[-5]), (i64::MAX, &[7])]);
    for id in [i64::MIN, -5, 7, i64::MAX] {
        assert!(wide.contains(id.into()), "{id}");
    }
    for id in [i64::MIN + 1, -4, 0, 8, i64::MAX - 1] {
        assert!(!wide.contains(id.into()), "{id}");
    }
}

#[test]
fn unmet_dependencies_keep_their_order_and_repetitions() {
    let mut done = node(1, &[]);
    done.passes = true;
    let odd = DependencyGraph::new([done, node(2, &[9, 3, 1, 3, 2]), node(3, &[])]);
    assert_eq!(odd.unmet(2.into()), ids(&[9, 3, 3, 2]));
    assert_eq!(odd.unmet(8.into()), ids(&[]));
    assert!(odd.passes(1.into()) && !odd.passes(2.into()) && !odd.passes(9.into()));
}

#[test]
fn status_is_the_first_that_applies() {
    let mut everything = node(1, &[9]);
    everything.in_progress = true;
    everything.needs_human_input = true;
    everything.passes = true;
    let mut expect = |status, relax: fn(&mut GraphNode)| {
        let graph = DependencyGraph::new([everything.clone()]);
        assert_eq!(graph.status(1.into()), Some(status));
        relax(&mut everything);
    };
    expect(Status::Done, |node| node.passes = false);
    expect(Status::NeedsHumanInput, |node| node.needs_human_input = false);
    expect(Status::Blocked, |node| node.dependencies.clear());
    expect(Status::InProgress, |node| node.in_progress = false);
    expect(Status::Pending, |_| ());
}

#[test]
fn what_unblocks_most_goes_first_then_what_is_shallow_then_what_is_urgent() {
    let mut done = node(1, &[]);
    done.passes = true;
    let mut later = node(6, &[]);
    later.priority = 3;
    let nodes = [
        done,
        node(2, &[1]),
        node(3, &[2]),
        node(4, &[2]),
        later,
        node(5, &[1]),
        node(7, &[]),
        node(8, &[]),
    ];
    // 2 has two dependents; 6, 7 and 8 are shallower than 5; 6 has the lowest priority of them.
    assert_eq!(DependencyGraph::new(nodes).ready(), ids(&[2, 6, 7, 8, 5]));
}

#[test]
fn equal_scores_go_by_priority_and_then_by_id() {
    let mut nodes = [node(1, &[]), node(2, &[]), node(3, &[]), node(4, &[])];
    for (node, priority) in nodes.iter_mut().zip([90, 11, 11, 10]) {
        node.priority = priority;
    }
    assert_eq!(DependencyGraph::new(nodes).ready(), ids(&[4, 2, 3, 1]));
}

#[test]
fn paths_longer_than_the_shortest_one_are_counted() {
    // 4 hangs below 1 directly and by way of 2 and 3; counting by depth would miss paths.
    let graph = graph(&[(1, &[]), (2, &[1]), (3, &[2]), (4, &[1, 3]), (5, &[4])]);
    assert_eq!(graph.downstream_counts().0, [6.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!(graph.depths().0, [0, 1, 2, 1, 2]);
}

#[test]
fn what_lies_on_or_above_a_cycle_counts_as_one_without_its_own_dependents() {
    // 2 and 3 wait for each other, 4 waits for them, and all of them for 1.
    let graph = graph(&[(1, &[]), (2, &[1, 3]), (3, &[2]), (4, &[3, 5]), (5, &[5])]);
    assert_eq!(graph.downstream_counts().0, [1.0, 1.0, 2.0, 0.0, 1.0]);
    assert_eq!(graph.depths().0, [0, 1, 2, 1, 0]);
}

#[test]
fn a_chain_of_any_length_neither_overflows_the_stack_nor_takes_long() {
    const LENGTH: i64 = 100_000;
    let chain = DependencyGraph::new((1..=LENGTH).map(|id| node(id, &[id - 1])));
    assert_eq!(chain.blocked().len(), 100_000);
    assert_eq!(chain.dangling(), [(1.into(), 0.into())]);
    assert!(chain.ready().is_empty() && chain.cycles().is_empty());
    assert!(chain.closes_cycle(1.into(), LENGTH.into()));
    assert!(!chain.closes_cycle(LENGTH.into(), 1.into()));

    let ring = DependencyGraph::new(
        (1..=LENGTH).map(|id| node(id, &[if id == 1 { LENGTH } else { id - 1 }])),
    );
    assert_eq!(ring.cycles().iter().map(Vec::len).collect::<Vec<_>>(), [100_000]);
    assert!(ring.ready().is_empty());
}

#[test]
fn more_paths_than_any_number_can_hold_still_give_an_order() {
    // Each layer of two depends on both of the layer before, so every layer doubles the paths.
    let layered = |id: i64| match (id - 1) / 2 {
        0 => node(id, &[]),
        layer => node(id, &[2 * layer - 1, 2 * layer]),
    };
    let lattice = DependencyGraph::new((1..=3000).map(layered).chain([node(3001, &[])]));
    assert_eq!(lattice.ready(), ids(&[1, 2, 3001]));
    assert!(lattice.scores().iter().all(|score| score.is_finite()));
}

#[test]
fn an_extreme_priority_is_still_a_number() {
    let mut nodes = [node(1, &[]), node(2, &[])];
    nodes[0].priority = i64::MAX;
    nodes[1].priority = i64::MIN;
    assert_eq!(DependencyGraph::new(nodes).ready(), ids(&[2, 1]));
}

#[test]
fn an_id_that_only_others_name_can_close_a_cycle() {
    let graph = graph(&[(1, &[2]), (2, &[9])]);
    assert!(graph.closes_cycle(9.into(), 1.into()));
    assert!(!graph.closes_cycle(1.into(), 9.into()));
}

#[test]
fn cycles_and_missing_ids_are_listed_sorted_and_once() {
    let odd =
        graph(&[(4, &[4, 1]), (3, &[8, 2, 7, 8]), (2, &[3, 5]), (5, &[6]), (6, &[5, 5]), (1, &[])]);
    assert_eq!(odd.cycles(), [ids(&[2, 3]), ids(&[4]), ids(&[5, 6])]);
    assert_eq!(odd.dangling(), [(3.into(), 7.into()), (3.into(), 8.into())]);
    assert_eq!(odd.dependents(5.into()), ids(&[2, 6]));
    assert_eq!(odd.dependents(4.into()), ids(&[]));
    assert_eq!(odd.dependents(8.into()), ids(&[]));
}

fn obstacles_of(node: GraphNode) -> Vec<Obstacle> {
    let id = node.id;
    DependencyGraph::new([node]).obstacles(id).unwrap()
}

#[test]
fn each_obstacle_is_told_alone_and_beside_the_others() {
    let (mut waiting, mut claimed, mut failed) = (node(1, &[]), node(1, &[]), node(1, &[]));
    waiting.needs_human_input = true;
    claimed.in_progress = true;
    failed.exhausted = true;
    assert_eq!(obstacles_of(node(1, &[])), []);
    assert_eq!(obstacles_of(waiting), [Obstacle::WaitsForHuman]);
    assert_eq!(obstacles_of(claimed), [Obstacle::InProgress]);
    assert_eq!(obstacles_of(failed), [Obstacle::Exhausted]);

    let mut everything = node(1, &[9, 1, 9]);
    everything.in_progress = true;
    everything.needs_human_input = true;
    everything.exhausted = true;
    let dependencies = [9, 1, 9].map(|id| Obstacle::Dependency(id.into()));
    let expected = [Obstacle::WaitsForHuman]
        .into_iter()
        .chain(dependencies)
        .chain([Obstacle::InProgress, Obstacle::Exhausted]);
    assert_eq!(obstacles_of(everything.clone()), expected.collect::<Vec<_>>());

    everything.passes = true;
    assert_eq!(obstacles_of(everything), [Obstacle::Passes], "nothing else keeps it");
    assert_eq!(graph(&[]).obstacles(1.into()), None);
}

#[test]
fn a_feature_that_has_failed_too_often_is_pending_and_not_ready() {
    let mut failed = node(1, &[]);
    failed.exhausted = true;
    let graph = DependencyGraph::new([failed]);
    assert_eq!(graph.status(1.into()), Some(Status::Pending));
    assert_eq!(graph.ready(), ids(&[]));
}

#[test]
fn a_dependency_is_missing_or_the_feature_itself_or_open() {
    let mut done = node(2, &[]);
    done.passes = true;
    let graph = DependencyGraph::new([node(1, &[1, 2, 3, 9]), done, node(3, &[9]), node(4, &[])]);
    let state = |dependency: i64| graph.dependency_state(1.into(), dependency.into());
    assert_eq!(state(1), Some(DependencyState::Itself));
    assert_eq!(state(2), None, "it passes");
    assert_eq!(state(3), Some(DependencyState::Open(Status::Blocked)));
    assert_eq!(state(4), None, "1 does not wait for it");
    assert_eq!(state(9), Some(DependencyState::Missing));
    assert_eq!(graph.dependency_state(8.into(), 9.into()), None);
}

#[test]
fn the_shortest_circle_is_told_in_its_order() {
    // From 2 back to 1 by way of 3 and 4, or of 5 alone; 6 leads back to 1 too, but passes.
    let mut done = node(6, &[1]);
    done.passes = true;
    let nodes = [(1, &[2, 7, 6, 9][..]), (2, &[3, 5]), (3, &[4]), (4, &[1]), (5, &[1]), (7, &[6])];
    let graph = DependencyGraph::new(
        nodes.map(|(id, depends_on)| node(id, depends_on)).into_iter().chain([done]),
    );
    let circle = |id: i64, dependency: i64| graph.cycle_through(id.into(), dependency.into());
    assert_eq!(circle(1, 2), Some(ids(&[1, 2, 5])));
    assert_eq!(circle(4, 1), Some(ids(&[4, 1, 2, 3])));
    for (id, dependency) in [(1, 7), (1, 6), (1, 9), (1, 3), (8, 1)] {
        assert_eq!(circle(id, dependency), None, "{id} by way of {dependency}");
    }
}

#[test]
fn the_root_causes_are_the_ends_of_all_ways_and_the_circles_on_them() {
    let mut done = node(8, &[99]);
    done.passes = true;
    let nodes = [
        (1, &[2, 3, 8][..]),
        (2, &[4, 5, 77]),
        (3, &[5, 10]),
        (4, &[]),
        (5, &[6]),
        (6, &[5, 7]),
        (7, &[77]),
        (9, &[1]),
        (10, &[10]),
    ];
    let graph = DependencyGraph::new(
        nodes.map(|(id, depends_on)| node(id, depends_on)).into_iter().chain([done]),
    );
    let expected = RootCauses {
        waits_for: 8,
        first: ids(&[4]),
        missing: ids(&[77]),
        cycles: vec![ids(&[5, 6]), ids(&[10])],
    };
    assert_eq!(graph.root_causes(1.into()), expected);
    let of_five = graph.root_causes(5.into());
    assert_eq!((of_five.waits_for, of_five.cycles), (3, vec![ids(&[5, 6])]), "it waits for itself");
    for id in [4, 8, 66] {
        assert_eq!(graph.root_causes(id.into()), RootCauses::default(), "{id}");
    }
}

#[test]
fn a_chain_and_a_circle_of_any_length_are_explained() {
    const LENGTH: i64 = 100_000;
    let chain = DependencyGraph::new((1..=LENGTH).map(|id| node(id, &[id - 1])));
    let causes = chain.root_causes(LENGTH.into());
    assert_eq!((causes.waits_for, causes.missing), (100_000, ids(&[0])));
    assert_eq!(chain.cycle_through(LENGTH.into(), (LENGTH - 1).into()), None);
    let ring = DependencyGraph::new(
        (1..=LENGTH).map(|id| node(id, &[if id == 1 { LENGTH } else { id - 1 }])),
    );
    assert_eq!(ring.cycle_through(7.into(), 6.into()).map(|circle| circle.len()), Some(100_000));
    assert_eq!(ring.root_causes(7.into()).cycles.len(), 1);
}

/// The definitions taken literally, by recursion and repetition.
struct Naive<'a>(&'a DependencyGraph);

impl Naive<'_> {
    fn edge(&self, from: FeatureId, to: FeatureId) -> bool {
        let node = self.0.nodes().find(|node| node.id == from);
        from != to && self.known(to) && node.is_some_and(|n| n.dependencies.contains(&to))
    }

    fn known(&self, id: FeatureId) -> bool {
        self.0.nodes().any(|node| node.id == id)
    }

    fn all(&self) -> impl Iterator<Item = FeatureId> {
        self.0.nodes().map(|node| node.id)
    }

    fn above(&self, id: FeatureId) -> Vec<FeatureId> {
        self.all().filter(|other| self.edge(*other, id)).collect()
    }

    /// Whether a way of at least one edge leads from one to the other.
    fn reaches(&self, from: FeatureId, to: FeatureId) -> bool {
        let mut reached: Vec<FeatureId> = self.all().filter(|id| self.edge(from, *id)).collect();
        for _ in self.all() {
            let known = reached.clone();
            reached.extend(self.all().filter(|id| known.iter().any(|k| self.edge(*k, *id))));
            reached.sort_unstable();
            reached.dedup();
        }
        reached.contains(&to)
    }

    /// Neither on a cycle nor below one.
    fn resolves(&self, id: FeatureId) -> bool {
        !self
            .all()
            .any(|other| self.reaches(other, other) && (other == id || self.reaches(other, id)))
    }

    fn downstream(&self, id: FeatureId) -> f64 {
        let below = |above: &FeatureId| {
            if self.resolves(*above) { self.downstream(*above) } else { 0.0 }
        };
        self.above(id).iter().fold(0.0, |sum, above| sum + 1.0 + below(above))
    }

    fn depth(&self, id: FeatureId) -> u32 {
        let roots: Vec<FeatureId> =
            self.all().filter(|a| !self.all().any(|b| self.edge(*a, b))).collect();
        let mut layer = roots;
        for depth in 0..=self.0.counts().total {
            if layer.contains(&id) {
                return u32::try_from(depth).unwrap();
            }
            layer = self.all().filter(|a| layer.iter().any(|b| self.edge(*a, *b))).collect();
        }
        0
    }

    fn cycles(&self) -> Vec<Vec<FeatureId>> {
        let alone = |id: FeatureId| self.0.waits_for_itself(id).then(|| vec![id]);
        let ring = |id: FeatureId| {
            let both = |other: &FeatureId| self.reaches(id, *other) && self.reaches(*other, id);
            Some(self.all().filter(both).collect::<Vec<_>>()).filter(|ring| !ring.is_empty())
        };
        let mut found: Vec<_> =
            self.all().filter_map(|id| ring(id).or_else(|| alone(id))).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn any_graph() -> impl Strategy<Value = DependencyGraph> {
    let dependencies = prop::collection::vec(0..10_i64, 0..4);
    let one = (-3..14_i64, any::<[bool; 3]>(), any::<bool>(), dependencies);
    prop::collection::vec(one, 0..9).prop_map(|rows| {
        DependencyGraph::new((1..).zip(rows).map(|(id, (priority, flags, rare, depends_on))| {
            GraphNode {
                priority,
                passes: flags[0] && flags[1],
                in_progress: flags[2] && rare,
                needs_human_input: flags[0] && rare,
                exhausted: flags[1] && rare,
                ..node(id, &depends_on)
            }
        }))
    })
}

proptest! {
    #[test]
    fn counts_depths_and_cycles_match_their_definitions(graph in any_graph()) {
        let naive = Naive(&graph);
        let (downstream, depths) = (graph.downstream_counts(), graph.depths());
        for (at, node) in graph.nodes().enumerate() {
            let (counted, expected) = (downstream.of(at), naive.downstream(node.id));
            prop_assert!(counted.total_cmp(&expected).is_eq(), "{counted} of {}", node.id);
            prop_assert_eq!(depths.of(at), naive.depth(node.id), "{}", node.id);
            prop_assert_eq!(graph.dependents(node.id), naive.above(node.id));
        }
        prop_assert_eq!(graph.cycles(), naive.cycles());
    }

    #[test]
    fn a_cycle_is_foreseen_exactly_when_the_edge_would_make_one(
        graph in any_graph(),
        feature in 0..11_i64,
        dependency in 0..11_i64,
    ) {
        let (feature, dependency) = (FeatureId::from(feature), FeatureId::from(dependency));
        let mut with_edge = graph.nodes().cloned().collect::<Vec<_>>();
        with_edge.extend([feature, dependency].map(|id| node(id.get(), &[])));
        let with_edge = DependencyGraph::new(with_edge.into_iter().map(|mut node| {
            node.dependencies.extend((node.id == feature).then_some(dependency));
            node
        }));
        let made =
            feature == dependency || Naive(&with_edge).reaches(dependency, feature);
        prop_assert_eq!(graph.closes_cycle(feature, dependency), made);
    }

    #[test]
    fn every_feature_is_ready_or_blocked_or_has_another_reason(graph in any_graph()) {
        let (ready, blocked) = (graph.ready(), graph.blocked());
        for node in graph.nodes() {
            let unmet = graph.unmet(node.id);
            let pending = graph.status(node.id) == Some(Status::Pending);
            prop_assert_eq!(ready.contains(&node.id), pending && !node.exhausted);
            prop_assert_eq!(blocked.contains(&node.id), !node.passes && !unmet.is_empty());
            prop_assert!(!ready.contains(&node.id) || unmet.is_empty());
        }
        let scores = graph.scores();
        let key = |id: &FeatureId| {
            let at = graph.nodes().position(|node| node.id == *id).unwrap();
            (scores[at], graph.node(*id).unwrap().priority, *id)
        };
        for pair in ready.windows(2) {
            let (first, second) = (key(&pair[0]), key(&pair[1]));
            let score = second.0.total_cmp(&first.0);
            prop_assert!(score.then((first.1, first.2).cmp(&(second.1, second.2))).is_lt());
        }
    }

    #[test]
    fn a_feature_is_ready_exactly_when_it_has_no_obstacle(graph in any_graph()) {
        let ready = graph.ready();
        for node in graph.nodes() {
            let obstacles = graph.obstacles(node.id).unwrap();
            prop_assert_eq!(ready.contains(&node.id), obstacles.is_empty());
            let told = |obstacle| obstacles.contains(&obstacle);
            prop_assert_eq!(told(Obstacle::Passes), node.passes);
            if node.passes {
                prop_assert_eq!(obstacles.len(), 1);
                continue;
            }
            prop_assert_eq!(told(Obstacle::WaitsForHuman), node.needs_human_input);
            prop_assert_eq!(told(Obstacle::InProgress), node.in_progress);
            prop_assert_eq!(told(Obstacle::Exhausted), node.exhausted);
            for id in (0..10).map(FeatureId::from) {
                let waits = node.dependencies.contains(&id) && !graph.passes(id);
                prop_assert_eq!(told(Obstacle::Dependency(id)), waits);
                prop_assert_eq!(graph.dependency_state(node.id, id).is_some(), waits);
            }
        }
    }

    #[test]
    fn circles_and_root_causes_match_their_definitions(graph in any_graph()) {
        let open = DependencyGraph::new(graph.nodes().filter(|n| !n.passes).cloned());
        let naive = Naive(&open);
        for node in open.nodes() {
            let id = node.id;
            for dependency in &node.dependencies {
                let circle = graph.cycle_through(id, *dependency);
                let there = *dependency == id
                    || naive.edge(id, *dependency) && naive.reaches(*dependency, id);
                prop_assert_eq!(circle.is_some(), there);
                let Some(circle) = circle.filter(|circle| circle.len() > 1) else { continue };
                prop_assert_eq!((circle[0], circle[1]), (id, *dependency));
                let after = circle.iter().cycle().skip(1);
                prop_assert!(circle.iter().zip(after).all(|(a, b)| naive.edge(*a, *b)));
            }

            let beneath = |other: &FeatureId| *other != id && naive.reaches(id, *other);
            let features: Vec<FeatureId> = naive.all().filter(beneath).collect();
            let and_itself = || features.iter().copied().chain([id]);
            let mut missing: Vec<FeatureId> = and_itself()
                .flat_map(|other| graph.node(other).unwrap().dependencies.clone())
                .filter(|other| !graph.contains(*other))
                .collect();
            missing.sort_unstable();
            missing.dedup();
            let first = |other: &FeatureId| graph.unmet(*other).is_empty();
            let expected = RootCauses {
                waits_for: features.len() + missing.len(),
                first: features.iter().copied().filter(first).collect(),
                missing,
                cycles: naive
                    .cycles()
                    .into_iter()
                    .filter(|cycle| cycle.iter().any(|member| and_itself().any(|o| o == *member)))
                    .collect(),
            };
            prop_assert_eq!(graph.root_causes(id), expected);
        }
    }
}
