//! `claims`: who holds what, and how attempts ended.

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::holders::{Holders, claim_json, lease_cell, over_text, owner_name, process_text};
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::time;
use crate::cli::view::{Neighbours, insert};
use crate::{
    AttemptOutcome, ClaimRecord, FeatureId, GetAttempts, GetFeature, GetGraph, StandingClaim,
    Store, Timestamp,
};

/// So many attempts are shown where nobody says how many.
const ATTEMPTS: usize = 20;

const HEAD: &[&str] = &["Token", "ID", "Name", "Owner", "Session", "Process", "Since", "Lease"];
const ATTEMPTS_HEAD: &[&str] =
    &["Token", "ID", "Name", "Owner", "Session", "Since", "Ended", "Outcome", "Reason"];

/// Options of `claims`.
#[derive(Debug, Args)]
pub(crate) struct ClaimsArgs {
    /// Show the attempts at this feature: its claims, ended ones too.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: Option<FeatureId>,
    /// Show the attempts at all features.
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Show so many attempts at most, the latest first. Default: 20.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Task for ClaimsArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        if self.id.is_none() && !self.all {
            if self.limit.is_some() {
                let message = "--limit counts attempts: it needs an ID, or --all";
                return Err(Failed::new("usage", message));
            }
            return standing(&session.open()?);
        }
        let limit = self.limit.unwrap_or(ATTEMPTS);
        attempts(&session.open()?, self.id, limit)
    }
}

/// The claims that nobody has ended.
fn standing(store: &Store) -> Result<Answer, Failed> {
    let holders = Holders::read(store)?;
    let graph = store.call(GetGraph)?;
    let near = Neighbours::of(&graph);
    let mut claims: Vec<&StandingClaim> = holders.claims().collect();
    claims.sort_by_key(|standing| standing.claim.token);
    let json = |standing: &&StandingClaim| {
        let mut data = claim_json(standing, holders.now());
        insert(&mut data, "name", near.name(standing.claim.feature).into());
        data
    };
    let data = json!({
        "claims": claims.iter().map(json).collect::<Value>(),
        "over": claims.iter().filter(|standing| standing.lapse.is_some()).count(),
    });
    let rows: Vec<Vec<Cell>> = claims.iter().map(|s| row(s, &near, &holders)).collect();
    let summary = match rows.len() {
        0 => "nothing is claimed".to_owned(),
        1 => "1 claim".to_owned(),
        count => format!("{count} claims"),
    };
    let page = Page::default();
    let page = if rows.is_empty() { page } else { page.table(HEAD, rows) };
    Ok(Answer::new(data, page.ornament([Cell::faint(summary)])))
}

fn row(standing: &StandingClaim, near: &Neighbours<'_>, holders: &Holders) -> Vec<Cell> {
    let claim = &standing.claim;
    let owner = claim.owner.as_ref();
    vec![
        Cell::strong(claim.token),
        Cell::plain(claim.feature),
        Cell::plain(near.name(claim.feature).unwrap_or_default()),
        Cell::plain(owner_name(owner)),
        Cell::plain(owner.map_or("", |owner| &owner.session)),
        Cell::faint(process_text(owner.and_then(|owner| owner.process.as_ref()))),
        time::cell(claim.taken_at, holders.now().wall),
        lease_cell(standing, holders.now()),
    ]
}

/// The latest attempts, at one feature or at all.
fn attempts(store: &Store, feature: Option<FeatureId>, limit: usize) -> Result<Answer, Failed> {
    let attempts = store.call(GetAttempts { feature, limit })?;
    let holders = Holders::read(store)?;
    let graph = store.call(GetGraph)?;
    let near = Neighbours::of(&graph);
    let over = |claim: &ClaimRecord| {
        let mut standing = holders.claims();
        standing.find(|standing| standing.claim.token == claim.token)?.lapse
    };
    let json = |claim: &ClaimRecord| {
        let mut data = claim.to_json();
        insert(&mut data, "name", near.name(claim.feature).into());
        insert(&mut data, "over", over(claim).map(AttemptOutcome::as_str).into());
        data
    };
    let mut data = json!({"attempts": attempts.iter().map(json).collect::<Value>()});
    let mut page = Page::default();
    if let Some(id) = feature {
        // A feature that is gone may have left its attempts.
        match store.call(GetFeature { id }) {
            Ok(feature) => {
                insert(&mut data, "id", id.get().into());
                holders.add_to(&mut data, &feature);
                page = page.field("failures", holders.failures_cell(&feature));
            }
            Err(missing) if attempts.is_empty() => return Err(missing.into()),
            Err(_) => page = page.ornament([Cell::faint(format!("feature {id} is gone"))]),
        }
    }
    let now = holders.now().wall;
    let rows: Vec<_> = attempts.iter().map(|c| attempt(c, &near, over(c), now)).collect();
    if rows.is_empty() {
        page = page.ornament([Cell::faint("never claimed, as far as is remembered")]);
    } else {
        page = page.section("attempts", ATTEMPTS_HEAD, rows);
    }
    Ok(Answer::new(data, page))
}

fn attempt(
    claim: &ClaimRecord,
    near: &Neighbours<'_>,
    over: Option<AttemptOutcome>,
    now: Timestamp,
) -> Vec<Cell> {
    let owner = claim.owner.as_ref();
    let (ended, outcome) = match (&claim.end, over) {
        (Some(end), _) => (time::cell(end.at, now), outcome_cell(end.outcome)),
        (None, Some(over)) => (Cell::default(), Cell::new(Tone::Attention, over_text(over))),
        (None, None) => (Cell::default(), Cell::new(Tone::Active, "running")),
    };
    let reason = claim.end.as_ref().and_then(|end| end.reason.as_deref());
    vec![
        Cell::strong(claim.token),
        Cell::plain(claim.feature),
        Cell::plain(near.name(claim.feature).unwrap_or_default()),
        Cell::plain(owner_name(owner)),
        Cell::plain(owner.map_or("", |owner| &owner.session)),
        time::cell(claim.taken_at, now),
        ended,
        outcome,
        Cell::plain(reason.unwrap_or("")),
    ]
}

fn outcome_cell(outcome: AttemptOutcome) -> Cell {
    let tone = match outcome {
        AttemptOutcome::Passed => Tone::Good,
        AttemptOutcome::WaitingForHuman => Tone::Attention,
        outcome if outcome.is_failure() => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::new(tone, outcome)
}
