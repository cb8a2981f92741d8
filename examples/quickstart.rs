//! A backlog, an agent that works it off, and what is left to see.
//!
//!     cargo run --example quickstart
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use autoforge_store::{
    ClaimNext, ClaimedNext, CreateFeatures, GetStats, MarkPassing, NewFeature, PlannedFeature,
    Store,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_project(folder.path())?;

    let form = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form", "Send it"])?;
    let exit = NewFeature::new("Auth", "Log out", "From every page.", ["Press the button"])?;
    store.call(CreateFeatures::new(vec![
        form.into(),
        PlannedFeature { feature: exit, depends_on: vec![0] },
    ]))?;

    // Choosing and claiming are one transaction, so any number of agents can run this loop.
    while let ClaimedNext::Feature(next) = store.call(ClaimNext)? {
        let feature = next.feature;
        println!("working on {}: {}", feature.id, feature.name);
        store.call(MarkPassing { id: feature.id })?;
    }

    let stats = store.call(GetStats)?;
    println!("{} of {} features pass ({} %)", stats.passing, stats.total, stats.percentage());
    Ok(())
}
