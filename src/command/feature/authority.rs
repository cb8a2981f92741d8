//! Who may act on a feature: the one place that decides it.
//!
//! | the call | nobody holds it | a claim without an owner | the claim of an owner |
//! | --- | --- | --- | --- |
//! | carries the claim's token | refused | may | may |
//! | carries another token | refused | refused | refused |
//! | carries none, and is the owner's | — | — | may |
//! | carries none | may | may | refused |
//! | carries none, and overrides | may | may | may, and the history says so |
//!
//! A claim whose lease has run out or whose process is dead is over, whether or not anybody has
//! taken the feature since: its token is refused, and to everybody else it is as if nobody held it.

use super::FeatureRefusal;
use crate::error::Failure;
use crate::tx::{Occasion, Standing, Tx, Write};
use crate::types::{
    AttemptOutcome, ClaimRecord, EventKind, Feature, FeatureId, FenceToken, Holder,
};

/// That a call may act on a feature, and which claim stands there.
#[derive(Debug)]
pub(in crate::command) struct Authority {
    claim: Option<ClaimRecord>,
    overrode: bool,
}

impl Authority {
    /// The occasion on which this call changes the feature.
    pub(in crate::command) fn occasion(&self, kind: EventKind) -> Occasion {
        let claim = self.claim.as_ref().map(|claim| claim.token);
        Occasion { overrode: self.overrode, ..Occasion::from(kind).under(claim) }
    }

    /// Ends the claim that stands there, if one does.
    pub(in crate::command) fn end(
        &self,
        tx: &Tx<'_, Write>,
        outcome: AttemptOutcome,
    ) -> rusqlite::Result<()> {
        self.claim.as_ref().map_or(Ok(()), |claim| tx.end_claim(claim, outcome))
    }
}

/// Decides whether the call may act on the feature. A claim that is over is ended on the way.
pub(in crate::command) fn authority(
    tx: &Tx<'_, Write>,
    feature: &mut Feature,
) -> Result<Authority, Failure<FeatureRefusal>> {
    let (standing, signature) = (tx.standing(feature)?, tx.signature());
    if let Some(token) = signature.token {
        return match standing {
            Standing::Owned(claim) | Standing::Unowned(Some(claim)) if claim.token == token => {
                Ok(Authority { claim: Some(claim), overrode: false })
            }
            other => Err(stale(feature.id, token, other.holder())),
        };
    }
    let may = |claim, overrode| Ok(Authority { claim, overrode });
    match standing {
        Standing::Free => may(None, false),
        Standing::Unowned(claim) => may(claim, false),
        Standing::Owned(claim) if claim.owner.as_ref() == signature.caller.as_deref() => {
            may(Some(claim), false)
        }
        Standing::Owned(claim) if signature.overrides => may(Some(claim), true),
        Standing::Owned(claim) => {
            let holder = Box::new(Holder::of(&claim));
            Err(Failure::Refused(FeatureRefusal::HeldByOther { id: feature.id, holder }))
        }
        Standing::Lapsed(claim, outcome) => {
            tx.end_lapsed(feature, &claim, outcome)?;
            may(None, false)
        }
    }
}

fn stale(id: FeatureId, token: FenceToken, holder: Option<Holder>) -> Failure<FeatureRefusal> {
    let holder = holder.map(Box::new);
    Failure::Refused(FeatureRefusal::StaleToken { id, token, holder })
}
