//! Groups: many jobs, one transaction, one sync.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Attempt, Job, Kind, Queue, Verdict};
use super::log_sync::sync_log;
use super::{Engine, JournalMode, LOG_FRAMES, holder};
use crate::crash::crash_point;
use crate::error::{StorageError, is_busy};
use crate::tx::{Circumstances, Transaction};

/// How a transaction that was begun has ended.
enum Ended {
    Committed,
    /// Known not to have happened.
    Undone(StorageError),
    /// It may or may not survive, since this happened.
    Unknown(String),
}

/// A job of the group and what became of its savepoint.
struct Ran {
    job: Box<dyn Job>,
    verdict: Verdict,
}

impl Engine {
    /// Carries out reads from the front of the queue, at most `max`, on one snapshot.
    pub(crate) fn read(&mut self, queue: &mut Queue, max: usize) -> Attempt {
        if self.refuse_all(queue) {
            return Attempt::Done;
        }
        match self.begin_read() {
            Ok(()) => self.circumstances = Circumstances::now(),
            Err(fault) if is_busy(&fault) => return Attempt::Busy,
            Err(fault) => {
                let fault = self.storage_error(&fault);
                settle_all(queue, &fault);
                return Attempt::Done;
            }
        }
        self.index.begun();
        self.look_around();
        let mut ran = Vec::with_capacity(queue.len().min(max));
        while ran.len() < max
            && let Some(job) = queue.pop_front()
        {
            ran.extend(self.run_read(job));
        }
        // Ending a transaction that wrote nothing decides nothing: the answers stand.
        if self.execute("COMMIT").is_err() {
            self.roll_back();
        }
        self.index.ended();
        for Ran { job, .. } in ran {
            job.settle(Ok(()));
        }
        self.look_after_the_log();
        Attempt::Done
    }

    /// Carries out jobs of any kind from the front of the queue, at most `max`, in one transaction,
    /// and settles them after it is durable.
    pub(crate) fn write(&mut self, queue: &mut Queue, max: usize) -> Attempt {
        let attempt = self.try_to_write(queue, max);
        if attempt == Attempt::Done {
            self.turn.pass();
        }
        attempt
    }

    fn try_to_write(&mut self, queue: &mut Queue, max: usize) -> Attempt {
        if self.refuse_all(queue) {
            return Attempt::Done;
        }
        let kinds = || queue.iter().take(max).map(|job| job.kind());
        if kinds().next() == Some(Kind::Maintenance) {
            self.run_maintenance(queue);
            return Attempt::Done;
        }
        let group = kinds().take_while(|kind| *kind != Kind::Maintenance);
        if group.clone().all(|kind| kind == Kind::Read) {
            let reads = group.count();
            return self.read(queue, reads);
        }
        let reads_and_writes = group.count();
        let turn = self.turn.come();
        if turn == Attempt::Behind {
            self.look_around();
            self.look_after_the_log();
            return turn;
        }
        match self.execute("BEGIN IMMEDIATE") {
            Ok(()) => {
                // While this group is carried out, the next process gets ready.
                self.turn.pass();
                // Only now: what was true before the wait for the lock may not be any more.
                self.circumstances = Circumstances::now();
            }
            Err(fault) if is_busy(&fault) => {
                self.look_around();
                self.look_after_the_log();
                return turn;
            }
            Err(fault) => {
                let fault = self.storage_error(&fault);
                settle_all(queue, &fault);
                return Attempt::Done;
            }
        }
        self.index.begun();
        let (ran, ended) = self.run_group(queue, reads_and_writes);
        match ended {
            Ended::Committed => self.index.ended(),
            Ended::Undone(_) | Ended::Unknown(_) => self.index.forget(),
        }
        let wrote = |ran: &Ran| ran.verdict == Verdict::Keep && ran.job.kind() == Kind::Write;
        if matches!(ended, Ended::Committed) && ran.iter().any(wrote) {
            self.observer.committed();
        }
        // Invariant: nobody is answered before the group's fate is decided and on disk.
        match ended {
            Ended::Committed => ran.into_iter().for_each(|Ran { job, .. }| job.settle(Ok(()))),
            Ended::Undone(cause) => self.settle_undone(ran, &cause),
            Ended::Unknown(detail) => self.settle_unknown(ran, &detail),
        }
        self.checkpoint_early();
        self.look_after_the_log();
        Attempt::Done
    }

    /// While somebody watches: neither our own reads without end nor a long wait for the lock may
    /// keep other programs' commits from being noticed.
    fn look_around(&mut self) {
        if self.observer.is_watched() {
            self.notice_foreign_commits();
        }
    }

    /// Answers and removes the jobs that have waited long enough.
    pub(crate) fn expire(&mut self, queue: &mut Queue) {
        let now = Instant::now();
        if !queue.iter().any(|job| job.expired(now).is_some()) {
            return;
        }
        let holder = holder::of_write_lock(&self.location);
        for job in std::mem::take(queue) {
            match job.expired(now) {
                None => queue.push_back(job),
                Some(reason) => job.expire(reason, holder.clone()),
            }
        }
        if !queue.iter().any(|job| job.kind() == Kind::Write) {
            self.turn.pass();
        }
    }

    /// Answers everything with the reason why nothing can run, if there is one.
    fn refuse_all(&mut self, queue: &mut Queue) -> bool {
        let obstacle = self.obstacle();
        if let Some(fault) = &obstacle {
            settle_all(queue, fault);
        }
        obstacle.is_some()
    }

    pub(super) fn execute(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Begins a transaction and takes its snapshot, so that no later statement finds the file busy.
    fn begin_read(&self) -> rusqlite::Result<()> {
        self.execute("BEGIN")?;
        let snapshot = self
            .connection
            .prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1")
            .and_then(|mut statement| statement.exists([]));
        if let Err(fault) = snapshot {
            self.roll_back();
            return Err(fault);
        }
        Ok(())
    }

    /// Undoes whatever transaction is open. A failure leaves it open, which the caller sees by
    /// `is_autocommit`.
    pub(super) fn roll_back(&self) -> bool {
        self.connection.is_autocommit() || self.execute("ROLLBACK").is_ok()
    }

    /// Runs a read that is in no savepoint: it cannot write.
    fn run_read(&self, mut job: Box<dyn Job>) -> Option<Ran> {
        if !job.start() {
            return None;
        }
        let verdict = self.guarded(job.as_mut());
        Some(Ran { job, verdict })
    }

    /// Runs the job; a panic in it is its own affair.
    fn guarded(&self, job: &mut dyn Job) -> Verdict {
        let transaction = Transaction::begun_on(&self.connection, &self.circumstances);
        let transaction = transaction.with_index(&self.index);
        // A command holds nothing that outlives it, and the index forgets what it was told.
        match catch_unwind(AssertUnwindSafe(|| job.run(transaction))) {
            Ok(verdict) => verdict,
            Err(panic) => {
                self.index.forget();
                job.panicked(panic_text(panic.as_ref()));
                Verdict::Discard
            }
        }
    }

    /// Runs jobs inside the open transaction and ends it.
    fn run_group(&mut self, queue: &mut Queue, max: usize) -> (Vec<Ran>, Ended) {
        let mut ran = Vec::with_capacity(queue.len().min(max));
        for _ in 0..max {
            let Some(job) = queue.pop_front() else { break };
            let outcome = if job.kind() == Kind::Read {
                ran.extend(self.run_read(job));
                Ok(())
            } else {
                self.run_in_savepoint(job, &mut ran)
            };
            // A full disk or a failed read undoes the whole transaction, not one savepoint.
            let undone = match outcome {
                Err(fault) => Some(self.storage_error(&fault)),
                Ok(()) if self.connection.is_autocommit() => Some(self.lost_transaction()),
                Ok(()) => None,
            };
            if let Some(cause) = undone {
                return (ran, self.abandon(cause));
            }
        }
        if ran.iter().all(|ran| ran.verdict == Verdict::Discard) {
            // Nothing was changed, so there is nothing to sync and nothing that can fail.
            if self.roll_back() {
                return (ran, Ended::Committed);
            }
            let cause = self.lost_transaction();
            return (ran, self.abandon(cause));
        }
        (ran, self.commit())
    }

    fn run_in_savepoint(&self, mut job: Box<dyn Job>, ran: &mut Vec<Ran>) -> rusqlite::Result<()> {
        if !job.start() {
            return Ok(());
        }
        crash_point("group.before_savepoint");
        if let Err(fault) = self.execute("SAVEPOINT job") {
            ran.push(Ran { job, verdict: Verdict::Discard });
            return Err(fault);
        }
        let before = self.index.savepoint();
        let verdict = self.guarded(job.as_mut());
        ran.push(Ran { job, verdict });
        if self.connection.is_autocommit() {
            return Ok(());
        }
        if verdict == Verdict::Discard {
            self.execute("ROLLBACK TO job")?;
            self.index.rolled_back_to(before);
        }
        self.execute("RELEASE job")?;
        crash_point("group.after_savepoint");
        Ok(())
    }

    fn lost_transaction(&self) -> StorageError {
        let path = Arc::clone(self.location.path());
        let detail = "a fault undid the transaction".to_owned();
        StorageError::Io { path, detail }
    }

    /// Undoes the open transaction. If even that fails the connection is of no further use.
    fn abandon(&mut self, cause: StorageError) -> Ended {
        if !self.roll_back() {
            self.poison(format!("a rollback failed after: {}", cause.cause()));
        }
        Ended::Undone(cause)
    }

    fn commit(&mut self) -> Ended {
        let began = Instant::now();
        let log_before = self.location.log_length();
        crash_point("group.before_commit");
        let committed = match self.journal {
            JournalMode::Wal => self.execute("COMMIT"),
            JournalMode::Rollback => self.commit_beside_readers(),
        };
        crash_point("group.after_commit");
        match committed {
            Ok(()) => self.make_durable(),
            Err(fault) if is_busy(&fault) && !self.connection.is_autocommit() => {
                let (path, waited) = (Arc::clone(self.path()), began.elapsed());
                let holder = holder::of_read_lock(&self.location);
                self.abandon(StorageError::Busy { path, waited, holder })
            }
            Err(fault) if is_full(&fault) => {
                let cause = self.storage_error(&fault);
                let ended = self.abandon(cause);
                if self.is_gone_for_good(log_before) { ended } else { unknown(&fault) }
            }
            Err(fault) => {
                // What was written may be found and kept by whoever opens the file next.
                self.roll_back();
                self.poison(format!("a commit failed: {}", self.storage_error(&fault).cause()));
                unknown(&fault)
            }
        }
    }

    /// Brings a commit to disk. Invariant: its lock is let go by now, and nobody is answered yet.
    fn make_durable(&mut self) -> Ended {
        // Without a log, COMMIT ends with the sync.
        let synced = match self.journal {
            JournalMode::Wal => sync_log(&self.connection),
            JournalMode::Rollback => Ok(()),
        };
        crash_point("group.after_sync");
        match synced {
            Ok(()) => Ended::Committed,
            Err(fault) => {
                self.end_by_failed_sync(&fault);
                unknown(&fault)
            }
        }
    }

    /// Without a log, COMMIT waits for the readers to leave the file; nobody else can be served
    /// meanwhile, so this is the one place where SQLite does the waiting.
    fn commit_beside_readers(&self) -> rusqlite::Result<()> {
        let committed =
            self.connection.busy_timeout(self.lock_wait).and_then(|()| self.execute("COMMIT"));
        // However that ended: the next BEGIN must not sleep. Setting it back cannot fail where
        // setting it has not, and the outcome of the COMMIT is what counts.
        drop(self.connection.busy_timeout(Duration::ZERO));
        committed
    }

    /// Invariant: when a group is undone, neither a success nor a refusal of it may be told, since
    /// even the refusal saw rows that no longer exist.
    fn settle_undone(&self, ran: Vec<Ran>, cause: &StorageError) {
        let path = self.location.path();
        for Ran { job, .. } in ran {
            let fault = match cause {
                // Whoever was in the group has the same to do about it.
                StorageError::DiskFull { .. } | StorageError::Busy { .. } => cause.clone(),
                _ => StorageError::GroupAborted { path: Arc::clone(path), cause: cause.cause() },
            };
            job.settle(Err(fault));
        }
    }

    fn settle_unknown(&self, ran: Vec<Ran>, detail: &str) {
        for Ran { job, verdict } in ran {
            let (path, detail) = (Arc::clone(self.location.path()), detail.to_owned());
            let fault = if verdict == Verdict::Keep && job.kind() == Kind::Write {
                StorageError::OutcomeUnknown { path, detail }
            } else {
                StorageError::GroupAborted { path, cause: detail }
            };
            job.settle(Err(fault));
        }
    }

    fn run_maintenance(&mut self, queue: &mut Queue) {
        let Some(mut job) = queue.pop_front() else { return };
        if !job.start() {
            return;
        }
        let work = AssertUnwindSafe(|| job.maintain(self));
        if let Err(panic) = catch_unwind(work) {
            job.panicked(panic_text(panic.as_ref()));
        }
        self.index.forget();
        if !self.roll_back() {
            self.poison("maintenance left a transaction open".to_owned());
        }
        job.settle(Ok(()));
    }

    /// Copies the log back early. Invariant: while one of our processes serves a file, no old
    /// client's log reaches the 1,000 frames at which its own checkpoint, which may damage the
    /// file, would begin.
    fn checkpoint_early(&mut self) {
        let frames = LOG_FRAMES.get();
        if self.journal == JournalMode::Wal && self.checkpoints.is_due(frames) {
            self.copy_log_back(frames);
        }
    }
}

fn settle_all(queue: &mut Queue, fault: &StorageError) {
    for mut job in queue.drain(..) {
        if job.start() {
            job.settle(Err(fault.clone()));
        }
    }
}

fn unknown(fault: &rusqlite::Error) -> Ended {
    Ended::Unknown(format!("its commit failed: {fault}"))
}

fn is_full(fault: &rusqlite::Error) -> bool {
    fault.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
