//! A scripted session: commands on a store, what was answered, and what the file must hold then.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use autoforge_store::{
    Command, Database, Error, Failure, OpenError, OpenOptions, Read, Refusal, Reply, StorageError,
    Store, Tx,
};
use faulty_vfs::Disk;
use tempfile::TempDir;

/// Longer than any command takes: whoever waits longer hangs.
const FOREVER: Duration = Duration::from_mins(1);

/// The commands of a kind of file, and a naive account of what they do.
pub(crate) trait Script: 'static {
    type Database: Database;
    /// What the file should hold.
    type Model: Clone + Default;
    /// A command that writes.
    type Step: Clone + Debug;
    /// All that can be read of a file.
    type View: PartialEq + Debug;
    /// What the file is called.
    const FILE: &'static str;

    fn submit(step: &Self::Step, store: &Store<Self::Database>) -> Answering;
    /// What the step does, or the reason why it is refused.
    fn apply(step: &Self::Step, model: &mut Self::Model) -> Result<(), &'static str>;
    fn view_of(model: &Self::Model) -> Self::View;
    fn view(store: &Store<Self::Database>) -> Result<Self::View, StorageError>;
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Refused(&'static str),
    Failed(StorageError),
}

impl Answer {
    /// Whether it says that nobody knows. All other faults say that nothing was changed.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Failed(StorageError::OutcomeUnknown { .. }))
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused(_) => "refused",
            Self::Failed(fault) => fault.code(),
        }
    }
}

/// An answer to come.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer>>>;

/// The answer to a command that was handed in.
pub(crate) fn answering<C: Command>(handed_in: Result<Reply<C>, StorageError>) -> Answering
where
    Reply<C>: Future<Output = Result<C::Output, Error<C::Rejection>>>,
{
    Box::pin(async move {
        match handed_in {
            Err(fault) => Answer::Failed(fault),
            Ok(reply) => match reply.await {
                Ok(_) => Answer::Done,
                Err(Error::Refused(refusal)) => Answer::Refused(refusal.code()),
                Err(Error::Storage(fault)) => Answer::Failed(fault),
            },
        }
    })
}

/// A folder for one file, in memory where the system has a file system there: what a disk would do is
/// simulated, so none need be waited for.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Opens the file of a script. What is in the way for so long is so for good.
pub(crate) fn open<S: Script>(folder: &Path) -> Result<Store<S::Database>, OpenError> {
    let options = OpenOptions { lock_wait: Duration::from_secs(20), ..OpenOptions::default() };
    Store::open_file(path::<S>(folder), &options)
}

fn path<S: Script>(folder: &Path) -> PathBuf {
    folder.join(S::FILE)
}

/// Runs the steps as callers of their own that come at one moment, so that they share a group. The
/// moment at which each is answered is marked on the disk by its number, from `first` on.
pub(crate) fn together<S: Script>(
    disk: &Arc<Disk>,
    store: &Store<S::Database>,
    steps: &[S::Step],
    first: usize,
) -> Vec<Answer> {
    let held = hold(store);
    let (sender, woken) = channel();
    let mut waiting: Vec<Waiting> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let (disk, sender) = (Arc::clone(disk), sender.clone());
        let mark = Arc::new(MarkOnWake { disk, number: (first + at) as u64, sender });
        let mut waiting_for = Waiting { answering: S::submit(step, &store.clone()), answer: None };
        waiting_for.poll(&mark);
        waiting.push(waiting_for);
    }
    drop(held);
    while waiting.iter().any(|waiting| waiting.answer.is_none()) {
        let mark: Arc<MarkOnWake> = woken.recv_timeout(FOREVER).expect("a command hangs");
        let at = usize::try_from(mark.number).unwrap() - first;
        // Already marked, by whoever has woken it.
        let unmarked = Waker::noop();
        if let Poll::Ready(answer) =
            waiting[at].answering.as_mut().poll(&mut Context::from_waker(unmarked))
        {
            waiting[at].answer = Some(answer);
        }
    }
    waiting.into_iter().filter_map(|waiting| waiting.answer).collect()
}

struct Waiting {
    answering: Answering,
    answer: Option<Answer>,
}

impl Waiting {
    fn poll(&mut self, mark: &Arc<MarkOnWake>) {
        let waker = Waker::from(Arc::clone(mark));
        if let Poll::Ready(answer) = self.answering.as_mut().poll(&mut Context::from_waker(&waker))
        {
            mark.disk.mark(mark.number);
            self.answer = Some(answer);
        }
    }
}

/// Woken by the engine's own thread, in the moment of the answer.
struct MarkOnWake {
    disk: Arc<Disk>,
    number: u64,
    sender: Sender<Arc<Self>>,
}

impl Wake for MarkOnWake {
    fn wake(self: Arc<Self>) {
        self.disk.mark(self.number);
        // Where nobody waits any more, the test has failed already.
        self.sender.send(Arc::clone(&self)).unwrap_or_default();
    }
}

/// Keeps the engine from all work until it is dropped; `None` where the engine cannot even begin.
fn hold<D: Database>(store: &Store<D>) -> Option<Sender<()>> {
    let (entered, is_held) = channel();
    let (release, released) = channel();
    let gate = Gate { entered, released, database: std::marker::PhantomData::<fn(D)> };
    let reply = store.clone().submit(gate).ok()?;
    // An engine that cannot serve it drops it.
    is_held.recv().ok()?;
    drop(reply);
    Some(release)
}

/// A read that lasts until somebody releases it.
struct Gate<D> {
    entered: Sender<()>,
    released: Receiver<()>,
    database: std::marker::PhantomData<fn(D)>,
}

impl<D> Debug for Gate<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl<D: Database> Command for Gate<D> {
    const NAME: &'static str = "gate";
    type Database = D;
    type Access = Read;
    type Output = ();
    type Rejection = std::convert::Infallible;

    fn run(&self, _: &Tx<'_, Read>) -> Result<(), Failure<Self::Rejection>> {
        // Either fails only where the test has given up.
        if self.entered.send(()).is_ok() {
            self.released.recv().unwrap_or_default();
        }
        Ok(())
    }
}

/// What the file may hold after these answers, where it may have held any of `before`. A group whose
/// outcome is not known is there wholly or not at all.
pub(crate) fn after<S: Script>(
    before: &[S::Model],
    steps: &[S::Step],
    answers: &[Answer],
) -> Vec<S::Model> {
    let unknown = answers.iter().any(Answer::is_unknown);
    let mut possible = Vec::new();
    for model in before {
        for done in if unknown { &[false, true][..] } else { &[false][..] } {
            possible.extend(told::<S>(model.clone(), steps, answers, *done));
        }
    }
    possible
}

/// The model with what the answers say was done; `None` where they cannot be true of it.
fn told<S: Script>(
    mut model: S::Model,
    steps: &[S::Step],
    answers: &[Answer],
    unknown_is_done: bool,
) -> Option<S::Model> {
    for (step, answer) in steps.iter().zip(answers) {
        match answer {
            Answer::Done => S::apply(step, &mut model).ok()?,
            Answer::Refused(code) => {
                (S::apply(step, &mut model.clone()) == Err(code)).then_some(())?;
            }
            Answer::Failed(_) if answer.is_unknown() && unknown_is_done => {
                S::apply(step, &mut model).ok()?;
            }
            Answer::Failed(_) => {}
        }
    }
    Some(model)
}
