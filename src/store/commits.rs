//! Waiting for the next commit to a file, whoever makes it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::EngineHandle;
use crate::actor::{CommitSignal, News, OnFull};
use crate::engine::{Engine, Expiry, Job, Kind, Observer, Verdict};
use crate::error::{LockHolder, StorageError};
use crate::sync::{AtomicUsize, Lane, Ordering};
use crate::tx::Transaction;

/// Tells when somebody has committed to a file: through this process, or another one.
///
/// While there is one, the engine looks for other processes' commits 50 times a second, which
/// costs it a few microseconds each time. It keeps the engine open, as a
/// [`Store`](crate::Store) does.
///
/// A commit may turn out to have changed nothing that the caller looks at; but none is missed, as
/// long as the caller reads after [`Commits::wait`] and not before it was made.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use std::time::Duration;
/// use autoforge_store::{CreateFeature, NewFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let mut commits = store.commits();
/// assert!(!commits.wait(Duration::ZERO));
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// store.call(CreateFeature::new(login)).unwrap();
/// assert!(commits.wait(Duration::from_secs(60)));
/// ```
pub struct Commits {
    engine: Arc<EngineHandle>,
    seen: u64,
}

impl fmt::Debug for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commits").field("path", &self.engine.path).finish_non_exhaustive()
    }
}

impl Commits {
    pub(super) fn new(engine: &Arc<EngineHandle>) -> Self {
        let engine = Arc::clone(engine);
        engine.commits.register();
        // The actor may just have settled down for a long idle round. Where its mailbox is full it
        // is wide awake, and where it is closed `wait` says so.
        drop(engine.post(Lane::Read, Box::new(Nudge), OnFull::Refuse));
        Self { seen: engine.commits.seen(), engine }
    }

    /// Waits until there has been a commit since the last wait, or since this was made, for so long
    /// at most; `false` where there was none. Once the engine is closed it is `true` at once: the
    /// next read says why.
    pub fn wait(&mut self, allowed: Duration) -> bool {
        let deadline = Instant::now().checked_add(allowed);
        match self.engine.commits.wait(self.seen, deadline) {
            News::Commits(count) => {
                self.seen = count;
                true
            }
            News::None => false,
            News::Ended => true,
        }
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        self.engine.commits.deregister();
    }
}

/// What the engine tells: that it has failed, and that somebody has committed.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) poisoned: Arc<AtomicUsize>,
    pub(super) commits: Arc<CommitSignal>,
}

impl Observer for Told {
    fn failed(&mut self) {
        // ORDERING: see `Running::is_usable`.
        self.poisoned.store(1, Ordering::SeqCst);
    }

    fn committed(&mut self) {
        self.commits.raise();
    }

    fn is_watched(&self) -> bool {
        self.commits.is_watched()
    }
}

/// Wakes whoever waits for commits when the engine ends, however it ends.
#[derive(Debug)]
pub(super) struct EndOfCommits(pub(super) Arc<CommitSignal>);

impl Drop for EndOfCommits {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A job that does nothing but come.
#[derive(Debug)]
struct Nudge;

impl Job for Nudge {
    fn kind(&self) -> Kind {
        Kind::Read
    }

    fn expired(&self, _: Instant) -> Option<Expiry> {
        Some(Expiry::Withdrawn)
    }

    fn start(&mut self) -> bool {
        false
    }

    fn run(&mut self, _: Transaction<'_>) -> Verdict {
        Verdict::Discard
    }

    fn maintain(&mut self, _: &mut Engine) {}

    fn panicked(&mut self, _: String) {}

    fn settle(self: Box<Self>, _: Result<(), StorageError>) {}

    fn expire(self: Box<Self>, _: Expiry, _: Option<LockHolder>) {}
}
