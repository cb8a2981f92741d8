//! Looking at a file without changing anything in it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::maintenance::{Diagnosis, diagnosis};
use super::open::{OpenOptions, Opening, Patience, check_sqlite, connect};
use super::{JournalMode, Location};
use crate::command::Command;
use crate::database::{Condition, Database};
use crate::error::{Failure, OpenError, StorageError, is_busy};
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
    C: Command<Access = Read, Rejection = Infallible>,
{
    let connection = connect_to_look(location, options)?;
    let opening = looking(&connection, location, options, pause);
    let condition = opening.inspect(C::Database::SCHEMA)?;
    let unsafe_place = location.unsafe_file_system();
    let look = |connection: &Connection| {
        let mode: String =
            connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))?;
        let journal = if mode == "wal" { JournalMode::Wal } else { JournalMode::Rollback };
        diagnosis(connection, journal, unsafe_place.clone())
    };
    let diagnosis = opening.retry(look)?;
    let answer = opening.answer(command)?;
    Ok(Examination { diagnosis, outdated: condition != Condition::Current, answer })
}

/// As [`examine`], without SQLite's checks of the whole file.
pub(crate) fn look<C>(
    location: &Location,
    options: &OpenOptions,
    pause: fn(Duration),
    command: &C,
) -> Result<C::Output, OpenError>
where
    C: Command<Access = Read, Rejection = Infallible>,
{
    let connection = connect_to_look(location, options)?;
    let opening = looking(&connection, location, options, pause);
    opening.inspect(C::Database::SCHEMA)?;
    Ok(opening.answer(command)??)
}

fn connect_to_look(location: &Location, options: &OpenOptions) -> Result<Connection, OpenError> {
    check_sqlite()?;
    let path = location.path();
    location.check_file_system(options.allow_unsafe_file_system)?;
    let left_behind = location.side_file("-wal").exists();
    let connection = connect(location, OpenFlags::empty())?;
    keep_as_it_is(&connection, left_behind)
        .map_err(|error| StorageError::from_sqlite(path, &error))?;
    Ok(connection)
}

fn looking<'o>(
    connection: &'o Connection,
    location: &'o Location,
    options: &OpenOptions,
    pause: fn(Duration),
) -> Opening<'o> {
    let patience = Patience { started: Instant::now(), wait: options.lock_wait, pause };
    Opening { connection, location, patience }
}

impl Opening<'_> {
    /// What the command answers on a snapshot; its fault where the file lacks what it asks for.
    fn answer<C>(&self, command: &C) -> Result<Result<C::Output, StorageError>, OpenError>
    where
        C: Command<Access = Read, Rejection = Infallible>,
    {
        self.retry(|connection| {
            connection.execute_batch("BEGIN")?;
            let circumstances = Circumstances::now();
            let transaction = Transaction::begun_on(connection, &circumstances);
            let answer = command.run(&Tx::<Read>::new(transaction));
            connection.execute_batch("ROLLBACK")?;
            match answer {
                Ok(output) => Ok(Ok(output)),
                Err(Failure::Sqlite(fault)) if is_busy(&fault) => Err(fault),
                Err(Failure::Sqlite(fault)) => {
                    Ok(Err(StorageError::from_sqlite(self.location.path(), &fault)))
                }
                Err(Failure::Refused(never)) => match never {},
            }
        })
    }
}

/// Closing the last connection copies the log back and removes it. A log that somebody left stays;
/// one that exists for this look alone goes with it.
pub(super) fn keep_as_it_is(connection: &Connection, left_behind: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_behind)?;
    connection.pragma_update(None, "query_only", true)
}
