//! Servers that claim for an agent: owners, leases, tokens, and what becomes of them.

use serde_json::{Value, json};

use super::{database, lock, project};
use crate::mcp_client::Server;

const LEASE: [&str; 2] = ["--lease", "1h"];

fn agent<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--agent", name], LEASE.as_slice(), more].concat()
}

/// The agents that hold claims, by feature.
fn held(server: &mut Server) -> Vec<(i64, String)> {
    let claims = server.done("feature_get_claims", json!({}));
    let of = |claim: &Value| {
        let running = claim["lapsed"].is_null();
        let agent = claim["agent"].as_str().unwrap_or("nobody");
        (
            claim["feature_id"].as_i64().unwrap(),
            format!("{agent}{}", if running { "" } else { "!" }),
        )
    };
    let mut held: Vec<_> = claims["claims"].as_array().unwrap().iter().map(of).collect();
    held.sort();
    held
}

fn outcomes(server: &mut Server, feature: i64) -> Vec<String> {
    let attempts = server.done("feature_get_attempts", json!({"feature_id": feature}));
    let of = |attempt: &Value| attempt["outcome"].as_str().unwrap_or("running").to_owned();
    attempts["attempts"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn without_a_lease_claims_belong_to_nobody_and_answers_are_as_ever() {
    let (_dir, mut server) = project();
    let id = server.create("one", &[]);
    let claimed = server.done("feature_claim_and_get", json!({"feature_id": id}));
    assert_eq!(
        (&claimed["already_claimed"], &claimed["claim_token"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(claimed.as_object().unwrap().len(), 13, "a feature and one key");
    assert_eq!(held(&mut server), [(id, "nobody".to_owned())]);
    let again = server.done("feature_claim_and_get", json!({"feature_id": id}));
    assert_eq!((&again["already_claimed"], &again["held_by"]), (&json!(true), &Value::Null));
}

#[test]
fn with_a_lease_claims_belong_to_the_agent_and_nobody_else_ends_them_by_accident() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &agent("ann", &[]));
    let mut bob = Server::with(dir.path(), &agent("bob", &[]));
    let claimed = ann.done("feature_claim_and_get", json!({"feature_id": id}));
    assert!(claimed["claim_token"].is_i64(), "{claimed}");
    assert_eq!(held(&mut bob), [(id, "ann".to_owned())]);

    let seen = bob.done("feature_claim_and_get", json!({"feature_id": id}));
    assert_eq!(seen["already_claimed"], true);
    assert!(seen["held_by"].as_str().unwrap().starts_with("ann (process "), "{seen}");
    assert!(seen["claim_token"].is_null());
    let one = json!({"feature_id": id});
    for server in [&mut bob, &mut plain] {
        assert_eq!(server.refused("feature_mark_in_progress", one.clone()), "held_by_other");
        for tool in ["mark_passing", "mark_failing", "skip", "clear_in_progress"] {
            let code = server.refused(&format!("feature_{tool}"), one.clone());
            assert_eq!(code, "held_by_other", "{tool}");
        }
        let field = json!({"id": "a", "label": "A"});
        let ask = json!({"feature_id": id, "prompt": "?", "fields": [field]});
        assert_eq!(server.refused("feature_request_human_input", ask), "held_by_other");
    }
    ann.done("feature_mark_passing", one);
    assert_eq!(outcomes(&mut bob, id), ["passed"]);
}

#[test]
fn overriding_is_possible_and_is_written_down_with_its_reason() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &agent("ann", &[]));
    ann.done("feature_claim_next", json!({}));
    let release = json!({"feature_id": id, "override": true, "reason": "ann is on holiday"});
    plain.done("feature_clear_in_progress", release);
    let log = plain.done("feature_get_log", json!({"feature_id": id, "limit": 1}));
    let event = &log["events"][0];
    assert_eq!((&event["kind"], &event["overrode"]), (&json!("released"), &json!(true)));
    assert_eq!(event["reason"], "ann is on holiday");
    assert_eq!(event["agent"], "test", "the name that the client gave");
    // What ann does now would be done to a feature that is not hers any more.
    assert_eq!(ann.refused("feature_mark_passing", json!({"feature_id": id})), "stale_token");
    ann.done("feature_claim_and_get", json!({"feature_id": id}));
    ann.done("feature_mark_passing", json!({"feature_id": id}));
}

#[test]
fn a_killed_server_loses_its_claims_to_whoever_asks_next() {
    let (dir, mut plain) = project();
    let ids = [plain.create("one", &[]), plain.create("two", &[])];
    let mut ann = Server::with(dir.path(), &agent("ann", &[]));
    ann.done("feature_claim_next", json!({}));
    ann.done("feature_claim_next", json!({}));
    let mut bob = Server::with(dir.path(), &agent("bob", &[]));
    assert_eq!(bob.done("feature_claim_next", json!({}))["reason"], "nothing_ready");
    ann.kill();
    assert_eq!(held(&mut bob), [(ids[0], "ann!".to_owned()), (ids[1], "ann!".to_owned())]);
    assert_eq!(bob.done("feature_get_ready", json!({}))["total_ready"], 2);
    assert_eq!(bob.done("feature_claim_next", json!({}))["claimed"], true);
    bob.done("feature_claim_and_get", json!({"feature_id": ids[1]}));
    assert_eq!(held(&mut bob), [(ids[0], "bob".to_owned()), (ids[1], "bob".to_owned())]);
    assert_eq!(outcomes(&mut bob, ids[0]), ["running", "died"]);
}

#[test]
fn a_server_that_ends_gives_its_claims_back_and_no_failure_is_counted() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    for _ in 0..4 {
        let mut ann = Server::with(dir.path(), &agent("ann", &[]));
        assert_eq!(ann.done("feature_claim_next", json!({}))["claimed"], true);
        assert!(ann.end().success());
    }
    assert_eq!(held(&mut plain), []);
    assert_eq!(outcomes(&mut plain, id), ["released"; 4]);
    let log = plain.done("feature_get_log", json!({"feature_id": id, "limit": 1}));
    assert_eq!(log["events"][0]["reason"], "the agent's server ended");
}

#[test]
fn a_signal_gives_the_claims_back_too() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &agent("ann", &[]));
    ann.done("feature_claim_next", json!({}));
    ann.signal(rustix::process::Signal::TERM);
    assert!(ann.wait().success());
    assert_eq!(outcomes(&mut plain, id), ["released"]);
}

#[test]
fn a_claim_that_was_lent_to_a_server_is_used_by_it_and_stays_with_its_owner() {
    let (dir, mut plain) = project();
    let (id, other) = (plain.create("one", &[]), plain.create("two", &[]));
    let mut owner = Server::with(dir.path(), &agent("orchestrator", &[]));
    let claimed = owner.done("feature_claim_and_get", json!({"feature_id": id}));
    let token = claimed["claim_token"].as_i64().unwrap();
    let lent = format!("{id}={token}");
    let mut coder = Server::with(dir.path(), &["--agent", "coder", "--claim", &lent]);
    // As agents do that are told which feature is theirs.
    let seen = coder.done("feature_claim_and_get", json!({"feature_id": id}));
    assert_eq!((&seen["already_claimed"], &seen["claim_token"]), (&json!(true), &json!(token)));
    assert!(seen["held_by"].is_null(), "{seen}");
    coder.done("feature_mark_passing", json!({"feature_id": id}));
    // Its own claims belong to nobody, as without the loan.
    coder.done("feature_claim_next", json!({}));
    plain.done("feature_clear_in_progress", json!({"feature_id": other}));
    // The claim is over; what the coder does now, it does without one.
    coder.done("feature_mark_failing", json!({"feature_id": id}));
    let log = plain.done("feature_get_log", json!({"feature_id": id, "limit": 10}));
    let passed = log["events"].as_array().unwrap().iter().find(|e| e["kind"] == "passed").unwrap();
    assert_eq!((&passed["agent"], &passed["claim"]), (&json!("coder"), &json!(token)));
    assert_eq!(passed["overrode"], false);
}

#[test]
fn a_lent_claim_that_is_over_lets_its_server_do_nothing() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut owner = Server::with(dir.path(), &agent("orchestrator", &[]));
    let token = owner.done("feature_claim_next", json!({}))["claim_token"].as_i64().unwrap();
    let lent = format!("{id}={token}");
    let mut coder = Server::with(dir.path(), &["--claim", &lent]);
    owner.done("feature_clear_in_progress", json!({"feature_id": id}));
    assert_eq!(coder.refused("feature_mark_passing", json!({"feature_id": id})), "stale_token");
    assert_eq!(plain.done("feature_get_stats", json!({}))["passing"], 0);
}

#[test]
fn an_explicit_token_counts_whoever_shows_it() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &agent("ann", &[]));
    let token = ann.done("feature_claim_next", json!({}))["claim_token"].as_i64().unwrap();
    let under = |token: i64| json!({"feature_id": id, "claim_token": token});
    assert_eq!(plain.refused("feature_mark_passing", under(token + 1)), "stale_token");
    plain.done("feature_mark_passing", under(token));
    assert_eq!(plain.refused("feature_mark_failing", under(token)), "stale_token");
}

#[test]
fn the_store_is_opened_anew_and_the_claims_go_on() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &agent("ann", &[]));
    ann.done("feature_claim_next", json!({}));
    drop(plain);
    // The file is replaced under the server, as after a restore from a copy that has its claim.
    let file = dir.path().join(".autoforge/features.db");
    let copy = dir.path().join("copy.db");
    database(dir.path()).execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    std::fs::rename(&copy, &file).unwrap();
    let (_, code) = ann.rejected("feature_get_stats", json!({}));
    assert_eq!(code, "moved");
    ann.done("feature_mark_passing", json!({"feature_id": id}));
    assert_eq!(outcomes(&mut ann, id), ["passed"]);
}

#[test]
fn failed_attempts_take_a_feature_out_of_reach_until_somebody_resets_it() {
    let (dir, mut ann) = {
        let (dir, mut plain) = project();
        plain.create("one", &[]);
        let ann = Server::with(dir.path(), &agent("ann", &[]));
        (dir, ann)
    };
    for reason in ["no key", "no key yet", "still none"] {
        ann.done("feature_claim_and_get", json!({"feature_id": 1}));
        ann.done("feature_mark_failing", json!({"feature_id": 1, "reason": reason}));
    }
    let next = ann.done("feature_claim_next", json!({}));
    assert_eq!((&next["reason"], &next["out_of_attempts"]), (&json!("nothing_ready"), &json!(1)));
    let code = ann.refused("feature_claim_and_get", json!({"feature_id": 1}));
    assert_eq!(code, "out_of_attempts");
    let explained = ann.done("feature_explain", json!({"feature_id": 1}));
    assert_eq!(explained["ready"], false);
    assert_eq!(explained["obstacles"][0]["kind"], "exhausted");
    assert_eq!(explained["obstacles"][0]["reasons"][0], "still none");
    ann.done("feature_retry", json!({"feature_id": 1, "reason": "there is a key now"}));
    assert_eq!(ann.done("feature_claim_next", json!({}))["claimed"], true);
    drop(dir);
}

#[test]
fn a_request_id_has_one_effect_and_one_answer_from_every_server() {
    let (dir, mut plain) = project();
    plain.create("one", &[]);
    plain.create("two", &[]);
    let mut servers: Vec<Server> =
        (0..8).map(|n| Server::with(dir.path(), &agent(["ann", "bob"][n % 2], &[]))).collect();
    let claim = json!({"request_id": "monday/1"});
    for server in &mut servers {
        server.send_call("r", "feature_claim_next", &claim);
    }
    let answers: Vec<Value> = servers.iter_mut().map(|s| s.result_of("r").body).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(held(&mut plain).len(), 1);
    let other = json!({"feature_id": 1, "request_id": "monday/1"});
    assert_eq!(plain.refused("feature_skip", other), "request_id_reused");
    let (problem, code) = plain.rejected("feature_claim_next", json!({"request_id": ""}));
    assert_eq!((problem.contains("empty"), code.as_str()), (true, "invalid_argument"));
}

#[test]
fn a_server_that_cannot_give_its_claims_back_at_once_waits_for_the_lock() {
    let (dir, mut plain) = project();
    let id = plain.create("one", &[]);
    let mut ann = Server::with(dir.path(), &agent("ann", &[]));
    ann.done("feature_claim_next", json!({}));
    let writer = lock(dir.path());
    ann.hang_up();
    // It is not over before the lock is free: its claim stands all the while.
    assert_eq!(held(&mut plain), [(id, "ann".to_owned())]);
    writer.execute_batch("COMMIT").unwrap();
    assert!(ann.wait().success());
    assert_eq!(outcomes(&mut plain, id), ["released"]);
}

#[test]
fn options_that_make_no_sense_are_refused_before_anything_is_served() {
    let dir = tempfile::tempdir().unwrap();
    for options in [
        &["--lease", "0"][..],
        &["--lease", "soon"],
        &["--lease", "-5s"],
        &["--claim", "7"],
        &["--claim", "7=x"],
        &["--agent", " "],
        &["--session", "a\nb"],
    ] {
        let mut command = crate::mcp_client::command_for(dir.path());
        let output = command.args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}
