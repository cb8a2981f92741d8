//! How much of what a transaction of many savepoints gains over single ones does a group of
//! commands keep?
//!
//! "bare" changes n features in one transaction on a bare connection, each in a savepoint; "store"
//! hands n commands in and then waits for all answers. Both count single changes.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run can only say where")]

use std::time::Duration;

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{CreateFeatures, FeatureId, SkipFeature, Store};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::Connection;
use tempfile::TempDir;

const SIZES: [i64; 4] = [1, 8, 64, 256];

fn project() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    store.call(CreateFeatures::new(realistic_backlog(1000, 1))).unwrap();
    (folder, store)
}

fn skip_bare(connection: &Connection, count: i64) {
    let execute = |sql| connection.prepare_cached(sql).unwrap().execute([]).unwrap();
    execute("BEGIN IMMEDIATE");
    for id in 1..=count {
        execute("SAVEPOINT job");
        let mut select =
            connection.prepare_cached("SELECT name, priority FROM features WHERE id = ?1").unwrap();
        let name: String = select.query_row([id], |row| row.get(0)).unwrap();
        std::hint::black_box(name);
        let mut update = connection
            .prepare_cached(
                "UPDATE features SET priority = (SELECT max(priority) + 1 FROM features),
                        in_progress = 0
                 WHERE id = ?1",
            )
            .unwrap();
        update.execute([id]).unwrap();
        execute("RELEASE job");
    }
    execute("COMMIT");
}

fn skip_by_commands(store: &Store, count: i64) {
    let submit = |id| store.submit(SkipFeature { id: FeatureId::from(id) }).unwrap();
    let replies: Vec<_> = (1..=count).map(submit).collect();
    for reply in replies {
        reply.wait().unwrap();
    }
}

fn groups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group_commit");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    let (_bare_folder, closed) = project();
    closed.close();
    let connection = Connection::open(closed.path()).unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let (_folder, store) = project();
    for size in SIZES {
        group.throughput(Throughput::Elements(size.unsigned_abs()));
        group.bench_function(BenchmarkId::new("bare", size), |bencher| {
            bencher.iter(|| skip_bare(&connection, size));
        });
        group.bench_function(BenchmarkId::new("store", size), |bencher| {
            bencher.iter(|| skip_by_commands(&store, size));
        });
    }
    group.finish();
}

criterion_group!(benches, groups);
criterion_main!(benches);
