//! What a group tells its callers when SQLite fails under it. The faults are made inside the
//! connection, where no test from outside can reach.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Attempt, Expiry, Job, Kind, Queue, Verdict};
use super::{Absent, Engine, JournalMode, Location, Observer, OpenOptions};
use crate::database::{Assistant, Database, Features, Schema};
use crate::error::{LockHolder, StorageError};
use crate::sync::Mutex;
use crate::tx::{Transaction, Tx, Write};

type Answers = Arc<Mutex<Vec<(&'static str, Result<(), StorageError>)>>>;

/// Runs a statement, and keeps or discards what it did.
struct Scripted {
    name: &'static str,
    sql: &'static str,
    verdict: Verdict,
    answers: Answers,
}

const CREATE: &str = "INSERT INTO features (priority, category, name, description, steps, passes,
        in_progress, needs_human_input)
    VALUES (1, 'c', 'n', 'd', '[]', 0, 0, 0)";

impl Job for Scripted {
    fn kind(&self) -> Kind {
        Kind::Write
    }

    fn expired(&self, _: Instant) -> Option<Expiry> {
        None
    }

    fn start(&mut self) -> bool {
        true
    }

    fn run(&mut self, transaction: Transaction<'_>) -> Verdict {
        Tx::<Write>::new(transaction).define(self.sql).unwrap();
        self.verdict
    }

    fn maintain(&mut self, _: &mut Engine) {}

    fn panicked(&mut self, _: String) {}

    fn settle(self: Box<Self>, group: Result<(), StorageError>) {
        self.answers.lock().push((self.name, group));
    }

    fn expire(self: Box<Self>, _: Expiry, _: Option<LockHolder>) {}
}

/// Notes in which order it and the callers are told.
#[derive(Debug)]
struct Owner(Answers);

impl Observer for Owner {
    fn failed(&mut self) {
        self.0.lock().push(("the owner", Ok(())));
    }

    fn committed(&mut self) {}

    fn is_watched(&self) -> bool {
        false
    }
}

struct Bench {
    engine: Engine,
    answers: Answers,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::of(Features::SCHEMA)
    }

    fn of(schema: Schema) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::resolve(&dir.path().join("file.db")).unwrap();
        let options = OpenOptions::default();
        let answers = Answers::default();
        let told = Box::new(Owner(Arc::clone(&answers)));
        let (engine, _) =
            Engine::open(location, Absent::Create, schema, &options, |_| {}, told).unwrap();
        Self { engine, answers, _dir: dir }
    }

    fn run(&mut self, jobs: &[(&'static str, &'static str, Verdict)]) {
        let mut queue = Queue::new();
        for &(name, sql, verdict) in jobs {
            let answers = Arc::clone(&self.answers);
            queue.push_back(Box::new(Scripted { name, sql, verdict, answers }));
        }
        assert_eq!(self.engine.write(&mut queue, 100), Attempt::Done);
        assert!(queue.is_empty());
    }

    fn answers(&self) -> Vec<(&'static str, &'static str)> {
        let code = |answer: &Result<(), StorageError>| match answer {
            Ok(()) => "ok",
            Err(fault) => fault.code(),
        };
        self.answers.lock().drain(..).map(|(name, answer)| (name, code(&answer))).collect()
    }

    fn features(&self) -> i64 {
        let sql = "SELECT count(*) FROM features";
        self.engine.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

#[test]
fn a_failed_commit_is_unknown_to_those_who_wrote_and_poisons_the_engine() {
    let mut bench = Bench::new();
    bench.engine.connection.commit_hook(Some(|| true)).unwrap();
    bench.run(&[
        ("creates", CREATE, Verdict::Keep),
        ("refuses", CREATE, Verdict::Discard),
        ("creates too", CREATE, Verdict::Keep),
    ]);
    assert_eq!(
        bench.answers(),
        [
            // Whoever opens the file after an answer must not get this engine again.
            ("the owner", "ok"),
            ("creates", "outcome_unknown"),
            ("refuses", "group_aborted"),
            ("creates too", "outcome_unknown")
        ]
    );
    bench.engine.connection.commit_hook(None::<fn() -> bool>).unwrap();
    bench.run(&[("later", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("later", "poisoned")]);
}

#[test]
fn a_fault_that_undoes_the_transaction_undoes_every_answer_of_the_group() {
    let mut bench = Bench::new();
    bench.run(&[
        ("creates", CREATE, Verdict::Keep),
        ("refuses", CREATE, Verdict::Discard),
        // What a full disk does to a transaction.
        ("breaks", "ROLLBACK", Verdict::Keep),
    ]);
    assert_eq!(
        bench.answers(),
        [("creates", "group_aborted"), ("refuses", "group_aborted"), ("breaks", "group_aborted")]
    );
    assert_eq!(bench.features(), 0);
    bench.run(&[("behind it", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("behind it", "ok")]);
    assert_eq!(bench.features(), 1);
}

#[test]
fn a_job_that_discards_is_undone_alone() {
    let mut bench = Bench::new();
    bench.run(&[
        ("creates", CREATE, Verdict::Keep),
        ("refuses", CREATE, Verdict::Discard),
        ("creates too", CREATE, Verdict::Keep),
    ]);
    assert_eq!(bench.answers(), [("creates", "ok"), ("refuses", "ok"), ("creates too", "ok")]);
    assert_eq!(bench.features(), 2);
}

#[test]
fn without_a_log_a_reader_in_the_way_of_a_commit_undoes_the_group_and_no_more() {
    let mut bench = Bench::new();
    let mode = "PRAGMA journal_mode = DELETE";
    let mode: String = bench.engine.connection.query_row(mode, [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    bench.engine.journal = JournalMode::Rollback;
    bench.engine.lock_wait = Duration::ZERO;
    let reader = rusqlite::Connection::open(bench.engine.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM features").unwrap();
    bench.run(&[("beside a reader", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("beside a reader", "busy")]);
    reader.execute_batch("COMMIT").unwrap();
    bench.run(&[("alone", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("alone", "ok")]);
    assert_eq!(bench.features(), 1);
}

/// It counts only where the power goes: then a journal that is still in the folder takes the commit back.
/// With a log, SQLite leaves the sync of commits to the engine.
#[test]
fn without_a_log_a_commit_syncs_the_folder_too() {
    for (schema, expected) in [(Features::SCHEMA, "NORMAL"), (Assistant::SCHEMA, "EXTRA")] {
        let setting = "SELECT CASE synchronous WHEN 1 THEN 'NORMAL' WHEN 3 THEN 'EXTRA' END
            FROM pragma_synchronous";
        let connection = Bench::of(schema).engine.connection;
        let found: String = connection.query_row(setting, [], |row| row.get(0)).unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn without_a_log_the_commits_of_other_programs_are_noticed_too() {
    let mut bench = Bench::new();
    let mode = "PRAGMA journal_mode = DELETE";
    let mode: String = bench.engine.connection.query_row(mode, [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    bench.engine.journal = JournalMode::Rollback;
    let other = rusqlite::Connection::open(bench.engine.path()).unwrap();
    bench.engine.idle();
    let before = bench.engine.data_version;
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    bench.engine.idle();
    assert_ne!(bench.engine.data_version, before);
}
