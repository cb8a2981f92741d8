//! Changing what a feature says.

use serde::Serialize;
use serde_json::json;

use super::{DependencyProblem, FeatureRefusal, PriorityProblem, checked_dependencies, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Tx, Write};
use crate::types::{
    EventKind, Feature, FeatureId, Field, Fields, InvalidFeature, Revision, Steps, check_category,
    check_description, check_name, check_steps,
};

/// The parts of a feature that are to change; `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FeatureChanges {
    /// What it belongs to.
    pub category: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// What it should do.
    pub description: Option<String>,
    /// How to build and check it.
    pub steps: Option<Vec<String>>,
    /// Lower is sooner; at least 1, and no other feature's.
    pub priority: Option<i64>,
    /// The features that must pass first; empty for none.
    pub dependencies: Option<Vec<FeatureId>>,
}

/// Why a feature was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateRefusal {
    /// It does not exist, or it passes.
    #[error(transparent)]
    Feature(#[from] FeatureRefusal),
    /// A text is empty or too large.
    #[error(transparent)]
    Invalid(#[from] InvalidFeature),
    /// The dependencies are refused.
    #[error(transparent)]
    Dependencies(#[from] DependencyProblem),
    /// The priority is refused.
    #[error(transparent)]
    Priority(#[from] PriorityProblem),
    /// Somebody changed the feature since the caller read it.
    #[error("feature {id} was changed meanwhile (revision {found}, not {expected}); read it again")]
    Conflict {
        /// The feature.
        id: FeatureId,
        /// What the caller has read.
        expected: Revision,
        /// What the file holds.
        found: Revision,
    },
}

impl Refusal for UpdateRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Feature(refusal) => refusal.code(),
            Self::Invalid(_) => "invalid_feature",
            Self::Dependencies(problem) => problem.code(),
            Self::Priority(problem) => problem.code(),
            Self::Conflict { .. } => "conflict",
        }
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::Feature(refusal) => refusal.features(),
            Self::Dependencies(problem) => problem.features(),
            Self::Priority(problem) => problem.features(),
            Self::Conflict { id, .. } => vec![*id],
            Self::Invalid(_) => Vec::new(),
        }
    }
}

/// Changes a feature that does not pass yet, and gives it as it is afterwards.
#[derive(Debug, Clone, Serialize)]
pub struct UpdateFeature {
    /// Which one.
    pub id: FeatureId,
    /// What changes.
    pub changes: FeatureChanges,
    /// Refuse with [`UpdateRefusal::Conflict`] unless the feature is still at this revision.
    pub expected: Option<Revision>,
}

impl Command for UpdateFeature {
    const NAME: &'static str = "update_feature";
    type Database = Features;
    type Access = Write;
    type Output = Feature;
    type Rejection = UpdateRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Feature, Failure<UpdateRefusal>> {
        let refuse = |refusal: UpdateRefusal| Failure::Refused(refusal);
        let before = existing(tx, self.id).map_err(Failure::widen)?;
        let (id, found) = (self.id, before.revision());
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(refuse(UpdateRefusal::Conflict { id, expected, found }));
        }
        if before.passes {
            return Err(refuse(FeatureRefusal::AlreadyPassing { id }.into()));
        }
        let after = self.changes.applied_to(before).map_err(|invalid| refuse(invalid.into()))?;
        if let Some(priority) = self.changes.priority {
            self.check_priority(tx, priority)?;
        }
        let dependencies = match &self.changes.dependencies {
            Some(wanted) => checked_dependencies(&*tx.dependency_graph()?, id, wanted)
                .map_err(|problem| refuse(problem.into()))?,
            None => after.dependencies.clone(),
        };
        let after = Feature { dependencies, ..after };
        // What was asked to change and nothing else: what a column held that could not be read stays.
        tx.change_feature(&after, self.changes.fields(), EventKind::Edited.into())?;
        Ok(after)
    }
}

impl UpdateFeature {
    fn check_priority(
        &self,
        tx: &Tx<'_, Write>,
        priority: i64,
    ) -> Result<(), Failure<UpdateRefusal>> {
        if priority < 1 {
            return Err(Failure::Refused(PriorityProblem::TooLow { priority }.into()));
        }
        match tx.priority_holder(priority, priority)? {
            Some((holder, _)) if holder != self.id => {
                Err(Failure::Refused(PriorityProblem::Taken { priority, holder }.into()))
            }
            _ => Ok(()),
        }
    }
}

impl FeatureChanges {
    fn fields(&self) -> Fields {
        let mut fields = Fields::NONE;
        for (field, changes) in [
            (Field::Category, self.category.is_some()),
            (Field::Name, self.name.is_some()),
            (Field::Description, self.description.is_some()),
            (Field::Steps, self.steps.is_some()),
            (Field::Priority, self.priority.is_some()),
            (Field::Dependencies, self.dependencies.is_some()),
        ] {
            if changes {
                fields.insert(field);
            }
        }
        fields
    }

    fn applied_to(&self, before: Feature) -> Result<Feature, InvalidFeature> {
        let mut after = before;
        if let Some(category) = &self.category {
            after.category = check_category(category.clone())?;
        }
        if let Some(name) = &self.name {
            after.name = check_name(name.clone())?;
        }
        if let Some(description) = &self.description {
            after.description = check_description(description.clone())?;
        }
        if let Some(steps) = &self.steps {
            check_steps(steps)?;
            after.steps = Steps::from(json!(steps));
        }
        if let Some(priority) = self.priority {
            after.priority = priority;
        }
        Ok(after)
    }
}
