//! Who works on what, what has changed, and taking changes back.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::signing::{REASON, REQUEST_ID};
use super::{Call, Effect, FEATURE_ID, Outcome, Tool, answer, boolean, feature, integer, text};
use crate::mcp::arguments::{Flag, Integer, Optional, Text};
use crate::mcp::present::{Answer, Trouble};
use crate::{
    AttemptOutcome, ClaimRecord, Event, EventId, ExplainFeature, GetAttempts, GetChanges,
    GetClaims, GetLog, PreviewUndo, RetryFeature, StandingClaim, Undo, UndoTarget,
};

const OF_FEATURE: Optional<Integer> =
    Optional(Integer::id("feature_id", "Only of this feature; of all without it."));
const ATTEMPTS: Integer = Integer {
    name: "limit",
    description: "How many to give at most.",
    min: 1,
    max: Some(100),
    default: Some(20),
};
const EVENTS: Integer = Integer { max: Some(500), default: Some(50), ..ATTEMPTS };
const OF_SESSION: Optional<Text> = Optional(Text {
    name: "session",
    description: "Only of one session of an agent, by its name.",
    max_chars: None,
});
const OF_AGENT: Optional<Text> = Optional(Text {
    name: "agent",
    description: "Whose session, where several agents have one of that name.",
    max_chars: None,
});
const BEFORE: Optional<Integer> =
    Optional(Integer::id("before", "Only events before this one, to turn a page."));
const SINCE: Optional<Integer> = Optional(Integer {
    name: "since",
    description: "The last event that you have seen: `next` of the answer before. Without it, only \
                  `next` is given, to go on from now.",
    min: 0,
    max: None,
    default: None,
});
const WAIT: Integer = Integer {
    name: "wait_seconds",
    description: "How long to wait for a change where there is none yet.",
    min: 0,
    max: Some(60),
    default: Some(0),
};
const EVENT_ID: Optional<Integer> =
    Optional(Integer::id("event_id", "Take back this change, whatever it was."));
const LAST_OF: Optional<Integer> =
    Optional(Integer::id("feature_id", "Take back the last change of this feature."));
const DRY_RUN: Flag = Flag {
    name: "dry_run",
    description: "Only show what would happen. Call again with false to do it.",
    default: true,
};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_explain",
        title: "Explain why a feature is ready or not",
        description: "Says what is in the way of a feature: dependencies with their own state, \
                      circles, missing features, a wait for a human, a claim with its holder, \
                      attempts that failed too often; and for each what would remove it. Call it \
                      when a feature that you want is not in feature_get_ready.",
        parameters: &[&FEATURE_ID],
        output: Some(|| {
            answer(json!({
                "feature_id": integer(),
                "name": text(),
                "status": text(),
                "ready": boolean(),
                "place": {"type": ["integer", "null"]},
                "total_ready": {"type": ["integer", "null"]},
                "obstacles": objects(),
                "waits_for": integer(),
                "first": super::ids(),
                "missing": super::ids(),
                "cycles": {"type": "array", "items": super::ids()},
                "lapsed": {"type": ["string", "null"]},
                "failures": integer(),
            }))
        }),
        effect: Effect::Read,
        handler: |call| Box::pin(explain(call)),
    },
    Tool {
        name: "feature_get_claims",
        title: "List who works on what",
        description: "All claims that nobody has ended: feature, agent, session, process, since \
                      when, lease. lapsed is null while a claim runs; died or expired means that \
                      anybody may take the feature.",
        parameters: &[],
        output: Some(|| answer(json!({"claims": objects(), "count": integer()}))),
        effect: Effect::Read,
        handler: |call| Box::pin(get_claims(call)),
    },
    Tool {
        name: "feature_get_attempts",
        title: "List past attempts",
        description: "The latest attempts at a feature, or at all, newest first: who, when, and how \
                      each ended (passed, failed, released, expired, died, waiting_for_human) and \
                      why. Call it before you try what others have failed at.",
        parameters: &[&OF_FEATURE, &ATTEMPTS],
        output: Some(|| answer(json!({"attempts": objects(), "count": integer()}))),
        effect: Effect::Read,
        handler: |call| Box::pin(get_attempts(call)),
    },
    Tool {
        name: "feature_get_log",
        title: "Read the history",
        description: "The latest changes, newest first: which feature, what happened, what it was \
                      before and after, who did it, and why. Of one feature or session, or of all.",
        parameters: &[&OF_FEATURE, &OF_SESSION, &BEFORE, &EVENTS],
        output: Some(|| answer(json!({"events": objects(), "count": integer()}))),
        effect: Effect::Read,
        handler: |call| Box::pin(get_log(call)),
    },
    Tool {
        name: "feature_get_changes",
        title: "Follow the changes",
        description: "The changes after one that you know, oldest first, whoever made them; nothing \
                      is missed and nothing comes twice if you go on from next. With wait_seconds \
                      it waits until something changes, which is cheaper than asking again and \
                      again.",
        parameters: &[&SINCE, &WAIT, &EVENTS],
        output: Some(|| {
            answer(json!({"events": objects(), "count": integer(), "next": integer()}))
        }),
        effect: Effect::Read,
        handler: |call| Box::pin(get_changes(call)),
    },
    Tool {
        name: "feature_retry",
        title: "Give a feature another chance",
        description: "Forgets the failed attempts of a feature, so that it is ready again. Call it \
                      when the cause of the failures is gone. Gives the whole feature.",
        parameters: &[&FEATURE_ID, &REASON, &REQUEST_ID],
        output: Some(|| answer(json!({"success": boolean(), "feature": feature()}))),
        effect: Effect::WriteOnce,
        handler: |call| Box::pin(retry(call)),
    },
    Tool {
        name: "feature_undo",
        title: "Take changes back",
        description: "Takes back one change, the last change of a feature, or all changes of a \
                      session, as new changes. Name exactly one of event_id, feature_id and \
                      session. Shows first what would happen; call again with dry_run false to do \
                      it. Refused where later changes stand on what would be taken back.",
        parameters: &[&EVENT_ID, &LAST_OF, &OF_SESSION, &OF_AGENT, &DRY_RUN, &REASON, &REQUEST_ID],
        output: Some(|| {
            answer(json!({"dry_run": boolean(), "steps": objects(), "left": objects()}))
        }),
        effect: Effect::Destroy,
        handler: |call| Box::pin(undo(call)),
    },
];

fn objects() -> Value {
    json!({"type": "array", "items": {"type": "object"}})
}

/// A list under its name, and how long it is.
fn counted(name: &str, items: impl Iterator<Item = Value>) -> Answer {
    let items: Vec<Value> = items.collect();
    let count = items.len();
    Answer::Json(json!({name: items, "count": count}))
}

async fn explain(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    Ok(Answer::Json(call.look(ExplainFeature { id }).await?.to_json()))
}

async fn get_claims(call: Call) -> Outcome {
    let shown = |standing: &StandingClaim| {
        let mut claim = standing.claim.to_json();
        if let Value::Object(claim) = &mut claim {
            // How it ended is nothing that a claim without an end can tell.
            claim.retain(|key, _| !matches!(key.as_str(), "ended_at" | "outcome" | "reason"));
            claim.insert("lapsed".to_owned(), json!(standing.lapse.map(AttemptOutcome::as_str)));
        }
        claim
    };
    Ok(counted("claims", call.look(GetClaims).await?.iter().map(shown)))
}

async fn get_attempts(mut call: Call) -> Outcome {
    let feature = OF_FEATURE.read_id(&mut call.arguments)?;
    let limit = ATTEMPTS.read_count(&mut call.arguments)?;
    let attempts = call.look(GetAttempts { feature, limit }).await?;
    Ok(counted("attempts", attempts.iter().map(ClaimRecord::to_json)))
}

async fn get_log(mut call: Call) -> Outcome {
    let feature = OF_FEATURE.read_id(&mut call.arguments)?;
    let session = OF_SESSION.read(&mut call.arguments)?;
    let before = BEFORE.read(&mut call.arguments)?.map(EventId::from);
    let limit = EVENTS.read_count(&mut call.arguments)?;
    let events = call.look(GetLog { feature, session, before, limit }).await?;
    Ok(counted("events", events.iter().map(Event::to_json)))
}

async fn get_changes(mut call: Call) -> Outcome {
    let since = SINCE.read(&mut call.arguments)?.map(EventId::from);
    let wait = WAIT.read_count(&mut call.arguments)?;
    let limit = EVENTS.read_count(&mut call.arguments)?;
    let deadline = Instant::now() + Duration::from_secs(wait as u64);
    let since = if let Some(since) = since {
        since
    } else {
        let latest = call.look(GetLog { limit: 1, ..GetLog::default() }).await?;
        latest.first().map_or(EventId::START, |event| event.id)
    };
    let events = loop {
        // Watched first, read then: what is committed in between is told later.
        let news = call.project.news().await?;
        let events = call.look(GetChanges { since, limit }).await?;
        if !events.is_empty() || timeout_at(deadline, news.next()).await.is_err() {
            break events;
        }
    };
    let next = events.last().map_or(since, |event| event.id);
    let shown: Vec<Value> = events.iter().map(Event::to_json).collect();
    let count = shown.len();
    Ok(Answer::Json(json!({"events": shown, "count": count, "next": next.get()})))
}

async fn retry(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let feature = call.change(RetryFeature { id }).await?;
    Ok(Answer::Json(json!({"success": true, "feature": feature.to_json()})))
}

async fn undo(mut call: Call) -> Outcome {
    let event = EVENT_ID.read(&mut call.arguments)?.map(EventId::from);
    let feature = LAST_OF.read_id(&mut call.arguments)?;
    let session = OF_SESSION.read(&mut call.arguments)?;
    let agent = OF_AGENT.read(&mut call.arguments)?;
    let dry_run = DRY_RUN.read(&mut call.arguments)?;
    let target = match (event, feature, session) {
        (Some(event), None, None) => UndoTarget::Event(event),
        (None, Some(feature), None) => UndoTarget::Last(feature),
        (None, None, Some(session)) => UndoTarget::Session { session, agent },
        _ => {
            let problem = "name exactly one of event_id, feature_id and session";
            return Err(Trouble::contradictory(problem));
        }
    };
    let undone = if dry_run {
        call.look(PreviewUndo { target }).await?
    } else {
        call.change(Undo { target }).await?
    };
    let mut shown = json!({"dry_run": dry_run});
    if let (Value::Object(shown), Value::Object(undone)) = (&mut shown, undone.to_json()) {
        shown.extend(undone);
    }
    Ok(Answer::Json(shown))
}
