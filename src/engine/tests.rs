//! What happens inside an engine where no test from outside can reach, and what such tests share: jobs
//! that run a statement, and an engine on a file of its own.

mod cut_short;
mod fault;
mod maintenance;
mod turn;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use faulty_vfs::Disk;
use rusqlite::Connection;
use tempfile::TempDir;

use super::job::{Attempt, Expiry, Job, Kind, Queue, Verdict};
use super::{Absent, Engine, Location, Observer, OpenOptions};
use crate::database::{Database, Features, Schema};
use crate::error::{LockHolder, StorageError};
use crate::sync::Mutex;
use crate::tx::{Transaction, Tx, Write};

type Answers = Arc<Mutex<Vec<(&'static str, Result<(), StorageError>)>>>;

/// Runs a statement, and keeps or discards what it did.
struct Scripted {
    name: &'static str,
    kind: Kind,
    sql: String,
    verdict: Verdict,
    answers: Answers,
}

/// The name of a job whose caller has left.
const LEAVES: &str = "leaves";
/// What the file is called.
const FILE: &str = "file.db";
const CREATE: &str = "INSERT INTO features (priority, category, name, description, steps, passes,
        in_progress, needs_human_input)
    VALUES (1, 'c', 'n', 'd', '[]', 0, 0, 0)";

impl Job for Scripted {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn expired(&self, _: Instant) -> Option<Expiry> {
        (self.name == LEAVES).then_some(Expiry::Withdrawn)
    }

    fn start(&mut self) -> bool {
        true
    }

    fn run(&mut self, transaction: Transaction<'_>) -> Verdict {
        Tx::<Write>::new(transaction).define(&self.sql).unwrap();
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
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::of(Features::SCHEMA)
    }

    fn of(schema: Schema) -> Self {
        Self::inside(tempfile::tempdir().unwrap(), schema)
    }

    /// On a disk that the test can let fail.
    fn on_disk() -> (Self, Disk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::below(dir.path()).unwrap();
        (Self::inside(dir, Features::SCHEMA), disk)
    }

    fn inside(dir: TempDir, schema: Schema) -> Self {
        let location = Location::resolve(&dir.path().join(FILE)).unwrap();
        let options = OpenOptions::default();
        let answers = Answers::default();
        let told = Box::new(Owner(Arc::clone(&answers)));
        let (engine, _) =
            Engine::open(location, Absent::Create, schema, &options, |_| {}, told).unwrap();
        Self { engine, answers, dir }
    }

    fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Another program's connection, which copies nothing back of itself.
    fn neighbour(&self) -> Connection {
        let neighbour = Connection::open(self.engine.path()).unwrap();
        neighbour.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
        neighbour
    }

    fn writes(&self, jobs: &[(&'static str, &str, Verdict)]) -> Queue {
        self.queue(jobs, Kind::Write)
    }

    fn run(&mut self, jobs: &[(&'static str, &str, Verdict)]) {
        let mut queue = self.writes(jobs);
        assert_eq!(self.engine.write(&mut queue, 100), Attempt::Done);
        assert!(queue.is_empty());
    }

    /// Runs a statement that must succeed.
    fn change(&mut self, sql: &str) {
        self.run(&[("change", sql, Verdict::Keep)]);
        assert_eq!(self.answers(), [("change", "ok")]);
    }

    /// Runs a read that looks at nothing.
    fn read(&mut self) {
        let mut queue = self.queue(&[("read", "", Verdict::Keep)], Kind::Read);
        assert_eq!(self.engine.read(&mut queue, 100), Attempt::Done);
        assert_eq!(self.answers(), [("read", "ok")]);
    }

    fn queue(&self, jobs: &[(&'static str, &str, Verdict)], kind: Kind) -> Queue {
        let scripted = |&(name, sql, verdict): &(&'static str, &str, Verdict)| {
            let (sql, answers) = (sql.to_owned(), Arc::clone(&self.answers));
            Box::new(Scripted { name, kind, sql, verdict, answers }) as Box<dyn Job>
        };
        jobs.iter().map(scripted).collect()
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
