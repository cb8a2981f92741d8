//! How does the cost of looking at a project grow with its features?
//!
//! Half of the features pass and some are claimed, as in the middle of a project.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run can only say where")]

use std::time::Duration;

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{
    ClaimNext, ClaimedNext, CreateFeatures, GetGraph, GetReady, GetStats, ListFeatures,
    MarkPassing, Store,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tempfile::TempDir;

fn project(features: usize) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    let created = store.call(CreateFeatures::new(realistic_backlog(features, 1))).unwrap();
    // Ids grow along the dependencies, so the first half can be done.
    let passing = created.ids.iter().take(features / 2);
    let replies: Vec<_> =
        passing.map(|id| store.submit(MarkPassing { id: *id }).unwrap()).collect();
    for reply in replies {
        reply.wait().unwrap();
    }
    for _ in 0..5 {
        assert!(matches!(store.call(ClaimNext), Ok(ClaimedNext::Feature(_))));
    }
    (folder, store)
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reads");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for features in [1000, 10_000] {
        let (_folder, store) = project(features);
        group.bench_function(BenchmarkId::new("stats", features), |bencher| {
            bencher.iter(|| store.call(GetStats).unwrap());
        });
        group.bench_function(BenchmarkId::new("ready, the first ten", features), |bencher| {
            bencher.iter(|| store.call(GetReady { limit: 10 }).unwrap());
        });
        group.bench_function(BenchmarkId::new("graph", features), |bencher| {
            bencher.iter(|| store.call(GetGraph).unwrap());
        });
        group.bench_function(BenchmarkId::new("all features", features), |bencher| {
            bencher.iter(|| store.call(ListFeatures).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, reads);
criterion_main!(benches);
