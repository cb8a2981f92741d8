//! Work on the file as a whole, outside any transaction: checkpoints, backups, checks, closing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::checkpoint_schedule::CheckpointSchedule;
use super::{Engine, LOG_FRAMES};
use crate::crash::crash_point;
use crate::error::{StorageError, is_busy};

/// For how long a checkpoint beside writers waits for the moment at which none of them is in a
/// transaction. Reads wait for as long, so it is short.
const STAND_BY: Duration = Duration::from_millis(5);
/// While another program writes, the log is looked at so often, however busy the engine is.
pub(super) const NEIGHBOUR_ROUND: Duration = Duration::from_millis(20);

/// How SQLite makes transactions atomic in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalMode {
    /// A write-ahead log: readers and one writer at once.
    Wal,
    /// A rollback journal: for file systems without shared memory.
    Rollback,
}

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointReport {
    /// Frames in the log.
    pub log_frames: u32,
    /// Frames of them that are in the database file by now.
    pub copied_frames: u32,
    /// Whether all are and the log was cut to nothing. `false` where other processes were at work;
    /// nothing is lost then, the rest is copied later.
    pub complete: bool,
}

/// How an engine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReport {
    /// The last checkpoint; `None` where the file has no log, or where the engine had failed.
    pub checkpoint: Option<CheckpointReport>,
    /// What went wrong on the way, if anything did. Every acknowledged write is in the file all the
    /// same.
    pub fault: Option<StorageError>,
}

/// A copy of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What SQLite says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The findings of `PRAGMA integrity_check`, at most 100; none for a sound file.
    pub integrity: Vec<String>,
    /// Rows whose foreign key leads nowhere.
    pub foreign_key_violations: u64,
    /// How the file makes transactions atomic.
    pub journal: JournalMode,
    /// Frames in the log, and how many of them are in the file already.
    pub log: Option<CheckpointReport>,
    /// The linked SQLite.
    pub sqlite_version: String,
    /// Bytes of the file as SQLite counts them.
    pub bytes: u64,
    /// The file system, where it is one on which SQLite is not safe.
    pub unsafe_file_system: Option<String>,
}

impl Engine {
    /// Copies the log back and cuts it, as far as other processes allow at the moment.
    pub(crate) fn checkpoint(&mut self) -> Result<Option<CheckpointReport>, StorageError> {
        if self.journal == JournalMode::Rollback {
            return Ok(None);
        }
        crash_point("checkpoint.before");
        let report = checkpoint(&self.connection, Mode::Truncate);
        crash_point("checkpoint.after");
        report.map(Some).map_err(|fault| {
            self.notice_failed_sync(&fault);
            self.storage_error(&fault)
        })
    }

    /// Copies a snapshot of the database into a new file, and checks the copy.
    pub(crate) fn backup(&mut self, to: &Path) -> Result<BackupReport, StorageError> {
        let copy = snapshot(&self.connection, self.path(), to, |_| Ok(()))?;
        match copy.findings.into_iter().next() {
            Some(detail) => Err(StorageError::Corrupt { path: to.into(), detail }),
            None => Ok(copy.report),
        }
    }

    /// Has SQLite check the whole file.
    pub(crate) fn diagnose(&mut self) -> Result<Diagnosis, StorageError> {
        let unsafe_file_system = self.location.unsafe_file_system();
        diagnosis(&self.connection, self.journal, unsafe_file_system)
            .map_err(|fault| self.storage_error(&fault))
    }

    /// Copies the log back, as far as nobody is in the way.
    pub(super) fn copy_log_back(&mut self, frames: u32) {
        self.notice_foreign_commits();
        let beside_writers = self.neighbours_write || self.log_may_have_grown;
        if beside_writers {
            // Without it the checkpoint copies what it can.
            drop(self.connection.busy_timeout(STAND_BY));
        }
        let mode = CheckpointSchedule::mode(frames, beside_writers);
        // A checkpoint that cannot be done now is done later; nothing depends on it but its sync.
        let complete = match checkpoint(&self.connection, mode) {
            Ok(report) => report.complete,
            Err(fault) => {
                tracing::debug!(%fault, "checkpoint put off");
                self.notice_failed_sync(&fault);
                false
            }
        };
        // Nothing inside SQLite waits otherwise.
        drop(self.connection.busy_timeout(Duration::ZERO));
        self.checkpoints.tried(frames, complete);
        if complete {
            // Until the next commit tells, so that groups that change nothing do not try again.
            LOG_FRAMES.set(0);
        }
    }

    /// While another program writes, its log is not left to itself for longer than a round, however
    /// much there is to read.
    pub(super) fn look_after_the_log(&mut self) {
        if self.looked_at.elapsed() >= NEIGHBOUR_ROUND {
            self.idle();
        }
    }

    /// Looks for other programs' commits, and copies back what they have written to the log.
    pub(crate) fn idle(&mut self) {
        self.looked_at = Instant::now();
        if self.obstacle().is_some() {
            return;
        }
        self.notice_foreign_commits();
        self.neighbours_write = std::mem::take(&mut self.log_may_have_grown);
        if self.journal == JournalMode::Rollback || !self.neighbours_write {
            return;
        }
        if let Ok(report) = checkpoint(&self.connection, Mode::Noop)
            && report.copied_frames < report.log_frames
            && self.checkpoints.is_due(report.log_frames)
        {
            self.copy_log_back(report.log_frames);
        }
    }

    /// Ends the connection: the log is copied back outside any transaction and the result row is
    /// looked at, then the file is closed.
    pub(crate) fn close(mut self) -> CloseReport {
        // A checkpoint of a file that was moved could reach a log that belongs to another by now.
        let mut report = CloseReport { checkpoint: None, fault: self.obstacle() };
        crash_point("close.begun");
        if report.fault.is_none() && self.journal == JournalMode::Wal {
            match checkpoint(&self.connection, Mode::Truncate) {
                Ok(checkpoint) => report.checkpoint = Some(checkpoint),
                // Others are at work in the file; the last of them copies the log back.
                Err(fault) if is_busy(&fault) => {}
                Err(fault) => report.fault = Some(self.storage_error(&fault)),
            }
        }
        crash_point("close.copied_back");
        self.connection.flush_prepared_statement_cache();
        let path = Arc::clone(self.location.path());
        if let Err((_, fault)) = self.connection.close() {
            report.fault.get_or_insert(StorageError::from_sqlite(&path, &fault));
        }
        crash_point("close.closed");
        report
    }
}

/// How thoroughly a log is copied back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Looks only.
    Noop,
    /// Copies what it can, in nobody's way.
    Passive,
    /// Copies everything, and lets nobody write meanwhile.
    Full,
    /// Copies everything and cuts the log, if nobody is in it.
    Truncate,
}

/// Runs a checkpoint. Being in somebody's way is told in the result row, not as an error.
pub(super) fn checkpoint(
    connection: &Connection,
    mode: Mode,
) -> rusqlite::Result<CheckpointReport> {
    let sql = match mode {
        Mode::Noop => "PRAGMA wal_checkpoint(NOOP)",
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Full => "PRAGMA wal_checkpoint(FULL)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let (busy, log, copied) = connection.prepare_cached(sql)?.query_row([], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    // SQLite answers -1 where there is no log yet.
    let frames = |count: i64| u32::try_from(count.max(0)).unwrap_or(u32::MAX);
    Ok(CheckpointReport {
        log_frames: frames(log),
        copied_frames: frames(copied),
        complete: busy == 0 && log == copied,
    })
}

/// What SQLite says about the file of the connection.
pub(super) fn diagnosis(
    connection: &Connection,
    journal: JournalMode,
    unsafe_file_system: Option<String>,
) -> rusqlite::Result<Diagnosis> {
    let foreign_key_violations =
        connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
            row.get::<_, i64>(0)
        })?;
    let log = match journal {
        JournalMode::Wal => Some(checkpoint(connection, Mode::Noop)?),
        JournalMode::Rollback => None,
    };
    Ok(Diagnosis {
        integrity: integrity(connection)?,
        foreign_key_violations: foreign_key_violations.unsigned_abs(),
        journal,
        log,
        sqlite_version: rusqlite::version().to_owned(),
        bytes: size(connection)?,
        unsafe_file_system,
    })
}

/// A copy, and what is wrong with it.
pub(super) struct Snapshot {
    pub(super) report: BackupReport,
    /// The findings of `PRAGMA integrity_check`; none for a sound copy.
    pub(super) findings: Vec<String>,
}

/// Copies a snapshot of the database at `path` into a new file, which only its owner can read, and
/// checks the copy. `finish` changes the copy before it is checked. The copy is one file, and synced.
pub(super) fn snapshot(
    source: &Connection,
    path: &Arc<Path>,
    to: &Path,
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<Snapshot, StorageError> {
    let target: Arc<Path> = to.into();
    let fault = |fault: &rusqlite::Error| StorageError::from_sqlite(&target, fault);
    make_new_private_file(&target)?;
    crash_point("copy.begun");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags).map_err(|error| fault(&error))?;
    // A copy without a log is on disk, its name included, only if the folder is synced too.
    copy.pragma_update(None, "synchronous", "EXTRA").map_err(|error| fault(&error))?;
    {
        let backup = Backup::new(source, &mut copy).map_err(|error| fault(&error))?;
        // One step copies one snapshot; in a log, writers go on meanwhile.
        if backup.step(-1).map_err(|error| fault(&error))? != StepResult::Done {
            let (path, waited) = (Arc::clone(path), Duration::ZERO);
            return Err(StorageError::Busy { path, waited, holder: None });
        }
    }
    crash_point("copy.written");
    // The copy takes over the log mode of the original; a backup is one file.
    let single = copy
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0))
        .map_err(|error| fault(&error))?;
    debug_assert_eq!(single, "delete");
    finish(&copy).map_err(|error| fault(&error))?;
    let findings = findings(&copy).map_err(|error| fault(&error))?;
    let bytes = size(&copy).map_err(|error| fault(&error))?;
    copy.close().map_err(|(_, error)| fault(&error))?;
    crash_point("copy.checked");
    Ok(Snapshot { report: BackupReport { path: to.to_owned(), bytes }, findings })
}

/// A copy tells as much as its original, so nobody but the owner may read it, at no time.
fn make_new_private_file(path: &Arc<Path>) -> Result<(), StorageError> {
    use std::os::unix::fs::OpenOptionsExt;
    #[expect(
        clippy::disallowed_methods,
        reason = "the file is new, so this process has no locks on it"
    )]
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| {
        let detail = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "the file exists already".to_owned(),
            _ => error.to_string(),
        };
        StorageError::ReadOnly { path: Arc::clone(path), detail }
    })
}

/// As [`integrity`], which itself may not get through what is damaged.
pub(super) fn findings(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    match integrity(connection) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Ok(vec![error.to_string()])
        }
        checked => checked,
    }
}

fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let findings: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(findings.into_iter().filter(|finding| finding != "ok").collect())
}

fn size(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get::<_, i64>(0),
        )
        .map(i64::unsigned_abs)
}
