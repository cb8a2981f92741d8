//! Who holds what, and which features have used up their attempts, as commands show it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::exit::Failed;
use super::page::{Cell, Tone};
use super::time;
use super::view::insert;
use crate::{
    AttemptOutcome, Budget, Caller, ClaimRecord, Feature, FeatureId, GetBudgets, GetClaims,
    GetPolicy, Moment, ProcessIdentity, StandingClaim, StorageError, Store, Timestamp,
};

/// The claims that nobody has ended, and the budgets of the features that have failed.
#[derive(Debug)]
pub(crate) struct Holders {
    claims: BTreeMap<FeatureId, StandingClaim>,
    budgets: BTreeMap<FeatureId, Budget>,
    /// How often a feature may fail.
    attempts: Option<u32>,
    now: Moment,
}

impl Holders {
    pub(crate) fn read(store: &Store) -> Result<Self, Failed> {
        // Handed in together, they are mostly answered from one snapshot.
        let asked = store.submit(GetClaims).and_then(|claims| {
            Ok::<_, StorageError>((claims, store.submit(GetBudgets)?, store.submit(GetPolicy)?))
        });
        let (claims, budgets, policy) = asked?;
        let (claims, budgets) = (claims.wait()?, budgets.wait()?);
        Ok(Self {
            claims: claims.into_iter().map(|claim| (claim.claim.feature, claim)).collect(),
            budgets: budgets.into_iter().map(|budget| (budget.feature, budget)).collect(),
            attempts: policy.wait()?.attempts,
            now: Moment::now(),
        })
    }

    pub(crate) fn now(&self) -> &Moment {
        &self.now
    }

    /// All claims that nobody has ended, by feature.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &StandingClaim> {
        self.claims.values()
    }

    /// The claim on a feature, also one that is over. A row whose flag another program has cleared
    /// is none any more.
    pub(crate) fn claim_on(&self, feature: &Feature) -> Option<&StandingClaim> {
        self.claims.get(&feature.id).filter(|_| feature.in_progress)
    }

    /// Whether somebody works on the feature: its flag says so, and its claim is not over.
    pub(crate) fn is_worked_on(&self, feature: &Feature) -> bool {
        feature.in_progress && self.claim_on(feature).is_none_or(|claim| claim.lapse.is_none())
    }

    /// How often a feature has failed.
    pub(crate) fn failures(&self, id: FeatureId) -> u32 {
        self.budgets.get(&id).map_or(0, |budget| budget.failures)
    }

    /// Whether it has failed too often.
    pub(crate) fn is_exhausted(&self, feature: &Feature) -> bool {
        !feature.passes && self.budgets.get(&feature.id).is_some_and(|budget| budget.exhausted)
    }

    /// `1 of 3`.
    pub(crate) fn failures_text(&self, id: FeatureId) -> String {
        match self.attempts {
            Some(limit) => format!("{} of {limit}", self.failures(id)),
            None => self.failures(id).to_string(),
        }
    }

    /// The same; out of attempts, it stands out.
    pub(crate) fn failures_cell(&self, feature: &Feature) -> Cell {
        let text = self.failures_text(feature.id);
        if self.is_exhausted(feature) {
            let for_people = format!("{text}, out of attempts");
            return Cell::new(Tone::Bad, text).for_people(for_people);
        }
        Cell::plain(text)
    }

    /// Whether it has failed at all.
    pub(crate) fn has_failed(&self, feature: &Feature) -> bool {
        self.failures(feature.id) > 0
    }

    /// Who holds the feature, in few words.
    pub(crate) fn holder_cell(&self, feature: &Feature) -> Cell {
        match self.claim_on(feature) {
            _ if !feature.in_progress => Cell::default(),
            Some(StandingClaim { claim, lapse: Some(outcome) }) => {
                let name = owner_name(claim.owner.as_ref());
                Cell::new(Tone::Attention, format_args!("{name}, {}", over_text(*outcome)))
            }
            Some(claim) => Cell::new(Tone::Active, owner_name(claim.claim.owner.as_ref())),
            None => Cell::new(Tone::Active, owner_name(None)),
        }
    }

    /// Adds to a feature who holds it and how often it has failed.
    pub(crate) fn add_to(&self, data: &mut Value, feature: &Feature) {
        let claim = self.claim_on(feature).map(|claim| claim_json(claim, &self.now));
        insert(data, "claim", claim.into());
        insert(data, "failures", self.failures(feature.id).into());
        insert(data, "attempts_allowed", self.attempts.into());
        insert(data, "exhausted", self.is_exhausted(feature).into());
    }
}

/// A claim that nobody has ended, with what is left of its lease.
pub(crate) fn claim_json(standing: &StandingClaim, now: &Moment) -> Value {
    let mut data = standing.claim.to_json();
    if let Value::Object(keys) = &mut data {
        keys.retain(|key, _| !["ended_at", "outcome", "reason"].contains(&key.as_str()));
    }
    let left = standing.claim.lease.as_ref().map(|lease| lease.left(now));
    insert(&mut data, "lease_left_seconds", json!(left.map(|left| left.as_secs_f64())));
    let expires_at = end_of_lease(&standing.claim, now).map(Timestamp::to_iso8601);
    insert(&mut data, "expires_at", expires_at.into());
    insert(&mut data, "over", standing.lapse.map(AttemptOutcome::as_str).into());
    data
}

/// When the lease runs out if nobody renews it, on the clock on the wall as it goes now.
fn end_of_lease(claim: &ClaimRecord, now: &Moment) -> Option<Timestamp> {
    let left = claim.lease.as_ref()?.left(now);
    let left = i64::try_from(left.as_micros()).ok()?;
    Timestamp::from_microseconds(now.wall.to_microseconds().checked_add(left)?)
}

/// The state of a claim that nobody has ended: how long it lasts, or how it is over.
pub(crate) fn lease_cell(standing: &StandingClaim, now: &Moment) -> Cell {
    let claim = &standing.claim;
    match (standing.lapse, &claim.lease) {
        (Some(outcome), _) => Cell::new(Tone::Attention, over_text(outcome)),
        (None, None) => Cell::faint("no lease"),
        (None, Some(lease)) => {
            let left = format!("{} left", time::span(lease.left(now)));
            match end_of_lease(claim, now) {
                Some(end) => Cell::plain(time::absolute(end))
                    .for_people(format_args!("{left} (until {})", time::absolute(end))),
                None => Cell::plain(left),
            }
        }
    }
}

/// Who has a claim, in one word.
pub(crate) fn owner_name(owner: Option<&Caller>) -> &str {
    owner.map_or("nobody by name", |owner| &owner.agent)
}

/// How a claim is over that nobody has ended.
pub(crate) fn over_text(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Died => "over: its process died",
        AttemptOutcome::Expired => "over: its lease ran out",
        _ => "over",
    }
}

/// A process by its number, and its machine where that is another one.
pub(crate) fn process_text(process: Option<&ProcessIdentity>) -> String {
    process.map_or_else(String::new, |process| {
        let text = process.to_string();
        text.strip_prefix("process ").unwrap_or(&text).to_owned()
    })
}
