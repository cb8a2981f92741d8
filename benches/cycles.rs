//! How many features a second are claimed and finished, by one caller and by many of one process,
//! against a bare connection?
//!
//! A cycle claims the feature that comes first and marks it passing: two commands, each durable when it
//! is answered. "bare" does the same in two transactions with the statements that AutoForge's schema
//! needs and an index that leads to the next feature, without history, owners, dependencies and triggers. The
//! two take turns; ratios are of one run.
//!
//! `--quick` for a first look; `--callers N` and `--cycles N` for the store alone, to profile it.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, or says where it fails"
)]

use std::thread;
use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{
    ClaimNext, ClaimedNext, CreateFeatures, GetReady, MarkPassing, PlannedFeature, Store,
};
use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

const CALLERS: [usize; 4] = [1, 8, 64, 256];

/// What was done in a run.
struct Run {
    cycles_a_second: f64,
    /// How long a cycle took, the shortest first.
    cycles: Vec<Duration>,
}

fn main() {
    // Cargo runs benchmarks as tests too; there is nothing to find out then.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap().parse().unwrap())
    };
    if let Some(callers) = number("--callers") {
        print("store", &by_the_store(callers, number("--cycles").unwrap_or(20_000)), None);
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (rounds, cycles) = if quick { (1, 2_000) } else { (3, 6_000) };
    println!("means: cycles/s, against bare, median and 99th percentile and longest of a cycle");
    for callers in CALLERS {
        let mut bare = Vec::new();
        let mut store = Vec::new();
        for _ in 0..rounds {
            bare.push(by_hand(cycles));
            store.push(by_the_store(callers, cycles));
        }
        let (bare, store) = (median(bare), median(store));
        println!("{callers} callers");
        print("  bare, one caller", &bare, None);
        print("  store", &store, Some(&bare));
    }
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.cycles_a_second.total_cmp(&b.cycles_a_second));
    runs.swap_remove(runs.len() / 2)
}

fn print(means: &str, run: &Run, against: Option<&Run>) {
    let at = |share: usize| {
        let cycle = run.cycles.get(run.cycles.len() * share / 100).or(run.cycles.last());
        cycle.copied().unwrap_or_default().as_secs_f64() * 1_000.0
    };
    let rate = run.cycles_a_second;
    let ratio =
        against.map_or(String::new(), |bare| format!(", {:.2}x", rate / bare.cycles_a_second));
    println!("{means}: {rate:.0}/s{ratio}, {:.2} / {:.2} / {:.1} ms", at(50), at(99), at(100));
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn run(mut cycles: Vec<Duration>, took: Duration) -> Run {
    cycles.sort_unstable();
    Run { cycles_a_second: cycles.len() as f64 / took.as_secs_f64(), cycles }
}

/// Features that wait for nothing.
fn project(features: usize) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    let free = |planned| PlannedFeature { depends_on: Vec::new(), ..planned };
    let features = realistic_backlog(features, 1).into_iter().map(free).collect();
    store.call(CreateFeatures::new(features)).unwrap();
    (folder, store)
}

fn by_the_store(callers: usize, cycles: usize) -> Run {
    let (_folder, store) = project(cycles);
    // What the first question costs is that of benches/size.
    store.call(GetReady { limit: 1 }).unwrap();
    let began = Instant::now();
    let cycles = thread::scope(|scope| {
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(|| call(&store))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    run(cycles, began.elapsed())
}

fn call(store: &Store) -> Vec<Duration> {
    let mut cycles = Vec::new();
    loop {
        let began = Instant::now();
        let ClaimedNext::Feature(claimed) = store.call(ClaimNext).unwrap() else { return cycles };
        store.call(MarkPassing { id: claimed.feature.id }).unwrap();
        cycles.push(began.elapsed());
    }
}

fn by_hand(cycles: usize) -> Run {
    let (_folder, store) = project(cycles);
    store.close();
    let connection = Connection::open(store.path()).unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<String> = connection
        .prepare(triggers)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for trigger in triggers {
        connection.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    // By AutoForge's indexes alone, the question for the next one costs more the more there are.
    let next = "CREATE INDEX next ON features (priority, id) WHERE passes = 0 AND in_progress = 0";
    connection.execute_batch(next).unwrap();
    let began = Instant::now();
    let mut done = Vec::new();
    loop {
        let began = Instant::now();
        if !cycle_by_hand(&connection) {
            break;
        }
        done.push(began.elapsed());
    }
    run(done, began.elapsed())
}

/// Whether there was a feature left.
fn cycle_by_hand(connection: &Connection) -> bool {
    let execute = |sql, id: Option<i64>| {
        let mut statement = connection.prepare_cached(sql).unwrap();
        statement.execute(rusqlite::params_from_iter(id)).unwrap()
    };
    execute("BEGIN IMMEDIATE", None);
    let first = "SELECT id, name, description, steps FROM features INDEXED BY next
         WHERE passes = 0 AND in_progress = 0 ORDER BY priority, id LIMIT 1";
    let mut first = connection.prepare_cached(first).unwrap();
    let text = |row: &rusqlite::Row<'_>, column: usize| row.get::<_, String>(column).unwrap();
    let found = first.query_row([], |row| {
        Ok((row.get::<_, i64>(0)?, [1, 2, 3].map(|column| text(row, column))))
    });
    let Some((id, texts)) = found.optional().unwrap() else {
        execute("COMMIT", None);
        return false;
    };
    std::hint::black_box(texts);
    execute("UPDATE features SET in_progress = 1 WHERE id = ?1", Some(id));
    execute("COMMIT", None);
    execute("BEGIN IMMEDIATE", None);
    execute("UPDATE features SET passes = 1, in_progress = 0 WHERE id = ?1", Some(id));
    execute("COMMIT", None);
    true
}
