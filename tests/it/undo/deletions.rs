//! Features that come back, and what waited for them.

use super::*;
use autoforge_store::{DeleteFeature, LeftOut};

fn delete(store: &Store, id: i64) {
    store.call(DeleteFeature { id: id.into(), force: true }).unwrap();
}

/// Features 1 to 4, of which 2 and 3 wait for 1, among others.
fn family() -> (Project, Store) {
    let (project, store) = Project::with_features(4);
    store.call(SetDependencies { id: 2.into(), dependencies: ids(&[1]) }).unwrap();
    let raw = "UPDATE features SET dependencies = '[ 4,1 , null]' WHERE id = 3";
    project.foreign().execute_batch(raw).unwrap();
    (project, store)
}

#[test]
fn a_deleted_feature_comes_back_exactly_and_unclaimed_and_so_do_those_who_wait_for_it() {
    let (project, store) = family();
    let garbage = "UPDATE features SET priority = 'soon', description = CAST(x'fe' AS TEXT),
        steps = x'00', passes = 2, human_input_request = 'null' WHERE id = 1";
    project.foreign().execute_batch(garbage).unwrap();
    project.foreign().execute_batch("UPDATE features SET in_progress = 1 WHERE id = 1").unwrap();
    let before = content(&project);
    delete(&store, 1);
    let deleted = newest(&store);
    let undone = undo(&project, &store, &last(1));
    assert_eq!(content(&project), before);
    assert!(!feature(&store, 1).in_progress);
    let steps: Vec<_> = undone.steps.iter().map(|s| (s.feature.get(), s.effect)).collect();
    assert_eq!(steps, [(1, Effect::Creates), (2, Effect::Changes), (3, Effect::Changes)]);
    assert_eq!((undone.steps[0].event, undone.left.len()), (deleted.id, 0));

    // Back again: the one goes, and those who waited for it do not any more.
    let restored = log(&store, 3).pop().unwrap();
    assert_eq!(restored.kind, EventKind::Restored);
    let gone = undo(&project, &store, &one(&restored));
    assert_eq!(gone.steps.len(), 3);
    assert!(feature(&store, 2).dependencies.is_empty());
    assert_eq!(feature(&store, 3).dependencies, ids(&[4]));
    let withdrawn = newest(&store);
    assert_eq!(withdrawn.kind, EventKind::Withdrawn);
    undo(&project, &store, &one(&withdrawn));
    assert_eq!(content(&project), before);
}

#[test]
fn a_feature_that_another_program_deleted_comes_back() {
    let (project, store) = family();
    let before = content(&project);
    store.call(owned(1, "coder")).unwrap();
    project.foreign().execute_batch("DELETE FROM features WHERE id = 1").unwrap();
    undo(&project, &store, &last(1));
    assert_eq!(content(&project), before);
    assert!(!feature(&store, 1).in_progress);
    assert!(!store.call(ClaimFeature { id: 1.into() }).unwrap().already_claimed);
}

#[test]
fn those_who_wait_for_something_else_by_now_are_left_alone_and_told() {
    let (project, store) = family();
    delete(&store, 1);
    let taken_out = log(&store, 3);
    store.call(AddDependency { id: 2.into(), dependency: 4.into() }).unwrap();
    let by = newest(&store).id;
    let undone = undo(&project, &store, &last(1));
    assert_eq!(feature(&store, 2).dependencies, ids(&[4]));
    assert_eq!(feature(&store, 3).dependencies, ids(&[4, 1]));
    let event = taken_out.iter().find(|event| event.feature.get() == 2).unwrap().id;
    let because = UndoRefusal::ChangedSince { event, id: 2.into(), by };
    assert_eq!(undone.left, [LeftOut { event, feature: 2.into(), because }]);
    let told = &undone.to_json()["left"][0];
    assert_eq!((&told["feature_id"], &told["code"]), (&json!(2), &json!("changed_since")));
    // They can be put right one by one.
    undo(&project, &store, &last(2));
    undo(&project, &store, &UndoTarget::Event(event));
    assert_eq!(feature(&store, 2).dependencies, ids(&[1]));
}

#[test]
fn those_who_would_wait_in_a_circle_are_left_alone() {
    let (project, store) = Project::with_features(3);
    store.call(SetDependencies { id: 2.into(), dependencies: ids(&[1]) }).unwrap();
    store.call(SetDependencies { id: 1.into(), dependencies: ids(&[3]) }).unwrap();
    delete(&store, 1);
    store.call(SetDependencies { id: 3.into(), dependencies: ids(&[2]) }).unwrap();
    let undone = undo(&project, &store, &last(1));
    assert_eq!(undone.left[0].because.code(), "dependency_cycle");
    assert_eq!(feature(&store, 1).dependencies, ids(&[3]));
    assert!(feature(&store, 2).dependencies.is_empty());
}

#[test]
fn a_feature_does_not_come_back_in_the_place_of_another() {
    let (project, store) = Project::with_features(2);
    delete(&store, 2);
    let deleted = newest(&store);
    let (event, id) = (deleted.id, FeatureId::from(2));
    store.call(create("In its place")).unwrap();
    let problem = PriorityProblem::Taken { priority: 2, holder: 3.into() };
    let found = refusal(&project, &store, &one(&deleted));
    assert_eq!(found, UndoRefusal::Priority { event, problem });
    undo(&project, &store, &last(3));

    let again = "INSERT INTO features SELECT 2, 7, category, name, description, steps, passes,
        in_progress, dependencies, needs_human_input, human_input_request, human_input_response
        FROM features WHERE id = 1";
    let foreign = project.foreign();
    let trigger = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    foreign.set_db_config(trigger, false).unwrap();
    foreign.execute_batch(again).unwrap();
    assert_eq!(refusal(&project, &store, &one(&deleted)), UndoRefusal::Exists { event, id });
    foreign.execute_batch("DELETE FROM features WHERE id = 2").unwrap();
    foreign.set_db_config(trigger, true).unwrap();
    foreign.execute_batch(again).unwrap();
    let by = newest(&store).id;
    let found = refusal(&project, &store, &one(&deleted));
    assert_eq!(found, UndoRefusal::ChangedSince { event, id, by });
    // Another program's creation can be taken back, and then it is nobody's place.
    undo(&project, &store, &last(2));
    undo(&project, &store, &one(&deleted));
    assert_eq!(feature(&store, 2).name, "Feature 2");
}

#[test]
fn a_feature_comes_back_only_after_those_that_it_waits_for() {
    let (project, store) = Project::with_features(2);
    store.call(SetDependencies { id: 2.into(), dependencies: ids(&[1]) }).unwrap();
    delete(&store, 2);
    let event = newest(&store).id;
    delete(&store, 1);
    let problem = DependencyProblem::Unknown { ids: ids(&[1]) };
    let found = refusal(&project, &store, &last(2));
    assert_eq!(found, UndoRefusal::Dependencies { event, problem });
    undo(&project, &store, &last(1));
    undo(&project, &store, &last(2));
    assert_eq!(feature(&store, 2).dependencies, ids(&[1]));
}

#[test]
fn what_came_back_does_not_go_again_while_others_wait_for_it() {
    let (project, store) = family();
    delete(&store, 1);
    undo(&project, &store, &last(1));
    let restored = log(&store, 3).pop().unwrap();
    store.call(AddDependency { id: 2.into(), dependency: 4.into() }).unwrap();
    let found = refusal(&project, &store, &one(&restored));
    let (event, dependents) = (restored.id, ids(&[2]));
    assert_eq!(found, UndoRefusal::HasDependents { event, id: 1.into(), dependents });
}

#[test]
fn a_feature_comes_back_into_a_table_with_a_column_that_was_given_up() {
    let (project, store) = Project::with_features(1);
    let column = "ALTER TABLE features ADD COLUMN testing_in_progress BOOLEAN NOT NULL DEFAULT 5";
    project.foreign().execute_batch(column).unwrap();
    delete(&store, 1);
    undo(&project, &store, &last(1));
    assert_eq!(number(&project.foreign(), "SELECT testing_in_progress FROM features"), 0);
}
