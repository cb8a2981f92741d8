//! Beside us, old clients never come to copy the log back themselves: SQLite tries it at each commit that
//! finds 1,000 frames in the log, and the releases that AutoForge's programs link may damage a file so.
//!
//! A client counts how often it would, by SQLite's own rule, and of a real old one the locks that it
//! asks for are counted from outside. Between two transactions a client thinks for a millisecond, which
//! is a thousand times less than agents do. `OLD_COMMITS` says how many commits are made in each test.

use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use autoforge_store::{
    ClearInProgress, CreateFeatures, Error, FeatureRefusal, GetStats, MarkInProgress, Store,
};
use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::support::{Child, FOREVER, Project, listen, new_feature, say, say_note};

/// `SQLITE_DEFAULT_WAL_AUTOCHECKPOINT`.
const AUTOMATIC: u32 = 1_000;
/// The client works on the first half of the features, the store on the others.
const FEATURES: i64 = 40;
const THOUGHT: Duration = Duration::from_millis(1);

fn commits() -> u32 {
    let commits = std::env::var("OLD_COMMITS").ok().and_then(|commits| commits.parse().ok());
    commits.unwrap_or(1_000)
}

fn claim_and_give_back(client: &Connection, id: i64) {
    for sql in [
        "UPDATE features SET in_progress = 1
         WHERE id = ?1 AND passes = 0 AND in_progress = 0 AND needs_human_input = 0",
        "UPDATE features SET in_progress = 0 WHERE id = ?1",
    ] {
        client.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(client.execute(sql, [id]).unwrap(), 1);
        client.execute_batch("COMMIT").unwrap();
        std::thread::sleep(THOUGHT);
    }
}

/// In a child: makes as many commits as it is told, as AutoForge does, and says how many of them would
/// have copied the log back, and how long the log was at most. It does what SQLite's own hook does.
pub(crate) fn count_attempts(database: &Path) {
    let mut client = Connection::open(database).unwrap();
    client.busy_timeout(FOREVER).unwrap();
    let (attempts, longest) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counted = (Arc::clone(&attempts), Arc::clone(&longest));
    let at_commit = move |log: &mut Wal, frames: i32| {
        let frames = frames.unsigned_abs();
        counted.1.fetch_max(frames, Ordering::Relaxed);
        if frames >= AUTOMATIC {
            counted.0.fetch_add(1, Ordering::Relaxed);
            // SQLite takes no notice of what comes of it either.
            drop(log.checkpoint());
        }
        Ok(())
    };
    client.wal_hook(Some(at_commit)).unwrap();
    while let Some(commits) = listen() {
        for turn in 0..commits.parse::<i64>().unwrap() / 2 {
            claim_and_give_back(&client, turn % (FEATURES / 2) + 1);
        }
        let [attempts, longest] = [&attempts, &longest].map(|count| count.load(Ordering::Relaxed));
        say(&format!("{attempts} {longest}"));
    }
}

/// The store claims, gives back and reads while somebody else does something.
fn work_beside<T: Send>(store: &Store, something: impl FnOnce() -> T + Send) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let result = something();
            done.store(true, Ordering::Release);
            result
        });
        for turn in 0.. {
            if done.load(Ordering::Acquire) || other.is_finished() {
                break;
            }
            let id = (FEATURES / 2 + turn % (FEATURES / 2) + 1).into();
            store.call(MarkInProgress { id }).unwrap();
            store.call(GetStats).unwrap();
            store.call(ClearInProgress { id }).unwrap();
            // What is refused leaves no frames behind, and the engine is at work all the same.
            let refused = store.call(MarkInProgress { id: (FEATURES + 1).into() });
            assert!(matches!(refused, Err(Error::Refused(FeatureRefusal::NotFound { .. }))));
            std::thread::sleep(THOUGHT);
        }
        other.join().unwrap()
    })
}

/// On a disk, where a commit takes long enough for the next one to begin within a checkpoint.
fn project() -> (Project, Store) {
    let project = Project::new();
    let store = project.open();
    let planned = (0..FEATURES).map(|n| new_feature(&format!("Feature {n}")).into()).collect();
    store.call(CreateFeatures::new(planned)).unwrap();
    (project, store)
}

/// What a client says of so many commits.
fn attempts(client: &mut Child, commits: u32) -> (u32, u32) {
    client.tell(&commits.to_string());
    let said = client.hear();
    let (attempts, longest) = said.split_once(' ').unwrap();
    (attempts.parse().unwrap(), longest.parse().unwrap())
}

#[test]
fn beside_a_store_an_old_client_never_comes_to_copy_the_log_back() {
    let commits = commits();
    for is_at_work in [false, true] {
        let (project, store) = project();
        let mut client = Child::start("count_attempts", &project.database());
        let (attempts, longest) = if is_at_work {
            work_beside(&store, || attempts(&mut client, commits))
        } else {
            attempts(&mut client, commits)
        };
        let how = if is_at_work { "at work" } else { "idle" };
        say_note(&format!("{commits} commits, store {how}: {attempts} attempts, {longest} frames"));
        assert_eq!(attempts, 0, "store {how}: the log had up to {longest} frames");
    }
}

#[test]
fn without_a_store_an_old_client_copies_the_log_back_itself() {
    let commits = 1_000;
    let (project, store) = project();
    store.close();
    let mut client = Child::start("count_attempts", &project.database());
    let (attempts, longest) = attempts(&mut client, commits);
    assert!(attempts >= 3 && longest >= AUTOMATIC, "{attempts} attempts, {longest} frames");
}

const PYTHON: &str = r#"
import sqlite3, sys, time
path, commits, features = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
for turn in range(commits // 2):
    id = turn % features + 1
    for sql in ("UPDATE features SET in_progress = 1 WHERE id = ? AND passes = 0"
                " AND in_progress = 0 AND needs_human_input = 0",
                "UPDATE features SET in_progress = 0 WHERE id = ?"):
        db.execute("BEGIN IMMEDIATE")
        assert db.execute(sql, (id,)).rowcount == 1
        db.execute("COMMIT")
        time.sleep(0.001)
print(sqlite3.sqlite_version)
"#;

/// Whoever copies a log back asks for this byte of the shared memory, alone.
const CHECKPOINT_LOCK: &str = "l_start=121, l_len=1}";

/// Runs the client under `strace`; gives how often it asked for the lock, and its SQLite.
fn traced(project: &Project, commits: u32) -> (usize, String) {
    let trace = project.folder().join("trace");
    let mut program = Program::new("strace");
    program.args(["-f", "-y", "-e", "trace=fcntl", "-o"]).arg(&trace);
    program.args(["python3", "-c", PYTHON]).arg(project.database());
    program.args([commits.to_string(), (FEATURES / 2).to_string()]);
    let output = program.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    #[expect(clippy::disallowed_methods, reason = "what strace has written")]
    let calls = std::fs::read_to_string(&trace).unwrap();
    let locks = calls.lines().filter(|call| call.contains("-shm>") && call.contains("F_WRLCK"));
    assert!(locks.clone().count() >= commits as usize, "each commit locks something");
    let asked = locks.filter(|call| call.contains(CHECKPOINT_LOCK)).count();
    (asked, String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

fn can_trace() -> bool {
    let mut program = Program::new("strace");
    program.args(["-f", "-o", "/dev/null", "python3", "-c", "import sqlite3"]);
    program.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn a_traced_python_client_asks_for_the_lock_of_a_checkpoint_only_where_no_store_is() {
    if !can_trace() {
        say_note("not run: there is no strace that may trace, or no python3 with sqlite3");
        return;
    }
    let commits = commits();
    let (alone, store) = project();
    store.close();
    let (asked, sqlite) = traced(&alone, 1_000);
    assert!(asked > 2, "{asked} times, of which one is at its end");
    let (project, store) = project();
    let (beside_us, _) = work_beside(&store, || traced(&project, commits));
    say_note(&format!("SQLite {sqlite}, {commits} commits: {beside_us} times; alone {asked}"));
    assert_eq!(beside_us, 0);
}
