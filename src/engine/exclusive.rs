//! A database that nobody else has open: what moving, removing and replacing it begin with.
//!
//! Three facts together say "nobody". SQLite gives the file's log back and takes the exclusive lock,
//! which it does not while any other connection is in the log or in a transaction. The system names
//! no process that has the file open, which also tells of connections that sleep between
//! transactions where there is no log. And the engine of this process was disposed of before. Until
//! it ends, whoever opens the file waits or is told that it is busy.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::examine::keep_as_it_is;
use super::maintenance::{BackupReport, Snapshot, findings, snapshot};
use super::open::{Opening, Patience, check_sqlite, connect};
use super::{JournalMode, Location, OpenOptions, fence, holder};
use crate::crash::crash_point;
use crate::database::Schema;
use crate::error::{LockHolder, OpenError, StorageError, is_busy};

/// What a file must be, so that nothing else is moved or removed in its stead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// A database of this kind, of any age.
    Schema(Schema),
    /// A database with these tables among others, or with none at all.
    Tables(&'static [&'static str]),
}

/// Why a database could not be had alone. It is as it was.
#[derive(Debug)]
pub(crate) enum NotExclusive {
    /// Somebody has it open: these, as far as the system tells.
    InUse { by: Vec<LockHolder> },
    /// It cannot be opened, or is something else.
    Open(OpenError),
}

impl<E: Into<OpenError>> From<E> for NotExclusive {
    fn from(error: E) -> Self {
        Self::Open(error.into())
    }
}

/// A database that this process alone has open; see the module. Dropping it lets others in.
#[derive(Debug)]
pub(crate) struct Exclusive {
    connection: Connection,
    location: Location,
    /// How the file was kept before; alone, it is kept without a log.
    journal: JournalMode,
}

/// How long to wait before trying again.
const RETRY: Duration = Duration::from_millis(5);

impl Exclusive {
    /// Takes the database for this process alone, trying for as long as `options` wait for locks.
    pub(crate) fn take(
        path: &Path,
        expected: Expected,
        options: &OpenOptions,
        pause: fn(Duration),
    ) -> Result<Self, NotExclusive> {
        check_sqlite()?;
        let mut location = Location::resolve(path)?;
        location.check_file_system(options.allow_unsafe_file_system)?;
        location.identify()?;
        let started = Instant::now();
        loop {
            // Before anything is touched, and again when nobody can come in any more.
            let mut by = holder::with_open(&location);
            if by.is_empty() {
                match Self::attempt(&location, expected)? {
                    Some(taken) => {
                        by = holder::with_open(&location);
                        if by.is_empty() {
                            return Ok(taken);
                        }
                        taken.release()?;
                    }
                    None => by.extend(holder::of_write_lock(&location)),
                }
            }
            if started.elapsed() >= options.lock_wait {
                return Err(NotExclusive::InUse { by });
            }
            pause(RETRY);
        }
    }

    /// `None` where somebody else is in the file.
    fn attempt(location: &Location, expected: Expected) -> Result<Option<Self>, OpenError> {
        let connection = connect(location, OpenFlags::empty())?;
        let patience = Patience { started: Instant::now(), wait: Duration::ZERO, pause: |_| () };
        let opening = Opening { connection: &connection, location, patience };
        let fault = |fault: &rusqlite::Error| {
            OpenError::from(StorageError::from_sqlite(location.path(), fault))
        };
        // Who looks and goes again leaves a log that somebody left where it is.
        let left_behind = location.side_file("-wal").exists();
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_behind)
            .map_err(|error| fault(&error))?;
        match opening.recognise(expected) {
            Err(OpenError::Storage(StorageError::Busy { .. })) => return Ok(None),
            recognised => recognised?,
        }
        match lock_others_out(&connection) {
            Ok(Some(journal)) if !location.was_moved() => {
                Ok(Some(Self { connection, location: location.clone(), journal }))
            }
            Ok(Some(_)) => Err(StorageError::Moved { path: Arc::clone(location.path()) }.into()),
            Ok(None) => Ok(None),
            Err(error) if is_busy(&error) => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Copies the database into a new file, and checks the copy: its findings are none for a sound
    /// one. The copy has no fence and, where `as_it_was`, the original's journal mode, else it is
    /// kept without a log.
    pub(crate) fn copy_to(
        &self,
        to: &Path,
        as_it_was: bool,
    ) -> Result<(BackupReport, Vec<String>), StorageError> {
        let log = as_it_was && self.journal == JournalMode::Wal;
        let finish = |copy: &Connection| {
            fence::lift(copy)?;
            if log {
                copy.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            }
            Ok(())
        };
        let Snapshot { report, findings } =
            snapshot(&self.connection, self.location.path(), to, finish)?;
        Ok((report, findings))
    }

    /// Refuses every later change of the file, whoever makes it: what it holds will be at `target`,
    /// seen from the file's folder.
    pub(crate) fn fence(&self, target: &str) -> Result<(), StorageError> {
        fence::raise(&self.connection, target).map_err(|error| self.fault(&error))
    }

    /// The processes that have opened the file since it was taken, as far as the system tells. They
    /// wait for its lock, or will.
    pub(crate) fn waiting(&self) -> Vec<LockHolder> {
        holder::with_open(&self.location)
    }

    /// Removes the file, and gives the processes that have it open all the same: they came in this
    /// moment, see what it held, and are refused by SQLite when they write.
    ///
    /// What SQLite left beside it is removed first, while nobody can come in: as soon as the file is
    /// gone, another program may make a new one of that name, and what stands beside it then is that
    /// program's.
    pub(crate) fn remove(self) -> Result<Vec<LockHolder>, StorageError> {
        self.clear_side_files()?;
        crash_point("remove.side_files");
        fs::remove_file(self.location.path()).map_err(|error| self.io("removing it", &error))?;
        crash_point("remove.file");
        Ok(self.waiting())
    }

    /// Removes the file, unless somebody has opened it since it was taken; it is as it was then.
    ///
    /// Where a new file of the name will be made, such a process would find that one's log beside
    /// the file it has open, and take it for its own. So the name is taken away first, after which
    /// nobody can come any more, and given back if somebody has come.
    pub(crate) fn remove_if_alone(self) -> Result<(), NotExclusive> {
        self.clear_side_files()?;
        crash_point("remove.side_files");
        let path = self.location.path();
        let nameless = self.nameless();
        fs::rename(path, &nameless).map_err(|error| self.io("renaming it", &error))?;
        crash_point("remove.renamed");
        let by = self.waiting();
        // Where somebody has made a new file meanwhile, nobody gets the old one back.
        if !by.is_empty() && !path.exists() {
            fs::rename(&nameless, path).map_err(|error| self.io("renaming it back", &error))?;
            self.release()?;
            return Err(NotExclusive::InUse { by });
        }
        fs::remove_file(&nameless).map_err(|error| self.io("removing it", &error))?;
        crash_point("remove.file");
        Ok(())
    }

    fn nameless(&self) -> PathBuf {
        nameless(self.location.path())
    }

    /// Gives the file the contents of another database, in one transaction, which is undone by
    /// whoever opens it next where it is cut short. So the file stays the same one, for those too
    /// who wait for it.
    pub(crate) fn overwrite(&mut self, source: &Source) -> Result<(), StorageError> {
        let Self { connection, location, .. } = self;
        let fault = |error: &rusqlite::Error| StorageError::from_sqlite(location.path(), error);
        crash_point("overwrite.begun");
        let backup = Backup::new(&source.connection, connection).map_err(|error| fault(&error))?;
        if backup.step(-1).map_err(|error| fault(&error))? != StepResult::Done {
            let (path, waited) = (Arc::clone(location.path()), Duration::ZERO);
            return Err(StorageError::Busy { path, waited, holder: None });
        }
        drop(backup);
        crash_point("overwrite.done");
        Ok(())
    }

    /// Lets others in, with the file as it was.
    pub(crate) fn release(self) -> Result<(), StorageError> {
        let mode = |sql| self.connection.query_row(sql, [], |_| Ok(()));
        // What is changed here can be undone by whoever opens the file next.
        mode("PRAGMA journal_mode = DELETE")
            .and_then(|()| fence::lift(&self.connection))
            .and_then(|()| match self.journal {
                JournalMode::Wal => mode("PRAGMA journal_mode = WAL"),
                JournalMode::Rollback => Ok(()),
            })
            .map_err(|error| self.fault(&error))
    }

    /// The journal is one of finished transactions, since every one of ours has ended; the log went
    /// when the file was taken.
    fn clear_side_files(&self) -> Result<(), StorageError> {
        let memory = "PRAGMA journal_mode = MEMORY";
        self.connection.query_row(memory, [], |_| Ok(())).map_err(|error| self.fault(&error))?;
        let log = self.location.side_file("-wal");
        if log.exists() {
            let detail = format!("{} came back while the file was locked", log.display());
            return Err(StorageError::Io { path: Arc::clone(self.location.path()), detail });
        }
        for suffix in ["-journal", "-shm"] {
            match fs::remove_file(self.location.side_file(suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(self.io("removing what lies beside it", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn fault(&self, error: &rusqlite::Error) -> StorageError {
        StorageError::from_sqlite(self.location.path(), error)
    }

    fn io(&self, action: &str, error: &std::io::Error) -> StorageError {
        let detail = format!("{action}: {error}");
        StorageError::Io { path: Arc::clone(self.location.path()), detail }
    }
}

/// What a removal that was cut short leaves of a file.
pub(crate) fn nameless(path: &Path) -> PathBuf {
    let mut name = OsString::from(".removed-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// A database to copy from, which others may have open. It is only looked at.
#[derive(Debug)]
pub(crate) struct Source {
    connection: Connection,
    location: Location,
}

impl Source {
    /// Opens what must be that, and reads it as it is now from then on.
    pub(crate) fn open(
        path: &Path,
        expected: Expected,
        options: &OpenOptions,
        pause: fn(Duration),
    ) -> Result<Self, OpenError> {
        let (connection, location) = look_at(path)?;
        let patience = Patience { started: Instant::now(), wait: options.lock_wait, pause };
        let opening = Opening { connection: &connection, location: &location, patience };
        opening.recognise(expected)?;
        opening.retry(|connection| {
            connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")
        })?;
        Ok(Self { connection, location })
    }

    /// What SQLite finds wrong with it; nothing where it is sound.
    pub(crate) fn findings(&self) -> Result<Vec<String>, StorageError> {
        findings(&self.connection)
            .map_err(|error| StorageError::from_sqlite(self.location.path(), &error))
    }

    /// Copies it into a new file. The copy has no fence and no log.
    pub(crate) fn copy_to(&self, to: &Path) -> Result<(), StorageError> {
        snapshot(&self.connection, self.location.path(), to, fence::lift).map(drop)
    }
}

/// Whether the database at `path` is fenced, since its contents are at `to` by now. Looks only.
pub(crate) fn is_moved_to(
    path: &Path,
    to: &Path,
    options: &OpenOptions,
    pause: fn(Duration),
) -> Result<bool, OpenError> {
    let (connection, location) = look_at(path)?;
    let patience = Patience { started: Instant::now(), wait: options.lock_wait, pause };
    let opening = Opening { connection: &connection, location: &location, patience };
    let target = opening.retry(|connection| fence::target(connection, &location))?;
    let real = |path: &Path| fs::canonicalize(path).ok();
    Ok(target.is_some_and(|target| real(to).is_some() && real(&target) == real(to)))
}

/// A connection that leaves the file and its log as they are.
fn look_at(path: &Path) -> Result<(Connection, Location), OpenError> {
    let mut location = Location::resolve(path)?;
    location.identify()?;
    let connection = connect(&location, OpenFlags::empty())?;
    keep_as_it_is(&connection, location.side_file("-wal").exists())
        .map_err(|error| StorageError::from_sqlite(location.path(), &error))?;
    Ok((connection, location))
}

/// Copies the log back, gives it up, and keeps an exclusive lock for as long as the connection
/// lives. Gives how the file was kept; `None` where others are in it.
fn lock_others_out(connection: &Connection) -> rusqlite::Result<Option<JournalMode>> {
    let mode = |sql| connection.query_row(sql, [], |row| row.get::<_, String>(0));
    let before = mode("PRAGMA journal_mode")?;
    mode("PRAGMA locking_mode = EXCLUSIVE")?;
    if mode("PRAGMA journal_mode = DELETE")? != "delete" {
        return Ok(None);
    }
    // In this locking mode the lock stays when the transaction ends.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    let log = if before == "wal" { JournalMode::Wal } else { JournalMode::Rollback };
    Ok(Some(log))
}

#[cfg(test)]
mod tests {
    use faulty_vfs::{Call, Disk, Fault, Plan};
    use rusqlite::ffi;

    use super::*;

    const ANY: Expected = Expected::Tables(&[]);

    /// A folder with databases of these names, each with one table.
    fn databases(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let file = Connection::open(dir.path().join(name)).unwrap();
            file.execute_batch("CREATE TABLE one (id INTEGER)").unwrap();
        }
        dir
    }

    fn take(path: &Path) -> Exclusive {
        Exclusive::take(path, ANY, &OpenOptions::default(), |_| {}).unwrap()
    }

    #[test]
    fn a_fenced_file_was_moved_to_the_place_that_the_fence_names_and_to_no_other() {
        let dir = databases(&["old.db", "new.db", "other.db"]);
        let old = dir.path().join("old.db");
        let moved_to = |name| {
            is_moved_to(&old, &dir.path().join(name), &OpenOptions::default(), |_| {}).unwrap()
        };
        assert!(!moved_to("new.db"), "there is no fence yet");
        take(&old).fence("new.db").unwrap();
        assert!(moved_to("new.db"));
        assert!(!moved_to("other.db"));
        take(&old).fence("gone.db").unwrap();
        assert!(!moved_to("gone.db"), "nothing is there");
    }

    #[test]
    fn a_file_stays_where_what_lies_beside_it_cannot_be_removed() {
        let dir = databases(&["old.db"]);
        let old = dir.path().join("old.db");
        let taken = take(&old);
        fs::create_dir(dir.path().join("old.db-shm")).unwrap();
        assert!(matches!(taken.remove(), Err(StorageError::Io { .. })));
        assert!(old.exists());
    }

    thread_local! {
        /// What is given the name of what.
        static RENAMED: std::cell::RefCell<Option<(PathBuf, PathBuf)>> =
            const { std::cell::RefCell::new(None) };
    }

    #[test]
    fn another_file_that_has_got_the_name_meanwhile_is_not_taken() {
        let dir = databases(&["old.db", "other.db"]);
        let old = dir.path().join("old.db");
        let other = dir.path().join("other.db");
        let user = Connection::open(&old).unwrap();
        user.execute_batch("BEGIN EXCLUSIVE").unwrap();
        RENAMED.set(Some((other, old.clone())));
        let taken = Exclusive::take(&old, ANY, &OpenOptions::default(), |_| {
            if let Some((from, to)) = RENAMED.take() {
                fs::rename(from, to).unwrap();
            }
        });
        let moved =
            |error: &OpenError| matches!(error, OpenError::Storage(StorageError::Moved { .. }));
        assert!(matches!(&taken, Err(NotExclusive::Open(error)) if moved(error)), "{taken:?}");
    }

    #[test]
    fn a_disk_that_fails_is_not_taken_for_somebody_who_has_the_file() {
        let dir = databases(&[]);
        let disk = Disk::below(dir.path()).unwrap();
        let path = dir.path().join("file.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE one (id INTEGER)").unwrap();
        let options = OpenOptions { lock_wait: Duration::ZERO, ..OpenOptions::default() };
        let mut failed = 0;
        for lock in 0.. {
            disk.plan(Plan::once(Call::Lock, lock, Fault::refused(ffi::SQLITE_IOERR_LOCK)));
            let taken = Exclusive::take(&path, ANY, &options, |_| {});
            if !disk.has_fired() {
                taken.unwrap();
                break;
            }
            let io =
                |error: &OpenError| matches!(error, OpenError::Storage(StorageError::Io { .. }));
            assert!(matches!(&taken, Err(NotExclusive::Open(error)) if io(error)), "{taken:?}");
            failed += 1;
        }
        assert!(failed > 1);
    }
}
