//! What a group tells its callers when SQLite fails under it. The faults are made inside the
//! connection, where no test from outside can reach.

use std::time::Duration;

use faulty_vfs::{Call, Fault, Plan};
use rusqlite::ffi;

use super::{Bench, CREATE};
use crate::database::{Assistant, Database, Features};
use crate::engine::job::Verdict;
use crate::engine::{Engine, JournalMode};

#[test]
fn a_failed_commit_is_unknown_to_those_who_wrote_and_poisons_the_engine() {
    let mut bench = Bench::new();
    bench.engine.connection.commit_hook(Some(|| true)).unwrap();
    bench.run(&[
        ("creates", CREATE, Verdict::Keep),
        ("refuses", CREATE, Verdict::Discard),
        ("creates too", CREATE, Verdict::Keep),
    ]);
    assert_eq!(
        bench.answers(),
        [
            // Whoever opens the file after an answer must not get this engine again.
            ("the owner", "ok"),
            ("creates", "outcome_unknown"),
            ("refuses", "group_aborted"),
            ("creates too", "outcome_unknown")
        ]
    );
    bench.engine.connection.commit_hook(None::<fn() -> bool>).unwrap();
    bench.run(&[("later", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("later", "poisoned")]);
}

#[test]
fn a_fault_that_undoes_the_transaction_undoes_every_answer_of_the_group() {
    let mut bench = Bench::new();
    bench.run(&[
        ("creates", CREATE, Verdict::Keep),
        ("refuses", CREATE, Verdict::Discard),
        // What a full disk does to a transaction.
        ("breaks", "ROLLBACK", Verdict::Keep),
    ]);
    assert_eq!(
        bench.answers(),
        [("creates", "group_aborted"), ("refuses", "group_aborted"), ("breaks", "group_aborted")]
    );
    assert_eq!(bench.features(), 0);
    bench.run(&[("behind it", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("behind it", "ok")]);
    assert_eq!(bench.features(), 1);
}

#[test]
fn a_job_that_discards_is_undone_alone() {
    let mut bench = Bench::new();
    bench.run(&[
        ("creates", CREATE, Verdict::Keep),
        ("refuses", CREATE, Verdict::Discard),
        ("creates too", CREATE, Verdict::Keep),
    ]);
    assert_eq!(bench.answers(), [("creates", "ok"), ("refuses", "ok"), ("creates too", "ok")]);
    assert_eq!(bench.features(), 2);
}

#[test]
fn without_a_log_a_reader_in_the_way_of_a_commit_undoes_the_group_and_no_more() {
    let mut bench = Bench::new();
    let mode = "PRAGMA journal_mode = DELETE";
    let mode: String = bench.engine.connection.query_row(mode, [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    bench.engine.journal = JournalMode::Rollback;
    bench.engine.lock_wait = Duration::ZERO;
    let reader = rusqlite::Connection::open(bench.engine.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM features").unwrap();
    bench.run(&[("beside a reader", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("beside a reader", "busy")]);
    reader.execute_batch("COMMIT").unwrap();
    bench.run(&[("alone", CREATE, Verdict::Keep)]);
    assert_eq!(bench.answers(), [("alone", "ok")]);
    assert_eq!(bench.features(), 1);
}

/// It counts only where the power goes: then a journal that is still in the folder takes the commit back.
#[test]
fn a_sync_that_fails_in_a_checkpoint_is_the_last_word_of_the_engine() {
    let checkpoints: [fn(&mut Engine); 2] =
        [|engine| assert!(engine.checkpoint().is_err()), |engine| engine.copy_log_back(250)];
    for checkpoint in checkpoints {
        let (mut bench, disk) = Bench::on_disk();
        bench.change(CREATE);
        disk.plan(Plan::once(Call::Sync, 0, Fault::refused(ffi::SQLITE_IOERR_FSYNC)));
        checkpoint(&mut bench.engine);
        assert!(disk.has_fired());
        assert_eq!(bench.answers(), [("the owner", "ok")]);
        bench.run(&[("later", CREATE, Verdict::Keep)]);
        assert_eq!(bench.answers(), [("later", "poisoned")]);
    }
}

#[test]
fn a_checkpoint_that_fails_otherwise_is_put_off() {
    let (mut bench, disk) = Bench::on_disk();
    bench.change(CREATE);
    disk.plan(Plan::once(Call::Write, 0, Fault::refused(ffi::SQLITE_IOERR_WRITE)));
    bench.engine.copy_log_back(250);
    assert!(disk.has_fired());
    bench.change(CREATE);
    assert_eq!(bench.features(), 2);
}

/// With a log, SQLite leaves the sync of commits to the engine.
#[test]
fn without_a_log_a_commit_syncs_the_folder_too() {
    for (schema, expected) in [(Features::SCHEMA, "NORMAL"), (Assistant::SCHEMA, "EXTRA")] {
        let setting = "SELECT CASE synchronous WHEN 1 THEN 'NORMAL' WHEN 3 THEN 'EXTRA' END
            FROM pragma_synchronous";
        let connection = Bench::of(schema).engine.connection;
        let found: String = connection.query_row(setting, [], |row| row.get(0)).unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn without_a_log_the_commits_of_other_programs_are_noticed_too() {
    let mut bench = Bench::new();
    let mode = "PRAGMA journal_mode = DELETE";
    let mode: String = bench.engine.connection.query_row(mode, [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    bench.engine.journal = JournalMode::Rollback;
    let other = rusqlite::Connection::open(bench.engine.path()).unwrap();
    bench.engine.idle();
    let before = bench.engine.data_version;
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    bench.engine.idle();
    assert_ne!(bench.engine.data_version, before);
}

#[test]
fn a_commit_that_a_constraint_refuses_leaves_no_transaction_open() {
    let mut bench = Bench::new();
    bench.change(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY);
         CREATE TABLE children (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
    );
    bench.engine.connection.pragma_update(None, "foreign_keys", true).unwrap();
    bench.run(&[("orphan", "INSERT INTO children VALUES (1)", Verdict::Keep)]);
    assert_eq!(bench.answers(), [("the owner", "ok"), ("orphan", "outcome_unknown")]);
    assert!(bench.engine.connection.is_autocommit());
}
