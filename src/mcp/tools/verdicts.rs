//! Ending the work on a feature: it passes, it fails, or it is put off.

use serde_json::json;

use super::signing::{CLAIM_TOKEN, OVERRIDE, REASON, REQUEST_ID};
use super::{Call, Effect, FEATURE_ID, Outcome, Tool, answer, boolean, feature, integer, text};
use crate::mcp::present::Answer;
use crate::{MarkFailing, MarkPassing, SkipFeature};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_mark_passing",
        title: "Mark a feature as passing",
        description: "Says that a feature is built and that you have checked it; ends its claim \
                      and unblocks what waits for it. Call it only after its steps work. Refused \
                      for a feature that passes already.",
        parameters: &[&FEATURE_ID, &CLAIM_TOKEN, &OVERRIDE, &REASON, &REQUEST_ID],
        output: Some(|| {
            answer(json!({"success": boolean(), "feature_id": integer(), "name": text()}))
        }),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(mark_passing(call)),
    },
    Tool {
        name: "feature_mark_failing",
        title: "Mark a feature as failing",
        description: "Says that a feature does not work, also one that passed before: it goes back \
                      to the open ones and its claim ends. Call it when you find something broken. \
                      Gives the whole feature.",
        parameters: &[&FEATURE_ID, &CLAIM_TOKEN, &OVERRIDE, &REASON, &REQUEST_ID],
        output: Some(|| answer(json!({"message": text(), "feature": feature()}))),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(mark_failing(call)),
    },
    Tool {
        name: "feature_skip",
        title: "Put a feature off",
        description: "Moves a feature behind all others and ends its claim. Call it when something \
                      outside your reach is missing; where only a human can help, call \
                      feature_request_human_input instead. Gives the old and the new priority. \
                      Refused for a feature that passes.",
        parameters: &[&FEATURE_ID, &CLAIM_TOKEN, &OVERRIDE, &REASON, &REQUEST_ID],
        output: Some(|| {
            answer(json!({
                "id": integer(),
                "name": text(),
                "old_priority": integer(),
                "new_priority": integer(),
                "message": text(),
            }))
        }),
        effect: Effect::Write,
        handler: |call| Box::pin(skip(call)),
    },
];

async fn mark_passing(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let passed = call.end(id, MarkPassing { id }).await?;
    let name = passed.name;
    Ok(Answer::Json(json!({"success": true, "feature_id": passed.id.get(), "name": name})))
}

async fn mark_failing(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let feature = call.end(id, MarkFailing { id }).await?;
    let message = format!("Feature #{id} marked as failing - regression detected");
    Ok(Answer::Json(json!({"message": message, "feature": feature.to_json()})))
}

async fn skip(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let skipped = call.end(id, SkipFeature { id }).await?;
    let message = format!("Feature '{}' moved to end of queue", skipped.name);
    Ok(Answer::Json(json!({
        "id": skipped.id.get(),
        "name": skipped.name,
        "old_priority": skipped.old_priority,
        "new_priority": skipped.new_priority,
        "message": message,
    })))
}
