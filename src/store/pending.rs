//! A command on its way: the only place that answers callers.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::actor::{Answerer, Asker, Outcome, slot};
use crate::command::Command;
use crate::engine::{Engine, Expiry, Job, Kind, Verdict};
use crate::error::{Error, Failure, LockHolder, StorageError};
use crate::sync::{AtomicUsize, Ordering};
use crate::tx::{Access, Transaction, Tx};

type Answer<C> = Result<<C as Command>::Output, Error<<C as Command>::Rejection>>;

/// How long a request may wait, and for whom.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) path: Arc<Path>,
    pub(super) submitted: Instant,
    pub(super) for_lock: Duration,
    pub(super) allowed: Option<Duration>,
}

impl Wait {
    fn expired(&self, now: Instant) -> Option<Expiry> {
        let waited = now.saturating_duration_since(self.submitted);
        if self.allowed.is_some_and(|allowed| waited >= allowed) {
            Some(Expiry::Deadline)
        } else if waited >= self.for_lock {
            Some(Expiry::LockWait)
        } else {
            None
        }
    }

    fn error(&self, reason: Expiry, holder: Option<LockHolder>) -> StorageError {
        match (reason, self.allowed) {
            (Expiry::Deadline, Some(allowed)) if holder.is_none() => {
                StorageError::DeadlinePassed { allowed }
            }
            _ => StorageError::Busy {
                path: Arc::clone(&self.path),
                waited: self.submitted.elapsed(),
                holder,
            },
        }
    }
}

/// A command with its outcome so far and its caller.
struct Pending<C: Command> {
    command: C,
    wait: Wait,
    result: Option<Result<C::Output, Failure<C::Rejection>>>,
    panic: Option<String>,
    answerer: Answerer<Answer<C>>,
    /// Writes of the same handle that have no answer yet; see [`Unanswered`].
    unanswered: Option<Unanswered>,
}

/// Counts a write of a handle for as long as it has no answer, so that the handle's later reads
/// stay behind it.
#[derive(Debug)]
pub(super) struct Unanswered(Arc<AtomicUsize>);

impl Unanswered {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        // ORDERING: the handle that counts up is the one that later looks; SeqCst keeps the
        // argument short and costs nothing beside a commit.
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        // ORDERING: see `new`.
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes the job for the actor and the caller's end.
pub(super) fn request<C: Command>(
    command: C,
    wait: Wait,
    unanswered: Option<Unanswered>,
) -> (Box<dyn Job>, Reply<C>) {
    let (asker, answerer) = slot();
    let path = Arc::clone(&wait.path);
    let pending = Pending { command, wait, result: None, panic: None, answerer, unanswered };
    (Box::new(pending), Reply { asker, path, command: PhantomData })
}

impl<C: Command> Job for Pending<C> {
    fn kind(&self) -> Kind {
        if C::Access::WRITES { Kind::Write } else { Kind::Read }
    }

    fn expired(&self, now: Instant) -> Option<Expiry> {
        let withdrawn = self.answerer.is_withdrawn().then_some(Expiry::Withdrawn);
        withdrawn.or_else(|| self.wait.expired(now))
    }

    fn start(&mut self) -> bool {
        self.answerer.start()
    }

    fn run(&mut self, transaction: Transaction<'_>) -> Verdict {
        let result = self.command.run(&Tx::new(transaction));
        let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::Discard };
        self.result = Some(result);
        verdict
    }

    fn maintain(&mut self, _: &mut Engine) {}

    fn panicked(&mut self, message: String) {
        tracing::error!(command = C::NAME, message, "a command panicked");
        self.panic = Some(message);
    }

    fn settle(self: Box<Self>, group: Result<(), StorageError>) {
        let Self { command, wait, result, panic, answerer, unanswered } = *self;
        let storage = |fault| Err(Error::Storage(fault));
        let answer = match (group, result, panic) {
            // A fault of its own says more than that of the group it brought down.
            (_, Some(Err(Failure::Sqlite(fault))), _) => {
                storage(StorageError::from_sqlite(&wait.path, &fault))
            }
            (_, _, Some(message)) => storage(StorageError::Panicked { command: C::NAME, message }),
            (Err(fault), _, _) => storage(fault),
            (Ok(()), Some(Ok(output)), None) => Ok(output),
            (Ok(()), Some(Err(Failure::Refused(refusal))), None) => Err(Error::Refused(refusal)),
            (Ok(()), None, None) => storage(StorageError::Closed { path: Arc::clone(&wait.path) }),
        };
        tracing::debug!(command = C::NAME, ok = answer.is_ok(), waited = ?wait.submitted.elapsed());
        // The caller may drop what the command held; and once it has its answer, its next read
        // need not wait in line.
        drop((command, unanswered));
        answerer.answer(answer);
    }

    fn expire(self: Box<Self>, reason: Expiry, holder: Option<LockHolder>) {
        if self.answerer.start() {
            let error = self.wait.error(reason, holder);
            drop(self.unanswered);
            self.answerer.answer(Err(Error::Storage(error)));
        }
    }
}

/// The answer to a submitted command: a future, or something to wait for.
///
/// It works on any executor and on none. Dropping it withdraws the command if it has not started;
/// one that has started runs to its end. Its waker is called on the engine's thread, so a waker may
/// submit commands but must not wait for one: [`Store::call`](crate::Store::call) there would wait
/// for itself.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateFeature, GetStats, NewFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let creation = store.submit(CreateFeature::new(login)).unwrap();
/// let stats = store.submit(GetStats).unwrap();
/// assert!(creation.wait().is_ok());
/// assert_eq!(stats.wait().unwrap().total, 1); // a handle's reads see its earlier writes
/// ```
#[must_use = "dropping it withdraws the command"]
pub struct Reply<C: Command> {
    asker: Asker<Answer<C>>,
    path: Arc<Path>,
    command: PhantomData<fn(C)>,
}

impl<C: Command> fmt::Debug for Reply<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("command", &C::NAME).finish_non_exhaustive()
    }
}

impl<C: Command> Reply<C> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What the command refuses with, or what the storage failed with.
    pub fn wait(self) -> Result<C::Output, Error<C::Rejection>> {
        resolve::<C>(self.asker.wait(), &self.path, None)
    }

    /// Waits for the answer for so long at most. A command that has not started by then is
    /// withdrawn.
    ///
    /// # Errors
    /// As [`Reply::wait`]; [`StorageError::DeadlinePassed`] where the command was withdrawn, and
    /// [`StorageError::OutcomeUnknown`] where it was running.
    pub fn wait_for(self, allowed: Duration) -> Result<C::Output, Error<C::Rejection>> {
        let outcome = match Instant::now().checked_add(allowed) {
            Some(deadline) => self.asker.wait_until(deadline),
            None => self.asker.wait(),
        };
        resolve::<C>(outcome, &self.path, Some(allowed))
    }
}

impl<C: Command> Future for Reply<C> {
    type Output = Result<C::Output, Error<C::Rejection>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.asker).poll(context));
        Poll::Ready(resolve::<C>(outcome, &self.path, None))
    }
}

fn resolve<C: Command>(
    outcome: Outcome<Answer<C>>,
    path: &Arc<Path>,
    allowed: Option<Duration>,
) -> Answer<C> {
    lost(outcome, path, allowed, C::Access::WRITES).unwrap_or_else(|fault| Err(fault.into()))
}

/// What it means that there is no answer.
pub(super) fn lost<T>(
    outcome: Outcome<T>,
    path: &Arc<Path>,
    allowed: Option<Duration>,
    writes: bool,
) -> Result<T, StorageError> {
    let path = Arc::clone(path);
    let unknown = |detail: &str| StorageError::OutcomeUnknown {
        path: Arc::clone(&path),
        detail: detail.to_owned(),
    };
    Err(match outcome {
        Outcome::Answer(answer) => return Ok(answer),
        Outcome::Lost { started: true } if writes => unknown("the store ended while it ran"),
        Outcome::Abandoned if writes => unknown("it was still running at the caller's deadline"),
        Outcome::Lost { .. } => StorageError::Closed { path },
        Outcome::Withdrawn | Outcome::Abandoned => {
            StorageError::DeadlinePassed { allowed: allowed.unwrap_or_default() }
        }
    })
}

/// Work on the file as a whole, with its caller.
pub(super) struct MaintenanceCall<T, F> {
    pub(super) work: Option<F>,
    pub(super) wait: Wait,
    pub(super) result: Option<Result<T, StorageError>>,
    pub(super) answerer: Answerer<Result<T, StorageError>>,
}

impl<T, F> Job for MaintenanceCall<T, F>
where
    T: Send,
    F: FnOnce(&mut Engine) -> Result<T, StorageError> + Send,
{
    fn kind(&self) -> Kind {
        Kind::Maintenance
    }

    fn expired(&self, now: Instant) -> Option<Expiry> {
        self.wait.expired(now)
    }

    fn start(&mut self) -> bool {
        self.answerer.start()
    }

    fn run(&mut self, _: Transaction<'_>) -> Verdict {
        Verdict::Discard
    }

    fn maintain(&mut self, engine: &mut Engine) {
        self.result = self.work.take().map(|work| work(engine));
    }

    fn panicked(&mut self, message: String) {
        self.result = Some(Err(StorageError::Panicked { command: "maintenance", message }));
    }

    fn settle(self: Box<Self>, group: Result<(), StorageError>) {
        let closed = || Err(StorageError::Closed { path: Arc::clone(&self.wait.path) });
        let answer = match group {
            Ok(()) => self.result.unwrap_or_else(closed),
            Err(fault) => Err(fault),
        };
        self.answerer.answer(answer);
    }

    fn expire(self: Box<Self>, reason: Expiry, holder: Option<LockHolder>) {
        if self.answerer.start() {
            self.answerer.answer(Err(self.wait.error(reason, holder)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, ImportBacklog, OpenOptions, Store};

    const SECOND: Duration = Duration::from_secs(1);

    fn wait(allowed: Option<Duration>) -> Wait {
        let (path, submitted) = (Arc::from(Path::new("features.db")), Instant::now());
        Wait { path, submitted, for_lock: 2 * SECOND, allowed }
    }

    fn holder() -> LockHolder {
        LockHolder { pid: 1, command: String::new(), stopped: false }
    }

    /// Work on the file that was handed in just now, and its caller.
    fn work() -> (impl Job, Asker<Result<(), StorageError>>) {
        let (asker, answerer) = slot();
        let work = Some(|_: &mut Engine| Ok(()));
        (MaintenanceCall { work, wait: wait(None), result: None, answerer }, asker)
    }

    fn answer<T>(asker: Asker<Result<T, StorageError>>) -> StorageError {
        let Outcome::Answer(Err(fault)) = asker.wait_until(Instant::now()) else {
            panic!("not answered with a fault")
        };
        fault
    }

    #[test]
    fn a_wait_ends_at_its_limit_or_its_callers() {
        let wait = |allowed| {
            let wait = wait(allowed);
            move |waited| wait.expired(wait.submitted + waited)
        };
        let limit = [SECOND, 2 * SECOND].map(wait(None));
        assert_eq!(limit, [None, Some(Expiry::LockWait)]);
        let callers = [SECOND / 2, SECOND, 2 * SECOND].map(wait(Some(SECOND)));
        let deadline = Some(Expiry::Deadline);
        assert_eq!(callers, [None, deadline, deadline]);
    }

    #[test]
    fn who_is_in_the_way_is_named_even_at_the_callers_deadline() {
        let error = |reason, holder| wait(Some(SECOND)).error(reason, holder).code();
        assert_eq!(error(Expiry::Deadline, None), "deadline_passed");
        assert_eq!(error(Expiry::Deadline, Some(holder())), "busy");
        assert_eq!(error(Expiry::LockWait, None), "busy");
    }

    #[test]
    fn only_a_write_that_had_begun_may_have_happened() {
        let path = Arc::from(Path::new("features.db"));
        let code = |outcome: Outcome<()>, writes| {
            lost(outcome, &path, Some(SECOND), writes).unwrap_err().code()
        };
        let started = |started| Outcome::Lost { started };
        assert_eq!(code(started(true), true), "outcome_unknown");
        assert_eq!(code(started(true), false), "closed");
        assert_eq!(code(started(false), true), "closed");
        assert_eq!(code(Outcome::Abandoned, true), "outcome_unknown");
        assert_eq!(code(Outcome::Abandoned, false), "deadline_passed");
        assert_eq!(code(Outcome::Withdrawn, true), "deadline_passed");
    }

    #[test]
    fn work_on_the_file_waits_no_longer_than_a_write() {
        let (job, asker) = work();
        let job = Box::new(job);
        assert_eq!(job.expired(Instant::now()), None);
        assert_eq!(job.expired(Instant::now() + 2 * SECOND), Some(Expiry::LockWait));
        job.expire(Expiry::LockWait, Some(holder()));
        assert_eq!(answer(asker).code(), "busy");
    }

    #[test]
    fn work_on_the_file_that_panics_tells_its_caller() {
        let (mut job, asker) = work();
        assert!(job.start());
        job.panicked("why".to_owned());
        Box::new(job).settle(Ok(()));
        let fault = answer(asker);
        assert!(matches!(fault, StorageError::Panicked { message, .. } if message == "why"));
    }

    #[test]
    fn work_on_the_file_that_its_caller_left_is_not_begun() {
        let (mut job, asker) = work();
        drop(asker);
        assert!(!job.start());
    }

    #[test]
    fn a_withdrawn_write_does_not_keep_the_end_waiting_for_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("features.db");
        let patient = OpenOptions { lock_wait: Duration::from_hours(24), ..OpenOptions::default() };
        let store = Store::<Features>::open_file(&path, &patient).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        drop(store.submit(ImportBacklog { entries: Vec::new() }).unwrap());
        store.close();
        other.execute_batch("ROLLBACK").unwrap();
    }
}
