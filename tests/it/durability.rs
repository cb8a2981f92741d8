//! What is in the file survives: a process that is killed, a disk that is full, a log that was left
//! behind.

use std::path::Path;
use std::process::Command as Program;

use autoforge_store::{Error, GetStats, OpenOptions, StorageError, Store};
use rusqlite::Connection;

use crate::support::{
    Child, Project, can_mount, create, listen, names, number, say, say_note, texts,
};

/// In a child: writes, and says each id after it was answered, until somebody ends it.
pub(crate) fn write_until_killed(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    loop {
        let made = store.call(create("acknowledged")).unwrap();
        say(&made.id.to_string());
    }
}

#[test]
fn whatever_was_answered_before_a_kill_is_there_afterwards() {
    let project = Project::new();
    let mut told = 0;
    for round in 1..=6 {
        let mut child = Child::start("write_until_killed", project.folder());
        for _ in 0..round * 7 {
            told = child.hear().parse::<i64>().unwrap();
        }
        child.kill();
        // What it had said before it died, but nobody had heard yet, counts as well.
        while let Some(line) = child.try_hear() {
            told = line.parse::<i64>().unwrap();
        }
        let store = project.open();
        let total = i64::try_from(store.call(GetStats).unwrap().total).unwrap();
        // One more may have been committed, and its answer have died with the process.
        assert!((told..=told + 1).contains(&total), "{told} told, {total} there");
        assert_eq!(store.diagnose().unwrap().integrity, Vec::<String>::new());
        told = total;
    }
}

#[test]
fn a_log_that_a_killed_process_left_behind_is_taken_over() {
    let project = Project::new();
    let mut child = Child::start("write_until_killed", project.folder());
    assert_eq!(child.hear(), "1");
    child.kill();
    assert!(project.log().metadata().unwrap().len() > 0);
    let store = project.open();
    assert!(!store.opening().created && !store.opening().migrated);
    assert_eq!(names(&store)[0], "acknowledged");
    assert!(store.close().checkpoint.unwrap().complete);
    assert!(!project.log().exists());
}

#[test]
fn a_log_without_its_shared_memory_is_taken_over() {
    let (project, store) = Project::with_features(3);
    // A copy of database and log, as a backup of a running project has them.
    let other = Project::new();
    let folder = other.folder().join(".autoforge");
    std::fs::create_dir(&folder).unwrap();
    store.call(create("in the log alone")).unwrap();
    copy_by_another_process(&project, &folder);
    let copied = other.open();
    assert_eq!(names(&copied), ["Feature 1", "Feature 2", "Feature 3", "in the log alone"]);
    assert_eq!(copied.diagnose().unwrap().integrity, Vec::<String>::new());
}

/// Another process may read our files: closing them costs only its own locks.
fn copy_by_another_process(project: &Project, to: &Path) {
    let status =
        Program::new("cp").arg(project.database()).arg(project.log()).arg(to).status().unwrap();
    assert!(status.success());
}

/// In a child, on a disk of its own that is small: writes until there is no space left.
pub(crate) fn fill_disk(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    let mut made = 0_u64;
    let fault = loop {
        match store.call(create(&"x".repeat(200))) {
            Ok(_) => made += 1,
            Err(Error::Storage(fault)) => break fault,
            Err(error) => panic!("{error}"),
        }
        assert!(made < 100_000, "the disk should be full by now");
    };
    say(&format!("{} {}", fault.code(), fault.retryable()));
    // Reads go on, nothing is half there, and what was answered is.
    let total = store.call(GetStats).unwrap().total;
    say(&format!("{}", total == made));
    say(&format!("{:?}", store.diagnose().unwrap().integrity));
    // With space again the same engine writes again.
    std::fs::remove_file(folder.join("ballast")).unwrap();
    say(&format!("{}", store.call(create("after")).is_ok()));
    say(&format!("{}", store.close().fault.is_none()));
    let reopened = Store::open_project(folder).unwrap();
    say(&format!("{}", reopened.call(GetStats).unwrap().total == made + 1));
    listen();
}

#[test]
fn a_full_disk_is_said_and_nothing_is_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut isolated = Program::new("unshare");
    isolated.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    isolated.arg(
        "mount -t tmpfs -o size=700k tmpfs \"$AUTOFORGE_STORE_TEST_FOLDER\" &&
         head -c 200000 /dev/zero > \"$AUTOFORGE_STORE_TEST_FOLDER/ballast\" && exec \"$0\" \"$@\"",
    );
    isolated.arg(std::env::current_exe().unwrap());
    if !can_mount() {
        say_note("skipped: this system lets nobody mount a small disk");
        return;
    }
    let mut child = Child::start_by(isolated, "fill_disk", folder.path());
    assert_eq!(child.hear(), "disk_full false");
    assert_eq!(child.hear(), "true", "what was answered is there, and nothing else");
    assert_eq!(child.hear(), "[]", "the file is sound");
    assert_eq!(child.hear(), "true", "it goes on once there is space");
    assert_eq!(child.hear(), "true", "it closes well");
    assert_eq!(child.hear(), "true", "and all is there when opened again");
}

#[test]
fn many_writers_of_two_programs_lose_nothing() {
    let (project, store) = Project::with_features(1);
    let python: Connection = project.foreign();
    python.busy_timeout(crate::support::FOREVER).unwrap();
    python.execute_batch("PRAGMA synchronous = OFF").unwrap();
    std::thread::scope(|scope| {
        let ours = scope.spawn(|| {
            for _ in 0..200 {
                store.call(create("ours")).unwrap();
            }
        });
        for _ in 0..200 {
            // As AutoForge inserts: the id is left to SQLite.
            python
                .execute_batch(
                    "INSERT INTO features (priority, category, name, description, steps, passes,
                         in_progress, needs_human_input)
                     VALUES (999, 'c', 'theirs', 'd', '[]', 0, 0, 0)",
                )
                .unwrap();
        }
        ours.join().unwrap();
    });
    let count = |name: &str| {
        number(&project.foreign(), &format!("SELECT count(*) FROM features WHERE name = '{name}'"))
    };
    assert_eq!((count("ours"), count("theirs")), (200, 200));
    assert_eq!(texts(&project.foreign(), "PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn an_outcome_that_is_not_known_is_never_called_retryable() {
    let path: std::sync::Arc<Path> = Path::new("/x").into();
    let unknown = StorageError::OutcomeUnknown { path, detail: String::new() };
    assert!(!unknown.retryable());
    let options = OpenOptions::default();
    assert!(
        options.lock_wait >= std::time::Duration::from_secs(30)
            && !options.allow_unsafe_file_system
    );
}
