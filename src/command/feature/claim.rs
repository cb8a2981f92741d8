//! Claiming: who works on what.

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::{FeatureRefusal, authority, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Standing, Tx, Write};
use crate::types::{
    AttemptOutcome, ClaimRecord, EventKind, Feature, FeatureId, FenceToken, Field, Fields, Holder,
};

/// A feature that its caller, or somebody before, has claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The feature, in progress.
    pub feature: Feature,
    /// It was claimed before; this call changed nothing, but for renewing the caller's own lease.
    pub already_claimed: bool,
    /// The caller's token; `None` where the claim is somebody else's.
    pub token: Option<FenceToken>,
    /// Who holds the feature instead; `None` where the caller does, and where nobody knows.
    pub holder: Option<Holder>,
}

/// A feature that the caller has just claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimedFeature {
    /// The feature, in progress.
    pub feature: Feature,
    /// The claim: what is done under it carries this.
    pub token: FenceToken,
}

/// Claims a feature and gives it; a feature that is claimed already is given too, and marked so.
///
/// Of several callers at once exactly one gets `already_claimed: false`. A caller that owns the
/// claim already, or whose call carries its token, gets the token again, and the lease begins anew. A claim that is over, since its
/// lease has run out or its owner's process is dead, is ended and the feature claimed.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{ClaimFeature, CreateFeature, NewFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let id = store.call(CreateFeature::new(login)).unwrap().id;
/// assert!(!store.call(ClaimFeature { id }).unwrap().already_claimed);
/// assert!(store.call(ClaimFeature { id }).unwrap().already_claimed);
/// ```
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ClaimFeature {
    /// Which one.
    pub id: FeatureId,
}

impl Command for ClaimFeature {
    const NAME: &'static str = "claim_feature";
    type Database = Features;
    type Access = Write;
    type Output = Claim;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Claim, Failure<FeatureRefusal>> {
        let (mut feature, standing) = claimable(tx, self.id)?;
        let (already_claimed, token, holder) = match standing {
            Standing::Free => (false, Some(tx.begin_claim(&mut feature)?), None),
            Standing::Owned(claim) | Standing::Unowned(Some(claim)) if is_own(tx, &claim) => {
                tx.renew_claim(claim.token)?;
                (true, Some(claim.token), None)
            }
            other => (true, None, other.holder()),
        };
        Ok(Claim { feature, already_claimed, token, holder })
    }
}

/// Claims a feature; refuses one that is claimed already, unless that claim is over.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MarkInProgress {
    /// Which one.
    pub id: FeatureId,
}

impl Command for MarkInProgress {
    const NAME: &'static str = "mark_in_progress";
    type Database = Features;
    type Access = Write;
    type Output = ClaimedFeature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<ClaimedFeature, Failure<FeatureRefusal>> {
        let id = self.id;
        let refuse = |refusal| Err(Failure::Refused(refusal));
        match claimable(tx, id)? {
            (mut feature, Standing::Free) => {
                let token = tx.begin_claim(&mut feature)?;
                Ok(ClaimedFeature { feature, token })
            }
            (_, Standing::Owned(claim)) => {
                let holder = Box::new(Holder::of(&claim));
                refuse(FeatureRefusal::HeldByOther { id, holder })
            }
            _ => refuse(FeatureRefusal::AlreadyInProgress { id }),
        }
    }
}

/// What [`ClaimNext`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimedNext {
    /// This feature, now claimed by the caller.
    Feature(Box<ClaimedFeature>),
    /// Everything passes.
    AllPassing,
    /// Nothing can be taken at the moment.
    NothingReady {
        /// Features that others work on.
        in_progress: usize,
        /// Features that wait for a human.
        waiting_for_human: usize,
        /// Features that wait for others.
        blocked: usize,
        /// Features that have failed too often.
        exhausted: usize,
    },
}

/// Claims the ready feature that comes first in the scheduling order.
///
/// Choice and claim are one transaction, so callers at once get different features. Claims that are
/// over, since their lease has run out or their owner's process is dead, are ended first.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{ClaimNext, ClaimedNext, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// assert_eq!(store.call(ClaimNext).unwrap(), ClaimedNext::AllPassing);
/// ```
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ClaimNext;

impl Command for ClaimNext {
    const NAME: &'static str = "claim_next";
    type Database = Features;
    type Access = Write;
    type Output = ClaimedNext;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<ClaimedNext, Failure<Infallible>> {
        tx.recover()?;
        let graph = tx.dependency_graph()?;
        if let Some(&id) = graph.first_ready(1).first()
            && let Some(mut feature) = tx.feature(id)?
        {
            let token = tx.begin_claim(&mut feature)?;
            return Ok(ClaimedNext::Feature(Box::new(ClaimedFeature { feature, token })));
        }
        let counts = graph.counts();
        if counts.passing == counts.total {
            return Ok(ClaimedNext::AllPassing);
        }
        Ok(ClaimedNext::NothingReady {
            in_progress: counts.open_in_progress,
            waiting_for_human: counts.open_needs_human_input,
            blocked: graph.blocked_count(),
            exhausted: counts.open_exhausted,
        })
    }
}

/// Claims a batch of features for one agent: see [`DependencyGraph::batch`] for which. All are claimed
/// or none, each under a token of its own; an empty answer means that nothing is ready.
///
/// Choice and claims are one transaction, so callers at once get different features. Those in the
/// batch that wait for others of it are claimed with them, so that nobody else begins what the agent
/// is about to make possible. Claims that are over are ended first.
///
/// [`DependencyGraph::batch`]: crate::DependencyGraph::batch
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{ClaimBatch, CreateFeatures, NewFeature, PlannedFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let plan = |name, depends_on| {
///     let feature = NewFeature::new("Auth", name, "As usual.", ["Try it"]).unwrap();
///     PlannedFeature { feature, depends_on }
/// };
/// let plan = vec![plan("Log in", vec![]), plan("Log out", vec![0]), plan("Reset", vec![])];
/// store.call(CreateFeatures::new(plan)).unwrap();
/// let batch = store.call(ClaimBatch { max: 3, others: 1 }).unwrap();
/// let names: Vec<_> = batch.iter().map(|claimed| claimed.feature.name.as_str()).collect();
/// assert_eq!(names, ["Log in", "Log out"]);
/// ```
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ClaimBatch {
    /// At most so many features.
    pub max: usize,
    /// So many ready features are left to other agents, where there are so many.
    pub others: usize,
}

impl Command for ClaimBatch {
    const NAME: &'static str = "claim_batch";
    type Database = Features;
    type Access = Write;
    type Output = Vec<ClaimedFeature>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Vec<ClaimedFeature>, Failure<Infallible>> {
        tx.recover()?;
        let graph = tx.dependency_graph()?;
        let categories: BTreeMap<FeatureId, String> = tx.categories()?.into_iter().collect();
        let alike = |a, b| categories.get(&a) == categories.get(&b);
        let mut claimed = Vec::new();
        for id in graph.batch(self.max, self.others, alike) {
            if let Some(mut feature) = tx.feature(id)? {
                let token = tx.begin_claim(&mut feature)?;
                claimed.push(ClaimedFeature { feature, token });
            }
        }
        Ok(claimed)
    }
}

/// Gives a claim back. A feature that nobody claimed stays as it is.
///
/// Refused for a feature that somebody else owns, and under a token that is not the claim's.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ClearInProgress {
    /// Which one.
    pub id: FeatureId,
}

impl Command for ClearInProgress {
    const NAME: &'static str = "clear_in_progress";
    type Database = Features;
    type Access = Write;
    type Output = Feature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Feature, Failure<FeatureRefusal>> {
        let mut feature = existing(tx, self.id)?;
        let authority = authority(tx, &mut feature)?;
        if feature.in_progress {
            feature.in_progress = false;
            let occasion = authority.occasion(EventKind::Released);
            tx.change_feature(&feature, Fields::of(&[Field::InProgress]), occasion)?;
            authority.end(tx, AttemptOutcome::Released)?;
        }
        Ok(feature)
    }
}

/// Whether a claim is the caller's: as its owner, or since the call carries its token.
fn is_own(tx: &Tx<'_, Write>, claim: &ClaimRecord) -> bool {
    let signature = tx.signature();
    let owner = claim.owner.as_ref();
    (owner.is_some() && owner == signature.caller.as_deref())
        || signature.token == Some(claim.token)
}

/// The feature and what stands on it, unless it passes, waits for a human, or has failed too often. A
/// claim that is over is ended on the way, so none comes back.
fn claimable(
    tx: &Tx<'_, Write>,
    id: FeatureId,
) -> Result<(Feature, Standing), Failure<FeatureRefusal>> {
    let refuse = |refusal| Err(Failure::Refused(refusal));
    let mut feature = existing(tx, id)?;
    if feature.passes {
        return refuse(FeatureRefusal::AlreadyPassing { id });
    }
    if feature.needs_human_input {
        return refuse(FeatureRefusal::WaitingForHuman { id });
    }
    match tx.standing(&feature)? {
        Standing::Free => {}
        Standing::Lapsed(claim, outcome) => tx.end_lapsed(&mut feature, &claim, outcome)?,
        taken => return Ok((feature, taken)),
    }
    let failures = tx.failures_of(id)?;
    match tx.attempts_limit()? {
        Some(limit) if failures >= limit => {
            refuse(FeatureRefusal::OutOfAttempts { id, failures, limit })
        }
        _ => Ok((feature, Standing::Free)),
    }
}
