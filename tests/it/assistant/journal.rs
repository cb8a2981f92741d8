//! The engine on a file without a log, as AutoForge leaves this one: groups, waiting, readers beside
//! writers, and what a crash or a full disk leaves behind.

use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use autoforge_store::{
    Error, GetMessages, JournalMode, ListConversations, MessageSpan, OpenOptions, StorageError,
    Store,
};
use rusqlite::Connection;

use super::migration::AUTOFORGE;
use super::{Project, answers, begin, messages, says, texts};
use crate::support::{
    Child, FOREVER, eventually, foreign, hold, holds_lock, listen, number, say, say_note, text,
    texts as column,
};

/// The byte that a commit locks while it waits for readers.
const PENDING: u64 = 0x4000_0000;

fn mode(connection: &Connection) -> String {
    text(connection, "PRAGMA journal_mode")
}

#[test]
fn the_journal_mode_of_a_file_is_left_as_it_is() {
    let new = Project::new();
    drop(new.open());
    let theirs = Project::with_database(AUTOFORGE);
    drop(theirs.open());
    for project in [&new, &theirs] {
        let store = project.open();
        let id = begin(&store);
        store.call(says(id, "x")).unwrap();
        assert_eq!(store.diagnose().unwrap().journal, JournalMode::Rollback);
        assert_eq!((store.checkpoint(), mode(&project.foreign())), (Ok(None), "delete".into()));
    }
    let log = Project::with_database(&format!("PRAGMA journal_mode = WAL; {AUTOFORGE}"));
    let store = log.open();
    store.call(says(1.into(), "x")).unwrap();
    assert_eq!(store.diagnose().unwrap().journal, JournalMode::Wal);
    assert!(store.close().checkpoint.unwrap().complete);
    assert_eq!(mode(&log.foreign()), "wal");
}

#[test]
fn a_closed_file_is_one_file() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    store.call(says(id, "x")).unwrap();
    let report = store.close();
    assert_eq!((report.checkpoint, report.fault), (None, None));
    let folder = project.database().parent().unwrap().to_owned();
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".gitignore", "assistant.db"]);
}

/// How many transactions have changed the file: SQLite counts them in its header, without a log.
/// Nobody may have the file open.
fn transactions(project: &Project) -> u32 {
    #[expect(clippy::disallowed_methods, reason = "nobody has it open, so no lock is lost")]
    let bytes = std::fs::read(project.database()).unwrap();
    u32::from_be_bytes(bytes[24..28].try_into().unwrap())
}

#[test]
fn what_has_queued_shares_a_transaction() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    store.close();
    let before = transactions(&project);
    let store = project.open();
    let held = hold(&store);
    let replies: Vec<_> = (0..100).map(|_| store.submit(says(id, "x")).unwrap()).collect();
    drop(held);
    for reply in replies {
        reply.wait().unwrap();
    }
    assert_eq!(messages(&store, id).len(), 100);
    store.close();
    assert_eq!(transactions(&project), before + 1);
}

#[test]
fn reads_answer_while_another_program_writes_and_see_what_was_there() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM conversations").unwrap();
    assert_eq!(store.call(ListConversations::all()).unwrap().conversations.len(), 1);
    writer.execute_batch("COMMIT").unwrap();
    assert!(store.call(says(id, "x")).is_err());
}

#[test]
fn a_write_waits_for_another_programs_write_and_then_sees_it() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM conversations").unwrap();
    let reply = store.submit(says(id, "x")).unwrap();
    // It is in the line once a read that came behind it is answered, and keeps no other read waiting.
    for _ in 0..2 {
        assert!(store.clone().call(ListConversations::all()).is_ok());
    }
    // Without a log, whoever tries the lock is a reader for a moment, for whom a commit has to wait.
    writer.busy_timeout(Duration::from_secs(30)).unwrap();
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(reply.wait().unwrap_err().code(), "unknown_conversation");
}

#[test]
fn a_commit_waits_until_those_who_read_have_read() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    let reader = project.foreign();
    reader.execute_batch("BEGIN; SELECT * FROM conversations").unwrap();
    let reply = store.submit(says(id, "x")).unwrap();
    assert!(eventually(|| holds_lock(&project.database(), "WRITE", PENDING)));
    // The reader goes on seeing what was there, for as long as it likes.
    assert_eq!(number(&reader, "SELECT count(*) FROM conversation_messages"), 0);
    reader.execute_batch("COMMIT").unwrap();
    reply.wait_for(FOREVER).unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM conversation_messages"), 1);
}

/// In a child: reads, and does not stop.
pub(super) fn hold_snapshot(folder: &Path) {
    let other = foreign(&folder.join(".autoforge/assistant.db"));
    other.execute_batch("BEGIN; SELECT count(*) FROM conversations").unwrap();
    say("reads");
    listen();
}

#[test]
fn a_commit_that_waited_in_vain_changed_nothing_and_names_the_process_that_reads() {
    let project = Project::new();
    let wait = Duration::from_millis(40);
    let store = project.open_waiting(wait);
    let id = begin(&store);
    let mut reader = Child::start("assistant_reader", project.path());
    assert_eq!(reader.hear(), "reads");
    let error = store.call(says(id, "x")).unwrap_err();
    assert!(error.retryable(), "{error}");
    let Error::Storage(StorageError::Busy { waited, holder, .. }) = error else {
        panic!("{error}")
    };
    assert!(waited >= wait, "{waited:?}");
    if cfg!(target_os = "linux") {
        assert_eq!(holder.unwrap().pid, reader.id());
    }
    assert!(messages(&store, id).is_empty());
    reader.kill();
    store.call(says(id, "x")).unwrap();
    assert_eq!(texts(&store, id), ["x"]);
}

#[test]
fn commits_of_other_programs_are_noticed() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    let mut commits = store.commits();
    let sql = "INSERT INTO conversation_messages (conversation_id, role, content)
        VALUES (1, 'user', 'theirs')";
    project.foreign().execute_batch(sql).unwrap();
    assert!(commits.wait(FOREVER));
    assert_eq!(texts(&store, id), ["theirs"]);
}

#[test]
fn a_backup_beside_writers_is_whole() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    store.call(says(id, "x")).unwrap();
    let copy = project.path().join("copy.db");
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM conversation_messages").unwrap();
    store.backup(&copy).unwrap();
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(column(&foreign(&copy), "SELECT content FROM conversation_messages"), ["x"]);
}

/// In a child: changes so much that SQLite writes into the file before the end, and stops there.
pub(super) fn stop_half_way(folder: &Path) {
    let other = foreign(&folder.join(".autoforge/assistant.db"));
    other
        .execute_batch(
            "PRAGMA cache_size = 2; PRAGMA cache_spill = 2; BEGIN IMMEDIATE;
             UPDATE conversation_messages SET content = 'half ' || randomblob(2000);
             INSERT INTO conversation_messages (conversation_id, role, content)
                 SELECT conversation_id, role, randomblob(2000) FROM conversation_messages;",
        )
        .unwrap();
    say("half way");
    listen();
}

#[test]
fn what_a_killed_program_had_half_written_is_taken_back_by_whoever_opens_next() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    for _ in 0..100 {
        store.call(says(id, "whole")).unwrap();
    }
    store.close();
    let mut child = Child::start("assistant_half_way", project.path());
    assert_eq!(child.hear(), "half way");
    child.kill();
    let journal = project.path().join(".autoforge/assistant.db-journal");
    assert!(journal.metadata().unwrap().len() > 0);
    let store = project.open();
    assert_eq!(texts(&store, id), ["whole"; 100]);
    assert_eq!(store.diagnose().unwrap().integrity, Vec::<String>::new());
    assert!(!journal.exists());
}

/// In a child: says something and then how often, until somebody ends it.
pub(super) fn write_until_killed(folder: &Path) {
    let store = Store::open_assistant(folder).unwrap();
    loop {
        let added = store.call(answers(1.into(), "word")).unwrap();
        say(&added.id.to_string());
    }
}

#[test]
fn whatever_was_answered_before_a_kill_is_in_the_file() {
    let project = Project::new();
    begin(&project.open());
    let mut told = 0;
    for round in 1..=4 {
        let mut child = Child::start("assistant_until_killed", project.path());
        for _ in 0..round * 7 {
            told = child.hear().parse::<usize>().unwrap();
        }
        child.kill();
        while let Some(line) = child.try_hear() {
            told = line.parse().unwrap();
        }
        let store = project.open();
        let total = messages(&store, 1.into()).len();
        // One more may have been committed, and its answer have died with the process.
        assert!((told..=told + 1).contains(&total), "{told} told, {total} there");
        assert_eq!(store.diagnose().unwrap().integrity, Vec::<String>::new());
    }
}

/// In a child, on a disk of its own that is small: writes until there is no space left.
pub(super) fn fill_disk(folder: &Path) {
    let store = Store::open_assistant(folder).unwrap();
    let id = begin(&store);
    let mut said = 0;
    let fault = loop {
        match store.call(says(id, &"x".repeat(5000))) {
            Ok(_) => said += 1,
            Err(Error::Storage(fault)) => break fault,
            Err(error) => panic!("{error}"),
        }
        assert!(said < 10_000, "the disk should be full by now");
    };
    say(fault.code());
    let count = |store: &Store<_>| {
        let span = MessageSpan::Earliest;
        store.call(GetMessages { conversation: id, span, limit: usize::MAX }).unwrap().len()
    };
    say(&format!("{}", count(&store) == said));
    std::fs::remove_file(folder.join("ballast")).unwrap();
    say(&format!("{}", store.call(says(id, "after")).is_ok()));
    say(&format!("{:?}", store.diagnose().unwrap().integrity));
    say(&format!("{}", store.close().fault.is_none()));
    say(&format!("{}", count(&Store::open_assistant(folder).unwrap()) == said + 1));
    listen();
}

#[test]
fn a_disk_that_is_full_at_a_commit_is_said_and_the_engine_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |size: u32, then: &str| {
        let mut isolated = Program::new("unshare");
        isolated.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        let at = "\"$AUTOFORGE_STORE_TEST_FOLDER\"";
        isolated.arg(format!("mount -t tmpfs -o size={size}k tmpfs {at} && {then}"));
        isolated
    };
    let can = mount(64, "true").env("AUTOFORGE_STORE_TEST_FOLDER", folder.path()).status();
    if !can.is_ok_and(|status| status.success()) {
        say_note("skipped: this system lets nobody mount a small disk");
        return;
    }
    let ballast = "head -c 200000 /dev/zero > \"$AUTOFORGE_STORE_TEST_FOLDER/ballast\"";
    let mut isolated = mount(500, &format!("{ballast} && exec \"$0\" \"$@\""));
    isolated.arg(std::env::current_exe().unwrap());
    let mut child = Child::start_by(isolated, "assistant_full_disk", folder.path());
    assert_eq!(child.hear(), "disk_full");
    assert_eq!(child.hear(), "true", "what was answered is there, and nothing else");
    assert_eq!(child.hear(), "true", "it goes on once there is space");
    assert_eq!(child.hear(), "[]", "the file is sound");
    assert_eq!(child.hear(), "true", "it closes well");
    assert_eq!(child.hear(), "true", "and all is there when opened again");
}

#[test]
fn a_store_without_patience_refuses_while_another_program_has_the_lock() {
    let project = Project::new();
    let store = project.open_waiting(Duration::ZERO);
    let id = begin(&store);
    let writer = project.foreign();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(store.call(says(id, "x")).unwrap_err().code(), "busy");
    // Without a log, whoever has the file for itself keeps out readers as well.
    assert_eq!(store.call(ListConversations::all()).unwrap_err().code(), "busy");
    writer.execute_batch("ROLLBACK").unwrap();
    assert!(store.call(says(id, "x")).is_ok());
    let options = OpenOptions { lock_wait: Duration::ZERO, ..OpenOptions::default() };
    assert!(Store::open_assistant_with(project.path(), &options).is_ok());
}

#[test]
fn a_read_waits_for_a_program_that_has_the_file_for_itself() {
    let project = Project::new();
    let store = project.open_waiting(FOREVER);
    begin(&store);
    let writer = project.foreign();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let early = store.call_within(ListConversations::all(), Duration::from_millis(100));
    assert_eq!(early.unwrap_err().code(), "deadline_passed", "it was not refused before");
    let waiting = store.submit(ListConversations::all()).unwrap();
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(waiting.wait().unwrap().conversations.len(), 1);
}
