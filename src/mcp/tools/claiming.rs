//! Claiming features, and giving claims back.

use serde_json::{Map, Value, json};

use super::signing::{CLAIM_TOKEN, OVERRIDE, REASON, REQUEST_ID};
use super::{
    Call, Effect, FEATURE_ID, Outcome, Tool, answer, answer_with, boolean, feature, feature_and,
    feature_properties, feature_properties_and, integer, text,
};
use crate::mcp::present::Answer;
use crate::{
    ClaimFeature, ClaimNext, ClaimedNext, ClearInProgress, FeatureId, FenceToken, MarkInProgress,
};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_claim_next",
        title: "Claim the next feature",
        description: "Picks the best feature that is ready and claims it for you in one step, so \
                      no two agents get the same one. The easiest way to get work. claimed: true \
                      comes with the whole feature; claimed: false says why there is none \
                      (all_passing, or nothing_ready with counts of what others work on, what \
                      waits for a human and what is blocked).",
        parameters: &[&REASON, &REQUEST_ID],
        output: Some(|| {
            let properties = json!({
                "claimed": boolean(),
                "feature": feature(),
                "claim_token": integer(),
                "reason": {"type": "string", "enum": ["all_passing", "nothing_ready"]},
                "in_progress": integer(),
                "waiting_for_human": integer(),
                "blocked": integer(),
                "out_of_attempts": integer(),
            });
            answer_with(properties, &["claimed"])
        }),
        effect: Effect::Write,
        handler: |call| Box::pin(claim_next(call)),
    },
    Tool {
        name: "feature_claim_and_get",
        title: "Claim a feature",
        description: "Claims a feature that you have chosen and gives it whole. already_claimed: \
                      true means that somebody had claimed it before: go on only if that was you. \
                      held_by says who it is, where claims have owners. Refused for a feature that \
                      passes, waits for a human, or has failed too often.",
        parameters: &[&FEATURE_ID, &REASON, &REQUEST_ID],
        output: Some(|| {
            let more = json!({
                "already_claimed": boolean(),
                "claim_token": integer(),
                "held_by": text(),
            });
            claimed_feature(more, &["claim_token", "held_by"])
        }),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(claim_and_get(call)),
    },
    Tool {
        name: "feature_mark_in_progress",
        title: "Claim an unclaimed feature",
        description: "Claims a feature only if nobody has: a claimed one is refused, which makes \
                      sure that you alone work on it. Also refused for a feature that passes, \
                      waits for a human, or has failed too often. Gives the whole feature.",
        parameters: &[&FEATURE_ID, &REASON, &REQUEST_ID],
        output: Some(|| claimed_feature(json!({"claim_token": integer()}), &["claim_token"])),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(mark_in_progress(call)),
    },
    Tool {
        name: "feature_clear_in_progress",
        title: "Give a claim back",
        description: "Ends the claim on a feature without judging it, so that another agent can \
                      take it. Call it if you stop before the feature is done. Does nothing where \
                      there is no claim. Gives the whole feature.",
        parameters: &[&FEATURE_ID, &CLAIM_TOKEN, &OVERRIDE, &REASON, &REQUEST_ID],
        output: Some(|| answer(feature_properties())),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(clear_in_progress(call)),
    },
];

/// The schema of a feature and more, of which some keys may be missing.
fn claimed_feature(more: Value, optional: &[&str]) -> Map<String, Value> {
    let properties = feature_properties_and(more);
    let keys: Vec<String> =
        properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    let required = keys.iter().map(String::as_str).filter(|key| !optional.contains(key));
    let required: Vec<&str> = required.collect();
    answer_with(properties, &required)
}

async fn claim_next(mut call: Call) -> Outcome {
    let nothing = |reason, in_progress, waiting_for_human, blocked, out_of_attempts| {
        json!({
            "claimed": false,
            "reason": reason,
            "in_progress": in_progress,
            "waiting_for_human": waiting_for_human,
            "blocked": blocked,
            "out_of_attempts": out_of_attempts,
        })
    };
    Ok(Answer::Json(match call.change(ClaimNext).await? {
        ClaimedNext::Feature(next) => {
            let claimed = json!({"claimed": true, "feature": next.feature.to_json()});
            kept(&call, claimed, next.feature.id, Some(next.token)).await
        }
        ClaimedNext::AllPassing => nothing("all_passing", 0, 0, 0, 0),
        ClaimedNext::NothingReady { in_progress, waiting_for_human, blocked, exhausted } => {
            nothing("nothing_ready", in_progress, waiting_for_human, blocked, exhausted)
        }
    }))
}

async fn claim_and_get(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let claim = call.claim(id, ClaimFeature { id }).await?;
    let mut shown = feature_and(&claim.feature, "already_claimed", claim.already_claimed.into());
    if let Some(holder) = claim.holder.filter(|holder| holder.owner.is_some())
        && let Value::Object(shown) = &mut shown
    {
        shown.insert("held_by".to_owned(), holder.to_string().into());
    }
    Ok(Answer::Json(kept(&call, shown, id, claim.token).await))
}

async fn mark_in_progress(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let claimed = call.claim(id, MarkInProgress { id }).await?;
    let shown = claimed.feature.to_json();
    Ok(Answer::Json(kept(&call, shown, id, Some(claimed.token)).await))
}

async fn clear_in_progress(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    Ok(Answer::Json(call.end(id, ClearInProgress { id }).await?.to_json()))
}

/// Keeps the agent's claim, and adds its token to the answer where claims have owners: agents of
/// servers that claim for nobody find in an answer what they always found.
async fn kept(call: &Call, mut answer: Value, id: FeatureId, token: Option<FenceToken>) -> Value {
    let agent = call.project.agent();
    if let Some(token) = token {
        agent.keep(id, token).await;
        if (agent.owns() || agent.token_of(id).await == Some(token))
            && let Value::Object(answer) = &mut answer
        {
            answer.insert("claim_token".to_owned(), token.get().into());
        }
    }
    answer
}
