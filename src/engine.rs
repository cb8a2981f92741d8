//! The engine: one SQLite connection, and groups of jobs carried out on it.
//!
//! It knows nothing of threads and channels. Whoever owns it hands it queues of [`Job`]s; it takes
//! from their front, runs each job in a savepoint of one transaction, commits, and only then
//! settles them.

mod group;
mod holder;
mod job;
mod location;
mod maintenance;
mod open;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

pub(crate) use job::{Attempt, Expiry, Job, Kind, Verdict};
pub(crate) use location::Location;
pub use location::SQLITE_REQUIRED;
pub(crate) use maintenance::Maintenance;
pub use maintenance::{BackupReport, CheckpointReport, CloseReport, Diagnosis, JournalMode};
pub use open::OpenOptions;
pub(crate) use open::Opened;

use crate::error::StorageError;

thread_local! {
    /// Frames in the log after the last commit of this thread's connection. SQLite's hook takes a
    /// plain function, and a connection never leaves the thread that opened it.
    static LOG_FRAMES: Cell<u32> = const { Cell::new(0) };
}

/// A connection that serves, or the reason why it no longer does.
#[derive(Debug)]
pub(crate) struct Engine {
    connection: Connection,
    location: Location,
    journal: JournalMode,
    /// Set once by a fault after which nothing may run until the file is opened anew.
    fault: Option<StorageError>,
    /// The log is copied back into the file when it holds so many frames.
    checkpoint_at: u32,
    /// SQLite's counter of foreign commits, as last seen.
    data_version: i64,
}

impl Engine {
    /// Where the file lies and which one it is.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    fn path(&self) -> &Arc<Path> {
        self.location.path()
    }

    /// Why nothing can run at the moment.
    fn obstacle(&mut self) -> Option<StorageError> {
        if self.fault.is_none() && self.location.was_moved() {
            self.fault = Some(StorageError::Moved { path: Arc::clone(self.path()) });
        }
        self.fault.clone()
    }

    /// Serves nothing from now on.
    fn poison(&mut self, cause: String) {
        let path = Arc::clone(self.path());
        self.fault.get_or_insert(StorageError::Poisoned { path, cause });
    }

    /// Whether only opening the file anew helps.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.fault.is_some()
    }

    fn storage_error(&self, fault: &rusqlite::Error) -> StorageError {
        StorageError::from_sqlite(self.path(), fault)
    }
}
