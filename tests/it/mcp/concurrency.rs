//! Many servers on one project, and waiting for a lock.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{lock, project, rows};
use crate::mcp_client::{Answer, Server};

const SERVERS: usize = 8;

fn servers(project: &Path) -> Vec<Server> {
    (0..SERVERS).map(|_| Server::of(project)).collect()
}

/// Every server gets the same calls before anybody reads an answer.
fn all_at_once(servers: &mut [Server], tool: &str, arguments: &[Value]) -> Vec<Vec<Answer>> {
    for server in &mut *servers {
        for (n, arguments) in arguments.iter().enumerate() {
            server.send_call(&format!("all {n}"), tool, arguments);
        }
    }
    let ids = || (0..arguments.len()).map(|n| format!("all {n}"));
    servers.iter_mut().map(|server| ids().map(|id| server.result_of(&id)).collect()).collect()
}

fn create(server: &mut Server, count: usize) -> Vec<Value> {
    let item = json!({"category": "A", "name": "n", "description": "d", "steps": ["s"]});
    server.done("feature_create_bulk", json!({"features": vec![item; count]}));
    (1..=count).map(|id| json!({"feature_id": id})).collect()
}

#[test]
fn of_many_servers_that_claim_a_feature_exactly_one_wins_it() {
    let (dir, mut first) = project();
    let features = create(&mut first, 20);
    let mut servers = servers(dir.path());
    let answers = all_at_once(&mut servers, "feature_claim_and_get", &features);
    for n in 0..features.len() {
        let won = |answers: &Vec<Answer>| answers[n].body["already_claimed"] == false;
        assert_eq!(answers.iter().filter(|answers| won(answers)).count(), 1, "feature {n}");
    }
}

#[test]
fn no_two_servers_are_given_the_same_next_feature() {
    let (dir, mut first) = project();
    let features = create(&mut first, 40);
    let mut servers = servers(dir.path());
    // Each asks for six, 48 in all.
    let answers = all_at_once(&mut servers, "feature_claim_next", &vec![json!({}); 6]);
    let mut given: Vec<i64> = answers
        .iter()
        .flatten()
        .filter(|answer| answer.body["claimed"] == true)
        .map(|answer| answer.body["feature"]["id"].as_i64().unwrap())
        .collect();
    given.sort_unstable();
    assert_eq!(given, (1..=i64::try_from(features.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(answers.iter().flatten().filter(|a| a.body["reason"] == "nothing_ready").count(), 8);
}

#[test]
fn features_skipped_and_created_at_once_never_share_a_priority() {
    let (dir, mut first) = project();
    let features = create(&mut first, 10);
    let mut servers = servers(dir.path());
    for answers in all_at_once(&mut servers, "feature_skip", &features) {
        assert!(answers.iter().all(|answer| answer.body["new_priority"].is_i64()));
    }
    let new = json!({"category": "A", "name": "n", "description": "d", "steps": ["s"]});
    all_at_once(&mut servers, "feature_create", &vec![new; 5]);
    let graph = first.done("feature_get_graph", json!({}));
    let mut holders: BTreeMap<i64, usize> = BTreeMap::new();
    for node in graph["nodes"].as_array().unwrap() {
        *holders.entry(node["priority"].as_i64().unwrap()).or_default() += 1;
    }
    assert_eq!(holders.len(), 10 + SERVERS * 5);
    assert!(holders.values().all(|holders| *holders == 1));
}

#[test]
fn of_many_servers_that_pass_a_feature_exactly_one_does() {
    let (dir, mut first) = project();
    let features = create(&mut first, 10);
    let mut servers = servers(dir.path());
    let answers = all_at_once(&mut servers, "feature_mark_passing", &features);
    for n in 0..features.len() {
        let passed = answers.iter().filter(|answers| answers[n].body["success"] == true).count();
        assert_eq!(passed, 1);
    }
    assert_eq!(first.done("feature_get_stats", json!({}))["passing"], 10);
}

#[test]
fn servers_that_start_on_a_new_project_at_once_all_serve_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = servers(dir.path());
    let new = json!({"category": "A", "name": "n", "description": "d", "steps": ["s"]});
    for answers in all_at_once(&mut servers, "feature_create", &[new]) {
        assert_eq!(answers[0].body["success"], true, "{answers:?}");
    }
    for mut server in servers {
        assert_eq!(server.done("feature_get_stats", json!({}))["total"], SERVERS);
        assert!(server.end().success());
    }
    assert_eq!(rows(dir.path()).len(), SERVERS);
}

#[test]
fn reads_and_pings_are_answered_while_a_claim_waits_for_the_lock() {
    let (dir, mut server) = project();
    create(&mut server, 1);
    let other = lock(dir.path());
    server.send_call("claim", "feature_claim_and_get", &json!({"feature_id": 1}));
    for _ in 0..20 {
        assert_eq!(server.done("feature_get_stats", json!({}))["in_progress"], 0);
        server.ping();
    }
    // That the claim is unanswered until now shows that it waits; that it is answered, that the
    // lock is all it waits for.
    other.execute_batch("COMMIT").unwrap();
    let claim = server.receive();
    assert_eq!(claim["id"], "claim");
    assert_eq!(claim["result"]["structuredContent"]["already_claimed"], false);
}

#[test]
fn the_holder_of_the_lock_may_take_the_feature_first() {
    let (dir, mut server) = project();
    create(&mut server, 1);
    let other = lock(dir.path());
    other.execute_batch("UPDATE features SET in_progress = 1").unwrap();
    server.send_call("claim", "feature_claim_and_get", &json!({"feature_id": 1}));
    server.ping();
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(server.result_of("claim").body["already_claimed"], true);
}

#[test]
fn a_server_that_is_asked_to_end_does_not_wait_for_somebody_elses_lock() {
    let (dir, mut server) = project();
    create(&mut server, 1);
    let other = lock(dir.path());
    server.send_call("claim", "feature_claim_and_get", &json!({"feature_id": 1}));
    server.ping();
    server.signal(rustix::process::Signal::TERM);
    let answer = server.answer_to("claim");
    assert!(answer["error"]["message"].as_str().unwrap().contains("withdrawn"), "{answer}");
    assert!(server.wait().success());
    let claimed = "SELECT in_progress FROM features";
    assert_eq!(other.query_row(claimed, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}
