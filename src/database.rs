//! The kinds of database files: how each is recognised, and how it is brought up to date.

mod assistant;
mod features;
mod registry;
mod schema;

use std::fmt;

pub use assistant::Assistant;
pub use features::Features;
pub use registry::Registry;
pub use schema::Schema;
pub(crate) use schema::{Condition, Journal};

/// A kind of database file. A [`Command`](crate::Command) and a [`Store`](crate::Store) name the
/// kind they are for, so a command never reaches a file of another kind.
pub trait Database: fmt::Debug + Copy + Send + Sync + 'static {
    /// How its tables look. Only this crate can make a [`Schema`].
    const SCHEMA: Schema;
}
