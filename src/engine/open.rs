//! Opening a database: place, connection, settings, recognition, migration, journal.
//!
//! The order matters. A file is recognised before anything about it is changed, so a stranger's
//! database stays as it is; the settings that protect us from a hostile file come before its first
//! statement.

use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::checkpoint_schedule::CheckpointSchedule;
use super::location::{FileIdentity, SQLITE_REQUIRED, SQLITE_REQUIRED_NUMBER};
use super::turn::Turn;
use super::{
    Engine, Expected, JournalMode, LOG_FRAMES, Location, Observer, data_version, fence, holder,
};
use crate::crash::crash_point;
use crate::database::{Condition, Journal, Schema};
use crate::error::{OpenError, StorageError, is_busy};
use crate::tx::{Circumstances, Read, SchedulingIndex, Transaction, Tx, Write};
use crate::types::Limits;

/// How a database is opened.
///
/// ```
/// use std::time::Duration;
/// use autoforge_store::OpenOptions;
/// let patient = OpenOptions { lock_wait: Duration::from_secs(60), ..OpenOptions::default() };
/// assert!(!patient.allow_unsafe_file_system);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// How long a command waits for another process's lock before it is refused. Default: 30 s.
    pub lock_wait: Duration,
    /// Open the file even where SQLite's locks do not reach other hosts (NFS, SMB, FUSE, …). It is
    /// then kept without a write-ahead log, and must be used by one host alone. Default: `false`.
    pub allow_unsafe_file_system: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { lock_wait: Duration::from_secs(30), allow_unsafe_file_system: false }
    }
}

/// What opening a file did to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    /// The file did not exist.
    pub(crate) created: bool,
    /// It was brought up to date from an older state.
    pub(crate) migrated: bool,
    /// Which file it is.
    pub(crate) identity: FileIdentity,
}

/// How long to wait before trying again for a lock that somebody holds while opening.
const RETRY: Duration = Duration::from_millis(1);

/// What to do where there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Make it.
    Create,
    /// Say that it was moved: it was there when its path was chosen, or no file may be made there.
    Refuse,
}

impl Engine {
    /// Opens the database. Must be called on the thread that will use it. `pause` waits between
    /// attempts at a lock that another process holds.
    pub(crate) fn open(
        mut location: Location,
        absent: Absent,
        schema: Schema,
        options: &OpenOptions,
        pause: fn(Duration),
        observer: Box<dyn Observer>,
    ) -> Result<(Self, Opened), OpenError> {
        check_sqlite()?;
        let unsafe_place = location.check_file_system(options.allow_unsafe_file_system)?;
        let Connected { mut connection, identity, created } =
            connect_or_create(&mut location, absent)?;
        crash_point("open.connected");
        let patience = Patience { started: Instant::now(), wait: options.lock_wait, pause };
        let opening = Opening { connection: &connection, location: &location, patience };
        let prepared = opening.prepare(schema, unsafe_place.is_some());
        // What was said of a file that went away meanwhile is not worth telling, nor is it one that
        // may be served: somebody has moved it, and whoever asks again finds it.
        if location.was_moved() {
            return Err(StorageError::Moved { path: Arc::clone(location.path()) }.into());
        }
        let Prepared { journal, migrated, data_version } = prepared?;
        if journal == JournalMode::Wal {
            // Commits sync after their lock is let go; checkpoints sync as before.
            let later = connection.pragma_update(None, "synchronous", "NORMAL");
            later.map_err(|fault| StorageError::from_sqlite(location.path(), &fault))?;
        }
        LOG_FRAMES.set(0);
        let noted = connection.wal_hook(Some(|_: &mut Wal, frames: c_int| {
            LOG_FRAMES.set(frames.unsigned_abs());
            Ok(())
        }));
        noted.map_err(|fault| StorageError::from_sqlite(location.path(), &fault))?;
        let opened = Opened { created, migrated: migrated && !created, identity };
        let engine = Self {
            connection,
            location,
            journal,
            circumstances: Circumstances::now(),
            lock_wait: options.lock_wait,
            fault: None,
            observer,
            turn: Turn::default(),
            checkpoints: CheckpointSchedule::default(),
            data_version,
            log_may_have_grown: true,
            index: SchedulingIndex::default(),
            looked_at: Instant::now(),
            neighbours_write: false,
        };
        Ok((engine, opened))
    }
}

/// A connection to a file about which nothing is known yet.
struct Connected {
    connection: Connection,
    identity: FileIdentity,
    created: bool,
}

fn connect_or_create(location: &mut Location, absent: Absent) -> Result<Connected, OpenError> {
    let moved = |location: &Location| StorageError::Moved { path: Arc::clone(location.path()) };
    let existed = location.exists();
    let flags = match absent {
        Absent::Create => OpenFlags::SQLITE_OPEN_CREATE,
        Absent::Refuse if existed => OpenFlags::empty(),
        Absent::Refuse => return Err(moved(location).into()),
    };
    let connection = match connect(location, flags) {
        Err(_) if absent == Absent::Refuse && !location.exists() => {
            return Err(moved(location).into());
        }
        connected => connected?,
    };
    if !existed {
        location.make_private()?;
    }
    match location.identify() {
        Err(_) if existed && !location.exists() => Err(moved(location).into()),
        identified => {
            identified.map(|identity| Connected { connection, identity, created: !existed })
        }
    }
}

/// What is known of a file that is ready to be served.
struct Prepared {
    journal: JournalMode,
    migrated: bool,
    data_version: i64,
}

/// The build carries the header of the SQLite it bundles; a build against another library may still
/// meet an older one at run time.
const _: () = assert!(rusqlite::ffi::SQLITE_VERSION_NUMBER >= SQLITE_REQUIRED_NUMBER);

pub(super) fn check_sqlite() -> Result<(), OpenError> {
    if rusqlite::version_number() < SQLITE_REQUIRED_NUMBER {
        let found = rusqlite::version().to_owned();
        return Err(OpenError::SqliteTooOld { found, required: SQLITE_REQUIRED });
    }
    Ok(())
}

pub(super) fn connect(location: &Location, create: OpenFlags) -> Result<Connection, OpenError> {
    // Without SQLITE_OPEN_URI: a path is a path, whatever characters it holds.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | create
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let path = location.path();
    let fault =
        |fault: rusqlite::Error| OpenError::Storage(StorageError::from_sqlite(path, &fault));
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    protect(&connection).map_err(fault)?;
    Ok(connection)
}

/// The profile for files that somebody else may have prepared, and the limits that bound what a
/// single value may cost.
fn protect(connection: &Connection) -> rusqlite::Result<()> {
    // The actor does the waiting, so that reads are served meanwhile.
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(128);
    for (setting, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(setting, value)?;
    }
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, Limits::ROW_BYTES),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_COLUMN, 64),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 64),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 2),
    ] {
        connection.set_limit(limit, value)?;
    }
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)
}

/// For how long a lock is waited for.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) started: Instant,
    pub(super) wait: Duration,
    pub(super) pause: fn(Duration),
}

/// A connection on its way to becoming an engine.
pub(super) struct Opening<'o> {
    pub(super) connection: &'o Connection,
    pub(super) location: &'o Location,
    pub(super) patience: Patience,
}

impl Opening<'_> {
    /// Repeats what another process's lock forbids. SQLite's own waiting does not cover changes of
    /// the journal mode, and without this loop some of many simultaneous first openers fail.
    pub(super) fn retry<T>(
        &self,
        mut attempt: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, OpenError> {
        let Patience { started, wait, pause } = self.patience;
        loop {
            match attempt(self.connection) {
                Ok(value) => return Ok(value),
                Err(fault) if is_busy(&fault) => {
                    let waited = started.elapsed();
                    let path = Arc::clone(self.location.path());
                    // Whoever locked it has moved or removed it. Nobody may go on to look at it: a
                    // log beside it by now is that of another file.
                    if self.location.was_moved() {
                        return Err(StorageError::Moved { path }.into());
                    }
                    if waited >= wait {
                        let holder = holder::of_write_lock(self.location);
                        return Err(StorageError::Busy { path, waited, holder }.into());
                    }
                    pause(RETRY.mul_f64(0.5 + fastrand::f64() * 2.0));
                }
                Err(fault) => return Err(self.fault(&fault)),
            }
        }
    }

    fn fault(&self, fault: &rusqlite::Error) -> OpenError {
        let path: &Arc<Path> = self.location.path();
        if fault.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
            let detail = fault.to_string();
            return OpenError::NotADatabase { path: path.to_path_buf(), detail };
        }
        StorageError::from_sqlite(path, fault).into()
    }

    /// Recognises the file and brings it up to date.
    fn prepare(&self, schema: Schema, unsafe_place: bool) -> Result<Prepared, OpenError> {
        let condition = self.inspect(schema)?;
        self.pass_fence()?;
        let journal = self.choose_journal(schema.journal, unsafe_place)?;
        let migrated = match condition {
            Condition::Current => false,
            _ => self.migrate(schema)?,
        };
        let data_version = self.retry(data_version)?;
        Ok(Prepared { journal, migrated, data_version })
    }

    /// A file whose contents are elsewhere is refused. Where they never got there, the fence means
    /// nothing, and would keep other programs from writing.
    fn pass_fence(&self) -> Result<(), OpenError> {
        let (path, here) = (self.location.path(), FileIdentity::at(self.location.path()));
        match self.retry(|connection| fence::target(connection, self.location))? {
            None => Ok(()),
            Some(to) if FileIdentity::at(&to).is_some_and(|there| Some(there) != here) => {
                let to = std::fs::canonicalize(&to).unwrap_or(to);
                Err(OpenError::MovedAway { path: path.to_path_buf(), to })
            }
            Some(_) => self.retry(fence::lift),
        }
    }

    /// Looks at the file without changing it.
    pub(super) fn inspect(&self, schema: Schema) -> Result<Condition, OpenError> {
        let condition = self.retry(|connection| {
            connection.execute_batch("BEGIN")?;
            let circumstances = Circumstances::now();
            let transaction = Transaction::begun_on(connection, &circumstances);
            let condition = schema.inspect(&Tx::<Read>::new(transaction));
            connection.execute_batch("ROLLBACK")?;
            condition
        })?;
        self.accept(condition)
    }

    /// Refuses what is something else, without changing it.
    pub(super) fn recognise(&self, expected: Expected) -> Result<(), OpenError> {
        let known = match expected {
            Expected::Schema(schema) => return self.inspect(schema).map(drop),
            Expected::Tables(known) => known,
        };
        let tables = self.retry(|connection| {
            let all = "SELECT name FROM sqlite_schema WHERE type = 'table'";
            let mut statement = connection.prepare(all)?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
        })?;
        if tables.is_empty() || known.iter().all(|name| tables.iter().any(|table| table == name)) {
            return Ok(());
        }
        let found = format!("it has the tables {}", tables.join(", "));
        Err(OpenError::Foreign { path: self.location.path().to_path_buf(), found })
    }

    fn accept(&self, condition: Condition) -> Result<Condition, OpenError> {
        let path = self.location.path().to_path_buf();
        match condition {
            Condition::Foreign { found } => Err(OpenError::Foreign { path, found }),
            Condition::Newer { found, known } => Err(OpenError::Newer { path, found, known }),
            usable => Ok(usable),
        }
    }

    /// Reads the mode first: a file that is in the right one already is not written to. A mode that
    /// others chose is never taken back, since they may be using it, and where the kind leaves the
    /// choice to others it is never changed at all.
    fn choose_journal(
        &self,
        wanted: Journal,
        unsafe_place: bool,
    ) -> Result<JournalMode, OpenError> {
        let log = wanted == Journal::Log && !unsafe_place;
        let mode = |connection: &Connection, sql| {
            connection.query_row(sql, [], |row| row.get::<_, String>(0))
        };
        let mut found = self.retry(|connection| mode(connection, "PRAGMA journal_mode"))?;
        if found != "wal" && log {
            found = self.retry(|connection| mode(connection, "PRAGMA journal_mode = WAL"))?;
        }
        let (journal, synchronous) = match found.as_str() {
            "wal" => (JournalMode::Wal, 2),
            // Without a log, only EXTRA syncs the folder after the journal is gone.
            _ => (JournalMode::Rollback, 3),
        };
        let settled = self.retry(|connection| {
            connection.pragma_update(None, "synchronous", synchronous)?;
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            // KiB, and only as far as the file has them. A large group on a large file changes more
            // pages than SQLite keeps of itself, and what does not fit is written before the commit.
            connection.pragma_update(None, "cache_size", -16_384)?;
            connection.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))
        })?;
        if settled == synchronous && (!log || journal == JournalMode::Wal) {
            return Ok(journal);
        }
        Err(OpenError::System {
            action: "setting the journal mode of",
            path: self.location.path().to_path_buf(),
            detail: format!("SQLite answered {found}, synchronous {settled}"),
        })
    }

    /// Probes again and changes what is needed in one IMMEDIATE transaction, so that of many
    /// openers at once one migrates and the others find it done. `false` where somebody else did.
    fn migrate(&self, schema: Schema) -> Result<bool, OpenError> {
        self.retry(|connection| connection.execute_batch("BEGIN IMMEDIATE"))?;
        let migrate = || {
            let circumstances = Circumstances::now();
            let transaction = Transaction::begun_on(self.connection, &circumstances);
            let tx = Tx::<Write>::new(transaction);
            let condition = schema.inspect(&tx.as_read()).map_err(|fault| self.fault(&fault))?;
            if self.accept(condition)? == Condition::Current {
                return Ok(false);
            }
            crash_point("schema.begun");
            schema.migrate(&tx).map_err(|fault| self.fault(&fault))?;
            crash_point("schema.before_commit");
            Ok(true)
        };
        match migrate() {
            Ok(migrated) => {
                self.retry(|connection| connection.execute_batch("COMMIT"))?;
                crash_point("schema.after_commit");
                Ok(migrated)
            }
            Err(error) => {
                // The connection is dropped with the error, which undoes the transaction in any
                // case.
                drop(self.connection.execute_batch("ROLLBACK"));
                Err(error)
            }
        }
    }
}
