//! Arguments as models write them, and arguments that nobody can mean.

use serde_json::{Value, json};

use super::{project, rows};
use crate::mcp_client::Server;

const ONE_ID: [&str; 8] = [
    "feature_get_by_id",
    "feature_get_summary",
    "feature_mark_passing",
    "feature_mark_failing",
    "feature_skip",
    "feature_mark_in_progress",
    "feature_claim_and_get",
    "feature_clear_in_progress",
];

/// A project with a few features in different states.
fn busy_project() -> (tempfile::TempDir, Server) {
    let (dir, mut server) = project();
    for name in ["one", "two", "three"] {
        server.create(name, &[]);
    }
    server.done("feature_claim_and_get", json!({"feature_id": 1}));
    server.done("feature_add_dependency", json!({"feature_id": 3, "dependency_id": 2}));
    (dir, server)
}

fn new_feature(changed: &Value) -> Value {
    let mut feature = json!({"category": "A", "name": "n", "description": "d", "steps": ["s"]});
    feature.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    feature
}

fn without(mut arguments: Value, key: &str) -> Value {
    arguments.as_object_mut().unwrap().remove(key);
    arguments
}

/// The call is rejected with a sentence that names the argument and has these words, and the
/// project is as it was.
fn assert_rejected(server: &mut Server, tool: &str, arguments: &Value, words: &[&str]) {
    let (error, code) = server.rejected(tool, arguments.clone());
    assert_eq!(code, "invalid_argument", "{tool} {arguments}");
    for word in words {
        assert!(error.contains(word), "{tool} {arguments}: {error}");
    }
}

#[test]
fn integers_and_arrays_are_read_in_the_forms_in_which_models_write_them() {
    let (_dir, mut server) = busy_project();
    for two in [json!(2), json!(2.0), json!("2"), json!(" 2 "), json!("2.0")] {
        assert_eq!(server.done("feature_get_by_id", json!({"feature_id": two}))["id"], 2);
    }
    for ids in [json!([1, "2"]), json!([1.0, " 2 "]), json!("[1, 2]"), json!("[\"1\", 2.0]")] {
        let set = json!({"feature_id": "3", "dependency_ids": ids});
        assert_eq!(server.done("feature_set_dependencies", set)["dependencies"], json!([1, 2]));
    }
    assert_eq!(server.done("feature_get_ready", json!({"limit": "1"}))["count"], 1);
    let steps = json!({"steps": "[\"open\", \"type\"]"});
    let created = server.done("feature_create", new_feature(&steps));
    assert_eq!(created["feature"]["steps"], json!(["open", "type"]));
    let features = json!([new_feature(&json!({}))]).to_string();
    let bulk = server.done("feature_create_bulk", json!({"features": features}));
    assert_eq!(bulk["created"], 1);
    let fields = json!([{"id": "k", "label": "Key"}]).to_string();
    let question = json!({"feature_id": 1, "prompt": "p", "fields": fields});
    assert_eq!(server.done("feature_request_human_input", question)["success"], true);
}

#[test]
fn an_id_that_is_none_is_rejected_by_every_tool_and_changes_nothing() {
    let (dir, mut server) = busy_project();
    let before = rows(dir.path());
    let wrong = [
        (json!(0), "0"),
        (json!(-1), "-1"),
        (json!(1.5), "1.5"),
        (json!(null), "null"),
        (json!(true), "true"),
        (json!(""), "\"\""),
        (json!("x"), "\"x\""),
        (json!("1.5"), "\"1.5\""),
        (json!([1]), "an array"),
        (json!({"id": 1}), "an object"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(1e30), "1e+30"),
    ];
    for tool in ONE_ID {
        for (value, shown) in &wrong {
            let arguments = json!({"feature_id": value});
            assert_rejected(
                &mut server,
                tool,
                &arguments,
                &["feature_id must be an integer", shown],
            );
        }
        for arguments in [json!({}), json!({"id": 1}), json!({"featureId": 1})] {
            assert_rejected(
                &mut server,
                tool,
                &arguments,
                &["feature_id is missing", "at least 1"],
            );
        }
    }
    for tool in ["feature_add_dependency", "feature_remove_dependency"] {
        for (value, shown) in &wrong {
            let arguments = json!({"feature_id": 3, "dependency_id": value});
            assert_rejected(&mut server, tool, &arguments, &["dependency_id must be", shown]);
        }
        assert_rejected(
            &mut server,
            tool,
            &json!({"feature_id": 3}),
            &["dependency_id is missing"],
        );
    }
    let huge = json!({"feature_id": u64::MAX});
    assert_rejected(&mut server, "feature_skip", &huge, &["64 bits"]);
    assert_eq!(rows(dir.path()), before);
}

#[test]
fn a_limit_out_of_its_range_is_rejected_with_the_range() {
    let (_dir, mut server) = busy_project();
    for (tool, max) in [("feature_get_ready", 50), ("feature_get_blocked", 100)] {
        for limit in
            [json!(0), json!(-1), json!(max + 1), json!(1_000_000_000), json!(null), json!(2.5)]
        {
            let range = format!("limit must be an integer from 1 to {max}");
            assert_rejected(&mut server, tool, &json!({"limit": limit}), &[&range]);
        }
        for limit in [json!(1), json!(max), json!(3.0)] {
            server.done(tool, json!({"limit": limit}));
        }
    }
}

#[test]
fn a_feature_without_its_parts_is_rejected_and_not_created() {
    let (dir, mut server) = busy_project();
    let before = rows(dir.path());
    for key in ["category", "name", "description", "steps"] {
        let missing = without(new_feature(&json!({})), key);
        assert_rejected(&mut server, "feature_create", &missing, &[key, "is missing"]);
        for value in [json!(null), json!(5), json!(true), json!({"a": 1}), json!("")] {
            let wrong = new_feature(&json!({key: value}));
            assert_rejected(&mut server, "feature_create", &wrong, &[key, "must"]);
        }
    }
    for (changed, words) in [
        (json!({"steps": []}), ["steps", "empty"]),
        (json!({"steps": "one step"}), ["steps", "an array"]),
        (json!({"steps": ["ok", 2]}), ["steps[1]", "text"]),
        (json!({"steps": [null]}), ["steps[0]", "null"]),
        (json!({"category": "é".repeat(101)}), ["category", "100"]),
        (json!({"name": "😀".repeat(256)}), ["name", "255"]),
        (json!({"description": "x".repeat((4 << 20) + 1)}), ["description", "4194304"]),
        (json!({"steps": ["x".repeat((4 << 20) + 1)]}), ["steps", "4194304"]),
        (json!({"steps": vec!["s"; 10_001]}), ["steps", "10000"]),
    ] {
        assert_rejected(&mut server, "feature_create", &new_feature(&changed), &words);
    }
    assert_eq!(rows(dir.path()), before);
    server.done("feature_create", new_feature(&json!({"name": "😀".repeat(255)})));
    server.done("feature_create", new_feature(&json!({"description": "x".repeat(4 << 20)})));
}

#[test]
fn one_wrong_item_of_a_bulk_creation_is_named_and_nothing_is_created() {
    let (dir, mut server) = busy_project();
    let before = rows(dir.path());
    let good = new_feature(&json!({}));
    let with = |key: &str, value: Value| new_feature(&json!({key: value}));
    let on = |value: Value| with("depends_on_indices", value);
    let wrong = [
        (json!({}), "invalid_feature"),
        (without(good.clone(), "category"), "invalid_feature"),
        (without(good.clone(), "name"), "invalid_feature"),
        (without(good.clone(), "description"), "invalid_feature"),
        (without(good.clone(), "steps"), "invalid_feature"),
        (with("name", json!(null)), "invalid_feature"),
        (with("category", json!(["a"])), "invalid_feature"),
        (with("description", json!({"a": 1})), "invalid_feature"),
        (with("steps", json!(null)), "invalid_feature"),
        (with("steps", json!(5)), "invalid_feature"),
        (with("steps", json!(vec!["s"; 10_001])), "invalid_feature"),
        (with("name", json!("x".repeat((4 << 20) + 1))), "invalid_feature"),
        (on(json!(5)), "invalid_feature"),
        (on(json!(true)), "invalid_feature"),
        (on(json!("0")), "invalid_feature"),
        (on(json!({"0": 1})), "invalid_feature"),
        (on(json!([-1])), "invalid_feature"),
        (on(json!([0.0])), "invalid_feature"),
        (on(json!(["0"])), "invalid_feature"),
        (on(json!([null])), "invalid_feature"),
        (on(json!([1])), "not_earlier"),
        (on(json!([99])), "not_earlier"),
        (on(json!([0, 0])), "repeated_dependency"),
        (on(json!(vec![0; 21])), "too_many_dependencies"),
    ];
    for (item, code) in wrong {
        let features = json!({"features": [good, item, good]});
        let answer = server.call("feature_create_bulk", features.clone());
        let error = answer.body["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains("index 1"), "{item}: {error}");
        assert_eq!(server.refused("feature_create_bulk", features), code, "{item}");
    }
    for (features, words) in [
        (json!({"features": [good, "a"]}), vec!["features[1]", "an object"]),
        (json!({"features": [null]}), vec!["features[0]", "null"]),
        (json!({"features": {"a": 1}}), vec!["features", "an array"]),
        (json!({"features": "a"}), vec!["features", "an array"]),
        (json!({"features": null}), vec!["features", "null"]),
        (json!({}), vec!["features is missing"]),
    ] {
        assert_rejected(&mut server, "feature_create_bulk", &features, &words);
    }
    assert_eq!(rows(dir.path()), before);
}

#[test]
fn more_features_than_one_call_creates_are_refused_with_the_limit() {
    let (_dir, mut server) = project();
    let answer = server.call("feature_create_bulk", json!({"features": vec![json!({}); 200_001]}));
    assert!(!answer.is_error);
    assert_eq!(answer.body["code"], "too_many_features");
    assert!(answer.body["error"].as_str().unwrap().contains("200000"));
}

#[test]
fn a_list_of_dependencies_that_is_none_is_rejected_and_changes_nothing() {
    let (dir, mut server) = busy_project();
    let before = rows(dir.path());
    for (ids, words) in [
        (json!(null), ["dependency_ids", "null"]),
        (json!("x"), ["dependency_ids", "an array"]),
        (json!(5), ["dependency_ids", "5"]),
        (json!({}), ["dependency_ids", "an object"]),
        (json!([2, null]), ["dependency_ids[1]", "null"]),
        (json!(["x"]), ["dependency_ids[0]", "\"x\""]),
        (json!([1.5]), ["dependency_ids[0]", "1.5"]),
        (json!([[1]]), ["dependency_ids[0]", "an array"]),
        (json!([u64::MAX]), ["dependency_ids[0]", "64 bits"]),
    ] {
        let set = json!({"feature_id": 3, "dependency_ids": ids});
        assert_rejected(&mut server, "feature_set_dependencies", &set, &words);
    }
    assert_eq!(rows(dir.path()), before);
}

#[test]
fn a_question_to_a_human_that_cannot_be_asked_changes_nothing() {
    let (dir, mut server) = busy_project();
    let before = rows(dir.path());
    let ask = |changed: Value| {
        let mut ask =
            json!({"feature_id": 1, "prompt": "p", "fields": [{"id": "k", "label": "Key"}]});
        ask.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        ask
    };
    let tool = "feature_request_human_input";
    let many: Vec<Value> = (0..257).map(|n| json!({"id": format!("f{n}"), "label": "L"})).collect();
    for (changed, words) in [
        (json!({"prompt": ""}), ["prompt", "empty"]),
        (json!({"prompt": 5}), ["prompt", "5"]),
        (json!({"prompt": null}), ["prompt", "null"]),
        (json!({"prompt": "x".repeat((4 << 20) + 1)}), ["prompt", "4194304"]),
        (json!({"fields": []}), ["fields", "empty"]),
        (json!({"fields": null}), ["fields", "null"]),
        (json!({"fields": {}}), ["fields", "an object"]),
        (json!({"fields": ["x"]}), ["fields[0]", "\"x\""]),
        (json!({"fields": many}), ["fields", "256"]),
    ] {
        assert_rejected(&mut server, tool, &ask(changed), &words);
    }
    for key in ["feature_id", "prompt", "fields"] {
        assert_rejected(&mut server, tool, &without(ask(json!({})), key), &[key, "is missing"]);
    }
    let fine = json!({"id": "k", "label": "Key"});
    for field in [
        json!({"label": "L"}),
        json!({"id": " ", "label": "L"}),
        json!({"id": "x", "label": 5}),
        json!({"id": "k", "label": "the same id"}),
        json!({"id": "x", "label": "L", "type": "number"}),
        json!({"id": "x", "label": "L", "type": "select"}),
        json!({"id": "x", "label": "L", "options": [{"value": "a", "label": "A"}]}),
    ] {
        let arguments = ask(json!({"fields": [fine, field]}));
        assert_eq!(server.refused(tool, arguments.clone()), "invalid_field", "{field}");
        assert_eq!(server.call(tool, arguments).body["index"], 1);
    }
    assert_eq!(rows(dir.path()), before);
}

#[test]
fn questions_to_the_user_that_are_none_are_rejected() {
    let (_dir, mut server) = project();
    for (questions, words) in [
        (json!({"questions": null}), ["questions", "null"]),
        (json!({"questions": ["x"]}), ["questions[0]", "\"x\""]),
        (json!({"questions": {"question": "?"}}), ["questions", "an object"]),
        (json!({}), ["questions", "missing"]),
    ] {
        assert_rejected(&mut server, "ask_user", &questions, &words);
    }
}
