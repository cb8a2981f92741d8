//! What do several processes get done on one file, and what does the least served of them get?
//!
//! Each process claims a feature of its own and gives it back, over and over: through the store, and on a
//! bare connection with SQLite's own waiting and AutoForge's statements, which does less (no history, no
//! owner). The store also with eight callers in each process. They take turns, since disks change their mind; ratios are of one run. For each number of
//! processes: commits a second of all together, against one process; the least served against the most
//! served; median, 99th percentile and longest of a call; what one commit takes of the processors, by whichever
//! process, without what the kernel does for the disk in nobody's name. `benches/plots/processes.csv` has these.
//!
//! `--quick` for a first look.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, or says where it fails"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{ClaimFeature, ClearInProgress, CreateFeatures, FeatureId, Store};
use rusqlite::Connection;

/// What tells a process its part: who, by which means, for how long, where.
const PART: &str = "AUTOFORGE_STORE_BENCH_PART";
const PROCESSES: [usize; 5] = [1, 2, 4, 8, 16];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Means {
    Store,
    /// The store, with [`CROWD`] callers in each process.
    Crowd,
    Bare,
}

const CROWD: i64 = 8;

/// What a process got done.
struct Got {
    /// What it took of the processors.
    processor: Duration,
    /// How long each commit took.
    commits: Vec<Duration>,
}

fn main() {
    if let Ok(part) = std::env::var(PART) {
        play(&part);
        return;
    }
    // Cargo runs benchmarks as tests too; there is nothing to find out then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, milliseconds) = if quick { (1, 1_000) } else { (3, 3_000) };
    println!(
        "means, processes: commits/s, of one process's, least/most served, median / 99 % / longest, processor"
    );
    let mut alone: BTreeMap<Means, f64> = BTreeMap::new();
    for processes in PROCESSES {
        let mut runs: BTreeMap<Means, Vec<Vec<Got>>> = BTreeMap::new();
        for means in [Means::Bare, Means::Store, Means::Crowd].repeat(rounds) {
            runs.entry(means).or_default().push(run(means, processes, milliseconds));
        }
        for (means, runs) in runs {
            let rate = median(runs.iter().map(|run| rate(run, milliseconds)).collect());
            let alone = *alone.entry(means).or_insert(rate);
            let fairness = runs.iter().map(|run| fairness(run)).fold(1.0, f64::min);
            let all: Vec<Got> = runs.into_iter().flatten().collect();
            let processor: Duration = all.iter().map(|got| got.processor).sum();
            let mut calls: Vec<Duration> = all.into_iter().flat_map(|got| got.commits).collect();
            calls.sort_unstable();
            let at = |share: usize| {
                let call = calls.get(calls.len() * share / 100).or(calls.last());
                call.copied().unwrap_or_default().as_secs_f64() * 1_000.0
            };
            println!(
                "{means:?}, {processes}: {rate:.0}, {:.2}x, {fairness:.2}, {:.2} / {:.2} / {:.1} ms, {} µs",
                rate / alone,
                at(50),
                at(99),
                at(100),
                (processor / u32::try_from(calls.len()).unwrap_or(1)).as_micros()
            );
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn rate(run: &[Got], milliseconds: u64) -> f64 {
    run.iter().map(|got| got.commits.len()).sum::<usize>() as f64 * 1_000.0 / milliseconds as f64
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn fairness(run: &[Got]) -> f64 {
    let commits = || run.iter().map(|got| got.commits.len() as f64);
    commits().fold(f64::INFINITY, f64::min) / commits().fold(1.0, f64::max)
}

fn run(means: Means, processes: usize, milliseconds: u64) -> Vec<Got> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    store.call(CreateFeatures::new(realistic_backlog(200, 1))).unwrap();
    let path = store.path().to_path_buf();
    store.close();
    let children: Vec<Child> =
        (1..=processes).map(|who| start(means, who, milliseconds, &path)).collect();
    let mut outputs: Vec<_> = children
        .into_iter()
        .map(|mut child| {
            let mut output = BufReader::new(child.stdout.take().unwrap());
            output.read_line(&mut String::new()).unwrap();
            (child, output)
        })
        .collect();
    // All are open: they begin together.
    for (child, _) in &mut outputs {
        drop(child.stdin.take());
    }
    outputs
        .into_iter()
        .map(|(mut child, mut output)| {
            let mut line = String::new();
            output.read_to_string(&mut line).unwrap();
            assert!(child.wait().unwrap().success());
            let micros = |figure: &str| Duration::from_micros(figure.parse().unwrap());
            let mut figures = line.split_whitespace().map(micros);
            Got { processor: figures.next().unwrap(), commits: figures.collect() }
        })
        .collect()
}

fn start(means: Means, who: usize, milliseconds: u64, path: &Path) -> Child {
    let part = format!("{who} {means:?} {milliseconds} {}", path.display());
    Command::new(std::env::current_exe().unwrap())
        .env(PART, part)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// In a process of its own.
fn play(part: &str) {
    let mut words = part.splitn(4, ' ');
    let who: i64 = words.next().unwrap().parse().unwrap();
    let means = words.next().unwrap();
    let time = Duration::from_millis(words.next().unwrap().parse().unwrap());
    let path = Path::new(words.next().unwrap());
    let got = match means {
        "Bare" => bare(who, time, path),
        "Crowd" => through_the_store(who * CROWD..(who + 1) * CROWD, time, path),
        _ => through_the_store(who..who + 1, time, path),
    };
    let figures = std::iter::once(&got.processor).chain(&got.commits);
    let micros: Vec<String> = figures.map(|time| time.as_micros().to_string()).collect();
    println!("{}", micros.join(" "));
}

fn through_the_store(callers: std::ops::Range<i64>, time: Duration, path: &Path) -> Got {
    let store: Store = Store::open_file(path, &autoforge_store::OpenOptions::default()).unwrap();
    let before = begin_together();
    let call = &|id: FeatureId| {
        let store = store.clone();
        repeat(time, move |claim| {
            if claim {
                store.call(ClaimFeature { id }).map(drop).unwrap();
            } else {
                store.call(ClearInProgress { id }).map(drop).unwrap();
            }
        })
    };
    let commits = std::thread::scope(|scope| {
        let callers: Vec<_> = callers.map(|id| scope.spawn(move || call(id.into()))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let processor = processor_time().saturating_sub(before);
    store.close();
    Got { processor, commits }
}

fn bare(who: i64, time: Duration, path: &Path) -> Got {
    let mut file = Connection::open(path).unwrap();
    file.busy_timeout(Duration::from_secs(30)).unwrap();
    file.pragma_update(None, "synchronous", "FULL").unwrap();
    let before = begin_together();
    let set = "UPDATE features SET in_progress = ?1 WHERE id = ?2";
    let commits = repeat(time, |claim| {
        let behavior = rusqlite::TransactionBehavior::Immediate;
        let transaction = file.transaction_with_behavior(behavior).unwrap();
        transaction.prepare_cached(set).unwrap().execute((claim, who)).unwrap();
        transaction.commit().unwrap();
    });
    Got { processor: processor_time().saturating_sub(before), commits }
}

/// Says that all is ready, and waits for the others. Gives what this process took of the processors until then.
fn begin_together() -> Duration {
    println!("ready");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    processor_time()
}

fn processor_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into().unwrap()
}

fn repeat(time: Duration, mut commit: impl FnMut(bool)) -> Vec<Duration> {
    let began = Instant::now();
    let mut got = Vec::new();
    while began.elapsed() < time {
        let call = Instant::now();
        commit(got.len().is_multiple_of(2));
        got.push(call.elapsed());
    }
    got
}
