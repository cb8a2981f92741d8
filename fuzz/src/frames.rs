//! What a client may write to the server, and what the server may say to it.

use autoforge_store::mcp::Options;
use serde_json::{Value, json};

use crate::server::{Client, MAX_LINE, meta, with_place};

/// Followed by a number and a byte: that byte so often. No UTF-8 has it, so the fuzzer finds long lines
/// and deep nesting, and loses no text.
const REPEAT: u8 = 0xFE;
/// Of bytes that one input becomes, so that it stays cheap.
const MOST: usize = 4 * MAX_LINE;

/// Answers to these ids are ours.
const PROBE: &str = "probe/";

/// Writes the bytes to a server, asks for something sound, and looks at all that it says.
pub fn converse(bytes: &[u8]) {
    let bytes = expand(bytes);
    if contains(&bytes, PROBE.as_bytes()) {
        return;
    }
    with_place(|place| {
        let options =
            Options { project_dir: Some(place.folder().to_owned()), ..Options::default() };
        let heard = place.block_on(async {
            let mut client = Client::start(options);
            let mut heard = Vec::new();
            let mut sent = bytes.clone();
            sent.push(b'\n');
            for probe in probes() {
                sent.extend_from_slice(probe.to_string().as_bytes());
                sent.push(b'\n');
            }
            client.say(&sent, "probe/create", &mut heard).await;
            heard.extend(client.end().await);
            heard
        });
        check(&Asked::of(&bytes), heard);
        place.check();
    });
}

/// What any server answers, whatever it was told before. The last one also changes something, which
/// ends the waiting of those that wait for a change.
fn probes() -> [Value; 3] {
    let client = json!({"name": "probe", "version": "1"});
    let introduction =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    let arguments = json!({"category": "c", "name": "n", "description": "d", "steps": ["s"]});
    let call = json!({"_meta": meta(), "name": "feature_create", "arguments": arguments});
    [
        json!({"jsonrpc": "2.0", "id": "probe/start", "method": "initialize", "params": introduction}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": "probe/create", "method": "tools/call", "params": call}),
    ]
}

fn expand(bytes: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == REPEAT
            && let [count, byte, tail @ ..] = tail
        {
            let count = (1_usize << (count % 18)).min(MOST.saturating_sub(expanded.len()));
            expanded.resize(expanded.len() + count, *byte);
            rest = tail;
        } else {
            expanded.push(*first);
        }
    }
    expanded
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What was asked, read a second time and naively.
struct Asked {
    /// Messages by what they say; of those that are no JSON, the bytes.
    messages: Vec<Message>,
    /// Somebody may have been told that nobody waits for their answer.
    cancels: bool,
    listens: usize,
}

enum Message {
    /// It has an id, and wants an answer.
    Request { id: Value, waits: bool },
    /// An object without the shape of a request. Where it has an id, it may be told so.
    Other { id: Value },
    /// No JSON: whatever looks like an id may be taken for one.
    Bytes(Vec<u8>),
}

impl Asked {
    fn of(bytes: &[u8]) -> Self {
        let mut messages = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
            match serde_json::from_slice(line) {
                Ok(Value::Array(items)) => messages.extend(items.iter().filter_map(Message::of)),
                Ok(message) => messages.extend(Message::of(&message)),
                Err(_) => messages.push(Message::Bytes(line.to_owned())),
            }
        }
        let listens = bytes.windows(6).filter(|window| *window == b"listen").count();
        Self { messages, cancels: contains(bytes, b"cancel") || contains(bytes, b"\\"), listens }
    }

    /// How many answers with this id there may be.
    fn at_most(&self, id: &Value) -> usize {
        self.messages.iter().filter(|message| message.may_be_called(id)).count()
    }

    /// The requests that must have been answered: nobody else may have been meant by their ids, and
    /// nothing may have withdrawn them.
    fn due(&self) -> impl Iterator<Item = &Value> {
        let requests = self.messages.iter().filter_map(|message| match message {
            Message::Request { id, waits: false } => Some(id),
            _ => None,
        });
        requests.filter(|id| !self.cancels && self.at_most(id) == 1)
    }
}

impl Message {
    fn of(message: &Value) -> Option<Self> {
        let members = message.as_object()?;
        let id = message["id"].clone();
        let is_request = message["jsonrpc"] == "2.0"
            && message["method"].is_string()
            && (id.is_string() || id.is_i64())
            && !members.contains_key("result")
            && !members.contains_key("error");
        // A call may wait for a change, and who listens is answered when they no longer do.
        let waits = message["method"] == "subscriptions/listen"
            || message["params"]["arguments"].get("wait_seconds").is_some();
        Some(if is_request { Self::Request { id, waits } } else { Self::Other { id } })
    }

    fn may_be_called(&self, name: &Value) -> bool {
        match self {
            Self::Request { id, .. } | Self::Other { id } => id == name,
            Self::Bytes(bytes) => {
                let text = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                contains(bytes, b"\\") || text.is_empty() || contains(bytes, text.as_bytes())
            }
        }
    }
}

/// Each answer is to one request, and each request has its answer.
fn check(asked: &Asked, heard: Vec<Value>) {
    let mut answers: Vec<Value> = Vec::new();
    let mut notices = 0;
    for mut message in heard {
        if message.get("id").is_none() {
            assert_eq!(message["method"], "notifications/subscriptions/acknowledged", "{message}");
            notices += 1;
            continue;
        }
        let is_answer = message.get("result").is_some() != message.get("error").is_some();
        assert!(is_answer && message.get("method").is_none(), "{message}");
        match message["id"].as_str() {
            Some("probe/create") => {
                assert_eq!(message["result"]["structuredContent"]["success"], true, "{message}");
            }
            Some("probe/start") => {}
            _ => answers.push(message["id"].take()),
        }
    }
    assert!(notices <= asked.listens);
    for id in &answers {
        let (found, most) =
            (answers.iter().filter(|other| *other == id).count(), asked.at_most(id));
        assert!(found <= most, "{found} answers to {id}, which was asked {most} times");
    }
    for id in asked.due() {
        assert!(answers.contains(id), "{id} has no answer");
    }
}
