//! Looking at features.

use serde_json::{Value, json};

use super::{
    Call, Effect, FEATURE_ID, Outcome, Tool, answer, boolean, feature, feature_and,
    feature_properties, feature_properties_and, ids, ids_json, integer, text,
};
use crate::mcp::arguments::Integer;
use crate::mcp::present::Answer;
use crate::{GetBlocked, GetFeature, GetGraph, GetReady, GetStats, GetSummary, Status};

const READY_LIMIT: Integer = Integer {
    name: "limit",
    description: "How many features to give at most.",
    min: 1,
    max: Some(50),
    default: Some(10),
};
const BLOCKED_LIMIT: Integer = Integer { max: Some(100), default: Some(20), ..READY_LIMIT };

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_get_stats",
        title: "Count the features",
        description: "How far the project is: the number of passing, in-progress, waiting and all \
                      features, and the passing share in percent. Call it to see whether anything \
                      is left to do; it costs little.",
        parameters: &[],
        output: Some(|| {
            answer(json!({
                "passing": integer(),
                "in_progress": integer(),
                "needs_human_input": integer(),
                "total": integer(),
                "percentage": {"type": "number"},
            }))
        }),
        effect: Effect::Read,
        handler: |call| Box::pin(get_stats(call)),
    },
    Tool {
        name: "feature_get_by_id",
        title: "Read a feature",
        description: "One feature with everything: description, steps, state, dependencies, and \
                      what a human was asked and answered. Call it before you work on a feature or \
                      check it; to claim it in the same moment, call feature_claim_and_get instead.",
        parameters: &[&FEATURE_ID],
        output: Some(|| answer(feature_properties())),
        effect: Effect::Read,
        handler: |call| Box::pin(get_by_id(call)),
    },
    Tool {
        name: "feature_get_summary",
        title: "Read a feature's state",
        description: "The state of one feature without its texts: name, passes, in_progress, \
                      needs_human_input, dependencies. Call it to follow a feature, or to look at \
                      a dependency, without filling your context.",
        parameters: &[&FEATURE_ID],
        output: Some(|| {
            answer(json!({
                "id": integer(),
                "name": text(),
                "passes": boolean(),
                "in_progress": boolean(),
                "needs_human_input": boolean(),
                "dependencies": ids(),
            }))
        }),
        effect: Effect::Read,
        handler: |call| Box::pin(get_summary(call)),
    },
    Tool {
        name: "feature_get_ready",
        title: "List features that can be taken",
        description: "The features that can be worked on now, the most useful first: not passing, \
                      not claimed, not waiting for a human, all dependencies passing. total_ready \
                      counts those beyond the limit as well. Another agent may take one before you \
                      do, so claim before you start.",
        parameters: &[&READY_LIMIT],
        output: Some(|| {
            answer(json!({
                "features": {"type": "array", "items": feature()},
                "count": integer(),
                "total_ready": integer(),
            }))
        }),
        effect: Effect::Read,
        handler: |call| Box::pin(get_ready(call)),
    },
    Tool {
        name: "feature_get_blocked",
        title: "List features that wait for others",
        description: "The features that cannot be started because a dependency does not pass yet; \
                      blocked_by names those dependencies. Call it to see what holds the project \
                      up.",
        parameters: &[&BLOCKED_LIMIT],
        output: Some(|| {
            let blocked = feature_properties_and(json!({"blocked_by": ids()}));
            let items = json!({"type": "object", "properties": blocked});
            answer(json!({
                "features": {"type": "array", "items": items},
                "count": integer(),
                "total_blocked": integer(),
            }))
        }),
        effect: Effect::Read,
        handler: |call| Box::pin(get_blocked(call)),
    },
    Tool {
        name: "feature_get_graph",
        title: "Read the dependency graph",
        description: "All features without their texts, each with its status (done, \
                      needs_human_input, blocked, in_progress or pending), and an edge from each \
                      dependency to the feature that waits for it. Large in a large project.",
        parameters: &[],
        output: Some(|| {
            let statuses = [
                Status::Done,
                Status::NeedsHumanInput,
                Status::Blocked,
                Status::InProgress,
                Status::Pending,
            ];
            let node = json!({
                "id": integer(),
                "name": text(),
                "category": text(),
                "status": {"type": "string", "enum": statuses.map(Status::as_str)},
                "priority": integer(),
                "dependencies": ids(),
            });
            let edge = json!({"source": integer(), "target": integer()});
            answer(json!({
                "nodes": {"type": "array", "items": {"type": "object", "properties": node}},
                "edges": {"type": "array", "items": {"type": "object", "properties": edge}},
            }))
        }),
        effect: Effect::Read,
        handler: |call| Box::pin(get_graph(call)),
    },
];

async fn get_stats(call: Call) -> Outcome {
    let stats = call.look(GetStats).await?;
    Ok(Answer::Json(json!({
        "passing": stats.passing,
        "in_progress": stats.in_progress,
        "needs_human_input": stats.needs_human_input,
        "total": stats.total,
        "percentage": stats.percentage(),
    })))
}

async fn get_by_id(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    Ok(Answer::Json(call.look(GetFeature { id }).await?.to_json()))
}

async fn get_summary(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    Ok(Answer::Json(call.look(GetSummary { id }).await?.to_json()))
}

async fn get_ready(mut call: Call) -> Outcome {
    let limit = READY_LIMIT.read_count(&mut call.arguments)?;
    let ready = call.look(GetReady { limit }).await?;
    let features: Vec<Value> = ready.features.iter().map(crate::Feature::to_json).collect();
    let count = features.len();
    Ok(Answer::Json(json!({"features": features, "count": count, "total_ready": ready.total})))
}

async fn get_blocked(mut call: Call) -> Outcome {
    let limit = BLOCKED_LIMIT.read_count(&mut call.arguments)?;
    let blocked = call.look(GetBlocked { limit }).await?;
    let shown = |entry: &crate::BlockedFeature| {
        feature_and(&entry.feature, "blocked_by", ids_json(&entry.blocked_by))
    };
    let features: Vec<Value> = blocked.features.iter().map(shown).collect();
    let count = features.len();
    Ok(Answer::Json(json!({"features": features, "count": count, "total_blocked": blocked.total})))
}

async fn get_graph(call: Call) -> Outcome {
    Ok(Answer::Json(call.look(GetGraph).await?.to_json()))
}
