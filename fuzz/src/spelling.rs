//! Commands as calls of tools, with their arguments in any of the spellings that are read.

use autoforge_store::testing::{FormField, Op, Texts};
use autoforge_store::{Limits, NewFeature};
use serde_json::{Map, Value, json};

use crate::scene::asks_leave;

/// A command as the call of a tool.
pub(crate) struct Spelled {
    pub(crate) tool: &'static str,
    pub(crate) arguments: Map<String, Value>,
    /// All numbers are in the ranges that the tool accepts.
    pub(crate) is_in_range: bool,
    /// It ends the work on a feature, under a claim that may be named.
    pub(crate) takes_token: bool,
}

/// `None` where no tool does just this.
pub(crate) fn spelled(op: &Op, spelling: u8) -> Option<Spelled> {
    let (tool, arguments) = tool_of(op, spelling)?;
    let takes_token = asks_leave(op);
    let arguments = match arguments {
        Value::Object(arguments) => arguments,
        _ => Map::new(),
    };
    Some(Spelled { tool, arguments, is_in_range: is_in_range(op), takes_token })
}

fn is_in_range(op: &Op) -> bool {
    let others = match op {
        Op::AddDependency { dependency, .. } | Op::RemoveDependency { dependency, .. } => {
            *dependency >= 1
        }
        Op::GetReady { limit } => (1..=50).contains(limit),
        Op::GetBlocked { limit } => (1..=100).contains(limit),
        _ => true,
    };
    others && op.feature().is_none_or(|id| id >= 1)
}

fn tool_of(op: &Op, spelling: u8) -> Option<(&'static str, Value)> {
    let number = |number: i64| number_as(number, spelling);
    let of = |id: &i64| json!({"feature_id": number(*id)});
    let on = |id: &i64, dependency: &i64| json!({"feature_id": number(*id), "dependency_id": number(*dependency)});
    let limit = |limit: &usize| json!({"limit": number(i64::try_from(*limit).unwrap_or(i64::MAX))});
    Some(match op {
        Op::GetStats => ("feature_get_stats", json!({})),
        Op::GetFeature(id) => ("feature_get_by_id", of(id)),
        Op::GetSummary(id) => ("feature_get_summary", of(id)),
        Op::GetReady { limit: most } => ("feature_get_ready", limit(most)),
        Op::GetBlocked { limit: most } => ("feature_get_blocked", limit(most)),
        Op::GetGraph => ("feature_get_graph", json!({})),
        Op::ClaimNext => ("feature_claim_next", json!({})),
        Op::ClaimFeature(id) => ("feature_claim_and_get", of(id)),
        Op::MarkInProgress(id) => ("feature_mark_in_progress", of(id)),
        Op::ClearInProgress(id) => ("feature_clear_in_progress", of(id)),
        Op::MarkPassing(id) => ("feature_mark_passing", of(id)),
        Op::MarkFailing(id) => ("feature_mark_failing", of(id)),
        Op::SkipFeature(id) => ("feature_skip", of(id)),
        Op::RetryFeature(id) => ("feature_retry", of(id)),
        Op::AddDependency { id, dependency } => ("feature_add_dependency", on(id, dependency)),
        Op::RemoveDependency { id, dependency } => {
            ("feature_remove_dependency", on(id, dependency))
        }
        Op::SetDependencies { id, dependencies } => {
            let ids = dependencies.iter().map(|id| number(*id)).collect();
            let ids = list_as(ids, spelling);
            ("feature_set_dependencies", json!({"feature_id": number(*id), "dependency_ids": ids}))
        }
        Op::RequestHumanInput { id, prompt, fields } => {
            let fields = list_as(fields.iter().map(FormField::to_json).collect(), spelling);
            let arguments = json!({"feature_id": number(*id), "prompt": prompt, "fields": fields});
            ("feature_request_human_input", arguments)
        }
        _ => return creation(op, spelling),
    })
}

fn creation(op: &Op, spelling: u8) -> Option<(&'static str, Value)> {
    match op {
        Op::CreateFeature { texts, priority: None, dependencies } if dependencies.is_empty() => {
            Some(("feature_create", planned(texts, spelling)))
        }
        // Items are taken as they come, which the model's are not.
        Op::CreateFeatures { features, starting_priority: None }
            if features.iter().all(|(texts, _)| is_strict(texts))
                && features.len() <= Limits::BULK =>
        {
            let item = |(texts, on): &(Texts, Vec<usize>)| {
                let mut item = planned(texts, spelling);
                item["depends_on_indices"] =
                    list_as(on.iter().map(|at| json!(at)).collect(), spelling);
                item
            };
            let features = list_as(features.iter().map(item).collect(), spelling);
            Some(("feature_create_bulk", json!({"features": features})))
        }
        _ => None,
    }
}

fn planned(texts: &Texts, spelling: u8) -> Value {
    let Texts { category, name, description, steps } = texts;
    let steps = list_as(steps.iter().map(|step| json!(step)).collect(), spelling);
    json!({"category": category, "name": name, "description": description, "steps": steps})
}

fn is_strict(texts: &Texts) -> bool {
    let Texts { category, name, description, steps } = texts;
    NewFeature::new(category, name, description, steps).is_ok()
}

/// The number as itself, as text, or as a fraction where none of it is lost.
fn number_as(number: i64, spelling: u8) -> Value {
    match spelling % 6 {
        0 => number.to_string().into(),
        1 => format!(" {number} ").into(),
        2 if number.abs_diff(0) < 1 << 53 => (number as f64).into(),
        3 if number.abs_diff(0) < 1 << 53 => format!("{number}.0").into(),
        _ => number.into(),
    }
}

/// The list as itself or as text.
fn list_as(items: Vec<Value>, spelling: u8) -> Value {
    let list = Value::Array(items);
    if spelling < 32 { list.to_string().into() } else { list }
}
