//! Requests to a human and answers to them, of any JSON `{"prompt", "fields", "answer"}`: what is
//! accepted is what the model accepts, and a stored request of any shape is answered without a
//! panic.
#![no_main]

use autoforge_store::testing::{fits, is_form};
use autoforge_store::{FieldProblem, HumanInputAnswer, HumanInputRequest, InvalidRequest};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Object(mut input)) = serde_json::from_slice::<Value>(bytes) else { return };
    let mut take = |key: &str| input.get_mut(key).map_or(Value::Null, Value::take);
    let (prompt, fields, answer) = (take("prompt"), take("fields"), take("answer"));
    let stored = Value::Object(Map::from_iter([("fields".to_owned(), fields.clone())]));
    let answer = answer.as_object().cloned().unwrap_or_default();
    if let Ok(checked) = HumanInputAnswer::new(answer.clone()) {
        let fits = fits(&Value::Object(answer), &stored);
        assert_eq!(checked.check(&stored).is_ok(), fits);
    }
    let fields = fields.as_array().cloned().unwrap_or_default();
    let prompt = prompt.as_str().unwrap_or_default();
    match HumanInputRequest::new(prompt, fields.clone()) {
        Ok(request) => {
            assert!(is_form(&fields));
            let stored = request.to_json().to_string();
            let read: Value = serde_json::from_str(&stored).unwrap();
            let revision = HumanInputRequest::revision_of(&read);
            assert_eq!(revision, HumanInputRequest::revision_of(&request.to_json()));
        }
        Err(InvalidRequest::Field { problem: FieldProblem::TooDeep { .. }, .. }) => {}
        Err(InvalidRequest::Field { .. }) => assert!(!is_form(&fields)),
        Err(_) => {}
    }
});
