//! One file, its model, and the world around them, step by step: what must hold after each step, and at
//! the end. Property tests and fuzz targets make steps and take them here.

use std::collections::{BTreeMap, BTreeSet};

use autoforge_store::testing::{Answer, Call, Model, Op, Outcome, Step, Token, World, compare_in};
use autoforge_store::{ClaimRecord, FeatureId};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::file::File;
use crate::raw::{self, StoredClaim, Table};
use crate::replay;

pub(crate) type Checked = Result<(), TestCaseError>;

/// What must hold after everything that happens, and what it needs to remember for that.
pub(crate) struct Watch {
    start: Table,
    claims: BTreeMap<i64, StoredClaim>,
    last_token: i64,
    /// Features that were in progress before the file knew claims.
    unrecorded: BTreeSet<i64>,
}

impl Watch {
    pub(crate) fn new(start: Table) -> Self {
        let in_progress = start.iter().filter(|(_, row)| row[&IN_PROGRESS].is_true());
        let unrecorded = in_progress.map(|(id, _)| *id).collect();
        Self { start, claims: BTreeMap::new(), last_token: 0, unrecorded }
    }

    /// Claims: none twice, none given back to life, and all of them where the flags are.
    pub(crate) fn check(&mut self, file: &Connection) -> Checked {
        let (table, claims) = (raw::table(file)?, raw::claims(file)?);
        let last_token = raw::last_token(file)?;
        let known = std::mem::take(&mut self.claims);
        for (token, before) in &known {
            let after = claims.get(token);
            let ended = before.outcome.is_some();
            let is_same = |after: &StoredClaim| {
                let StoredClaim { feature, agent, taken_at, .. } = after;
                (feature, agent, taken_at) == (&before.feature, &before.agent, &before.taken_at)
            };
            prop_assert!(after.is_some_and(is_same), "claim {token} was {before:?}, is {after:?}");
            prop_assert!(!ended || after == Some(before), "{token} ended twice: {after:?}");
        }
        prop_assert!(last_token >= self.last_token);
        for (token, claim) in &claims {
            let is_new = !known.contains_key(token);
            prop_assert!(!is_new || *token > self.last_token, "token {token} comes late");
            prop_assert!(*token <= last_token);
            prop_assert_eq!(claim.outcome.is_some(), claim.ended_at.is_some(), "{:?}", claim);
        }
        let standing: Vec<i64> =
            claims.values().filter(|c| c.outcome.is_none()).map(|claim| claim.feature).collect();
        let features: BTreeSet<i64> = standing.iter().copied().collect();
        prop_assert_eq!(standing.len(), features.len(), "two claims on one feature");
        let in_progress = table.iter().filter(|(_, row)| row[&IN_PROGRESS].is_true());
        let mut in_progress: BTreeSet<i64> = in_progress.map(|(id, _)| *id).collect();
        self.unrecorded.retain(|id| in_progress.contains(id) && !features.contains(id));
        in_progress.retain(|id| !self.unrecorded.contains(id));
        prop_assert_eq!(features, in_progress, "claims stand where the flags are");
        (self.claims, self.last_token) = (claims, last_token);
        Ok(())
    }

    /// History: it leads from the beginning to now and back.
    pub(crate) fn check_history(&self, file: &Connection) -> Checked {
        let (table, events) = (raw::table(file)?, raw::events(file)?);
        let end = replay::forwards(&self.start, &events).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&end, &table);
        let start = replay::backwards(&table, &events).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&start, &self.start);
        Ok(())
    }

    /// History: where nothing was taken back, it counts the failures.
    fn check_failures(&self, file: &Connection) -> Checked {
        let events = raw::events(file)?;
        let failures = replay::failures(&self.start, &events, &raw::claims(file)?);
        prop_assert_eq!(raw::failures(file)?, failures.map_err(TestCaseError::fail)?);
        Ok(())
    }
}

const IN_PROGRESS: autoforge_store::Field = autoforge_store::Field::InProgress;

/// The claims that run: nobody has ended them, and they are not over.
fn running(file: &File, world: &World) -> Result<Vec<ClaimRecord>, TestCaseError> {
    let found = Op::GetClaims.apply_as(file.store(0), &Call::default(), world);
    let Outcome::Answered(Answer::Claims(claims)) = found else {
        return Err(TestCaseError::fail(format!("{found:?}")));
    };
    Ok(claims.into_iter().filter(|c| c.lapse.is_none()).map(|c| c.claim).collect())
}

/// Whether the command changes the feature that it names only with leave of its claim.
pub(crate) fn asks_leave(op: &Op) -> bool {
    matches!(
        op,
        Op::ClearInProgress(_)
            | Op::MarkPassing(_)
            | Op::MarkFailing(_)
            | Op::SkipFeature(_)
            | Op::RequestHumanInput { .. }
    )
}

/// What a call must not do, whatever it was: write under the token of a claim that does not run, or
/// end the claim of somebody else which does.
fn check_call(
    (call, op): (&Call, &Op),
    outcome: &Outcome,
    (before, running): (&Table, &[ClaimRecord]),
    file: &Connection,
) -> Checked {
    let (after, claims) = (raw::table(file)?, raw::claims(file)?);
    if let Token::Of(token) = call.token
        && asks_leave(op)
        && !running.iter().any(|claim| claim.token.get() == token && is_for(op, claim.feature))
    {
        prop_assert_eq!(&after, before, "a write under a stale token landed");
        let earlier = ["not_found", "already_passing", "invalid_request"];
        prop_assert!(
            matches!(outcome, Outcome::Refused(code) if *code == "stale_token" || earlier.contains(code)),
            "{:?}",
            outcome
        );
    }
    for claim in running {
        let stands = claims[&claim.token.get()].outcome.is_none();
        let is_its_own = claim.owner.is_none()
            || claim.owner == call.caller()
            || call.token == Token::Of(claim.token.get());
        let is_forced = call.overriding || matches!(op, Op::DeleteFeature { force: true, .. });
        prop_assert!(stands || is_its_own || is_forced, "{claim:?} was taken");
        if !stands && !is_its_own {
            check_overridden(claim, file)?;
        }
    }
    Ok(())
}

fn is_for(op: &Op, feature: FeatureId) -> bool {
    op.feature() == Some(feature.get())
}

/// The history says that somebody else than its owner ended the claim, and the claim says how.
fn check_overridden(claim: &ClaimRecord, file: &Connection) -> Checked {
    let token = claim.token.get();
    let end = &raw::claims(file)?[&token];
    prop_assert!(end.outcome.is_some() && end.ended_at.is_some(), "{end:?}");
    let events = raw::events(file)?;
    let last = events.iter().rev().find(|event| event.feature == claim.feature.get());
    let says_so = last.is_some_and(|event| event.claim == Some(token) && event.overrode == 1);
    prop_assert!(says_so, "{claim:?} was overridden, {last:?}");
    Ok(())
}

/// What several programs do to a file, and what the model says of it.
pub(crate) struct Scene<'a> {
    file: &'a mut File,
    model: Model,
    world: World,
    watch: Watch,
    /// How many steps were taken; handles take turns.
    turn: usize,
}

impl<'a> Scene<'a> {
    /// A file that holds what the model does.
    pub(crate) fn new(file: &'a mut File, mut model: Model) -> Self {
        let watch = Watch::new(raw::table_of(model.rows()));
        if model.is_outdated() {
            model.reopen();
        }
        Self { file, model, world: World::default(), watch, turn: 0 }
    }

    /// Does one thing on both, and compares what came of it.
    pub(crate) fn take(&mut self, step: &Step) -> Checked {
        let before = raw::table(&self.file.foreign)?;
        let running = running(self.file, &self.world)?;
        match step {
            Step::Call(call, op) => {
                let call = self.model.resolve(call, op);
                let found = op.apply_as(self.file.store(self.turn), &call, &self.world);
                let expected = self.model.apply_as(op, &call, &self.world);
                prop_assert_eq!(&found, &expected, "{:?}", step);
                check_call((&call, op), &found, (&before, &running), &self.file.foreign)?;
            }
            Step::Foreign(foreign) => {
                let found = self.file.run(foreign)?;
                prop_assert_eq!(found, self.model.apply_foreign(foreign), "{:?}", step);
                let claims = raw::claims(&self.file.foreign)?;
                for claim in running.iter().filter(|claim| claim.owner.is_some()) {
                    if claims[&claim.token.get()].outcome.is_some() {
                        check_overridden(claim, &self.file.foreign)?;
                    }
                }
            }
            Step::Reopen(how) => {
                prop_assert_eq!(self.file.reopen(*how)?, self.model.is_outdated());
                self.model.reopen();
                self.end()?;
            }
            _ => self.world.step(step),
        }
        self.turn += 1;
        Ok(())
    }

    /// Compares everything that can be read.
    pub(crate) fn compare(&mut self) -> Checked {
        let file = &self.file.foreign;
        self.watch.check(file)?;
        prop_assert_eq!(&raw::table(file)?, &raw::table_of(self.model.rows()));
        let store = self.file.store(self.turn);
        compare_in(&self.model, store, &self.world).map_err(TestCaseError::fail)
    }

    /// Compares the history with what it led to.
    pub(crate) fn end(&self) -> Checked {
        self.watch.check_history(&self.file.foreign)?;
        self.watch.check_failures(&self.file.foreign)
    }
}
