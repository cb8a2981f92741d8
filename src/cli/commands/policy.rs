//! `policy`.

use std::time::Duration;

use clap::{Args, value_parser};
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page};
use crate::cli::session::Session;
use crate::cli::time::{parse_duration, span};
use crate::cli::view::insert;
use crate::{GetPolicy, Policy, SetPolicy};

/// How often a change is made anew on top of somebody else's.
const TRIES: usize = 16;

/// Options of `policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Failed attempts after which a feature is not ready any more; `none` for no limit.
    #[arg(long, value_name = "N|none", value_parser = parse_attempts)]
    attempts: Option<Attempts>,
    /// Events that are kept.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    events: Option<u32>,
    /// Ended claims that are kept.
    #[arg(long, value_name = "N")]
    ended_claims: Option<u32>,
    /// Answers to requests with an id that are kept.
    #[arg(long, value_name = "N")]
    answers: Option<u32>,
    /// How long such answers are kept, such as 90s, 30m, 24h or 7d.
    #[arg(long, value_name = "DURATION", value_parser = parse_whole_seconds)]
    answers_for: Option<Duration>,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy)]
struct Attempts(Option<u32>);

fn parse_attempts(text: &str) -> Result<Attempts, String> {
    match (text, text.parse::<u32>()) {
        ("none", _) => Ok(Attempts(None)),
        (_, Ok(limit)) if limit > 0 => Ok(Attempts(Some(limit))),
        _ => Err("a number from 1, or none".to_owned()),
    }
}

fn parse_whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.subsec_nanos() == 0 { Ok(duration) } else { Err("whole seconds only".to_owned()) }
}

impl Task for PolicyArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = session.open()?;
        let before = store.call(GetPolicy)?;
        let (mut in_file, mut wanted) = (before, self.applied_to(before));
        for _ in 0..TRIES {
            if wanted == in_file {
                return Ok(answer(wanted, before));
            }
            let replaced = store.call(SetPolicy(wanted))?;
            if replaced == in_file {
                return Ok(answer(wanted, before));
            }
            // What somebody else has changed in this moment must not be lost.
            (in_file, wanted) = (wanted, self.applied_to(replaced));
        }
        Err(Failed::new("conflict", "others keep changing the policy").for_now())
    }
}

impl PolicyArgs {
    fn applied_to(&self, policy: Policy) -> Policy {
        Policy {
            attempts: self.attempts.map_or(policy.attempts, |attempts| attempts.0),
            events: self.events.unwrap_or(policy.events),
            ended_claims: self.ended_claims.unwrap_or(policy.ended_claims),
            answers: self.answers.unwrap_or(policy.answers),
            answers_for: self.answers_for.unwrap_or(policy.answers_for),
        }
    }
}

fn json(policy: Policy) -> Value {
    json!({
        "attempts": policy.attempts,
        "events": policy.events,
        "ended_claims": policy.ended_claims,
        "answers": policy.answers,
        "answers_for_seconds": policy.answers_for.as_secs(),
    })
}

fn answer(policy: Policy, before: Policy) -> Answer {
    let mut data = json(policy);
    insert(&mut data, "before", json(before));
    let usual = Policy::default();
    // Each rule, and what it was or would be if nobody had set it.
    let rule = |now: String, before: String, usual: String| {
        let aside = match (now == before, now == usual) {
            (false, _) => format!(" (was {before})"),
            (true, false) => format!(" (usually {usual})"),
            (true, true) => String::new(),
        };
        Cell::plain(&now).for_people(format_args!("{now}{aside}"))
    };
    let all = |text: &dyn Fn(&Policy) -> String| rule(text(&policy), text(&before), text(&usual));
    let attempts = |policy: &Policy| {
        policy.attempts.map_or_else(|| "none".to_owned(), |attempts| attempts.to_string())
    };
    let page = Page::default()
        .field("attempts", all(&attempts))
        .field("events", all(&|policy| policy.events.to_string()))
        .field("ended claims", all(&|policy| policy.ended_claims.to_string()))
        .field("answers", all(&|policy| policy.answers.to_string()))
        .field("answers for", all(&|policy| span(policy.answers_for)));
    Answer::new(data, page)
}
