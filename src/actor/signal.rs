//! The news of a commit, for whoever waits for one.

use std::time::Instant;

use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering};

/// Counts commits, and wakes whoever waits for the next one.
///
/// Invariant: no commit is missed. A watcher notes the count **before** it reads the data; a commit
/// that the reading did not see is counted after that, so waiting for another count ends at once.
#[derive(Debug)]
pub(crate) struct CommitSignal {
    state: Mutex<State>,
    changed: Condvar,
    /// Apart from the state, since the actor asks between any two jobs.
    watchers: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    commits: u64,
    ended: bool,
}

impl CommitSignal {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            watchers: AtomicUsize::new(0),
        }
    }

    /// The commits so far.
    pub(crate) fn seen(&self) -> u64 {
        self.state.lock().commits
    }

    /// There was a commit.
    pub(crate) fn raise(&self) {
        self.state.lock().commits += 1;
        self.changed.notify_all();
    }

    /// There will be none any more; nobody waits from now on.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits for a commit after the first `seen`, and gives the count as it is then. Comes back
    /// with nothing new at the deadline, and where there will be none.
    pub(crate) fn wait(&self, seen: u64, deadline: Option<Instant>) -> News {
        let mut state = self.state.lock();
        loop {
            if state.commits != seen {
                return News::Commits(state.commits);
            }
            if state.ended {
                return News::Ended;
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) if self.changed.wait_until(&mut state, deadline).timed_out() => {
                    return News::None;
                }
                Some(_) => {}
            }
        }
    }

    /// Whether anybody watches.
    pub(crate) fn is_watched(&self) -> bool {
        // ORDERING: a watcher sends the actor a job after it has registered, and the mailbox orders
        // the two; SeqCst spares the argument for the rest.
        self.watchers.load(Ordering::SeqCst) > 0
    }

    /// One watcher more.
    pub(crate) fn register(&self) {
        // ORDERING: see `is_watched`.
        self.watchers.fetch_add(1, Ordering::SeqCst);
    }

    /// One watcher less.
    pub(crate) fn deregister(&self) {
        // ORDERING: see `is_watched`.
        self.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a wait for commits brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// There are so many by now.
    Commits(u64),
    /// The time was up.
    None,
    /// There will be none any more.
    Ended,
}

#[cfg(all(test, not(any(autoforge_loom, autoforge_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn it_is_watched_from_the_first_watchers_coming_to_the_last_ones_going() {
        let signal = CommitSignal::new();
        assert!(!signal.is_watched());
        signal.register();
        signal.register();
        assert!(signal.is_watched());
        signal.deregister();
        assert!(signal.is_watched());
        signal.deregister();
        assert!(!signal.is_watched());
    }

    #[test]
    fn each_commit_is_told_to_whoever_has_seen_fewer() {
        let signal = CommitSignal::new();
        let now = Instant::now();
        assert_eq!((signal.seen(), signal.wait(0, Some(now))), (0, News::None));
        signal.raise();
        signal.raise();
        assert_eq!((signal.seen(), signal.wait(0, None)), (2, News::Commits(2)));
        assert_eq!(signal.wait(2, Some(now)), News::None);
        signal.end();
        assert_eq!(signal.wait(1, None), News::Commits(2), "what was before the end is told first");
        assert_eq!(signal.wait(2, None), News::Ended);
    }
}
