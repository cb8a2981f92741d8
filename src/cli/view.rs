//! How features and times look, in JSON and on pages.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::page::{Cell, Page, Tone};
use crate::{Feature, FeatureId, Graph, GraphEntry, Status, Steps, Timestamp};

/// Where a feature stands, from what is known of its dependencies and of its claim; see [`Status`].
pub(crate) fn status_of(feature: &Feature, blocked_by: &[FeatureId], worked_on: bool) -> Status {
    if feature.passes {
        Status::Done
    } else if feature.needs_human_input {
        Status::NeedsHumanInput
    } else if !blocked_by.is_empty() {
        Status::Blocked
    } else if worked_on {
        Status::InProgress
    } else {
        Status::Pending
    }
}

/// The status for people, who want to know of a claim on a blocked feature too.
pub(crate) fn status_cell(status: Status, claimed: bool) -> Cell {
    if status == Status::Blocked && claimed {
        return Cell::new(tone(status), "blocked, claimed");
    }
    Cell::new(tone(status), status)
}

pub(crate) fn tone(status: Status) -> Tone {
    match status {
        Status::Done => Tone::Good,
        Status::NeedsHumanInput => Tone::Attention,
        Status::Blocked => Tone::Bad,
        Status::InProgress => Tone::Active,
        Status::Pending => Tone::Plain,
    }
}

/// A feature with what follows from the others.
pub(crate) fn feature_json(feature: &Feature, blocked_by: &[FeatureId], worked_on: bool) -> Value {
    let mut value = feature.to_json();
    insert(&mut value, "status", status_of(feature, blocked_by, worked_on).as_str().into());
    insert(&mut value, "blocked_by", ids_json(blocked_by));
    value
}

/// Adds a key to an object.
pub(crate) fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(keys) = object {
        keys.insert(key.to_owned(), value);
    }
}

pub(crate) fn ids_json(ids: &[FeatureId]) -> Value {
    ids.iter().map(|id| id.get()).collect()
}

/// A time for people, to the second, in UTC; `-` where there is none.
pub(crate) fn moment(at: Option<Timestamp>) -> String {
    let text = at.map(Timestamp::to_sqlite_text);
    text.and_then(|text| text.get(..19).map(str::to_owned)).unwrap_or_else(|| "-".to_owned())
}

/// A time for programs: ISO 8601 with its offset, or null.
pub(crate) fn moment_json(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.to_iso8601().into())
}

/// Ids for people: `1, 2, 3`.
pub(crate) fn ids_text(ids: &[FeatureId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `#7 Log in`, as the end of a sentence.
pub(crate) fn titled(id: FeatureId, name: &str) -> [Cell; 2] {
    [Cell::strong(format_args!("#{id} ")), Cell::plain(name)]
}

/// The steps as texts, whatever the file holds.
pub(crate) fn step_texts(steps: &Steps) -> Vec<String> {
    let as_text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match steps {
        Steps::List(steps) => steps.clone(),
        Steps::Other(Value::Null) => Vec::new(),
        Steps::Other(Value::Array(items)) => items.iter().map(as_text).collect(),
        Steps::Other(value) => vec![as_text(value)],
    }
}

/// "1 feature", "2 features".
pub(crate) fn count(number: usize) -> String {
    if number == 1 { "1 feature".to_owned() } else { format!("{number} features") }
}

/// The features around a feature, by id.
pub(crate) struct Neighbours<'a> {
    nodes: HashMap<FeatureId, &'a GraphEntry>,
}

impl<'a> Neighbours<'a> {
    pub(crate) fn of(graph: &'a Graph) -> Self {
        Self { nodes: graph.nodes.iter().map(|node| (node.id, node)).collect() }
    }

    pub(crate) fn get(&self, id: FeatureId) -> Option<&'a GraphEntry> {
        self.nodes.get(&id).copied()
    }

    /// What a feature is called; `None` where there is none.
    pub(crate) fn name(&self, id: FeatureId) -> Option<&'a str> {
        self.get(id).map(|node| node.name.as_str())
    }

    /// What does not pass of these, ids that do not exist included.
    pub(crate) fn unmet(&self, ids: &[FeatureId]) -> Vec<FeatureId> {
        let unmet = |id: &FeatureId| self.get(*id).is_none_or(|node| node.status != Status::Done);
        ids.iter().copied().filter(unmet).collect()
    }

    /// The features that wait for this one, by id.
    pub(crate) fn dependents(&self, id: FeatureId) -> Vec<FeatureId> {
        let waits = |node: &&&GraphEntry| node.id != id && node.dependencies.contains(&id);
        let mut ids: Vec<FeatureId> = self.nodes.values().filter(waits).map(|n| n.id).collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn json(&self, ids: &[FeatureId]) -> Value {
        let one = |id: &FeatureId| match self.get(*id) {
            Some(node) => {
                json!({"id": id.get(), "name": node.name, "status": node.status.as_str()})
            }
            None => json!({"id": id.get(), "name": null, "status": "missing"}),
        };
        ids.iter().map(one).collect()
    }

    /// Rows under [`NEIGHBOUR_HEAD`].
    pub(crate) fn rows(&self, ids: &[FeatureId]) -> Vec<Vec<Cell>> {
        let one = |id: &FeatureId| match self.get(*id) {
            Some(node) => {
                vec![Cell::strong(id), status_cell(node.status, false), Cell::plain(&node.name)]
            }
            None => vec![Cell::strong(id), Cell::new(Tone::Bad, "missing"), Cell::plain("")],
        };
        ids.iter().map(one).collect()
    }
}

/// The heads of [`Neighbours::rows`].
pub(crate) const NEIGHBOUR_HEAD: &[&str] = &["ID", "Status", "Name"];

/// What somebody needs to know to work on a feature.
pub(crate) fn work_order(page: Page, feature: &Feature) -> Page {
    page.field("category", Cell::plain(&feature.category))
        .field("priority", Cell::plain(feature.priority))
        .text("description", &feature.description)
        .list("steps", step_texts(&feature.steps))
}
