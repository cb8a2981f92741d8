//! Checkpoints, backups and checks of the whole file, on request and by the engine itself.
#![expect(clippy::disallowed_methods, reason = "a backup is read while nobody has it open")]

use autoforge_store::{
    ClearInProgress, Features, GetStats, JournalMode, MarkInProgress, OpenOptions, SkipFeature,
    StorageError, Store,
};

use crate::support::{
    Child, Project, create, eventually, foreign, hold, log_frames, names, number, texts,
};

#[test]
fn a_checkpoint_on_request_copies_the_whole_log_and_cuts_it() {
    let (project, store) = Project::with_features(30);
    let report = store.checkpoint().unwrap().unwrap();
    assert!(report.complete);
    assert_eq!(project.log().metadata().unwrap().len(), 0);
    assert_eq!(store.call(GetStats).unwrap().total, 30);
}

#[test]
fn a_checkpoint_beside_a_reader_says_that_it_is_not_complete() {
    let (project, store) = Project::with_features(2);
    store.checkpoint().unwrap();
    let reader = project.foreign();
    reader.execute_batch("BEGIN; SELECT * FROM features").unwrap();
    store.call(create("behind the reader")).unwrap();
    let report = store.checkpoint().unwrap();
    assert!(report.is_none_or(|report| !report.complete), "{report:?}");
    assert_eq!(number(&reader, "SELECT count(*) FROM features"), 2, "its snapshot stands");
    reader.execute_batch("COMMIT").unwrap();
    assert!(store.checkpoint().unwrap().unwrap().complete);
}

#[test]
fn the_log_stays_short_while_another_process_is_connected() {
    let (project, store) = Project::with_features(1);
    let other = project.foreign();
    assert_eq!(number(&other, "SELECT count(*) FROM features"), 1);
    let mut longest = 0;
    for n in 0..500 {
        store.call(MarkInProgress { id: 1.into() }).unwrap();
        store.call(ClearInProgress { id: 1.into() }).unwrap();
        if n % 10 == 0 {
            longest = longest.max(log_frames(&project.log()).len());
        }
    }
    // At 250 frames the log is copied back, and the next write begins it anew. One command adds a
    // few frames at most, and AutoForge's own checkpoint would begin at 1,000.
    assert!((100..300).contains(&longest), "{longest} frames");
}

#[test]
fn a_reader_that_stays_only_delays_the_copying() {
    let (project, store) = Project::with_features(1);
    let reader = project.foreign();
    reader.execute_batch("BEGIN; SELECT * FROM features").unwrap();
    for _ in 0..700 {
        store.call(SkipFeature { id: 1.into() }).unwrap();
    }
    assert!(log_frames(&project.log()).len() > 1_000);
    reader.execute_batch("COMMIT").unwrap();
    // Somewhere in the next round the log is copied and cut.
    let shrunk = (0..700).any(|_| {
        store.call(SkipFeature { id: 1.into() }).unwrap();
        log_frames(&project.log()).len() < 300
    });
    assert!(shrunk);
    assert_eq!(store.close().fault, None);
}

#[test]
fn an_idle_engine_copies_back_what_another_program_wrote() {
    let (project, store) = Project::with_features(1);
    store.checkpoint().unwrap();
    let other = project.foreign();
    other.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    for _ in 0..400 {
        // The engine may be at its housekeeping.
        other.busy_timeout(crate::support::FOREVER).unwrap();
        other.execute_batch("UPDATE features SET priority = priority + 1").unwrap();
    }
    let copied = || {
        other
            .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
                Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
            .unwrap()
    };
    assert!(eventually(|| {
        let (log, copied) = copied();
        copied >= 250 || log < 250
    }));
    drop(store);
}

#[test]
fn a_backup_is_one_sound_file_with_everything_committed() {
    let (project, store) = Project::with_features(50);
    let to = project.folder().join("backup.db");
    let report = store.backup(&to).unwrap();
    assert_eq!((report.path.as_path(), report.bytes), (to.as_path(), to.metadata().unwrap().len()));
    let copy = foreign(&to);
    assert_eq!(texts(&copy, "PRAGMA journal_mode"), ["delete"]);
    assert_eq!(texts(&copy, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(number(&copy, "SELECT count(*) FROM features"), 50);
    drop(copy);
    let names: Vec<_> = std::fs::read_dir(project.folder()).unwrap().collect();
    assert_eq!(names.len(), 2, "the project's folder holds .autoforge and the copy alone");
    // The store goes on, and the copy opens as a store.
    store.call(create("later")).unwrap();
    let restored = Store::<Features>::open_file(&to, &OpenOptions::default());
    assert_eq!(restored.unwrap().call(GetStats).unwrap().total, 50);
}

#[test]
fn a_backup_beside_a_writer_holds_what_was_committed_before() {
    let (project, store) = Project::with_features(3);
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM features").unwrap();
    let to = project.folder().join("backup.db");
    store.backup(&to).unwrap();
    assert_eq!(number(&foreign(&to), "SELECT count(*) FROM features"), 3);
    writer.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_backup_stays_behind_the_writes_before_it() {
    let (project, store) = Project::with_features(0);
    let held = hold(&store);
    let created = store.submit(create("just now")).unwrap();
    let to = project.folder().join("backup.db");
    std::thread::scope(|scope| {
        let backup = scope.spawn(|| store.backup(&to).unwrap());
        drop(held);
        backup.join().unwrap();
    });
    created.wait().unwrap();
    assert_eq!(number(&foreign(&to), "SELECT count(*) FROM features"), 1);
}

#[test]
fn a_backup_never_overwrites_a_file() {
    let (project, store) = Project::with_features(1);
    let to = project.folder().join("precious.txt");
    std::fs::write(&to, "precious").unwrap();
    let dangling = project.folder().join("dangling");
    std::os::unix::fs::symlink(project.folder().join("nowhere"), &dangling).unwrap();
    for target in [&to, &dangling, &project.database(), &project.folder().to_path_buf()] {
        assert!(store.backup(target).is_err(), "{}", target.display());
    }
    assert_eq!(std::fs::read(&to).unwrap(), b"precious");
    assert!(!project.folder().join("nowhere").exists());
    assert!(store.backup(project.folder().join("missing/backup.db")).is_err());
    assert_eq!(names(&store), ["Feature 1"]);
}

#[test]
fn a_diagnosis_finds_nothing_in_a_sound_file() {
    let (project, store) = Project::with_features(3);
    let diagnosis = store.diagnose().unwrap();
    assert_eq!(diagnosis.integrity, Vec::<String>::new());
    assert_eq!(diagnosis.foreign_key_violations, 0);
    assert_eq!(diagnosis.journal, JournalMode::Wal);
    assert_eq!(diagnosis.unsafe_file_system, None);
    assert!(diagnosis.log.unwrap().log_frames > 0);
    store.checkpoint().unwrap();
    let bytes = project.database().metadata().unwrap().len();
    assert_eq!(store.diagnose().unwrap().bytes, bytes);
}

#[test]
fn looking_at_a_file_from_outside_tells_how_it_is_kept() {
    let (project, store) = Project::with_features(1);
    store.close();
    let examined = || {
        let found =
            Store::<Features>::examine(project.database(), &OpenOptions::default(), &GetStats);
        found.unwrap().diagnosis
    };
    assert_eq!(examined().journal, JournalMode::Wal);
    project.foreign().query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    assert_eq!((examined().journal, examined().log), (JournalMode::Rollback, None));
}

#[test]
fn a_diagnosis_tells_what_is_wrong() {
    let (project, store) = Project::with_features(3);
    store.close();
    let file = project.foreign();
    file.execute_batch(
        "PRAGMA foreign_keys = OFF;
         INSERT INTO schedule_overrides VALUES (1, 4711, 'stop', '2026', '2026');
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX ix_features_passes ON features (priority)'
         WHERE name = 'ix_features_passes';",
    )
    .unwrap();
    drop(file);
    let diagnosis = project.open().diagnose().unwrap();
    assert_eq!(diagnosis.foreign_key_violations, 1);
    assert!(!diagnosis.integrity.is_empty());
}

#[test]
fn maintenance_waits_for_no_reader_and_for_no_other_process() {
    let (project, store) = Project::with_features(1);
    let mut holder = Child::start("hold_lock", &project.database());
    assert_eq!(holder.hear(), "locked");
    let checkpoint = store.checkpoint();
    assert!(
        matches!(checkpoint, Ok(Some(report)) if !report.complete)
            || matches!(checkpoint, Err(StorageError::Busy { .. })),
        "{checkpoint:?}"
    );
    assert_eq!(store.diagnose().unwrap().integrity, Vec::<String>::new());
    store.backup(project.folder().join("backup.db")).unwrap();
}
