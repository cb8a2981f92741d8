//! Waiting for commits: whoever watches is woken by each, whoever made it, and by nothing else.

use std::thread;
use std::time::Duration;

use autoforge_store::{ClearInProgress, Error, GetStats, MarkInProgress, StorageError};

use crate::support::{FOREVER, Project, create};

/// Long enough for several rounds in which the engine looks for other programs' commits.
const SEVERAL_ROUNDS: Duration = Duration::from_millis(300);

const FOREIGN_COMMIT: &str = "UPDATE features SET name = name || '!' WHERE id = 1";

#[test]
fn our_own_commit_wakes_every_watcher_before_its_caller_is_answered() {
    let (_project, store) = Project::with_features(1);
    let (mut one, mut other) = (store.commits(), store.commits());
    store.call(create("Second")).unwrap();
    assert!(one.wait(Duration::ZERO) && other.wait(Duration::ZERO));
    assert!(!one.wait(Duration::ZERO), "one commit is told once");
}

#[test]
fn the_commit_of_another_program_wakes_a_watcher() {
    let (project, store) = Project::with_features(1);
    let mut commits = store.commits();
    let foreign = project.foreign();
    for _ in 0..3 {
        foreign.execute_batch(FOREIGN_COMMIT).unwrap();
        assert!(commits.wait(FOREVER));
    }
}

#[test]
fn a_watcher_wakes_an_engine_that_was_idle() {
    let (project, store) = Project::with_features(1);
    // Without a watcher nobody hurries, so the engine may be in the middle of a long pause.
    assert_eq!(store.call(GetStats).unwrap().total, 1);
    let mut commits = store.commits();
    project.foreign().execute_batch(FOREIGN_COMMIT).unwrap();
    assert!(commits.wait(FOREVER));
}

#[test]
fn our_own_reads_without_end_hide_no_commit_of_another_program() {
    let (project, store) = Project::with_features(1);
    let mut commits = store.commits();
    thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let reader = store.clone();
        scope.spawn(move || {
            // Ends when the watcher has been woken, and its sender is dropped.
            while receiver.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                assert_eq!(reader.call(GetStats).unwrap().total, 1);
            }
        });
        project.foreign().execute_batch(FOREIGN_COMMIT).unwrap();
        assert!(commits.wait(FOREVER));
        drop(sender);
    });
}

#[test]
fn a_write_that_waits_for_the_lock_hides_no_commit_of_its_holder() {
    let (project, store) = Project::with_features(1);
    let mut commits = store.commits();
    let holder = project.foreign();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    holder.execute_batch(FOREIGN_COMMIT).unwrap();
    let waiting = store.submit(create("Late")).unwrap();
    holder.execute_batch("COMMIT").unwrap();
    assert!(commits.wait(FOREVER));
    waiting.wait().unwrap();
}

#[test]
fn reads_and_refusals_wake_nobody() {
    let (_project, store) = Project::with_features(1);
    store.call(MarkInProgress { id: 1.into() }).unwrap();
    let mut commits = store.commits();
    store.call(GetStats).unwrap();
    store.call(MarkInProgress { id: 1.into() }).unwrap_err();
    store.call(ClearInProgress { id: 99.into() }).unwrap_err();
    assert!(!commits.wait(SEVERAL_ROUNDS));
}

#[test]
fn closing_wakes_a_watcher_for_good() {
    let (_project, store) = Project::with_features(1);
    let mut commits = store.commits();
    let watcher = thread::spawn(move || {
        // The first may be for a commit; from the end on there is no more waiting.
        let woken = [commits.wait(FOREVER), commits.wait(FOREVER)];
        (woken, commits)
    });
    store.close();
    let (woken, mut commits) = watcher.join().unwrap();
    assert_eq!(woken, [true, true]);
    assert!(store.commits().wait(FOREVER) && commits.wait(FOREVER));
    let closed = store.call(GetStats).unwrap_err();
    assert!(matches!(closed, Error::Storage(StorageError::Closed { .. })), "{closed}");
}
