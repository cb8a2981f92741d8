//! Creating, changing, deleting and listing features, and the ids they get.

use std::ops::ControlFlow;

use autoforge_store::{
    BulkRefusal, ClaimFeature, CreateFeature, CreateFeatures, CreateRefusal, DeleteFeature, Error,
    Feature, FeatureChanges, FeatureRefusal, FoldFeatures, GetBoard, GetFeature, GetStats,
    GetSummary, ImportBacklog, InvalidFeature, Limits, ListFeatures, MarkPassing, NewFeature,
    PlannedFeature, PriorityProblem, Refusal, SetDependencies, Steps, Store, UpdateFeature,
    UpdateRefusal,
};
use serde_json::json;

use crate::support::{
    FOREVER, Project, create, feature, ids, names, new_feature, number, text, together,
};

fn with_priority(name: &str, priority: i64) -> CreateFeature {
    CreateFeature { priority: Some(priority), ..create(name) }
}

fn update(store: &Store, id: i64, changes: FeatureChanges) -> Result<(), UpdateRefusal> {
    match store.call(UpdateFeature { id: id.into(), changes, expected: None }) {
        Ok(after) => {
            assert_eq!(feature(store, id), after, "the answer is what the file holds");
            Ok(())
        }
        Err(Error::Refused(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_new_feature_stands_behind_all_others_and_is_stored_as_autoforge_stores_it() {
    let (project, store) = Project::with_features(2);
    let new = NewFeature::new("Caf\u{e9}", "Pay \u{1f4b6}", "a\nb", ["\u{e9}\"", "two"]).unwrap();
    let made = store.call(CreateFeature::new(new)).unwrap();
    assert_eq!((made.id.get(), made.priority), (3, 3));
    assert_eq!(feature(&store, 3), made);
    let row = "SELECT category || '|' || name || '|' || description || '|' || steps || '|' ||
        passes || in_progress || needs_human_input || '|' || coalesce(dependencies, 'NULL') || '|' ||
        coalesce(human_input_request, 'NULL') || '|' || typeof(priority) FROM features WHERE id = 3";
    assert_eq!(
        text(&project.foreign(), row),
        "Caf\u{e9}|Pay \u{1f4b6}|a\nb|[\"\\u00e9\\\"\", \"two\"]|000|NULL|NULL|integer"
    );
}

#[test]
fn a_priority_below_1_or_of_another_feature_is_refused() {
    let (_project, store) = Project::with_features(3);
    for (priority, refusal) in [
        (0, CreateRefusal::from(PriorityProblem::TooLow { priority: 0 })),
        (-7, CreateRefusal::from(PriorityProblem::TooLow { priority: -7 })),
        (2, CreateRefusal::from(PriorityProblem::Taken { priority: 2, holder: 2.into() })),
    ] {
        let answer = store.call(with_priority("x", priority));
        assert_eq!(answer, Err(Error::Refused(refusal)));
    }
    assert_eq!(store.call(with_priority("x", 10)).unwrap().priority, 10);
    assert_eq!(store.call(create("behind")).unwrap().priority, 11);
}

#[test]
fn features_created_together_never_overlap_the_priorities_of_others() {
    let (_project, store) = Project::with_features(3);
    let bulk = |count: usize, start| CreateFeatures {
        features: (0..count).map(|_| new_feature("x").into()).collect(),
        starting_priority: Some(start),
    };
    store.call(with_priority("in the way", 12)).unwrap();
    let taken = CreateRefusal::from(PriorityProblem::Taken { priority: 12, holder: 4.into() });
    let refused = Err(Error::Refused(BulkRefusal::Create(taken)));
    assert_eq!(store.call(bulk(3, 10)), refused);
    let low = CreateRefusal::from(PriorityProblem::TooLow { priority: 0 });
    assert_eq!(store.call(bulk(1, 0)), Err(Error::Refused(BulkRefusal::Create(low))));
    assert_eq!(store.call(GetStats).unwrap().total, 4, "all or none");
    assert_eq!(store.call(bulk(2, 10)).unwrap().ids, ids(&[5, 6]));
    assert_eq!((feature(&store, 5).priority, feature(&store, 6).priority), (10, 11));
    assert_eq!(store.call(CreateFeatures::new(vec![])).unwrap().ids, []);
    assert_eq!(store.call(bulk(0, 12)).unwrap().ids, [], "none are in nobody's way");
}

#[test]
fn a_limit_is_what_is_still_allowed() {
    let (_project, store) = Project::with_features(0);
    assert_eq!(store.call(with_priority("first", 1)).unwrap().priority, 1);
    let one: PlannedFeature = new_feature("x").into();
    // Refused for what is looked at after their number.
    let bulk = vec![one.clone(); Limits::BULK];
    let low = CreateRefusal::from(PriorityProblem::TooLow { priority: 0 });
    let answer = store.call(CreateFeatures { features: bulk, starting_priority: Some(0) });
    assert_eq!(answer, Err(Error::Refused(BulkRefusal::Create(low))));

    let with_dependencies = |count: usize| {
        let mut plan = vec![one.clone(); count];
        plan.push(PlannedFeature { depends_on: (0..count).collect(), ..one.clone() });
        store.call(CreateFeatures::new(plan))
    };
    assert!(with_dependencies(Limits::DEPENDENCIES).is_ok());
    let (count, max) = (Limits::DEPENDENCIES + 1, Limits::DEPENDENCIES);
    let refusal = BulkRefusal::TooManyDependencies { index: count, count, max };
    assert_eq!(with_dependencies(count), Err(Error::Refused(refusal)));
}

#[test]
fn more_features_than_the_limit_are_refused_at_once() {
    let (_project, store) = Project::with_features(0);
    let one: PlannedFeature = new_feature("x").into();
    let count = Limits::BULK + 1;
    let answer = store.call(CreateFeatures::new(vec![one; count]));
    let refusal = BulkRefusal::TooMany { count, max: Limits::BULK };
    assert_eq!(answer, Err(Error::Refused(refusal)));
}

#[test]
fn an_id_is_never_given_out_again_after_our_own_delete() {
    let (_project, store) = Project::with_features(3);
    store.call(DeleteFeature { id: 3.into(), force: false }).unwrap();
    assert_eq!(store.call(create("next")).unwrap().id.get(), 4);
    for id in [4, 2, 1] {
        store.call(DeleteFeature { id: id.into(), force: false }).unwrap();
    }
    let bulk = CreateFeatures::new(vec![new_feature("a").into(), new_feature("b").into()]);
    assert_eq!(store.call(bulk).unwrap().ids, ids(&[5, 6]));
}

#[test]
fn an_id_is_never_given_out_again_after_the_delete_of_another_program() {
    let (project, store) = Project::with_features(3);
    project.foreign().execute_batch("DELETE FROM features WHERE id = 3").unwrap();
    assert_eq!(store.call(create("next")).unwrap().id.get(), 4);
    project.foreign().execute_batch("DELETE FROM features").unwrap();
    store.close();
    let store = project.open();
    assert_eq!(store.call(create("after reopening")).unwrap().id.get(), 5);
}

#[test]
fn an_id_that_another_program_gave_out_is_respected() {
    let (project, store) = Project::with_features(1);
    let insert = "INSERT INTO features SELECT 100, 2, category, 'theirs', description, steps, 0, 0,
        NULL, 0, NULL, NULL FROM features";
    project.foreign().execute_batch(insert).unwrap();
    assert_eq!(store.call(create("ours")).unwrap().id.get(), 101);
}

#[test]
fn the_highest_possible_id_ends_creation_and_nothing_else() {
    let (project, store) = Project::with_features(1);
    let last = format!("UPDATE features SET id = {}", i64::MAX);
    project.foreign().execute_batch(&last).unwrap();
    let answer = store.call(create("x"));
    assert_eq!(answer, Err(Error::Refused(CreateRefusal::Exhausted)));
    assert_eq!(names(&store), ["Feature 1"]);
}

#[test]
fn each_part_of_a_feature_can_be_changed_alone_and_dependencies_can_be_cleared() {
    let (_project, store) = Project::with_features(3);
    store.call(SetDependencies { id: 3.into(), dependencies: ids(&[1, 2]) }).unwrap();
    let before = feature(&store, 3);
    let none = FeatureChanges::default();
    let text = |text: &str| Some(text.to_owned());
    update(&store, 3, FeatureChanges { category: text("C"), ..none.clone() }).unwrap();
    update(&store, 3, FeatureChanges { name: text("N"), ..none.clone() }).unwrap();
    update(&store, 3, FeatureChanges { description: text("D"), ..none.clone() }).unwrap();
    update(&store, 3, FeatureChanges { priority: Some(77), ..none.clone() }).unwrap();
    let steps = Some(vec!["one".to_owned()]);
    update(&store, 3, FeatureChanges { steps, ..none.clone() }).unwrap();
    let after = feature(&store, 3);
    assert_eq!((after.category.as_str(), after.name.as_str()), ("C", "N"));
    assert_eq!((after.description.as_str(), after.priority), ("D", 77));
    assert_eq!(after.steps, Steps::List(vec!["one".to_owned()]));
    assert_eq!(after.dependencies, before.dependencies, "what was not asked to change stays");
    let cleared = FeatureChanges { dependencies: Some(vec![]), ..none.clone() };
    update(&store, 3, cleared).unwrap();
    assert_eq!(feature(&store, 3).dependencies, []);
    let same = feature(&store, 3);
    update(&store, 3, none).unwrap();
    assert_eq!(feature(&store, 3), same);
}

#[test]
fn changes_are_refused_once_a_feature_passes_and_where_a_value_breaks_a_rule() {
    let (_project, store) = Project::with_features(3);
    store.call(MarkPassing { id: 1.into() }).unwrap();
    let named = |name: &str| FeatureChanges { name: Some(name.to_owned()), ..Default::default() };
    let passing = FeatureRefusal::AlreadyPassing { id: 1.into() };
    assert_eq!(update(&store, 1, named("x")), Err(passing.into()));
    let missing = FeatureRefusal::NotFound { id: 9.into() };
    assert_eq!(update(&store, 9, named("x")), Err(missing.into()));
    let empty = InvalidFeature::Empty { field: "name" };
    assert_eq!(update(&store, 2, named("")), Err(empty.into()));
    let long = InvalidFeature::TooLong { field: "name", chars: 256, max: Limits::NAME_CHARS };
    assert_eq!(update(&store, 2, named(&"\u{1f600}".repeat(256))), Err(long.into()));
    update(&store, 2, named(&"\u{1f600}".repeat(255))).unwrap();
    let at = |priority| FeatureChanges { priority: Some(priority), ..Default::default() };
    let low = UpdateRefusal::from(PriorityProblem::TooLow { priority: 0 });
    assert_eq!(update(&store, 2, at(0)), Err(low));
    let taken = UpdateRefusal::from(PriorityProblem::Taken { priority: 3, holder: 3.into() });
    assert_eq!(update(&store, 2, at(3)), Err(taken));
    update(&store, 2, at(2)).unwrap();
}

#[test]
fn a_change_that_another_program_made_meanwhile_is_a_conflict_and_not_overwritten() {
    let (project, store) = Project::with_features(1);
    let seen = feature(&store, 1).revision();
    let change = |name: &str| UpdateFeature {
        id: 1.into(),
        changes: FeatureChanges { name: Some(name.to_owned()), ..Default::default() },
        expected: Some(seen),
    };
    project.foreign().execute_batch("UPDATE features SET description = 'Theirs'").unwrap();
    let Err(Error::Refused(UpdateRefusal::Conflict { expected, found, .. })) =
        store.call(change("Mine"))
    else {
        panic!("the change of another program was overwritten")
    };
    assert_eq!((expected, found), (seen, feature(&store, 1).revision()));
    assert_eq!(names(&store), ["Feature 1"]);
    let again = UpdateFeature { expected: Some(found), ..change("Mine") };
    assert_eq!(store.call(again).unwrap().name, "Mine");
}

#[test]
fn a_refusal_names_the_features_that_it_is_about() {
    let (_project, store) = Project::with_features(1);
    let stale = feature(&store, 1).revision();
    let named = |name: &str| FeatureChanges { name: Some(name.to_owned()), ..Default::default() };
    update(&store, 1, named("new")).unwrap();
    let change = UpdateFeature { id: 1.into(), changes: named("x"), expected: Some(stale) };
    let Err(Error::Refused(conflict)) = store.call(change) else { panic!("not refused") };
    assert_eq!(conflict.features(), ids(&[1]));

    let (_project, store) = Project::with_features(0);
    let entries = Feature::parse_backlog(br#"[{}, {"dependencies": [9]}]"#).unwrap();
    let Err(Error::Refused(entry)) = store.call(ImportBacklog { entries }) else {
        panic!("not refused")
    };
    assert_eq!(entry.features(), ids(&[2]));
}

#[test]
fn of_many_changes_from_one_revision_exactly_one_wins() {
    let (_project, store) = Project::with_features(1);
    let seen = feature(&store, 1).revision();
    let won = together(8, |at| {
        let changes = FeatureChanges { name: Some(format!("By {at}")), ..Default::default() };
        let change = UpdateFeature { id: 1.into(), changes, expected: Some(seen) };
        match store.clone().call(change) {
            Ok(after) => Some(after.name),
            Err(Error::Refused(UpdateRefusal::Conflict { .. })) => None,
            Err(error) => panic!("{error}"),
        }
    });
    let winners: Vec<_> = won.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(names(&store), winners);
}

#[test]
fn a_claimed_feature_is_deleted_only_by_force() {
    let (_project, store) = Project::with_features(2);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    let delete = |force| DeleteFeature { id: 1.into(), force };
    let claimed = FeatureRefusal::AlreadyInProgress { id: 1.into() };
    assert_eq!(store.call(delete(false)), Err(Error::Refused(claimed)));
    assert_eq!(store.call(delete(true)).unwrap().feature.name, "Feature 1");
    let missing = FeatureRefusal::NotFound { id: 1.into() };
    assert_eq!(store.call(delete(true)), Err(Error::Refused(missing)));
}

#[test]
fn deleting_takes_the_id_out_of_all_dependencies_and_names_whom_it_released() {
    let (project, store) = Project::with_features(5);
    for (id, list) in [(2, vec![1]), (3, vec![1, 2]), (4, vec![2])] {
        let dependencies = ids(&list);
        store.call(SetDependencies { id: id.into(), dependencies }).unwrap();
    }
    // Another program named it twice.
    project
        .foreign()
        .execute_batch("UPDATE features SET dependencies = '[4, 1, 1, 9999]' WHERE id = 5")
        .unwrap();
    let deleted = store.call(DeleteFeature { id: 1.into(), force: false }).unwrap();
    assert_eq!(deleted.released, ids(&[2, 3, 5]));
    let left: Vec<_> = [2, 3, 4, 5].map(|id| feature(&store, id).dependencies).into();
    assert_eq!(left, [vec![], ids(&[2]), ids(&[2]), ids(&[4, 9999])]);
    let of_two = "SELECT count(*) FROM features WHERE id = 2 AND dependencies IS NULL";
    assert_eq!(number(&project.foreign(), of_two), 1);
}

#[test]
fn the_board_has_each_feature_once_with_what_blocks_it_and_what_it_blocks() {
    let (project, store) = Project::with_features(6);
    store.call(SetDependencies { id: 3.into(), dependencies: ids(&[1, 2]) }).unwrap();
    store.call(SetDependencies { id: 4.into(), dependencies: ids(&[1]) }).unwrap();
    store.call(MarkPassing { id: 2.into() }).unwrap();
    store.call(ClaimFeature { id: 5.into() }).unwrap();
    project
        .foreign()
        .execute_batch("UPDATE features SET needs_human_input = 1 WHERE id = 6")
        .unwrap();
    // The board needs no write lock, which today every look at it takes.
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let board = store.clone().call_within(GetBoard, FOREVER).unwrap();
    let of = |column: &[autoforge_store::BoardEntry]| -> Vec<i64> {
        column.iter().map(|entry| entry.feature.id.get()).collect()
    };
    assert_eq!(of(&board.pending), [1, 3, 4]);
    assert_eq!(of(&board.in_progress), [5]);
    assert_eq!(of(&board.done), [2]);
    assert_eq!(of(&board.needs_human_input), [6]);
    assert_eq!(board.pending[0].blocks, ids(&[3, 4]));
    assert_eq!(board.pending[1].blocked_by, ids(&[1]), "2 passes");
    assert!(board.done[0].blocks.is_empty() && board.done[0].blocked_by.is_empty());
}

#[test]
fn lists_summaries_and_counts_agree() {
    let (_project, store) = Project::with_features(3);
    store.call(with_priority("first of all", 4)).unwrap();
    let changes = FeatureChanges { priority: Some(9), ..Default::default() };
    update(&store, 1, changes).unwrap();
    let list = store.call(ListFeatures).unwrap();
    let order: Vec<_> = list.iter().map(|f| f.id.get()).collect();
    assert_eq!(order, [2, 3, 4, 1], "by priority");
    for one in list {
        assert_eq!(store.call(GetFeature { id: one.id }).unwrap(), one);
        let summary = store.call(GetSummary { id: one.id }).unwrap();
        assert_eq!((summary.id, &summary.name), (one.id, &one.name));
    }
    assert_eq!(store.call(GetStats).unwrap().total, 4);
    let missing = Err(Error::Refused(FeatureRefusal::NotFound { id: 9.into() }));
    assert_eq!(store.call(GetSummary { id: 9.into() }), missing);
}

#[test]
fn whoever_folds_features_sees_the_list_and_may_break_off() {
    let (_project, store) = Project::with_features(3);
    let changes = FeatureChanges { priority: Some(9), ..Default::default() };
    update(&store, 1, changes).unwrap();
    let fold = |max: usize| {
        let fold = move |mut seen: Vec<Feature>, feature: Feature| {
            if seen.len() == max {
                return ControlFlow::Break(seen.len());
            }
            seen.push(feature);
            ControlFlow::Continue(seen)
        };
        store.call(FoldFeatures::new(Vec::new(), fold)).unwrap()
    };
    assert_eq!(fold(3), ControlFlow::Continue(store.call(ListFeatures).unwrap()));
    assert_eq!(fold(2), ControlFlow::Break(2));
}

#[test]
fn values_of_odd_types_in_a_row_are_read_and_not_a_crash() {
    let (project, store) = Project::with_features(1);
    project
        .foreign()
        .execute_batch(
            "UPDATE features SET priority = 'soon', category = 7, name = x'ff41', steps = '{\"a\": 1}',
                 passes = 'yes', in_progress = 0.5, human_input_request = '[1',
                 human_input_response = 'null' WHERE id = 1",
        )
        .unwrap();
    let odd = feature(&store, 1);
    assert_eq!((odd.priority, odd.category.as_str()), (999, "7"));
    assert_eq!(odd.name, "\u{fffd}A");
    assert_eq!(odd.steps, Steps::Other(json!({"a": 1})));
    assert_eq!((odd.passes, odd.in_progress), (false, true));
    assert_eq!(odd.human_input_request, Some("[1".into()));
    assert_eq!(odd.human_input_response, None);
    assert_eq!(store.call(GetStats).unwrap().total, 1);
    // SQLite makes no number of a text with this space; and what has no end is no place in a row.
    for (value, priority) in
        [("char(160) || '7'", 7), ("7.9", 7), ("1e30", i64::MAX), ("9e999", 999)]
    {
        let change = format!("UPDATE features SET priority = {value}");
        project.foreign().execute_batch(&change).unwrap();
        assert_eq!(feature(&store, 1).priority, priority, "{value}");
    }
}

#[test]
fn steps_that_would_not_be_read_back_are_refused() {
    let nested = |levels: usize| (0..levels).fold(json!("deep"), |inner, _| json!([inner]));
    let lenient = |steps| NewFeature::lenient("", "", "", Steps::Other(steps));
    let (_project, store) = Project::with_features(0);
    let made = store.call(CreateFeature::new(lenient(nested(127)).unwrap())).unwrap();
    assert_eq!(made.steps, Steps::Other(nested(127)));
    assert_eq!(feature(&store, 1), made);
    assert_eq!(lenient(nested(128)), Err(InvalidFeature::TooDeep { max: 127 }));
    // A list of texts has one form, as it is read back.
    let list = lenient(json!(["a", "b"])).unwrap();
    assert_eq!(list.steps(), &Steps::List(vec!["a".into(), "b".into()]));
}

#[test]
fn statistics_count_as_true_what_every_other_look_takes_for_true() {
    let (project, store) = Project::with_features(8);
    store.close();
    let writer = project.foreign();
    writer.pragma_update(None, "ignore_check_constraints", true).unwrap();
    for (id, flag) in ["1", "0", "2", "-1", "0.5", "'yes'", "x'01'", "1"].iter().enumerate() {
        let set = format!(
            "UPDATE features SET passes = {flag}, needs_human_input = {flag} WHERE id = {}",
            id + 1
        );
        writer.execute_batch(&set).unwrap();
    }
    let store = project.open();
    let stats = store.call(GetStats).unwrap();
    let features = store.call(ListFeatures).unwrap();
    let passing = features.iter().filter(|feature| feature.passes).count();
    let waiting = features.iter().filter(|feature| feature.needs_human_input).count();
    assert_eq!((stats.total, stats.passing, stats.needs_human_input), (8, 5, 5));
    assert_eq!((passing, waiting, stats.in_progress), (5, 5, 0));
}
