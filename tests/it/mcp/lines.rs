//! Lines that are no message, and messages of every size.

use serde_json::{Value, json};

use super::{lock, project};

const MAX_LINE: usize = 32 << 20;

#[test]
fn a_line_that_is_no_message_is_answered_where_it_has_an_id_and_harms_nobody() {
    let (_dir, mut server) = project();
    // What is sent, the id that the answer must have, and its code.
    let cases: &[(&[u8], Value, i64)] = &[
        (b"this is not json", Value::Null, 0),
        (b"", Value::Null, 0),
        (b" \t \r", Value::Null, 0),
        (b"[]", Value::Null, 0),
        (b"[1, 2", Value::Null, 0),
        (b"7", Value::Null, 0),
        (b"{}", Value::Null, 0),
        (b"null", Value::Null, 0),
        (b"\xff\xfe\x00", Value::Null, 0),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/nothing\"}", Value::Null, 0),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", Value::Null, 0),
        (b"{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}", Value::Null, 0),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"a\"}", json!("a"), -32600),
        (b"{\"jsonrpc\":\"1.0\",\"id\":\"b\",\"method\":\"ping\"}", json!("b"), -32600),
        (b"{\"id\":\"c\",\"method\":\"ping\"}", json!("c"), -32600),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":\"d\",\"method\":\"ping\",\"x\":\"\xff\xfe\"}",
            json!("d"),
            -32700,
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"ping\",\"params\":{\"cut\":",
            json!(12),
            -32700,
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"x\":\"\\ud800\",\"id\":\"e\"}",
            json!("e"),
            -32700,
        ),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"f\",\"method\":\"ping\",\"x\":1e999}", json!("f"), -32700),
    ];
    for (line, id, code) in cases {
        server.send_bytes(line);
        server.send_bytes(b"\n");
        if !id.is_null() {
            let answer = server.receive();
            assert_eq!((&answer["id"], answer["error"]["code"].as_i64()), (id, Some(*code)));
        }
        server.ping();
    }
}

#[test]
fn half_a_surrogate_pair_in_an_argument_is_refused_and_creates_nothing() {
    let (_dir, mut server) = project();
    let call = r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{
        "name":"feature_create","arguments":{
        "category":"c","name":"cut \ud83d","description":"d","steps":["s"]}}}"#;
    server.send_bytes(call.replace('\n', " ").as_bytes());
    server.send_bytes(b"\n");
    let error = server.answer_to("x")["error"].clone();
    assert_eq!(error["code"], -32700);
    assert!(error["message"].as_str().unwrap().contains("surrogate"), "{error}");
    assert_eq!(server.done("feature_get_stats", json!({}))["total"], 0);
}

#[test]
fn json_that_is_nested_without_end_is_refused_with_its_id() {
    let (_dir, mut server) = project();
    let deep = "[".repeat(1_000_000);
    let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\",\"params\":{deep}\n");
    server.send_bytes(line.as_bytes());
    assert_eq!(server.answer_to(3)["error"]["code"], -32700);
    server.ping();
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_ignored() {
    let (_dir, mut server) = project();
    server.send_bytes(b"\xEF\xBB\xBF{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"ping\"}\r\n");
    assert_eq!(server.answer_to("x")["result"], json!({}));
}

#[test]
fn each_message_of_an_array_is_answered() {
    let (_dir, mut server) = project();
    let call = |id: &str, name: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name}});
    server.send(&json!([
        call("a", "feature_get_stats"),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        5,
        {"jsonrpc": "2.0", "id": "b"},
        call("c", "feature_get_graph"),
    ]));
    assert_eq!(server.result_of("a").body["total"], 0);
    assert_eq!(server.answer_to("b")["error"]["code"], -32600);
    assert_eq!(server.result_of("c").body["nodes"], json!([]));
    server.ping();
}

#[test]
fn a_line_beyond_the_limit_is_refused_with_the_limit_and_the_next_one_is_served() {
    let (_dir, mut server) = project();
    let text = "x".repeat(MAX_LINE);
    for (head, tail, id) in [
        ("{\"jsonrpc\":\"2.0\",\"id\":\"first\",\"method\":\"ping\",\"x\":\"", "\"}\n", "first"),
        ("{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"x\":\"", "\",\"id\":\"last\"}\n", "last"),
    ] {
        server.send_bytes(head.as_bytes());
        server.send_bytes(text.as_bytes());
        server.send_bytes(tail.as_bytes());
        let error = server.answer_to(id)["error"].clone();
        assert_eq!(error["code"], -32600);
        assert!(error["message"].as_str().unwrap().contains("33554432"), "{error}");
        server.ping();
    }
    server.send_bytes(text.as_bytes());
    server.send_bytes(b"\n");
    server.ping();
}

#[test]
fn a_long_line_below_the_limit_is_served() {
    let (_dir, mut server) = project();
    let filler = "x".repeat(MAX_LINE - 1000);
    let call = json!({"jsonrpc": "2.0", "id": "x", "method": "tools/call",
        "params": {"name": "feature_get_stats", "arguments": {"filler": filler}}});
    server.send(&call);
    assert_eq!(server.result_of("x").body["total"], 0);
}

#[test]
fn a_client_that_does_not_read_for_a_while_gets_every_answer() {
    let (dir, mut server) = project();
    let description = "d".repeat(100_000);
    let arguments =
        json!({"category": "A", "name": "n", "description": description, "steps": ["s"]});
    server.done("feature_create", arguments);
    // Far more than a pipe holds, while nothing is read.
    for n in 0..100 {
        server.send_call(&format!("{n}"), "feature_get_by_id", &json!({"feature_id": 1}));
    }
    for n in 0..100 {
        let answer = server.result_of(&format!("{n}"));
        assert_eq!(answer.body["description"].as_str().unwrap().len(), 100_000);
    }
    drop(dir);
}

#[test]
fn a_cancelled_call_is_withdrawn() {
    let (dir, mut server) = project();
    let id = server.create("one", &[]);
    let other = lock(dir.path());
    server.send_call("claim", "feature_claim_and_get", &json!({"feature_id": id}));
    let params = json!({"requestId": "claim", "reason": "changed my mind"});
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    server.ping();
    other.execute_batch("COMMIT").unwrap();
    // Writes keep their order, so a claim that was not withdrawn would come before this one.
    server.create("two", &[]);
    assert_eq!(server.done("feature_get_summary", json!({"feature_id": id}))["in_progress"], false);
}
