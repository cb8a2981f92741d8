//! Processes with several writers are killed at random moments, and now and then at a named point. What is
//! in the file then is what the model says after some of their calls: all that were answered, of each
//! writer at most one more, and each of them wholly.
//!
//! `KILLS` says how many processes are killed.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use autoforge_store::Store;
use autoforge_store::testing::{Call, CrashPlan, Model, Op, World};
use fastrand::Rng;

use crate::linear::{apply, beginning, calls, fresh_seed, parse_or, say, without_pids};
use crate::second::{read, readings};

/// Processes at a time, and writers in each of them.
const PROCESSES: usize = 2;
const WRITERS: usize = 2;
/// Calls of a writer, if nobody kills it.
const CALLS: usize = 60;
/// Kills in one project; the model of a long history is slow.
const KILLS_IN_ONE: usize = 10;
/// What tells a process its part.
const PART: &str = "AUTOFORGE_STORE_TEST_KILLED";
const POINTS: [&str; 7] = [
    "group.before_savepoint",
    "group.after_savepoint",
    "group.before_commit",
    "group.after_commit",
    "checkpoint.before",
    "close.begun",
    "close.copied_back",
];

/// In a child: each writer makes its calls, and says what came of one before it makes the next.
#[test]
fn a_process_that_will_be_killed_plays_its_part() {
    let Ok(part) = std::env::var(PART) else { return };
    let [seed, process, folder] = part.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{part:?} is no part");
    };
    let (seed, process) = (seed.parse().unwrap(), process.parse::<usize>().unwrap());
    let store = Store::open_project(Path::new(folder)).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                for (mark, call, op) in calls(seed, process * WRITERS + writer, CALLS) {
                    let outcome = op.apply_as(&store, &call, &World::default());
                    say(&format!("\u{1}{mark} {outcome:?}"));
                }
            });
        }
    });
    store.close();
}

struct Writing {
    process: Child,
    output: BufReader<ChildStdout>,
    /// What was answered, by the mark of the call.
    told: BTreeMap<String, String>,
}

impl Writing {
    fn start(seed: u64, process: usize, folder: &Path, plan: Option<&CrashPlan>) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program
            .args(["--exact", "kills::a_process_that_will_be_killed_plays_its_part", "--nocapture"])
            .env(PART, format!("{seed} {process} {}", folder.display()))
            .stdout(Stdio::piped());
        if let Some(plan) = plan {
            program.env(CrashPlan::VARIABLE, plan.to_string());
        }
        let mut process = program.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output, told: BTreeMap::new() }
    }

    /// Hears so many answers, or all that there are.
    fn hear(&mut self, answers: usize) {
        let end = self.told.len().saturating_add(answers);
        let mut line = String::new();
        while self.told.len() < end && self.output.read_line(&mut line).unwrap() > 0 {
            // A line without an end was being said.
            if let Some((_, said)) = line.split_once('\u{1}')
                && let Some((mark, outcome)) =
                    said.strip_suffix('\n').and_then(|s| s.split_once(' '))
            {
                self.told.insert(mark.to_owned(), without_pids(outcome));
            }
            line.clear();
        }
    }

    /// Ends it, and hears what it had said by then.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.hear(usize::MAX);
    }
}

/// Starts the processes, and kills one after the other.
fn work_and_die(seed: u64, folder: &Path, rng: &mut Rng) -> BTreeMap<String, String> {
    let named = rng.u8(..4) == 0;
    let plan = CrashPlan::Kill {
        point: rng.choice(POINTS).unwrap_or("group.before_commit").to_owned(),
        nth: rng.usize(1..=30),
    };
    let plan_of = |process: usize| (named && process == 0).then_some(&plan);
    let mut all: Vec<Writing> = (0..PROCESSES)
        .map(|process| Writing::start(seed, process, folder, plan_of(process)))
        .collect();
    let mut told = BTreeMap::new();
    for (at, writing) in all.iter_mut().enumerate() {
        if named && at == 0 {
            writing.hear(usize::MAX);
        } else {
            writing.hear(rng.usize(..40));
            for _ in 0..rng.u32(..400_000) {
                std::hint::spin_loop();
            }
        }
        writing.kill();
        told.append(&mut writing.told);
    }
    told
}

/// The calls that changed something since then, in their order.
fn took_effect(path: &Path, since: i64) -> Vec<String> {
    let file = rusqlite::Connection::open(path).unwrap();
    let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let mut query =
        file.prepare("SELECT reason FROM autoforge_events WHERE id > ? ORDER BY id").unwrap();
    let marks = query.query_map([since], |row| row.get::<_, String>(0)).unwrap();
    let mut marks: Vec<String> = marks.map(Result::unwrap).collect();
    marks.dedup();
    let distinct: BTreeSet<&String> = marks.iter().collect();
    assert_eq!(
        distinct.len(),
        marks.len(),
        "a call came between the changes of another: {marks:?}"
    );
    marks
}

/// Calls that changed nothing and are not explained yet, and what was told of them.
type Quiet<'t> = BTreeMap<&'t String, (Call, Op, &'t String)>;

/// Takes out what this state explains.
fn explain(state: &Model, quiet: &mut Quiet<'_>) {
    let mut after = state.clone();
    quiet.retain(|_, (call, op, told)| {
        let is_told = apply(&mut after, call, op) == **told;
        let changes = after.last_event() != state.last_event();
        if changes {
            after = state.clone();
        }
        changes || !is_told
    });
}

/// Holds what is in the file against the model, which goes on from there.
fn check(
    model: &mut Model,
    seed: u64,
    told: &BTreeMap<String, String>,
    order: &[String],
) -> Result<usize, String> {
    let all = (0..PROCESSES * WRITERS).flat_map(|writer| calls(seed, writer, CALLS));
    let mut open: BTreeMap<String, (Call, Op)> =
        all.map(|(mark, call, op)| (mark, (call, op))).collect();
    let mut untold: BTreeMap<&str, usize> = BTreeMap::new();
    // What was answered and changed nothing is explained by a state that there was.
    let is_quiet = |mark: &String| !order.contains(mark);
    let mut quiet: Quiet<'_> = told
        .iter()
        .filter(|(mark, _)| is_quiet(mark))
        .filter_map(|(mark, told)| open.remove(mark).map(|(call, op)| (mark, (call, op, told))))
        .collect();
    for mark in order {
        explain(model, &mut quiet);
        let (call, op) = open.remove(mark).ok_or_else(|| format!("nobody has called {mark}"))?;
        let outcome = apply(model, &call, &op);
        match told.get(mark) {
            Some(told) if *told != outcome => {
                return Err(format!("{mark} {op:?} was told {told}, in order {outcome}"));
            }
            Some(_) => {}
            None => {
                let (writer, number) = mark.split_once('/').ok_or("no mark")?;
                untold.insert(writer, number.parse().map_err(|_| "no number")?);
            }
        }
    }
    explain(model, &mut quiet);
    if let Some((mark, (_, op, told))) = quiet.first_key_value() {
        return Err(format!("no state explains {mark} {op:?}: {told}"));
    }
    for (writer, number) in &untold {
        let later =
            told.keys().filter_map(|mark| mark.split_once('/')).filter(|(w, _)| w == writer);
        let last = later.filter_map(|(_, number)| number.parse::<usize>().ok()).max();
        if last.map_or(0, |last| last + 1) != *number {
            return Err(format!("{writer} was told {last:?}, and {number} has taken effect"));
        }
    }
    Ok(untold.len())
}

/// Everything that can be read, but for the numbers of processes.
fn compare(model: &Model, store: &Store) -> Result<(), String> {
    for op in readings() {
        let (expected, found) =
            (apply(&mut model.clone(), &Call::default(), &op), read(store, &op));
        if found != expected {
            return Err(format!("{op:?}: the model says {expected}\nthe store says {found}"));
        }
    }
    Ok(())
}

fn in_memory() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn whenever_writers_are_killed_the_file_is_the_model_after_what_was_answered() {
    let kills = parse_or("KILLS", 60);
    let (mut killed, mut told, mut untold) = (0, 0, 0);
    while killed < kills {
        let folder = in_memory();
        let mut model = Model::default();
        let store = Store::open_project(folder.path()).unwrap();
        assert_eq!(beginning().apply_to(&store), model.apply(&beginning()));
        let path = store.path().to_owned();
        store.close();
        for _ in 0..(kills - killed).min(KILLS_IN_ONE).div_ceil(PROCESSES) {
            let seed = fresh_seed(killed);
            let since = model.last_event().get();
            let answers = work_and_die(seed, folder.path(), &mut Rng::with_seed(seed));
            let order = took_effect(&path, since);
            let more = check(&mut model, seed, &answers, &order)
                .unwrap_or_else(|why| panic!("{seed}: {why}"));
            model.reopen();
            let store = Store::open_project(folder.path()).unwrap();
            compare(&model, &store).unwrap_or_else(|why| panic!("{seed}: {why}"));
            store.close();
            killed += PROCESSES;
            told += answers.len();
            untold += more;
        }
    }
    say(&format!("{killed} kills: {told} answers, {untold} calls took effect that were not told"));
    assert!(told > kills, "hardly anything was answered: {told}");
}

#[test]
fn a_call_that_is_lost_or_comes_too_much_is_seen() {
    let seed = 7;
    let mut before = Model::default();
    before.apply(&beginning());
    let mut model = before.clone();
    let (mut told, mut order) = (BTreeMap::new(), Vec::new());
    for (mark, call, op) in calls(seed, 0, CALLS) {
        let last = model.last_event();
        told.insert(mark.clone(), apply(&mut model, &call, &op));
        if model.last_event() != last {
            order.push(mark);
        }
    }
    let try_with = |told: &_, order: &[String]| check(&mut before.clone(), seed, told, order);
    assert_eq!(try_with(&told, &order), Ok(0));
    // The last call was not answered.
    let mut killed = told.clone();
    let last = format!("0/{}", CALLS - 1);
    killed.remove(&last);
    assert_eq!(try_with(&killed, &order), Ok(usize::from(order.last() == Some(&last))));
    for at in 0..order.len() {
        let mut shorter = order.clone();
        shorter.remove(at);
        assert!(try_with(&told, &shorter).is_err(), "{} is lost", order[at]);
        let mut unheard = told.clone();
        unheard.remove(&order[at]);
        let is_last = order[at] == last;
        assert_eq!(try_with(&unheard, &order).is_ok(), is_last, "{}", order[at]);
    }
}
