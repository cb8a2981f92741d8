//! Creating features, one or many.

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::command::feature::{DependencyProblem, PriorityProblem, checked_dependencies};
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Tx, Write};
use crate::types::{EventKind, Feature, FeatureId, Limits, NewFeature, PlannedFeature};

/// Why no feature was created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateRefusal {
    /// The priority that was asked for is refused.
    #[error(transparent)]
    Priority(#[from] PriorityProblem),
    /// The dependencies that were asked for are refused.
    #[error(transparent)]
    Dependencies(#[from] DependencyProblem),
    /// The table holds the highest possible id or priority.
    #[error("the highest possible id or priority is taken")]
    Exhausted,
}

impl Refusal for CreateRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Priority(problem) => problem.code(),
            Self::Dependencies(problem) => problem.code(),
            Self::Exhausted => "exhausted",
        }
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::Dependencies(problem) => problem.features(),
            Self::Priority(problem) => problem.features(),
            Self::Exhausted => Vec::new(),
        }
    }
}

/// Creates one feature, by default behind all others.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateFeature, NewFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let feature = store.call(CreateFeature::new(login)).unwrap();
/// assert_eq!((feature.id.get(), feature.priority), (1, 1));
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct CreateFeature {
    /// Its texts.
    pub feature: NewFeature,
    /// Its priority, at least 1; the highest in the table + 1 where none is given.
    pub priority: Option<i64>,
    /// The features that must pass first.
    pub dependencies: Vec<FeatureId>,
}

impl CreateFeature {
    /// A feature behind all others that waits for none.
    #[must_use]
    pub fn new(feature: NewFeature) -> Self {
        Self { feature, priority: None, dependencies: Vec::new() }
    }
}

impl Command for CreateFeature {
    const NAME: &'static str = "create_feature";
    type Database = Features;
    type Access = Write;
    type Output = Feature;
    type Rejection = CreateRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Feature, Failure<CreateRefusal>> {
        let (id, priority) = first_place(tx, self.priority, 1)?;
        let dependencies = if self.dependencies.is_empty() {
            Vec::new()
        } else {
            checked_dependencies(&*tx.dependency_graph()?, id, &self.dependencies)
                .map_err(|problem| Failure::Refused(problem.into()))?
        };
        let feature = self.feature.clone().at(id, priority, dependencies);
        tx.feature_insertion(EventKind::Created)?.insert(&feature)?;
        Ok(feature)
    }
}

/// The features that [`CreateFeatures`] made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedFeatures {
    /// Their ids, in the order of the command.
    pub ids: Vec<FeatureId>,
    /// How many of them wait for others.
    pub with_dependencies: usize,
}

/// Why [`CreateFeatures`] created nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkRefusal {
    /// There are too many features.
    #[error("{count} features are more than the {max} that one command creates")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A feature depends on one that is not before it.
    #[error("the feature at index {index} depends on index {position}, which is not before it")]
    NotEarlier {
        /// The feature's position.
        index: usize,
        /// The position it names.
        position: usize,
    },
    /// A feature names a dependency twice.
    #[error("the feature at index {index} names index {position} twice")]
    Repeated {
        /// The feature's position.
        index: usize,
        /// The position it names twice.
        position: usize,
    },
    /// A feature has too many dependencies.
    #[error("the feature at index {index} has {count} dependencies, the limit is {max}")]
    TooManyDependencies {
        /// The feature's position.
        index: usize,
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// What would refuse a single feature refuses them all.
    #[error(transparent)]
    Create(#[from] CreateRefusal),
}

impl Refusal for BulkRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "too_many_features",
            Self::NotEarlier { .. } => "not_earlier",
            Self::Repeated { .. } => "repeated_dependency",
            Self::TooManyDependencies { .. } => "too_many_dependencies",
            Self::Create(refusal) => refusal.code(),
        }
    }
}

/// Creates several features, all or none, with consecutive priorities in their order.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateFeatures, NewFeature, PlannedFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let feature = |name| NewFeature::new("Auth", name, "As users expect it.", ["Try it"]).unwrap();
/// let created = store.call(CreateFeatures::new(vec![
///     feature("Log in").into(),
///     PlannedFeature { feature: feature("Log out"), depends_on: vec![0] },
/// ])).unwrap();
/// assert_eq!((created.ids.len(), created.with_dependencies), (2, 1));
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct CreateFeatures {
    /// What to create, in order; at most [`Limits::BULK`].
    pub features: Vec<PlannedFeature>,
    /// The priority of the first one, at least 1; the highest in the table + 1 where none is given.
    pub starting_priority: Option<i64>,
}

impl CreateFeatures {
    /// Features behind all others.
    #[must_use]
    pub fn new(features: Vec<PlannedFeature>) -> Self {
        Self { features, starting_priority: None }
    }
}

impl Command for CreateFeatures {
    const NAME: &'static str = "create_features";
    type Database = Features;
    type Access = Write;
    type Output = CreatedFeatures;
    type Rejection = BulkRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<CreatedFeatures, Failure<BulkRefusal>> {
        check_plan(&self.features).map_err(Failure::Refused)?;
        let mut created = CreatedFeatures { ids: Vec::new(), with_dependencies: 0 };
        let (first_id, first_priority) =
            first_place(tx, self.starting_priority, self.features.len()).map_err(Failure::widen)?;
        let mut insertion = tx.feature_insertion(EventKind::Created)?;
        // With an end, since a range without one overflows behind the highest number.
        let ids = (first_id.get()..=i64::MAX).map(FeatureId::from);
        let priorities = first_priority..=i64::MAX;
        for ((planned, id), priority) in self.features.iter().zip(ids).zip(priorities) {
            // `check_plan` has shown that every position is an earlier one, hence in `ids`.
            let mut dependencies: Vec<FeatureId> =
                planned.depends_on.iter().filter_map(|at| created.ids.get(*at).copied()).collect();
            dependencies.sort_unstable();
            created.with_dependencies += usize::from(!dependencies.is_empty());
            insertion.insert(&planned.feature.clone().at(id, priority, dependencies))?;
            created.ids.push(id);
        }
        Ok(created)
    }
}

fn check_plan(features: &[PlannedFeature]) -> Result<(), BulkRefusal> {
    if features.len() > Limits::BULK {
        return Err(BulkRefusal::TooMany { count: features.len(), max: Limits::BULK });
    }
    for (index, planned) in features.iter().enumerate() {
        let count = planned.depends_on.len();
        if count > Limits::DEPENDENCIES {
            let max = Limits::DEPENDENCIES;
            return Err(BulkRefusal::TooManyDependencies { index, count, max });
        }
        for (nth, &position) in planned.depends_on.iter().enumerate() {
            if position >= index {
                return Err(BulkRefusal::NotEarlier { index, position });
            }
            if planned.depends_on.iter().take(nth).any(|earlier| *earlier == position) {
                return Err(BulkRefusal::Repeated { index, position });
            }
        }
    }
    Ok(())
}

/// The id and the priority of the first of `count` new features, which take them consecutively.
fn first_place(
    tx: &Tx<'_, Write>,
    wanted: Option<i64>,
    count: usize,
) -> Result<(FeatureId, i64), Failure<CreateRefusal>> {
    let exhausted = || Failure::Refused(CreateRefusal::Exhausted);
    let span = i64::try_from(count.saturating_sub(1)).map_err(|_| exhausted())?;
    let id = tx.next_feature_id()?.ok_or_else(exhausted)?;
    let priority = match wanted {
        Some(priority) if priority < 1 => {
            return Err(Failure::Refused(PriorityProblem::TooLow { priority }.into()));
        }
        Some(priority) => priority,
        None => tx.highest_priority()?.checked_add(1).ok_or_else(exhausted)?,
    };
    let last = priority.checked_add(span).ok_or_else(exhausted)?;
    id.get().checked_add(span).ok_or_else(exhausted)?;
    if wanted.is_some()
        && count > 0
        && let Some((holder, priority)) = tx.priority_holder(priority, last)?
    {
        return Err(Failure::Refused(PriorityProblem::Taken { priority, holder }.into()));
    }
    Ok((id, priority))
}
