//! Ending the work on a feature: it passes, it fails, or it is put off.

use serde::{Deserialize, Serialize};

use super::{FeatureRefusal, authority, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Tx, Write};
use crate::types::{AttemptOutcome, EventKind, Feature, FeatureId, Field, Fields};

/// What a verdict changes.
const VERDICT: Fields = Fields::of(&[Field::Passes, Field::InProgress]);

/// A feature that passes now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedFeature {
    /// Which one.
    pub id: FeatureId,
    /// What it is called.
    pub name: String,
}

/// Marks a feature as passing, ends its claim and forgets its failures. Of several callers exactly
/// one succeeds.
///
/// Refused for a feature that somebody else owns, and under a token that is not the claim's.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MarkPassing {
    /// Which one.
    pub id: FeatureId,
}

impl Command for MarkPassing {
    const NAME: &'static str = "mark_passing";
    type Database = Features;
    type Access = Write;
    type Output = PassedFeature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<PassedFeature, Failure<FeatureRefusal>> {
        let id = self.id;
        let mut feature = existing(tx, id)?;
        if feature.passes {
            return Err(Failure::Refused(FeatureRefusal::AlreadyPassing { id }));
        }
        let authority = authority(tx, &mut feature)?;
        (feature.passes, feature.in_progress) = (true, false);
        tx.change_feature(&feature, VERDICT, authority.occasion(EventKind::Passed))?;
        authority.end(tx, AttemptOutcome::Passed)?;
        tx.clear_failures(id)?;
        Ok(PassedFeature { id, name: feature.name })
    }
}

/// Marks a feature as failing, whatever it was, and ends its claim, as a failed attempt where it had
/// an owner.
///
/// Refused for a feature that somebody else owns, and under a token that is not the claim's.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MarkFailing {
    /// Which one.
    pub id: FeatureId,
}

impl Command for MarkFailing {
    const NAME: &'static str = "mark_failing";
    type Database = Features;
    type Access = Write;
    type Output = Feature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Feature, Failure<FeatureRefusal>> {
        let mut feature = existing(tx, self.id)?;
        let authority = authority(tx, &mut feature)?;
        (feature.passes, feature.in_progress) = (false, false);
        tx.change_feature(&feature, VERDICT, authority.occasion(EventKind::Failed))?;
        authority.end(tx, AttemptOutcome::Failed)?;
        Ok(feature)
    }
}

/// A feature that was put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFeature {
    /// Which one.
    pub id: FeatureId,
    /// What it is called.
    pub name: String,
    /// Its priority before.
    pub old_priority: i64,
    /// Its priority now: above every other in the table, so nobody else has it.
    pub new_priority: i64,
}

/// Puts a feature off: its priority becomes the highest in the table + 1, and its claim ends.
///
/// Refused for a feature that somebody else owns, and under a token that is not the claim's. The
/// attempt counts as released.
///
/// The new priority saturates at the largest 64-bit number, which only a file with absurd
/// priorities can reach.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SkipFeature {
    /// Which one.
    pub id: FeatureId,
}

impl Command for SkipFeature {
    const NAME: &'static str = "skip_feature";
    type Database = Features;
    type Access = Write;
    type Output = SkippedFeature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<SkippedFeature, Failure<FeatureRefusal>> {
        let id = self.id;
        let mut feature = existing(tx, id)?;
        if feature.passes {
            return Err(Failure::Refused(FeatureRefusal::AlreadyPassing { id }));
        }
        let authority = authority(tx, &mut feature)?;
        let old_priority = feature.priority;
        let new_priority = tx.highest_priority()?.saturating_add(1);
        (feature.priority, feature.in_progress) = (new_priority, false);
        let fields = Fields::of(&[Field::Priority, Field::InProgress]);
        tx.change_feature(&feature, fields, authority.occasion(EventKind::Skipped))?;
        authority.end(tx, AttemptOutcome::Released)?;
        Ok(SkippedFeature { id, name: feature.name, old_priority, new_priority })
    }
}
