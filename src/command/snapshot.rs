//! What an orchestrator decides on.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Read, Tx};
use crate::types::{EventId, FeatureId, Obstacle};

/// Where a project stands: how many features are in which state, what is ready, and what can be
/// tested. All of it is of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The last change that is in it.
    pub last_event: EventId,
    /// All features.
    pub total: usize,
    /// Those that pass.
    pub passing: usize,
    /// Those that can be taken, in scheduling order.
    pub ready: Vec<FeatureId>,
    /// Those that do not pass and that somebody works on.
    pub in_progress: usize,
    /// Those that do not pass and wait for a human, by id.
    pub waiting_for_human: Vec<FeatureId>,
    /// Those that do not pass and wait for others.
    pub blocked: usize,
    /// Those that have failed too often.
    pub exhausted: usize,
    /// Those that pass and that nobody works on, by id.
    pub testable: Vec<Testable>,
}

/// A passing feature, with what makes it worth testing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Testable {
    /// Which one.
    pub id: FeatureId,
    /// How many features depend on it.
    pub dependents: usize,
    /// How many it depends on.
    pub dependencies: usize,
}

/// Takes a [`Snapshot`].
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateFeature, GetSnapshot, NewFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let id = store.call(CreateFeature::new(login)).unwrap().id;
/// let snapshot = store.call(GetSnapshot).unwrap();
/// assert_eq!((snapshot.total, snapshot.ready), (1, vec![id]));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GetSnapshot;

impl Command for GetSnapshot {
    const NAME: &'static str = "get_snapshot";
    type Database = Features;
    type Access = Read;
    type Output = Snapshot;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Snapshot, Failure<Infallible>> {
        let graph = tx.dependency_graph()?;
        let mut snapshot = Snapshot {
            last_event: tx.last_event()?,
            total: graph.counts().total,
            ready: graph.ready(),
            blocked: graph.blocked().len(),
            ..Snapshot::default()
        };
        let mut dependents: BTreeMap<FeatureId, usize> = BTreeMap::new();
        for node in graph.nodes() {
            for dependency in &node.dependencies {
                *dependents.entry(*dependency).or_default() += 1;
            }
        }
        for node in graph.nodes() {
            if node.passes {
                snapshot.passing += 1;
                if !node.in_progress {
                    snapshot.testable.push(Testable {
                        id: node.id,
                        dependents: dependents.get(&node.id).copied().unwrap_or(0),
                        dependencies: node.dependencies.len(),
                    });
                }
            }
            for obstacle in graph.obstacles(node.id).unwrap_or_default() {
                match obstacle {
                    Obstacle::WaitsForHuman => snapshot.waiting_for_human.push(node.id),
                    Obstacle::InProgress => snapshot.in_progress += 1,
                    Obstacle::Exhausted => snapshot.exhausted += 1,
                    Obstacle::Passes | Obstacle::Dependency(_) => {}
                }
            }
        }
        Ok(snapshot)
    }
}
