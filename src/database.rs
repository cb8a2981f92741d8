//! The kinds of database files: how each is recognised, and how it is brought up to date.

mod features;

use std::fmt;

pub use features::Features;

use crate::tx::{Read, Tx, Write};

/// A kind of database file. A [`Command`](crate::Command) and a [`Store`](crate::Store) name the
/// kind they are for, so a command never reaches a file of another kind.
pub trait Database: fmt::Debug + Copy + Send + Sync + 'static {
    /// How its tables look. Only this crate can make a [`Schema`].
    const SCHEMA: Schema;
}

/// How a kind of database is recognised and brought up to date.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Decides on a snapshot, without writing.
    pub(crate) inspect: fn(&Tx<'_, Read>) -> rusqlite::Result<Condition>,
    /// Makes the file current, whatever old state it is in. Runs in one IMMEDIATE transaction
    /// after `inspect` has said [`Condition::Outdated`] in that same transaction.
    pub(crate) migrate: fn(&Tx<'_, Write>) -> rusqlite::Result<()>,
}

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Up to date: opening it writes nothing.
    Current,
    /// New, empty, or of an older release.
    Outdated {
        /// It holds no table yet.
        empty: bool,
    },
    /// Another program's.
    Foreign {
        /// What tells.
        found: String,
    },
    /// Changed by a later release of this store.
    Newer {
        /// The file's format.
        found: i64,
        /// The newest known format.
        known: i64,
    },
}
