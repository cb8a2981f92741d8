//! What each tool answers, and for what it refuses.

use serde_json::{Value, json};

use super::project;
use crate::mcp_client::Server;

fn id(id: i64) -> Value {
    json!({"feature_id": id})
}

/// A feature as the tools show it.
fn feature(id: i64, name: &str, changed: Value) -> Value {
    let mut feature = json!({
        "id": id,
        "priority": id,
        "category": "A",
        "name": name,
        "description": "d",
        "steps": ["s"],
        "passes": false,
        "in_progress": false,
        "dependencies": [],
        "needs_human_input": false,
        "human_input_request": null,
        "human_input_response": null,
    });
    let Value::Object(changed) = changed else { panic!("not an object") };
    feature.as_object_mut().unwrap().extend(changed);
    feature
}

/// Equal, and with the keys in the same order.
fn assert_same(found: &Value, expected: &Value) {
    assert_eq!(found.to_string(), expected.to_string());
}

#[test]
fn the_state_of_a_project_is_counted() {
    let (_dir, mut server) = project();
    let none = json!({"passing": 0, "in_progress": 0, "needs_human_input": 0, "total": 0, "percentage": 0.0});
    assert_same(&server.done("feature_get_stats", json!({})), &none);
    for name in ["one", "two", "three"] {
        server.create(name, &[]);
    }
    server.done("feature_mark_passing", id(1));
    server.done("feature_claim_and_get", id(2));
    let some = json!({"passing": 1, "in_progress": 1, "needs_human_input": 0, "total": 3, "percentage": 33.3});
    assert_same(&server.done("feature_get_stats", json!({})), &some);
}

#[test]
fn a_feature_is_shown_whole_or_in_short() {
    let (_dir, mut server) = project();
    server.create("one", &[]);
    server.create("two", &[1]);
    let whole = feature(2, "two", json!({"dependencies": [1]}));
    assert_same(&server.done("feature_get_by_id", id(2)), &whole);
    let short = json!({"id": 2, "name": "two", "passes": false, "in_progress": false,
        "needs_human_input": false, "dependencies": [1]});
    assert_same(&server.done("feature_get_summary", id(2)), &short);
}

#[test]
fn every_tool_that_takes_a_feature_refuses_one_that_does_not_exist() {
    let (_dir, mut server) = project();
    let one_id = [
        "get_by_id",
        "get_summary",
        "mark_passing",
        "mark_failing",
        "skip",
        "mark_in_progress",
        "claim_and_get",
        "clear_in_progress",
    ];
    for unknown in [1, 5_000_000, i64::MAX] {
        for tool in one_id {
            let answer = server.call(&format!("feature_{tool}"), id(unknown));
            assert!(!answer.is_error);
            let expected = json!({
                "error": format!("feature {unknown} does not exist"),
                "code": "not_found",
                "retryable": false,
                "feature_ids": [unknown],
            });
            assert_same(&answer.body, &expected);
        }
    }
    let pair = json!({"feature_id": 8, "dependency_id": 9});
    assert_eq!(server.refused("feature_add_dependency", pair.clone()), "not_found");
    assert_eq!(server.refused("feature_remove_dependency", pair), "not_found");
    let set = json!({"feature_id": 8, "dependency_ids": []});
    assert_eq!(server.refused("feature_set_dependencies", set), "not_found");
    let fields = json!([{"id": "k", "label": "Key"}]);
    let ask = json!({"feature_id": 8, "prompt": "p", "fields": fields});
    assert_eq!(server.refused("feature_request_human_input", ask), "not_found");
}

#[test]
fn the_next_feature_is_claimed_until_there_is_none() {
    let (_dir, mut server) = project();
    let next = |server: &mut Server| server.done("feature_claim_next", json!({}));
    let nothing = |reason: &str, in_progress: i64, waiting: i64, blocked: i64| {
        json!({"claimed": false, "reason": reason, "in_progress": in_progress,
            "waiting_for_human": waiting, "blocked": blocked, "out_of_attempts": 0})
    };
    assert_same(&next(&mut server), &nothing("all_passing", 0, 0, 0));
    server.create("one", &[]);
    server.create("two", &[1]);
    server.create("three", &[]);
    let first =
        json!({"claimed": true, "feature": feature(1, "one", json!({"in_progress": true}))});
    assert_same(&next(&mut server), &first);
    assert_eq!(next(&mut server)["feature"]["id"], 3);
    ask(&mut server, 3);
    assert_same(&next(&mut server), &nothing("nothing_ready", 1, 1, 1));
    server.done("feature_mark_passing", id(1));
    assert_eq!(next(&mut server)["feature"]["id"], 2);
    for done in [2, 3] {
        server.done("feature_mark_passing", id(done));
    }
    assert_eq!(next(&mut server)["reason"], "all_passing");
}

#[test]
fn a_feature_is_claimed_once_and_a_repeat_is_told_so() {
    let (_dir, mut server) = project();
    server.create("one", &[]);
    let claimed =
        |again: bool| feature(1, "one", json!({"in_progress": true, "already_claimed": again}));
    assert_same(&server.done("feature_claim_and_get", id(1)), &claimed(false));
    assert_same(&server.done("feature_claim_and_get", id(1)), &claimed(true));
    assert_eq!(server.refused("feature_mark_in_progress", id(1)), "already_in_progress");
    for _ in 0..2 {
        let given_back = server.done("feature_clear_in_progress", id(1));
        assert_same(&given_back, &feature(1, "one", json!({})));
    }
    let marked = server.done("feature_mark_in_progress", id(1));
    assert_same(&marked, &feature(1, "one", json!({"in_progress": true})));
}

#[test]
fn a_passing_feature_is_claimed_passed_and_skipped_no_more() {
    let (_dir, mut server) = project();
    server.create("one", &[]);
    let passed = json!({"success": true, "feature_id": 1, "name": "one"});
    assert_same(&server.done("feature_mark_passing", id(1)), &passed);
    for tool in ["mark_passing", "claim_and_get", "mark_in_progress", "skip"] {
        let code = server.refused(&format!("feature_{tool}"), id(1));
        assert_eq!(code, "already_passing", "{tool}");
    }
    let failed = server.done("feature_mark_failing", id(1));
    assert!(failed["message"].as_str().unwrap().contains("#1"));
    assert_same(&failed["feature"], &feature(1, "one", json!({})));
}

#[test]
fn a_skipped_feature_goes_behind_all_others() {
    let (_dir, mut server) = project();
    server.create("one", &[]);
    server.create("two", &[]);
    server.done("feature_claim_and_get", id(1));
    let mut skipped = server.done("feature_skip", id(1));
    let message = skipped.as_object_mut().unwrap().remove("message").unwrap();
    assert!(message.as_str().unwrap().contains("'one'"));
    let expected = json!({"id": 1, "name": "one", "old_priority": 1, "new_priority": 3});
    assert_same(&skipped, &expected);
    let after = server.done("feature_get_by_id", id(1));
    assert_same(&after, &feature(1, "one", json!({"priority": 3})));
}

#[test]
fn a_created_feature_keeps_its_texts_to_the_letter() {
    let (_dir, mut server) = project();
    let texts = [
        "用户 👩‍👩‍👧 e\u{301}",
        "tab\tnl\nbell\u{7}\u{7f}",
        "\u{202e}rtl\u{200f}",
        "'; DROP TABLE features; --",
    ];
    for (n, text) in texts.iter().enumerate() {
        let arguments =
            json!({"category": text, "name": text, "description": text, "steps": [text, ""]});
        let created = server.done("feature_create", arguments.clone());
        assert_eq!(created["success"], true);
        assert!(created["message"].as_str().unwrap().ends_with(text));
        let number = i64::try_from(n).unwrap() + 1;
        assert_same(&created["feature"], &feature(number, text, arguments));
        assert_same(&server.done("feature_get_by_id", id(number)), &created["feature"]);
    }
}

#[test]
fn features_are_created_in_bulk_in_their_order() {
    let (_dir, mut server) = project();
    let item = |name: &str, on: Value| {
        json!({"category": "A", "name": name, "description": "d", "steps": ["s"],
            "depends_on_indices": on, "passes": true, "id": 77})
    };
    let features = json!([item("a", json!([])), item("b", json!(null)), item("c", json!([1, 0]))]);
    let created = server.done("feature_create_bulk", json!({"features": features}));
    assert_same(&created, &json!({"created": 3, "with_dependencies": 1}));
    let third = server.done("feature_get_by_id", id(3));
    assert_same(&third, &feature(3, "c", json!({"dependencies": [1, 2]})));
    let nothing = server.done("feature_create_bulk", json!({"features": []}));
    assert_same(&nothing, &json!({"created": 0, "with_dependencies": 0}));
}

#[test]
fn items_of_a_bulk_creation_are_taken_as_they_come() {
    let (_dir, mut server) = project();
    let odd = json!([
        {"category": "", "name": "", "description": "", "steps": []},
        {"category": "c".repeat(300), "name": 5, "description": "d", "steps": "as usual"},
        {"category": "A", "name": "x", "description": "d", "steps": [{"do": 1.5}, null]},
        {"category": "A", "name": "y", "description": "d", "steps": "[\"text\"]"},
    ]);
    server.done("feature_create_bulk", json!({"features": odd}));
    let shown =
        |server: &mut Server, n, key: &str| server.done("feature_get_by_id", id(n))[key].clone();
    assert_eq!(shown(&mut server, 1, "steps"), json!([]));
    assert_eq!(shown(&mut server, 2, "name"), "5");
    assert_eq!(shown(&mut server, 2, "steps"), "as usual");
    assert_eq!(shown(&mut server, 3, "steps"), json!([{"do": 1.5}, null]));
    assert_eq!(shown(&mut server, 4, "steps"), json!(["text"]));
}

#[test]
fn dependencies_are_added_removed_and_replaced() {
    let (_dir, mut server) = project();
    for name in ["one", "two", "three"] {
        server.create(name, &[]);
    }
    let pair =
        |feature: i64, dependency: i64| json!({"feature_id": feature, "dependency_id": dependency});
    let list = |dependencies: Value| json!({"success": true, "feature_id": 3, "dependencies": dependencies});
    assert_same(&server.done("feature_add_dependency", pair(3, 2)), &list(json!([2])));
    assert_same(&server.done("feature_add_dependency", pair(3, 1)), &list(json!([1, 2])));
    assert_same(&server.done("feature_remove_dependency", pair(3, 1)), &list(json!([2])));
    let set = json!({"feature_id": 3, "dependency_ids": [2, 1]});
    assert_same(&server.done("feature_set_dependencies", set), &list(json!([1, 2])));
    for (tool, arguments, code) in [
        ("add", pair(3, 3), "depends_on_itself"),
        ("add", pair(3, 99), "unknown_dependency"),
        ("add", pair(3, 1), "dependency_exists"),
        ("add", pair(1, 3), "dependency_cycle"),
        ("remove", pair(2, 1), "no_such_dependency"),
    ] {
        let tool = format!("feature_{tool}_dependency");
        assert_eq!(server.refused(&tool, arguments), code);
    }
    for (ids, code) in [
        (json!([3]), "depends_on_itself"),
        (json!([1, 1]), "repeated_dependency"),
        (json!([1, 98, 99, -1]), "unknown_dependency"),
        (json!((1..=21).collect::<Vec<_>>()), "depends_on_itself"),
        (json!((4..=24).collect::<Vec<_>>()), "too_many_dependencies"),
    ] {
        let set = json!({"feature_id": 3, "dependency_ids": ids});
        assert_eq!(server.refused("feature_set_dependencies", set), code);
    }
    let set = json!({"feature_id": 1, "dependency_ids": [3]});
    assert_eq!(server.refused("feature_set_dependencies", set), "dependency_cycle");
    let none = json!({"feature_id": 3, "dependency_ids": []});
    assert_same(&server.done("feature_set_dependencies", none), &list(json!([])));
}

#[test]
fn ready_blocked_and_the_graph_show_who_waits_for_whom() {
    let (_dir, mut server) = project();
    server.create("one", &[]);
    server.create("two", &[1]);
    server.create("three", &[2, 1]);
    server.create("four", &[]);
    let ready = server.done("feature_get_ready", json!({"limit": 1}));
    assert_same(
        &ready,
        &json!({"features": [feature(1, "one", json!({}))], "count": 1, "total_ready": 2}),
    );
    let blocked = server.done("feature_get_blocked", json!({}));
    let two = feature(2, "two", json!({"dependencies": [1], "blocked_by": [1]}));
    let three = feature(3, "three", json!({"dependencies": [1, 2], "blocked_by": [1, 2]}));
    assert_same(&blocked, &json!({"features": [two, three], "count": 2, "total_blocked": 2}));
    server.done("feature_mark_passing", id(1));
    server.done("feature_claim_and_get", id(4));
    let graph = server.done("feature_get_graph", json!({}));
    let node = |id: i64, name: &str, status: &str, dependencies: Value| {
        json!({"id": id, "name": name, "category": "A", "status": status, "priority": id,
            "dependencies": dependencies})
    };
    let edge = |source: i64, target: i64| json!({"source": source, "target": target});
    let expected = json!({
        "nodes": [
            node(1, "one", "done", json!([])),
            node(2, "two", "pending", json!([1])),
            node(3, "three", "blocked", json!([1, 2])),
            node(4, "four", "in_progress", json!([])),
        ],
        "edges": [edge(1, 2), edge(1, 3), edge(2, 3)],
    });
    assert_same(&graph, &expected);
}

fn ask(server: &mut Server, feature: i64) {
    let fields = json!([{"id": "key", "label": "Key", "placeholder": "sk-…"}]);
    let arguments = json!({"feature_id": feature, "prompt": "Which key?", "fields": fields});
    let mut asked = server.done("feature_request_human_input", arguments);
    let message = asked.as_object_mut().unwrap().remove("message").unwrap();
    let name = asked.as_object_mut().unwrap().remove("name").unwrap();
    assert!(message.as_str().unwrap().contains(name.as_str().unwrap()));
    assert_same(&asked, &json!({"success": true, "feature_id": feature}));
}

#[test]
fn a_feature_that_waits_for_a_human_is_not_to_be_had() {
    let (dir, mut server) = project();
    server.create("one", &[]);
    let fields = json!([{"id": "key", "label": "Key"}]);
    let question = json!({"feature_id": 1, "prompt": "Which key?", "fields": fields});
    let early = server.refused("feature_request_human_input", question.clone());
    assert_eq!(early, "not_in_progress");
    server.done("feature_claim_and_get", id(1));
    ask(&mut server, 1);
    assert_eq!(server.refused("feature_claim_and_get", id(1)), "waiting_for_human");
    assert_eq!(server.refused("feature_mark_in_progress", id(1)), "waiting_for_human");
    assert_eq!(server.done("feature_get_ready", json!({}))["count"], 0);
    let waiting = server.done("feature_get_by_id", id(1));
    let request = json!({"prompt": "Which key?",
        "fields": [{"id": "key", "label": "Key", "placeholder": "sk-…"}]});
    assert_same(
        &waiting,
        &feature(1, "one", json!({"needs_human_input": true, "human_input_request": request})),
    );
    let answer = "UPDATE features SET needs_human_input = 0, human_input_response = '{\"key\": 1}'";
    super::database(dir.path()).execute_batch(answer).unwrap();
    let claimed = server.done("feature_claim_and_get", id(1));
    assert_eq!(claimed["human_input_response"], json!({"key": 1}));
    server.done("feature_mark_passing", id(1));
    assert_eq!(server.refused("feature_request_human_input", question), "already_passing");
}

#[test]
fn questions_to_the_user_are_only_checked() {
    let (_dir, mut server) = project();
    let option = json!({"label": "A", "description": "a"});
    let question = |options: usize| json!({"question": "Which?", "header": "H", "options": vec![option.clone(); options]});
    for questions in [json!([]), json!([question(2)]), json!([question(4), question(3)])] {
        let answer = server.call("ask_user", json!({"questions": questions}));
        assert!(!answer.is_error && answer.body.is_null());
        assert!(answer.text.contains("next message"), "{}", answer.text);
    }
    let without = |key: &str| {
        let mut question = question(2);
        question.as_object_mut().unwrap().remove(key);
        question
    };
    for (wrong, named) in [
        (question(1), "2 to 4"),
        (question(5), "2 to 4"),
        (without("question"), "question is missing"),
        (without("header"), "header is missing"),
        (without("options"), "options is missing"),
        (json!({"question": "Which?", "header": "H", "options": null}), "must be an array"),
    ] {
        let questions = json!({"questions": [question(2), wrong]});
        let answer = server.call("ask_user", questions.clone());
        let error = answer.body["error"].as_str().unwrap().to_owned();
        assert!(error.contains("question 1") && error.contains(named), "{error}");
        assert_eq!(server.refused("ask_user", questions), "invalid_question");
    }
}
