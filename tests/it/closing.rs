//! Closing: what was accepted is carried out, the log is copied back, everybody learns that it is
//! over, and the file can be opened again.

use std::path::Path;
use std::task::{Context, Waker};

use autoforge_store::{Error, GetStats, StorageError, Store, Write, dispose};

use crate::support::{
    Child, FOREVER, OnWake, Project, block_on, create, gate, hold, names, number, texts, together,
};

fn is_closed<T: std::fmt::Debug, R: std::fmt::Debug>(answer: &Result<T, Error<R>>) -> bool {
    matches!(answer, Err(Error::Storage(StorageError::Closed { .. })))
}

fn side_files(project: &Project) -> Vec<String> {
    let folder = std::fs::read_dir(project.folder().join(".autoforge")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("features.db-")).collect()
}

#[test]
fn close_carries_out_what_was_accepted() {
    let (project, store) = Project::with_features(0);
    let held = hold(&store);
    let replies: Vec<_> = (0..300).map(|n| store.submit(create(&n.to_string())).unwrap()).collect();
    let reads: Vec<_> = (0..10).map(|_| store.clone().submit(GetStats).unwrap()).collect();
    let report = std::thread::scope(|scope| {
        let closing = scope.spawn(|| store.close());
        drop(held);
        closing.join().unwrap()
    });
    assert_eq!(report.fault, None);
    let ids: Vec<i64> = replies.into_iter().map(|reply| reply.wait().unwrap().id.get()).collect();
    assert_eq!(ids, (1..=300).collect::<Vec<_>>());
    for read in reads {
        read.wait().unwrap();
    }
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM features"), 300);
}

#[test]
fn close_copies_the_log_back_and_leaves_one_file() {
    let (project, store) = Project::with_features(20);
    assert!(project.log().metadata().unwrap().len() > 0);
    let report = store.close();
    assert_eq!(report.fault, None);
    let checkpoint = report.checkpoint.unwrap();
    assert!(checkpoint.complete);
    assert_eq!(checkpoint.copied_frames, checkpoint.log_frames);
    assert_eq!(side_files(&project), Vec::<String>::new());
}

#[test]
fn close_waits_for_writes_that_wait_for_another_program() {
    let (project, store) = Project::with_features(0);
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let reply = store.submit(create("patient")).unwrap();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| store.close());
        // New calls are refused from some moment on, and the old one still waits.
        while store.clone().call(GetStats).is_ok() {}
        assert_eq!(number(&writer, "SELECT count(*) FROM features"), 0);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(closing.join().unwrap().fault, None);
    });
    reply.wait().unwrap();
    assert_eq!(texts(&writer, "SELECT name FROM features"), ["patient"]);
}

#[test]
fn calls_after_close_say_so_on_every_handle() {
    let (project, store) = Project::with_features(1);
    let (other, opened_apart) = (store.clone(), project.open());
    store.close();
    for handle in [&store, &other, &opened_apart] {
        assert!(is_closed(&handle.call(GetStats)));
        assert!(is_closed(&handle.call(create("x"))));
        assert!(is_closed(&handle.call_within(GetStats, std::time::Duration::ZERO)));
        for refused in [handle.submit(GetStats).map(drop), handle.try_submit(GetStats).map(drop)] {
            let error = refused.unwrap_err();
            assert!(matches!(error, StorageError::Closed { .. }) && error.needs_reopen());
        }
        assert!(matches!(handle.checkpoint(), Err(StorageError::Closed { .. })));
        assert!(matches!(handle.diagnose(), Err(StorageError::Closed { .. })));
        let to = project.folder().join("backup.db");
        assert!(matches!(handle.backup(&to), Err(StorageError::Closed { .. })));
        assert!(!to.exists());
    }
    // The path is still known, for whoever wants to open it again.
    assert_eq!(other.path(), project.database());
    assert_eq!(names(&Store::open_project(project.folder()).unwrap()), ["Feature 1"]);
}

#[test]
fn closing_again_gives_the_same_report() {
    let (_project, store) = Project::with_features(5);
    let other = store.clone();
    let report = store.close();
    assert!(report.checkpoint.is_some());
    assert_eq!(store.close(), report);
    assert_eq!(other.close(), report);
}

#[test]
fn racing_closes_all_return_the_one_report_after_the_end() {
    for _ in 0..20 {
        let (project, store) = Project::with_features(3);
        let reports = together(8, |at| {
            let own = store.clone();
            if at % 2 == 0 { Some(own.close()) } else { dispose(project.database()).unwrap() }
        });
        let reports: Vec<_> = reports.into_iter().flatten().collect();
        assert!(reports.len() >= 4 && reports.iter().all(|report| *report == reports[0]));
        assert!(reports[0].checkpoint.unwrap().complete);
        assert_eq!(side_files(&project), Vec::<String>::new());
    }
}

#[test]
fn callers_racing_with_close_are_served_or_told() {
    for _ in 0..20 {
        let (project, store) = Project::with_features(0);
        let served = together(8, |at| {
            let own = store.clone();
            if at == 0 {
                own.close();
                return 0;
            }
            let mut served = 0;
            loop {
                match own.call(create("x")) {
                    Ok(_) => served += 1,
                    Err(Error::Storage(StorageError::Closed { .. })) => return served,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let in_file = number(&project.foreign(), "SELECT count(*) FROM features");
        assert_eq!(in_file, served.iter().sum::<i64>(), "each answer is in the file, nothing else");
    }
}

#[test]
fn dropping_the_last_handle_closes_the_engine() {
    let (project, store) = Project::with_features(2);
    let other = store.clone();
    drop(store);
    assert!(!side_files(&project).is_empty(), "the other handle keeps it open");
    other.call(create("x")).unwrap();
    drop(other);
    assert_eq!(side_files(&project), Vec::<String>::new());
    assert_eq!(dispose(project.database()).unwrap(), None);
}

#[test]
fn a_reply_is_answered_though_the_last_handle_is_dropped() {
    let (_project, store) = Project::with_features(0);
    let held = hold(&store);
    let reply = store.submit(create("x")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(store));
        drop(held);
        assert_eq!(reply.wait().unwrap().id.get(), 1);
    });
}

#[test]
fn a_waker_that_drops_the_last_handle_does_not_lock_up_the_engine() {
    let (project, store) = Project::with_features(0);
    let held = hold(&store);
    let mut reply = Box::pin(store.submit(create("x")).unwrap());
    let last = once(store);
    let (dropped, has_dropped) = crossbeam_channel::bounded(1);
    let on_wake = OnWake::new(move || {
        drop(last());
        dropped.send(()).unwrap();
    });
    let waker = Waker::from(on_wake);
    assert!(reply.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held);
    assert_eq!(has_dropped.recv_timeout(FOREVER), Ok(()));
    block_on(reply).unwrap();
    // Whoever opens the file next waits until that engine is gone.
    assert_eq!(names(&project.open()), ["x"]);
}

/// Gives the value once.
fn once<T: Send>(value: T) -> impl Fn() -> Option<T> + Send + Sync {
    let (give, take) = crossbeam_channel::bounded(1);
    give.send(value).ok().unwrap();
    move || take.try_recv().ok()
}

#[test]
fn a_file_can_be_opened_again_at_once_and_over_and_over() {
    let project = Project::new();
    for n in 1..=20_u64 {
        let store = project.open();
        store.call(create("x")).unwrap();
        assert_eq!(store.call(GetStats).unwrap().total, n);
        if n % 2 == 0 {
            assert!(store.close().checkpoint.unwrap().complete);
        }
    }
}

#[test]
fn opening_races_with_the_last_drop_and_always_gets_a_working_engine() {
    let project = Project::new();
    project.open();
    together(8, |_| {
        for _ in 0..25 {
            let store = project.open();
            store.call(GetStats).unwrap();
        }
    });
    assert_eq!(side_files(&project), Vec::<String>::new());
}

#[test]
fn dispose_ends_the_engine_behind_all_handles() {
    let (project, store) = Project::with_features(4);
    let other = store.clone();
    let report = dispose(project.folder().join(".autoforge/../.autoforge/features.db"));
    let report = report.unwrap().unwrap();
    assert!(report.checkpoint.unwrap().complete);
    assert_eq!(report.fault, None);
    assert!(is_closed(&store.call(GetStats)) && is_closed(&other.call(GetStats)));
    assert_eq!(side_files(&project), Vec::<String>::new());
    assert_eq!(dispose(project.database()).unwrap(), None, "there is none any more");
    let reopened = project.open();
    assert_eq!(reopened.call(GetStats).unwrap().total, 4);
    // What is left of the old handles does not disturb the new engine.
    drop((store, other));
    assert_eq!(reopened.call(GetStats).unwrap().total, 4);
}

#[test]
fn dispose_waits_for_what_is_running() {
    let (project, store) = Project::with_features(0);
    let (gate, held) = gate::<Write>();
    let running = store.submit(gate).unwrap();
    let queued = store.submit(create("queued")).unwrap();
    held.wait_until_entered();
    std::thread::scope(|scope| {
        let disposing = scope.spawn(|| dispose(project.database()).unwrap().unwrap());
        while store.clone().try_submit(GetStats).is_ok() {}
        assert!(!disposing.is_finished());
        drop(held);
        assert_eq!(disposing.join().unwrap().fault, None);
    });
    running.wait().unwrap();
    queued.wait().unwrap();
}

#[test]
fn disposing_of_a_file_that_nobody_opened_does_nothing() {
    let project = Project::new();
    assert_eq!(dispose(project.folder().join("nothing.db")).unwrap(), None);
    assert!(dispose(project.folder()).is_err());
    assert!(dispose(Path::new("/nowhere/at/all.db")).is_err());
    assert!(!project.folder().join("nothing.db").exists());
}

#[test]
fn a_close_beside_a_reader_says_that_the_log_is_not_all_copied() {
    let (project, store) = Project::with_features(2);
    let mut reader = Child::start("stay_connected", &project.database());
    assert_eq!(reader.hear(), "connected");
    store.call(create("after its snapshot")).unwrap();
    let report = store.close();
    assert_eq!(report.fault, None);
    assert!(report.checkpoint.is_none_or(|checkpoint| !checkpoint.complete), "{report:?}");
    // Nothing is lost: the log stays until the last one leaves.
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM features"), 3);
    drop(reader);
    assert_eq!(names(&project.open()).len(), 3);
}

#[test]
fn a_close_beside_an_idle_process_is_complete() {
    let (project, store) = Project::with_features(2);
    let idle = project.foreign();
    assert_eq!(number(&idle, "SELECT count(*) FROM features"), 2);
    let report = store.close();
    assert!(report.checkpoint.unwrap().complete, "{report:?}");
    assert_eq!(project.log().metadata().unwrap().len(), 0);
    assert_eq!(number(&idle, "SELECT count(*) FROM features"), 2);
}
