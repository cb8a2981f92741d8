//! One thread that does not wait for each answer before it gives the next command: all that queues
//! up meanwhile shares one transaction and one sync of the disk.
//!
//!     cargo run --release --example pipelined
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Instant;

use autoforge_store::{CreateFeatures, MarkPassing, NewFeature, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_project(folder.path())?;
    let feature = |n| NewFeature::new("Demo", format!("Part {n}"), "Do it.", ["Try it"]);
    let features = (1..=1000).map(|n| feature(n).map(Into::into)).collect::<Result<_, _>>()?;
    let created = store.call(CreateFeatures::new(features))?;
    let (waited_for, in_flight) = created.ids.split_at(500);

    let start = Instant::now();
    for &id in waited_for {
        store.call(MarkPassing { id })?;
    }
    println!("{} commands, one after the other: {:?}", waited_for.len(), start.elapsed());

    let start = Instant::now();
    let submit = |&id| store.submit(MarkPassing { id });
    let replies = in_flight.iter().map(submit).collect::<Result<Vec<_>, _>>()?;
    // A reply is a future as well; here its answer is waited for.
    for reply in replies {
        reply.wait()?;
    }
    println!("{} commands, all in flight: {:?}", in_flight.len(), start.elapsed());
    Ok(())
}
