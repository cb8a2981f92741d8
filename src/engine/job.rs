//! What the engine needs of a job.

use std::collections::VecDeque;
use std::time::Instant;

use super::Engine;
use crate::error::{LockHolder, StorageError};
use crate::tx::Transaction;

/// What a job does with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads one snapshot.
    Read,
    /// Writes in the group's transaction.
    Write,
    /// Works on the file as a whole, outside any transaction.
    Maintenance,
}

/// What becomes of a job's savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its changes are part of the group.
    Keep,
    /// Its changes are undone.
    Discard,
}

/// What ended a job's wait for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// The store's own limit.
    LockWait,
    /// Its caller's deadline.
    Deadline,
    /// Its caller left. Nobody waits for an answer.
    Withdrawn,
}

/// Whether a queue got what it needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The jobs taken from the queue are settled.
    Done,
    /// Another process holds the lock; the queue is as it was.
    Busy,
    /// The same, and it is our turn as soon as that one lets go of it.
    Next,
    /// The turn is another process's; the queue is as it was.
    Behind,
}

/// Something to be carried out and then settled, exactly once.
pub(crate) trait Job: Send {
    fn kind(&self) -> Kind;

    /// Whether the job has waited long enough at `now`, or for nobody.
    fn expired(&self, now: Instant) -> Option<Expiry>;

    /// Begins: `false` where its caller has left, and nothing must be done.
    fn start(&mut self) -> bool;

    /// Does the work of a read or a write. The transaction is an IMMEDIATE one for
    /// [`Kind::Write`], and the job leaves it open.
    fn run(&mut self, transaction: Transaction<'_>) -> Verdict;

    /// Does the work of [`Kind::Maintenance`].
    fn maintain(&mut self, engine: &mut Engine);

    /// The job's code panicked; its savepoint has been undone.
    fn panicked(&mut self, message: String);

    /// Answers: with the job's own result where `group` says that its transaction holds, with the
    /// fault otherwise.
    fn settle(self: Box<Self>, group: Result<(), StorageError>);

    /// Answers a job that waited in vain and never started.
    fn expire(self: Box<Self>, reason: Expiry, holder: Option<LockHolder>);
}

/// A queue of jobs; the front is next.
pub(crate) type Queue = VecDeque<Box<dyn Job>>;
