use proptest::prelude::*;

use super::*;

fn request(fields: Value) -> Result<HumanInputRequest, InvalidRequest> {
    let Value::Array(fields) = fields else { panic!("a list is needed") };
    HumanInputRequest::new("p", fields)
}

fn problem(field: &Value) -> FieldProblem {
    match request(json!([{"id": "ok", "label": "L"}, field])) {
        Err(InvalidRequest::Field { index: 1, problem }) => problem,
        other => panic!("expected a refused second field, not {other:?}"),
    }
}

fn answer(fields: Value) -> HumanInputAnswer {
    let Value::Object(fields) = fields else { panic!("an object is needed") };
    HumanInputAnswer::new(fields).unwrap()
}

/// One field of every kind, with everything that is allowed although it means nothing.
fn rich() -> Value {
    json!([
        {"id": "key", "label": "Clé 🔑", "type": "text", "required": true, "placeholder": "sk-…"},
        {"id": "notes", "label": "Notes", "type": "textarea", "required": false,
            "x-extra": {"deep": [1, 2.5, null, true, "é"]}},
        {"id": "mode", "label": "Mode", "type": "select",
            "options": [{"value": "a", "label": "A"}, {"value": "b", "label": "B", "more": 1}]},
        {"id": "agree", "label": "Agree?", "type": "boolean", "options": []},
        {"id": "none", "label": "None", "options": null, "required": "maybe"},
    ])
}

#[test]
fn fields_are_kept_verbatim() {
    let request = request(rich()).unwrap();
    assert_eq!(request.to_json(), json!({"prompt": "p", "fields": rich()}));
    assert_eq!((request.prompt(), Value::from(request.fields())), ("p", rich()));
}

#[test]
fn every_broken_rule_of_a_field_is_named() {
    let option = json!({"value": "a", "label": "A"});
    let cases = [
        (json!("x"), FieldProblem::NotAnObject),
        (json!(null), FieldProblem::NotAnObject),
        (json!({}), FieldProblem::Id),
        (json!({"label": "L"}), FieldProblem::Id),
        (json!({"id": "", "label": "L"}), FieldProblem::Id),
        (json!({"id": "  ", "label": "L"}), FieldProblem::Id),
        (json!({"id": 5, "label": "L"}), FieldProblem::Id),
        (json!({"id": null, "label": "L"}), FieldProblem::Id),
        (json!({"id": "ok", "label": "M"}), FieldProblem::DuplicateId { id: "ok".into() }),
        (json!({"id": "x"}), FieldProblem::Label),
        (json!({"id": "x", "label": "\t"}), FieldProblem::Label),
        (json!({"id": "x", "label": 5}), FieldProblem::Label),
        (json!({"id": "x", "label": null}), FieldProblem::Label),
        (json!({"id": "x", "label": "L", "type": "number"}), FieldProblem::Type),
        (json!({"id": "x", "label": "L", "type": "Text"}), FieldProblem::Type),
        (json!({"id": "x", "label": "L", "type": null}), FieldProblem::Type),
        (json!({"id": "x", "label": "L", "type": 3}), FieldProblem::Type),
        (json!({"id": "x", "label": "L", "type": ["text"]}), FieldProblem::Type),
        (json!({"id": "x", "label": "L", "options": [option]}), FieldProblem::OptionsWithoutSelect),
        (
            json!({"id": "x", "label": "L", "type": "boolean", "options": [option]}),
            FieldProblem::OptionsWithoutSelect,
        ),
        (
            json!({"id": "x", "label": "L", "type": "textarea", "options": 1}),
            FieldProblem::OptionsWithoutSelect,
        ),
    ];
    for (field, expected) in cases {
        assert_eq!(problem(&field), expected, "{field}");
    }
}

#[test]
fn every_broken_rule_of_a_select_is_named() {
    let select =
        |options: &Value| json!({"id": "x", "label": "L", "type": "select", "options": options});
    let good = json!({"value": "a", "label": "A"});
    assert_eq!(
        problem(&json!({"id": "x", "label": "L", "type": "select"})),
        FieldProblem::NoOptions
    );
    let cases = [
        (json!(null), FieldProblem::NoOptions),
        (json!([]), FieldProblem::NoOptions),
        (json!({"a": 1}), FieldProblem::NoOptions),
        (json!("ab"), FieldProblem::NoOptions),
        (json!(["a"]), FieldProblem::OptionNotAnObject { option: 0 }),
        (json!([good, null]), FieldProblem::OptionNotAnObject { option: 1 }),
        (json!([good, {"label": "A"}]), FieldProblem::OptionValue { option: 1 }),
        (json!([{"value": 1, "label": "A"}]), FieldProblem::OptionValue { option: 0 }),
        (json!([{"value": " ", "label": "A"}]), FieldProblem::OptionValue { option: 0 }),
        (json!([{"value": "a"}]), FieldProblem::OptionLabel { option: 0 }),
        (json!([{"value": "a", "label": ""}]), FieldProblem::OptionLabel { option: 0 }),
        (json!([{"value": "a", "label": 1}]), FieldProblem::OptionLabel { option: 0 }),
    ];
    for (options, expected) in cases {
        assert_eq!(problem(&select(&options)), expected, "{options}");
    }
    assert!(request(json!([select(&json!([good, good]))])).is_ok());
}

#[test]
fn options_that_python_takes_for_false_are_fine_with_any_type() {
    for options in
        [json!(null), json!([]), json!({}), json!(""), json!(0), json!(0.0), json!(false)]
    {
        let field = json!({"id": "x", "label": "L", "options": options});
        assert!(request(json!([field])).is_ok(), "{field}");
    }
    for options in [json!({"a": 1}), json!("a"), json!(-1), json!(0.1), json!(true)] {
        let field = json!({"id": "x", "label": "L", "options": options});
        assert_eq!(problem(&field), FieldProblem::OptionsWithoutSelect);
    }
}

#[test]
fn sizes_are_bounded_and_the_bounds_themselves_are_fine() {
    let field = |n: usize| json!({"id": format!("{n}"), "label": "L"});
    let fields = |count: usize| (0..count).map(field).collect::<Vec<_>>();
    assert_eq!(HumanInputRequest::new("", fields(1)), Err(InvalidRequest::EmptyPrompt));
    assert_eq!(HumanInputRequest::new("p", vec![]), Err(InvalidRequest::NoFields));
    assert!(HumanInputRequest::new("p", fields(Limits::FIELDS)).is_ok());
    assert_eq!(
        HumanInputRequest::new("p", fields(Limits::FIELDS + 1)),
        Err(InvalidRequest::TooManyFields { count: Limits::FIELDS + 1, max: Limits::FIELDS })
    );

    let max = Limits::TEXT_BYTES;
    assert!(HumanInputRequest::new("x".repeat(max), fields(1)).is_ok());
    assert_eq!(
        HumanInputRequest::new("x".repeat(max + 1), fields(1)),
        Err(InvalidRequest::PromptTooLarge { bytes: max + 1, max })
    );

    let max = Limits::FIELDS_BYTES;
    let padded = |bytes: usize| vec![field(0), json!({"id": "x", "label": "x".repeat(bytes)})];
    let rest = to_json_text(&padded(0).into()).len();
    assert!(HumanInputRequest::new("p", padded(max - rest)).is_ok());
    assert_eq!(
        HumanInputRequest::new("p", padded(max - rest + 1)),
        Err(InvalidRequest::FieldsTooLarge { bytes: max + 1, max })
    );
}

#[test]
fn nesting_deeper_than_what_is_read_back_is_refused() {
    let nested = |levels: usize| (0..levels).fold(Value::Null, |inner, _| json!([inner]));
    let field = |levels| vec![json!({"id": "x", "label": "L", "extra": nested(levels)})];
    let stored = HumanInputRequest::new("p", field(NESTING - 1)).unwrap().to_json();
    assert_eq!(super::super::parse_json(&to_json_text(&stored)), Some(stored));
    assert_eq!(
        HumanInputRequest::new("p", field(NESTING)),
        Err(InvalidRequest::Field { index: 0, problem: FieldProblem::TooDeep { max: NESTING } })
    );

    let values = |levels| Map::from_iter([("x".to_owned(), nested(levels))]);
    assert!(HumanInputAnswer::new(values(NESTING)).is_ok());
    assert_eq!(
        HumanInputAnswer::new(values(NESTING + 1)),
        Err(AnswerProblem::TooDeep { id: "x".into(), max: NESTING })
    );
}

#[test]
fn an_answer_larger_than_its_bound_is_refused() {
    let values = |bytes| Map::from_iter([("x".to_owned(), Value::from("x".repeat(bytes)))]);
    let (max, rest) = (Limits::FIELDS_BYTES, r#"{"x": ""}"#.len());
    assert!(HumanInputAnswer::new(values(max - rest)).is_ok());
    assert_eq!(
        HumanInputAnswer::new(values(max - rest + 1)),
        Err(AnswerProblem::TooLarge { bytes: max + 1, max })
    );
}

#[test]
fn an_answer_that_fits_is_accepted() {
    let request = request(rich()).unwrap().to_json();
    for fields in [
        json!({"key": "sk", "mode": "b", "agree": false, "none": "x"}),
        json!({"none": "x", "agree": true, "mode": "a", "key": " k ", "notes": ""}),
        json!({"key": "sk", "mode": "b", "agree": false, "none": "x", "notes": "  "}),
    ] {
        assert_eq!(answer(fields.clone()).check(&request), Ok(()), "{fields}");
    }
}

#[test]
fn an_answer_that_does_not_fit_names_the_field() {
    let request = request(rich()).unwrap().to_json();
    let good = json!({"key": "sk", "mode": "b", "agree": false, "none": "x"});
    let id = |id: &str| id.to_owned();
    let cases = [
        ("key", json!(""), AnswerProblem::Blank { id: id("key") }),
        ("key", json!(" \n"), AnswerProblem::Blank { id: id("key") }),
        ("key", json!(5), AnswerProblem::NotText { id: id("key") }),
        ("key", json!(null), AnswerProblem::NotText { id: id("key") }),
        ("notes", json!(["n"]), AnswerProblem::NotText { id: id("notes") }),
        ("mode", json!("c"), AnswerProblem::NotAnOption { id: id("mode") }),
        ("mode", json!("A"), AnswerProblem::NotAnOption { id: id("mode") }),
        ("mode", json!(""), AnswerProblem::Blank { id: id("mode") }),
        ("mode", json!(true), AnswerProblem::NotText { id: id("mode") }),
        ("agree", json!("true"), AnswerProblem::NotBoolean { id: id("agree") }),
        ("agree", json!(null), AnswerProblem::NotBoolean { id: id("agree") }),
        ("agree", json!(1), AnswerProblem::NotBoolean { id: id("agree") }),
        ("nobody", json!("x"), AnswerProblem::UnknownField { id: id("nobody") }),
    ];
    for (key, value, expected) in cases {
        let mut fields = good.clone();
        fields[key] = value;
        assert_eq!(answer(fields.clone()).check(&request), Err(expected), "{fields}");
    }
    for key in ["key", "mode", "agree", "none"] {
        let mut fields = good.clone();
        fields.as_object_mut().unwrap().remove(key);
        let missing = AnswerProblem::Missing { id: id(key) };
        assert_eq!(answer(fields).check(&request), Err(missing));
    }
}

#[test]
fn an_optional_choice_may_be_left_open_but_not_be_wrong() {
    let request = json!({"prompt": "p", "fields": [{"id": "m", "label": "M", "type": "select",
        "required": false, "options": [{"value": "a", "label": "A"}]}]});
    assert_eq!(answer(json!({})).check(&request), Ok(()));
    assert_eq!(answer(json!({"m": ""})).check(&request), Ok(()));
    let wrong = answer(json!({"m": " "})).check(&request);
    assert_eq!(wrong, Err(AnswerProblem::NotAnOption { id: "m".into() }));
}

#[test]
fn every_answer_fits_a_stored_request_that_makes_no_sense() {
    let any = answer(json!({"x": [1, {"y": null}]}));
    for request in [
        json!(null),
        json!("text"),
        json!([]),
        json!({"prompt": "p"}),
        json!({"fields": null}),
        json!({"fields": {"x": {}}}),
        json!({"fields": [{"id": "x", "label": "X"}, {"id": "y"}]}),
        json!({"fields": [{"id": "x", "label": "X"}, {"id": "x", "label": "X"}]}),
    ] {
        assert_eq!(any.check(&request), Ok(()), "{request}");
    }
}

#[test]
fn an_answer_is_stored_with_the_time_it_was_given() {
    let at = Timestamp::from_microseconds(1_767_225_600_000_001).unwrap();
    assert_eq!(
        answer(json!({"b": true, "a": "é"})).to_json(at),
        json!({"fields": {"b": true, "a": "é"}, "responded_at": "2026-01-01T00:00:00.000001+00:00"})
    );
}

#[test]
fn requests_have_the_same_revision_only_when_they_are_the_same() {
    let revision = |prompt: &str| {
        let fields = vec![json!({"id": "x", "label": "L"})];
        let request = HumanInputRequest::new(prompt, fields).unwrap();
        HumanInputRequest::revision_of(&request.to_json())
    };
    assert_eq!(revision("a"), revision("a"));
    assert_ne!(revision("a"), revision("b"));
}

fn any_field() -> impl Strategy<Value = Value> {
    let word = || prop_oneof![Just(json!("a")), Just(json!("b")), Just(json!(" ")), Just(json!(1))];
    let kind = prop::sample::select(vec!["text", "textarea", "select", "boolean", "other"]);
    let options = prop_oneof![
        Just(json!(null)),
        Just(json!([])),
        Just(json!([{"value": "v", "label": "V"}])),
        Just(json!([{"value": "v"}])),
        Just(json!(7)),
    ];
    (word(), word(), kind, options, any::<bool>()).prop_map(|(id, label, kind, options, required)| {
        json!({"id": id, "label": label, "type": kind, "options": options, "required": required})
    })
}

proptest! {
    #[test]
    fn an_accepted_request_can_be_answered(fields in prop::collection::vec(any_field(), 1..3)) {
        let Ok(request) = HumanInputRequest::new("p", fields.clone()) else { return Ok(()) };
        let value = |field: &Value| match field["type"].as_str() {
            Some("boolean") => json!(true),
            Some("select") => field["options"][0]["value"].clone(),
            _ => json!("text"),
        };
        let id = |field: &Value| field["id"].as_str().unwrap().to_owned();
        let all: Map<_, _> = fields.iter().map(|field| (id(field), value(field))).collect();
        prop_assert_eq!(HumanInputAnswer::new(all).unwrap().check(&request.to_json()), Ok(()));

        let required = fields.iter().find(|field| field["required"] == true);
        let missing = required.map(|field| AnswerProblem::Missing { id: id(field) });
        let empty = HumanInputAnswer::new(Map::new()).unwrap();
        prop_assert_eq!(empty.check(&request.to_json()).err(), missing);
    }

    #[test]
    fn depth_is_measured_exactly(levels in 0..200_usize, bound in 0..200_usize, keyed: bool) {
        let wrap = |inner, _| if keyed { json!({"k": inner, "l": 1}) } else { json!([1, inner]) };
        prop_assert_eq!(is_deeper(&(0..levels).fold(json!(1), wrap), bound), levels > bound);
    }
}
