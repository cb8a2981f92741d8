//! The statements on `features` that several commands share.

use std::ops::ControlFlow;
use std::rc::Rc;

use rusqlite::{CachedStatement, Row, params};
use serde_json::Value;

use super::claims::ClaimMarks;
use super::index::Contents;
use super::{Access, LenientRow, Occasion, Tx, Write};
use crate::types::{
    DependencyGraph, EventKind, Feature, FeatureId, FeatureSummary, Field, GraphNode, Steps,
    Stored, ids_json, parse_json, to_json_text,
};

/// What AutoForge's programs give a feature whose priority nobody named.
const DEFAULT_PRIORITY: i64 = 999;

macro_rules! select_features {
    ($rest:literal) => {
        concat!(
            "SELECT id, priority, category, name, description, steps, passes, in_progress, \
             dependencies, needs_human_input, human_input_request, human_input_response \
             FROM features ",
            $rest
        )
    };
}

impl<A: Access> Tx<'_, A> {
    pub(crate) fn feature(&self, id: FeatureId) -> rusqlite::Result<Option<Feature>> {
        self.first(select_features!("WHERE id = ?1"), [id.get()], feature)
    }

    /// Every feature, sooner ones first.
    pub(crate) fn features(&self) -> rusqlite::Result<Vec<Feature>> {
        self.all(select_features!("ORDER BY priority, id"), [], feature)
    }

    /// The same one by one, until the fold breaks off.
    pub(crate) fn fold_features<S, B>(
        &self,
        begin: S,
        mut fold: impl FnMut(S, Feature) -> ControlFlow<B, S>,
    ) -> rusqlite::Result<ControlFlow<B, S>> {
        let mut statement = self.statement(select_features!("ORDER BY priority, id"))?;
        let mut rows = statement.query([])?;
        let mut value = begin;
        while let Some(row) = rows.next()? {
            match fold(value, feature(row)?) {
                ControlFlow::Continue(next) => value = next,
                ControlFlow::Break(end) => return Ok(ControlFlow::Break(end)),
            }
        }
        Ok(ControlFlow::Continue(value))
    }

    pub(crate) fn feature_summary(
        &self,
        id: FeatureId,
    ) -> rusqlite::Result<Option<FeatureSummary>> {
        self.first(
            "SELECT id, name, passes, in_progress, needs_human_input, dependencies
             FROM features WHERE id = ?1",
            [id.get()],
            |row| {
                Ok(FeatureSummary {
                    id: FeatureId::from(row.integer(0, 0)?),
                    name: row.text(1)?,
                    passes: row.boolean(2)?,
                    in_progress: row.boolean(3)?,
                    needs_human_input: row.boolean(4)?,
                    dependencies: dependencies(row, 5)?,
                })
            },
        )
    }

    pub(crate) fn has_feature(&self, id: FeatureId) -> rusqlite::Result<bool> {
        self.exists("SELECT 1 FROM features WHERE id = ?1", [id.get()])
    }

    /// All that scheduling and cycle checks look at.
    pub(crate) fn dependency_graph(&self) -> rusqlite::Result<Rc<DependencyGraph>> {
        match self.index {
            Some(index) => index.look(self, Contents::graph),
            None => self.dependency_graph_anew().map(Rc::new),
        }
    }

    /// The same from the rows alone, for whoever doubts everything else.
    pub(crate) fn dependency_graph_anew(&self) -> rusqlite::Result<DependencyGraph> {
        self.graph(&self.claim_marks()?)
    }

    /// The same for a file that may have no claims yet: as the flags say.
    pub(crate) fn dependency_graph_by_flags(&self) -> rusqlite::Result<DependencyGraph> {
        self.graph(&ClaimMarks::default())
    }

    fn graph(&self, marks: &ClaimMarks) -> rusqlite::Result<DependencyGraph> {
        let nodes = self.graph_nodes(|node| GraphNode {
            in_progress: node.in_progress && !marks.lapsed.contains(&node.id),
            exhausted: marks.exhausted.contains(&node.id),
            ..node
        })?;
        Ok(DependencyGraph::new(nodes))
    }

    /// What each row says of itself, and `mark` makes of it.
    pub(super) fn graph_nodes(
        &self,
        mut mark: impl FnMut(GraphNode) -> GraphNode,
    ) -> rusqlite::Result<Vec<GraphNode>> {
        self.all(
            "SELECT id, priority, passes, in_progress, needs_human_input, dependencies
             FROM features ORDER BY id",
            [],
            |row| graph_node(row, 0).map(&mut mark),
        )
    }

    /// How many features there are, pass, are in progress and wait for a human, by their flags.
    pub(crate) fn counts_by_flags(&self) -> rusqlite::Result<[u64; 4]> {
        if let Some(index) = self.index.filter(|index| index.is_read()) {
            return index.look(self, |contents| {
                let counts = contents.graph().counts();
                let in_progress = contents.flagged_in_progress();
                [counts.total, counts.passing, in_progress, counts.needs_human_input]
                    .map(|count| u64::try_from(count).unwrap_or(u64::MAX))
            });
        }
        // One index begins with these columns, so features of the same flags lie side by side in it.
        let mut statement = self.statement(
            "SELECT count(*), passes, in_progress, needs_human_input FROM features
             GROUP BY passes, in_progress, needs_human_input",
        )?;
        let mut rows = statement.query([])?;
        let mut counts = [0_u64; 4];
        while let Some(row) = rows.next()? {
            let alike = row.integer(0, 0)?.unsigned_abs();
            let flags = [true, row.boolean(1)?, row.boolean(2)?, row.boolean(3)?];
            for (count, _) in counts.iter_mut().zip(flags).filter(|(_, flag)| *flag) {
                *count += alike;
            }
        }
        Ok(counts)
    }

    /// Whether the triggers are there that write down what other programs do.
    pub(super) fn has_feature_triggers(&self) -> rusqlite::Result<bool> {
        let triggers = self.first(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'features'
                 AND name IN ('autoforge_feature_created', 'autoforge_feature_changed',
                              'autoforge_feature_deleted')",
            [],
            |row| row.integer(0, 0),
        )?;
        Ok(triggers == Some(3))
    }

    /// The category of each feature.
    pub(crate) fn categories(&self) -> rusqlite::Result<Vec<(FeatureId, String)>> {
        self.all("SELECT id, category FROM features", [], |row| {
            Ok((FeatureId::from(row.integer(0, 0)?), row.text(1)?))
        })
    }

    /// The highest priority in the table; 0 where there is no feature.
    pub(crate) fn highest_priority(&self) -> rusqlite::Result<i64> {
        let highest =
            self.first("SELECT max(priority) FROM features", [], |row| row.integer(0, 0))?;
        Ok(highest.unwrap_or(0))
    }

    /// A feature whose priority is within the bounds, both included, and that priority.
    pub(crate) fn priority_holder(
        &self,
        lowest: i64,
        highest: i64,
    ) -> rusqlite::Result<Option<(FeatureId, i64)>> {
        self.first(
            "SELECT id, priority FROM features WHERE priority BETWEEN ?1 AND ?2
             ORDER BY priority, id LIMIT 1",
            [lowest, highest],
            |row| Ok((FeatureId::from(row.integer(0, 0)?), row.integer(1, 0)?)),
        )
    }

    /// The lowest id that was never given out: above every existing and every deleted one.
    /// `None` once the last id is taken.
    pub(crate) fn next_feature_id(&self) -> rusqlite::Result<Option<FeatureId>> {
        let highest = self.first(
            "SELECT max(
                coalesce((SELECT max(id) FROM features), 0),
                coalesce((SELECT value FROM autoforge_store WHERE fact = 'feature_id_floor'), 0))",
            [],
            |row| row.integer(0, 0),
        )?;
        Ok(highest.unwrap_or(0).checked_add(1).map(FeatureId::from))
    }
}

impl Tx<'_, Write> {
    /// Prepares to insert features, one or many, on one occasion.
    pub(crate) fn feature_insertion(
        &self,
        kind: EventKind,
    ) -> rusqlite::Result<FeatureInsertion<'_>> {
        let sql = if self.has_abandoned_column()? {
            "INSERT INTO features (id, priority, category, name, description, steps, passes,
                 in_progress, dependencies, needs_human_input, human_input_request,
                 human_input_response, testing_in_progress)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0)"
        } else {
            "INSERT INTO features (id, priority, category, name, description, steps, passes,
                 in_progress, dependencies, needs_human_input, human_input_request,
                 human_input_response)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        };
        Ok(FeatureInsertion { tx: self, statement: self.statement(sql)?, kind })
    }

    /// Whether every insertion must give `testing_in_progress`, which some releases made NOT NULL
    /// without a default, and then gave up.
    pub(super) fn has_abandoned_column(&self) -> rusqlite::Result<bool> {
        self.exists(
            "SELECT 1 FROM pragma_table_info('features') WHERE name = 'testing_in_progress'",
            [],
        )
    }

    /// Remembers that `id` was given out, so that deleting it does not free it.
    pub(super) fn raise_feature_id_floor(&self, id: FeatureId) -> rusqlite::Result<()> {
        self.execute(
            "UPDATE autoforge_store SET value = ?1
             WHERE fact = 'feature_id_floor' AND value < ?1",
            [id.get()],
        )
        .map(drop)
    }

    pub(crate) fn set_dependencies(
        &self,
        id: FeatureId,
        dependencies: &[FeatureId],
        occasion: Occasion,
    ) -> rusqlite::Result<()> {
        let text = dependencies_text(dependencies).map_or(Stored::Null, Stored::Text);
        self.change_stored(id, &[(Field::Dependencies, text)], occasion)
    }
}

/// A prepared insertion into `features`.
pub(crate) struct FeatureInsertion<'t> {
    tx: &'t Tx<'t, Write>,
    statement: CachedStatement<'t>,
    kind: EventKind,
}

impl FeatureInsertion<'_> {
    /// The feature's id comes from [`Tx::next_feature_id`], or from a list.
    pub(crate) fn insert(&mut self, feature: &Feature) -> rusqlite::Result<()> {
        self.tx.touch(feature.id);
        self.statement.execute(params![
            feature.id.get(),
            feature.priority,
            feature.category,
            feature.name,
            feature.description,
            to_json_text(&feature.steps.to_json()),
            feature.passes,
            feature.in_progress,
            dependencies_text(&feature.dependencies),
            feature.needs_human_input,
            feature.human_input_request.as_ref().map(to_json_text),
            feature.human_input_response.as_ref().map(to_json_text),
        ])?;
        let claim =
            if feature.in_progress { Some(self.tx.note_unowned_claim(feature.id)?) } else { None };
        self.tx.note_created(feature.id, Occasion::from(self.kind).under(claim))
    }
}

/// None is stored as NULL, which every program reads.
pub(super) fn dependencies_text(dependencies: &[FeatureId]) -> Option<String> {
    (!dependencies.is_empty()).then(|| to_json_text(&ids_json(dependencies)))
}

fn feature(row: &Row<'_>) -> rusqlite::Result<Feature> {
    Ok(Feature {
        id: FeatureId::from(row.integer(0, 0)?),
        priority: row.integer(1, DEFAULT_PRIORITY)?,
        category: row.text(2)?,
        name: row.text(3)?,
        description: row.text(4)?,
        steps: Steps::from(json_or_text(row.text(5)?)),
        passes: row.boolean(6)?,
        in_progress: row.boolean(7)?,
        dependencies: dependencies(row, 8)?,
        needs_human_input: row.boolean(9)?,
        human_input_request: optional_json(row, 10)?,
        human_input_response: optional_json(row, 11)?,
    })
}

/// A node as its row alone has it: its id in that column, and the others after it.
pub(super) fn graph_node(row: &Row<'_>, first: usize) -> rusqlite::Result<GraphNode> {
    Ok(GraphNode {
        id: FeatureId::from(row.integer(first, 0)?),
        priority: row.integer(first + 1, DEFAULT_PRIORITY)?,
        passes: row.boolean(first + 2)?,
        in_progress: row.boolean(first + 3)?,
        needs_human_input: row.boolean(first + 4)?,
        exhausted: false,
        dependencies: dependencies(row, first + 5)?,
    })
}

/// Text that is no JSON is shown as the text it is.
fn json_or_text(text: String) -> Value {
    parse_json(&text).unwrap_or(Value::String(text))
}

fn optional_json(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Value>> {
    let value = row.optional_text(column)?.map(json_or_text);
    Ok(value.filter(|value| !value.is_null()))
}

fn dependencies(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<FeatureId>> {
    Ok(dependencies_in(row.optional_text(column)?.as_deref()))
}

/// The integers of the stored array. An integer beyond 64 bits saturates: it names no feature, and
/// the feature must go on waiting for it.
pub(crate) fn dependencies_in(text: Option<&str>) -> Vec<FeatureId> {
    let Some(Value::Array(items)) = text.and_then(parse_json) else { return Vec::new() };
    let id = |item: &Value| item.as_i64().or_else(|| item.as_u64().map(|_| i64::MAX));
    // No more room than they take: an index holds them for every feature.
    let mut ids = Vec::with_capacity(items.len());
    ids.extend(items.iter().filter_map(id).map(FeatureId::from));
    ids
}
