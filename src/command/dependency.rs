//! What a feature waits for.

use serde::{Deserialize, Serialize};

use super::Command;
use super::feature::{DependencyProblem, checked_dependencies};
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Access, Tx, Write};
use crate::types::{EventKind, FeatureId, Limits};

/// The dependencies of a feature after a change, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyList {
    /// The feature.
    pub id: FeatureId,
    /// What it waits for.
    pub dependencies: Vec<FeatureId>,
}

/// Why the dependencies of a feature stayed as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DependencyRefusal {
    /// There is no such feature.
    #[error("feature {id} does not exist")]
    NotFound {
        /// The id that was asked for.
        id: FeatureId,
    },
    /// The feature waits for the dependency already.
    #[error("feature {id} depends on {dependency} already")]
    AlreadyThere {
        /// The feature.
        id: FeatureId,
        /// The dependency.
        dependency: FeatureId,
    },
    /// The feature does not wait for the dependency.
    #[error("feature {id} does not depend on {dependency}")]
    NotThere {
        /// The feature.
        id: FeatureId,
        /// The dependency.
        dependency: FeatureId,
    },
    /// The list breaks a rule.
    #[error(transparent)]
    Invalid(#[from] DependencyProblem),
}

impl Refusal for DependencyRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::AlreadyThere { .. } => "dependency_exists",
            Self::NotThere { .. } => "no_such_dependency",
            Self::Invalid(problem) => problem.code(),
        }
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::NotFound { id } => vec![*id],
            Self::AlreadyThere { id, dependency } | Self::NotThere { id, dependency } => {
                vec![*id, *dependency]
            }
            Self::Invalid(problem) => problem.features(),
        }
    }
}

fn refuse(refusal: impl Into<DependencyRefusal>) -> Failure<DependencyRefusal> {
    Failure::Refused(refusal.into())
}

fn current<A: Access>(
    tx: &Tx<'_, A>,
    id: FeatureId,
) -> Result<Vec<FeatureId>, Failure<DependencyRefusal>> {
    let summary = tx.feature_summary(id)?;
    Ok(summary.ok_or_else(|| refuse(DependencyRefusal::NotFound { id }))?.dependencies)
}

/// Makes a feature wait for another one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AddDependency {
    /// The feature that shall wait.
    pub id: FeatureId,
    /// What it shall wait for.
    pub dependency: FeatureId,
}

impl Command for AddDependency {
    const NAME: &'static str = "add_dependency";
    type Database = Features;
    type Access = Write;
    type Output = DependencyList;
    type Rejection = DependencyRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<DependencyList, Failure<DependencyRefusal>> {
        let Self { id, dependency } = *self;
        if id == dependency {
            return Err(refuse(DependencyProblem::Itself { id }));
        }
        let mut dependencies = current(tx, id)?;
        if !tx.has_feature(dependency)? {
            return Err(refuse(DependencyProblem::Unknown { ids: vec![dependency] }));
        }
        if dependencies.contains(&dependency) {
            return Err(refuse(DependencyRefusal::AlreadyThere { id, dependency }));
        }
        let count = dependencies.len() + 1;
        if count > Limits::DEPENDENCIES {
            return Err(refuse(DependencyProblem::TooMany { count, max: Limits::DEPENDENCIES }));
        }
        if tx.dependency_graph()?.closes_cycle(id, dependency) {
            return Err(refuse(DependencyProblem::Cycle { id, dependency }));
        }
        // What the file held before stays, even an id that does not exist: the feature waits for
        // it, and only its owner can say that it need not.
        dependencies.push(dependency);
        dependencies.sort_unstable();
        tx.set_dependencies(id, &dependencies, EventKind::Depends.into())?;
        Ok(DependencyList { id, dependencies })
    }
}

/// Ends a feature's wait for another one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RemoveDependency {
    /// The feature that waits.
    pub id: FeatureId,
    /// What it no longer waits for; need not exist.
    pub dependency: FeatureId,
}

impl Command for RemoveDependency {
    const NAME: &'static str = "remove_dependency";
    type Database = Features;
    type Access = Write;
    type Output = DependencyList;
    type Rejection = DependencyRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<DependencyList, Failure<DependencyRefusal>> {
        let Self { id, dependency } = *self;
        let before = current(tx, id)?;
        let mut dependencies: Vec<_> =
            before.iter().copied().filter(|other| *other != dependency).collect();
        if dependencies.len() == before.len() {
            return Err(refuse(DependencyRefusal::NotThere { id, dependency }));
        }
        dependencies.sort_unstable();
        tx.set_dependencies(id, &dependencies, EventKind::Depends.into())?;
        Ok(DependencyList { id, dependencies })
    }
}

/// Replaces all that a feature waits for.
#[derive(Debug, Clone, Serialize)]
pub struct SetDependencies {
    /// The feature.
    pub id: FeatureId,
    /// What it shall wait for; at most [`Limits::DEPENDENCIES`], none twice.
    pub dependencies: Vec<FeatureId>,
}

impl Command for SetDependencies {
    const NAME: &'static str = "set_dependencies";
    type Database = Features;
    type Access = Write;
    type Output = DependencyList;
    type Rejection = DependencyRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<DependencyList, Failure<DependencyRefusal>> {
        let id = self.id;
        if !tx.has_feature(id)? {
            return Err(refuse(DependencyRefusal::NotFound { id }));
        }
        let dependencies = checked_dependencies(&*tx.dependency_graph()?, id, &self.dependencies)
            .map_err(refuse)?;
        tx.set_dependencies(id, &dependencies, EventKind::Depends.into())?;
        Ok(DependencyList { id, dependencies })
    }
}
