//! Histories of many processes on one file are checked against the sequential model.
//!
//! Each process records its calls with their outcomes and the time of the clock that all processes
//! share. What a call changed stands in the file's history under a mark of its own (its reason), and the
//! numbers of events are the order of commits. So the order of all calls that changed something is
//! known and need not be searched for: the model carries them out in this order and must give the same
//! outcomes. A call that changed nothing, a read or a refusal, must be explained by a state between
//! those that it can have seen: after everything that had ended when it began, and before whatever began
//! after it had ended, and no earlier than what others had seen before. The check takes one pass.
//!
//! `LINEAR_HISTORIES` and `LINEAR_OPS` say how many histories, and how many calls a process makes.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use autoforge_store::Store;
use autoforge_store::testing::{Call, Model, Op, Texts, World, op};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rustix::time::{ClockId, clock_gettime};

const PROCESSES: usize = 8;
/// Features at the beginning, enough for the processes to meet at.
const FEATURES: usize = 6;
/// What tells a process of a history its part.
const PART: &str = "AUTOFORGE_STORE_TEST_HISTORY";

/// A call of a process.
#[derive(Debug, Clone)]
struct Recorded {
    /// Which process, and which of its calls: the mark in the file's history.
    mark: String,
    call: Call,
    op: Op,
    outcome: String,
    /// Nanoseconds of the clock that all processes share.
    began: i128,
    ended: i128,
    /// Its events, from the first to the last; `None` where it has changed nothing.
    events: Option<(i64, i64)>,
}

/// Why no order explains a history.
type Unexplained = String;

pub(crate) fn parse_or(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

pub(crate) fn now() -> i128 {
    let time = clock_gettime(ClockId::Monotonic);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// What a process calls in a history, the same whenever it is asked.
pub(crate) fn calls(seed: u64, process: usize, count: usize) -> Vec<(String, Call, Op)> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = process.try_into().unwrap();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let who = prop_oneof![1 => Just(None), 2 => (0..3_u8).prop_map(Some)];
    let op = prop_oneof![2 => op().prop_filter("not for histories", fits), 3 => at_work()];
    let strategy = (who, prop::bool::weighted(0.1), op);
    let one = |number: usize| {
        let (who, overriding, op) = strategy.new_tree(&mut runner).unwrap().current();
        let mark = format!("{process}/{number}");
        let call = who.map_or(Call::default(), |who| Call::owning(who, None));
        (mark.clone(), Call { overriding, reason: Some(mark.leak()), ..call }, op)
    };
    (0..count).map(one).collect()
}

/// Calls that take one transaction, and leave events where they change something.
fn fits(op: &Op) -> bool {
    let quiet = matches!(
        op,
        Op::SetPolicy(_) | Op::RenewClaims(_) | Op::RetryFeature(_) | Op::ImportBacklog { .. }
    );
    op.is_one_call() && !quiet
}

/// What agents do all day, at features that others are at, too.
fn at_work() -> impl Strategy<Value = Op> {
    let id = 1..=2 * i64::try_from(FEATURES).unwrap();
    let create = Op::CreateFeature { texts: texts(0), priority: None, dependencies: vec![] };
    prop_oneof![
        4 => id.clone().prop_map(Op::ClaimFeature),
        4 => Just(Op::ClaimNext),
        3 => id.clone().prop_map(Op::ClearInProgress),
        3 => id.clone().prop_map(Op::MarkPassing),
        2 => id.clone().prop_map(Op::MarkFailing),
        2 => id.clone().prop_map(Op::SkipFeature),
        2 => Just(create),
        2 => Just(Op::GetStats),
        2 => (id.clone(), id).prop_map(|(id, dependency)| Op::AddDependency { id, dependency }),
    ]
}

fn texts(n: usize) -> Texts {
    Texts {
        category: "c".to_owned(),
        name: format!("feature {n}"),
        description: "d".to_owned(),
        steps: vec!["s".to_owned()],
    }
}

pub(crate) fn beginning() -> Op {
    let features = (0..FEATURES).map(|n| (texts(n), (0..n.min(1)).collect())).collect();
    Op::CreateFeatures { features, starting_priority: None }
}

/// In a child: the part of one process. It says what came of each call when all are made.
#[test]
fn a_process_of_a_history_plays_its_part() {
    let Ok(part) = std::env::var(PART) else {
        // Played as a child; here it is shown that a part is the same whoever asks.
        assert_eq!(format!("{:?}", calls(1, 2, 30)), format!("{:?}", calls(1, 2, 30)));
        return;
    };
    let [seed, process, count, folder] = part.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("{part:?} is no part");
    };
    let store = Store::open_project(Path::new(folder)).unwrap();
    let calls = calls(seed.parse().unwrap(), process.parse().unwrap(), count.parse().unwrap());
    say("\u{1}ready");
    // Everybody begins at the same time.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let mut lines = Vec::new();
    for (_, call, op) in calls {
        let began = now();
        let outcome = op.apply_as(&store, &call, &World::default());
        let ended = now();
        lines.push(format!("\u{1}{began} {ended} {outcome:?}"));
    }
    store.close();
    for line in &lines {
        say(line);
    }
}

pub(crate) fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").unwrap();
}

/// Lets the processes work on a new project at once, and gives what they did.
fn record(seed: u64, count: usize) -> (Model, Vec<Recorded>) {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    let mut model = Model::default();
    assert_eq!(beginning().apply_to(&store), model.apply(&beginning()));
    let path = store.path().to_owned();
    store.close();
    let start = |process: usize| {
        let part = format!("{seed} {process} {count} {}", folder.path().display());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "linear::a_process_of_a_history_plays_its_part", "--nocapture"])
            .env(PART, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (
            child,
            lines
                .map(Result::unwrap)
                .filter_map(|line| Some(line.split_once('\u{1}')?.1.to_owned())),
        )
    };
    let mut children: Vec<_> = (0..PROCESSES).map(start).collect();
    for (_, said) in &mut children {
        assert_eq!(said.next().as_deref(), Some("ready"));
    }
    for (child, _) in &mut children {
        drop(child.stdin.take());
    }
    let mut recorded = Vec::new();
    for (process, (mut child, mut said)) in children.into_iter().enumerate() {
        for ((mark, call, op), line) in calls(seed, process, count).into_iter().zip(said.by_ref()) {
            let [began, ended, outcome] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line:?}");
            };
            let (began, ended) = (began.parse().unwrap(), ended.parse().unwrap());
            let outcome = without_pids(outcome);
            recorded.push(Recorded { mark, call, op, outcome, began, ended, events: None });
        }
        // The harness has last words of its own.
        assert_eq!(said.next(), None);
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(recorded.len(), PROCESSES * count);
    let file = rusqlite::Connection::open(path).unwrap();
    let mut query = file
        .prepare(
            "SELECT reason, min(id), max(id), count(*) FROM autoforge_events
                  WHERE reason IS NOT NULL GROUP BY reason",
        )
        .unwrap();
    let rows = query.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?), row.get::<_, i64>(3)?))
    });
    let mut events: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in rows.unwrap() {
        let (mark, (first, last), count) = row.unwrap();
        assert_eq!(last - first + 1, count, "another call came between the changes of {mark}");
        events.insert(mark, (first, last));
    }
    for call in &mut recorded {
        call.events = events.remove(&call.mark);
    }
    assert!(events.is_empty(), "nobody has made the calls {events:?}");
    (model, recorded)
}

/// Whether the history has an order in which the model gives the same outcomes.
fn check(mut model: Model, history: &[Recorded]) -> Result<(), Unexplained> {
    let mut writes: Vec<&Recorded> = history.iter().filter(|call| call.events.is_some()).collect();
    writes.sort_by_key(|call| call.events);
    let mut latest = i128::MIN;
    for write in &writes {
        if write.ended < latest {
            return Err(format!(
                "{} took effect after a call that began after its end",
                write.mark
            ));
        }
        latest = latest.max(write.began);
    }
    let mut open: Vec<Open<'_>> = history
        .iter()
        .filter(|call| call.events.is_none())
        .map(|call| Open {
            call,
            first: writes.iter().rposition(|write| write.ended < call.began).map_or(0, |at| at + 1),
            last: writes.iter().position(|write| write.began > call.ended).unwrap_or(writes.len()),
        })
        .collect();
    open.sort_by_key(|open| open.call.began);
    for turn in 0..=writes.len() {
        explain(&mut open, &model, turn)?;
        let Some(write) = writes.get(turn) else { break };
        let outcome = apply(&mut model, &write.call, &write.op);
        if outcome != write.outcome {
            return Err(format!(
                "{} {:?}: {}, in order {outcome}",
                write.mark, write.op, write.outcome
            ));
        }
    }
    Ok(())
}

/// A call that changed nothing and is not explained yet.
struct Open<'h> {
    call: &'h Recorded,
    /// How many writes it has seen, at least and at most.
    first: usize,
    last: usize,
}

/// Takes out what the state after so many writes explains. Each call gets the first state that explains it
/// and that is no earlier than those of the calls before it; a later one would help nobody.
fn explain(open: &mut Vec<Open<'_>>, model: &Model, turn: usize) -> Result<(), Unexplained> {
    let mut waiting: Vec<Open<'_>> = Vec::new();
    for candidate in std::mem::take(open) {
        let waits = waiting.iter().any(|other| other.call.ended < candidate.call.began);
        let is_due = candidate.first <= turn && !waits;
        if is_due && is_explained(candidate.call, model) {
            continue;
        }
        if candidate.last <= turn {
            let Recorded { mark, op, outcome, .. } = candidate.call;
            return Err(format!("no state explains {mark} {op:?}: {outcome}"));
        }
        waiting.push(candidate);
    }
    *open = waiting;
    Ok(())
}

/// What the model says of a call, as the processes tell it.
pub(crate) fn apply(model: &mut Model, call: &Call, op: &Op) -> String {
    without_pids(&format!("{:?}", model.apply_as(op, call, &World::default())))
}

/// Events name the process that made them; to the model it is the one that it runs in.
pub(crate) fn without_pids(text: &str) -> String {
    let mut parts = text.split("pid: Some(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn is_explained(call: &Recorded, model: &Model) -> bool {
    let mut after = model.clone();
    apply(&mut after, &call.call, &call.op) == call.outcome
        && after.last_event() == model.last_event()
}

#[test]
fn calls_of_many_processes_take_effect_in_one_order_that_agrees_with_time() {
    let (histories, count) = (parse_or("LINEAR_HISTORIES", 4), parse_or("LINEAR_OPS", 60));
    for history in 0..histories {
        let seed = fresh_seed(history);
        let (model, recorded) = record(seed, count);
        let writes = recorded.iter().filter(|call| call.events.is_some()).count();
        say(&format!(
            "history {seed}: {} calls, {writes} of them changed something",
            recorded.len()
        ));
        assert!(writes * 10 > recorded.len(), "hardly anything happened");
        check(model, &recorded).unwrap_or_else(|why| panic!("history {seed}: {why}"));
    }
}

/// A history of its own in each run; the seed is printed, though processes never meet twice alike.
pub(crate) fn fresh_seed(history: usize) -> u64 {
    let nanoseconds = u64::try_from(now()).unwrap();
    nanoseconds.wrapping_mul(2).wrapping_add(history as u64)
}

#[test]
fn seeded_mistakes_are_found() {
    let (model, history) = record(fresh_seed(0), 40);
    check(model.clone(), &history).unwrap();
    let mut found = BTreeMap::new();
    let mut try_with = |mistake: &'static str, history: &[Recorded]| {
        *found.entry(mistake).or_insert(0) += usize::from(check(model.clone(), history).is_err());
    };
    let won = |call: &Recorded| call.events.is_some() && matches!(call.op, Op::ClaimFeature(_));
    for (at, call) in history.iter().enumerate() {
        // An acknowledged change that is not in the file, as after a lost update.
        if call.events.is_some() {
            let mut lost = history.clone();
            lost[at].events = None;
            try_with("lost", &lost);
        }
        // A second process is told that it has the claim, too.
        if won(call) {
            let mut twice = history.clone();
            let second = Recorded { mark: "9/9".to_owned(), events: None, ..call.clone() };
            twice.push(second);
            try_with("double claim", &twice);
        }
        // An answer from a state that was over when the question was asked.
        if call.op == Op::GetStats {
            let mut stale = history.clone();
            let end = history.iter().map(|call| call.ended).max().unwrap();
            (stale[at].began, stale[at].ended) = (end + 1, end + 2);
            try_with("stale read", &stale);
        }
    }
    // Changes of two calls in the other order than they were told.
    let writes: Vec<usize> =
        (0..history.len()).filter(|at| history[*at].events.is_some()).collect();
    for pair in writes.windows(2) {
        let mut swapped = history.clone();
        (swapped[pair[0]].events, swapped[pair[1]].events) =
            (history[pair[1]].events, history[pair[0]].events);
        try_with("swapped", &swapped);
    }
    for mistake in ["lost", "double claim", "stale read", "swapped"] {
        assert!(found.get(mistake).is_some_and(|found| *found > 0), "{mistake}: {found:?}");
    }
}
