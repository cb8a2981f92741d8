//! Importing a whole backlog.

use std::collections::HashMap;

use serde::Serialize;

use super::{DependencyProblem, checked_but_for_cycles};
use crate::command::Command;
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Tx, Write};
use crate::types::{DependencyGraph, EntryProblem, EventKind, Feature, FeatureId, GraphNode};

/// Why a backlog was not imported; nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportRefusal {
    /// The project has features already.
    #[error(
        "the project has {count} features already; a backlog is imported into an empty one only"
    )]
    NotEmpty {
        /// How many.
        count: i64,
    },
    /// An entry cannot be stored.
    #[error("entry {index}: {problem}")]
    Invalid {
        /// Its position in the list, from 0.
        index: usize,
        /// What is wrong.
        problem: EntryProblem,
    },
    /// The dependencies of an entry are refused.
    #[error("entry {index} (feature {id}): {problem}")]
    Entry {
        /// Its position in the list, from 0.
        index: usize,
        /// Its id.
        id: FeatureId,
        /// What is wrong.
        problem: DependencyProblem,
    },
}

impl Refusal for ImportRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotEmpty { .. } => "not_empty",
            Self::Invalid { .. } => "invalid_entry",
            Self::Entry { problem, .. } => problem.code(),
        }
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::NotEmpty { .. } | Self::Invalid { .. } => Vec::new(),
            Self::Entry { id, .. } => vec![*id],
        }
    }
}

/// Imports a list of features into a project that has none, with the ids, priorities and states of
/// the list; gives their number. Of several processes at once exactly one imports.
#[derive(Debug, Clone, Serialize)]
pub struct ImportBacklog {
    /// The list, from [`Feature::parse_backlog`].
    pub entries: Vec<Feature>,
}

impl Command for ImportBacklog {
    const NAME: &'static str = "import_backlog";
    type Database = Features;
    type Access = Write;
    type Output = usize;
    type Rejection = ImportRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<usize, Failure<ImportRefusal>> {
        let count = tx.first("SELECT count(*) FROM features", [], |row| row.get(0))?.unwrap_or(0);
        if count > 0 {
            return Err(Failure::Refused(ImportRefusal::NotEmpty { count }));
        }
        self.check_ids()?;
        let graph = DependencyGraph::new(self.entries.iter().map(|entry| GraphNode {
            id: entry.id,
            priority: entry.priority,
            passes: entry.passes,
            in_progress: entry.in_progress,
            needs_human_input: entry.needs_human_input,
            exhausted: false,
            dependencies: entry.dependencies.clone(),
        }));
        let circles = Circles::of(&graph);
        let mut insertion = tx.feature_insertion(EventKind::Imported)?;
        for (index, entry) in self.entries.iter().enumerate() {
            let id = entry.id;
            let dependencies = checked_but_for_cycles(&graph, id, &entry.dependencies)
                .and_then(|dependencies| circles.check(id, dependencies))
                .map_err(|problem| Failure::Refused(ImportRefusal::Entry { index, id, problem }))?;
            insertion.insert(&Feature { dependencies, ..entry.clone() })?;
        }
        Ok(self.entries.len())
    }
}

impl ImportBacklog {
    /// A list from [`Feature::parse_backlog`] has passed this; the fields of an entry are public,
    /// so any other list may hold anything.
    fn check_ids(&self) -> Result<(), Failure<ImportRefusal>> {
        let mut first_with = HashMap::with_capacity(self.entries.len());
        for (index, entry) in self.entries.iter().enumerate() {
            let id = entry.id;
            let problem = match first_with.insert(id, index) {
                _ if id.get() < 1 => EntryProblem::IdBelowOne { id: id.get() },
                Some(first) => EntryProblem::DuplicateId { id, first },
                None => continue,
            };
            return Err(Failure::Refused(ImportRefusal::Invalid { index, problem }));
        }
        Ok(())
    }
}

/// Which circle of dependencies a feature is in, found once for the whole list: a search for each
/// entry would take a time that grows with the square of a long chain, under the write lock.
struct Circles(HashMap<FeatureId, usize>);

impl Circles {
    fn of(graph: &DependencyGraph) -> Self {
        let circles = graph.cycles().into_iter().enumerate();
        Self(circles.flat_map(|(nth, ids)| ids.into_iter().map(move |id| (id, nth))).collect())
    }

    fn check(
        &self,
        id: FeatureId,
        dependencies: Vec<FeatureId>,
    ) -> Result<Vec<FeatureId>, DependencyProblem> {
        let Some(circle) = self.0.get(&id) else { return Ok(dependencies) };
        match dependencies.iter().find(|dependency| self.0.get(dependency) == Some(circle)) {
            Some(&dependency) => Err(DependencyProblem::Cycle { id, dependency }),
            None => Ok(dependencies),
        }
    }
}
