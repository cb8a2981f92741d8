//! Claims apart from their features: renewing them, ending those that are over, looking at them,
//! and giving a feature that has failed too often another chance.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::Command;
use super::feature::{FeatureRefusal, existing};
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Read, Standing, Tx, Write};
use crate::types::{AttemptOutcome, ClaimRecord, EventKind, Feature, FeatureId, FenceToken};

/// Which claims still stand after [`RenewClaims`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedClaims {
    /// Those that stand; their leases have begun anew.
    pub held: Vec<FenceToken>,
    /// Those that are over. What was done under them is refused from now on.
    pub lost: Vec<FenceToken>,
}

/// Begins the leases of claims anew. A claim that is over stays over, even if nobody has taken its
/// feature since.
///
/// For the process that holds the claims; see [`LeaseKeeper`](crate::LeaseKeeper), which calls this
/// in good time.
#[derive(Debug, Clone, Serialize)]
pub struct RenewClaims {
    /// The claims.
    pub tokens: Vec<FenceToken>,
}

impl Command for RenewClaims {
    const NAME: &'static str = "renew_claims";
    type Database = Features;
    type Access = Write;
    type Output = RenewedClaims;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<RenewedClaims, Failure<Infallible>> {
        let lapsed = tx.lapsed_claims()?;
        let standing = tx.standing_claims()?;
        let stands = |token: &FenceToken| {
            standing.iter().any(|claim| claim.token == *token)
                && !lapsed.iter().any(|(claim, _)| claim.token == *token)
        };
        let (held, lost): (Vec<_>, Vec<_>) = self.tokens.iter().copied().partition(stands);
        for token in &held {
            tx.renew_claim(*token)?;
        }
        Ok(RenewedClaims { held, lost })
    }
}

/// A claim that [`RecoverClaims`] has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredClaim {
    /// The claim as it stood.
    pub claim: ClaimRecord,
    /// How it ended.
    pub outcome: AttemptOutcome,
}

/// Ends every claim that is over: its lease has run out, or its owner's process on this machine is
/// proven dead. Its feature is free again, and the attempt counts as failed.
///
/// Nothing depends on it: whoever looks sees such a claim as over, and whoever claims the feature
/// ends it. It is for programs that only know the flags in the file.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RecoverClaims;

impl Command for RecoverClaims {
    const NAME: &'static str = "recover_claims";
    type Database = Features;
    type Access = Write;
    type Output = Vec<RecoveredClaim>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Vec<RecoveredClaim>, Failure<Infallible>> {
        let ended = tx.recover()?.into_iter();
        Ok(ended.map(|(claim, outcome)| RecoveredClaim { claim, outcome }).collect())
    }
}

/// A claim that nobody has ended yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingClaim {
    /// The claim.
    pub claim: ClaimRecord,
    /// How it is over all the same; `None` while it runs.
    pub lapse: Option<AttemptOutcome>,
}

/// All claims that nobody has ended, by token; those that are over are marked so.
///
/// A feature that was in progress before the file knew claims has none.
#[derive(Debug, Clone, Copy)]
pub struct GetClaims;

impl Command for GetClaims {
    const NAME: &'static str = "get_claims";
    type Database = Features;
    type Access = Read;
    type Output = Vec<StandingClaim>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<StandingClaim>, Failure<Infallible>> {
        let lapsed = tx.lapsed_claims()?;
        let lapse = |claim: ClaimRecord| {
            let over = lapsed.iter().find(|(over, _)| over.token == claim.token);
            StandingClaim { lapse: over.map(|(_, outcome)| *outcome), claim }
        };
        Ok(tx.standing_claims()?.into_iter().map(lapse).collect())
    }
}

/// The latest attempts, newest first, running ones included.
#[derive(Debug, Clone, Copy)]
pub struct GetAttempts {
    /// Of this feature alone; of all where it is `None`.
    pub feature: Option<FeatureId>,
    /// At most so many are given.
    pub limit: usize,
}

impl Command for GetAttempts {
    const NAME: &'static str = "get_attempts";
    type Database = Features;
    type Access = Read;
    type Output = Vec<ClaimRecord>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<ClaimRecord>, Failure<Infallible>> {
        Ok(tx.attempts(self.feature, self.limit)?)
    }
}

/// How often a feature has failed since it last passed or was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Which one.
    pub feature: FeatureId,
    /// Attempts of owners that failed; one that is over counts, though nobody has written it down.
    pub failures: u32,
    /// These are as many as the file's [`Policy`](crate::Policy) allows, so it is not ready until
    /// somebody resets it; see [`RetryFeature`].
    pub exhausted: bool,
}

/// The budgets of all features that have failed, by id.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use std::sync::Arc;
/// use autoforge_store::{
///     Caller, Command, CreateFeature, GetBudgets, MarkFailing, MarkInProgress, NewFeature, Store,
/// };
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let id = store.call(CreateFeature::new(login)).unwrap().id;
/// let me = Arc::new(Caller::new("coder-1", "monday"));
/// store.call(MarkInProgress { id }.by(&me).owning(None)).unwrap();
/// store.call(MarkFailing { id }.by(&me)).unwrap();
/// let budget = store.call(GetBudgets).unwrap()[0];
/// assert_eq!((budget.failures, budget.exhausted), (1, false));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GetBudgets;

impl Command for GetBudgets {
    const NAME: &'static str = "get_budgets";
    type Database = Features;
    type Access = Read;
    type Output = Vec<Budget>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Budget>, Failure<Infallible>> {
        let policy = tx.policy()?;
        let budget = |(feature, failures)| Budget {
            feature,
            failures,
            exhausted: policy.is_used_up(failures),
        };
        Ok(tx.failures()?.into_iter().map(budget).collect())
    }
}

/// Forgets the failed attempts of a feature, so that it can be tried again; gives the feature. The
/// record of the attempts stays. A claim that is over is ended first, so it is forgotten with the
/// others. A feature without failures stays as it is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RetryFeature {
    /// Which one.
    pub id: FeatureId,
}

impl Command for RetryFeature {
    const NAME: &'static str = "retry_feature";
    type Database = Features;
    type Access = Write;
    type Output = Feature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Feature, Failure<FeatureRefusal>> {
        let mut feature = existing(tx, self.id)?;
        if let Standing::Lapsed(claim, outcome) = tx.standing(&feature)? {
            tx.end_lapsed(&mut feature, &claim, outcome)?;
        }
        if tx.clear_failures(self.id)? {
            tx.note(self.id, EventKind::Retried.into())?;
        }
        Ok(feature)
    }
}
