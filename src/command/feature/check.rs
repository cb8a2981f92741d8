//! Looking for what no command of ours would have left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{LenientRow, Read, Tx};
use crate::types::{
    AttemptOutcome, ClaimRecord, DependencyGraph, FeatureId, GraphNode, parse_json,
};

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
    /// What is unusual about claims and history; `None` in a file of an older release, which has
    /// neither.
    pub records: Option<RecordFindings>,
}

/// What is unusual about the claims and the history of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFindings {
    /// Claims that are over though nobody has written it down, by token, and how they are. Whoever
    /// looks sees their features as free; programs that only know the flags do not.
    pub lapsed: Vec<(ClaimRecord, AttemptOutcome)>,
    /// Features in progress on which no owner has a claim: it names nobody, or nobody wrote it down.
    pub unowned: Vec<FeatureId>,
    /// Claims that stand though their feature is not in progress, or is gone, by token: a program
    /// that ran with triggers off ended them. Nothing can be done under them any more.
    pub without_flag: Vec<ClaimRecord>,
    /// Features that have failed too often, and do not pass.
    pub exhausted: Vec<FeatureId>,
    /// Events between the oldest and the last one that are not there: somebody deleted them.
    pub missing_events: u64,
    /// Features that are not as their last events left them: a program that ran with triggers off
    /// changed them, made them or deleted them.
    pub unseen_changes: Vec<FeatureId>,
}

/// Lists what is unusual about the features.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CheckFeatures, RecordFindings, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let found = store.call(CheckFeatures).unwrap();
/// assert_eq!((found.total, found.records), (0, Some(RecordFindings::default())));
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
            total: graph.counts().total,
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
        if tx.has_records()? {
            findings.records = Some(RecordFindings::read(tx)?);
        }
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

impl RecordFindings {
    fn read(tx: &Tx<'_, Read>) -> rusqlite::Result<Self> {
        let (claims, graph) = (tx.standing_claims()?, tx.dependency_graph_anew()?);
        let flags = tx.dependency_graph_by_flags()?;
        let is_flagged = |id| flags.node(id).is_some_and(|node| node.in_progress);
        let owned: BTreeSet<FeatureId> =
            claims.iter().filter(|c| c.owner.is_some()).map(|c| c.feature).collect();
        let ids = |wanted: &dyn Fn(&GraphNode) -> bool, graph: &DependencyGraph| {
            graph.nodes().filter(|node| wanted(node)).map(|node| node.id).collect()
        };
        Ok(Self {
            lapsed: tx.lapsed_claims()?,
            unowned: ids(&|node| node.in_progress && !owned.contains(&node.id), &flags),
            without_flag: claims.into_iter().filter(|c| !is_flagged(c.feature)).collect(),
            exhausted: ids(&|node| node.exhausted && !node.passes, &graph),
            missing_events: tx.missing_events()?,
            unseen_changes: tx.unseen_changes()?,
        })
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
