//! Questions to a human: who may ask, what an answer must be, and that it reaches the question it
//! was meant for.

use autoforge_store::{
    AnswerHumanInput, AnswerProblem, ClaimFeature, Error, Feature, FeatureRefusal, GetReady,
    HumanInputAnswer, HumanInputRefusal, HumanInputRequest, MarkPassing, RequestHumanInput,
    Revision, Store, Timestamp,
};
use serde_json::{Value, json};

use crate::support::{Project, feature, text};

fn request(prompt: &str) -> HumanInputRequest {
    let fields = vec![
        json!({"id": "key", "label": "Key", "placeholder": "kept"}),
        json!({"id": "kind", "label": "Kind", "type": "select", "required": false,
            "options": [{"value": "a", "label": "A"}]}),
    ];
    HumanInputRequest::new(prompt, fields).unwrap()
}

fn ask(store: &Store, id: i64, prompt: &str) -> Result<String, HumanInputRefusal> {
    match store.call(RequestHumanInput { id: id.into(), request: request(prompt) }) {
        Ok(name) => Ok(name),
        Err(Error::Refused(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

fn answer(
    store: &Store,
    id: i64,
    fields: Value,
    request: Option<Revision>,
) -> Result<Feature, HumanInputRefusal> {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    let answer = HumanInputAnswer::new(fields).unwrap();
    let responded_at = Timestamp::from_microseconds(1_767_225_600_000_001).unwrap();
    match store.call(AnswerHumanInput { id: id.into(), answer, responded_at, request }) {
        Ok(feature) => Ok(feature),
        Err(Error::Refused(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

fn asked() -> (Project, Store) {
    let (project, store) = Project::with_features(1);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    assert_eq!(ask(&store, 1, "Which key?").unwrap(), "Feature 1");
    (project, store)
}

#[test]
fn a_question_ends_the_claim_and_keeps_the_feature_from_being_taken() {
    let (project, store) = asked();
    let waiting = feature(&store, 1);
    assert!(waiting.needs_human_input && !waiting.in_progress);
    assert_eq!(waiting.human_input_request, Some(request("Which key?").to_json()));
    assert_eq!(store.call(GetReady { limit: 1 }).unwrap().total, 0);
    assert_eq!(
        text(&project.foreign(), "SELECT human_input_request FROM features"),
        "{\"prompt\": \"Which key?\", \"fields\": [{\"id\": \"key\", \"label\": \"Key\", \
         \"placeholder\": \"kept\"}, {\"id\": \"kind\", \"label\": \"Kind\", \"type\": \"select\", \
         \"required\": false, \"options\": [{\"value\": \"a\", \"label\": \"A\"}]}]}"
    );
}

#[test]
fn only_a_claimed_feature_that_does_not_pass_may_ask() {
    let (_project, store) = Project::with_features(2);
    assert_eq!(ask(&store, 1, "?"), Err(HumanInputRefusal::NotInProgress { id: 1.into() }));
    store.call(MarkPassing { id: 2.into() }).unwrap();
    assert_eq!(ask(&store, 2, "?"), Err(FeatureRefusal::AlreadyPassing { id: 2.into() }.into()));
    assert_eq!(ask(&store, 9, "?"), Err(FeatureRefusal::NotFound { id: 9.into() }.into()));
    assert_eq!(feature(&store, 1).human_input_request, None);
}

#[test]
fn an_answer_is_stored_with_its_time_and_frees_the_feature() {
    let (project, store) = asked();
    let answered = answer(&store, 1, json!({"key": "sk-1", "kind": ""}), None).unwrap();
    assert!(!answered.needs_human_input);
    assert_eq!(feature(&store, 1), answered);
    assert_eq!(
        text(&project.foreign(), "SELECT human_input_response FROM features"),
        "{\"fields\": {\"key\": \"sk-1\", \"kind\": \"\"}, \
         \"responded_at\": \"2026-01-01T00:00:00.000001+00:00\"}"
    );
    assert!(answered.human_input_request.is_some(), "the question stays beside its answer");
    assert_eq!(store.call(GetReady { limit: 1 }).unwrap().total, 1);
    let again = answer(&store, 1, json!({"key": "sk-2"}), None);
    assert_eq!(again, Err(HumanInputRefusal::NotWaiting { id: 1.into() }));
}

#[test]
fn types_and_unknown_fields_of_an_answer_are_checked() {
    let (_project, store) = asked();
    let before = feature(&store, 1);
    for (fields, problem) in [
        (json!({}), AnswerProblem::Missing { id: "key".into() }),
        (json!({"key": " "}), AnswerProblem::Blank { id: "key".into() }),
        (json!({"key": 7}), AnswerProblem::NotText { id: "key".into() }),
        (json!({"key": null}), AnswerProblem::NotText { id: "key".into() }),
        (json!({"key": "k", "kind": "b"}), AnswerProblem::NotAnOption { id: "kind".into() }),
        (json!({"key": "k", "x": "y"}), AnswerProblem::UnknownField { id: "x".into() }),
    ] {
        let expected = HumanInputRefusal::Answer { id: 1.into(), problem };
        assert_eq!(answer(&store, 1, fields, None), Err(expected));
        assert_eq!(feature(&store, 1), before);
    }
}

#[test]
fn an_answer_never_lands_on_a_newer_question() {
    let (_project, store) = asked();
    let shown = feature(&store, 1).human_input_request.unwrap();
    let answered = HumanInputRequest::revision_of(&shown);
    answer(&store, 1, json!({"key": "first"}), Some(answered)).unwrap();
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    ask(&store, 1, "And which other key?").unwrap();
    let late = answer(&store, 1, json!({"key": "for the first"}), Some(answered));
    assert_eq!(late, Err(HumanInputRefusal::RequestChanged { id: 1.into() }));
    let waiting = feature(&store, 1);
    assert!(waiting.needs_human_input);
    assert_eq!(waiting.human_input_response, None, "a new question clears the old answer");
    let shown = HumanInputRequest::revision_of(&waiting.human_input_request.unwrap());
    answer(&store, 1, json!({"key": "second"}), Some(shown)).unwrap();
}

#[test]
fn a_stored_question_that_makes_no_sense_can_still_be_answered() {
    for stored in ["null", "not json", "{}", "{\"fields\": 7}", "{\"fields\": [{\"id\": 1}]}"] {
        let (project, store) = asked();
        let sql = "UPDATE features SET human_input_request = ?1";
        project.foreign().execute(sql, [stored]).unwrap();
        let answered = answer(&store, 1, json!({"anything": true}), None).unwrap();
        assert!(!answered.needs_human_input, "{stored}");
    }
}

#[test]
fn unknown_features_and_passing_ones_take_no_answer() {
    let (project, store) = asked();
    let missing = answer(&store, 9, json!({}), None);
    assert_eq!(missing, Err(FeatureRefusal::NotFound { id: 9.into() }.into()));
    project.foreign().execute_batch("UPDATE features SET passes = 1").unwrap();
    let passing = answer(&store, 1, json!({"key": "k"}), None);
    assert_eq!(passing, Err(FeatureRefusal::AlreadyPassing { id: 1.into() }.into()));
}
