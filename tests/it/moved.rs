//! A file that is renamed, removed or replaced while it is open: the engine says so instead of
//! writing into nowhere, and touches nothing of what stands there now.
#![expect(clippy::disallowed_methods, reason = "files are read while nobody has them open")]

use std::path::PathBuf;

use autoforge_store::{Error, GetStats, StorageError, Store, dispose};

use crate::support::{Project, create, foreign, names, texts};

fn is_moved<T: std::fmt::Debug, R: std::fmt::Debug>(answer: &Result<T, Error<R>>) -> bool {
    matches!(answer, Err(Error::Storage(StorageError::Moved { .. })))
}

/// Takes the database with its side files elsewhere, as a program does that knows nothing of us.
fn move_away(project: &Project) -> PathBuf {
    let aside = project.folder().join("aside");
    std::fs::create_dir(&aside).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("features.db{suffix}");
        let from = project.folder().join(".autoforge").join(&name);
        std::fs::rename(from, aside.join(&name)).unwrap();
    }
    aside.join("features.db")
}

/// Another project's database, as bytes.
fn another_database() -> Vec<u8> {
    let (other, store) = Project::with_features(2);
    store.close();
    other.foreign().execute_batch("UPDATE features SET name = 'Another'").unwrap();
    std::fs::read(other.database()).unwrap()
}

#[test]
fn a_file_that_was_renamed_is_not_written_to_any_more() {
    let (project, store) = Project::with_features(1);
    let moved = move_away(&project);
    assert!(is_moved(&store.call(create("into nowhere"))));
    assert!(is_moved(&store.clone().call(GetStats)), "not even reads tell of a file that is gone");
    assert!(!project.database().exists(), "nothing is made in its place");
    let report = store.close();
    assert!(matches!(report.fault, Some(StorageError::Moved { .. })), "{report:?}");
    assert_eq!(report.checkpoint, None);
    assert_eq!(texts(&foreign(&moved), "SELECT name FROM features"), ["Feature 1"]);
    assert!(!project.database().exists());
}

#[test]
fn a_file_that_was_removed_is_an_error_and_not_an_empty_project() {
    let (project, store) = Project::with_features(1);
    let error = {
        std::fs::remove_file(project.database()).unwrap();
        store.call(create("into nowhere")).unwrap_err()
    };
    let Error::Storage(fault) = &error else { panic!("{error}") };
    assert!(matches!(fault, StorageError::Moved { .. }));
    assert!(fault.needs_reopen() && !fault.retryable(), "{fault}");
    assert!(fault.to_string().contains("open the store again"), "{fault}");
}

#[test]
fn a_file_that_was_replaced_keeps_every_byte() {
    let (project, store) = Project::with_features(1);
    let replacement = another_database();
    move_away(&project);
    std::fs::write(project.database(), &replacement).unwrap();
    assert!(is_moved(&store.call(create("into the wrong file"))));
    assert!(is_moved(&store.call(GetStats)));
    assert!(matches!(store.checkpoint(), Err(StorageError::Moved { .. })));
    assert!(matches!(store.diagnose(), Err(StorageError::Moved { .. })));
    store.close();
    assert_eq!(std::fs::read(project.database()).unwrap(), replacement);
}

#[test]
fn a_closing_that_finds_its_file_replaced_touches_neither() {
    let (project, store) = Project::with_features(1);
    let replacement = another_database();
    let moved = move_away(&project);
    let log = project.folder().join("aside/features.db-wal");
    let frames = log.metadata().unwrap().len();
    assert!(frames > 0);
    std::fs::write(project.database(), &replacement).unwrap();
    // No command came in between that could have noticed.
    let report = store.close();
    assert!(matches!(report.fault, Some(StorageError::Moved { .. })), "{report:?}");
    assert_eq!(report.checkpoint, None);
    assert_eq!(log.metadata().unwrap().len(), frames);
    assert_eq!(std::fs::read(project.database()).unwrap(), replacement);
    assert_eq!(texts(&foreign(&moved), "SELECT name FROM features"), ["Feature 1"]);
}

#[test]
fn opening_again_works_on_the_file_that_stands_there_now() {
    let (project, store) = Project::with_features(1);
    move_away(&project);
    std::fs::write(project.database(), another_database()).unwrap();
    assert!(is_moved(&store.call(GetStats)));
    let reopened = project.open();
    assert_eq!(names(&reopened), ["Another"; 2]);
    reopened.call(create("x")).unwrap();
    // The old handle stays what it is, and dropping it ends nothing of the new engine.
    assert!(store.call(GetStats).is_err());
    drop(store);
    assert_eq!(reopened.call(GetStats).unwrap().total, 3);
}

#[test]
fn opening_again_works_even_if_nobody_has_noticed_yet() {
    let (project, store) = Project::with_features(1);
    move_away(&project);
    std::fs::write(project.database(), another_database()).unwrap();
    let reopened = project.open();
    assert_eq!(names(&reopened), ["Another"; 2]);
    assert!(store.call(GetStats).is_err());
}

#[test]
fn a_file_that_was_disposed_of_may_be_moved_at_will() {
    let (project, store) = Project::with_features(1);
    dispose(project.database()).unwrap().unwrap();
    let elsewhere = project.folder().join("elsewhere.db");
    std::fs::rename(project.database(), &elsewhere).unwrap();
    assert!(matches!(store.call(GetStats), Err(Error::Storage(StorageError::Closed { .. }))));
    let fresh = Store::open_project(project.folder()).unwrap();
    assert!(fresh.opening().created);
    assert_eq!(fresh.call(GetStats).unwrap().total, 0);
    assert_eq!(texts(&foreign(&elsewhere), "SELECT name FROM features"), ["Feature 1"]);
}
