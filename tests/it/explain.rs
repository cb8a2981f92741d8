//! Why a feature is ready or not, sentence by sentence, and what would remove what is in the way.

use std::sync::Arc;

use autoforge_store::{
    Caller, ClaimFeature, Command, DeleteFeature, Error, ExplainFeature, Explanation,
    FeatureRefusal, Hindrance, HumanInputRequest, MarkFailing, MarkPassing, ProcessIdentity,
    RequestHumanInput, SetDependencies, Store,
};
use serde_json::{Value, json};

use crate::support::{FOREVER, Project, ids};

fn explain(store: &Store, id: i64) -> Explanation {
    store.call(ExplainFeature { id: id.into() }).unwrap()
}

/// What is in the way and what would remove it.
fn said(store: &Store, id: i64) -> Vec<(String, String)> {
    let hindrances = explain(store, id).hindrances;
    hindrances.iter().map(|h| (h.to_string(), h.remedy())).collect()
}

fn wait_for(store: &Store, id: i64, dependencies: &[i64]) {
    let dependencies = ids(dependencies);
    store.call(SetDependencies { id: id.into(), dependencies }).unwrap();
}

/// Feature 1 begins with this, and this would remove what is in its way.
#[track_caller]
fn assert_said(store: &Store, beginning: &str, remedy: &str) {
    let said = said(store, 1);
    let [(sentence, advice)] = said.as_slice() else { panic!("{said:?}") };
    assert!(sentence.starts_with(beginning), "{sentence}");
    assert_eq!(advice, remedy);
    assert!(explain(store, 1).place.is_none());
}

#[test]
fn a_ready_feature_has_nothing_in_its_way_and_a_place() {
    let (_project, store) = Project::with_features(3);
    let explained = explain(&store, 2);
    assert!(explained.is_ready() && explained.hindrances.is_empty());
    assert_eq!(explained.place, Some((2, 3)));
    assert_eq!(explained.to_json()["total_ready"], 3);
}

#[test]
fn a_passing_feature_is_done_and_nothing_else() {
    let (_project, store) = Project::with_features(2);
    wait_for(&store, 1, &[2]);
    store.call(MarkPassing { id: 1.into() }).unwrap();
    assert_said(&store, "it passes already", "mark it as failing if it has to be done again");
}

#[test]
fn a_dependency_is_told_with_its_own_state_and_its_holder() {
    let (_project, store) = Project::with_features(3);
    wait_for(&store, 1, &[2]);
    let remedy = "feature 2 has to pass";
    assert_said(&store, "it waits for feature 2 (Feature 2), which is pending", remedy);
    wait_for(&store, 2, &[3]);
    assert_said(&store, "it waits for feature 2 (Feature 2), which is blocked", remedy);
    let causes = explain(&store, 1).causes;
    assert_eq!((causes.waits_for, causes.first), (2, ids(&[3])));
    wait_for(&store, 2, &[]);
    let ann = Arc::new(Caller::new("ann", "monday"));
    store.call(ClaimFeature { id: 2.into() }.by(&ann).owning(Some(FOREVER))).unwrap();
    let claimed = "it waits for feature 2 (Feature 2), which is in_progress, held by ann since 20";
    assert_said(&store, claimed, remedy);
}

#[test]
fn a_missing_dependency_is_told_as_one() {
    let (project, store) = Project::with_features(1);
    let sql = "UPDATE features SET dependencies = '[9]'";
    project.foreign().execute_batch(sql).unwrap();
    let remedy = "remove 9 from its dependencies, or restore that feature";
    assert_said(&store, "it waits for feature 9, which does not exist", remedy);
    assert_eq!(explain(&store, 1).causes.missing, ids(&[9]));
}

#[test]
fn a_circle_is_told_member_by_member() {
    let (project, store) = Project::with_features(3);
    let sql = "UPDATE features SET dependencies = CASE id WHEN 1 THEN '[2]' WHEN 2 THEN '[3]'
        ELSE '[1]' END";
    project.foreign().execute_batch(sql).unwrap();
    let remedy = "remove one of the dependencies of the circle, such as 2";
    assert_said(&store, "it waits for itself through 1, 2, 3", remedy);
    assert_eq!(explain(&store, 1).causes.cycles, [ids(&[1, 2, 3])]);
}

#[test]
fn a_wait_for_a_human_is_told_with_its_beginning() {
    let (project, store) = Project::with_features(1);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    let fields = vec![json!({"id": "a", "label": "A"})];
    let request = HumanInputRequest::new("Which?", fields).unwrap();
    store.call(RequestHumanInput { id: 1.into(), request }).unwrap();
    assert_said(&store, "it waits for a human since 20", "answer the question");
    project.foreign().execute_batch("DELETE FROM autoforge_events").unwrap();
    assert_said(&store, "it waits for a human", "answer the question");
}

#[test]
fn a_claim_is_told_with_its_holder_and_one_that_is_over_is_no_obstacle() {
    let (_project, store) = Project::with_features(2);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    let remedy = "release it if nobody works on it any more";
    assert_said(&store, "it belongs to somebody who gave no name since 20", remedy);

    let (_project, store) = Project::with_features(1);
    let own = ProcessIdentity::current();
    let ann = Arc::new(Caller::new("ann", "monday").in_process(own.clone()));
    store.call(ClaimFeature { id: 1.into() }.by(&ann).owning(None)).unwrap();
    let remedy = "wait for its owner; override the claim only if the owner is lost";
    assert_said(&store, "it belongs to ann (process ", remedy);

    let (_project, store) = Project::with_features(1);
    let gone = own.map(|own| ProcessIdentity { started: 1, ..own });
    let bob = Arc::new(Caller::new("bob", "monday").in_process(gone));
    store.call(ClaimFeature { id: 1.into() }.by(&bob).owning(None)).unwrap();
    let explained = explain(&store, 1);
    assert!(explained.is_ready());
    assert_eq!(explained.to_json()["lapsed"], "died");
}

#[test]
fn failures_are_told_with_the_reason_of_the_last_one() {
    let (_project, store) = Project::with_features(1);
    let ann = Arc::new(Caller::new("ann", "monday"));
    for reason in ["no key", "still no key", "the key is wrong"] {
        store.call(ClaimFeature { id: 1.into() }.by(&ann).owning(Some(FOREVER))).unwrap();
        store.call(MarkFailing { id: 1.into() }.by(&ann).because(reason)).unwrap();
    }
    let remedy = "reset its attempts when the cause is mended";
    assert_said(&store, "it has failed 3 times of 3, lately: the key is wrong", remedy);
    assert_eq!(explain(&store, 1).failures, 3);
}

#[test]
fn all_that_is_in_the_way_is_told_at_once() {
    let (project, store) = Project::with_features(2);
    let sql = "UPDATE features SET dependencies = '[2, 7, 1]', in_progress = 1,
        needs_human_input = 1 WHERE id = 1";
    project.foreign().execute_batch(sql).unwrap();
    let kinds: Vec<&str> = explain(&store, 1).hindrances.iter().map(Hindrance::as_str).collect();
    let expected = ["waits_for_human", "dependency", "dependency", "dependency", "in_progress"];
    assert_eq!(kinds, expected);
    let json = explain(&store, 1).to_json();
    let states: Vec<&Value> = (1..4).map(|at| &json["obstacles"][at]["state"]).collect();
    assert_eq!(states, [&json!("pending"), &json!("missing"), &json!("itself")]);
    for obstacle in json["obstacles"].as_array().unwrap() {
        assert!(obstacle["message"].is_string() && obstacle["remedy"].is_string(), "{obstacle}");
    }
}

#[test]
fn a_feature_that_is_not_there_is_refused() {
    let (_project, store) = Project::with_features(1);
    store.call(DeleteFeature { id: 1.into(), force: false }).unwrap();
    let refused = store.call(ExplainFeature { id: 1.into() }).unwrap_err();
    assert_eq!(refused, Error::Refused(FeatureRefusal::NotFound { id: 1.into() }));
}
