//! Claiming: who works on what.

use std::convert::Infallible;

use super::{FeatureRefusal, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Tx, Write};
use crate::types::{Feature, FeatureId};

/// A feature that its caller, or somebody before, has claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The feature, in progress.
    pub feature: Feature,
    /// It was claimed before; this call changed nothing.
    pub already_claimed: bool,
}

/// Claims a feature and gives it; a feature that is claimed already is given too, and marked so.
///
/// Of several callers at once exactly one gets `already_claimed: false`.
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
#[derive(Debug, Clone, Copy)]
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
        let feature = claimable(tx, self.id)?;
        if feature.in_progress {
            return Ok(Claim { feature, already_claimed: true });
        }
        Ok(Claim { feature: take(tx, feature)?, already_claimed: false })
    }
}

/// Claims a feature; refuses one that is claimed already.
#[derive(Debug, Clone, Copy)]
pub struct MarkInProgress {
    /// Which one.
    pub id: FeatureId,
}

impl Command for MarkInProgress {
    const NAME: &'static str = "mark_in_progress";
    type Database = Features;
    type Access = Write;
    type Output = Feature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Feature, Failure<FeatureRefusal>> {
        let feature = claimable(tx, self.id)?;
        if feature.in_progress {
            return Err(Failure::Refused(FeatureRefusal::AlreadyInProgress { id: self.id }));
        }
        Ok(take(tx, feature)?)
    }
}

/// What [`ClaimNext`] found.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimedNext {
    /// This feature, now claimed by the caller.
    Feature(Box<Feature>),
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
    },
}

/// Claims the ready feature that comes first in the scheduling order.
///
/// Choice and claim are one transaction, so callers at once get different features.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{ClaimNext, ClaimedNext, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// assert_eq!(store.call(ClaimNext).unwrap(), ClaimedNext::AllPassing);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ClaimNext;

impl Command for ClaimNext {
    const NAME: &'static str = "claim_next";
    type Database = Features;
    type Access = Write;
    type Output = ClaimedNext;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<ClaimedNext, Failure<Infallible>> {
        let graph = tx.dependency_graph()?;
        if let Some(&id) = graph.ready().first()
            && let Some(feature) = tx.feature(id)?
        {
            return Ok(ClaimedNext::Feature(Box::new(take(tx, feature)?)));
        }
        let open = || graph.nodes().iter().filter(|node| !node.passes);
        if open().next().is_none() {
            return Ok(ClaimedNext::AllPassing);
        }
        Ok(ClaimedNext::NothingReady {
            in_progress: open().filter(|node| node.in_progress).count(),
            waiting_for_human: open().filter(|node| node.needs_human_input).count(),
            blocked: graph.blocked().len(),
        })
    }
}

/// Gives a claim back. A feature that nobody claimed stays as it is.
#[derive(Debug, Clone, Copy)]
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
        if feature.in_progress {
            tx.execute("UPDATE features SET in_progress = 0 WHERE id = ?1", [self.id.get()])?;
            feature.in_progress = false;
        }
        Ok(feature)
    }
}

/// The feature, unless it passes or waits for a human.
fn claimable(tx: &Tx<'_, Write>, id: FeatureId) -> Result<Feature, Failure<FeatureRefusal>> {
    let feature = existing(tx, id)?;
    if feature.passes {
        return Err(Failure::Refused(FeatureRefusal::AlreadyPassing { id }));
    }
    if feature.needs_human_input {
        return Err(Failure::Refused(FeatureRefusal::WaitingForHuman { id }));
    }
    Ok(feature)
}

fn take(tx: &Tx<'_, Write>, feature: Feature) -> rusqlite::Result<Feature> {
    tx.execute("UPDATE features SET in_progress = 1 WHERE id = ?1", [feature.id.get()])?;
    Ok(Feature { in_progress: true, ..feature })
}
