//! AutoForge's own programs beside us: Python's sqlite3 with the statements that AutoForge issues,
//! in a loop, while our owners claim, pass and fail the same features.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::time::Duration;

use autoforge_store::{
    Caller, ClaimNext, ClaimedNext, ClearInProgress, Command, Error, Event, EventId, EventKind,
    FeatureRefusal, GetChanges, GetClaims, GetStats, ListFeatures, MarkPassing, ProcessIdentity,
    Store,
};

use crate::support::{Project, number, say_note, text};

const FEATURES: usize = 60;

/// Claims and passes features as AutoForge's MCP server does, resets all claims now and then as its
/// orchestrator does, and says at its end how many of its statements changed a row.
const PYTHON: &str = r#"
import random, sqlite3, sys
path, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
db = sqlite3.connect(path, timeout=60, isolation_level=None)
count = {"claimed": 0, "passed": 0, "released": 0, "skipped": 0, "reset": 0}
passed = []
def change(kind, sql, *values):
    db.execute("BEGIN IMMEDIATE")
    rows = db.execute(sql, values).rowcount
    db.execute("COMMIT")
    count[kind] += rows
    return rows
while True:
    todo = [row[0] for row in db.execute("SELECT id FROM features WHERE passes = 0")]
    if not todo:
        break
    id = random.choice(todo)
    if not change("claimed", "UPDATE features SET in_progress = 1 WHERE id = ? AND passes = 0"
                  " AND in_progress = 0 AND needs_human_input = 0", id):
        if random.random() < 0.02:
            change("reset", "UPDATE features SET in_progress = 0 WHERE in_progress = 1")
        continue
    choice = random.random()
    if choice < 0.5:
        if change("passed", "UPDATE features SET passes = 1, in_progress = 0"
                  " WHERE id = ? AND passes = 0", id):
            passed.append(id)
    elif choice < 0.8:
        change("released", "UPDATE features SET in_progress = 0 WHERE id = ? AND in_progress = 1", id)
    else:
        change("skipped", "UPDATE features SET in_progress = 0,"
               " priority = (SELECT max(priority) + 1 FROM features)"
               " WHERE id = ? AND passes = 0 AND in_progress = 1", id)
print(sum(count.values()), ",".join(map(str, passed)))
"#;

fn python(database: &Path, seed: usize) -> std::process::Child {
    let mut program = Program::new("python3");
    program.args(["-c", PYTHON]).arg(database).arg(seed.to_string());
    program.stdout(Stdio::piped()).spawn().unwrap()
}

fn is_there() -> bool {
    let version = Program::new("python3").args(["-c", "import sqlite3"]).output();
    version.is_ok_and(|output| output.status.success())
}

/// Works until all pass; gives the features that were passed under its claims.
fn own(store: &Store, name: &str) -> Vec<i64> {
    let me = Caller::new(name, "beside python").in_process(ProcessIdentity::current());
    let me = Arc::new(me);
    let mut passed = Vec::new();
    for turn in 0.. {
        let claim = ClaimNext.by(&me).owning(Some(Duration::from_mins(1)));
        let next = match store.call(claim).unwrap() {
            ClaimedNext::Feature(next) => next,
            ClaimedNext::AllPassing => break,
            ClaimedNext::NothingReady { .. } => {
                std::thread::yield_now();
                continue;
            }
        };
        let id = next.feature.id;
        let ended = if turn % 3 == 0 {
            store.call(ClearInProgress { id }.by(&me).under(next.token)).map(drop)
        } else {
            let pass = store.call(MarkPassing { id }.by(&me).under(next.token));
            pass.map(|_| passed.push(id.get()))
        };
        match ended {
            // The other program has reset all claims, or has passed the feature after that.
            Ok(())
            | Err(Error::Refused(
                FeatureRefusal::StaleToken { .. } | FeatureRefusal::AlreadyPassing { .. },
            )) => {}
            Err(error) => panic!("{error} ({})", error.code()),
        }
    }
    passed
}

fn all_events(store: &Store) -> Vec<Event> {
    store.call(GetChanges { since: EventId::START, limit: usize::MAX }).unwrap()
}

#[test]
fn beside_python_writers_no_claim_is_kept_wrongly_and_nothing_is_missing_in_the_history() {
    if !is_there() {
        say_note("not run: there is no python3 with sqlite3");
        return;
    }
    let (project, store) = Project::with_features(FEATURES);
    let before = all_events(&store).len();
    let mut neighbours: Vec<_> = (0..2).map(|seed| python(&project.database(), seed)).collect();
    let mut passed: Vec<i64> = std::thread::scope(|scope| {
        let names = ["one", "two", "three"];
        let ours = names.map(|name| {
            let store = store.clone();
            scope.spawn(move || own(&store, name))
        });
        ours.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut foreign_changes = 0;
    for neighbour in &mut neighbours {
        let mut said = String::new();
        neighbour.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(neighbour.wait().unwrap().success());
        let (changes, theirs) = said.trim_end_matches('\n').split_once(' ').unwrap();
        foreign_changes += changes.parse::<usize>().unwrap();
        let theirs = theirs.split(',').filter(|id| !id.is_empty());
        passed.extend(theirs.map(|id| id.parse::<i64>().unwrap()));
    }
    passed.sort_unstable();
    let everything: Vec<i64> = (1..=i64::try_from(FEATURES).unwrap()).collect();
    assert_eq!(passed, everything, "each feature is passed by one of them, once");

    let events = all_events(&store).split_off(before);
    let foreign: Vec<_> = events.iter().filter(|event| event.pid.is_none()).collect();
    assert_eq!(foreign.len(), foreign_changes, "one event for each row that they changed");
    let ended = events.iter().filter(|event| event.kind == EventKind::Passed).count();
    assert_eq!(ended, FEATURES);
    assert!(store.call(GetClaims).unwrap().is_empty());
    assert!(store.call(ListFeatures).unwrap().iter().all(|feature| !feature.in_progress));
    assert_eq!(store.call(GetStats).unwrap().passing, u64::try_from(FEATURES).unwrap());
    let file = project.foreign();
    assert_eq!(number(&file, "SELECT count(*) FROM autoforge_claims WHERE outcome IS NULL"), 0);
    assert_eq!(text(&file, "PRAGMA integrity_check"), "ok");
}
