//! Everything that users of the library can rely on, through its public interface alone.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the place, which is all it needs; helpers of tests too"
)]

mod claims;
mod closing;
mod defence;
mod dependencies;
mod durability;
mod features;
mod fixtures;
mod groups;
mod human_input;
mod import;
mod layout;
mod maintenance;
mod migration;
mod moved;
mod old_files;
mod opening;
mod places;
mod processes;
mod support;
mod waiting;
