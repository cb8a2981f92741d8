//! What can be worked on, what cannot, and how features hang together.

use std::collections::BTreeSet;
use std::convert::Infallible;

use serde_json::{Value, json};

use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{LenientRow, Read, Tx};
use crate::types::{Feature, FeatureId, Status, ids_json};

/// The first ready features, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// The first ones in scheduling order.
    pub features: Vec<Feature>,
    /// All ready features.
    pub total: usize,
}

/// The features that can be taken: not passing, not claimed, not waiting for a human, with all
/// dependencies passing; in scheduling order.
#[derive(Debug, Clone, Copy)]
pub struct GetReady {
    /// At most so many are given.
    pub limit: usize,
}

impl Command for GetReady {
    const NAME: &'static str = "get_ready";
    type Database = Features;
    type Access = Read;
    type Output = Ready;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Ready, Failure<Infallible>> {
        let graph = tx.dependency_graph()?;
        let mut features = Vec::new();
        for id in graph.first_ready(self.limit) {
            // The claim of a ready feature, if there is one, is over.
            features.extend(tx.feature(id)?.map(|f| Feature { in_progress: false, ..f }));
        }
        Ok(Ready { features, total: graph.ready_count() })
    }
}

/// A feature that waits for others.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockedFeature {
    /// The feature.
    pub feature: Feature,
    /// Its dependencies that do not pass, ids that do not exist included.
    pub blocked_by: Vec<FeatureId>,
}

/// The first blocked features, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked {
    /// The first ones by id.
    pub features: Vec<BlockedFeature>,
    /// All blocked features.
    pub total: usize,
}

/// The features that do not pass and have a dependency that does not pass; by id.
#[derive(Debug, Clone, Copy)]
pub struct GetBlocked {
    /// At most so many are given.
    pub limit: usize,
}

impl Command for GetBlocked {
    const NAME: &'static str = "get_blocked";
    type Database = Features;
    type Access = Read;
    type Output = Blocked;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Blocked, Failure<Infallible>> {
        let graph = tx.dependency_graph()?;
        let mut features = Vec::new();
        for id in graph.first_blocked(self.limit) {
            if let Some(feature) = tx.feature(id)? {
                features.push(BlockedFeature { feature, blocked_by: graph.unmet(id) });
            }
        }
        Ok(Blocked { features, total: graph.blocked_count() })
    }
}

/// A feature in the [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphEntry {
    /// Its number.
    pub id: FeatureId,
    /// What it is called.
    pub name: String,
    /// What it belongs to.
    pub category: String,
    /// Where it stands.
    pub status: Status,
    /// Lower is sooner.
    pub priority: i64,
    /// The features that must pass first, as stored.
    pub dependencies: Vec<FeatureId>,
}

/// All features and what they wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// By id.
    pub nodes: Vec<GraphEntry>,
    /// From dependency to dependent; only between features that exist.
    pub edges: Vec<(FeatureId, FeatureId)>,
    /// Features that wait for each other in a circle, each circle by id; none in a sound project.
    pub cycles: Vec<Vec<FeatureId>>,
    /// Feature, and an id it depends on that does not exist.
    pub dangling: Vec<(FeatureId, FeatureId)>,
}

impl Graph {
    /// The graph as the tools show it: `nodes`, and as `edges` everything that a feature waits for,
    /// ids that do not exist included.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let node = |node: &GraphEntry| {
            json!({
                "id": node.id.get(),
                "name": node.name,
                "category": node.category,
                "status": node.status.as_str(),
                "priority": node.priority,
                "dependencies": ids_json(&node.dependencies),
            })
        };
        let edges = |node: &GraphEntry| {
            let target = node.id.get();
            let edge = move |source: &FeatureId| json!({"source": source.get(), "target": target});
            node.dependencies.iter().map(edge).collect::<Vec<_>>()
        };
        json!({
            "nodes": self.nodes.iter().map(node).collect::<Value>(),
            "edges": self.nodes.iter().flat_map(edges).collect::<Value>(),
        })
    }
}

/// The dependency graph with the state of each feature.
#[derive(Debug, Clone, Copy)]
pub struct GetGraph;

impl Command for GetGraph {
    const NAME: &'static str = "get_graph";
    type Database = Features;
    type Access = Read;
    type Output = Graph;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Graph, Failure<Infallible>> {
        let graph = tx.dependency_graph()?;
        let texts = tx.all("SELECT name, category FROM features ORDER BY id", [], |row| {
            Ok((row.text(0)?, row.text(1)?))
        })?;
        // Both statements run on one snapshot and order by id, so rows and nodes match.
        let nodes: Vec<_> = graph
            .nodes()
            .zip(texts)
            .map(|(node, (name, category))| GraphEntry {
                id: node.id,
                name,
                category,
                status: graph.status(node.id).unwrap_or(Status::Pending),
                priority: node.priority,
                dependencies: node.dependencies.clone(),
            })
            .collect();
        let known: BTreeSet<FeatureId> = nodes.iter().map(|node| node.id).collect();
        let edges = nodes
            .iter()
            .flat_map(|node| node.dependencies.iter().map(move |source| (*source, node.id)))
            .filter(|(source, _)| known.contains(source))
            .collect();
        Ok(Graph { nodes, edges, cycles: graph.cycles(), dangling: graph.dangling() })
    }
}
