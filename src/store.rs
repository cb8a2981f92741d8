//! The store: what callers hold. It wires the actor to the engine and keeps the one cache of
//! engines.

mod pending;
mod project;

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actor::{self, Cache, Handle, Outcome, Progress, Resident, Resource, Storage, slot};
use crate::command::Command;
use crate::database::{Database, Features};
use crate::engine::{
    Attempt, BackupReport, CheckpointReport, CloseReport, Diagnosis, Engine, Job, Location,
    Maintenance, OpenOptions, Opened,
};
use crate::error::{Error, OpenError, StorageError};
use crate::sync::{
    AtomicUsize, JoinHandle, Lane, Lazy, Mutex, Ordering, SendError, Sender, ThreadId,
    current_thread, mailbox, sleep, spawn,
};
use crate::tx::Access;
pub use pending::Reply;
use pending::{MaintenanceCall, Unanswered, Wait, lost, request};
pub use project::{ImportedBacklog, Opening};

/// Commands that may wait in each lane of a mailbox; whoever comes then waits or is refused.
const MAILBOX_CAPACITY: usize = 1024;

type Mail = Box<dyn Job>;
type EngineHandle = Handle<PathBuf, Running>;

/// The engines of this process by the real path of their file. An engine starts with the first
/// handle to its file and ends with the last, or when it is disposed of.
static ENGINES: Lazy<Arc<Cache<PathBuf, Running>>> = Lazy::new(|| Arc::new(Cache::new()));

/// A handle to a database.
///
/// All handles to one file in a process, however its path is spelled, share one engine: a thread
/// of its own with the only connection. A handle is cheap to clone, can be used from any thread,
/// and its calls are ordered: a read sees the writes that were submitted before it **through the
/// same handle**. Reads never wait for another process's write, unless they must stay behind a
/// write of their own handle; a clone is a handle of its own.
///
/// The last handle that is dropped closes the engine: the log is copied back into the file.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{GetStats, Store};
///
/// let store = Store::open_project(dir.path())?;
/// assert_eq!(store.call(GetStats).unwrap().total, 0);
/// let report = store.close();
/// assert!(report.checkpoint.is_some_and(|checkpoint| checkpoint.complete));
/// assert!(store.call(GetStats).is_err());
/// # Ok::<(), autoforge_store::OpenError>(())
/// ```
pub struct Store<D: Database = Features> {
    engine: Arc<EngineHandle>,
    /// Writes of this handle without an answer; see [`Lane`].
    unanswered: Arc<AtomicUsize>,
    opening: Arc<Opening>,
    database: PhantomData<D>,
}

impl<D: Database> Clone for Store<D> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            unanswered: Arc::new(AtomicUsize::new(0)),
            opening: Arc::clone(&self.opening),
            database: PhantomData,
        }
    }
}

impl<D: Database> fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.engine.path).finish_non_exhaustive()
    }
}

impl<D: Database> Store<D> {
    /// Opens a database file, creating it where it is missing; its folder must exist. An older
    /// state of the file is brought up to date in one transaction; an up-to-date file is not
    /// written to. Where this process has the file open already, the handle shares its engine, and
    /// `options` change nothing.
    ///
    /// # Errors
    /// [`OpenError`] says what stands at the path instead, or why it cannot be used; the file is as
    /// it was.
    pub fn open_file(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, OpenError> {
        let location = Location::resolve(path.as_ref(), options.lock_wait)?;
        let key = location.path().to_path_buf();
        let mut opened = Opened::default();
        let mut open = || {
            ENGINES.get_or_open(&key, |resident| {
                let (running, by_us) = Running::start::<D>(location.clone(), *options, resident)?;
                opened = by_us;
                Ok::<_, OpenError>(running)
            })
        };
        let mut engine = open()?;
        // Its file may have been replaced, and no command have come that would have noticed.
        if engine.location.was_moved() {
            engine.close();
            drop(engine);
            engine = open()?;
        }
        let Opened { created, migrated } = opened;
        let opening = Opening { created, migrated, ..Opening::default() };
        Ok(Self {
            engine: Arc::new(engine),
            unanswered: Arc::new(AtomicUsize::new(0)),
            opening: Arc::new(opening),
            database: PhantomData,
        })
    }

    /// The real path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.engine.path
    }

    /// What opening this handle did.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Runs a command and waits for its answer. Waits for a place where the mailbox is full.
    ///
    /// # Errors
    /// [`Error::Refused`] with the command's verdict, [`Error::Storage`] otherwise.
    pub fn call<C>(&self, command: C) -> Result<C::Output, Error<C::Rejection>>
    where
        C: Command<Database = D>,
    {
        self.send(command, None, OnFull::Wait)?.wait()
    }

    /// Runs a command and waits for its answer, for so long at most.
    ///
    /// # Errors
    /// As [`Store::call`]; [`StorageError::DeadlinePassed`] where it did not start in time and
    /// changed nothing, [`StorageError::OutcomeUnknown`] where it was still running.
    pub fn call_within<C>(
        &self,
        command: C,
        allowed: Duration,
    ) -> Result<C::Output, Error<C::Rejection>>
    where
        C: Command<Database = D>,
    {
        let started = Instant::now();
        let reply = self.send(command, Some(allowed), OnFull::Wait)?;
        reply.wait_for(allowed.saturating_sub(started.elapsed()))
    }

    /// Hands a command in and gives its answer to come. Waits for a place where the mailbox is
    /// full.
    ///
    /// # Errors
    /// [`StorageError::Closed`] and its like, where the command cannot be handed in.
    pub fn submit<C>(&self, command: C) -> Result<Reply<C>, StorageError>
    where
        C: Command<Database = D>,
    {
        self.send(command, None, OnFull::Wait)
    }

    /// Hands a command in without ever blocking; this is the call for asynchronous code.
    ///
    /// # Errors
    /// [`StorageError::MailboxFull`] where there is no place, else as [`Store::submit`].
    pub fn try_submit<C>(&self, command: C) -> Result<Reply<C>, StorageError>
    where
        C: Command<Database = D>,
    {
        self.send(command, None, OnFull::Refuse)
    }

    /// Copies the log back into the file, as far as other processes allow at the moment; `None`
    /// where the file has no log.
    ///
    /// # Errors
    /// The storage's fault. Nothing is lost by it.
    pub fn checkpoint(&self) -> Result<Option<CheckpointReport>, StorageError> {
        self.maintain(|maintenance| maintenance.checkpoint())
    }

    /// Copies a consistent snapshot into a new file, beside running writers, and checks the copy.
    /// The engine serves nothing else meanwhile; other processes do.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] where the copy is not sound, [`StorageError::DiskFull`] and its
    /// like otherwise. An existing file is refused; a failed copy is left for inspection.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupReport, StorageError> {
        let to = to.as_ref().to_path_buf();
        if to.symlink_metadata().is_ok() {
            let detail = "the file exists already".to_owned();
            return Err(StorageError::ReadOnly { path: to.as_path().into(), detail });
        }
        self.maintain(move |maintenance| maintenance.backup(&to))
    }

    /// Has SQLite check the whole file; takes time in proportion to its size.
    ///
    /// # Errors
    /// The storage's fault, where not even the check can run.
    pub fn diagnose(&self) -> Result<Diagnosis, StorageError> {
        self.maintain(|maintenance| maintenance.diagnose())
    }

    /// Ends the engine for all handles: what was accepted is carried out, the log is copied back,
    /// the file is closed. Later calls say [`StorageError::Closed`]. Repeating it gives the same
    /// report.
    pub fn close(&self) -> CloseReport {
        self.engine.close();
        self.engine.report()
    }

    fn send<C>(
        &self,
        command: C,
        allowed: Option<Duration>,
        on_full: OnFull,
    ) -> Result<Reply<C>, StorageError>
    where
        C: Command<Database = D>,
    {
        // ORDERING: see `Unanswered`.
        let behind_own_write = self.unanswered.load(Ordering::SeqCst) > 0;
        let writes = C::Access::WRITES;
        let lane = if writes || behind_own_write { Lane::Write } else { Lane::Read };
        let unanswered = writes.then(|| Unanswered::new(&self.unanswered));
        let (job, reply) = request(command, self.engine.wait(allowed), unanswered);
        self.engine.post(lane, job, allowed, on_full)?;
        Ok(reply)
    }

    fn maintain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Maintenance<'_>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (asker, answerer) = slot();
        let wait = self.engine.wait(None);
        let call = MaintenanceCall { work: Some(work), wait, result: None, answerer };
        self.engine.post(Lane::Write, Box::new(call), None, OnFull::Wait)?;
        lost(asker.wait(), &self.engine.shared_path, None, true)?
    }
}

/// Ends the engine of a file, if this process has one, once what it accepted has been carried out.
/// Its handles say [`StorageError::Closed`] from then on. For whoever is about to move or delete the
/// file.
///
/// # Errors
/// Where the path does not resolve.
pub fn dispose(path: impl AsRef<Path>) -> Result<Option<CloseReport>, OpenError> {
    let location = Location::resolve(path.as_ref(), Duration::ZERO)?;
    let running = ENGINES.dispose(&location.path().to_path_buf());
    Ok(running.map(|running| running.report()))
}

/// What to do where the mailbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFull {
    Wait,
    Refuse,
}

/// An engine at work: the way to its thread, and the thread.
struct Running {
    path: PathBuf,
    shared_path: Arc<Path>,
    /// As the engine has identified it.
    location: Location,
    opened_by: u32,
    lock_wait: Duration,
    /// Taken by whoever closes the engine; the thread ends when the last copy is gone.
    sender: Mutex<Option<Sender<Mail>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_id: ThreadId,
    state: Arc<State>,
}

/// What an engine's thread tells about itself.
#[derive(Debug, Default)]
struct State {
    poisoned: AtomicUsize,
    report: Mutex<Option<CloseReport>>,
}

impl Running {
    fn start<D: Database>(
        location: Location,
        options: OpenOptions,
        resident: Resident<PathBuf, Running>,
    ) -> Result<(Self, Opened), OpenError> {
        let shared_path = Arc::clone(location.path());
        let path = location.path().to_path_buf();
        let (sender, receiver) = mailbox::<Mail>(MAILBOX_CAPACITY);
        let (asker, answerer) = slot();
        let state = Arc::new(State::default());
        let reported = Arc::clone(&state);
        let thread = spawn("autoforge-store", move || {
            // Dropped last, so that the cache's slot is free only when the file is closed.
            let _resident = resident;
            let engine = match Engine::open(location, D::SCHEMA, &options, sleep) {
                Ok((engine, opened)) => {
                    answerer.answer(Ok((opened, engine.location().clone())));
                    engine
                }
                Err(error) => return answerer.answer(Err(error)),
            };
            let mut served = Served { engine, state: &reported };
            actor::serve(&receiver, &mut served);
            // Whoever still sends is told at once, not after the last checkpoint.
            drop(receiver);
            let report = served.engine.close();
            *reported.report.lock() = Some(report);
        });
        let thread =
            thread.map_err(|error| OpenError::system("starting a thread for", &path, &error))?;
        let thread_id = thread.thread().id();
        let (opened, location) = match asker.wait() {
            Outcome::Answer(result) => result?,
            _ => {
                let cause = "its thread ended while opening".to_owned();
                return Err(StorageError::Poisoned { path: shared_path, cause }.into());
            }
        };
        let running = Self {
            path,
            shared_path,
            location,
            opened_by: std::process::id(),
            lock_wait: options.lock_wait,
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            thread_id,
            state,
        };
        Ok((running, opened))
    }

    fn wait(&self, allowed: Option<Duration>) -> Wait {
        Wait {
            path: Arc::clone(&self.shared_path),
            submitted: Instant::now(),
            lock_wait: self.lock_wait,
            allowed,
        }
    }

    fn post(
        &self,
        lane: Lane,
        job: Mail,
        allowed: Option<Duration>,
        on_full: OnFull,
    ) -> Result<(), StorageError> {
        let path = || Arc::clone(&self.shared_path);
        if std::process::id() != self.opened_by {
            return Err(StorageError::Forked { path: path(), opened_by: self.opened_by });
        }
        // A copy, so that the lock is not held while the mailbox is full.
        let Some(sender) = self.sender.lock().clone() else {
            return Err(StorageError::Closed { path: path() });
        };
        let deadline = allowed.and_then(|allowed| Instant::now().checked_add(allowed));
        let sent = match (on_full, deadline) {
            (OnFull::Refuse, _) => sender.try_send(lane, job),
            (OnFull::Wait, Some(deadline)) => sender.send_until(lane, job, deadline),
            (OnFull::Wait, None) => sender.send(lane, job),
        };
        sent.map_err(|error| match (error, allowed) {
            (SendError::Full(_), Some(allowed)) => StorageError::DeadlinePassed { allowed },
            (SendError::Full(_), None) => StorageError::MailboxFull { capacity: MAILBOX_CAPACITY },
            (SendError::Disconnected(_), _) => StorageError::Closed { path: path() },
        })
    }

    fn report(&self) -> CloseReport {
        let report = self.state.report.lock().clone();
        report.unwrap_or_else(|| CloseReport {
            checkpoint: None,
            fault: Some(StorageError::Poisoned {
                path: Arc::clone(&self.shared_path),
                cause: "its thread ended early".to_owned(),
            }),
        })
    }
}

impl Resource for Running {
    fn is_usable(&self) -> bool {
        // ORDERING: a hint; an engine that fails a moment later says so itself.
        self.sender.lock().is_some() && self.state.poisoned.load(Ordering::SeqCst) == 0
    }

    fn close(&self) {
        drop(self.sender.lock().take());
        // A waker may drop the last handle on the engine's own thread, which cannot wait for
        // itself; and a forked child has no such thread.
        if current_thread() == self.thread_id || std::process::id() != self.opened_by {
            return;
        }
        // A second closer waits here until the first has seen the thread end.
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!(path = %self.path.display(), "an engine's thread panicked");
        }
    }
}

/// The engine as the actor sees it.
struct Served<'s> {
    engine: Engine,
    state: &'s State,
}

impl Served<'_> {
    fn progress(&self, attempt: Attempt) -> Progress {
        if self.engine.is_poisoned() {
            // ORDERING: see `is_usable`.
            self.state.poisoned.store(1, Ordering::SeqCst);
        }
        match attempt {
            Attempt::Done => Progress::Done,
            Attempt::Busy => Progress::Blocked,
        }
    }
}

impl Storage<Mail> for Served<'_> {
    fn read(&mut self, queue: &mut VecDeque<Mail>, max: usize) -> Progress {
        let attempt = self.engine.read(queue, max);
        self.progress(attempt)
    }

    fn write(&mut self, queue: &mut VecDeque<Mail>, max: usize) -> Progress {
        let attempt = self.engine.write(queue, max);
        self.progress(attempt)
    }

    fn expire(&mut self, queue: &mut VecDeque<Mail>) {
        self.engine.expire(queue);
    }

    fn idle(&mut self) {
        self.engine.idle();
    }
}
