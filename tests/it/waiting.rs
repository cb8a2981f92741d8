//! Waiting for another program's lock, for a place in the mailbox and for answers: readers never
//! wait for writers, every wait has an end, and what gave up has changed nothing.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use autoforge_store::{
    ClaimNext, ClaimedNext, ClearInProgress, Error, FeatureRefusal, GetFeature, GetReady, GetStats,
    MarkInProgress, Read, Reply, SkipFeature, StorageError, Write,
};
use rusqlite::Connection;

use crate::support::{
    Child, FOREVER, OnWake, Project, block_on, create, feature, gate, hold, names, number,
};

fn lock(project: &Project) -> Connection {
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer
}

#[test]
fn reads_answer_while_another_program_writes() {
    let (project, store) = Project::with_features(3);
    let writer = lock(&project);
    writer.execute_batch("DELETE FROM features").unwrap();
    for store in [store.clone(), store] {
        assert_eq!(store.call_within(GetStats, FOREVER).unwrap().total, 3);
        assert_eq!(store.call_within(GetReady { limit: 1 }, FOREVER).unwrap().total, 3);
        let reply = store.try_submit(GetFeature { id: 1.into() }).unwrap();
        assert_eq!(block_on(reply).unwrap().name, "Feature 1");
    }
}

#[test]
fn reads_answer_while_our_own_writes_wait_for_another_program() {
    let (project, store) = Project::with_features(3);
    let writer = lock(&project);
    let waiting: Vec<_> = (0..50).map(|n| store.submit(create(&n.to_string())).unwrap()).collect();
    let reader = store.clone();
    for _ in 0..20 {
        assert_eq!(reader.call_within(GetStats, FOREVER).unwrap().total, 3);
    }
    writer.execute_batch("COMMIT").unwrap();
    for reply in waiting {
        reply.wait().unwrap();
    }
    assert_eq!(reader.call(GetStats).unwrap().total, 53);
}

#[test]
fn a_write_waits_for_the_lock_and_then_sees_what_the_other_program_wrote() {
    let (project, store) = Project::with_features(2);
    let writer = lock(&project);
    writer.execute_batch("UPDATE features SET in_progress = 1 WHERE id = 1").unwrap();
    let claim = store.submit(MarkInProgress { id: 1.into() }).unwrap();
    let next = store.submit(ClaimNext).unwrap();
    assert!(!feature(&store.clone(), 1).in_progress, "not committed yet");
    writer.execute_batch("COMMIT").unwrap();
    let refused = claim.wait().unwrap_err();
    assert_eq!(refused, Error::Refused(FeatureRefusal::AlreadyInProgress { id: 1.into() }));
    let ClaimedNext::Feature(next) = next.wait().unwrap() else { panic!("feature 2 is free") };
    let next = next.feature;
    assert_eq!(next.id.get(), 2);
}

#[test]
fn a_handles_read_stays_behind_its_own_write() {
    let (project, store) = Project::with_features(0);
    let writer = lock(&project);
    let created = store.submit(create("mine")).unwrap();
    let mut stats = Box::pin(store.submit(GetStats).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    // Another handle's read passes by; ours does not, however often the engine has come round.
    for _ in 0..10 {
        assert_eq!(store.clone().call_within(GetStats, FOREVER).unwrap().total, 0);
        assert!(stats.as_mut().poll(&mut context).is_pending());
    }
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(block_on(stats).unwrap().total, 1);
    created.wait().unwrap();
}

#[test]
fn a_read_after_an_answered_write_does_not_wait() {
    let (project, store) = Project::with_features(0);
    store.call(create("mine")).unwrap();
    let _writer = lock(&project);
    assert_eq!(store.call_within(GetStats, FOREVER).unwrap().total, 1);
}

#[test]
fn a_read_after_a_write_that_gave_up_does_not_wait() {
    let (project, store) = Project::with_features(0);
    let _writer = lock(&project);
    let error = store.call_within(create("late"), Duration::from_millis(5)).unwrap_err();
    assert!(error.retryable(), "{error}");
    assert_eq!(store.clone().call_within(GetStats, FOREVER).unwrap().total, 0);
    assert_eq!(store.call_within(GetStats, FOREVER).unwrap().total, 0);
}

#[test]
fn a_write_that_waited_too_long_is_refused_and_names_the_process_that_holds_the_lock() {
    let (project, store) = Project::with_features(1);
    store.close();
    let wait = Duration::from_millis(30);
    let store = project.open_waiting(wait);
    let mut child = Child::start("hold_lock", &project.database());
    assert_eq!(child.hear(), "locked");
    let error = store.call(SkipFeature { id: 1.into() }).unwrap_err();
    let Error::Storage(StorageError::Busy { waited, holder: Some(holder), .. }) = &error else {
        panic!("{error}")
    };
    assert!(*waited >= wait);
    assert_eq!((holder.pid, holder.stopped), (child.id(), false));
    // A long command is shown from its beginning.
    let program = std::env::current_exe().unwrap().display().to_string();
    let (shown, all) = (holder.command.as_str(), format!("{program} --exact processes::child"));
    assert!(!shown.is_empty() && all.starts_with(shown) || shown.starts_with(&all), "{shown}");
    assert!(error.to_string().contains(&child.id().to_string()), "{error}");
    assert!(error.retryable());

    // Neither it nor anything of it has happened, and the next call works.
    child.tell("go");
    assert_eq!(child.hear(), "unlocked");
    assert_eq!(feature(&store, 1).priority, 1);
    assert_eq!(store.call(SkipFeature { id: 1.into() }).unwrap().new_priority, 2);
}

#[test]
fn a_holder_that_is_stopped_is_named_as_stopped() {
    let (project, store) = Project::with_features(1);
    store.close();
    let store = project.open_waiting(Duration::from_millis(30));
    let mut child = Child::start("hold_lock", &project.database());
    assert_eq!(child.hear(), "locked");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    // A signal takes effect in its own time; each attempt looks anew.
    let named = crate::support::eventually(|| {
        let error = store.call(SkipFeature { id: 1.into() }).unwrap_err();
        let Error::Storage(StorageError::Busy { holder, .. }) = error else { panic!("{error}") };
        holder.is_some_and(|holder| holder.stopped && holder.pid == child.id())
    });
    assert!(named);
    assert_eq!(store.call(GetStats).unwrap().total, 1, "reads go on");
}

#[test]
fn a_store_without_patience_refuses_at_once_and_changes_nothing() {
    let (project, store) = Project::with_features(1);
    store.close();
    let store = project.open_waiting(Duration::ZERO);
    let writer = lock(&project);
    for _ in 0..3 {
        let error = store.call(SkipFeature { id: 1.into() }).unwrap_err();
        // The lock is this process's own, which is not worth naming.
        let StorageError::Busy { holder: None, .. } = storage(error) else { panic!() };
    }
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(number(&writer, "SELECT priority FROM features"), 1);
    store.call(SkipFeature { id: 1.into() }).unwrap();
}

fn storage<R>(error: Error<R>) -> StorageError {
    match error {
        Error::Storage(fault) => fault,
        Error::Refused(_) => panic!("the command ran"),
    }
}

#[test]
fn a_call_whose_deadline_passes_while_it_waits_for_the_lock_changes_nothing() {
    let (project, store) = Project::with_features(1);
    let writer = lock(&project);
    for allowed in [Duration::ZERO, Duration::from_micros(50), Duration::from_millis(20)] {
        let error = store.call_within(SkipFeature { id: 1.into() }, allowed).unwrap_err();
        assert!(error.retryable(), "{error}");
        assert!(["deadline_passed", "busy"].contains(&error.code()), "{error}");
    }
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(feature(&store, 1).priority, 1);
    assert_eq!(store.call(SkipFeature { id: 1.into() }).unwrap().new_priority, 2);
}

#[test]
fn a_write_whose_deadline_passes_while_it_runs_has_an_unknown_outcome() {
    let (_project, store) = Project::with_features(1);
    let (gate, held) = gate::<Write>();
    let reply = store.submit(gate).unwrap();
    held.wait_until_entered();
    let error = storage(reply.wait_for(Duration::ZERO).unwrap_err());
    assert!(matches!(error, StorageError::OutcomeUnknown { .. }), "{error}");
    assert!(!error.retryable(), "repeating it might do it twice");
    drop(held);
    store.call(SkipFeature { id: 1.into() }).unwrap();
}

#[test]
fn a_read_whose_deadline_passes_while_it_runs_is_just_late() {
    let (_project, store) = Project::with_features(1);
    let (gate, held) = gate::<Read>();
    let reply = store.submit(gate).unwrap();
    held.wait_until_entered();
    let allowed = Duration::from_millis(1);
    let error = storage(reply.wait_for(allowed).unwrap_err());
    assert_eq!(error, StorageError::DeadlinePassed { allowed });
    drop(held);
    assert_eq!(store.call(GetStats).unwrap().total, 1);
}

#[test]
fn a_command_that_its_caller_withdrew_never_runs() {
    let (_project, store) = Project::with_features(1);
    let held = hold(&store);
    let dropped = store.submit(create("dropped")).unwrap();
    let late = store.submit(create("late")).unwrap();
    let kept = store.submit(create("kept")).unwrap();
    drop(dropped);
    let error = storage(late.wait_for(Duration::ZERO).unwrap_err());
    assert_eq!(error, StorageError::DeadlinePassed { allowed: Duration::ZERO });
    drop(held);
    assert_eq!(kept.wait().unwrap().id.get(), 2);
    assert_eq!(names(&store), ["Feature 1", "kept"]);
}

#[test]
fn a_command_that_runs_is_carried_out_though_its_caller_leaves() {
    let (_project, store) = Project::with_features(1);
    let (gate, held) = gate::<Write>();
    drop_while_running(store.submit(gate).unwrap(), &held);
    let last = store.submit(create("x")).unwrap();
    drop(held);
    assert_eq!(last.wait().unwrap().id.get(), 2);

    // The same with a write: it runs, its caller leaves, and it is in the file.
    let (entered, has_entered) = crossbeam_channel::bounded(1);
    let (go, went) = crossbeam_channel::bounded::<()>(1);
    let reply = store
        .submit(crate::support::Script(move |tx: &autoforge_store::Tx<'_, Write>| {
            entered.send(()).unwrap();
            went.recv().unwrap();
            assert!(autoforge_store::Command::run(&create("left alone"), tx).is_ok());
            Ok(())
        }))
        .unwrap();
    has_entered.recv().unwrap();
    drop(reply);
    go.send(()).unwrap();
    assert_eq!(names(&store).last().unwrap(), "left alone");
}

fn drop_while_running<C: autoforge_store::Command>(reply: Reply<C>, held: &crate::support::Held) {
    held.wait_until_entered();
    drop(reply);
}

#[test]
fn a_full_mailbox_refuses_or_makes_wait_as_the_caller_wants() {
    let (_project, store) = Project::with_features(1);
    let held = hold(&store);
    let mut accepted = Vec::new();
    let refusal = loop {
        match store.try_submit(ClearInProgress { id: 1.into() }) {
            Ok(reply) => accepted.push(reply),
            Err(error) => break error,
        }
    };
    assert_eq!(refusal, StorageError::MailboxFull { capacity: accepted.len() });
    assert!(refusal.retryable());
    // Another handle's writes are refused as well, after its deadline if it has one.
    let other = store.clone();
    assert!(other.try_submit(create("x")).is_err());
    let allowed = Duration::from_millis(1);
    let late = storage(other.call_within(create("x"), allowed).unwrap_err());
    assert_eq!(late, StorageError::DeadlinePassed { allowed });
    // Its reads have a way of their own.
    let read = other.try_submit(GetStats).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| other.call(create("waits for a place")));
        drop(held);
        assert!(waiting.join().unwrap().is_ok());
    });
    assert_eq!(read.wait().unwrap().total, 1);
    for reply in accepted {
        reply.wait().unwrap();
    }
    assert_eq!(store.call(GetStats).unwrap().total, 2);
}

#[test]
fn writes_that_wait_for_another_program_fill_a_bounded_line_and_leave_reads_alone() {
    let (project, store) = Project::with_features(1);
    let writer = lock(&project);
    // As many as the engine takes into its line, and as many again in the mailbox behind it.
    let accepted: Vec<_> =
        (0..2048).map(|_| store.submit(ClearInProgress { id: 1.into() }).unwrap()).collect();
    for _ in 0..5 {
        // Each answer means that the engine has looked into its mailbox once more.
        assert_eq!(store.clone().call_within(GetStats, FOREVER).unwrap().total, 1);
        let refusal = store.try_submit(ClearInProgress { id: 1.into() }).unwrap_err();
        assert!(matches!(refusal, StorageError::MailboxFull { .. }), "{refusal}");
    }
    writer.execute_batch("COMMIT").unwrap();
    for reply in accepted {
        reply.wait().unwrap();
    }
}
#[test]
fn a_reply_is_a_future_that_wakes_its_latest_waker_once() {
    let (_project, store) = Project::with_features(1);
    let held = hold(&store);
    let mut reply = Box::pin(store.submit(SkipFeature { id: 1.into() }).unwrap());
    let (first, second) = (OnWake::new(|| ()), OnWake::new(|| ()));
    for wake in [&first, &first, &second] {
        let waker = Waker::from(wake.clone());
        assert!(reply.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(held);
    // A later write of the engine is answered after the first.
    store.call(SkipFeature { id: 1.into() }).unwrap();
    assert_eq!((first.count(), second.count()), (0, 1));
    let waker = Waker::from(second.clone());
    let Poll::Ready(answer) = reply.as_mut().poll(&mut Context::from_waker(&waker)) else {
        panic!("it was woken")
    };
    assert_eq!(answer.unwrap().new_priority, 2);
    assert_eq!(second.count(), 1);
}

#[test]
fn replies_can_be_awaited_in_any_order_and_on_any_thread() {
    let (_project, store) = Project::with_features(0);
    let first = store.try_submit(create("first")).unwrap();
    let second = store.try_submit(create("second")).unwrap();
    assert_eq!(block_on(second).unwrap().id.get(), 2);
    let id = std::thread::spawn(move || block_on(first).unwrap().id.get()).join().unwrap();
    assert_eq!(id, 1);
    let sum = block_on(async {
        let a = store.try_submit(GetStats).unwrap().await.unwrap().total;
        let b = store.try_submit(create("third")).unwrap().await.unwrap().id.get();
        i64::try_from(a).unwrap() + b
    });
    assert_eq!(sum, 5);
}

#[test]
fn a_waker_may_use_the_store_itself() {
    let (_project, store) = Project::with_features(1);
    let (again, submitted) = crossbeam_channel::bounded(1);
    let handle = store.clone();
    let on_wake = OnWake::new(move || again.send(handle.try_submit(GetStats).unwrap()).unwrap());
    let held = hold(&store);
    let mut reply = Box::pin(store.submit(SkipFeature { id: 1.into() }).unwrap());
    let waker = Waker::from(on_wake);
    assert!(reply.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held);
    assert_eq!(submitted.recv_timeout(FOREVER).unwrap().wait().unwrap().total, 1);
    block_on(reply).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a folder, which no lock of SQLite's is on")]
fn a_process_that_does_not_move_when_its_turn_has_come_stops_nobody() {
    use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
    let (project, store) = Project::with_features(1);
    // As a process has it that was stopped there.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let folder = open(store.path().parent().unwrap(), flags, Mode::empty()).unwrap();
    flock(&folder, FlockOperation::LockExclusive).unwrap();
    for name in ["One", "Two"] {
        store.call(create(name)).unwrap();
    }
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM features"), 3);
}
