//! The form of commands and answers in the file. Files keep digests and answers, and programs of
//! several releases use one file: what is asserted here stays for ever, unless the request ids of a
//! release shall mean nothing to the next.

use std::sync::Arc;
use std::time::Duration;

use autoforge_store::{
    AddDependency, AnswerHumanInput, Caller, Circumstances, ClaimBatch, ClaimFeature, ClaimNext,
    ClaimedNext, ClearInProgress, Command, CreateFeature, CreateFeatures, DeleteFeature, Feature,
    FeatureChanges, FenceToken, HumanInputAnswer, HumanInputRequest, ImportBacklog, MarkFailing,
    MarkInProgress, MarkPassing, Moment, NewFeature, PlannedFeature, Policy, ProcessIdentity,
    RecoverClaims, RemoveDependency, RenewClaims, RequestHumanInput, RetryFeature, SetDependencies,
    SetPolicy, SkipFeature, Steps, Store, Stored, Timestamp, Undo, UndoTarget, UpdateFeature,
    Uptime,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{id, twice};
use crate::support::{Project, create, feature, ids, new_feature, number};

fn request() -> HumanInputRequest {
    HumanInputRequest::new("Which?", vec![json!({"label": "L", "id": "a"})]).unwrap()
}

fn answer(at: i64) -> AnswerHumanInput {
    let fields = Map::from_iter([("a".to_owned(), json!("yes"))]);
    let answer = HumanInputAnswer::new(fields).unwrap();
    let responded_at = Timestamp::from_microseconds(at).unwrap();
    let request = Some("00c0ffee00c0ffee".parse().unwrap());
    AnswerHumanInput { id: 1.into(), answer, responded_at, request }
}

fn form(command: &(impl Command + serde::Serialize)) -> String {
    serde_json::to_string(command).unwrap()
}

#[test]
fn the_arguments_of_commands_have_their_lasting_form() {
    let id = 1.into();
    let dependency = 2.into();
    assert_eq!(form(&ClaimNext), "null");
    assert_eq!(form(&ClaimBatch { max: 3, others: 1 }), r#"{"max":3,"others":1}"#);
    assert_eq!(form(&RecoverClaims), "null");
    assert_eq!(form(&ClaimFeature { id }), r#"{"id":1}"#);
    assert_eq!(form(&MarkInProgress { id }), r#"{"id":1}"#);
    assert_eq!(form(&ClearInProgress { id }), r#"{"id":1}"#);
    assert_eq!(form(&MarkPassing { id }), r#"{"id":1}"#);
    assert_eq!(form(&MarkFailing { id }), r#"{"id":1}"#);
    assert_eq!(form(&SkipFeature { id }), r#"{"id":1}"#);
    assert_eq!(form(&RetryFeature { id }), r#"{"id":1}"#);
    assert_eq!(form(&DeleteFeature { id, force: true }), r#"{"id":1,"force":true}"#);
    assert_eq!(form(&AddDependency { id, dependency }), r#"{"id":1,"dependency":2}"#);
    assert_eq!(form(&RemoveDependency { id, dependency }), r#"{"id":1,"dependency":2}"#);
    let all = SetDependencies { id, dependencies: ids(&[3, 2]) };
    assert_eq!(form(&all), r#"{"id":1,"dependencies":[3,2]}"#);
    let undo = |target| form(&Undo { target });
    assert_eq!(undo(UndoTarget::Last(id)), r#"{"target":{"last":1}}"#);
    assert_eq!(undo(UndoTarget::Event(9.into())), r#"{"target":{"event":9}}"#);
    let session = UndoTarget::Session { session: "monday".into(), agent: None };
    let expected = r#"{"target":{"session":{"session":"monday","agent":null}}}"#;
    assert_eq!(undo(session), expected);
    assert_eq!(form(&RenewClaims { tokens: vec![FenceToken::from(7)] }), r#"{"tokens":[7]}"#);
    assert_eq!(
        form(&SetPolicy(Policy::default())),
        concat!(
            r#"{"attempts":3,"events":100000,"ended_claims":10000,"answers":10000,"#,
            r#""answers_for":{"secs":86400,"nanos":0}}"#
        )
    );
}

#[test]
fn the_texts_in_commands_have_their_lasting_form() {
    let texts = r#"{"category":"Category","name":"é","description":"What it does.","steps":["Build it","Try it"]}"#;
    let create = CreateFeature { priority: Some(4), dependencies: ids(&[2]), ..create("é") };
    let expected = format!(r#"{{"feature":{texts},"priority":4,"dependencies":[2]}}"#);
    assert_eq!(form(&create), expected);
    let planned = PlannedFeature { feature: new_feature("é"), depends_on: vec![0] };
    let expected = format!(
        r#"{{"features":[{{"feature":{texts},"depends_on":[0]}}],"starting_priority":null}}"#
    );
    assert_eq!(form(&CreateFeatures::new(vec![planned])), expected);
    let odd = NewFeature::lenient("", "", "", json!({"b": 1.0, "a": -0.0})).unwrap();
    let expected = concat!(
        r#"{"feature":{"category":"","name":"","description":"","steps":{"b":1.0,"a":-0.0}},"#,
        r#""priority":null,"dependencies":[]}"#
    );
    assert_eq!(form(&CreateFeature::new(odd)), expected);
    let entries = Feature::parse_backlog(br#"[{"steps": null}]"#).unwrap();
    let expected = format!(r#"{{"entries":[{}]}}"#, entries[0].to_json());
    assert_eq!(form(&ImportBacklog { entries }), expected);
    let changes = FeatureChanges { steps: Some(vec!["s".into()]), ..FeatureChanges::default() };
    let expected = Some("00c0ffee00c0ffee".parse().unwrap());
    assert_eq!(
        form(&UpdateFeature { id: 1.into(), changes, expected }),
        concat!(
            r#"{"id":1,"changes":{"category":null,"name":null,"description":null,"steps":["s"],"#,
            r#""priority":null,"dependencies":null},"expected":"00c0ffee00c0ffee"}"#
        )
    );
    assert_eq!(
        form(&RequestHumanInput { id: 1.into(), request: request() }),
        r#"{"id":1,"request":{"prompt":"Which?","fields":[{"label":"L","id":"a"}]}}"#
    );
    let expected = r#"{"id":1,"answer":{"fields":{"a":"yes"}},"request":"00c0ffee00c0ffee"}"#;
    assert_eq!(form(&answer(0)), expected, "without the time");
    let caller = Arc::new(Caller::new("ada", "monday"));
    assert_eq!(form(&answer(0).by(&caller).because("of it")), expected, "without who calls");
}

#[test]
fn the_digest_of_a_command_is_the_same_in_every_build() {
    let (project, store) = Project::with_features(2);
    store.call(create("é").once(id("a"))).unwrap();
    store.call(ClaimNext.once(id("b"))).unwrap();
    store.call(MarkPassing { id: 1.into() }.once(id("c"))).unwrap();
    let digest = |request: &str| {
        let sql = format!("SELECT digest FROM autoforge_requests WHERE request = '{request}'");
        number(&project.foreign(), &sql)
    };
    // FNV-1a, of 64 bits, of the forms above.
    assert_eq!(digest("a"), -3_365_603_683_490_201_646);
    assert_eq!(digest("b"), 6_601_085_983_368_743_140);
    assert_eq!(digest("c"), -3_090_844_061_102_247_781);
}

#[test]
fn a_feature_has_the_form_that_the_tools_show() {
    let (_project, store) = Project::with_features(2);
    let made = feature(&store, 2);
    assert_eq!(serde_json::to_value(&made).unwrap(), made.to_json());
    let odd = Feature {
        steps: Steps::Other(json!({"a": [1, null]})),
        human_input_request: Some(request().to_json()),
        dependencies: ids(&[-1, i64::MAX]),
        ..made
    };
    let text = serde_json::to_string(&odd).unwrap();
    assert_eq!(text, odd.to_json().to_string());
    assert_eq!(serde_json::from_str::<Feature>(&text).unwrap(), odd);
}

#[test]
fn every_command_gives_its_answer_again() {
    let (project, store) = Project::with_features(6);
    store.close();
    let id = 1.into();
    twice(&project, create("é\u{0}\"\\\u{2028}"));
    twice(&project, CreateFeatures::new(vec![new_feature("a").into(), new_feature("b").into()]));
    let odd = NewFeature::lenient("", "", "", Steps::Other(json!(["a", "b"]))).unwrap();
    twice(&project, CreateFeature::new(odd));
    twice(&project, SetDependencies { id, dependencies: ids(&[2, 3]) });
    twice(&project, AddDependency { id, dependency: 4.into() });
    twice(&project, RemoveDependency { id, dependency: 4.into() });
    let changes = FeatureChanges { name: Some("new".into()), ..FeatureChanges::default() };
    twice(&project, UpdateFeature { id, changes, expected: None });
    assert!(matches!(twice(&project, ClaimNext), ClaimedNext::Feature(_)));
    twice(&project, MarkInProgress { id });
    assert!(twice(&project, ClaimFeature { id }).holder.is_some());
    twice(&project, ClearInProgress { id });
    twice(&project, ClaimFeature { id });
    twice(&project, RequestHumanInput { id, request: request() });
    twice(&project, AnswerHumanInput { request: None, ..answer(0) });
    twice(&project, MarkFailing { id });
    twice(&project, RetryFeature { id });
    twice(&project, SkipFeature { id });
    twice(&project, MarkPassing { id });
    let deleted = twice(&project, DeleteFeature { id: 2.into(), force: true });
    assert_eq!(deleted.released, ids(&[1]));
    let policy = Policy { attempts: None, answers_for: Duration::MAX, ..Policy::default() };
    twice(&project, SetPolicy(policy));
    twice(&project, SetPolicy(Policy::default()));

    let empty = Project::new();
    assert_eq!(twice(&empty, ClaimNext), ClaimedNext::AllPassing);
    let entries = Feature::parse_backlog(br#"[{"in_progress": true}, {"passes": true}]"#).unwrap();
    assert_eq!(twice(&empty, ImportBacklog { entries }), 2);
    let nothing = twice(&empty, ClaimNext);
    assert!(matches!(nothing, ClaimedNext::NothingReady { in_progress: 1, .. }));
}

#[test]
fn what_was_taken_back_comes_back_whole() {
    let (project, store) = Project::with_features(4);
    let foreign = project.foreign();
    for sql in [
        "UPDATE features SET priority = 9e999, steps = x'00ff', description = 2.5 WHERE id = 1",
        "UPDATE features SET dependencies = '[2]' WHERE id IN (3, 4)",
    ] {
        foreign.execute_batch(sql).unwrap();
    }
    store.call(DeleteFeature { id: 2.into(), force: false }).unwrap();
    // What was done to feature 3 together with the deletion stays, since it waits for 4 by now.
    let dependency = AddDependency { id: 3.into(), dependency: 4.into() };
    store.call(dependency).unwrap();
    store.close();
    let undone = twice(&project, Undo { target: UndoTarget::Last(2.into()) });
    assert_eq!((undone.steps.len(), undone.left.len()), (2, 1));
    let undone = twice(&project, Undo { target: UndoTarget::Last(1.into()) });
    let before: Vec<_> = undone.steps[0].changes.iter().map(|change| &change.before).collect();
    assert!(before.contains(&&Stored::Real(f64::INFINITY)), "{before:?}");
    assert!(before.contains(&&Stored::Blob(vec![0, 255])), "{before:?}");
}

#[test]
fn the_claims_in_answers_come_back_whole() {
    let (project, store) = Project::with_features(3);
    let at = |microseconds: i64| Moment {
        wall: Timestamp::from_microseconds(1_767_225_600_000_001 + microseconds).unwrap(),
        uptime: Some(Uptime {
            boot: "boot".into(),
            namespace: "time".into(),
            microseconds: microseconds.cast_unsigned(),
        }),
    };
    let now = |microseconds| Circumstances::told(at(microseconds), []);
    let process = ProcessIdentity::current();
    assert!(process.is_some());
    let ada = Arc::new(Caller::new("ada", "é").in_process(process));
    let lease = Some(Duration::from_millis(1500));
    let claim = |id: i64| ClaimFeature { id: id.into() }.by(&ada).owning(lease);
    let first = store.call(claim(1).in_circumstances(now(0))).unwrap();
    store.call(claim(2).in_circumstances(now(1))).unwrap();
    store.close();

    let held = ClaimFeature { id: 1.into() }.because("x").in_circumstances(now(2));
    let held = twice(&project, held);
    assert_eq!(held.holder.and_then(|holder| holder.owner).as_ref(), Some(&*ada));
    let tokens = vec![first.token.unwrap(), FenceToken::from(99)];
    let renew = RenewClaims { tokens }.because("x").in_circumstances(now(3));
    let renewed = twice(&project, renew);
    assert_eq!((renewed.held.len(), renewed.lost.len()), (1, 1));
    let recover = RecoverClaims.because("x").in_circumstances(now(1_600_000_000_000));
    let recovered = twice(&project, recover);
    assert_eq!(recovered.len(), 2);
    assert_eq!(recovered[0].claim.lease.as_ref().unwrap().renewed, at(3));
}

#[test]
fn the_time_of_an_answer_to_a_question_is_no_part_of_the_request() {
    let (_project, store) = Project::with_features(1);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    store.call(RequestHumanInput { id: 1.into(), request: request() }).unwrap();
    let answered = |at| AnswerHumanInput { request: None, ..answer(at) }.once(id("a"));
    let first = store.call(answered(0)).unwrap();
    assert_eq!(store.call(answered(1_000_000)).unwrap(), first);
}

#[test]
fn a_feature_as_deep_as_it_is_read_comes_back_in_an_answer() {
    let (project, store) = Project::with_features(1);
    let deep = "[".repeat(127) + &"]".repeat(127);
    store_columns(&project, &deep, &deep, &deep);
    let request = || ClaimNext.once(id("a"));
    let ClaimedNext::Feature(first) = store.call(request()).unwrap() else { panic!() };
    assert!(matches!(&first.feature.steps, Steps::Other(Value::Array(_))));
    assert!(matches!(&first.feature.human_input_request, Some(Value::Array(_))));
    assert_eq!(store.call(request()).unwrap(), ClaimedNext::Feature(first));
    // An answer that another program has made deeper brings nobody down.
    let sql = "UPDATE autoforge_requests SET answer = replace(answer, ?1, ?2)";
    let deeper = "[".repeat(100_000) + &"]".repeat(100_000);
    project.foreign().execute(sql, [&deep, &deeper]).unwrap();
    assert_eq!(store.call(request()).unwrap_err().code(), "answer_unreadable");
}

/// Writes columns of feature 1 as another program may.
fn store_columns(project: &Project, steps: &str, asked: &str, answered: &str) {
    let sql = "UPDATE features SET steps = ?1, human_input_request = ?2, human_input_response = ?3
        WHERE id = 1";
    project.foreign().execute(sql, [steps, asked, answered]).unwrap();
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(any::<String>(), 0..5).prop_map(Value::from),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What a column may hold: JSON, and text that is none.
fn any_column() -> impl Strategy<Value = String> {
    prop_oneof![3 => any_json().prop_map(|value| value.to_string()), 1 => any::<String>()]
}

/// Sends a request for feature 1, twice, and gives both answers.
fn both(store: &Store) -> [Feature; 2] {
    let request = autoforge_store::RequestId::random();
    [(); 2].map(|()| store.call(ClearInProgress { id: 1.into() }.once(request.clone())).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_feature_holds_comes_back_in_an_answer(
        columns in prop::collection::vec((any_column(), any_column(), any_column()), 8),
    ) {
        let (project, store) = Project::with_features(1);
        for (steps, asked, answered) in columns {
            store_columns(&project, &steps, &asked, &answered);
            let [first, second] = both(&store);
            prop_assert_eq!(&first, &feature(&store, 1));
            // Debug tells what `==` does not: the sign of a zero, and which form steps have.
            prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
            prop_assert_eq!(first, second);
        }
    }
}
