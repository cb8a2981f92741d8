//! What a hostile or careless file must not do to us, and that this process keeps its locks.

use autoforge_store::{
    ClaimFeature, ClaimNext, DeleteFeature, GetStats, ListFeatures, MarkPassing, SkipFeature, Store,
};

use crate::old_files;
use crate::support::{Project, create, feature, gate, holds_lock, is_free, names, number, texts};

#[test]
fn triggers_of_a_file_do_not_fire_for_our_writes() {
    let sql = old_files::named("current")
        + "CREATE TRIGGER wreck_update AFTER UPDATE ON features
               BEGIN UPDATE features SET name = 'wrecked', passes = 1; END;
           CREATE TRIGGER wreck_insert AFTER INSERT ON features BEGIN DELETE FROM features; END;
           CREATE TRIGGER wreck_delete BEFORE DELETE ON features
               BEGIN SELECT RAISE(ABORT, 'never'); END;
           CREATE TRIGGER wreck_schedules AFTER DELETE ON features
               BEGIN DELETE FROM schedules; END;";
    let project = Project::with_database(&sql);
    let store = project.open();
    store.call(SkipFeature { id: 2.into() }).unwrap();
    store.call(create("New")).unwrap();
    store.call(DeleteFeature { id: 1.into(), force: true }).unwrap();
    assert_eq!(names(&store), ["Pay", "Log out", "New"]);
    assert!(!feature(&store, 5).passes);
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM schedules"), 1);
}

#[test]
fn a_trigger_beside_a_migration_does_not_fire() {
    let sql = old_files::named("NULL flags, first schedules")
        + "CREATE TRIGGER wreck AFTER UPDATE ON features BEGIN DELETE FROM features; END;";
    let project = Project::with_database(&sql);
    assert_eq!(project.open().call(GetStats).unwrap().total, 3);
}

#[test]
fn a_view_in_the_place_of_a_table_is_not_used() {
    let sql = old_files::named("dependencies, no schedules")
        + "CREATE VIEW schedules AS SELECT 1 AS id, load_extension('/tmp/evil.so') AS evil;";
    let project = Project::with_database(&sql);
    let before = texts(&project.foreign(), "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL");
    assert!(Store::open_project(project.folder()).is_err());
    let after = texts(&project.foreign(), "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL");
    assert_eq!(after, before);
}

#[test]
fn an_expression_index_cannot_call_what_is_not_safe() {
    // A function that SQLite itself calls harmless may stand in an index; others are refused when
    // the index is used, and not executed.
    let sql = old_files::named("current") + "CREATE INDEX by_length ON features (length(name));";
    let project = Project::with_database(&sql);
    let store = project.open();
    store.call(create("New")).unwrap();
    let longest = "SELECT max(length(name)) FROM features";
    assert_eq!(number(&project.foreign(), longest), 7);
}

#[test]
fn text_that_looks_like_sql_is_text() {
    let (project, store) = Project::with_features(1);
    let evil = "'); DROP TABLE features; --\" \\ %s {0} \u{0}";
    let made = store.call(create(evil)).unwrap();
    assert_eq!(made.name, evil);
    assert_eq!(names(&store)[1], evil);
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM features"), 2);
}

/// The bytes that SQLite locks: in the database for every reader of it, in the shared memory for
/// whoever has it mapped, and there for a writer.
const DATABASE_SHARED: u64 = 1_073_741_826;
const MEMORY_SHARED: u64 = 128;
const MEMORY_WRITER: u64 = 120;

#[test]
fn the_locks_of_this_process_survive_every_call() {
    let (project, store) = Project::with_features(5);
    let memory = project.folder().join(".autoforge/features.db-shm");
    let check = |after: &str| {
        assert!(holds_lock(&project.database(), "READ", DATABASE_SHARED), "database, {after}");
        assert!(holds_lock(&memory, "READ", MEMORY_SHARED), "shared memory, {after}");
        assert!(is_free(&memory, "WRITE", MEMORY_WRITER), "no write lock is left, {after}");
    };
    check("opening");
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    check("a write");
    store.call(ListFeatures).unwrap();
    check("a read");
    store.call(ClaimNext).unwrap();
    assert!(store.call(MarkPassing { id: 99.into() }).is_err());
    check("a refusal");
    store.checkpoint().unwrap();
    check("a checkpoint");
    store.backup(project.folder().join("backup.db")).unwrap();
    check("a backup");
    store.diagnose().unwrap();
    check("a diagnosis");
    let again = project.open();
    assert!(!again.opening().created);
    check("opening it once more");
    drop(again);
    check("dropping one of two handles");
    assert!(store.backup(project.database()).is_err());
    check("a backup onto itself");
    std::os::unix::fs::symlink(project.database(), project.folder().join("link.db")).unwrap();
    let link = project.folder().join("link.db");
    drop(Store::<autoforge_store::Features>::open_file(
        link,
        &autoforge_store::OpenOptions::default(),
    ));
    check("opening it by a link");
    assert!(Store::open_project(project.folder().join(".autoforge/features.db")).is_err());
    check("opening it as a folder");
    let (gate, held) = gate::<autoforge_store::Write>();
    let reply = store.submit(gate).unwrap();
    held.wait_until_entered();
    assert!(holds_lock(&memory, "WRITE", MEMORY_WRITER), "while a command writes");
    drop(held);
    reply.wait().unwrap();
    check("a write that took its time");
}

/// Why no file of a database is opened here other than through SQLite, shown by doing it: the test above
/// would notice.
#[test]
fn a_descriptor_of_the_shared_memory_that_is_closed_takes_the_locks_of_the_whole_process_along() {
    let (project, store) = Project::with_features(1);
    let memory = project.folder().join(".autoforge/features.db-shm");
    let (gate, held) = gate::<autoforge_store::Write>();
    let reply = store.submit(gate).unwrap();
    held.wait_until_entered();
    assert!(holds_lock(&memory, "WRITE", MEMORY_WRITER));
    let foreign =
        "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')";
    let can_write = || {
        let mut python = std::process::Command::new("python3");
        python.args(["-c", foreign]).arg(project.database()).stderr(std::process::Stdio::null());
        python.status().ok().map(|status| status.success())
    };
    assert_ne!(can_write(), Some(true), "another program writes while we do");
    #[expect(clippy::disallowed_methods, reason = "this is what must not be done")]
    drop(std::fs::File::open(&memory).unwrap());
    assert!(!holds_lock(&memory, "WRITE", MEMORY_WRITER), "the lock is still there");
    assert_ne!(can_write(), Some(false), "the lock that is gone keeps another program out");
    drop(held);
    drop(reply.wait());
}
