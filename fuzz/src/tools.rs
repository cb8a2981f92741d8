//! Calls of the server's tools: those that the reference model knows, and any others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::Arbitrary;
use autoforge_store::mcp::Options;
use autoforge_store::testing::{Answer, Call, Model, Op, Outcome, Token, World, compare_on};
use autoforge_store::{Feature, FeatureId, ListFeatures, Store, Tenure};
use serde_json::{Map, Value, json};

use crate::json::{RawJson, RawKey};
use crate::ops::{Id, RawOp};
use crate::raw::{self, StoredClaim, StoredEvent, Table};
use crate::server::{Client, MAX_LINE, Place, with_place};
use crate::spelling::{Spelled, spelled};

/// Calls of one input at most.
const CALLS: usize = 32;
/// No lease ends while a target runs.
const LEASE: Duration = Duration::from_hours(24);
/// Which of the model's owners the server speaks for: the one that names no process.
const WHO: u8 = 2;

/// What readings that name no caller say; the server's own process is none of the model's.
const READINGS: [Op; 10] = [
    Op::ListFeatures,
    Op::GetStats,
    Op::GetReady { limit: usize::MAX },
    Op::GetBlocked { limit: usize::MAX },
    Op::GetGraph,
    Op::GetBoard,
    Op::CheckFeatures,
    Op::GetSnapshot,
    Op::GetBudgets,
    Op::GetPolicy,
];

/// What a client does.
#[derive(Debug, Clone, Arbitrary)]
pub struct RawCalls {
    /// The server owns what it claims.
    owning: bool,
    calls: Vec<RawToolCall>,
}

#[derive(Debug, Clone, Arbitrary)]
enum RawToolCall {
    /// A command, its arguments spelled in one of the ways that are read.
    Known(RawOp, u8, RawExtras),
    /// Any tool with any arguments: first those that it knows.
    Any(u8, Vec<(u8, RawJson)>, Vec<(RawKey, RawJson)>),
}

#[derive(Debug, Clone, Arbitrary)]
struct RawExtras {
    token: Option<Id>,
    overriding: bool,
    because: bool,
}

/// What `tools/list` says of a tool.
struct Tool {
    name: String,
    keys: Vec<String>,
    reads: bool,
}

/// Everything that a call may change.
#[derive(PartialEq)]
struct Contents(Table, BTreeMap<i64, StoredClaim>, BTreeMap<i64, i64>, Vec<StoredEvent>);

struct Session<'a> {
    place: &'a Place,
    client: Client,
    tools: Vec<Tool>,
    store: Store,
    owning: bool,
    /// `None` once a call has changed something that the model was not told of.
    model: Option<Model>,
    /// The claims that the server keeps for its agent.
    held: BTreeMap<i64, i64>,
    /// Something was taken back, so that a priority may have come back as well.
    undone: bool,
}

/// Makes the calls, and looks at each answer and at what it left behind.
pub fn call_all(raw: &RawCalls) {
    with_place(|place| {
        place.block_on(async {
            let mut session = Session::start(place, raw.owning).await;
            for call in raw.calls.iter().take(CALLS) {
                match call {
                    RawToolCall::Known(op, spelling, extras) => {
                        session.known(&op.op(), *spelling, extras).await;
                    }
                    RawToolCall::Any(tool, known, others) => {
                        session.any(*tool, known, others).await;
                    }
                }
            }
            session.end().await;
        });
        place.check();
    });
}

impl<'a> Session<'a> {
    async fn start(place: &'a Place, owning: bool) -> Self {
        let mut client = Client::start(Options {
            project_dir: Some(place.folder().to_owned()),
            agent: Some(format!("agent {WHO}")),
            session: Some(format!("session {WHO}")),
            lease: owning.then_some(LEASE),
            claims: Vec::new(),
        });
        let introduction = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "fuzz", "version": "1"},
        });
        client.request("initialize", introduction).await;
        let list = client.request("tools/list", json!({})).await;
        let tools = list["result"]["tools"].as_array().unwrap().iter().map(Tool::of).collect();
        // The server has it open by now, or will find it open.
        let store = Store::open_project(place.folder()).unwrap();
        let (model, held) = (Some(Model::default()), BTreeMap::new());
        Self { place, client, tools, store, owning, model, held, undone: false }
    }

    /// What the tool answered, and whether it was refused as an error.
    async fn call(&mut self, tool: &str, arguments: Map<String, Value>) -> Told {
        let params = json!({"name": tool, "arguments": arguments});
        let answer = self.client.request("tools/call", params).await;
        Told::of(tool, &answer)
    }

    async fn known(&mut self, op: &Op, spelling: u8, extras: &RawExtras) {
        let Some(Spelled { tool, mut arguments, is_in_range, takes_token }) = spelled(op, spelling)
        else {
            return;
        };
        let id = op.feature();
        let mut call = Call { who: Some(WHO), ..Call::default() };
        if self.owning {
            call.tenure = Tenure::Owned { lease: Some(LEASE) };
        }
        if extras.because && !is_reading(op) {
            arguments.insert("reason".to_owned(), "because".into());
            call.reason = Some("because");
        }
        if takes_token {
            let token = extras.token.map(Id::get).filter(|token| *token >= 1);
            if let Some(token) = token {
                arguments.insert("claim_token".to_owned(), token.into());
                call.token = Token::Of(token);
            }
            if extras.overriding {
                arguments.insert("override".to_owned(), true.into());
                call.overriding = true;
            }
        }
        let is_claim = matches!(op, Op::ClaimFeature(_) | Op::MarkInProgress(_));
        let held = id.and_then(|id| self.held.get(&id).copied());
        if let Some(held) = held
            && (is_claim || takes_token)
            && call.token == Token::None
            && !call.overriding
        {
            call.token = Token::Of(held);
        }
        if json!(arguments).to_string().len() > MAX_LINE / 2 {
            return;
        }
        let told = self.call(tool, arguments).await;
        self.remember(&told, id, takes_token);
        if !is_in_range {
            assert_eq!(told.error(), Some((true, "invalid_argument")), "{op:?}: {told:?}");
        } else if let Some(model) = &mut self.model {
            let expected = model.apply_as(op, &call, &World::default());
            told.check(op, &expected);
        }
        self.compare();
    }

    /// Keeps what the server keeps.
    fn remember(&mut self, told: &Told, id: Option<i64>, ends: bool) {
        if told.error().is_some() {
            return;
        }
        let id = id.or_else(|| told.body["feature"]["id"].as_i64());
        if let (Some(id), Some(token)) = (id, told.body["claim_token"].as_i64()) {
            self.held.insert(id, token);
        } else if let Some(id) = id
            && ends
        {
            self.held.remove(&id);
        }
    }

    async fn any(&mut self, tool: u8, known: &[(u8, RawJson)], others: &[(RawKey, RawJson)]) {
        let tool = &self.tools[usize::from(tool) % self.tools.len()];
        let (name, reads) = (tool.name.clone(), tool.reads);
        let mut arguments = Map::new();
        for (key, value) in known {
            if let Some(key) = tool.keys.get(usize::from(*key) % tool.keys.len().max(1)) {
                arguments.insert(key.clone(), value.value());
            }
        }
        arguments.extend(others.iter().map(|(key, value)| (key.key(), value.value())));
        // Nobody here changes anything that it could wait for.
        if let Some(wait) = arguments.get_mut("wait_seconds")
            && !wait.is_object()
        {
            *wait = 0.into();
        }
        // Text within text within text doubles its length each time; long lines are for `mcp_frames`.
        if json!(arguments).to_string().len() > MAX_LINE / 2 {
            return;
        }
        let before = self.contents();
        let told = self.call(&name, arguments).await;
        if told.error().is_some() || reads {
            assert!(self.contents() == before, "{name} changed something: {told:?}");
        } else {
            self.model = None;
            self.undone |= name == "feature_undo";
        }
    }

    fn contents(&self) -> Contents {
        let file = &self.place.foreign;
        Contents(
            raw::table(file).unwrap(),
            raw::claims(file).unwrap(),
            raw::failures(file).unwrap(),
            raw::events(file).unwrap(),
        )
    }

    fn compare(&self) {
        if let Some(model) = &self.model
            && let Err(difference) = compare_on(&READINGS, model, &self.store, &World::default())
        {
            panic!("{difference}");
        }
    }

    async fn end(self) {
        self.compare();
        let features = self.store.call(ListFeatures).unwrap();
        assert!(!has_cycle(&features), "{features:?}");
        let priorities: BTreeSet<i64> = features.iter().map(|feature| feature.priority).collect();
        assert!(self.undone || priorities.len() == features.len(), "{features:?}");
        drop(self.store);
        assert_eq!(self.client.end().await, Vec::<Value>::new());
    }
}

impl Tool {
    fn of(described: &Value) -> Self {
        let keys = described["inputSchema"]["properties"].as_object().unwrap().keys();
        Self {
            name: described["name"].as_str().unwrap().to_owned(),
            keys: keys.cloned().collect(),
            reads: described["annotations"]["readOnlyHint"] == true,
        }
    }
}

/// The result of a call.
#[derive(Debug)]
struct Told {
    is_error: bool,
    /// Null for a plain sentence.
    body: Value,
}

impl Told {
    /// Checks its form: an answer, or a refusal that says why in words.
    fn of(tool: &str, answer: &Value) -> Self {
        let result = &answer["result"];
        let text = &result["content"][0]["text"];
        assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{tool}: {answer}");
        let told = Self {
            is_error: result["isError"] == true,
            body: result.get("structuredContent").cloned().unwrap_or_default(),
        };
        let same = Value::from(told.body.to_string());
        assert!(told.body.is_null() || *text == same, "{tool}: {answer}");
        match told.error() {
            Some((is_error, code)) => {
                let sentence = told.body["error"].as_str().unwrap_or_default();
                assert!(!sentence.trim().is_empty() && !code.is_empty(), "{tool}: {answer}");
                assert!(told.body["retryable"].is_boolean(), "{tool}: {answer}");
                // Every other error is a fault of the machinery.
                assert!(!is_error || code == "invalid_argument", "{tool}: {answer}");
            }
            None => assert!(!told.is_error, "{tool}: {answer}"),
        }
        told
    }

    /// Whether the refusal counts as an error, and its code.
    fn error(&self) -> Option<(bool, &str)> {
        self.body.get("error")?;
        Some((self.is_error, self.body["code"].as_str().unwrap_or_default()))
    }

    /// It is what the model says.
    fn check(&self, op: &Op, expected: &Outcome) {
        let fits = match (expected, self.error()) {
            (Outcome::Answered(answer), None) => self.shows(op, answer),
            (Outcome::Refused("invalid_feature"), Some((true, "invalid_argument"))) => true,
            (Outcome::Refused("invalid_request"), Some((is_error, code))) => {
                is_error || code == "invalid_field"
            }
            (Outcome::Refused(code), Some((false, found))) => *code == found,
            _ => false,
        };
        assert!(fits, "{op:?}: {self:?}, not {expected:?}");
    }

    fn shows(&self, op: &Op, answer: &Answer) -> bool {
        match answer {
            Answer::Feature(feature) if matches!(op, Op::GetFeature(_)) => {
                self.body == feature.to_json()
            }
            Answer::Summary(summary) => self.body == summary.to_json(),
            Answer::Graph(graph) => self.body == graph.to_json(),
            Answer::Claimed(claimed) => self.body["id"] == claimed.feature.id.get(),
            Answer::Claim(claim) => self.body["already_claimed"] == claim.already_claimed,
            Answer::Created(created) => self.body["created"] == created.ids.len(),
            Answer::Skipped(skipped) => self.body["new_priority"] == skipped.new_priority,
            _ => true,
        }
    }
}

fn is_reading(op: &Op) -> bool {
    matches!(
        op,
        Op::GetStats
            | Op::GetFeature(_)
            | Op::GetSummary(_)
            | Op::GetReady { .. }
            | Op::GetBlocked { .. }
            | Op::GetGraph
    )
}

/// Whether features wait for one another in a circle: those that wait for none of the others are
/// taken away until nothing changes.
fn has_cycle(features: &[Feature]) -> bool {
    let mut left: BTreeMap<FeatureId, &[FeatureId]> =
        features.iter().map(|feature| (feature.id, feature.dependencies.as_slice())).collect();
    loop {
        let ids: BTreeSet<FeatureId> = left.keys().copied().collect();
        left.retain(|_, on| on.iter().any(|id| ids.contains(id)));
        if left.len() == ids.len() {
            return !ids.is_empty();
        }
    }
}
