//! What a feature waits for.

use serde_json::json;

use super::signing::{REASON, REQUEST_ID};
use super::{Call, Effect, FEATURE_ID, Outcome, Tool, answer, boolean, ids, ids_json, integer};
use crate::mcp::arguments::{Integer, List};
use crate::mcp::present::Answer;
use crate::{AddDependency, DependencyList, RemoveDependency, SetDependencies};

const DEPENDENCY_ID: Integer =
    Integer::id("dependency_id", "The id of the feature that must pass first.");
const DEPENDENCY_IDS: List = List {
    name: "dependency_ids",
    description: "The ids of all features that must pass first, at most 20; empty for none.",
    items: integer,
    min_items: None,
};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_add_dependency",
        title: "Add a dependency",
        description: "Makes a feature wait until another one passes. Refused where either does not \
                      exist, where they would wait for each other in a circle, and beyond 20 \
                      dependencies. Gives all dependencies of the feature.",
        parameters: &[&FEATURE_ID, &DEPENDENCY_ID, &REASON, &REQUEST_ID],
        output: Some(|| answer(list())),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(add(call)),
    },
    Tool {
        name: "feature_remove_dependency",
        title: "Remove a dependency",
        description: "Ends a feature's wait for another one. Refused where it does not wait for \
                      it. Gives the dependencies that are left.",
        parameters: &[&FEATURE_ID, &DEPENDENCY_ID, &REASON, &REQUEST_ID],
        output: Some(|| answer(list())),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(remove(call)),
    },
    Tool {
        name: "feature_set_dependencies",
        title: "Replace the dependencies",
        description: "Replaces everything a feature waits for by the given ids; an empty array \
                      ends all waiting. Refused as a whole where an id does not exist, is named \
                      twice or would close a circle. Gives the dependencies as they are then.",
        parameters: &[&FEATURE_ID, &DEPENDENCY_IDS, &REASON, &REQUEST_ID],
        output: Some(|| answer(list())),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(set(call)),
    },
];

fn list() -> serde_json::Value {
    json!({"success": boolean(), "feature_id": integer(), "dependencies": ids()})
}

fn shown(list: &DependencyList) -> Answer {
    let dependencies = ids_json(&list.dependencies);
    Answer::Json(json!({
        "success": true,
        "feature_id": list.id.get(),
        "dependencies": dependencies,
    }))
}

async fn add(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let dependency = DEPENDENCY_ID.read_id(&mut call.arguments)?;
    Ok(shown(&call.change(AddDependency { id, dependency }).await?))
}

async fn remove(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let dependency = DEPENDENCY_ID.read_id(&mut call.arguments)?;
    Ok(shown(&call.change(RemoveDependency { id, dependency }).await?))
}

async fn set(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let dependencies = DEPENDENCY_IDS.read_ids(&mut call.arguments)?;
    Ok(shown(&call.change(SetDependencies { id, dependencies }).await?))
}
