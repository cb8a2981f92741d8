//! What a tool answers with, and how it looks to a client.
//!
//! Every result but a plain sentence is one JSON object, given twice: as `structuredContent`, which
//! some clients show to the model, and as the text of the only content block, which others show.
//!
//! | what happened | `isError` | the object |
//! | --- | --- | --- |
//! | the tool did its work | false | its answer |
//! | a refusal: the data forbids it (not found, already passing, …) | false | `error`, `code`, `retryable`, `feature_ids` |
//! | an argument of a wrong type or out of range, an unknown tool | true | the same, and `argument` |
//! | a fault of the storage (busy, disk full, …) | true | the same as a refusal |
//!
//! A refusal is an ordinary answer to a question that makes sense, and the clients of the old
//! server look for the key `error` in a result that is no error; so `isError` stays false. In the
//! other two cases nothing was decided about the data, and the model has to do something else first.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use super::arguments::BadArgument;
use crate::{FeatureId, OpenError, Refusal, StorageError};

/// What a tool says where it did its work.
#[derive(Debug)]
pub(super) enum Answer {
    /// An object.
    Json(Value),
    /// A plain sentence.
    Text(&'static str),
}

/// Why a tool did not do its work.
#[derive(Debug)]
pub(super) struct Trouble {
    is_error: bool,
    body: Map<String, Value>,
}

impl Trouble {
    fn new(
        is_error: bool,
        error: &str,
        code: &str,
        retryable: bool,
        features: &[FeatureId],
    ) -> Self {
        let ids: Vec<i64> = features.iter().map(|id| id.get()).collect();
        let mut body = Map::new();
        body.insert("error".to_owned(), json!(error));
        body.insert("code".to_owned(), json!(code));
        body.insert("retryable".to_owned(), json!(retryable));
        body.insert("feature_ids".to_owned(), json!(ids));
        Self { is_error, body }
    }

    /// The data forbids it.
    pub(super) fn refused<R: Refusal>(refusal: &R) -> Self {
        let (code, retryable) = (refusal.code(), refusal.retryable());
        Self::new(false, &refusal.to_string(), code, retryable, &refusal.features())
    }

    /// A value that a rule of the data forbids, which no command has seen yet.
    pub(super) fn invalid(error: &str, code: &str) -> Self {
        Self::new(false, error, code, false, &[])
    }

    /// The storage failed. Where only opening it anew helps, the next call does that.
    pub(super) fn fault(fault: &StorageError) -> Self {
        let may_write = !matches!(fault, StorageError::ReadOnly { .. });
        if fault.needs_reopen() && may_write {
            let error = format!("{fault}; the next call does that");
            return Self::new(true, &error, fault.code(), true, &[]);
        }
        Self::new(true, &fault.to_string(), fault.code(), fault.retryable(), &[])
    }

    /// The store cannot be opened; the next call tries again.
    pub(super) fn unopened(error: &OpenError) -> Self {
        Self::new(true, &error.to_string(), error.code(), error.retryable(), &[])
    }

    /// The leases of claims could not be renewed, so none is taken.
    pub(super) fn unrenewed(error: &std::io::Error) -> Self {
        let error = format!(
            "claims could not be kept alive: the system starts no thread ({error}); nothing was \
             changed, try again"
        );
        Self::new(true, &error, "system", true, &[])
    }

    /// More calls wait than the server keeps.
    pub(super) fn overloaded(limit: usize) -> Self {
        let error = format!("{limit} calls wait already; nothing was changed, try again");
        Self::new(true, &error, "too_many_calls", true, &[])
    }

    /// Arguments that are each in order, but not together.
    pub(super) fn contradictory(error: &str) -> Self {
        Self::new(true, error, "invalid_argument", false, &[])
    }

    pub(super) fn unknown_tool(name: &str) -> Self {
        let error = format!("there is no tool {name:?}; tools/list names those that there are");
        Self::new(true, &error, "unknown_tool", false, &[])
    }

    /// Adds a key that only some reasons have.
    pub(super) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.body.insert(key.to_owned(), value.into());
        self
    }
}

impl From<BadArgument> for Trouble {
    fn from(bad: BadArgument) -> Self {
        Self::new(true, &bad.problem, "invalid_argument", false, &[]).with("argument", bad.name)
    }
}

/// The result as the protocol has it.
pub(super) fn result(outcome: Result<Answer, Trouble>) -> CallToolResult {
    match outcome {
        Ok(Answer::Json(value)) => structured(value, false),
        Ok(Answer::Text(text)) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Err(Trouble { is_error, body }) => structured(Value::Object(body), is_error),
    }
}

fn structured(value: Value, is_error: bool) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    result.is_error = Some(is_error);
    result.structured_content = Some(value);
    result
}
