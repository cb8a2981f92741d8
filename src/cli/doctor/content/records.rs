//! What the database says of claims and of what happened.

use super::{Check, Users, ids, some};
use crate::cli::holders::{over_text, owner_name};
use crate::{AttemptOutcome, ClaimRecord, FeatureFindings, RecordFindings};

pub(super) fn checks(findings: &FeatureFindings, users: &Users) -> Vec<Check> {
    let Some(records) = &findings.records else {
        // Before there were records, every claim was in nobody's name.
        let flags = RecordFindings { unowned: findings.in_progress.clone(), ..Default::default() };
        return vec![claims(findings, &flags, users)];
    };
    vec![
        claims(findings, records, users),
        over(records),
        unseen_ends(records),
        attempts(records),
        history(records),
    ]
}

/// Claims that nothing but a release will ever end.
fn claims(findings: &FeatureFindings, records: &RecordFindings, users: &Users) -> Check {
    let name = "claims";
    if findings.in_progress.is_empty() {
        return Check::ok(name, "no feature is claimed");
    }
    if users.is_empty() && !records.unowned.is_empty() {
        return Check::warning(
            name,
            format!(
                "claimed in nobody's name, but nobody has the database open: {}",
                ids(&records.unowned)
            ),
            "release them (autoforge-store release ID) if their agents are gone",
        );
    }
    Check::ok(name, format!("features that are worked on: {}", ids(&findings.in_progress)))
}

/// Claims that are over, though programs which only know the flags do not see it.
fn over(records: &RecordFindings) -> Check {
    let name = "leases and owners";
    let told = |(claim, outcome): &(ClaimRecord, AttemptOutcome)| {
        let (feature, owner) = (claim.feature, owner_name(claim.owner.as_ref()));
        format!("feature {feature} of {owner}, {}", over_text(*outcome))
    };
    let lapsed: Vec<String> = records.lapsed.iter().map(told).collect();
    match some(&lapsed) {
        None => Check::ok(name, "no claim is over that nobody has ended"),
        Some(found) => Check::warning(
            name,
            found,
            "autoforge-store recover ends them; whoever claims the features does so too",
        ),
    }
}

/// Claims that a program has ended without their records.
fn unseen_ends(records: &RecordFindings) -> Check {
    let name = "claim records";
    let told = |claim: &ClaimRecord| format!("claim {} on feature {}", claim.token, claim.feature);
    let left: Vec<String> = records.without_flag.iter().map(told).collect();
    match some(&left) {
        None => Check::ok(name, "as the features' flags say"),
        Some(found) => Check::warning(
            name,
            format!("left behind, though the features are not in progress: {found}"),
            "harmless: nothing can be done under them, and the next claim of the feature ends \
             them. A program writes with triggers off; find it",
        ),
    }
}

fn attempts(records: &RecordFindings) -> Check {
    let name = "attempts";
    if records.exhausted.is_empty() {
        return Check::ok(name, "no feature has failed too often");
    }
    Check::warning(
        name,
        format!("features that have failed too often: {}", ids(&records.exhausted)),
        "look at why (autoforge-store explain ID), then give them another chance \
         (autoforge-store retry ID)",
    )
}

/// Whether the history tells all that happened since it began.
fn history(records: &RecordFindings) -> Check {
    let name = "history";
    let missing = (records.missing_events > 0)
        .then(|| format!("{} events were deleted from its midst", records.missing_events));
    let unseen = (!records.unseen_changes.is_empty()).then(|| {
        let features = ids(&records.unseen_changes);
        format!("features that were changed without a word in it: {features}")
    });
    let found: Vec<String> = missing.into_iter().chain(unseen).collect();
    if found.is_empty() {
        return Check::ok(name, "it leads to what the features are");
    }
    Check::warning(
        name,
        found.join("; "),
        "a program writes with triggers off, or to our tables; find it. What it did cannot be \
         undone",
    )
}
