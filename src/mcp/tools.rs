//! The tools. Each is one entry in a group below: how it is described, what it takes, what it
//! gives, what it does. A new one needs nothing beside its entry.

mod claiming;
mod creating;
mod dependencies;
mod history;
mod humans;
mod looking;
mod signing;
mod verdicts;

use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, Integer, Parameter};
use super::present::{Answer, Trouble};
use super::project::Project;
use crate::{Command, Features, Read};

/// What became of a call.
pub(super) type Outcome = Result<Answer, Trouble>;

/// A tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Written for the agent that decides whether to call it: when, and what comes back.
    pub(super) description: &'static str,
    pub(super) parameters: &'static [&'static dyn Parameter],
    /// The schema of its results; `None` for a plain sentence.
    pub(super) output: Option<fn() -> Map<String, Value>>,
    pub(super) effect: Effect,
    pub(super) handler: fn(Call) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

/// What a call changes. No tool reaches beyond the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing. Clients may run such calls in parallel and without asking.
    Read,
    /// The same call again changes nothing more: it finds its work done, or is refused.
    WriteOnce,
    /// Each call changes something.
    Write,
    /// As `Write`, and what is there may be lost for those who do not look into the history.
    Destroy,
}

const GROUPS: &[&[Tool]] = &[
    looking::TOOLS,
    claiming::TOOLS,
    verdicts::TOOLS,
    creating::TOOLS,
    dependencies::TOOLS,
    humans::TOOLS,
    history::TOOLS,
];

/// All tools, always in the same order.
pub(super) fn all() -> impl Iterator<Item = &'static Tool> {
    GROUPS.iter().copied().flatten()
}

pub(super) fn find(name: &str) -> Option<&'static Tool> {
    all().find(|tool| tool.name == name)
}

/// One call of a tool.
#[derive(Debug)]
pub(super) struct Call {
    arguments: Arguments,
    project: Arc<Project>,
}

impl Call {
    pub(super) fn new(arguments: Arguments, project: Arc<Project>) -> Self {
        Self { arguments, project }
    }

    /// Runs a command that only looks.
    async fn look<C>(&self, command: C) -> Result<C::Output, Trouble>
    where
        C: Command<Database = Features, Access = Read>,
    {
        self.project.run(command).await
    }
}

const FEATURE_ID: Integer = Integer::id("feature_id", "The feature's id.");

/// The schema of an object with these properties, all of which an answer has. A refusal is an
/// answer too, for clients that check results against the schema.
fn answer(properties: Value) -> Map<String, Value> {
    let keys = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<String> = keys.cloned().collect();
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    answer_with(properties, &required)
}

/// As [`answer`], where an answer may lack some of the properties.
fn answer_with(mut properties: Value, required: &[&str]) -> Map<String, Value> {
    let refusal = json!({
        "error": {"type": "string", "description": "Why nothing was changed; only in a refusal."},
        "code": {"type": "string"},
        "retryable": {"type": "boolean"},
        "feature_ids": ids(),
    });
    if let (Value::Object(properties), Value::Object(refusal)) = (&mut properties, refusal) {
        properties.extend(refusal);
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties);
    let either = json!([{"required": required}, {"required": ["error", "code", "retryable"]}]);
    schema.insert("anyOf".to_owned(), either);
    schema
}

/// The properties of a whole feature. Other programs write the file as well, so what it may hold
/// in any form has no type here.
fn feature_properties() -> Value {
    json!({
        "id": integer(),
        "priority": integer(),
        "category": text(),
        "name": text(),
        "description": text(),
        "steps": {"description": "An array of texts."},
        "passes": boolean(),
        "in_progress": boolean(),
        "dependencies": ids(),
        "needs_human_input": boolean(),
        "human_input_request": {"description": "What a human was asked, or null."},
        "human_input_response": {"description": "What the human answered, or null."},
    })
}

fn feature() -> Value {
    json!({"type": "object", "properties": feature_properties()})
}

/// The properties of a feature and more.
fn feature_properties_and(more: Value) -> Value {
    let mut properties = feature_properties();
    if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
        properties.extend(more);
    }
    properties
}

fn integer() -> Value {
    json!({"type": "integer"})
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn ids() -> Value {
    json!({"type": "array", "items": {"type": "integer"}})
}

/// A feature as the tools show it, with one more key at its end.
fn feature_and(feature: &crate::Feature, key: &str, value: Value) -> Value {
    let mut shown = feature.to_json();
    if let Value::Object(members) = &mut shown {
        members.insert(key.to_owned(), value);
    }
    shown
}

fn ids_json(ids: &[crate::FeatureId]) -> Value {
    ids.iter().map(|id| Value::from(id.get())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tools_have_names_of_their_own_and_are_found_by_them() {
        let names: HashSet<_> = all().map(|tool| tool.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(all().all(|tool| find(tool.name).is_some_and(|found| found.name == tool.name)));
        assert!(find("feature_get").is_none());
    }

    #[test]
    fn an_output_schema_allows_an_answer_and_a_refusal() {
        let schema = answer(json!({"created": integer()}));
        assert_eq!(schema["anyOf"][0]["required"], json!(["created"]));
        assert_eq!(schema["anyOf"][1]["required"], json!(["error", "code", "retryable"]));
        assert!(schema["properties"]["error"].is_object());
    }
}
