//! This engine's turn among the processes that want the write lock.

use std::fmt;
use std::time::{Duration, Instant};

use super::Attempt;

/// Orders the processes that want to write. Nothing but speed and fairness depends on it.
pub(crate) trait Turnstile: fmt::Debug + Send {
    /// Whether our turn has come; gets in line otherwise.
    fn is_next(&mut self) -> bool;
    /// Lets the following one come, and leaves the line.
    fn pass(&mut self);
}

/// A wait of so long is none for a turn: whoever has it does not move.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// For so long nobody is waited for then.
const IMPATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Turn {
    turnstile: Option<Box<dyn Turnstile>>,
    pub(super) waiting_since: Option<Instant>,
    pub(super) ignored_until: Option<Instant>,
}

impl Turn {
    pub(super) fn at(turnstile: Box<dyn Turnstile>) -> Self {
        Self { turnstile: Some(turnstile), ..Self::default() }
    }

    /// Whether to try the lock now, and what it means if it is taken. Invariant: a process that has
    /// the turn and does not move, since it was stopped, keeps nobody from trying for longer than
    /// [`LONGEST_WAIT`].
    pub(super) fn come(&mut self) -> Attempt {
        let Some(turnstile) = &mut self.turnstile else { return Attempt::Busy };
        let now = Instant::now();
        if self.ignored_until.is_some_and(|until| now < until) {
            return Attempt::Busy;
        }
        if turnstile.is_next() {
            return Attempt::Next;
        }
        let since = *self.waiting_since.get_or_insert(now);
        if now.duration_since(since) < LONGEST_WAIT {
            return Attempt::Behind;
        }
        tracing::debug!("whoever is next at the write lock does not move");
        self.pass();
        self.ignored_until = Some(now + IMPATIENCE);
        Attempt::Busy
    }

    /// We have the lock, or do not want it any more.
    pub(super) fn pass(&mut self) {
        self.waiting_since = None;
        if let Some(turnstile) = &mut self.turnstile {
            turnstile.pass();
        }
    }
}
