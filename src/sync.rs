//! The only door to threads, locks and channels.
//!
//! The real half is `parking_lot`, `crossbeam-channel`, `once_cell` and the standard library. Under
//! `--cfg autoforge_loom` or `--cfg autoforge_shuttle` the unit tests get the other half ([`model`]), which
//! has the same names on loom's or shuttle's types, so that these run the actor, the reply slots and the
//! engine cache as they ship.

#[cfg(all(test, any(autoforge_loom, autoforge_shuttle)))]
mod model;
#[cfg(not(all(test, any(autoforge_loom, autoforge_shuttle))))]
mod real;

use std::time::Duration;

#[cfg(all(test, any(autoforge_loom, autoforge_shuttle)))]
pub(crate) use model::*;
#[cfg(not(all(test, any(autoforge_loom, autoforge_shuttle))))]
pub(crate) use real::*;

/// The two ways into a mailbox. Each is first in, first out, and each has its own bound, so that
/// writes which wait for another process's lock never keep a read out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// For what needs no write lock.
    Read,
    /// For what does, and for reads that must stay behind a write of their own caller.
    Write,
}

/// What a mailbox gave.
#[derive(Debug)]
pub(crate) enum Received<T> {
    /// From the reading lane.
    Read(T),
    /// From the writing lane.
    Write(T),
    /// Nothing came in time, or the bell rang.
    Nothing,
    /// Nothing is left and every sender is gone.
    Disconnected,
}

/// How long to wait for a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// There is nothing else to do: wait for a message, but come back now and then for
    /// housekeeping.
    Idle,
    /// The same, but housekeeping brings news that somebody waits for: come back soon.
    Watch,
    /// There is something to try again after so long, or when the bell rings.
    Retry(Duration),
}

/// Why a message was not taken; it is given back.
#[derive(Debug)]
pub(crate) enum SendError<T> {
    /// The lane is full.
    Full(T),
    /// The receiver is gone.
    Disconnected(T),
}
