//! Two processes work on one project at once; each feature is claimed by exactly one of them.
//!
//!     cargo run --example two_processes
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;
use std::process::Command;

use autoforge_store::{
    ClaimNext, ClaimedNext, CreateFeatures, GetStats, MarkPassing, NewFeature, Store,
};

fn main() -> Result<(), Box<dyn Error>> {
    // This program starts itself again as the worker.
    if let Some(folder) = std::env::args_os().nth(1) {
        return work(Path::new(&folder));
    }
    let folder = tempfile::tempdir()?;
    let store = Store::open_project(folder.path())?;
    let feature = |n| NewFeature::new("Demo", format!("Part {n}"), "Do it.", ["Try it"]);
    let features = (1..=20).map(|n| feature(n).map(Into::into)).collect::<Result<_, _>>()?;
    store.call(CreateFeatures::new(features))?;

    let program = std::env::current_exe()?;
    let start = || Command::new(&program).arg(folder.path()).spawn();
    let workers = [start()?, start()?];
    for mut worker in workers {
        assert!(worker.wait()?.success(), "a worker failed");
    }
    let stats = store.call(GetStats)?;
    println!("{} of {} features pass", stats.passing, stats.total);
    Ok(())
}

fn work(folder: &Path) -> Result<(), Box<dyn Error>> {
    let store = Store::open_project(folder)?;
    let mut done = Vec::new();
    while let ClaimedNext::Feature(next) = store.call(ClaimNext)? {
        let feature = next.feature;
        store.call(MarkPassing { id: feature.id })?;
        done.push(feature.id.to_string());
    }
    println!("process {} did {}", std::process::id(), done.join(", "));
    Ok(())
}
