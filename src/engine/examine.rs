//! Looking at a file without changing anything in it.

use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::maintenance::{Diagnosis, diagnosis};
use super::open::{OpenOptions, Opening, Patience, check_sqlite, connect};
use super::{JournalMode, Location};
use crate::command::Command;
use crate::database::{Condition, Database};
use crate::error::{Failure, OpenError, StorageError};
use crate::tx::{Circumstances, Read, Transaction, Tx};

/// What was found in a file by looking alone.
#[derive(Debug, Clone)]
pub struct Examination<T> {
    /// What SQLite says about the file.
    pub diagnosis: Diagnosis,
    /// The next opening brings the file up to date from an older state.
    pub outdated: bool,
    /// What the command answered; a file of an older release may lack what it asks for.
    pub answer: Result<T, StorageError>,
}

/// Opens the file, runs a reading command on it and closes it, all without bringing it up to date
/// and without copying a log back that somebody left.
pub(crate) fn examine<C>(
    location: &Location,
    options: &OpenOptions,
    pause: fn(Duration),
    command: &C,
) -> Result<Examination<C::Output>, OpenError>
where
    C: Command<Access = Read, Rejection = std::convert::Infallible>,
{
    check_sqlite()?;
    let path = location.path();
    let unsafe_place = location.unsafe_file_system();
    if let Some(kind) = unsafe_place.clone().filter(|_| !options.allow_unsafe_file_system) {
        return Err(OpenError::UnsafeFileSystem { path: path.to_path_buf(), kind });
    }
    let left_behind = location.side_file("-wal").exists();
    let connection = connect(location, OpenFlags::empty())?;
    let fault = |fault: &rusqlite::Error| StorageError::from_sqlite(path, fault);
    keep_as_it_is(&connection, left_behind).map_err(|error| fault(&error))?;
    let patience = Patience { started: Instant::now(), wait: options.lock_wait, pause };
    let opening = Opening { connection: &connection, location, patience };
    let condition = opening.inspect(C::Database::SCHEMA)?;
    let look = |connection: &Connection| {
        let mode: String =
            connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))?;
        let journal = if mode == "wal" { JournalMode::Wal } else { JournalMode::Rollback };
        diagnosis(connection, journal, unsafe_place.clone())
    };
    let diagnosis = opening.retry(look)?;
    let answer = opening.retry(|connection| {
        connection.execute_batch("BEGIN")?;
        let circumstances = Circumstances::now();
        let transaction = Transaction::begun_on(connection, &circumstances);
        let answer = command.run(&Tx::<Read>::new(transaction));
        connection.execute_batch("ROLLBACK")?;
        Ok(match answer {
            Ok(output) => Ok(output),
            Err(Failure::Sqlite(error)) => Err(fault(&error)),
            Err(Failure::Refused(never)) => match never {},
        })
    })?;
    Ok(Examination { diagnosis, outdated: condition != Condition::Current, answer })
}

/// Closing the last connection copies the log back and removes it. A log that somebody left stays;
/// one that exists for this look alone goes with it.
pub(super) fn keep_as_it_is(connection: &Connection, left_behind: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_behind)?;
    connection.pragma_update(None, "query_only", true)
}
