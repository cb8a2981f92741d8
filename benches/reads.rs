//! How does the cost of looking at a project, and of choosing from it, grow with its features?
//!
//! Half of the features pass and some are claimed, as in the middle of a project. The cost of opening
//! one and of the first question to it, which reads everything, are printed at the beginning.
#![expect(clippy::print_stdout, reason = "what happens once is printed, not measured again")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run can only say where")]

use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{
    ClaimNext, ClaimedNext, ClearInProgress, CreateFeatures, ExplainFeature, GetBlocked, GetGraph,
    GetReady, GetSnapshot, GetStats, ListFeatures, MarkPassing, Store,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rusqlite::Connection;
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

/// Prints what opening costs, the first question and the one after it.
fn tell_of_the_first(folder: &TempDir, features: usize) {
    let began = Instant::now();
    let store = Store::open_project(folder.path()).unwrap();
    let opened = began.elapsed();
    store.call(GetStats).unwrap();
    let asked = Instant::now();
    store.call(GetReady { limit: 10 }).unwrap();
    let first = asked.elapsed();
    let again = Instant::now();
    store.call(GetReady { limit: 10 }).unwrap();
    println!(
        "{features} features: opened in {opened:.1?}, first answer in {first:.1?}, the next in {:.1?}",
        again.elapsed()
    );
    store.close();
}

fn claim_and_release(store: &Store) {
    let ClaimedNext::Feature(claimed) = store.call(ClaimNext).unwrap() else { return };
    store.call(ClearInProgress { id: claimed.feature.id }).unwrap();
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reads");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for features in [1000, 10_000, 100_000] {
        let (folder, store) = project(features);
        store.close();
        tell_of_the_first(&folder, features);
        let store = Store::open_project(folder.path()).unwrap();
        group.bench_function(BenchmarkId::new("claim_next and release", features), |bencher| {
            bencher.iter(|| claim_and_release(&store));
        });
        let foreign = Connection::open(store.path()).unwrap();
        let id = BenchmarkId::new("the same, others make 1 of 100 commits", features);
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut spent = Duration::ZERO;
                for round in 0..iterations {
                    if round % 50 == 0 {
                        let sql = "UPDATE features SET in_progress = 1 - in_progress WHERE id = ?1";
                        foreign.execute(sql, [i64::try_from(features).unwrap()]).unwrap();
                    }
                    let began = Instant::now();
                    claim_and_release(&store);
                    spent += began.elapsed();
                }
                spent
            });
        });
        group.bench_function(BenchmarkId::new("explain", features), |bencher| {
            let id = i64::try_from(features).unwrap().into();
            bencher.iter(|| store.call(ExplainFeature { id }).unwrap());
        });
        group.bench_function(BenchmarkId::new("blocked, the first ten", features), |bencher| {
            bencher.iter(|| store.call(GetBlocked { limit: 10 }).unwrap());
        });
        group.bench_function(BenchmarkId::new("snapshot", features), |bencher| {
            bencher.iter(|| store.call(GetSnapshot).unwrap());
        });
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
