//! The bug of SQLite's that corrupted databases from release 3.7.0 to 3.51.2: a checkpoint that was
//! overtaken by a restart of the log in one short moment took frames of the new log for copied already. The
//! SQLite that is linked here is driven through that moment.

use std::cell::Cell;
use std::rc::Rc;

use rusqlite::Connection;

/// The point between a checkpoint's look at the log and its copying.
const CHECKPOINT_LOOKED: i32 = 660;

fn insert(file: &Connection, rows: std::ops::Range<i64>) {
    for row in rows {
        file.execute("INSERT INTO t VALUES (?1, ?2)", (row, format!("row {row}"))).unwrap();
    }
}

fn log_frames(file: &Connection, mode: &str) -> i64 {
    file.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1)).unwrap()
}

#[test]
fn a_checkpoint_that_a_restart_of_the_log_overtakes_skips_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let writer = Rc::new(Connection::open(&path).unwrap());
    writer.pragma_update(None, "journal_mode", "WAL").unwrap();
    writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    writer.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)").unwrap();
    insert(&writer, 0..20);
    let checkpointer = Connection::open(&path).unwrap();
    // All of the log is copied back, so the next commit begins it anew.
    let before = log_frames(&writer, "PASSIVE");
    let overtaken = Rc::new(Cell::new(0));
    let overtake = {
        let (writer, overtaken) = (Rc::clone(&writer), Rc::clone(&overtaken));
        move || {
            overtaken.set(overtaken.get() + 1);
            insert(&writer, 20..21);
        }
    };
    let checkpoint = || log_frames(&checkpointer, "PASSIVE");
    faulty_vfs::at_fault_point(CHECKPOINT_LOOKED, overtake, checkpoint);
    assert_eq!(overtaken.get(), 1, "the moment was not met");
    let after = log_frames(&writer, "NOOP");
    assert!(after < before, "the log was not begun anew: {before} frames, then {after}");
    // Beyond the end of the old log, where frames were skipped.
    insert(&writer, 21..80);
    log_frames(&writer, "TRUNCATE");
    drop((checkpointer, writer));
    let file = Connection::open(&path).unwrap();
    let text = |sql: &str| file.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("SELECT count(*) || ' ' || max(id) FROM t"), "80 79");
}
