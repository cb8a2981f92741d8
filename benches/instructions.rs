//! How many instructions does a hot path take?
//!
//! This does one thing so often as it is told, `--bench SCENARIO TIMES`, so that a program which counts
//! instructions can run it twice and divide the difference: whatever happens once falls out. `.ci/instructions`
//! does so and compares the figures with those that are kept. They are of one caller, and say nothing of disks,
//! of waiting and of the kernel; but they are nearly the same on a busy machine as on an idle one.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run can only say where")]

use std::path::Path;

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{
    ClaimNext, ClaimedNext, CreateFeatures, GetReady, GetStats, MarkPassing, Store,
};

/// In the backlog. Enough that what grows with it shows.
const FEATURES: usize = 1_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let mut told = arguments.iter().skip_while(|argument| *argument != "--bench").skip(1);
    // Cargo runs benchmarks without a scenario, too; there is nothing to find out then.
    let (Some(scenario), Some(times)) = (told.next(), told.next()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    store.call(CreateFeatures::new(realistic_backlog(FEATURES, 1))).unwrap();
    // The first question reads everything.
    store.call(GetReady { limit: 10 }).unwrap();
    let once: Box<dyn Fn() + '_> = match scenario.as_str() {
        "cycle" => Box::new(|| claim_and_finish(&store)),
        "ready" => Box::new(|| assert!(store.call(GetReady { limit: 10 }).is_ok())),
        "stats" => Box::new(|| assert!(store.call(GetStats).is_ok())),
        "create" => Box::new(|| create(&store)),
        "open" => {
            store.close();
            Box::new(|| open(folder.path()))
        }
        _ => unreachable!("no scenario {scenario}"),
    };
    counted(times.parse().unwrap(), &*once);
}

/// Where counting begins: `.ci/instructions` knows it by its name.
#[inline(never)]
fn counted(times: usize, once: &dyn Fn()) {
    for _ in 0..times {
        once();
    }
}

fn claim_and_finish(store: &Store) {
    let ClaimedNext::Feature(claimed) = store.call(ClaimNext).unwrap() else {
        unreachable!("there are fewer than {FEATURES} features")
    };
    store.call(MarkPassing { id: claimed.feature.id }).unwrap();
}

fn create(store: &Store) {
    store.call(CreateFeatures::new(realistic_backlog(100, 1))).unwrap();
}

/// The whole way of a process that looks once and goes.
fn open(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    store.call(GetStats).unwrap();
    store.close();
}
