//! The store on a disk that fails, fills up, and loses its power: through a VFS of ours
//! (`tests/vfs`) that the store knows nothing of.
//!
//! `FAULTS=all` examines more places, and more of what a power cut may leave at each.
#![expect(
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the place, which is all it needs; figures are printed"
)]

mod between;
mod conversations;
mod each_call;
mod features;
mod power;
mod session;
mod space;
mod wal_reset;

/// Whether the long form was asked for.
fn is_thorough() -> bool {
    std::env::var("FAULTS").is_ok_and(|form| form == "all")
}
