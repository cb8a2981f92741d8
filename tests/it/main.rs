//! Everything that users of the library and of the program can rely on, through what is public alone.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the place, which is all it needs; helpers of tests too"
)]

mod assistant;
mod attempts;
#[cfg(feature = "cli")]
mod backup;
mod claims;
#[cfg(feature = "cli")]
mod cli;
mod closing;
mod commits;
mod copies;
mod crashes;
mod defence;
#[cfg(feature = "cli")]
mod demo;
mod dependencies;
#[cfg(feature = "cli")]
mod doctor;
mod durability;
mod explain;
mod features;
mod fixtures;
mod groups;
mod human_input;
mod import;
mod layout;
mod lies;
mod maintenance;
#[cfg(feature = "cli")]
mod mcp;
#[cfg(feature = "cli")]
mod mcp_client;
mod migration;
mod moved;
mod moves;
mod neighbour;
mod old_files;
mod once;
mod opening;
mod ownership;
mod places;
mod processes;
mod progress;
mod registry;
#[cfg(feature = "cli")]
mod run;
mod schedules;
#[cfg(feature = "cli")]
mod soak;
mod support;
#[cfg(feature = "cli")]
mod terminal;
mod undo;
mod waiting;
mod windows;
