//! The slot in which a caller gets its answer.
//!
//! One lock guards the whole life of a request, so "has it started?", "has the caller left?" and
//! "is there an answer?" are never out of step: a request that its caller gave up before it started
//! never runs, and one that has started is always answered or reported as lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::sync::{Condvar, Mutex};

#[derive(Debug)]
enum State<T> {
    /// Handed in; nobody has begun.
    Queued,
    /// The caller left before anybody began: it must never run.
    Withdrawn,
    /// Being worked on; the caller may leave, the work goes on.
    Started,
    /// Done.
    Answered(T),
    /// The other end is gone without an answer.
    Lost {
        /// It had begun.
        started: bool,
    },
    /// The caller has its answer.
    Taken,
}

#[derive(Debug)]
struct Slot<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    state: State<T>,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    /// Ends the request and wakes its caller, who then finds the lock let go. The waker may do
    /// anything, dropping the caller's end included.
    fn finish(&self, end: impl FnOnce(&State<T>) -> Option<State<T>>) {
        let waker = {
            let mut inner = self.inner.lock();
            let Some(state) = end(&inner.state) else { return };
            inner.state = state;
            inner.waker.take()
        };
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Inner<T> {
    /// The outcome, once there is one.
    fn take(&mut self) -> Option<Outcome<T>> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Answered(answer) => Some(Outcome::Answer(answer)),
            State::Lost { started } => Some(Outcome::Lost { started }),
            State::Withdrawn => Some(Outcome::Withdrawn),
            State::Taken => Some(Outcome::Lost { started: true }),
            unfinished @ (State::Queued | State::Started) => {
                self.state = unfinished;
                None
            }
        }
    }
}

/// How a request ended for its caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    /// With an answer.
    Answer(T),
    /// The caller left before it began; it never runs.
    Withdrawn,
    /// The actor ended without an answer.
    Lost {
        /// It had begun, so its effect is unknown.
        started: bool,
    },
    /// The caller left while it ran; its effect is unknown.
    Abandoned,
}

/// Makes a slot: the caller's end and the actor's.
pub(crate) fn slot<T>() -> (Asker<T>, Answerer<T>) {
    let slot = Arc::new(Slot {
        inner: Mutex::new(Inner { state: State::Queued, waker: None }),
        changed: Condvar::new(),
    });
    (Asker(Arc::clone(&slot)), Answerer { slot, is_done: false })
}

/// The caller's end. Dropping it withdraws a request that has not started.
#[derive(Debug)]
pub(crate) struct Asker<T>(Arc<Slot<T>>);

impl<T> Asker<T> {
    /// Waits for the end.
    pub(crate) fn wait(self) -> Outcome<T> {
        let mut inner = self.0.inner.lock();
        loop {
            if let Some(outcome) = inner.take() {
                return outcome;
            }
            self.0.changed.wait(&mut inner);
        }
    }

    /// Waits for the end until `deadline`, then leaves.
    pub(crate) fn wait_until(self, deadline: Instant) -> Outcome<T> {
        let mut inner = self.0.inner.lock();
        loop {
            if let Some(outcome) = inner.take() {
                return outcome;
            }
            if self.0.changed.wait_until(&mut inner, deadline).timed_out() {
                drop(inner);
                return self.leave();
            }
        }
    }

    /// Stops waiting: a request that has not started is withdrawn.
    fn leave(self) -> Outcome<T> {
        let mut inner = self.0.inner.lock();
        if let Some(outcome) = inner.take() {
            return outcome;
        }
        if matches!(inner.state, State::Started) {
            return Outcome::Abandoned;
        }
        inner.state = State::Withdrawn;
        Outcome::Withdrawn
    }
}

impl<T> Future for Asker<T> {
    type Output = Outcome<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let mut inner = self.0.inner.lock();
        if let Some(outcome) = inner.take() {
            return Poll::Ready(outcome);
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> Drop for Asker<T> {
    fn drop(&mut self) {
        let mut inner = self.0.inner.lock();
        inner.waker = None;
        if matches!(inner.state, State::Queued) {
            inner.state = State::Withdrawn;
        }
    }
}

/// The actor's end. Dropping it without an answer tells the caller so.
#[derive(Debug)]
pub(crate) struct Answerer<T> {
    slot: Arc<Slot<T>>,
    /// The caller was answered, and may have the lock already.
    is_done: bool,
}

impl<T> Answerer<T> {
    /// Begins the work; `false` where the caller has left and nothing must be done.
    pub(crate) fn start(&self) -> bool {
        let mut inner = self.slot.inner.lock();
        match inner.state {
            State::Queued => {
                inner.state = State::Started;
                true
            }
            _ => false,
        }
    }

    /// Whether the caller has left before anybody began.
    pub(crate) fn is_withdrawn(&self) -> bool {
        matches!(self.slot.inner.lock().state, State::Withdrawn)
    }

    /// Answers, whether or not anybody still waits.
    pub(crate) fn answer(mut self, answer: T) {
        self.is_done = true;
        self.slot.finish(|state| match state {
            State::Queued | State::Started => Some(State::Answered(answer)),
            _ => None,
        });
    }
}

impl<T> Drop for Answerer<T> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        self.slot.finish(|state| match state {
            State::Queued => Some(State::Lost { started: false }),
            State::Started => Some(State::Lost { started: true }),
            _ => None,
        });
    }
}

#[cfg(all(test, not(any(autoforge_loom, autoforge_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_actor_that_ends_without_an_answer_tells_whether_it_had_begun() {
        let (asker, answerer) = slot::<()>();
        drop(answerer);
        assert_eq!(asker.wait_until(Instant::now()), Outcome::Lost { started: false });

        let (asker, answerer) = slot::<()>();
        assert!(answerer.start());
        drop(answerer);
        assert_eq!(asker.wait_until(Instant::now()), Outcome::Lost { started: true });
    }

    #[test]
    fn a_request_begins_once_and_not_after_its_caller_has_left() {
        let (asker, answerer) = slot::<()>();
        assert!(answerer.start() && !answerer.start());
        assert!(!answerer.is_withdrawn());
        assert_eq!(asker.wait_until(Instant::now()), Outcome::Abandoned);

        let (asker, answerer) = slot::<()>();
        drop(asker);
        assert!(answerer.is_withdrawn() && !answerer.start());
    }

    #[test]
    fn the_first_end_counts() {
        let (asker, answerer) = slot();
        answerer.answer(1);
        assert_eq!(asker.wait(), Outcome::Answer(1));

        let (asker, answerer) = slot();
        assert!(answerer.start());
        answerer.answer(2);
        assert_eq!(asker.wait_until(Instant::now()), Outcome::Answer(2), "not lost by its drop");
    }
}
