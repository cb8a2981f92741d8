//! Groups: what queues together is one transaction, each command in it stands for itself, and nobody
//! is answered before the transaction is in the file.

use std::task::{Context, Waker};

use autoforge_store::{
    ClaimFeature, ClaimNext, ClaimedNext, ClearInProgress, Command, Error, Failure, FeatureRefusal,
    Features, GetFeature, GetReady, GetStats, MarkPassing, Read, SkipFeature, StorageError, Store,
    Tx, Write,
};

use crate::support::{
    FOREVER, OnWake, Project, Script, block_on, commits_in_log, create, feature, foreign, gate,
    hold, names, number, texts,
};

/// Writes, and then ends as it is told.
fn writes_then(
    name: &'static str,
    end: impl Fn() -> Result<(), Failure<FeatureRefusal>> + Send + 'static,
) -> impl Command<Database = Features, Access = Write, Output = (), Rejection = FeatureRefusal> {
    Script(move |tx: &Tx<'_, Write>| {
        assert!(create(name).run(tx).is_ok(), "the write itself works");
        end()
    })
}

fn refusal() -> Failure<FeatureRefusal> {
    Failure::Refused(FeatureRefusal::AlreadyPassing { id: 7.into() })
}

#[test]
fn what_queued_behind_the_lock_of_another_program_is_one_transaction() {
    let (project, store) = Project::with_features(0);
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = hold(&store);
    let replies: Vec<_> =
        (0..100).map(|n| store.submit(create(&format!("{n}"))).unwrap()).collect();
    let before = commits_in_log(&project.log());
    drop(held);
    writer.execute_batch("COMMIT").unwrap();
    let ids: Vec<_> = replies.into_iter().map(|reply| reply.wait().unwrap().id.get()).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>(), "in the order of their submission");
    assert_eq!(commits_in_log(&project.log()) - before, 1);
}

#[test]
fn calls_one_after_the_other_are_a_transaction_each() {
    let (project, store) = Project::with_features(0);
    let before = commits_in_log(&project.log());
    for n in 0..5 {
        store.call(create(&format!("{n}"))).unwrap();
    }
    assert_eq!(commits_in_log(&project.log()) - before, 5);
}

#[test]
fn a_group_is_bounded() {
    let (project, store) = Project::with_features(1);
    let held = hold(&store);
    let replies: Vec<_> = (0..300)
        .flat_map(|_| {
            let claim = store.submit(ClaimFeature { id: 1.into() }).unwrap();
            [Ok(claim), Err(store.submit(ClearInProgress { id: 1.into() }).unwrap())]
        })
        .collect();
    let before = commits_in_log(&project.log());
    drop(held);
    for reply in replies {
        match reply {
            Ok(claim) => assert!(!claim.wait().unwrap().already_claimed),
            Err(clear) => assert!(!clear.wait().unwrap().in_progress),
        }
    }
    // 600 commands in groups of 256.
    assert_eq!(commits_in_log(&project.log()) - before, 3);
}
#[test]
fn a_refusal_in_the_middle_undoes_its_own_writes_and_no_others() {
    let (project, store) = Project::with_features(0);
    let held = hold(&store);
    let before = store.submit(create("before")).unwrap();
    let refused = store.submit(writes_then("refused", || Err(refusal()))).unwrap();
    let after = store.submit(create("after")).unwrap();
    let commits = commits_in_log(&project.log());
    drop(held);
    assert_eq!(before.wait().unwrap().id.get(), 1);
    assert_eq!(
        refused.wait(),
        Err(Error::Refused(FeatureRefusal::AlreadyPassing { id: 7.into() }))
    );
    assert_eq!(after.wait().unwrap().id.get(), 2);
    assert_eq!(texts(&project.foreign(), "SELECT name FROM features"), ["before", "after"]);
    assert_eq!(commits_in_log(&project.log()) - commits, 1);
}

#[test]
fn a_panic_in_the_middle_undoes_its_own_writes_and_no_others() {
    let (project, store) = Project::with_features(0);
    let held = hold(&store);
    let before = store.submit(create("before")).unwrap();
    let panicked = store.submit(writes_then("panicked", || panic!("on purpose"))).unwrap();
    let after = store.submit(create("after")).unwrap();
    let commits = commits_in_log(&project.log());
    drop(held);
    before.wait().unwrap();
    let error = panicked.wait().unwrap_err();
    let Error::Storage(StorageError::Panicked { command: "script", message }) = &error else {
        panic!("{error}")
    };
    assert_eq!(message, "on purpose");
    after.wait().unwrap();
    assert_eq!(texts(&project.foreign(), "SELECT name FROM features"), ["before", "after"]);
    assert_eq!(commits_in_log(&project.log()) - commits, 1);
}

#[test]
fn what_was_chosen_in_vain_is_neither_gone_nor_there_for_those_behind() {
    type End = fn() -> Result<(), Failure<FeatureRefusal>>;
    let ends: [End; 3] = [
        || Err(refusal()),
        || Err(rusqlite::Error::QueryReturnedNoRows.into()),
        || panic!("on purpose"),
    ];
    for end in ends {
        let (_project, store) = Project::with_features(1);
        let in_vain = writes_then("in vain", end);
        let chooses = Script(move |tx: &Tx<'_, Write>| {
            MarkPassing { id: 1.into() }.run(tx)?;
            let ended = in_vain.run(tx);
            assert!(matches!(ClaimNext.run(tx), Ok(ClaimedNext::Feature(_))), "what it created");
            ended
        });
        let ready = |store: &Store| {
            let ready = store.call(GetReady { limit: 9 }).unwrap().features;
            ready.into_iter().map(|feature| feature.id.get()).collect::<Vec<_>>()
        };
        assert_eq!(ready(&store), [1]);
        let held = hold(&store);
        let chosen = store.submit(chooses).unwrap();
        let after = store.submit(ClaimNext).unwrap();
        drop(held);
        chosen.wait().unwrap_err();
        let ClaimedNext::Feature(claimed) = after.wait().unwrap() else {
            panic!("feature 1 is as it was")
        };
        assert_eq!(claimed.feature.id.get(), 1);
        assert_eq!(ready(&store), [0; 0]);
    }
}

#[test]
fn a_fault_of_one_command_undoes_its_own_writes_and_no_others() {
    let (project, store) = Project::with_features(0);
    let held = hold(&store);
    let before = store.submit(create("before")).unwrap();
    let faulty = store
        .submit(writes_then("faulty", || Err(rusqlite::Error::QueryReturnedNoRows.into())))
        .unwrap();
    let after = store.submit(create("after")).unwrap();
    drop(held);
    before.wait().unwrap();
    let error = faulty.wait().unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::Sqlite { .. })), "{error}");
    after.wait().unwrap();
    assert_eq!(texts(&project.foreign(), "SELECT name FROM features"), ["before", "after"]);
}

#[test]
fn a_panic_of_a_read_is_its_own_affair() {
    #[derive(Debug)]
    struct Panics;
    impl Command for Panics {
        const NAME: &'static str = "panics";
        type Database = Features;
        type Access = Read;
        type Output = ();
        type Rejection = FeatureRefusal;
        fn run(&self, _: &Tx<'_, Read>) -> Result<(), Failure<FeatureRefusal>> {
            panic!("while {}", "reading")
        }
    }
    let (_project, store) = Project::with_features(3);
    let held = hold(&store);
    let other = store.clone();
    let (before, panicked, after) = (
        other.submit(GetStats).unwrap(),
        other.submit(Panics).unwrap(),
        other.submit(GetStats).unwrap(),
    );
    drop(held);
    assert_eq!(before.wait().unwrap().total, 3);
    let error = panicked.wait().unwrap_err();
    assert_eq!(error.code(), "panicked");
    assert!(error.to_string().contains("while reading"), "{error}");
    assert_eq!(after.wait().unwrap().total, 3);
    store.call(create("x")).unwrap();
}

#[test]
fn a_group_of_refusals_commits_nothing() {
    let (project, store) = Project::with_features(1);
    store.call(MarkPassing { id: 1.into() }).unwrap();
    let other = project.foreign();
    let version = number(&other, "PRAGMA data_version");
    let held = hold(&store);
    let refused: Vec<_> =
        (0..5).map(|_| store.submit(MarkPassing { id: 1.into() }).unwrap()).collect();
    drop(held);
    for reply in refused {
        assert!(matches!(reply.wait(), Err(Error::Refused(_))));
    }
    assert_eq!(number(&other, "PRAGMA data_version"), version);
    // The lock is free again.
    other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
}

/// A project whose file undoes the whole transaction when a name is used twice.
pub(crate) fn with_explosive_names() -> (Project, Store) {
    let (project, store) = Project::with_features(0);
    store.close();
    let sql = text_of_features(&project).replacen(
        "name VARCHAR(255) NOT NULL",
        "name VARCHAR(255) NOT NULL UNIQUE ON CONFLICT ROLLBACK",
        1,
    );
    let file = project.foreign();
    file.execute_batch("DROP TABLE features").unwrap();
    file.execute_batch(&sql).unwrap();
    drop(file);
    let store = project.open();
    (project, store)
}

fn text_of_features(project: &Project) -> String {
    texts(&project.foreign(), "SELECT sql FROM sqlite_schema WHERE name = 'features'").remove(0)
}

#[test]
fn a_fault_that_undoes_the_transaction_is_told_to_everybody_in_it() {
    let (project, store) = with_explosive_names();
    store.call(create("taken")).unwrap();
    let held = hold(&store);
    let kept = store.submit(create("first")).unwrap();
    let refused = store.submit(MarkPassing { id: 4711.into() }).unwrap();
    let fatal = store.submit(create("taken")).unwrap();
    let later = store.submit(create("later")).unwrap();
    drop(held);
    // Neither a success nor a refusal of an undone transaction is told.
    let error = kept.wait().unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::GroupAborted { .. })), "{error}");
    assert!(error.retryable());
    let error = refused.wait().unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::GroupAborted { .. })), "{error}");
    // Whose fault it was hears so.
    let error = fatal.wait().unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::Sqlite { .. })), "{error}");
    // Whoever had not begun is served by the next transaction.
    later.wait().unwrap();
    assert_eq!(names(&store), ["taken", "later"]);
    let in_file = texts(&project.foreign(), "SELECT name FROM features ORDER BY id");
    assert_eq!(in_file, ["taken", "later"]);
}

#[test]
fn an_answer_is_given_only_after_its_commit() {
    let (project, store) = Project::with_features(0);
    let path = project.database();
    let (seen, saw) = crossbeam_channel::bounded(8);
    // Runs on the engine's own thread in the moment in which it answers.
    let on_wake = OnWake::new(move || {
        let other = foreign(&path);
        seen.send(number(&other, "SELECT count(*) FROM features")).unwrap();
    });
    let waker = Waker::from(on_wake.clone());
    let held = hold(&store);
    let mut first = Box::pin(store.submit(create("first")).unwrap());
    let second = store.submit(create("second")).unwrap();
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held);
    // Both commands of the group are in the file before the first of them is answered.
    assert_eq!(saw.recv_timeout(FOREVER), Ok(2));
    block_on(first).unwrap();
    second.wait().unwrap();
    assert_eq!(on_wake.count(), 1);
}

#[test]
fn even_a_refusal_is_told_only_after_what_it_saw_is_durable() {
    let (project, store) = Project::with_features(1);
    let path = project.database();
    let (seen, saw) = crossbeam_channel::bounded(8);
    let on_wake = OnWake::new(move || {
        let other = foreign(&path);
        seen.send(number(&other, "SELECT passes FROM features WHERE id = 1")).unwrap();
    });
    let held = hold(&store);
    let passed = store.submit(MarkPassing { id: 1.into() }).unwrap();
    let mut refused = Box::pin(store.submit(ClaimFeature { id: 1.into() }).unwrap());
    let waker = Waker::from(on_wake);
    assert!(refused.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held);
    assert_eq!(saw.recv_timeout(FOREVER), Ok(1));
    passed.wait().unwrap();
    let error = block_on(refused).unwrap_err();
    assert_eq!(error, Error::Refused(FeatureRefusal::AlreadyPassing { id: 1.into() }));
}

#[test]
fn a_reply_describes_its_own_moment_and_no_later_change() {
    let (_project, store) = Project::with_features(3);
    let held = hold(&store);
    let claimed = store.submit(ClaimFeature { id: 1.into() }).unwrap();
    let seen = store.submit(GetFeature { id: 1.into() }).unwrap();
    let skipped = store.submit(SkipFeature { id: 1.into() }).unwrap();
    let passed = store.submit(MarkPassing { id: 1.into() }).unwrap();
    drop(held);
    let claimed = claimed.wait().unwrap().feature;
    assert_eq!((claimed.in_progress, claimed.passes, claimed.priority), (true, false, 1));
    let seen = seen.wait().unwrap();
    assert_eq!((seen.in_progress, seen.passes, seen.priority), (true, false, 1));
    let skipped = skipped.wait().unwrap();
    assert_eq!((skipped.old_priority, skipped.new_priority), (1, 4));
    passed.wait().unwrap();
    let now = feature(&store, 1);
    assert_eq!((now.in_progress, now.passes, now.priority), (false, true, 4));
}

#[test]
fn a_writing_command_has_the_write_lock_from_its_first_statement() {
    let (project, store) = Project::with_features(1);
    let (gate, held) = gate::<Write>();
    let reply = store.submit(gate).unwrap();
    held.wait_until_entered();
    // It has not written anything yet; still nobody can change what it may decide on.
    let error = project.foreign().execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
    drop(held);
    reply.wait().unwrap();
    project.foreign().execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
}

#[test]
fn no_transaction_outlives_its_command() {
    let (project, store) = Project::with_features(1);
    let other = project.foreign();
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
    store.call(GetStats).unwrap();
    // Not even a read transaction is left, which would keep the log from being copied back.
    let checkpoint: (i64, i64, i64) = other
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(checkpoint, (0, 0, 0));
}
