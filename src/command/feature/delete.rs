//! Deleting a feature.

use serde::{Deserialize, Serialize};

use super::{FeatureRefusal, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Occasion, Standing, Tx, Write};
use crate::types::{AttemptOutcome, EventKind, Feature, FeatureId};

/// A feature that is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletedFeature {
    /// What it was.
    pub feature: Feature,
    /// The features that waited for it and no longer do, by id.
    pub released: Vec<FeatureId>,
}

/// Deletes a feature, ends its claim, and takes it out of the dependencies of all others. Its id is never given out
/// again.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DeleteFeature {
    /// Which one.
    pub id: FeatureId,
    /// Delete it even while somebody works on it.
    pub force: bool,
}

impl Command for DeleteFeature {
    const NAME: &'static str = "delete_feature";
    type Database = Features;
    type Access = Write;
    type Output = DeletedFeature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<DeletedFeature, Failure<FeatureRefusal>> {
        let id = self.id;
        let mut feature = existing(tx, id)?;
        let standing = tx.standing(&feature)?;
        if let Standing::Lapsed(claim, outcome) = &standing {
            tx.end_lapsed(&mut feature, claim, *outcome)?;
        }
        if feature.in_progress && !self.force {
            return Err(Failure::Refused(FeatureRefusal::AlreadyInProgress { id }));
        }
        let overrode = matches!(&standing,
            Standing::Owned(claim) if claim.owner.as_ref() != tx.signature().caller.as_deref());
        let graph = tx.dependency_graph()?;
        let released = graph.dependents(id);
        let mut waiting = released.clone();
        if graph.waits_for_itself(id) {
            waiting.push(id);
            waiting.sort_unstable();
        }
        for node in waiting.iter().filter_map(|dependent| graph.node(*dependent)) {
            let rest: Vec<_> = node.dependencies.iter().copied().filter(|d| *d != id).collect();
            tx.set_dependencies(node.id, &rest, EventKind::Depends.into())?;
        }
        let claim = match &standing {
            Standing::Owned(claim) | Standing::Unowned(Some(claim)) => Some(claim),
            _ => None,
        };
        let deleted = Occasion::from(EventKind::Deleted).under(claim.map(|claim| claim.token));
        tx.remove_feature(id, Occasion { overrode, ..deleted })?;
        if let Some(claim) = claim {
            tx.end_claim(claim, AttemptOutcome::Released)?;
        }
        Ok(DeletedFeature { feature, released })
    }
}
