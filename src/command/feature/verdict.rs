//! Ending the work on a feature: it passes, it fails, or it is put off.

use super::{FeatureRefusal, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Tx, Write};
use crate::types::{Feature, FeatureId};

/// A feature that passes now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedFeature {
    /// Which one.
    pub id: FeatureId,
    /// What it is called.
    pub name: String,
}

/// Marks a feature as passing and ends its claim. Of several callers exactly one succeeds.
#[derive(Debug, Clone, Copy)]
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
        let feature = existing(tx, id)?;
        if feature.passes {
            return Err(Failure::Refused(FeatureRefusal::AlreadyPassing { id }));
        }
        tx.execute("UPDATE features SET passes = 1, in_progress = 0 WHERE id = ?1", [id.get()])?;
        Ok(PassedFeature { id, name: feature.name })
    }
}

/// Marks a feature as failing, whatever it was, and ends its claim.
#[derive(Debug, Clone, Copy)]
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
        let feature = existing(tx, self.id)?;
        tx.execute(
            "UPDATE features SET passes = 0, in_progress = 0 WHERE id = ?1",
            [self.id.get()],
        )?;
        Ok(Feature { passes: false, in_progress: false, ..feature })
    }
}

/// A feature that was put off.
#[derive(Debug, Clone, PartialEq, Eq)]
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
/// The new priority saturates at the largest 64-bit number, which only a file with absurd
/// priorities can reach.
#[derive(Debug, Clone, Copy)]
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
        let feature = existing(tx, id)?;
        if feature.passes {
            return Err(Failure::Refused(FeatureRefusal::AlreadyPassing { id }));
        }
        let new_priority = tx.highest_priority()?.saturating_add(1);
        tx.execute(
            "UPDATE features SET priority = ?2, in_progress = 0 WHERE id = ?1",
            (id.get(), new_priority),
        )?;
        Ok(SkippedFeature { id, name: feature.name, old_priority: feature.priority, new_priority })
    }
}
