//! What do our triggers cost a program that knows nothing of them?
//!
//! Claims a feature and gives it back with AutoForge's statements, each in a transaction of its own,
//! on a connection with SQLite's defaults: in a file of ours, and in the same file after our
//! triggers were dropped. Both count single transactions. The two are measured in turns, since disks
//! change their mind.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run can only say where")]

use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{CreateFeatures, Store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::Connection;
use tempfile::TempDir;

const FEATURES: i64 = 200;
const TRIGGERS: [&str; 4] = [
    "autoforge_feature_created",
    "autoforge_feature_changed",
    "autoforge_feature_deleted",
    "autoforge_store_deleted",
];

struct Neighbour {
    connection: Connection,
    next: i64,
    _folder: TempDir,
}

impl Neighbour {
    fn new(triggers: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_project(folder.path()).unwrap();
        store.call(CreateFeatures::new(realistic_backlog(200, 1))).unwrap();
        store.close();
        let connection = Connection::open(store.path()).unwrap();
        for trigger in TRIGGERS.iter().filter(|_| !triggers) {
            connection.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
        }
        Self { connection, next: 0, _folder: folder }
    }

    /// Two transactions.
    fn claim_and_give_back(&mut self) {
        let id = self.next % FEATURES + 1;
        self.next += 1;
        for sql in [
            "UPDATE features SET in_progress = 1
             WHERE id = ?1 AND passes = 0 AND in_progress = 0 AND needs_human_input = 0",
            "UPDATE features SET in_progress = 0 WHERE id = ?1",
        ] {
            let execute = |sql, id: &[i64]| {
                let mut statement = self.connection.prepare_cached(sql).unwrap();
                statement.execute(rusqlite::params_from_iter(id)).unwrap()
            };
            execute("BEGIN IMMEDIATE", &[]);
            assert_eq!(execute(sql, &[id]), 1);
            execute("COMMIT", &[]);
        }
    }

    fn time(&mut self, rounds: u64) -> Duration {
        let started = Instant::now();
        for _ in 0..rounds {
            self.claim_and_give_back();
        }
        started.elapsed()
    }
}

fn triggers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("neighbour");
    group.throughput(Throughput::Elements(2)).sample_size(30);
    let (mut without, mut with) = (Neighbour::new(false), Neighbour::new(true));
    // Each measures itself and lets the other run for as long beside it.
    group.bench_function("without triggers", |bencher| {
        bencher.iter_custom(|rounds| {
            with.time(rounds);
            without.time(rounds)
        });
    });
    group.bench_function("with triggers", |bencher| {
        bencher.iter_custom(|rounds| {
            without.time(rounds);
            with.time(rounds)
        });
    });
    group.finish();
}

criterion_group!(benches, triggers);
criterion_main!(benches);
