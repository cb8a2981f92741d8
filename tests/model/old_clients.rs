//! Histories of processes whose calls tell nothing but their outcomes: old clients in Python with
//! AutoForge's own statements, and ours beside them. Nobody knows the order of what they did, so it is
//! searched for; the order must explain each outcome by the reference model, agree with the clock that all
//! processes share, and lead to what is in the file.
//!
//! `OLD_HISTORIES` and `OLD_CALLS` say how many histories, and how many calls a process makes.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use autoforge_store::testing::{Answer, Foreign, Model, Op, Outcome, Texts};
use autoforge_store::{FeatureId, Field, Store, Stored};
use fastrand::Rng;

use crate::linear::{fresh_seed, now, parse_or, say};
use crate::raw::{self, Table};
use crate::search::{Recorded, Searched, is_explained, shown};

/// Of so many processes the first are old ones.
const PROCESSES: usize = 8;
const OLD: usize = 5;
const FEATURES: i64 = 6;
const PART: &str = "AUTOFORGE_STORE_TEST_OLD_CLIENTS";

/// What a client does, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Claim(i64),
    Release(i64),
    Pass(i64),
    Skip(i64),
    Create,
    /// The second is the lower one, so no cycle comes about.
    Depend(i64, i64),
    Count,
}

/// What a process does, the same whenever it is asked.
fn acts(seed: u64, process: usize, count: usize) -> Vec<Act> {
    let mut rng = Rng::with_seed(seed.wrapping_add(process as u64));
    let act = |rng: &mut Rng| {
        let id = rng.i64(1..=FEATURES);
        match rng.u8(..20) {
            0..6 => Act::Claim(id),
            6..9 => Act::Release(id),
            9..11 => Act::Pass(id),
            11..14 => Act::Skip(id),
            14 => Act::Create,
            15..17 if id > 1 => Act::Depend(id, rng.i64(1..id)),
            _ => Act::Count,
        }
    };
    (0..count).map(|_| act(&mut rng)).collect()
}

/// The same with AutoForge's statements. A careless client looks first, and decides by that in the
/// transaction that it begins afterwards.
const PYTHON: &str = r#"
import json, sqlite3, sys, time
path, careless, acts = sys.argv[1], sys.argv[2] == "careless", json.loads(sys.argv[3])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
def value(sql, *values):
    row = db.execute(sql, values).fetchone()
    return row and row[0]
def highest():
    return value("SELECT max(priority) FROM features") or 0
def claim(id):
    free = "passes = 0 AND in_progress = 0 AND needs_human_input = 0"
    if not careless:
        begin()
        return db.execute("UPDATE features SET in_progress = 1 WHERE id = ? AND " + free, (id,)).rowcount
    found = value("SELECT count(*) FROM features WHERE id = ? AND " + free, id)
    begin()
    if found:
        db.execute("UPDATE features SET in_progress = 1 WHERE id = ?", (id,))
    return found
def release(id):
    begin()
    return db.execute("UPDATE features SET in_progress = 0 WHERE id = ? AND in_progress = 1", (id,)).rowcount
def passing(id):
    begin()
    return db.execute("UPDATE features SET passes = 1, in_progress = 0"
                      " WHERE id = ? AND passes = 0", (id,)).rowcount
def skip(id):
    if not careless:
        begin()
    open, priority = value("SELECT count(*) FROM features WHERE id = ? AND passes = 0", id), highest() + 1
    if careless:
        begin()
    if not open:
        return 0
    db.execute("UPDATE features SET priority = ?, in_progress = 0 WHERE id = ?", (priority, id))
    return priority
def create():
    if not careless:
        begin()
    priority = highest() + 1
    if careless:
        begin()
    id = db.execute("INSERT INTO features (priority, category, name, description, steps, passes,"
                    " in_progress, needs_human_input) VALUES (?, 'c', 'made by another program', '',"
                    " '[]', 0, 0, 0)", (priority,)).lastrowid
    return f"{id} at {priority}"
def depend(id, on):
    if not careless:
        begin()
    ids = json.loads(value("SELECT dependencies FROM features WHERE id = ?", id) or "[]")
    if careless:
        begin()
    if on not in ids:
        ids.append(on)
        db.execute("UPDATE features SET dependencies = ? WHERE id = ?", (json.dumps(ids), id))
    return json.dumps(ids)
def count():
    row = db.execute("SELECT count(*), sum(passes), sum(in_progress), max(priority) FROM features").fetchone()
    return " ".join(map(str, row))
def begin():
    db.execute("BEGIN IMMEDIATE")
does = {"claim": claim, "release": release, "pass": passing, "skip": skip, "create": create,
        "depend": depend, "count": count}
print("\x01ready", flush=True)
sys.stdin.read()
lines = []
for name, *ids in acts:
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    said = does[name](*ids)
    if db.in_transaction:
        db.execute("COMMIT")
    lines.append(f"\x01{began} {time.clock_gettime_ns(time.CLOCK_MONOTONIC)} {said}")
db.close()
print("\n".join(lines))
"#;

impl Act {
    fn to_json(self) -> serde_json::Value {
        match self {
            Self::Claim(id) => serde_json::json!(["claim", id]),
            Self::Release(id) => serde_json::json!(["release", id]),
            Self::Pass(id) => serde_json::json!(["pass", id]),
            Self::Skip(id) => serde_json::json!(["skip", id]),
            Self::Create => serde_json::json!(["create"]),
            Self::Depend(id, on) => serde_json::json!(["depend", id, on]),
            Self::Count => serde_json::json!(["count"]),
        }
    }

    fn op(self) -> Op {
        match self {
            Self::Claim(id) => Op::ClaimFeature(id),
            Self::Release(id) => Op::ClearInProgress(id),
            Self::Pass(id) => Op::MarkPassing(id),
            Self::Skip(id) => Op::SkipFeature(id),
            Self::Create => {
                Op::CreateFeature { texts: texts(), priority: None, dependencies: vec![] }
            }
            Self::Depend(id, dependency) => Op::AddDependency { id, dependency },
            Self::Count => Op::GetStats,
        }
    }

    /// What an old client does to the model, and says.
    fn as_old(self, model: &mut Model) -> String {
        let highest = model.features().last().map_or(0, |feature| feature.priority);
        let is = |model: &Model, id: i64, field, number| {
            let row = model.rows().get(&FeatureId::from(id));
            row.is_some_and(|row| *row.get(field) == Stored::Integer(number))
        };
        let run = |model: &mut Model, foreign| model.apply_foreign(&foreign).unwrap_or(0);
        match self {
            Self::Claim(id) => run(model, Foreign::Claim(id)).to_string(),
            Self::Release(id) if is(model, id, Field::InProgress, 1) => {
                run(model, Foreign::Clear(id)).to_string()
            }
            Self::Pass(id) if is(model, id, Field::Passes, 0) => {
                run(model, Foreign::Pass(id)).to_string()
            }
            Self::Skip(id) if is(model, id, Field::Passes, 0) => {
                run(model, Foreign::Skip { id, to: highest + 1 });
                (highest + 1).to_string()
            }
            Self::Release(_) | Self::Pass(_) | Self::Skip(_) => "0".to_owned(),
            Self::Create => {
                let id = model.next_id().unwrap();
                let (priority, dependencies) = (highest + 1, Stored::Null);
                run(model, Foreign::Insert { priority, in_progress: false, dependencies });
                format!("{id} at {priority}")
            }
            Self::Depend(id, on) => {
                let features = model.features();
                let feature = features.iter().find(|feature| feature.id.get() == id).unwrap();
                let mut ids: Vec<i64> = feature.dependencies.iter().map(|id| id.get()).collect();
                if !ids.contains(&on) {
                    ids.push(on);
                    let value = Stored::Text(format!("{ids:?}"));
                    run(model, Foreign::Set { id, field: Field::Dependencies, value });
                }
                format!("{ids:?}")
            }
            Self::Count => {
                let all = model.features();
                let passing = all.iter().filter(|feature| feature.passes).count();
                let in_progress = all.iter().filter(|feature| feature.in_progress).count();
                format!("{} {passing} {in_progress} {highest}", all.len())
            }
        }
    }
}

/// What one of ours says: nothing that would tell the order.
fn reduced(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(Answer::Claim(claim)) => format!("{}", claim.already_claimed),
        other => format!("{other:?}"),
    }
}

fn texts() -> Texts {
    let [category, name, description] = ["c", "n", "d"].map(str::to_owned);
    Texts { category, name, description, steps: vec!["s".to_owned()] }
}

#[derive(Debug, Clone)]
struct Call {
    act: Act,
    is_old: bool,
    said: String,
    began: i128,
    ended: i128,
}

impl Recorded for Call {
    type State = Model;
    type Time = i128;

    fn began(&self) -> &i128 {
        &self.began
    }

    fn ended(&self) -> &i128 {
        &self.ended
    }

    fn is_told_by(&self, model: &mut Model) -> bool {
        let said = if self.is_old {
            self.act.as_old(model)
        } else {
            reduced(&model.apply(&self.act.op()))
        };
        said == self.said
    }

    fn is_read(&self) -> bool {
        self.act == Act::Count
    }

    /// Nobody owns a claim here and no token is told, so the table alone decides what comes.
    fn digest(model: &Model) -> u64 {
        shown(model.rows())
    }
}

/// In a child: the part of one of ours.
#[test]
fn a_process_beside_old_clients_plays_its_part() {
    let Ok(part) = std::env::var(PART) else { return };
    let [seed, process, count, folder] = part.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("{part:?} is no part");
    };
    let store = Store::open_project(Path::new(folder)).unwrap();
    say("\u{1}ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let acts = acts(seed.parse().unwrap(), process.parse().unwrap(), count.parse().unwrap());
    let call = |act: Act| {
        let began = now();
        let said = reduced(&act.op().apply_to(&store));
        format!("\u{1}{began} {} {said}", now())
    };
    let lines: Vec<String> = acts.into_iter().map(call).collect();
    store.close();
    for line in &lines {
        say(line);
    }
}

/// What the processes did, and what is in the file then.
struct History {
    before: Model,
    calls: Vec<Vec<Call>>,
    table: Table,
}

fn start(process: usize, seed: u64, count: usize, file: &Path, how: &str) -> Child {
    let mut program = if process < OLD {
        let acts = acts(seed, process, count).into_iter().map(Act::to_json).collect();
        let mut python = Command::new("python3");
        python.args(["-c", PYTHON]).arg(file).arg(how);
        python.arg(serde_json::Value::Array(acts).to_string());
        python
    } else {
        let folder = file.parent().and_then(Path::parent).unwrap();
        let mut ours = Command::new(std::env::current_exe().unwrap());
        ours.args(["--exact", "old_clients::a_process_beside_old_clients_plays_its_part"]);
        ours.arg("--nocapture");
        ours.env(PART, format!("{seed} {process} {count} {}", folder.display()));
        ours
    };
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn record(seed: u64, count: usize, how: &str) -> History {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    let mut before = Model::default();
    let features = (0..FEATURES).map(|_| (texts(), vec![])).collect();
    let beginning = Op::CreateFeatures { features, starting_priority: None };
    assert_eq!(beginning.apply_to(&store), before.apply(&beginning));
    let file: PathBuf = store.path().to_owned();
    store.close();
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|process| {
            let mut child = start(process, seed, count, &file, how);
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let said = lines.filter_map(|line| Some(line.split_once('\u{1}')?.1.to_owned()));
            (child, said)
        })
        .collect();
    for (_, said) in &mut children {
        assert_eq!(said.next().as_deref(), Some("ready"));
    }
    for (child, _) in &mut children {
        drop(child.stdin.take());
    }
    let mut calls = Vec::new();
    for (process, (mut child, mut said)) in children.into_iter().enumerate() {
        let call = |(act, line): (Act, String)| {
            let [began, ended, said] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line:?}");
            };
            let (began, ended) = (began.parse().unwrap(), ended.parse().unwrap());
            Call { act, is_old: process < OLD, said: said.to_owned(), began, ended }
        };
        let made: Vec<Call> =
            acts(seed, process, count).into_iter().zip(said.by_ref()).map(call).collect();
        // The harness has last words of its own.
        assert_eq!((made.len(), said.next()), (count, None));
        assert!(child.wait().unwrap().success());
        calls.push(made);
    }
    let table = raw::table(&rusqlite::Connection::open(&file).unwrap()).unwrap();
    History { before, calls, table }
}

/// Whether an order explains the history; how many states were tried for that, or where it ends.
fn check(history: &History) -> Result<usize, String> {
    let slices: Vec<&[Call]> = history.calls.iter().map(Vec::as_slice).collect();
    let end = |model: &Model| raw::table_of(model.rows()) == history.table;
    let Searched { found, states, furthest } = is_explained(&history.before, &slices, &end);
    if found {
        return Ok(states);
    }
    let next: Vec<_> =
        slices.iter().zip(furthest).filter_map(|(calls, at)| calls.get(at)).collect();
    Err(format!("{states} states were tried, and none of these could follow: {next:#?}"))
}

fn is_there() -> bool {
    let python = Command::new("python3").args(["-c", "import sqlite3"]).output();
    let is_there = python.is_ok_and(|output| output.status.success());
    if !is_there {
        say("not run: there is no python3 with sqlite3");
    }
    is_there
}

#[test]
fn what_old_clients_and_ours_are_told_is_explained_by_one_order() {
    if !is_there() {
        return;
    }
    let (histories, count) = (parse_or("OLD_HISTORIES", 4), parse_or("OLD_CALLS", 25));
    for history in 0..histories {
        let seed = fresh_seed(history);
        let recorded = record(seed, count, "careful");
        let began = std::time::Instant::now();
        let states = check(&recorded).unwrap_or_else(|why| panic!("history {seed}: {why}"));
        let calls = PROCESSES * count;
        say(&format!("history {seed}: {calls} calls, {states} states, {:?}", began.elapsed()));
    }
}

/// Clients that decide by what they read before their transaction: two get one claim or one priority, and
/// an edge is lost.
#[test]
fn clients_that_decide_too_early_are_found_out() {
    if !is_there() {
        return;
    }
    let is_found =
        (0..20).any(|history| check(&record(fresh_seed(history), 25, "careless")).is_err());
    assert!(is_found);
}

/// A change of a sound history, `None` where the call is no place for it.
type Mistake = fn(&History, usize, usize) -> Option<History>;

impl History {
    fn changed(&self, change: impl FnOnce(&mut Vec<Vec<Call>>, &mut Table)) -> Self {
        let mut changed = Self {
            before: self.before.clone(),
            calls: self.calls.clone(),
            table: self.table.clone(),
        };
        change(&mut changed.calls, &mut changed.table);
        changed
    }
}

const MISTAKES: [(&str, Mistake); 4] = [
    ("double claim", |history, process, at| {
        let call = &history.calls[process][at];
        let won = call.is_old && matches!(call.act, Act::Claim(_)) && call.said == "1";
        won.then(|| history.changed(|calls, _| calls.push(vec![call.clone()])))
    }),
    ("lost write", |history, process, at| {
        let call = &history.calls[process][at];
        let Act::Pass(id) = call.act else { return None };
        let done = call.is_old && call.said == "1";
        done.then(|| {
            history.changed(|_, table| {
                table.get_mut(&id).unwrap().insert(Field::Passes, raw::Cell::Integer(0));
            })
        })
    }),
    ("stale read", |history, process, at| {
        let call = &history.calls[process][at];
        let end = history.calls.iter().flatten().map(|call| call.ended).max()?;
        let read = call.is_old && call.act == Act::Count && at == 0;
        let later = Call { began: end + 1, ended: end + 2, ..call.clone() };
        read.then(|| history.changed(|calls, _| calls.push(vec![later])))
    }),
    ("priority given twice", |history, process, at| {
        let call = &history.calls[process][at];
        let is_skip = |call: &Call| matches!(call.act, Act::Skip(_)) && call.said != "0";
        let earlier = history.calls[process][..at].iter().rev().find(|call| is_skip(call))?;
        let twice = earlier.said.clone();
        (call.is_old && is_skip(call))
            .then(|| history.changed(|calls, _| calls[process][at].said = twice))
    }),
];

#[test]
fn each_seeded_mistake_is_found() {
    if !is_there() {
        return;
    }
    let mut found = [0_usize; MISTAKES.len()];
    for history in 0..10 {
        let sound = record(fresh_seed(history), 25, "careful");
        check(&sound).unwrap_or_else(|why| panic!("{why}"));
        for ((_, make), found) in MISTAKES.iter().zip(&mut found) {
            let places = (0..OLD).flat_map(|process| (0..25).map(move |at| (process, at)));
            let mut wrong = places.filter_map(|(process, at)| make(&sound, process, at));
            *found += usize::from(*found == 0 && wrong.any(|wrong| check(&wrong).is_err()));
        }
        if found.iter().all(|found| *found > 0) {
            return;
        }
    }
    for ((mistake, _), found) in MISTAKES.iter().zip(found) {
        assert!(found > 0, "{mistake} was not found");
    }
}
