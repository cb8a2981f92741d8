//! Claims and verdicts: who works on what, and what may follow what.

use autoforge_store::{
    AddDependency, ClaimFeature, ClaimNext, ClaimedNext, ClearInProgress, Error, FeatureRefusal,
    GetReady, GetStats, HumanInputRequest, MarkFailing, MarkInProgress, MarkPassing, Refusal,
    RequestHumanInput, SkipFeature, Store,
};
use serde_json::json;

use crate::support::{Project, feature, ids, number};

fn refused<T: std::fmt::Debug>(answer: Result<T, Error<FeatureRefusal>>) -> FeatureRefusal {
    match answer {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, not {other:?}"),
    }
}

fn ask(store: &Store, id: i64) {
    store.call(ClaimFeature { id: id.into() }).unwrap();
    let field = json!({"id": "a", "label": "A"});
    let request = HumanInputRequest::new("Which?", vec![field]).unwrap();
    store.call(RequestHumanInput { id: id.into(), request }).unwrap();
}

#[test]
fn a_claim_is_given_once_and_told_as_taken_after_that() {
    let (project, store) = Project::with_features(2);
    let first = store.call(ClaimFeature { id: 1.into() }).unwrap();
    assert!(!first.already_claimed && first.feature.in_progress);
    let second = store.call(ClaimFeature { id: 1.into() }).unwrap();
    assert!(second.already_claimed);
    assert_eq!(second.feature, first.feature);
    let refusal = refused(store.call(MarkInProgress { id: 1.into() }));
    assert_eq!(refusal, FeatureRefusal::AlreadyInProgress { id: 1.into() });
    assert!(refusal.retryable());
    let claimed = "SELECT group_concat(id) FROM features WHERE in_progress = 1";
    assert_eq!(crate::support::text(&project.foreign(), claimed), "1");
}

#[test]
fn a_claim_of_another_program_counts() {
    let (project, store) = Project::with_features(2);
    project.foreign().execute_batch("UPDATE features SET in_progress = 1 WHERE id = 1").unwrap();
    assert!(store.call(ClaimFeature { id: 1.into() }).unwrap().already_claimed);
    let ClaimedNext::Feature(next) = store.call(ClaimNext).unwrap() else { panic!() };
    let next = next.feature;
    assert_eq!(next.id.get(), 2);
}

#[test]
fn what_passes_or_waits_for_a_human_cannot_be_claimed() {
    let (_project, store) = Project::with_features(2);
    store.call(MarkPassing { id: 1.into() }).unwrap();
    ask(&store, 2);
    for (id, expected) in [
        (1, FeatureRefusal::AlreadyPassing { id: 1.into() }),
        (2, FeatureRefusal::WaitingForHuman { id: 2.into() }),
        (9, FeatureRefusal::NotFound { id: 9.into() }),
    ] {
        assert_eq!(refused(store.call(ClaimFeature { id: id.into() })), expected);
        assert_eq!(refused(store.call(MarkInProgress { id: id.into() })), expected);
        assert_eq!(expected.features(), ids(&[id]));
    }
}

#[test]
fn the_next_claim_is_the_first_ready_feature_and_never_a_blocked_one() {
    let (_project, store) = Project::with_features(4);
    store.call(AddDependency { id: 1.into(), dependency: 4.into() }).unwrap();
    let mut taken = Vec::new();
    while let ClaimedNext::Feature(next) = store.call(ClaimNext).unwrap() {
        let feature = next.feature;
        let ready = taken.len();
        assert_eq!(feature.in_progress, ready < 3);
        taken.push(feature.id.get());
    }
    // Others wait for 4, so it goes first; 1 waits for it.
    assert_eq!(taken, [4, 2, 3]);
    assert_eq!(
        store.call(ClaimNext).unwrap(),
        ClaimedNext::NothingReady {
            in_progress: 3,
            waiting_for_human: 0,
            blocked: 1,
            exhausted: 0
        }
    );
    for id in [4, 2, 3] {
        store.call(MarkPassing { id: id.into() }).unwrap();
    }
    let ClaimedNext::Feature(last) = store.call(ClaimNext).unwrap() else { panic!() };
    let last = last.feature;
    assert_eq!(last.id.get(), 1);
    store.call(MarkPassing { id: 1.into() }).unwrap();
    assert_eq!(store.call(ClaimNext).unwrap(), ClaimedNext::AllPassing);
}

#[test]
fn a_feature_that_waits_for_a_human_is_not_next() {
    let (_project, store) = Project::with_features(2);
    ask(&store, 1);
    let ClaimedNext::Feature(next) = store.call(ClaimNext).unwrap() else { panic!() };
    let next = next.feature;
    assert_eq!(next.id.get(), 2);
    assert_eq!(
        store.call(ClaimNext).unwrap(),
        ClaimedNext::NothingReady {
            in_progress: 1,
            waiting_for_human: 1,
            blocked: 0,
            exhausted: 0
        }
    );
}

#[test]
fn passing_ends_the_claim_and_is_told_once() {
    let (_project, store) = Project::with_features(1);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    let passed = store.call(MarkPassing { id: 1.into() }).unwrap();
    assert_eq!((passed.id.get(), passed.name.as_str()), (1, "Feature 1"));
    let now = feature(&store, 1);
    assert!(now.passes && !now.in_progress);
    let refusal = refused(store.call(MarkPassing { id: 1.into() }));
    assert_eq!(refusal, FeatureRefusal::AlreadyPassing { id: 1.into() });
    assert_eq!(store.call(GetStats).unwrap().percentage().to_string(), "100");
}

#[test]
fn failing_takes_a_pass_back_and_ends_the_claim() {
    let (_project, store) = Project::with_features(1);
    store.call(MarkPassing { id: 1.into() }).unwrap();
    let failing = store.call(MarkFailing { id: 1.into() }).unwrap();
    assert!(!failing.passes && !failing.in_progress);
    assert_eq!(feature(&store, 1), failing);
    assert!(!store.call(ClaimFeature { id: 1.into() }).unwrap().already_claimed);
    store.call(MarkFailing { id: 1.into() }).unwrap();
    assert!(!feature(&store, 1).in_progress);
}

#[test]
fn a_claim_is_given_back_and_giving_back_nothing_changes_nothing() {
    let (project, store) = Project::with_features(1);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    assert!(!store.call(ClearInProgress { id: 1.into() }).unwrap().in_progress);
    let before = feature(&store, 1);
    assert_eq!(store.call(ClearInProgress { id: 1.into() }).unwrap(), before);
    assert_eq!(number(&project.foreign(), "SELECT in_progress FROM features"), 0);
    let refusal = refused(store.call(ClearInProgress { id: 9.into() }));
    assert_eq!(refusal, FeatureRefusal::NotFound { id: 9.into() });
}

#[test]
fn a_skip_puts_a_feature_behind_all_others_ends_its_claim_and_refuses_what_passes() {
    let (_project, store) = Project::with_features(3);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    let skipped = store.call(SkipFeature { id: 1.into() }).unwrap();
    assert_eq!((skipped.old_priority, skipped.new_priority), (1, 4));
    assert!(!feature(&store, 1).in_progress, "whoever skips gives its claim back");
    let ready = store.call(GetReady { limit: 10 }).unwrap().features;
    assert_eq!(ready.iter().map(|f| f.id.get()).collect::<Vec<_>>(), [2, 3, 1]);
    store.call(MarkPassing { id: 2.into() }).unwrap();
    let refusal = refused(store.call(SkipFeature { id: 2.into() }));
    assert_eq!(refusal, FeatureRefusal::AlreadyPassing { id: 2.into() });
    assert_eq!(feature(&store, 2).priority, 2);
}

#[test]
fn a_skip_beside_the_highest_possible_priority_does_not_overflow() {
    let (project, store) = Project::with_features(2);
    let absurd = format!("UPDATE features SET priority = {} WHERE id = 2", i64::MAX);
    project.foreign().execute_batch(&absurd).unwrap();
    assert_eq!(store.call(SkipFeature { id: 1.into() }).unwrap().new_priority, i64::MAX);
}
