//! How long does it take until a project can be worked with: a new one, and one that is up to date?
//! Closing is not counted.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run can only say where")]

use std::path::Path;
use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{CreateFeatures, Store};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn open(folder: &Path) -> Duration {
    let start = Instant::now();
    let store = Store::open_project(folder).unwrap();
    let elapsed = start.elapsed();
    assert!(store.close().fault.is_none());
    elapsed
}

fn opening(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    group.bench_function("new project", |bencher| {
        bencher.iter_custom(|times| {
            (0..times).map(|_| open(tempfile::tempdir().unwrap().path())).sum()
        });
    });
    for features in [100, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_project(folder.path()).unwrap();
        store.call(CreateFeatures::new(realistic_backlog(features, 1))).unwrap();
        store.close();
        group.bench_function(BenchmarkId::new("existing project", features), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| open(folder.path())).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, opening);
criterion_main!(benches);
