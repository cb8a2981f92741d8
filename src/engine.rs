//! The engine: one SQLite connection, and groups of jobs carried out on it.
//!
//! It knows nothing of threads and channels. Whoever owns it hands it queues of [`Job`]s; it takes
//! from their front, runs each job in a savepoint of one transaction, commits, and only then
//! settles them.

mod examine;
#[cfg(test)]
mod fault_tests;
mod group;
mod holder;
mod job;
mod location;
mod maintenance;
mod open;

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

pub use examine::Examination;
pub(crate) use examine::examine;
pub(crate) use job::{Attempt, Expiry, Job, Kind, Verdict};
pub use location::SQLITE_REQUIRED;
pub(crate) use location::{FileIdentity, Location};
pub use maintenance::{BackupReport, CheckpointReport, CloseReport, Diagnosis, JournalMode};
pub use open::OpenOptions;
pub(crate) use open::Opened;

use crate::error::StorageError;
use crate::tx::Circumstances;

thread_local! {
    /// Frames in the log after the last commit of this thread's connection. SQLite's hook takes a
    /// plain function, and a connection never leaves the thread that opened it.
    static LOG_FRAMES: Cell<u32> = const { Cell::new(0) };
}

/// What to do at the first fault after which the engine serves nothing more.
pub(crate) struct OnFault(pub(crate) Box<dyn FnMut() + Send>);

impl fmt::Debug for OnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFault")
    }
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
    /// Tells the owner of a fault before anybody is answered with it.
    on_fault: OnFault,
    /// The log is copied back into the file when it holds so many frames.
    checkpoint_at: u32,
    /// SQLite's counter of foreign commits, as last seen.
    data_version: i64,
}

impl Engine {
    fn path(&self) -> &Arc<Path> {
        self.location.path()
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

    fn end_with(&mut self, fault: StorageError) {
        if self.fault.is_none() {
            self.fault = Some(fault);
            (self.on_fault.0)();
        }
    }

    fn storage_error(&self, fault: &rusqlite::Error) -> StorageError {
        StorageError::from_sqlite(self.path(), fault)
    }
}
