//! Claiming features, and giving claims back.

use serde_json::json;

use super::{
    Call, Effect, FEATURE_ID, Outcome, Tool, answer, answer_with, boolean, feature, feature_and,
    feature_properties, feature_properties_and, integer,
};
use crate::mcp::present::Answer;
use crate::{ClaimFeature, ClaimNext, ClaimedNext, ClearInProgress, MarkInProgress};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_claim_next",
        title: "Claim the next feature",
        description: "Picks the best feature that is ready and claims it for you in one step, so \
                      no two agents get the same one. The easiest way to get work. claimed: true \
                      comes with the whole feature; claimed: false says why there is none \
                      (all_passing, or nothing_ready with counts of what others work on, what \
                      waits for a human and what is blocked).",
        parameters: &[],
        output: Some(|| {
            let properties = json!({
                "claimed": boolean(),
                "feature": feature(),
                "reason": {"type": "string", "enum": ["all_passing", "nothing_ready"]},
                "in_progress": integer(),
                "waiting_for_human": integer(),
                "blocked": integer(),
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
                      Refused for a feature that passes or waits for a human.",
        parameters: &[&FEATURE_ID],
        output: Some(|| answer(feature_properties_and(json!({"already_claimed": boolean()})))),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(claim_and_get(call)),
    },
    Tool {
        name: "feature_mark_in_progress",
        title: "Claim an unclaimed feature",
        description: "Claims a feature only if nobody has: a claimed one is refused, which makes \
                      sure that you alone work on it. Also refused for a feature that passes or \
                      waits for a human. Gives the whole feature.",
        parameters: &[&FEATURE_ID],
        output: Some(|| answer(feature_properties())),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(mark_in_progress(call)),
    },
    Tool {
        name: "feature_clear_in_progress",
        title: "Give a claim back",
        description: "Ends the claim on a feature without judging it, so that another agent can \
                      take it. Call it if you stop before the feature is done. Does nothing where \
                      there is no claim. Gives the whole feature.",
        parameters: &[&FEATURE_ID],
        output: Some(|| answer(feature_properties())),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(clear_in_progress(call)),
    },
];

async fn claim_next(call: Call) -> Outcome {
    let nothing = |reason, in_progress, waiting_for_human, blocked| {
        json!({
            "claimed": false,
            "reason": reason,
            "in_progress": in_progress,
            "waiting_for_human": waiting_for_human,
            "blocked": blocked,
        })
    };
    Ok(Answer::Json(match call.run(ClaimNext).await? {
        ClaimedNext::Feature(next) => json!({"claimed": true, "feature": next.feature.to_json()}),
        ClaimedNext::AllPassing => nothing("all_passing", 0, 0, 0),
        ClaimedNext::NothingReady { in_progress, waiting_for_human, blocked, exhausted: _ } => {
            nothing("nothing_ready", in_progress, waiting_for_human, blocked)
        }
    }))
}

async fn claim_and_get(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let claim = call.run(ClaimFeature { id }).await?;
    Ok(Answer::Json(feature_and(&claim.feature, "already_claimed", claim.already_claimed.into())))
}

async fn mark_in_progress(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    Ok(Answer::Json(call.run(MarkInProgress { id }).await?.feature.to_json()))
}

async fn clear_in_progress(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    Ok(Answer::Json(call.run(ClearInProgress { id }).await?.to_json()))
}
