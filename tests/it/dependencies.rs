//! Dependencies: every way in applies the same rules, edits last, and what other programs stored is
//! shown and never a crash.

use autoforge_store::{
    AddDependency, BulkRefusal, CreateFeature, CreateFeatures, CreateRefusal, DependencyProblem,
    DependencyRefusal, Error, Feature, FeatureChanges, GetBlocked, GetFeature, GetGraph, GetReady,
    ImportBacklog, ImportRefusal, Limits, MarkPassing, PlannedFeature, Refusal, RemoveDependency,
    SetDependencies, Status, Store, UpdateFeature, UpdateRefusal,
};

use crate::support::{Project, feature, ids, names, new_feature, text};

fn set(store: &Store, id: i64, dependencies: &[i64]) -> Result<(), DependencyProblem> {
    let command = SetDependencies { id: id.into(), dependencies: ids(dependencies) };
    match store.call(command) {
        Ok(list) => {
            assert_eq!(feature(store, id).dependencies, list.dependencies);
            Ok(())
        }
        Err(Error::Refused(DependencyRefusal::Invalid(problem))) => Err(problem),
        Err(error) => panic!("{error}"),
    }
}

fn update(store: &Store, id: i64, dependencies: &[i64]) -> Result<(), DependencyProblem> {
    let changes = FeatureChanges { dependencies: Some(ids(dependencies)), ..Default::default() };
    match store.call(UpdateFeature { id: id.into(), changes, expected: None }) {
        Ok(feature) => {
            assert_eq!(feature.dependencies, ids(dependencies));
            Ok(())
        }
        Err(Error::Refused(UpdateRefusal::Dependencies(problem))) => Err(problem),
        Err(error) => panic!("{error}"),
    }
}

fn create(store: &Store, dependencies: &[i64]) -> Result<(), DependencyProblem> {
    let mut command = CreateFeature::new(new_feature("New"));
    command.dependencies = ids(dependencies);
    match store.call(command) {
        Ok(feature) => {
            assert_eq!(feature.dependencies, ids(dependencies));
            Ok(())
        }
        Err(Error::Refused(CreateRefusal::Dependencies(problem))) => Err(problem),
        Err(error) => panic!("{error}"),
    }
}

/// Adds them one by one.
fn add(store: &Store, id: i64, dependencies: &[i64]) -> Result<(), DependencyProblem> {
    for dependency in dependencies {
        let command = AddDependency { id: id.into(), dependency: (*dependency).into() };
        match store.call(command) {
            Ok(_) => {}
            Err(Error::Refused(DependencyRefusal::Invalid(problem))) => return Err(problem),
            Err(Error::Refused(DependencyRefusal::AlreadyThere { dependency, .. })) => {
                return Err(DependencyProblem::Repeated { id: dependency });
            }
            Err(error) => panic!("{error}"),
        }
    }
    Ok(())
}

/// Imports the features 1 to 30, of which this one has these dependencies, into an empty project.
fn import(id: i64, dependencies: &[i64]) -> Result<(), DependencyProblem> {
    let (_project, store) = Project::with_features(0);
    let list: Vec<_> = (1..=30)
        .map(|n| serde_json::json!({"dependencies": if n == id { dependencies } else { &[] }}))
        .collect();
    let entries = Feature::parse_backlog(serde_json::json!(list).to_string().as_bytes()).unwrap();
    match store.call(ImportBacklog { entries }) {
        Ok(count) => {
            assert_eq!(count, 30);
            assert_eq!(feature(&store, id).dependencies, ids(dependencies));
            Ok(())
        }
        Err(Error::Refused(ImportRefusal::Entry { index, id: refused, problem })) => {
            assert_eq!((index, refused.get()), (usize::try_from(id - 1).unwrap(), id));
            assert_eq!(names(&store), Vec::<String>::new(), "all or nothing");
            Err(problem)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_way_in_refuses_the_same_lists() {
    let many: Vec<i64> = (1..=21).collect();
    let most: Vec<i64> = (1..=20).collect();
    let too_many = DependencyProblem::TooMany { count: 21, max: Limits::DEPENDENCIES };
    let cases: [(&[i64], Result<(), DependencyProblem>); 6] = [
        (&[1, 2], Ok(())),
        (&most, Ok(())),
        (&many, Err(too_many)),
        (&[1, 77, 99], Err(DependencyProblem::Unknown { ids: ids(&[77, 99]) })),
        (&[2, 1, 2], Err(DependencyProblem::Repeated { id: 2.into() })),
        (&[30], Err(DependencyProblem::Itself { id: 30.into() })),
    ];
    for (list, expected) in cases {
        let by_one_way = |way: &dyn Fn(&Store) -> Result<(), DependencyProblem>, count| {
            let (_project, store) = Project::with_features(count);
            let before = names(&store);
            let answer = way(&store);
            if answer.is_err() {
                assert_eq!(names(&store), before);
            }
            answer
        };
        assert_eq!(by_one_way(&|store| set(store, 30, list), 30), expected, "set {list:?}");
        assert_eq!(by_one_way(&|store| update(store, 30, list), 30), expected, "update {list:?}");
        // The feature that is created will be the 30th.
        assert_eq!(by_one_way(&|store| create(store, list), 29), expected, "create {list:?}");
        assert_eq!(import(30, list), expected, "import {list:?}");
        // One at a time, the first missing id ends it.
        let expected = match expected {
            Err(DependencyProblem::Unknown { .. }) => {
                Err(DependencyProblem::Unknown { ids: ids(&[77]) })
            }
            other => other,
        };
        assert_eq!(by_one_way(&|store| add(store, 30, list), 30), expected, "add {list:?}");
    }
}

#[test]
fn a_cycle_is_refused_at_any_depth_and_on_every_way() {
    for length in [2, 3, 50, 400] {
        let (_project, store) = Project::with_features(length);
        let last = i64::try_from(length).unwrap();
        for id in 2..=last {
            set(&store, id, &[id - 1]).unwrap();
        }
        let cycle = Err(DependencyProblem::Cycle { id: 1.into(), dependency: last.into() });
        assert_eq!(set(&store, 1, &[last]), cycle);
        assert_eq!(update(&store, 1, &[last]), cycle);
        assert_eq!(add(&store, 1, &[last]), cycle);
        assert_eq!(feature(&store, 1).dependencies, []);
        assert_eq!(store.call(GetGraph).unwrap().cycles, Vec::<Vec<_>>::new());
    }
    let (_project, store) = Project::with_features(0);
    let list = br#"[{"id": 1, "dependencies": [3]}, {"id": 2, "dependencies": [1]},
        {"id": 3, "dependencies": [2]}]"#;
    let entries = Feature::parse_backlog(list).unwrap();
    let Err(Error::Refused(ImportRefusal::Entry { problem, .. })) =
        store.call(ImportBacklog { entries })
    else {
        panic!("a cycle was imported")
    };
    assert!(matches!(problem, DependencyProblem::Cycle { .. }));
}

#[test]
fn a_created_feature_cannot_close_a_cycle_through_an_id_that_waits_for_it_already() {
    let (project, store) = Project::with_features(2);
    project
        .foreign()
        .execute_batch("UPDATE features SET dependencies = '[3]' WHERE id = 1")
        .unwrap();
    let cycle = Err(DependencyProblem::Cycle { id: 3.into(), dependency: 1.into() });
    assert_eq!(create(&store, &[1]), cycle);
    assert_eq!(create(&store, &[2]), Ok(()));
}

#[test]
fn features_created_together_depend_on_earlier_ones_alone() {
    let (_project, store) = Project::with_features(3);
    let plan = |depends_on: Vec<Vec<usize>>| {
        let planned = depends_on
            .into_iter()
            .map(|depends_on| PlannedFeature { feature: new_feature("Planned"), depends_on });
        store.call(CreateFeatures::new(planned.collect()))
    };
    let created = plan(vec![vec![], vec![0], vec![1, 0]]).unwrap();
    assert_eq!((created.ids, created.with_dependencies), (ids(&[4, 5, 6]), 2));
    assert_eq!(feature(&store, 6).dependencies, ids(&[4, 5]));
    for (positions, refusal) in [
        (vec![vec![0]], BulkRefusal::NotEarlier { index: 0, position: 0 }),
        (vec![vec![], vec![2], vec![]], BulkRefusal::NotEarlier { index: 1, position: 2 }),
        (vec![vec![], vec![], vec![1, 0, 1]], BulkRefusal::Repeated { index: 2, position: 1 }),
    ] {
        assert_eq!(plan(positions), Err(Error::Refused(refusal)));
    }
    let mut many = vec![vec![]; 21];
    many.push((0..21).collect());
    let refusal = BulkRefusal::TooManyDependencies { index: 21, count: 21, max: 20 };
    assert_eq!(plan(many), Err(Error::Refused(refusal)));
    assert_eq!(names(&store).len(), 6, "all or none");
}

#[test]
fn edits_of_dependencies_are_in_the_file_and_not_only_in_the_answer() {
    let (project, store) = Project::with_features(4);
    let in_file = |id: i64| {
        let sql = format!("SELECT coalesce(dependencies, 'NULL') FROM features WHERE id = {id}");
        text(&project.foreign(), &sql)
    };
    add(&store, 4, &[3]).unwrap();
    assert_eq!(in_file(4), "[3]");
    add(&store, 4, &[1]).unwrap();
    assert_eq!(in_file(4), "[1, 3]");
    let removed = store.call(RemoveDependency { id: 4.into(), dependency: 3.into() }).unwrap();
    assert_eq!(removed.dependencies, ids(&[1]));
    assert_eq!(in_file(4), "[1]");
    set(&store, 4, &[1, 2]).unwrap();
    assert_eq!(in_file(4), "[1, 2]");
    update(&store, 4, &[2]).unwrap();
    assert_eq!(in_file(4), "[2]");
    set(&store, 4, &[]).unwrap();
    assert_eq!(in_file(4), "NULL", "none is stored as every program reads it");
}

#[test]
fn what_is_there_already_or_not_there_is_said() {
    let (_project, store) = Project::with_features(2);
    add(&store, 2, &[1]).unwrap();
    let again = store.call(AddDependency { id: 2.into(), dependency: 1.into() });
    let refusal = DependencyRefusal::AlreadyThere { id: 2.into(), dependency: 1.into() };
    assert_eq!(refusal.code(), "dependency_exists");
    assert_eq!(again, Err(Error::Refused(refusal)));
    let none = store.call(RemoveDependency { id: 1.into(), dependency: 2.into() });
    let refusal = DependencyRefusal::NotThere { id: 1.into(), dependency: 2.into() };
    assert_eq!(none, Err(Error::Refused(refusal)));
    let missing = Err(Error::Refused(DependencyRefusal::NotFound { id: 9.into() }));
    assert_eq!(store.call(AddDependency { id: 9.into(), dependency: 1.into() }), missing);
    assert_eq!(store.call(RemoveDependency { id: 9.into(), dependency: 1.into() }), missing);
    assert_eq!(store.call(SetDependencies { id: 9.into(), dependencies: vec![] }), missing);
}

/// A project whose feature 2 has this text as dependencies.
fn stored(text: &str) -> (Project, Store) {
    let (project, store) = Project::with_features(3);
    let sql = "UPDATE features SET dependencies = ?1 WHERE id = 2";
    project.foreign().execute(sql, [text]).unwrap();
    (project, store)
}

#[test]
fn text_that_other_programs_stored_is_read_without_trust() {
    for (text, kept) in [
        ("null", vec![]),
        ("[]", vec![]),
        ("", vec![]),
        ("   ", vec![]),
        ("not json", vec![]),
        ("{\"a\": 1}", vec![]),
        ("7", vec![]),
        ("[1", vec![]),
        ("[true, false, null, \"1\", 1.0, 1.5, [1], {}]", vec![]),
        ("[1, 1]", vec![1, 1]),
        ("[2]", vec![2]),
        ("[3, 9999, -5, 0]", vec![3, 9999, -5, 0]),
        ("[99999999999999999999]", vec![]),
        ("[18446744073709551615]", vec![i64::MAX]),
    ] {
        let (_project, store) = stored(text);
        assert_eq!(feature(&store, 2).dependencies, ids(&kept), "{text}");
        let blocked = !kept.is_empty();
        let expected = if blocked { Status::Blocked } else { Status::Pending };
        let graph = store.call(GetGraph).unwrap();
        assert_eq!(graph.nodes[1].status, expected, "{text}");
        let ready = store.call(GetReady { limit: 10 }).unwrap();
        assert_eq!(ready.total, if blocked { 2 } else { 3 }, "{text}");
        let waiting = store.call(GetBlocked { limit: 10 }).unwrap();
        assert_eq!(waiting.total, usize::from(blocked), "{text}");
    }
}

#[test]
fn a_feature_that_waits_for_a_missing_id_is_blocked_and_reported() {
    let (_project, store) = stored("[1, 9999]");
    store.call(MarkPassing { id: 1.into() }).unwrap();
    let blocked = store.call(GetBlocked { limit: 10 }).unwrap();
    assert_eq!(blocked.features[0].blocked_by, ids(&[9999]));
    let graph = store.call(GetGraph).unwrap();
    assert_eq!(graph.dangling, [(2.into(), 9999.into())]);
    let shown = graph.to_json();
    let edge = serde_json::json!({"source": 9999, "target": 2});
    assert!(
        shown["edges"].as_array().unwrap().contains(&edge),
        "an edge that agents were always shown"
    );
    assert_eq!(graph.edges, [(1.into(), 2.into())]);
    // Its owner can say that it need not wait.
    store.call(RemoveDependency { id: 2.into(), dependency: 9999.into() }).unwrap();
    assert_eq!(store.call(GetBlocked { limit: 10 }).unwrap().total, 0);
}

#[test]
fn cycles_that_other_programs_stored_are_shown_and_can_be_taken_apart() {
    let (project, store) = Project::with_features(4);
    project
        .foreign()
        .execute_batch(
            "UPDATE features SET dependencies = '[2]' WHERE id = 1;
             UPDATE features SET dependencies = '[3]' WHERE id = 2;
             UPDATE features SET dependencies = '[1]' WHERE id = 3;
             UPDATE features SET dependencies = '[4]' WHERE id = 4;",
        )
        .unwrap();
    let graph = store.call(GetGraph).unwrap();
    assert_eq!(graph.cycles, [ids(&[1, 2, 3]), ids(&[4])]);
    assert_eq!(store.call(GetReady { limit: 9 }).unwrap().total, 0);
    store.call(RemoveDependency { id: 1.into(), dependency: 2.into() }).unwrap();
    store.call(SetDependencies { id: 4.into(), dependencies: vec![] }).unwrap();
    assert_eq!(store.call(GetGraph).unwrap().cycles, Vec::<Vec<_>>::new());
    assert_eq!(store.call(GetReady { limit: 9 }).unwrap().total, 2);
    store.call(GetFeature { id: 4.into() }).unwrap();
}

#[test]
fn adding_keeps_what_the_file_held_before() {
    let (_project, store) = stored("[9999]");
    let list = store.call(AddDependency { id: 2.into(), dependency: 1.into() }).unwrap();
    assert_eq!(list.dependencies, ids(&[1, 9999]));
}
