//! The handshake in all revisions, the list of tools, and the end.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::Stdio;

use serde_json::{Map, Value, json};

use super::{TOOLS, files, project};
use crate::mcp_client::{Server, command, command_for};

const MODERN: &str = "2026-07-28";

/// What every request of the revision without a handshake carries.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

fn tools(server: &mut Server) -> Vec<Value> {
    let list = server.request("tools/list", json!({}));
    list["result"]["tools"].as_array().unwrap().clone()
}

#[test]
fn every_revision_with_a_handshake_is_answered_with_itself() {
    let dir = tempfile::tempdir().unwrap();
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut server = Server::spawn(&mut command_for(dir.path()));
        let says = server.introduce(revision);
        assert_eq!(says["protocolVersion"], revision);
        assert_eq!(says["serverInfo"]["name"], "features");
        assert_eq!(says["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert!(says["capabilities"]["tools"].is_object());
        assert!(says["instructions"].as_str().unwrap().contains("feature_claim_next"));
        assert_eq!(server.done("feature_get_stats", json!({}))["total"], 0);
        let list = server.request("tools/list", json!({}));
        assert!(list["result"]["ttlMs"].is_null() && list["result"]["resultType"].is_null());
        assert!(server.end().success());
    }
}

#[test]
fn an_unknown_revision_is_answered_with_the_newest_that_has_a_handshake() {
    let dir = tempfile::tempdir().unwrap();
    for revision in ["1999-01-01", MODERN, "2099-01-01"] {
        let mut server = Server::spawn(&mut command_for(dir.path()));
        assert_eq!(server.introduce(revision)["protocolVersion"], "2025-11-25");
    }
}

#[test]
fn the_revision_without_a_handshake_works_from_the_first_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::spawn(&mut command_for(dir.path()));
    let found = server.request("server/discover", json!({"_meta": meta()}));
    assert_eq!(found["result"]["supportedVersions"].as_array().unwrap().last().unwrap(), MODERN);
    let list = server.request("tools/list", json!({"_meta": meta()}));
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), TOOLS);
    assert!(list["result"]["ttlMs"].as_u64().unwrap() > 0);
    assert_eq!(list["result"]["cacheScope"], "public");
    let call = json!({"_meta": meta(), "name": "feature_get_stats", "arguments": {}});
    let result = server.request("tools/call", call);
    assert_eq!(result["result"]["resultType"], "complete");
    assert_eq!(result["result"]["structuredContent"]["total"], 0);
    assert!(server.end().success());
}

#[test]
fn a_client_may_look_around_first_and_introduce_itself_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::spawn(&mut command_for(dir.path()));
    server.ping();
    // No client has begun a session yet, so these mean nothing; they must do no harm either.
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    server.send(&json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
    let early = server.request("tools/call", json!({"name": "feature_get_stats"}));
    assert_eq!(early["error"]["code"], -32602);
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}));
    server.request("server/discover", json!({"_meta": meta()}));
    assert_eq!(server.introduce("2025-11-25")["protocolVersion"], "2025-11-25");
    assert_eq!(tools(&mut server).len(), TOOLS);
}

#[test]
fn the_tools_are_always_listed_in_the_same_way() {
    let (_dir, mut server) = project();
    let list = tools(&mut server);
    let names: Vec<&str> = list.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let expected = "feature_get_stats feature_get_by_id feature_get_summary feature_get_ready \
                    feature_get_blocked feature_get_graph feature_claim_next \
                    feature_claim_and_get feature_mark_in_progress feature_clear_in_progress \
                    feature_mark_passing feature_mark_failing feature_skip feature_create_bulk \
                    feature_create feature_add_dependency feature_remove_dependency \
                    feature_set_dependencies feature_request_human_input ask_user \
                    feature_explain feature_get_claims feature_get_attempts feature_get_log \
                    feature_get_changes feature_retry feature_undo";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(tools(&mut server), list);
}

#[test]
fn every_tool_says_what_it_does_and_what_it_may_change() {
    let (_dir, mut server) = project();
    let changes_once_more_each_time: BTreeSet<&str> =
        ["claim_next", "skip", "create", "create_bulk", "request_human_input", "undo"].into();
    for tool in tools(&mut server) {
        let name = tool["name"].as_str().unwrap();
        assert!(tool["description"].as_str().unwrap().len() > 60, "{name}");
        assert_eq!(tool["title"], tool["annotations"]["title"]);
        assert!(!tool["title"].as_str().unwrap().is_empty());
        let reads =
            ["ask_user", "feature_explain"].contains(&name) || name.starts_with("feature_get_");
        let short = name.trim_start_matches("feature_");
        let hints = &tool["annotations"];
        assert_eq!(hints["readOnlyHint"], reads, "{name}");
        assert_eq!(hints["destructiveHint"], name == "feature_undo", "{name}");
        assert_eq!(hints["openWorldHint"], false, "{name}");
        let once = !changes_once_more_each_time.contains(short);
        assert_eq!(hints["idempotentHint"], once, "{name}");
        let output = &tool["outputSchema"];
        if name == "ask_user" {
            assert!(output.is_null());
            continue;
        }
        assert_eq!(output["type"], "object", "{name}");
        let properties = output["properties"].as_object().unwrap();
        for key in ["error", "code", "retryable", "feature_ids"] {
            assert!(properties.contains_key(key), "{name} cannot refuse");
        }
        for key in output["anyOf"][0]["required"].as_array().unwrap() {
            assert!(properties.contains_key(key.as_str().unwrap()), "{name}: {key}");
        }
    }
}

/// Name, type and bounds of each argument; a `!` marks those that must be given. `why` stands for a
/// reason and a request id, `as` for a claim's token and the will to override before them.
const ARGUMENTS: &[(&str, &str)] = &[
    ("feature_get_stats", ""),
    ("feature_get_by_id", "feature_id! integer 1.."),
    ("feature_get_summary", "feature_id! integer 1.."),
    ("feature_get_ready", "limit integer 1..50 =10"),
    ("feature_get_blocked", "limit integer 1..100 =20"),
    ("feature_get_graph", ""),
    ("feature_claim_next", "why"),
    ("feature_claim_and_get", "feature_id! integer 1.., why"),
    ("feature_mark_in_progress", "feature_id! integer 1.., why"),
    ("feature_clear_in_progress", "feature_id! integer 1.., as"),
    ("feature_mark_passing", "feature_id! integer 1.., as"),
    ("feature_mark_failing", "feature_id! integer 1.., as"),
    ("feature_skip", "feature_id! integer 1.., as"),
    ("feature_create_bulk", "features! array of object, why"),
    (
        "feature_create",
        "category! string 1..100, name! string 1..255, description! string 1.., \
         steps! array of string 1.., why",
    ),
    ("feature_add_dependency", "feature_id! integer 1.., dependency_id! integer 1.., why"),
    ("feature_remove_dependency", "feature_id! integer 1.., dependency_id! integer 1.., why"),
    ("feature_set_dependencies", "feature_id! integer 1.., dependency_ids! array of integer, why"),
    (
        "feature_request_human_input",
        "feature_id! integer 1.., prompt! string 1.., fields! array of object 1.., as",
    ),
    ("ask_user", "questions! array of object"),
    ("feature_explain", "feature_id! integer 1.."),
    ("feature_get_claims", ""),
    ("feature_get_attempts", "feature_id integer 1.., limit integer 1..100 =20"),
    (
        "feature_get_log",
        "feature_id integer 1.., session string 1.., before integer 1.., limit integer 1..500 =50",
    ),
    (
        "feature_get_changes",
        "since integer 0.., wait_seconds integer 0..60 =0, limit integer 1..500 =50",
    ),
    ("feature_retry", "feature_id! integer 1.., why"),
    (
        "feature_undo",
        "event_id integer 1.., feature_id integer 1.., session string 1.., agent string 1.., \
         dry_run boolean, why",
    ),
];

fn described(tool: &Value) -> String {
    let schema = &tool["inputSchema"];
    assert_eq!(schema["type"], "object");
    let none = Vec::new();
    let required = schema["required"].as_array().unwrap_or(&none);
    let describe = |(name, argument): (&String, &Value)| {
        assert!(argument["description"].is_string(), "{name}");
        let given = if required.contains(&json!(name)) { "!" } else { "" };
        let kind = argument["type"].as_str().unwrap();
        let bound = |keys: [&str; 3]| keys.into_iter().find_map(|key| argument[key].as_i64());
        let item = argument["items"]["type"].as_str().map(|item| format!(" of {item}"));
        let min = bound(["minimum", "minLength", "minItems"]).map(|min| format!(" {min}.."));
        let max = bound(["maximum", "maxLength", "maxItems"]).map(|max| max.to_string());
        let default = argument["default"].as_i64().map(|default| format!(" ={default}"));
        let rest: String = [item, min, max, default].into_iter().flatten().collect();
        format!("{name}{given} {kind}{rest}")
    };
    let arguments: &Map<String, Value> = schema["properties"].as_object().unwrap();
    arguments.iter().map(describe).collect::<Vec<_>>().join(", ")
}

fn in_full(text: &str) -> String {
    let why = "reason string 1..1000, request_id string 1..200";
    let under = format!("claim_token integer 1.., override boolean, {why}");
    match (text.strip_suffix("as"), text.strip_suffix("why")) {
        (Some(own), _) => format!("{own}{under}"),
        (_, Some(own)) => format!("{own}{why}"),
        _ => text.to_owned(),
    }
}

#[test]
fn every_tool_takes_the_arguments_that_agents_know() {
    let (_dir, mut server) = project();
    let list = tools(&mut server);
    let found: Vec<_> =
        list.iter().map(|tool| (tool["name"].as_str().unwrap(), described(tool))).collect();
    let expected: Vec<_> = ARGUMENTS.iter().map(|(name, text)| (*name, in_full(text))).collect();
    assert_eq!(found, expected);
    assert_eq!(found.len(), TOOLS);
}

#[test]
fn what_is_no_method_or_no_tool_is_said_to_be_none() {
    let (_dir, mut server) = project();
    for method in ["resources/list", "prompts/list", "no/such/method", "tools/call "] {
        assert_eq!(server.request(method, json!({}))["error"]["code"], -32601, "{method}");
    }
    for params in [json!({}), json!({"name": 5}), json!({"name": "x", "arguments": [1]})] {
        let error = server.request("tools/call", params)["error"].clone();
        assert_eq!(error["code"], -32602);
        assert!(error["message"].as_str().unwrap().contains("`name`"), "{error}");
    }
    let (error, code) = server.rejected("feature_destroy", json!({}));
    assert!(error.contains("feature_destroy"), "{error}");
    assert_eq!(code, "unknown_tool");
    server.ping();
}

#[test]
fn a_call_may_come_without_arguments() {
    let (_dir, mut server) = project();
    for params in [
        json!({"name": "feature_get_stats"}),
        json!({"name": "feature_get_stats", "arguments": null}),
        json!({"name": "feature_get_stats", "arguments": {"verbose": true}}),
        json!({"name": "feature_get_stats", "_meta": {"progressToken": 1}}),
    ] {
        let result = server.request("tools/call", params)["result"].clone();
        assert_eq!(result["structuredContent"]["total"], 0);
        assert_eq!(result["isError"], false);
    }
}

#[test]
fn the_end_of_stdin_ends_the_server_after_what_it_was_asked() {
    let (dir, mut server) = project();
    for n in 0..30 {
        let arguments =
            json!({"category": "A", "name": format!("f{n}"), "description": "d", "steps": ["s"]});
        server.send_call(&format!("c{n}"), "feature_create", &arguments);
    }
    server.hang_up();
    for n in 0..30 {
        let answer = server.result_of(&format!("c{n}"));
        assert_eq!(answer.body["success"], true);
    }
    assert!(server.wait().success());
    let left: Vec<String> = files(&dir.path().join(".autoforge")).into_keys().collect();
    assert!(left.iter().all(|name| !name.ends_with("-wal") && !name.ends_with("-shm")), "{left:?}");
    assert_eq!(super::rows(dir.path()).len(), 30);
}

#[test]
fn a_client_that_never_speaks_is_left_in_peace() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::spawn(&mut command_for(dir.path()));
    assert!(server.end().success());
    let mut server = Server::spawn(&mut command_for(dir.path()));
    server.send_bytes(b"\n\n  \r\n");
    assert!(server.end().success());
}

#[test]
fn a_last_line_without_its_end_counts_as_a_line() {
    let (_dir, mut server) = project();
    server.send_bytes(br#"{"jsonrpc":"2.0","id":"last","method":"ping"}"#);
    server.hang_up();
    assert_eq!(server.answer_to("last")["result"], json!({}));
    assert!(server.wait().success());
}

#[test]
fn a_signal_ends_the_server_with_its_store_closed() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (dir, mut server) = project();
        server.create("one", &[]);
        server.signal(signal);
        assert!(server.wait().success());
        let left = files(&dir.path().join(".autoforge"));
        assert!(left.keys().all(|name| !name.ends_with("-wal")), "{:?}", left.keys());
        assert_eq!(super::rows(dir.path()).len(), 1);
    }
}

#[test]
fn a_client_that_stops_listening_ends_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command_for(dir.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").unwrap();
    // stdin stays open: only the failed answer can end it.
    child.wait().unwrap();
}

#[test]
fn nothing_but_the_protocol_is_written_to_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command_for(dir.path());
    command.env("RUST_LOG", "trace").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\nx\n")
        .unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
    assert!(child.wait().unwrap().success());
}

/// What a server logs that gets one line which is not JSON.
fn logged(asked: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command_for(dir.path());
    command.env("RUST_LOG", asked).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"x\n").unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

#[test]
fn the_log_says_what_it_was_asked_for_or_that_it_does_not_understand() {
    let some = logged("autoforge_store=trace");
    assert!(some.contains("autoforge_store::") && !some.contains("RUST_LOG"), "{some}");
    assert_eq!(logged("off"), "");
    let fault = logged("autoforge_store=loudly");
    assert!(fault.contains("RUST_LOG is not understood"), "{fault}");
}

#[test]
fn a_closed_stderr_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command();
    command.env("PROJECT_DIR", dir.path()).env("RUST_LOG", "trace");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"x\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n")
        .unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
    assert!(child.wait().unwrap().success());
}
