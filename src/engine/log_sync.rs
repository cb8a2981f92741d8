//! Syncing the log after its lock is let go: the one place of this crate that needs unsafe code.
//!
//! SQLite syncs a commit to the log while it holds the write lock, so all other processes wait for the
//! disk too. The lock has done its work once the commit stands in the log. A sync of the log covers all
//! that stands in it, whoever wrote it, and a commit stands behind all that it rests on. So nothing that
//! was acknowledged can rest on something that was not synced, whichever process's sync came first. A
//! log is begun anew only after a checkpoint has synced it, has copied it back and has synced the file;
//! then this sync finds nothing of the commit to do.
//!
//! The sync goes through the connection's own handle of the log. A descriptor of our own would have to be
//! closed at some time, and the file would have to be found by its name, under which another may stand.
#![expect(unsafe_code, reason = "SQLite gives the handle of the log to C programs only")]

use std::ptr;

use rusqlite::{Connection, ffi};

/// Brings all that stands in the log of the connection's file to disk.
///
/// # Errors
/// SQLite's of the sync; `SQLITE_MISUSE` where the connection has no log.
pub(super) fn sync_log(connection: &Connection) -> rusqlite::Result<()> {
    let mut log: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is that of an open connection, which is borrowed and so stays open, and which no
    // other thread has, since `Connection` is no `Sync`. The name is a C string, and for this operation
    // SQLite writes one pointer to where the last argument points.
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_JOURNAL_POINTER,
            (&raw mut log).cast(),
        )
    };
    succeeded(code)?;
    // SAFETY: SQLite gives its own handle of the log or journal, or null. The handle lives as long as the
    // connection is in the log mode, which nothing changes here; of a file that is not open, the methods
    // are null.
    let sync = unsafe { log.as_ref().and_then(|log| log.pMethods.as_ref()) };
    let Some(sync) = sync.and_then(|methods| methods.xSync) else {
        return succeeded(ffi::SQLITE_MISUSE);
    };
    // SAFETY: the method belongs to this handle. SQLite itself calls it in this way, from the thread that
    // has the connection, and is in no call of its own now.
    succeeded(unsafe { sync(log, ffi::SQLITE_SYNC_NORMAL) })
}

fn succeeded(code: std::ffi::c_int) -> rusqlite::Result<()> {
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}
