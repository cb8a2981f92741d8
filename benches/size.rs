//! What does a backlog of a hundred thousand features cost: to make, to open, to ask for the first time, and in
//! memory?
//!
//! Each feature waits for three others. All are made by one command, so in one transaction. The memory is what
//! the process grows by with the first question, which builds the index of scheduling; what building it needs
//! for a moment is in it, so it is more than the index itself.
//!
//! `--quick` for a tenth of them.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, or says where it fails"
)]

use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{CreateFeatures, GetReady, GetStats, PlannedFeature, Store};

fn main() {
    // Cargo runs benchmarks as tests too; there is nothing to find out then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let count = if quick { 10_000 } else { 100_000 };
    let folder = tempfile::tempdir().unwrap();
    let (store, opened) = timed(|| Store::open_project(folder.path()).unwrap());
    print("opening a new project", opened);
    let features = realistic_backlog(count, 1).into_iter().enumerate().map(waiting).collect();
    let (_, made) = timed(|| store.call(CreateFeatures::new(features)).unwrap());
    print(&format!("making {count} features"), made);
    store.close();
    let (store, opened) = timed(|| Store::open_project(folder.path()).unwrap());
    print("opening them", opened);
    // SQLite has its pages in memory from here on.
    store.call(GetStats).unwrap();
    let before = resident();
    let (ready, asked) = timed(|| store.call(GetReady { limit: 10 }).unwrap());
    print("the first question", asked);
    let (again, asked) = timed(|| store.call(GetReady { limit: 10 }).unwrap());
    print("the second", asked);
    assert_eq!(ready.total, again.total);
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("the index: {} bytes a feature", after.saturating_sub(before) / count);
        println!("the process: {} MiB", after >> 20);
    }
}

/// Waits for three before it.
fn waiting((at, planned): (usize, PlannedFeature)) -> PlannedFeature {
    let depends_on = [1, 7, 50].into_iter().filter_map(|back| at.checked_sub(back)).collect();
    PlannedFeature { depends_on, ..planned }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

fn print(what: &str, took: Duration) {
    println!("{what}: {:.1} ms", took.as_secs_f64() * 1_000.0);
}

/// Bytes of the process in memory, where the system tells.
fn resident() -> Option<usize> {
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? << 10)
}
