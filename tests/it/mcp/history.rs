//! The history over MCP: reading, following, explaining and taking back.

use std::thread;

use serde_json::{Value, json};

use super::{database, project};
use crate::mcp_client::Server;

fn kinds(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect()
}

#[test]
fn the_log_tells_who_did_what_and_why() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &["--agent", "ann", "--session", "monday"]);
    ann.done("feature_claim_next", json!({"reason": "it comes first"}));
    ann.done("feature_mark_passing", json!({"feature_id": id}));
    let log = plain.done("feature_get_log", json!({}));
    assert_eq!(kinds(&log), ["passed", "claimed", "created"]);
    assert_eq!(log["events"][1]["reason"], "it comes first");
    let whose = |event: &Value| (event["agent"].clone(), event["session"].clone());
    assert_eq!(whose(&log["events"][0]), (json!("ann"), json!("monday")));
    assert_eq!(log["events"][2]["agent"], "test", "the name that the client gave");
    let change = &log["events"][0]["changes"][0];
    assert_eq!(*change, json!({"field": "passes", "before": 0, "after": 1}));
    let of = |arguments| plain.done("feature_get_log", arguments)["count"].clone();
    let mut of = of;
    assert_eq!(of(json!({"session": "monday"})), 2);
    assert_eq!(of(json!({"session": "tuesday"})), 0);
    assert_eq!(of(json!({"feature_id": id, "limit": 1})), 1);
    assert_eq!(of(json!({"before": 2})), 1);
    assert_eq!(of(json!({"feature_id": null, "session": null})), 3);
}

#[test]
fn sessions_of_servers_that_are_told_no_name_differ() {
    let (dir, mut first) = project();
    first.create("one", &[]);
    let mut second = Server::of(dir.path());
    second.create("two", &[]);
    let log = first.done("feature_get_log", json!({}));
    assert_ne!(log["events"][0]["session"], log["events"][1]["session"]);
    assert!(log["events"][0]["pid"].is_u64());
}

#[test]
fn the_feed_goes_on_where_it_was_and_wakes_whoever_waits() {
    let (dir, mut server) = project();
    let start = server.done("feature_get_changes", json!({}));
    assert_eq!((&start["count"], &start["next"]), (&json!(0), &json!(0)));
    server.create("one", &[]);
    let first = server.done("feature_get_changes", json!({"since": start["next"]}));
    assert_eq!(kinds(&first), ["created"]);

    // One call waits; calls behind it in the same server are answered meanwhile.
    let wait = json!({"since": first["next"], "wait_seconds": 60});
    server.send_call("waits", "feature_get_changes", &wait);
    server.ping();
    assert_eq!(server.done("feature_get_stats", json!({}))["total"], 1);
    // Another program, which knows nothing of events.
    let foreign = database(dir.path());
    foreign.execute_batch("UPDATE features SET in_progress = 1 WHERE id = 1").unwrap();
    let news = server.result_of("waits").body;
    assert_eq!(kinds(&news), ["claimed"]);
    assert_eq!(news["events"][0]["agent"], Value::Null);

    // The same for a change of another server of ours, and for several waiters at once.
    for n in 0..5 {
        let wait = json!({"since": news["next"], "wait_seconds": 60});
        server.send_call(&format!("w{n}"), "feature_get_changes", &wait);
    }
    let project = dir.path().to_owned();
    let other = thread::spawn(move || Server::of(&project).create("two", &[]));
    for n in 0..5 {
        assert_eq!(kinds(&server.result_of(&format!("w{n}")).body), ["created"]);
    }
    other.join().unwrap();
    let none = server.done("feature_get_changes", json!({"since": 3, "wait_seconds": 0}));
    assert_eq!((&none["count"], &none["next"]), (&json!(0), &json!(3)));
    let code = server.refused("feature_get_changes", json!({"since": 99}));
    assert_eq!(code, "unknown_event");
}

#[test]
fn a_server_ends_at_once_while_calls_wait_for_changes() {
    let (_dir, mut server) = project();
    server.create("one", &[]);
    let wait = json!({"since": 1, "wait_seconds": 60});
    for n in 0..3 {
        server.send_call(&format!("w{n}"), "feature_get_changes", &wait);
    }
    server.ping();
    server.signal(rustix::process::Signal::TERM);
    // Their answers may come or not; the end does.
    let mut rest = 0;
    while server.try_receive().is_some() {
        rest += 1;
    }
    assert!(rest <= 3);
    assert!(server.wait().success());
}

#[test]
fn explaining_names_what_is_in_the_way_and_what_would_remove_it() {
    let (_dir, mut server) = project();
    let (first, second) = (server.create("one", &[]), server.create("two", &[]));
    server.done("feature_add_dependency", json!({"feature_id": second, "dependency_id": first}));
    let ready = server.done("feature_explain", json!({"feature_id": first}));
    assert_eq!((&ready["ready"], &ready["place"]), (&json!(true), &json!(1)));
    assert_eq!(ready["obstacles"], json!([]));
    let blocked = server.done("feature_explain", json!({"feature_id": second}));
    assert_eq!(blocked["ready"], false);
    let obstacle = &blocked["obstacles"][0];
    assert_eq!((&obstacle["kind"], &obstacle["feature_id"]), (&json!("dependency"), &json!(first)));
    assert_eq!(obstacle["remedy"], format!("feature {first} has to pass"));
    assert_eq!(server.refused("feature_explain", json!({"feature_id": 99})), "not_found");
}

#[test]
fn undoing_shows_first_and_changes_only_when_told_to() {
    let (_dir, mut server) = project();
    let id = server.create("one", &[]);
    server.done("feature_mark_passing", json!({"feature_id": id}));
    let last = json!({"feature_id": id});
    let shown = server.done("feature_undo", last.clone());
    assert_eq!((&shown["dry_run"], &shown["steps"][0]["kind"]), (&json!(true), &json!("passed")));
    assert_eq!(server.done("feature_get_stats", json!({}))["passing"], 1);

    let undo =
        json!({"feature_id": id, "dry_run": false, "request_id": "u1", "reason": "too soon"});
    let done = server.done("feature_undo", undo.clone());
    assert_eq!(done["dry_run"], false);
    assert_eq!(done["steps"], shown["steps"]);
    assert_eq!(server.done("feature_get_stats", json!({}))["passing"], 0);
    // The answer was lost: the same call again takes back nothing more.
    assert_eq!(server.done("feature_undo", undo), done);
    assert_eq!(server.done("feature_get_stats", json!({}))["total"], 1);
    let log = server.done("feature_get_log", json!({"limit": 1}));
    assert_eq!(
        (&log["events"][0]["kind"], &log["events"][0]["reason"]),
        (&json!("undone"), &json!("too soon"))
    );

    for wrong in [json!({}), json!({"feature_id": id, "event_id": 1})] {
        assert_eq!(server.rejected("feature_undo", wrong).1, "invalid_argument");
    }
    assert_eq!(server.refused("feature_undo", json!({"event_id": 99})), "unknown_event");
    assert_eq!(server.rejected("feature_undo", json!({"dry_run": "maybe"})).1, "invalid_argument");
}

#[test]
fn a_session_is_taken_back_as_a_whole() {
    let (dir, mut plain) = project();
    plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &["--agent", "ann", "--session", "wild"]);
    ann.create("nonsense", &[]);
    ann.done("feature_mark_passing", json!({"feature_id": 1}));
    let undo = json!({"session": "wild", "agent": "ann", "dry_run": false});
    let undone = plain.done("feature_undo", undo);
    assert_eq!(undone["steps"].as_array().unwrap().len(), 2);
    let stats = plain.done("feature_get_stats", json!({}));
    assert_eq!((&stats["total"], &stats["passing"]), (&json!(1), &json!(0)));
}
