//! What the reading commands make of the table. Written for plainness: everything is looked up
//! again each time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::types::parse_json;
use crate::{
    Blocked, BlockedFeature, Board, BoardEntry, Feature, FeatureFindings, FeatureId,
    FeatureSummary, Field, Graph, GraphEntry, Ready, Stats, Status, Stored,
};

use super::row::Row;

pub(super) type Table = BTreeMap<FeatureId, Feature>;

pub(super) fn stats(all: &Table) -> Stats {
    let count =
        |is: fn(&Feature) -> bool| all.values().filter(|feature| is(feature)).count() as u64;
    Stats {
        passing: count(|feature| feature.passes),
        in_progress: count(|feature| feature.in_progress),
        needs_human_input: count(|feature| feature.needs_human_input),
        total: count(|_| true),
    }
}

pub(super) fn summary(feature: &Feature) -> FeatureSummary {
    FeatureSummary {
        id: feature.id,
        name: feature.name.clone(),
        passes: feature.passes,
        in_progress: feature.in_progress,
        needs_human_input: feature.needs_human_input,
        dependencies: feature.dependencies.clone(),
    }
}

/// The features that can be taken, but for those that have failed too often.
pub(super) fn ready(all: &Table, exhausted: &BTreeSet<FeatureId>, limit: usize) -> Ready {
    let score = scores(all);
    let mut ready: Vec<&Feature> = all
        .values()
        .filter(|feature| !feature.passes && !feature.in_progress && !feature.needs_human_input)
        .filter(|feature| !exhausted.contains(&feature.id))
        .filter(|feature| unmet(all, feature).is_empty())
        .collect();
    let of = |feature: &Feature| score.get(&feature.id).copied().unwrap_or(0.0);
    ready.sort_by_key(|feature| (feature.priority, feature.id));
    ready.sort_by(|a, b| of(b).total_cmp(&of(a)));
    let total = ready.len();
    Ready { features: ready.into_iter().take(limit).cloned().collect(), total }
}

/// The first of `ready`; those that wait for nothing else than what is in the batch, and for
/// something in it; ready ones of its category, but for `others`.
pub(super) fn batch(
    all: &Table,
    ready: &[Feature],
    exhausted: &BTreeSet<FeatureId>,
    max: usize,
    others: usize,
) -> Vec<Feature> {
    let Some(first) = ready.first().filter(|_| max > 0) else { return Vec::new() };
    let score = scores(all);
    let mut batch = vec![first.clone()];
    while batch.len() < max {
        let is_in = |id: &FeatureId| batch.iter().any(|feature| feature.id == *id);
        let mut followers: Vec<&Feature> = all
            .values()
            .filter(|f| !f.passes && !f.in_progress && !f.needs_human_input && !is_in(&f.id))
            .filter(|f| !exhausted.contains(&f.id) && !unmet(all, f).is_empty())
            .filter(|f| unmet(all, f).iter().all(is_in))
            .collect();
        followers.sort_by_key(|feature| (feature.priority, feature.id));
        let of = |feature: &Feature| score.get(&feature.id).copied().unwrap_or(0.0);
        followers.sort_by(|a, b| of(b).total_cmp(&of(a)));
        let Some(next) = followers.first() else { break };
        batch.push((*next).clone());
    }
    let spare = ready.len().saturating_sub(others + 1);
    let alike = ready.iter().skip(1).filter(|feature| feature.category == first.category);
    let room = max - batch.len();
    batch.extend(alike.take(spare).take(room).cloned());
    batch
}

pub(super) fn blocked(all: &Table, limit: usize) -> Blocked {
    let blocked: Vec<BlockedFeature> = all
        .values()
        .filter(|feature| !feature.passes && !unmet(all, feature).is_empty())
        .map(|feature| BlockedFeature { feature: feature.clone(), blocked_by: unmet(all, feature) })
        .collect();
    let total = blocked.len();
    Blocked { features: blocked.into_iter().take(limit).collect(), total }
}

pub(super) fn graph(all: &Table) -> Graph {
    let status = |feature: &Feature| match feature {
        Feature { passes: true, .. } => Status::Done,
        Feature { needs_human_input: true, .. } => Status::NeedsHumanInput,
        _ if !unmet(all, feature).is_empty() => Status::Blocked,
        Feature { in_progress: true, .. } => Status::InProgress,
        _ => Status::Pending,
    };
    let entry = |feature: &Feature| GraphEntry {
        id: feature.id,
        name: feature.name.clone(),
        category: feature.category.clone(),
        status: status(feature),
        priority: feature.priority,
        dependencies: feature.dependencies.clone(),
    };
    let edge = |feature: &Feature| {
        let to = feature.id;
        existing(all, feature).into_iter().map(move |from| (from, to)).collect::<Vec<_>>()
    };
    Graph {
        nodes: all.values().map(entry).collect(),
        edges: all.values().flat_map(edge).collect(),
        cycles: cycles(all),
        dangling: dangling(all),
    }
}

/// What it depends on and what exists, as often as it says so.
fn existing(all: &Table, feature: &Feature) -> Vec<FeatureId> {
    feature.dependencies.iter().copied().filter(|id| all.contains_key(id)).collect()
}

fn dangling(all: &Table) -> Vec<(FeatureId, FeatureId)> {
    let missing = |feature: &Feature| -> BTreeSet<(FeatureId, FeatureId)> {
        let missing = feature.dependencies.iter().filter(|id| !all.contains_key(id));
        missing.map(|id| (feature.id, *id)).collect()
    };
    all.values().flat_map(missing).collect()
}

/// Those that wait for each other, or for themselves.
fn cycles(all: &Table) -> Vec<Vec<FeatureId>> {
    let circle = |id: &FeatureId| -> Vec<FeatureId> {
        let is_in = |other: &&FeatureId| waits(all, *id, **other) && waits(all, **other, *id);
        all.keys().filter(is_in).copied().collect()
    };
    let cycles: BTreeSet<_> = all.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
    cycles.into_iter().collect()
}

pub(super) fn findings(all: &Table, rows: &BTreeMap<FeatureId, Row>) -> FeatureFindings {
    let of = |wanted: fn(&Feature) -> bool| -> Vec<FeatureId> {
        all.values().filter(|feature| wanted(feature)).map(|feature| feature.id).collect()
    };
    let with = |priority: i64| -> Vec<FeatureId> {
        all.values().filter(|feature| feature.priority == priority).map(|f| f.id).collect()
    };
    let priorities: BTreeSet<i64> = all.values().map(|feature| feature.priority).collect();
    let flags = [Field::Passes, Field::InProgress, Field::NeedsHumanInput];
    let has_null = |row: &Row| flags.into_iter().any(|flag| *row.get(flag) == Stored::Null);
    FeatureFindings {
        total: all.len(),
        cycles: cycles(all),
        dangling: dangling(all),
        shared_priorities: priorities
            .into_iter()
            .map(|priority| (priority, with(priority)))
            .filter(|(_, features)| features.len() > 1)
            .collect(),
        malformed: rows
            .iter()
            .flat_map(|(id, row)| malformed(row).into_iter().map(|column| (*id, column)))
            .collect(),
        null_flags: rows.iter().filter(|(_, row)| has_null(row)).map(|(id, _)| *id).collect(),
        in_progress: of(|feature| feature.in_progress),
        waiting_for_human: of(|feature| feature.needs_human_input),
        records: None,
    }
}

/// The columns whose JSON is not what they are for. NULL is fine everywhere.
fn malformed(row: &Row) -> Vec<&'static str> {
    let is_object = |value: &Value| value.is_object() || value.is_null();
    let is_list_of = |value: &Value, is: fn(&Value) -> bool| {
        let items = value.as_array();
        items.is_some_and(|items| items.iter().all(is))
    };
    let has_twice = |value: &Value| {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        (1..items.len()).any(|at| items.iter().take(at).any(|item| Some(item) == items.get(at)))
    };
    let columns =
        [Field::Steps, Field::Dependencies, Field::HumanInputRequest, Field::HumanInputResponse];
    let is_fine = |field: &Field| {
        let Some(text) = row.text(*field) else { return true };
        parse_json(&text).is_some_and(|value| match field {
            Field::Steps => is_list_of(&value, Value::is_string),
            Field::Dependencies => {
                value.is_null() || is_list_of(&value, Value::is_i64) && !has_twice(&value)
            }
            _ => is_object(&value),
        })
    };
    columns.into_iter().filter(|field| !is_fine(field)).map(Field::as_str).collect()
}

/// `listed` holds all features by priority, then id.
pub(super) fn board(listed: &[Feature]) -> Board {
    let all: Table = listed.iter().map(|feature| (feature.id, feature.clone())).collect();
    let mut board = Board::default();
    for feature in listed {
        let waits = |other: &&Feature| !other.passes && unmet(&all, other).contains(&feature.id);
        let blocked_by = if feature.passes { Vec::new() } else { unmet(&all, feature) };
        let blocks = all.values().filter(waits).map(|other| other.id).collect();
        let column = match feature {
            Feature { passes: true, .. } => &mut board.done,
            Feature { needs_human_input: true, .. } => &mut board.needs_human_input,
            Feature { in_progress: true, .. } => &mut board.in_progress,
            _ => &mut board.pending,
        };
        column.push(BoardEntry { feature: feature.clone(), blocked_by, blocks });
    }
    board
}

/// Whether `feature` waits for `other`, directly or through others.
pub(super) fn waits(all: &Table, feature: FeatureId, other: FeatureId) -> bool {
    let mut known = vec![feature];
    let mut next = 0;
    while let Some(id) = known.get(next).copied() {
        for dependency in all.get(&id).map_or(&[][..], |feature| &feature.dependencies) {
            if *dependency == other {
                return true;
            }
            if !known.contains(dependency) {
                known.push(*dependency);
            }
        }
        next += 1;
    }
    false
}

/// The dependencies that do not pass.
fn unmet(all: &Table, feature: &Feature) -> Vec<FeatureId> {
    let passes = |id: &FeatureId| all.get(id).is_some_and(|dependency| dependency.passes);
    feature.dependencies.iter().copied().filter(|id| !passes(id)).collect()
}

/// `1000·u + 100·d + 10·p`: u = number of dependency paths that start at the feature / the largest
/// such number, d = 1 - depth / largest depth, p = (10 - min(priority, 10)) / 10.
fn scores(all: &Table) -> BTreeMap<FeatureId, f64> {
    let mut paths = BTreeMap::new();
    for id in all.keys() {
        paths_from(all, *id, &mut paths);
    }
    let depths = depths(all);
    let most = paths.values().copied().max_by(f64::total_cmp).unwrap_or(0.0);
    let deepest = depths.values().copied().max().unwrap_or(0);
    let score = |feature: &Feature| {
        let count = paths.get(&feature.id).copied().unwrap_or(0.0);
        let depth = depths.get(&feature.id).copied().unwrap_or(0);
        let u = if most == 0.0 { 0.0 } else { count / most };
        let d = if deepest == 0 { 1.0 } else { 1.0 - f64::from(depth) / f64::from(deepest) };
        #[expect(clippy::cast_precision_loss, reason = "as in the formula")]
        let p = (10.0 - feature.priority.min(10) as f64) / 10.0;
        1000.0 * u + 100.0 * d + 10.0 * p
    };
    all.values().map(|feature| (feature.id, score(feature))).collect()
}

/// The other features that depend on this one.
fn dependents(all: &Table, id: FeatureId) -> Vec<FeatureId> {
    let depends = |other: &&Feature| other.id != id && other.dependencies.contains(&id);
    all.values().filter(depends).map(|other| other.id).collect()
}

/// The features that depend on this one, directly or through others.
fn above(all: &Table, id: FeatureId) -> BTreeSet<FeatureId> {
    let mut known = BTreeSet::new();
    let mut next = dependents(all, id);
    while let Some(other) = next.pop() {
        if known.insert(other) {
            next.extend(dependents(all, other));
        }
    }
    known
}

/// Whether the feature, or one that depends on it, depends on itself through others: its paths have
/// no end.
fn is_tangled(all: &Table, id: FeatureId) -> bool {
    let above_it = above(all, id);
    above_it.contains(&id) || above_it.iter().any(|other| above(all, *other).contains(other))
}

/// The sum over the features that depend on this one of 1 + their own number, where that has an end.
fn paths_from(all: &Table, id: FeatureId, known: &mut BTreeMap<FeatureId, f64>) -> f64 {
    if let Some(count) = known.get(&id) {
        return *count;
    }
    let mut count = 0.0;
    for other in dependents(all, id) {
        count += if is_tangled(all, other) { 1.0 } else { 1.0 + paths_from(all, other, known) };
    }
    known.insert(id, count);
    count
}

/// The length of the shortest way to a feature that depends on no other; 0 where no way ends.
fn depths(all: &Table) -> BTreeMap<FeatureId, u32> {
    let below = |feature: &Feature| {
        let mut below = existing(all, feature);
        below.retain(|id| *id != feature.id);
        below
    };
    let mut depths: BTreeMap<FeatureId, u32> = BTreeMap::new();
    for depth in 0.. {
        let is_next = |feature: &&Feature| {
            let below = below(feature);
            let is_root = depth == 0 && below.is_empty();
            let follows = below.iter().any(|id| depth > 0 && depths.get(id) == Some(&(depth - 1)));
            !depths.contains_key(&feature.id) && (is_root || follows)
        };
        let next: Vec<FeatureId> = all.values().filter(is_next).map(|feature| feature.id).collect();
        if next.is_empty() {
            break;
        }
        depths.extend(next.into_iter().map(|id| (id, depth)));
    }
    depths
}
