//! Claims: who may act on a feature, how claims begin and end, and how often attempts failed.

use std::collections::BTreeSet;

use crate::{
    AttemptEnd, AttemptOutcome, Budget, Caller, Claim, ClaimRecord, ClaimedFeature, ClaimedNext,
    EventKind, Feature, FeatureId, FenceToken, Field, Holder, Lease, PassedFeature, Policy, Ready,
    RecordFindings, RecoveredClaim, RenewedClaims, SkippedFeature, StandingClaim, Tenure,
    Timestamp,
};

use super::super::call::World;
use super::super::op::Answer;
use super::super::schedule;
use super::{Model, Occasion, Verdict, one};

/// What stands on a feature.
enum Standing {
    Nothing,
    /// A claim in nobody's name; without a record where it is older than the records.
    Unowned(Option<ClaimRecord>),
    Owned(ClaimRecord),
    /// The claim of an owner which is over.
    Over(ClaimRecord, AttemptOutcome),
}

/// That a call may act on a feature, and under which claim.
pub(super) struct Permission {
    claim: Option<FenceToken>,
    overrode: bool,
}

impl Permission {
    fn on(&self, kind: EventKind) -> Occasion {
        Occasion { kind, claim: self.claim, overrode: self.overrode }
    }
}

/// How a claim is over though nobody has written it down.
fn lapse(claim: &ClaimRecord, world: &World) -> Option<AttemptOutcome> {
    let owner = claim.owner.as_ref()?;
    if owner.process.as_ref().is_some_and(|process| world.is_dead(process)) {
        return Some(AttemptOutcome::Died);
    }
    let Lease { length, renewed } = claim.lease.as_ref()?;
    let now = world.moment();
    let [now_up, then_up] = [now.uptime?, renewed.uptime.clone()?];
    let passed = if now_up.boot == then_up.boot {
        i128::from(now_up.microseconds) - i128::from(then_up.microseconds)
    } else {
        i128::from(now.wall.to_microseconds()) - i128::from(renewed.wall.to_microseconds())
    };
    (u128::try_from(passed).unwrap_or(0) >= length.as_micros()).then_some(AttemptOutcome::Expired)
}

impl Model {
    fn standing_row(&self, id: FeatureId) -> Option<&ClaimRecord> {
        self.claims.iter().find(|claim| claim.feature == id && claim.end.is_none())
    }

    fn standing(&self, feature: &Feature) -> Standing {
        let row = self.standing_row(feature.id).cloned();
        match row.map(|claim| (lapse(&claim, &self.now.world), claim)) {
            _ if !feature.in_progress => Standing::Nothing,
            None => Standing::Unowned(None),
            Some((Some(outcome), claim)) => Standing::Over(claim, outcome),
            Some((None, claim)) if claim.owner.is_none() => Standing::Unowned(Some(claim)),
            Some((None, claim)) => Standing::Owned(claim),
        }
    }

    fn caller(&self) -> Option<Caller> {
        self.now.call.caller()
    }

    /// Whether the call may act on the feature. A claim that is over is ended on the way.
    fn may_act_on(&mut self, feature: &mut Feature) -> Result<Permission, &'static str> {
        let permission =
            |claim: &ClaimRecord, overrode| Permission { claim: Some(claim.token), overrode };
        let standing = self.standing(feature);
        if let Some(token) = self.now.call.number() {
            return match standing {
                Standing::Owned(claim) | Standing::Unowned(Some(claim)) if claim.token == token => {
                    Ok(permission(&claim, false))
                }
                _ => Err("stale_token"),
            };
        }
        match standing {
            Standing::Nothing | Standing::Unowned(None) => {
                Ok(Permission { claim: None, overrode: false })
            }
            Standing::Unowned(Some(claim)) => Ok(permission(&claim, false)),
            Standing::Owned(claim) if claim.owner == self.caller() => Ok(permission(&claim, false)),
            Standing::Owned(claim) if self.now.call.overriding => Ok(permission(&claim, true)),
            Standing::Owned(_) => Err("held_by_other"),
            Standing::Over(claim, outcome) => {
                self.end_over(&claim, outcome);
                feature.in_progress = false;
                Ok(Permission { claim: None, overrode: false })
            }
        }
    }

    /// Begins a claim, whatever stands there.
    pub(super) fn new_claim(
        &mut self,
        feature: FeatureId,
        owner: Option<Caller>,
        lease: Option<Lease>,
        taken_at: Timestamp,
    ) -> FenceToken {
        let highest = self.claims.last().map_or(0, |claim| claim.token.get());
        let token = FenceToken::from(highest + 1);
        self.claims.push(ClaimRecord { token, feature, owner, taken_at, lease, end: None });
        token
    }

    /// Claims a feature on which nothing stands, for the caller.
    fn take(&mut self, feature: &mut Feature) -> FenceToken {
        let (owner, length) = match (self.now.call.tenure, self.caller()) {
            (Tenure::Owned { lease }, Some(caller)) => (Some(caller), lease),
            _ => (None, None),
        };
        let now = self.now.world.moment();
        let lease = length.map(|length| Lease { length, renewed: now.clone() });
        let token = self.new_claim(feature.id, owner, lease, now.wall);
        feature.in_progress = true;
        let occasion = Occasion { claim: Some(token), ..EventKind::Claimed.into() };
        self.change(feature, &[Field::InProgress], occasion);
        token
    }

    /// Writes down how a claim ended.
    pub(super) fn close(
        &mut self,
        token: FenceToken,
        outcome: AttemptOutcome,
        at: Timestamp,
        reason: Option<&str>,
    ) {
        let reason = reason.map(str::to_owned);
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.token == token) else { return };
        claim.end = Some(AttemptEnd { at, outcome, reason });
    }

    /// Ends a claim, and counts the attempt if it was an owner's that failed.
    fn end(&mut self, token: Option<FenceToken>, outcome: AttemptOutcome) {
        let claim = self.claims.iter().find(|claim| Some(claim.token) == token).cloned();
        let Some(claim) = claim else { return };
        let at = self.now.world.moment().wall;
        self.close(claim.token, outcome, at, self.now.call.reason);
        let failed = [AttemptOutcome::Failed, AttemptOutcome::Died, AttemptOutcome::Expired];
        if claim.owner.is_some() && failed.contains(&outcome) {
            *self.failures.entry(claim.feature).or_default() += 1;
        }
    }

    /// Ends a claim that is over, and frees its feature.
    fn end_over(&mut self, claim: &ClaimRecord, outcome: AttemptOutcome) {
        let kind =
            if outcome == AttemptOutcome::Died { EventKind::Died } else { EventKind::Expired };
        if let Ok(feature) = self.existing(claim.feature.get()) {
            let occasion = Occasion { claim: Some(claim.token), ..kind.into() };
            let freed = Feature { in_progress: false, ..feature };
            self.change(&freed, &[Field::InProgress], occasion);
        }
        self.end(Some(claim.token), outcome);
    }

    /// The claims that are over though nobody has written it down.
    pub(super) fn lapsed(&self, world: &World) -> Vec<(ClaimRecord, AttemptOutcome)> {
        let claims = self.claims.iter().filter(|claim| claim.end.is_none());
        claims.filter_map(|claim| Some((claim.clone(), lapse(claim, world)?))).collect()
    }

    /// How often features have failed, counting the claims that are over.
    pub(super) fn budgets(&self, world: &World) -> Vec<Budget> {
        let over: Vec<_> = self.lapsed(world).into_iter().map(|(claim, _)| claim.feature).collect();
        let failed: BTreeSet<_> = self.failures.keys().chain(&over).copied().collect();
        let budget = |feature| {
            let recorded = self.failures.get(&feature).copied().unwrap_or(0);
            let failures = recorded + u32::from(over.contains(&feature));
            let exhausted = self.policy.attempts.is_some_and(|limit| failures >= limit);
            Budget { feature, failures, exhausted }
        };
        failed.into_iter().map(budget).collect()
    }

    /// The features that have failed too often.
    pub(super) fn exhausted(&self, world: &World) -> BTreeSet<FeatureId> {
        let budgets = self.budgets(world).into_iter();
        budgets.filter(|budget| budget.exhausted).map(|budget| budget.feature).collect()
    }

    /// What is unusual about claims and history. No program here runs with triggers off.
    pub(super) fn record_findings(&self, world: &World) -> RecordFindings {
        let exhausted = self.exhausted(world);
        let has_owner = |id| self.standing_row(id).is_some_and(|claim| claim.owner.is_some());
        let ids = |wanted: &dyn Fn(&Feature) -> bool| {
            let features = self.features.values().filter(|feature| wanted(feature));
            features.map(|feature| feature.id).collect()
        };
        RecordFindings {
            lapsed: self.lapsed(world),
            unowned: ids(&|feature| feature.in_progress && !has_owner(feature.id)),
            exhausted: ids(&|feature| !feature.passes && exhausted.contains(&feature.id)),
            ..RecordFindings::default()
        }
    }

    pub(super) fn ready(&self, world: &World, limit: usize) -> Ready {
        schedule::ready(&self.worked_on(world), &self.exhausted(world), limit)
    }

    pub(super) fn standing_claims(&self, world: &World) -> Vec<StandingClaim> {
        let claims = self.claims.iter().filter(|claim| claim.end.is_none()).cloned();
        claims.map(|claim| StandingClaim { lapse: lapse(&claim, world), claim }).collect()
    }

    pub(super) fn attempts(&self, feature: Option<i64>, limit: usize) -> Vec<ClaimRecord> {
        let of = |claim: &&ClaimRecord| feature.is_none_or(|id| claim.feature.get() == id);
        self.claims.iter().rev().filter(of).take(limit).cloned().collect()
    }

    /// What stands on a feature that can be claimed; a claim that is over is ended.
    fn claimable(&mut self, id: i64) -> Result<(Feature, Standing), &'static str> {
        let mut feature = self.unfinished(id)?;
        if feature.needs_human_input {
            return Err("waiting_for_human");
        }
        match self.standing(&feature) {
            Standing::Nothing => {}
            Standing::Over(claim, outcome) => {
                self.end_over(&claim, outcome);
                feature.in_progress = false;
            }
            taken => return Ok((feature, taken)),
        }
        let failures = self.failures.get(&feature.id).copied().unwrap_or(0);
        match self.policy.attempts {
            Some(limit) if failures >= limit => Err("out_of_attempts"),
            _ => Ok((feature, Standing::Nothing)),
        }
    }

    pub(super) fn claim_feature(&mut self, id: i64) -> Verdict {
        let (mut feature, standing) = self.claimable(id)?;
        let (already_claimed, token, holder) = match standing {
            Standing::Nothing => (false, Some(self.take(&mut feature)), None),
            Standing::Owned(claim) | Standing::Unowned(Some(claim))
                if claim.owner.is_some() && claim.owner == self.caller()
                    || self.now.call.number() == Some(claim.token) =>
            {
                self.renew(&[claim.token.get()]);
                (true, Some(claim.token), None)
            }
            Standing::Owned(claim) | Standing::Unowned(Some(claim)) => {
                (true, None, Some(Holder { owner: claim.owner, since: claim.taken_at }))
            }
            _ => (true, None, None),
        };
        Ok(Answer::Claim(Box::new(Claim { feature, already_claimed, token, holder })))
    }

    pub(super) fn mark_in_progress(&mut self, id: i64) -> Verdict {
        match self.claimable(id)? {
            (mut feature, Standing::Nothing) => {
                let token = self.take(&mut feature);
                Ok(Answer::Claimed(Box::new(ClaimedFeature { feature, token })))
            }
            (_, Standing::Owned(_)) => Err("held_by_other"),
            _ => Err("already_in_progress"),
        }
    }

    pub(super) fn claim_next(&mut self) -> ClaimedNext {
        self.recover();
        let world = self.now.world.clone();
        if let Some(feature) = self.ready(&world, 1).features.first() {
            let mut feature = feature.clone();
            let token = self.take(&mut feature);
            return ClaimedNext::Feature(Box::new(ClaimedFeature { feature, token }));
        }
        let open: Vec<_> = self.features.values().filter(|feature| !feature.passes).collect();
        if open.is_empty() {
            return ClaimedNext::AllPassing;
        }
        let exhausted = self.exhausted(&world);
        ClaimedNext::NothingReady {
            in_progress: open.iter().filter(|feature| feature.in_progress).count(),
            waiting_for_human: open.iter().filter(|feature| feature.needs_human_input).count(),
            blocked: schedule::blocked(&self.features, 0).total,
            exhausted: open.iter().filter(|feature| exhausted.contains(&feature.id)).count(),
        }
    }

    pub(super) fn claim_batch(&mut self, max: usize, others: usize) -> Vec<ClaimedFeature> {
        self.recover();
        let world = self.now.world.clone();
        let ready = self.ready(&world, usize::MAX).features;
        let exhausted = self.exhausted(&world);
        let batch = schedule::batch(&self.features, &ready, &exhausted, max, others);
        let claim = |mut feature: Feature| {
            let token = self.take(&mut feature);
            ClaimedFeature { feature, token }
        };
        batch.into_iter().map(claim).collect()
    }

    pub(super) fn clear_in_progress(&mut self, id: i64) -> Verdict {
        let mut feature = self.existing(id)?;
        let permission = self.may_act_on(&mut feature)?;
        if feature.in_progress {
            feature.in_progress = false;
            self.change(&feature, &[Field::InProgress], permission.on(EventKind::Released));
            self.end(permission.claim, AttemptOutcome::Released);
        }
        Ok(one(&feature))
    }

    pub(super) fn mark_passing(&mut self, id: i64) -> Verdict {
        let mut feature = self.unfinished(id)?;
        let permission = self.may_act_on(&mut feature)?;
        (feature.passes, feature.in_progress) = (true, false);
        let fields = [Field::Passes, Field::InProgress];
        self.change(&feature, &fields, permission.on(EventKind::Passed));
        self.end(permission.claim, AttemptOutcome::Passed);
        self.failures.remove(&feature.id);
        Ok(Answer::Passed(PassedFeature { id: feature.id, name: feature.name }))
    }

    pub(super) fn mark_failing(&mut self, id: i64) -> Verdict {
        let mut feature = self.existing(id)?;
        let permission = self.may_act_on(&mut feature)?;
        (feature.passes, feature.in_progress) = (false, false);
        let fields = [Field::Passes, Field::InProgress];
        self.change(&feature, &fields, permission.on(EventKind::Failed));
        self.end(permission.claim, AttemptOutcome::Failed);
        Ok(one(&feature))
    }

    pub(super) fn skip(&mut self, id: i64) -> Verdict {
        let mut feature = self.unfinished(id)?;
        let permission = self.may_act_on(&mut feature)?;
        let new_priority = self.highest_priority().saturating_add(1);
        let old_priority = std::mem::replace(&mut feature.priority, new_priority);
        feature.in_progress = false;
        let fields = [Field::Priority, Field::InProgress];
        self.change(&feature, &fields, permission.on(EventKind::Skipped));
        self.end(permission.claim, AttemptOutcome::Released);
        let Feature { id, name, .. } = feature;
        Ok(Answer::Skipped(SkippedFeature { id, name, old_priority, new_priority }))
    }

    /// A feature that is put off until a human has answered.
    pub(super) fn ask(
        &mut self,
        mut feature: Feature,
        fields: &[Field],
    ) -> Result<(), &'static str> {
        let permission = self.may_act_on(&mut feature)?;
        if !feature.in_progress {
            return Err("not_in_progress");
        }
        feature.in_progress = false;
        self.change(&feature, fields, permission.on(EventKind::Asked));
        self.end(permission.claim, AttemptOutcome::WaitingForHuman);
        Ok(())
    }

    /// On what occasion, and with the end of which claim, the feature is deleted.
    pub(super) fn claim_to_delete(
        &mut self,
        feature: &mut Feature,
        force: bool,
    ) -> Result<Occasion, &'static str> {
        let standing = self.standing(feature);
        if let Standing::Over(claim, outcome) = &standing {
            self.end_over(claim, *outcome);
            feature.in_progress = false;
        }
        if feature.in_progress && !force {
            return Err("already_in_progress");
        }
        let (claim, overrode) = match standing {
            Standing::Owned(claim) => (Some(claim.token), claim.owner != self.caller()),
            Standing::Unowned(claim) => (claim.map(|claim| claim.token), false),
            Standing::Nothing | Standing::Over(..) => (None, false),
        };
        self.end(claim, AttemptOutcome::Released);
        Ok(Occasion { kind: EventKind::Deleted, claim, overrode })
    }

    pub(super) fn renew(&mut self, tokens: &[i64]) -> RenewedClaims {
        let mut renewed = RenewedClaims { held: Vec::new(), lost: Vec::new() };
        for token in tokens.iter().copied().map(FenceToken::from) {
            let now = self.now.world.moment();
            let world = &self.now.world;
            let stands = |claim: &&mut ClaimRecord| {
                claim.token == token && claim.end.is_none() && lapse(claim, world).is_none()
            };
            if let Some(claim) = self.claims.iter_mut().find(stands) {
                claim.lease = claim.lease.take().map(|lease| Lease { renewed: now, ..lease });
                renewed.held.push(token);
            } else {
                renewed.lost.push(token);
            }
        }
        renewed
    }

    pub(super) fn recover(&mut self) -> Vec<RecoveredClaim> {
        let over = self.lapsed(&self.now.world.clone());
        for (claim, outcome) in &over {
            self.end_over(claim, *outcome);
        }
        over.into_iter().map(|(claim, outcome)| RecoveredClaim { claim, outcome }).collect()
    }

    pub(super) fn retry(&mut self, id: i64) -> Verdict {
        let mut feature = self.existing(id)?;
        if let Standing::Over(claim, outcome) = self.standing(&feature) {
            self.end_over(&claim, outcome);
            feature.in_progress = false;
        }
        if self.failures.remove(&feature.id).is_some() {
            self.note(feature.id, Vec::new(), EventKind::Retried.into());
        }
        Ok(one(&feature))
    }

    pub(super) fn set_policy(&mut self, policy: Policy) -> Policy {
        let attempts = policy.attempts.filter(|limit| *limit > 0);
        let events = policy.events.max(1);
        let answers_for = std::time::Duration::from_secs(policy.answers_for.as_secs());
        let policy = Policy { attempts, events, answers_for, ..policy };
        std::mem::replace(&mut self.policy, policy)
    }

    /// Forgets the failures of a feature that another program has let pass.
    pub(super) fn forget_failures(&mut self, id: FeatureId) {
        self.failures.remove(&id);
    }

    /// The number of the claim that stands on a feature, and whether it has an owner.
    pub(super) fn standing_number(&self, id: FeatureId) -> Option<(FenceToken, bool)> {
        self.standing_row(id).map(|claim| (claim.token, claim.owner.is_some()))
    }
}
