//! Looking for what no command of ours would have left behind.

use std::collections::BTreeMap;
use std::convert::Infallible;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{LenientRow, Read, Tx};
use crate::types::{FeatureId, parse_json};

/// What is unusual about the features of a file. Other programs write it too, so every command
/// copes with all of this; people may want to know all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureFindings {
    /// All features.
    pub total: usize,
    /// Features that wait for each other in a circle, or for themselves: they can never be worked on.
    pub cycles: Vec<Vec<FeatureId>>,
    /// Feature, and an id it depends on that does not exist: it can never be worked on.
    pub dangling: Vec<(FeatureId, FeatureId)>,
    /// Priorities that several features have, and these features by id.
    pub shared_priorities: Vec<(i64, Vec<FeatureId>)>,
    /// Feature, and a column of it whose JSON is not what the column is for. What can be read of it
    /// is used.
    pub malformed: Vec<(FeatureId, &'static str)>,
    /// Features with a flag that is NULL, which counts as false.
    pub null_flags: Vec<FeatureId>,
    /// Features that somebody has claimed.
    pub in_progress: Vec<FeatureId>,
    /// Features that wait for a human.
    pub waiting_for_human: Vec<FeatureId>,
}

/// Lists what is unusual about the features.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CheckFeatures, FeatureFindings, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// assert_eq!(store.call(CheckFeatures).unwrap(), FeatureFindings::default());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct CheckFeatures;

impl Command for CheckFeatures {
    const NAME: &'static str = "check_features";
    type Database = Features;
    type Access = Read;
    type Output = FeatureFindings;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<FeatureFindings, Failure<Infallible>> {
        let graph = tx.dependency_graph_by_flags()?;
        let mut findings = FeatureFindings {
            total: graph.nodes().len(),
            cycles: graph.cycles(),
            dangling: graph.dangling(),
            ..FeatureFindings::default()
        };
        let mut priorities: BTreeMap<i64, Vec<FeatureId>> = BTreeMap::new();
        for node in graph.nodes() {
            priorities.entry(node.priority).or_default().push(node.id);
            if node.in_progress {
                findings.in_progress.push(node.id);
            }
            if node.needs_human_input {
                findings.waiting_for_human.push(node.id);
            }
        }
        priorities.retain(|_, features| features.len() > 1);
        findings.shared_priorities.extend(priorities);
        tx.all(
            "SELECT id, passes, in_progress, needs_human_input, steps, dependencies,
                    human_input_request, human_input_response
             FROM features ORDER BY id",
            [],
            |row| findings.note(row),
        )?;
        Ok(findings)
    }
}

impl FeatureFindings {
    fn note(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let id = FeatureId::from(row.integer(0, 0)?);
        for flag in 1..4 {
            if row.get_ref(flag)? == ValueRef::Null {
                self.null_flags.push(id);
                break;
            }
        }
        let mut malformed = |column, name, is_fine: fn(&Value) -> bool| {
            let text = row.optional_text(column)?;
            if text.is_some_and(|text| !parse_json(&text).is_some_and(|value| is_fine(&value))) {
                self.malformed.push((id, name));
            }
            Ok(())
        };
        malformed(4, "steps", is_list_of_texts)?;
        malformed(5, "dependencies", is_list_of_ids)?;
        malformed(6, "human_input_request", is_object_or_null)?;
        malformed(7, "human_input_response", is_object_or_null)
    }
}

fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

/// NULL and `null` both mean none.
fn is_object_or_null(value: &Value) -> bool {
    value.is_object() || value.is_null()
}

fn is_list_of_ids(value: &Value) -> bool {
    if value.is_null() {
        return true;
    }
    let Some(items) = value.as_array() else { return false };
    let mut ids: Vec<i64> = items.iter().filter_map(Value::as_i64).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len() == items.len()
}
