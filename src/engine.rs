//! The engine: one SQLite connection, and groups of jobs carried out on it.
//!
//! It knows nothing of threads and channels. Whoever owns it hands it queues of [`Job`]s; it takes
//! from their front, runs each job in a savepoint of one transaction, commits, and only then
//! settles them.

mod checkpoint_schedule;
mod cut_short;
mod examine;
mod exclusive;
mod fence;
mod folder_lock;
mod group;
mod holder;
mod job;
mod location;
mod log_sync;
mod maintenance;
mod open;
#[cfg(test)]
mod tests;
mod turn;

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

pub use examine::Examination;
pub(crate) use examine::{examine, look};
pub(crate) use exclusive::{Exclusive, Expected, NotExclusive, Source, is_moved_to, nameless};
pub(crate) use folder_lock::FolderLock;
pub(crate) use holder::with_open;
pub(crate) use job::{Attempt, Expiry, Job, Kind, Verdict};
pub use location::SQLITE_REQUIRED;
pub(crate) use location::{FileIdentity, Location};
pub use maintenance::{BackupReport, CheckpointReport, CloseReport, Diagnosis, JournalMode};
pub use open::OpenOptions;
pub(crate) use open::{Absent, Opened};
pub(crate) use turn::Turnstile;

use checkpoint_schedule::CheckpointSchedule;
use turn::Turn;

use crate::error::StorageError;
use crate::tx::{Circumstances, SchedulingIndex};

thread_local! {
    /// Frames in the log after the last commit of this thread's connection. SQLite's hook takes a
    /// plain function, and a connection never leaves the thread that opened it.
    static LOG_FRAMES: Cell<u32> = const { Cell::new(0) };
}

/// What the owner of an engine wants to be told. The engine calls it on its own thread.
pub(crate) trait Observer: fmt::Debug + Send {
    /// The engine serves nothing more. Called once, before anybody is answered with the fault.
    fn failed(&mut self);
    /// There is a new commit in the file, ours or another program's. One of ours is told before its
    /// callers are answered, so whoever has an answer knows that all watchers were woken for it.
    fn committed(&mut self);
    /// Whether anybody waits for commits of other programs, which the engine has to look for.
    fn is_watched(&self) -> bool;
}

/// A connection that serves, or the reason why it no longer does.
#[derive(Debug)]
pub(crate) struct Engine {
    connection: Connection,
    location: Location,
    journal: JournalMode,
    /// What the jobs of the running group are told of the world outside the file.
    circumstances: Circumstances,
    /// How long a commit may wait for readers, where there is no log.
    lock_wait: Duration,
    /// Set once by a fault after which nothing may run until the file is opened anew.
    fault: Option<StorageError>,
    observer: Box<dyn Observer>,
    turn: Turn,
    index: SchedulingIndex,
    /// When the log is copied back into the file.
    checkpoints: CheckpointSchedule,
    /// SQLite's counter of foreign commits, as last seen.
    data_version: i64,
    /// Other programs have committed since the log was last looked at.
    log_may_have_grown: bool,
    /// When it was last looked for them, and whether there were any.
    looked_at: Instant,
    neighbours_write: bool,
}

impl Engine {
    fn path(&self) -> &Arc<Path> {
        self.location.path()
    }

    /// From now on it stands in line there before it writes, if its file has a log. Without one, whoever
    /// tries the lock is a reader for a moment, and one that tries often is in the way of commits.
    pub(crate) fn stand_in_line(&mut self, turnstile: Box<dyn Turnstile>) {
        if self.journal == JournalMode::Wal {
            self.turn = Turn::at(turnstile);
        }
    }

    /// Why nothing can run at the moment.
    fn obstacle(&mut self) -> Option<StorageError> {
        if self.fault.is_none() && self.location.was_moved() {
            self.end_with(StorageError::Moved { path: Arc::clone(self.path()) });
        }
        self.fault.clone()
    }

    /// Serves nothing from now on.
    fn poison(&mut self, cause: String) {
        let path = Arc::clone(self.path());
        self.end_with(StorageError::Poisoned { path, cause });
    }

    /// Serves nothing from now on, since a sync of the log has failed: the system may say yes to the next
    /// one without having written what this one left, and later commits would stand behind that.
    fn end_by_failed_sync(&mut self, fault: &rusqlite::Error) {
        self.poison(format!("a sync failed: {}", self.storage_error(fault).cause()));
    }

    /// Looks whether a sync failed in something that syncs beside other work: a checkpoint syncs the log first, and
    /// through the same handle, and a failure that it meets there is not told again to the sync of the next commit.
    fn notice_failed_sync(&mut self, fault: &rusqlite::Error) {
        if is_failed_sync(fault) {
            self.end_by_failed_sync(fault);
        }
    }

    fn end_with(&mut self, fault: StorageError) {
        if self.fault.is_none() {
            self.fault = Some(fault);
            self.observer.failed();
        }
    }

    /// Whether it has to look for other programs' commits often: somebody waits for them, or the log
    /// grows by them.
    pub(crate) fn is_watched(&self) -> bool {
        self.neighbours_write || self.observer.is_watched()
    }

    /// Looks whether other programs have committed, and tells.
    fn notice_foreign_commits(&mut self) {
        // Where somebody is in the way, a later look will tell.
        let Ok(version) = data_version(&self.connection) else { return };
        if version != self.data_version {
            self.data_version = version;
            self.log_may_have_grown = true;
            self.observer.committed();
        }
    }

    fn storage_error(&self, fault: &rusqlite::Error) -> StorageError {
        StorageError::from_sqlite(self.path(), fault)
    }
}

/// Whether what was written may not be on disk, and the system may not say so again.
fn is_failed_sync(fault: &rusqlite::Error) -> bool {
    fault.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_FSYNC)
}

/// SQLite's counter of the commits of other connections.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached("PRAGMA data_version")?;
    statement.query_row([], |row| row.get(0))
}
