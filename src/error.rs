//! What can go wrong, one type a layer: a command refuses ([`Refusal`]), the storage fails
//! ([`StorageError`]), or a store cannot be opened ([`OpenError`]).
//!
//! A refusal is a verdict about the data: the command ran, saw what it saw and changed nothing. A
//! fault is about the machinery. [`Error`] keeps the two apart for callers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::types::{BacklogProblem, FeatureId};

/// Why a call gave no output.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error<R> {
    /// The command ran and refused; it changed nothing, and what it saw is durable.
    #[error(transparent)]
    Refused(R),
    /// The storage failed; the variant says what is known of the command's effect.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl<R: Refusal> Error<R> {
    /// A stable name for programs; see [`Refusal::code`] and [`StorageError::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Storage(fault) => fault.code(),
        }
    }

    /// Whether the same call may succeed later without anything else being changed first.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.retryable(),
            Self::Storage(fault) => fault.retryable(),
        }
    }
}

/// A command's reason to change nothing.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// A stable name for programs, in snake case.
    fn code(&self) -> &'static str;

    /// Whether the same command may succeed later without the caller changing it.
    fn retryable(&self) -> bool {
        false
    }

    /// The features that the refusal is about.
    fn features(&self) -> Vec<FeatureId> {
        Vec::new()
    }
}

impl Refusal for std::convert::Infallible {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

/// Why a command's savepoint is rolled back: its own verdict, or SQLite's.
#[derive(Debug)]
pub enum Failure<R> {
    /// The command refuses.
    Refused(R),
    /// SQLite reports a fault.
    Sqlite(rusqlite::Error),
}

impl<R> Failure<R> {
    /// The same, with the refusal as part of a wider one.
    pub(crate) fn widen<S: From<R>>(self) -> Failure<S> {
        match self {
            Self::Refused(refusal) => Failure::Refused(refusal.into()),
            Self::Sqlite(fault) => Failure::Sqlite(fault),
        }
    }
}

impl<R> From<rusqlite::Error> for Failure<R> {
    fn from(fault: rusqlite::Error) -> Self {
        Self::Sqlite(fault)
    }
}

/// Who holds a database's write lock, as far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// The process.
    pub pid: u32,
    /// Its command line, shortened; empty where the system does not tell.
    pub command: String,
    /// It is stopped (SIGSTOP, a debugger) and will not let go until it goes on.
    pub stopped: bool,
}

impl LockHolder {
    /// This process, which knows itself.
    pub(crate) fn this_process() -> Self {
        Self { pid: std::process::id(), command: "this one".to_owned(), stopped: false }
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if !self.command.is_empty() {
            write!(f, " ({})", self.command)?;
        }
        if self.stopped {
            f.write_str(", which is stopped")?;
        }
        Ok(())
    }
}

/// A fault of the storage. Cloneable, since one failed commit answers a whole group.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The store was closed or disposed of. The command did not run.
    #[error("the store of {} is closed; open it again", .path.display())]
    Closed {
        /// The database.
        path: Arc<Path>,
    },
    /// Another process kept the write lock for the whole wait or, where there is no log, read the
    /// file for that long. The command changed nothing.
    #[error("{} was locked by {} for {:.1} s; nothing was changed, try again",
        .path.display(), Holder(.holder.as_ref()), .waited.as_secs_f64())]
    Busy {
        /// The database.
        path: Arc<Path>,
        /// How long the command waited.
        waited: Duration,
        /// Who holds the lock, where the system tells.
        holder: Option<LockHolder>,
    },
    /// The caller's deadline passed before the command started. It changed nothing.
    #[error("the call's deadline of {:.3} s passed before the command could start; nothing was changed, try again",
        .allowed.as_secs_f64())]
    DeadlinePassed {
        /// How long the caller allowed.
        allowed: Duration,
    },
    /// The mailbox was full and the caller did not want to wait. The command did not run.
    #[error("{capacity} commands already wait for this store; nothing was changed, try again")]
    MailboxFull {
        /// How many commands may wait.
        capacity: usize,
    },
    /// The command may or may not have taken effect.
    #[error("whether the command took effect on {} is not known ({detail}); look at the data before you repeat it",
        .path.display())]
    OutcomeUnknown {
        /// The database.
        path: Arc<Path>,
        /// What happened.
        detail: String,
    },
    /// A fault elsewhere undid the group this command ran in. It changed nothing.
    #[error("the transaction on {} was undone by a fault in a command beside this one ({cause}); nothing was changed, try again",
        .path.display())]
    GroupAborted {
        /// The database.
        path: Arc<Path>,
        /// The fault.
        cause: String,
    },
    /// An earlier commit or rollback failed, so this engine serves nothing more.
    #[error("the store of {} stopped after a fault ({cause}); open it again", .path.display())]
    Poisoned {
        /// The database.
        path: Arc<Path>,
        /// The fault.
        cause: String,
    },
    /// The command's own code panicked. It changed nothing.
    #[error("command {command} failed inside ({message}); nothing was changed, please report it")]
    Panicked {
        /// [`Command::NAME`](crate::Command::NAME).
        command: &'static str,
        /// The panic's text.
        message: String,
    },
    /// The file was renamed, removed or replaced while it was open. The command did not run.
    #[error("{} was moved, removed or replaced while it was open; open the store again", .path.display())]
    Moved {
        /// Where it was.
        path: Arc<Path>,
    },
    /// This process was forked from the one that opened the store. The command did not run.
    #[error("the store of {} was opened by process {opened_by}; a forked child must open its own", .path.display())]
    Forked {
        /// The database.
        path: Arc<Path>,
        /// The process that opened it.
        opened_by: u32,
    },
    /// The disk is full. The command changed nothing.
    #[error("there is no space left for {}; nothing was changed, free some and try again", .path.display())]
    DiskFull {
        /// The database.
        path: Arc<Path>,
    },
    /// The file or its folder cannot be written. The command changed nothing.
    #[error("{} cannot be written ({detail}); check the rights of the file and of its folder", .path.display())]
    ReadOnly {
        /// The database.
        path: Arc<Path>,
        /// SQLite's words.
        detail: String,
    },
    /// The file is damaged. The command changed nothing.
    #[error("{} is damaged ({detail}); run `autoforge-store doctor` and restore a backup", .path.display())]
    Corrupt {
        /// The database.
        path: Arc<Path>,
        /// SQLite's words.
        detail: String,
    },
    /// The system failed to read or write the file. The command changed nothing.
    #[error("reading or writing {} failed ({detail}); nothing was changed", .path.display())]
    Io {
        /// The database.
        path: Arc<Path>,
        /// SQLite's words.
        detail: String,
    },
    /// Any other fault of SQLite. The command changed nothing.
    #[error("SQLite failed on {} ({detail}, extended code {extended_code}); nothing was changed", .path.display())]
    Sqlite {
        /// The database.
        path: Arc<Path>,
        /// SQLite's extended result code.
        extended_code: i32,
        /// SQLite's words.
        detail: String,
    },
}

struct Holder<'a>(Option<&'a LockHolder>);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(holder) => holder.fmt(f),
            None => f.write_str("another process"),
        }
    }
}

impl StorageError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Busy { .. } => "busy",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::MailboxFull { .. } => "mailbox_full",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::GroupAborted { .. } => "group_aborted",
            Self::Poisoned { .. } => "poisoned",
            Self::Panicked { .. } => "panicked",
            Self::Moved { .. } => "moved",
            Self::Forked { .. } => "forked",
            Self::DiskFull { .. } => "disk_full",
            Self::ReadOnly { .. } => "read_only",
            Self::Corrupt { .. } => "corrupt",
            Self::Io { .. } => "io",
            Self::Sqlite { .. } => "sqlite",
        }
    }

    /// Whether the same call may succeed later and repeating it does no harm.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::DeadlinePassed { .. }
                | Self::MailboxFull { .. }
                | Self::GroupAborted { .. }
        )
    }

    /// Whether only opening the store anew helps. For a file that could not be written that is so, too:
    /// SQLite goes on only reading what it once could open only for reading.
    #[must_use]
    pub fn needs_reopen(&self) -> bool {
        matches!(
            self,
            Self::Closed { .. }
                | Self::Poisoned { .. }
                | Self::Moved { .. }
                | Self::ReadOnly { .. }
        )
    }

    /// What happened, without what it meant for the command that met it.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::ReadOnly { detail, .. }
            | Self::Corrupt { detail, .. }
            | Self::Io { detail, .. }
            | Self::Sqlite { detail, .. } => detail.clone(),
            Self::DiskFull { .. } => "there is no space left".to_owned(),
            other => other.to_string(),
        }
    }

    /// What SQLite's fault means for a command that was undone.
    pub(crate) fn from_sqlite(path: &Arc<Path>, fault: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = Arc::clone(path);
        let detail = fault.to_string();
        let rusqlite::Error::SqliteFailure(ref failure, _) = *fault else {
            return Self::Sqlite { path, extended_code: 0, detail };
        };
        match failure.code {
            Code::DiskFull => Self::DiskFull { path },
            Code::ReadOnly | Code::PermissionDenied | Code::CannotOpen => {
                Self::ReadOnly { path, detail }
            }
            Code::DatabaseCorrupt | Code::NotADatabase => Self::Corrupt { path, detail },
            Code::SystemIoFailure => Self::Io { path, detail },
            Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed => {
                Self::Busy { path, waited: Duration::ZERO, holder: None }
            }
            _ => Self::Sqlite { path, extended_code: failure.extended_code, detail },
        }
    }
}

/// Whether SQLite says no more than "somebody else is in the way just now".
pub(crate) fn is_busy(fault: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    matches!(
        fault.sqlite_error_code(),
        Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed)
    )
}

/// Why a store cannot be opened. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path leads to something that is no regular file.
    #[error("{} is {found}, not a database file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// The file has several names, and SQLite would keep a journal for each.
    #[error("{} has {links} names (hard links), which SQLite cannot keep apart; remove all but one", .path.display())]
    HardLinked {
        /// The path.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// The path is longer than SQLite handles.
    #[error("the path {} takes {bytes} bytes, SQLite handles {max}; move the project to a shorter path", .path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
        /// The longest possible.
        max: usize,
    },
    /// The file system does not keep SQLite's promises.
    #[error("{} lies on {kind}, where SQLite's locks are not reliable; move the project to a local disk, or allow it explicitly for a single host", .path.display())]
    UnsafeFileSystem {
        /// The path.
        path: PathBuf,
        /// The file system.
        kind: String,
    },
    /// The file holds something else than a database.
    #[error("{} is not an SQLite database ({detail}); nothing was changed", .path.display())]
    NotADatabase {
        /// The path.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The file is a database of another program.
    #[error("{} is a database of another program ({found}); nothing was changed", .path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
        /// What tells.
        found: String,
    },
    /// A later release of this store has changed the file in a way this one does not know.
    #[error("{} was written by a newer release (format {found}, this one knows {known}); update autoforge-store", .path.display())]
    Newer {
        /// The path.
        path: PathBuf,
        /// The file's format.
        found: i64,
        /// The newest known format.
        known: i64,
    },
    /// The file is what a move has left behind; its contents are elsewhere.
    #[error("{} was moved to {}; open it there, or open the project", .path.display(), .to.display())]
    MovedAway {
        /// The path.
        path: PathBuf,
        /// Where the contents are.
        to: PathBuf,
    },
    /// `feature_list.json` cannot be imported; it and the database are as they were.
    #[error("{} cannot be imported: {problem}; mend the file or move it away", .path.display())]
    Backlog {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        problem: BacklogProblem,
    },
    /// The system refused.
    #[error("{action} {} failed: {detail}", .path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// The linked SQLite is older than the fix of its WAL-reset fault.
    #[error("the linked SQLite {found} can damage databases; at least {required} is needed")]
    SqliteTooOld {
        /// The linked version.
        found: String,
        /// The oldest safe one.
        required: &'static str,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl OpenError {
    pub(crate) fn system(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::System { action, path: path.to_owned(), detail: error.to_string() }
    }

    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAFile { .. } => "not_a_file",
            Self::HardLinked { .. } => "hard_linked",
            Self::PathTooLong { .. } => "path_too_long",
            Self::UnsafeFileSystem { .. } => "unsafe_file_system",
            Self::NotADatabase { .. } => "not_a_database",
            Self::Foreign { .. } => "foreign_database",
            Self::Newer { .. } => "newer_format",
            Self::MovedAway { .. } => "moved_away",
            Self::Backlog { .. } => "backlog",
            Self::System { .. } => "system",
            Self::SqliteTooOld { .. } => "sqlite_too_old",
            Self::Storage(fault) => fault.code(),
        }
    }

    /// Whether opening may succeed later without anything else being changed first.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Storage(fault) if fault.retryable())
    }
}
