//! The store: what callers hold. It wires the actor to the engine and keeps the one cache of
//! engines.

mod assistant;
mod commits;
mod keeper;
mod layout;
mod pending;
mod progress;
mod project;
mod registry;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actor::{
    self, Actor, Barrier, Cache, CommitSignal, Handle, OnFull, Outcome, Progress, Resident,
    Resource, Storage, Turn, slot,
};
use crate::command::Command;
use crate::database::{Database, Features};
use crate::engine::{
    Absent, Attempt, BackupReport, CheckpointReport, CloseReport, Diagnosis, Engine, Examination,
    FileIdentity, FolderLock, Job, Location, OpenOptions, Opened, Turnstile, examine, look,
};
use crate::error::{Error, OpenError, StorageError};
use crate::sync::{AtomicUsize, Lane, Lazy, Ordering, SendError, sleep};
use crate::tx::{Access, Read};
pub use commits::Commits;
use commits::{EndOfCommits, Told};
pub use keeper::LeaseKeeper;
pub use layout::{
    KeptCopy, LayoutOptions, Migration, Reset, ResetPlan, ResetScope, Restoration, migrate_layout,
    open_elsewhere, reset_project, restore_features,
};
pub use pending::Reply;
use pending::{MaintenanceCall, Unanswered, Wait, lost, request};
pub use progress::{ClaimedProgress, ProjectProgress};
pub use project::{ImportedBacklog, Opening};
pub use registry::SeenProject;

/// Commands that may wait in each lane of a mailbox; whoever comes then waits or is refused.
const MAILBOX_CAPACITY: usize = 1024;

type Mail = Box<dyn Job>;
type EngineHandle = Handle<PathBuf, Running>;

/// The engines of this process by the real path of their file. An engine starts with the first
/// handle to its file and ends with the last, or when it is disposed of.
#[expect(clippy::non_std_lazy_statics, reason = "the cache is once_cell's and parking_lot's")]
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
        Self::open_at(path.as_ref(), Absent::Create, options)
    }

    fn open_at(path: &Path, absent: Absent, options: &OpenOptions) -> Result<Self, OpenError> {
        let location = Location::resolve(path)?;
        let key = location.path().to_path_buf();
        let mut opening = Opening::default();
        let engine = loop {
            let location = location.clone();
            let engine = ENGINES.get_or_open(&key, |resident| {
                let (running, opened) = Running::start::<D>(location, absent, *options, resident)?;
                opening.created = opened.created;
                opening.migrated = opened.migrated;
                Ok::<_, OpenError>(running)
            })?;
            if engine.kind != D::SCHEMA.sign() {
                let found = format!("this process has it open as a file of {}", engine.kind);
                return Err(OpenError::Foreign { path: key, found });
            }
            if FileIdentity::at(&key) == Some(engine.file) {
                break engine;
            }
            // Its file was replaced, and it has not noticed yet.
            engine.close();
        };
        Ok(Self {
            engine: Arc::new(engine),
            unanswered: Arc::new(AtomicUsize::new(0)),
            opening: Arc::new(opening),
            database: PhantomData,
        })
    }

    /// Looks at a file without changing anything in it: runs a reading command beside SQLite's own
    /// checks, brings nothing up to date, and copies no log back that somebody left. For programs
    /// that say what is wrong with a file.
    ///
    /// # Errors
    /// As [`Store::open_file`]; a missing file is an [`OpenError`] too.
    pub fn examine<C>(
        path: impl AsRef<Path>,
        options: &OpenOptions,
        command: &C,
    ) -> Result<Examination<C::Output>, OpenError>
    where
        C: Command<Database = D, Access = Read, Rejection = Infallible>,
    {
        let location = Location::resolve(path.as_ref())?;
        examine(&location, options, sleep, command)
    }

    /// Runs a reading command on a file of any state without changing anything in it, as
    /// [`Store::examine`] does, and without checking the whole file. For commands that cope with what an
    /// earlier release left, such as [`GetProgress`](crate::GetProgress).
    ///
    /// # Errors
    /// As [`Store::examine`]; [`OpenError::Storage`] also where the command fails, since the file lacks
    /// what it asks for, is damaged, or stays locked.
    pub fn look<C>(
        path: impl AsRef<Path>,
        options: &OpenOptions,
        command: &C,
    ) -> Result<C::Output, OpenError>
    where
        C: Command<Database = D, Access = Read, Rejection = Infallible>,
    {
        let location = Location::resolve(path.as_ref())?;
        look(&location, options, sleep, command)
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
        let on_full = started.checked_add(allowed).map_or(OnFull::Wait, OnFull::WaitUntil);
        let reply = match self.send(command, Some(allowed), on_full) {
            Err(StorageError::MailboxFull { .. }) => {
                return Err(StorageError::DeadlinePassed { allowed }.into());
            }
            sent => sent?,
        };
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
    /// The storage's fault. Nothing is lost by it; where it was a sync that failed, later calls say
    /// [`StorageError::Poisoned`] until the store is opened anew.
    pub fn checkpoint(&self) -> Result<Option<CheckpointReport>, StorageError> {
        self.maintain(Engine::checkpoint)
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
        self.maintain(move |engine| engine.backup(&to))
    }

    /// Has SQLite check the whole file; takes time in proportion to its size.
    ///
    /// # Errors
    /// The storage's fault, where not even the check can run.
    pub fn diagnose(&self) -> Result<Diagnosis, StorageError> {
        self.maintain(Engine::diagnose)
    }

    /// Whether the store still takes commands. One that does may say otherwise at the next one.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.engine.is_usable()
    }

    /// Tells from now on when somebody has committed to the file, through whatever process.
    #[must_use]
    pub fn commits(&self) -> Commits {
        Commits::new(&self.engine)
    }

    /// Ends the engine for all handles: what was accepted is carried out, the log is copied back,
    /// the file is closed. Later calls say [`StorageError::Closed`]. Repeating it gives the same
    /// report.
    #[expect(clippy::must_use_candidate, reason = "closing is the point, the report a courtesy")]
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
        self.engine.post(lane, job, on_full)?;
        Ok(reply)
    }

    fn maintain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (asker, answerer) = slot();
        let wait = self.engine.wait(None);
        let call = MaintenanceCall { work: Some(work), wait, result: None, answerer };
        self.engine.post(Lane::Write, Box::new(call), OnFull::Wait)?;
        lost(asker.wait(), &self.engine.path, None, true)?
    }
}

/// Ends the engine of a file, if this process has one, once what it accepted has been carried out.
/// Its handles say [`StorageError::Closed`] from then on. For whoever is about to move or delete the
/// file.
///
/// # Errors
/// Where the path does not resolve.
pub fn dispose(path: impl AsRef<Path>) -> Result<Option<CloseReport>, OpenError> {
    let location = Location::resolve(path.as_ref())?;
    let running = ENGINES.dispose(&location.path().to_path_buf());
    Ok(running.map(|running| running.report()))
}

/// Whether this process has an engine for the file.
fn has_engine(path: &Path) -> bool {
    Location::resolve(path).is_ok_and(|location| ENGINES.has(&location.path().to_path_buf()))
}

/// An engine at work.
struct Running {
    path: Arc<Path>,
    /// The kind of file that it was opened as. The key of the cache is the path alone.
    kind: &'static str,
    file: FileIdentity,
    opened_by: u32,
    lock_wait: Duration,
    actor: Actor<Mail, CloseReport>,
    /// Not 0 once the engine serves nothing more; set before anybody is told so.
    poisoned: Arc<AtomicUsize>,
    commits: Arc<CommitSignal>,
}

impl Running {
    fn start<D: Database>(
        location: Location,
        absent: Absent,
        options: OpenOptions,
        resident: Resident<PathBuf, Running>,
    ) -> Result<(Self, Opened), OpenError> {
        let path = Arc::clone(location.path());
        let (asker, answerer) = slot();
        let poisoned = Arc::new(AtomicUsize::new(0));
        let commits = Arc::new(CommitSignal::new());
        let told = Told { poisoned: Arc::clone(&poisoned), commits: Arc::clone(&commits) };
        let actor = Actor::start("autoforge-store", MAILBOX_CAPACITY, move |mailbox| {
            // Dropped last, so that the cache's slot is free only when the file is closed.
            let _resident = resident;
            let _end = EndOfCommits(Arc::clone(&told.commits));
            let barrier = FolderLock::of(&location);
            let opened = Engine::open(location, absent, D::SCHEMA, &options, sleep, Box::new(told));
            let engine = match opened {
                Ok((mut engine, opened)) => {
                    if let Some(lock) = barrier {
                        let turnstile = actor::Turnstile::new(lock, mailbox.bell());
                        engine.stand_in_line(Box::new(turnstile));
                    }
                    answerer.answer(Ok(opened));
                    engine
                }
                Err(error) => {
                    answerer.answer(Err(error));
                    return CloseReport { checkpoint: None, fault: None };
                }
            };
            let mut served = Served(engine);
            actor::serve(&mailbox, &mut served);
            drop(mailbox);
            served.0.close()
        });
        let actor =
            actor.map_err(|error| OpenError::system("starting a thread for", &path, &error))?;
        let Outcome::Answer(opened) = asker.wait() else {
            let cause = "its thread ended while opening".to_owned();
            return Err(StorageError::Poisoned { path, cause }.into());
        };
        let opened = opened?;
        let running = Self {
            path,
            kind: D::SCHEMA.sign(),
            file: opened.identity,
            opened_by: std::process::id(),
            lock_wait: options.lock_wait,
            actor,
            poisoned,
            commits,
        };
        Ok((running, opened))
    }

    fn wait(&self, allowed: Option<Duration>) -> Wait {
        Wait {
            path: Arc::clone(&self.path),
            submitted: Instant::now(),
            for_lock: self.lock_wait,
            allowed,
        }
    }

    fn post(&self, lane: Lane, job: Mail, on_full: OnFull) -> Result<(), StorageError> {
        let path = Arc::clone(&self.path);
        if std::process::id() != self.opened_by {
            return Err(StorageError::Forked { path, opened_by: self.opened_by });
        }
        self.actor.post(lane, job, on_full).map_err(|error| match error {
            SendError::Full(_) => StorageError::MailboxFull { capacity: MAILBOX_CAPACITY },
            SendError::Disconnected(_) => StorageError::Closed { path },
        })
    }

    fn report(&self) -> CloseReport {
        self.actor.report().unwrap_or_else(|| {
            let (path, cause) = (Arc::clone(&self.path), "its thread ended early".to_owned());
            let fault = Some(StorageError::Poisoned { path, cause });
            CloseReport { checkpoint: None, fault }
        })
    }
}

impl Resource for Running {
    fn is_usable(&self) -> bool {
        // ORDERING: SeqCst, so that whoever has seen an answer of a failed engine sees this too.
        self.actor.is_open() && self.poisoned.load(Ordering::SeqCst) == 0
    }

    fn close(&self) {
        // A forked child has no such thread.
        if std::process::id() != self.opened_by {
            self.actor.close_mailbox();
        } else if !self.actor.close() {
            tracing::error!(path = %self.path.display(), "an engine's thread panicked");
        }
    }
}

/// The engine as the actor sees it.
struct Served(Engine);

fn progress(attempt: Attempt) -> Progress {
    match attempt {
        Attempt::Done => Progress::Done,
        Attempt::Busy => Progress::Blocked(Turn::Unknown),
        Attempt::Next => Progress::Blocked(Turn::Next),
        Attempt::Behind => Progress::Blocked(Turn::Behind),
    }
}

impl Barrier for FolderLock {
    fn try_lock(&self) -> bool {
        self.try_lock()
    }

    fn lock(&self) -> bool {
        self.lock()
    }

    fn unlock(&self) {
        self.unlock();
    }
}

impl<B: Barrier> Turnstile for actor::Turnstile<B> {
    fn is_next(&mut self) -> bool {
        self.is_next()
    }

    fn pass(&mut self) {
        self.pass();
    }
}

impl Storage<Mail> for Served {
    fn read(&mut self, queue: &mut VecDeque<Mail>, max: usize) -> Progress {
        progress(self.0.read(queue, max))
    }

    fn write(&mut self, queue: &mut VecDeque<Mail>, max: usize) -> Progress {
        progress(self.0.write(queue, max))
    }

    fn expire(&mut self, queue: &mut VecDeque<Mail>) {
        self.0.expire(queue);
    }

    fn idle(&mut self) {
        self.0.idle();
    }

    fn is_watched(&self) -> bool {
        self.0.is_watched()
    }
}
