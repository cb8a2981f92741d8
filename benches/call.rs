//! What does a durable command cost, against the same statements on a bare connection with one
//! transaction each: for one caller, for many that wait, and for one that does not?
//!
//! "The same in a thread of its own" is that connection behind two channels: what one caller can have at
//! best of any store whose connection belongs to one thread.
//!
//! A command here claims a feature or gives it back. All variants run on files of the same content
//! beside each other; compare them within one run only.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run can only say where")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{ClaimFeature, ClearInProgress, CreateFeatures, FeatureId, Store};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::bounded;
use rusqlite::Connection;
use tempfile::TempDir;

const FEATURES: usize = 1000;

fn project() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    store.call(CreateFeatures::new(realistic_backlog(FEATURES, 1))).unwrap();
    (folder, store)
}

fn id(n: u64) -> i64 {
    1 + i64::try_from(n / 2).unwrap() % 1000
}

/// The n-th command: claims and releases take turns, so every one of them writes.
fn call(store: &Store, n: u64, of: i64) {
    let id = FeatureId::from(of);
    if n.is_multiple_of(2) {
        assert!(!store.call(ClaimFeature { id }).unwrap().already_claimed);
    } else {
        store.call(ClearInProgress { id }).unwrap();
    }
}

/// The same on a connection.
struct Raw {
    connection: Connection,
    _folder: TempDir,
}

impl Raw {
    fn new() -> Self {
        let (folder, store) = project();
        store.close();
        let connection = Connection::open(store.path()).unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        Self { connection, _folder: folder }
    }

    fn call(&self, n: u64) {
        let execute = |sql, id: Option<i64>| {
            let mut statement = self.connection.prepare_cached(sql).unwrap();
            statement.execute(rusqlite::params_from_iter(id)).unwrap()
        };
        let of = id(n);
        execute("BEGIN IMMEDIATE", None);
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT id, priority, category, name, description, steps, passes, in_progress,
                        dependencies, needs_human_input, human_input_request, human_input_response
                 FROM features WHERE id = ?1",
            )
            .unwrap();
        let text = |row: &rusqlite::Row<'_>, column: usize| row.get::<_, String>(column).unwrap();
        let texts =
            statement.query_row([of], |row| Ok([2, 3, 4, 5].map(|column| text(row, column))));
        std::hint::black_box(texts.unwrap());
        if n.is_multiple_of(2) {
            execute("UPDATE features SET in_progress = 1 WHERE id = ?1", Some(of));
        } else {
            execute("UPDATE features SET in_progress = 0 WHERE id = ?1", Some(of));
        }
        execute("COMMIT", None);
    }
}

/// How long `callers` threads take for `commands` commands together, each on a feature of its own.
fn callers_at_once(store: &Store, callers: u64, commands: u64) -> Duration {
    let (ready, go) = (AtomicUsize::new(0), AtomicBool::new(false));
    // An even number each, so that nothing stays claimed; enough of them that what starting and ending
    // the threads takes is not seen.
    let each = commands.div_ceil(callers).next_multiple_of(2).max(100);
    let elapsed = thread::scope(|scope| {
        for caller in 1..=i64::try_from(callers).unwrap() {
            let (ready, go, store) = (&ready, &go, store.clone());
            scope.spawn(move || {
                ready.fetch_add(1, Ordering::SeqCst);
                while !go.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                (0..each).for_each(|n| call(&store, n, caller));
            });
        }
        while ready.load(Ordering::SeqCst) < usize::try_from(callers).unwrap() {
            thread::yield_now();
        }
        go.store(true, Ordering::SeqCst);
        Instant::now()
    })
    .elapsed();
    scaled(elapsed, commands, each * callers)
}

/// The time for `wanted` commands where `done` were carried out.
fn scaled(elapsed: Duration, wanted: u64, done: u64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    elapsed.mul_f64(wanted as f64 / done as f64)
}

/// How long one thread takes that keeps `depth` commands in flight.
fn pipelined(store: &Store, depth: usize, commands: u64) -> Duration {
    let done = commands.next_multiple_of(2);
    let start = Instant::now();
    let mut flight = VecDeque::with_capacity(depth);
    for n in 0..done {
        if flight.len() == depth {
            let wait: Box<dyn FnOnce()> = flight.pop_front().unwrap();
            wait();
        }
        let id = FeatureId::from(id(n));
        flight.push_back(if n.is_multiple_of(2) {
            let reply = store.submit(ClaimFeature { id }).unwrap();
            Box::new(move || assert!(!reply.wait().unwrap().already_claimed))
        } else {
            let reply = store.submit(ClearInProgress { id }).unwrap();
            Box::new(move || drop(reply.wait().unwrap()))
        });
    }
    for wait in flight {
        wait();
    }
    scaled(start.elapsed(), commands, done)
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.measurement_time(Duration::from_secs(4));

    let raw = Raw::new();
    let mut n = 0;
    group.bench_function("bare connection", |bencher| {
        bencher.iter(|| {
            raw.call(n);
            n += 1;
        });
    });

    let raw = Raw::new();
    let (ask, asked) = bounded(1);
    let (answer, answered) = bounded(1);
    let thread = thread::spawn(move || {
        for n in asked {
            raw.call(n);
            answer.send(()).unwrap();
        }
    });
    let mut n = 0;
    group.bench_function("the same in a thread of its own", |bencher| {
        bencher.iter(|| {
            ask.send(n).unwrap();
            answered.recv().unwrap();
            n += 1;
        });
    });
    drop(ask);
    thread.join().unwrap();

    let (_folder, store) = project();
    let mut n = 0;
    group.bench_function("1 caller", |bencher| {
        bencher.iter(|| {
            call(&store, n, id(n));
            n += 1;
        });
    });
    if !n.is_multiple_of(2) {
        call(&store, n, id(n));
    }
    for callers in [8, 64, 256] {
        group.bench_function(BenchmarkId::new("callers", callers), |bencher| {
            bencher.iter_custom(|commands| callers_at_once(&store, callers, commands));
        });
    }
    for depth in [64, 256] {
        group.bench_function(BenchmarkId::new("in flight from one caller", depth), |bencher| {
            bencher.iter_custom(|commands| pipelined(&store, depth, commands));
        });
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
