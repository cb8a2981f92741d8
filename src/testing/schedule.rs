//! What the reading commands make of the table. Written for plainness: everything is looked up
//! again each time. The model never holds a cycle, so the recursions end.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    Blocked, BlockedFeature, Board, BoardEntry, Feature, FeatureFindings, FeatureId,
    FeatureSummary, Graph, GraphEntry, Ready, Stats, Status, Steps,
};

type Table = BTreeMap<FeatureId, Feature>;

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

pub(super) fn ready(all: &Table, limit: usize) -> Ready {
    let score = scores(all);
    let mut ready: Vec<&Feature> = all
        .values()
        .filter(|feature| !feature.passes && !feature.in_progress && !feature.needs_human_input)
        .filter(|feature| unmet(all, feature).is_empty())
        .collect();
    let of = |feature: &Feature| score.get(&feature.id).copied().unwrap_or(0.0);
    ready.sort_by_key(|feature| (feature.priority, feature.id));
    ready.sort_by(|a, b| of(b).total_cmp(&of(a)));
    let total = ready.len();
    Ready { features: ready.into_iter().take(limit).cloned().collect(), total }
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
        feature.dependencies.iter().map(move |from| (*from, to)).collect::<Vec<_>>()
    };
    Graph {
        nodes: all.values().map(entry).collect(),
        edges: all.values().flat_map(edge).collect(),
        cycles: Vec::new(),
        dangling: Vec::new(),
    }
}

/// No command leaves circles, dangling ids or NULL flags; only an import brings shared priorities and
/// JSON of other forms.
pub(super) fn findings(all: &Table) -> FeatureFindings {
    let of = |wanted: fn(&Feature) -> bool| -> Vec<FeatureId> {
        all.values().filter(|feature| wanted(feature)).map(|feature| feature.id).collect()
    };
    let with = |priority: i64| -> Vec<FeatureId> {
        all.values().filter(|feature| feature.priority == priority).map(|f| f.id).collect()
    };
    let mut priorities: Vec<i64> = all.values().map(|feature| feature.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let odd = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_object());
    let malformed = |feature: &Feature| {
        [
            ("steps", matches!(feature.steps, Steps::Other(_))),
            ("human_input_request", odd(&feature.human_input_request)),
            ("human_input_response", odd(&feature.human_input_response)),
        ]
        .map(|(column, malformed)| malformed.then_some((feature.id, column)))
    };
    FeatureFindings {
        total: all.len(),
        shared_priorities: priorities
            .into_iter()
            .map(|priority| (priority, with(priority)))
            .filter(|(_, features)| features.len() > 1)
            .collect(),
        malformed: all.values().flat_map(malformed).flatten().collect(),
        in_progress: of(|feature| feature.in_progress),
        waiting_for_human: of(|feature| feature.needs_human_input),
        ..FeatureFindings::default()
    }
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
    let mut depths = BTreeMap::new();
    for id in all.keys() {
        paths_from(all, *id, &mut paths);
        depth_of(all, *id, &mut depths);
    }
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

/// The sum over the features that depend on this one of 1 + their own number.
fn paths_from(all: &Table, id: FeatureId, known: &mut BTreeMap<FeatureId, f64>) -> f64 {
    if let Some(count) = known.get(&id) {
        return *count;
    }
    let dependents: Vec<FeatureId> =
        all.values().filter(|other| other.dependencies.contains(&id)).map(|o| o.id).collect();
    let count = dependents.into_iter().map(|other| 1.0 + paths_from(all, other, known)).sum();
    known.insert(id, count);
    count
}

/// The length of the shortest way to a feature without dependencies.
fn depth_of(all: &Table, id: FeatureId, known: &mut BTreeMap<FeatureId, u32>) -> u32 {
    if let Some(depth) = known.get(&id) {
        return *depth;
    }
    let below = all.get(&id).map_or(&[][..], |feature| &feature.dependencies);
    let nearest = below.iter().map(|other| depth_of(all, *other, known)).min();
    let depth = nearest.map_or(0, |nearest| nearest + 1);
    known.insert(id, depth);
    depth
}
