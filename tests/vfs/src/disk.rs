//! A watched folder: what is to fail, how much fits, what happened.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use crate::log::{Log, Step};
use crate::shim;

/// A kind of call that SQLite makes of a VFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the methods of a VFS and of its files")]
pub enum Call {
    Open,
    Delete,
    Access,
    Read,
    Write,
    Truncate,
    Sync,
    FileSize,
    Lock,
    Unlock,
    CheckReservedLock,
    ShmMap,
    /// Taking a lock in the shared memory; giving one back cannot fail for SQLite.
    ShmLock,
}

/// How much of a call that fails is carried out all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Nothing,
    /// Of a write the first half reaches the file; of a read the second half is zeros.
    Half,
    All,
    /// A read whose bytes are not what is in the file.
    Garbled,
}

/// What a call that is to fail does and says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub(crate) extent: Extent,
    pub(crate) code: c_int,
}

impl Fault {
    /// Nothing is done.
    #[must_use]
    pub fn refused(code: c_int) -> Self {
        Self { extent: Extent::Nothing, code }
    }

    /// Half of a write is done, or of a read.
    #[must_use]
    pub fn half(code: c_int) -> Self {
        Self { extent: Extent::Half, code }
    }

    /// All is done, and an error told.
    #[must_use]
    pub fn carried_out(code: c_int) -> Self {
        Self { extent: Extent::All, code }
    }

    /// A read gives zeros for its second half, and says nothing.
    #[must_use]
    pub fn torn() -> Self {
        Self::half(ffi::SQLITE_OK)
    }

    /// A read gives other bytes than are there, and says nothing.
    #[must_use]
    pub fn garbled() -> Self {
        Self { extent: Extent::Garbled, code: ffi::SQLITE_OK }
    }
}

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    call: Call,
    nth: usize,
    fault: Fault,
    /// How the calls after it fail, if they do.
    later: Option<Fault>,
}

impl Plan {
    /// The `nth` call of its kind from now on fails, counted from 0, and no other.
    #[must_use]
    pub fn once(call: Call, nth: usize, fault: Fault) -> Self {
        Self { call, nth, fault, later: None }
    }

    /// The `nth` call of its kind from now on fails, and all of its kind after it.
    #[must_use]
    pub fn from(call: Call, nth: usize, fault: Fault) -> Self {
        Self::once(call, nth, fault).then(fault)
    }

    /// All calls of the kind after it fail in this way.
    #[must_use]
    pub fn then(self, later: Fault) -> Self {
        Self { later: Some(later), ..self }
    }
}

/// A folder that is watched for as long as this lives.
#[derive(Debug)]
pub struct Disk(Arc<Watched>);

impl Disk {
    /// Watches the files that SQLite opens from now on in this folder, itself and not those below. It must
    /// be empty of databases: what was there before is in no record.
    ///
    /// # Errors
    /// Where the path does not resolve.
    ///
    /// # Panics
    /// Where SQLite does not take the VFS, which it does unless it has no memory.
    pub fn below(folder: &Path) -> io::Result<Self> {
        shim::install();
        let folder = folder.canonicalize()?;
        let watched = Arc::new(Watched { folder, state: Mutex::default() });
        lock(&WATCHED).push(Arc::clone(&watched));
        Ok(Self(watched))
    }

    /// From now on calls fail by this plan, and no longer by the one before.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.0.state();
        let passed = state.calls.get(&plan.call).copied().unwrap_or(0);
        state.plan = Some(Plan { nth: passed + plan.nth, ..plan });
        state.fired = false;
    }

    /// The files may grow by so many bytes in all, and what does not fit fails as on a full disk.
    pub fn limit_space(&self, bytes: u64) {
        self.0.state().room = Some(bytes);
    }

    /// From now on this happens right before each sync of the files whose names end so, on the thread that
    /// syncs, in the place of what was to happen before. Syncs that it causes itself cause nothing.
    pub fn before_syncs_of(&self, ending: &'static str, happening: impl FnMut() + Send + 'static) {
        let next = Some((ending, Interruption(Box::new(happening))));
        let before = std::mem::replace(&mut self.0.state().interruption, next);
        drop(before);
    }

    /// Nothing happens before syncs any more.
    pub fn leave_syncs_alone(&self) {
        // Whatever it has may close files on this disk, for which the lock must be free.
        let before = self.0.state().interruption.take();
        drop(before);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut state = self.0.state();
        (state.plan, state.room) = (None, None);
    }

    /// Whether anything has failed by the last plan, or for want of space.
    #[must_use]
    pub fn has_fired(&self) -> bool {
        self.0.state().fired
    }

    /// How many calls of each kind there were.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<Call, usize> {
        self.0.state().calls.clone()
    }

    /// Puts a mark of the test's own into the record.
    pub fn mark(&self, mark: u64) {
        self.0.record(Step::Mark(mark));
    }

    /// What has happened so far.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::new(self.0.state().steps.clone())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        lock(&WATCHED).retain(|watched| !Arc::ptr_eq(watched, &self.0));
    }
}

static WATCHED: Mutex<Vec<Arc<Watched>>> = Mutex::new(Vec::new());

/// A folder, as the VFS sees it.
#[derive(Debug)]
pub(crate) struct Watched {
    folder: PathBuf,
    state: Mutex<State>,
}

/// What a test does in the middle of something else.
struct Interruption(Box<dyn FnMut() + Send>);

impl fmt::Debug for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interruption")
    }
}

#[derive(Debug, Default)]
struct State {
    interruption: Option<(&'static str, Interruption)>,
    calls: BTreeMap<Call, usize>,
    plan: Option<Plan>,
    fired: bool,
    room: Option<u64>,
    steps: Vec<Step>,
    /// The file that each name leads to, by its number.
    names: BTreeMap<Arc<str>, usize>,
    sizes: Vec<u64>,
}

/// A thread that panicked while it held it has left nothing half done: no test code runs under a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    /// The watched folder that a path lies in, and the path's last name.
    pub(crate) fn of(path: &Path) -> Option<(Arc<Self>, Arc<str>)> {
        let name = path.file_name()?.to_str()?.into();
        let watched = lock(&WATCHED);
        let found = watched.iter().find(|watched| path.parent() == Some(&watched.folder))?;
        Some((Arc::clone(found), name))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts a call that is about to be made, and says how it fails, if it does.
    pub(crate) fn fault_of(&self, call: Call) -> Option<Fault> {
        let mut state = self.state();
        let count = state.calls.entry(call).or_default();
        let at = *count;
        *count += 1;
        let plan = state.plan.filter(|plan| plan.call == call)?;
        let fault = match at.cmp(&plan.nth) {
            Ordering::Less => None,
            Ordering::Equal => Some(plan.fault),
            Ordering::Greater => plan.later,
        };
        state.fired |= fault.is_some();
        fault
    }

    /// A file is about to be synced. The lock is let go meanwhile, and whoever syncs then is not
    /// interrupted.
    pub(crate) fn about_to_sync(&self, name: &str) {
        let due = self.state().interruption.take_if(|(ending, _)| name.ends_with(*ending));
        if let Some((ending, mut interruption)) = due {
            (interruption.0)();
            self.state().interruption.get_or_insert((ending, interruption));
        }
    }

    fn record(&self, step: Step) {
        self.state().steps.push(step);
    }

    /// A file was opened, and made if there was none. Gives its number.
    pub(crate) fn opened(&self, name: &Arc<str>) -> usize {
        let mut state = self.state();
        if let Some(file) = state.names.get(name) {
            return *file;
        }
        let file = state.sizes.len();
        state.sizes.push(0);
        state.names.insert(Arc::clone(name), file);
        state.steps.push(Step::Link { name: Arc::clone(name), file });
        file
    }

    /// A name was removed.
    pub(crate) fn deleted(&self, name: &Arc<str>) {
        let mut state = self.state();
        if let Some(file) = state.names.remove(name) {
            let freed = state.sizes.get_mut(file).map(std::mem::take).unwrap_or_default();
            state.room = state.room.map(|room| room.saturating_add(freed));
            state.steps.push(Step::Unlink { name: Arc::clone(name) });
        }
    }

    /// How many bytes of a write fit on the disk.
    pub(crate) fn fitting(&self, file: usize, offset: u64, length: usize) -> usize {
        let mut state = self.state();
        let Some(room) = state.room else { return length };
        let size = state.sizes.get(file).copied().unwrap_or(0);
        let longest = (size + room).saturating_sub(offset);
        let fitting = length.min(usize::try_from(longest).unwrap_or(usize::MAX));
        state.fired |= fitting < length;
        fitting
    }

    pub(crate) fn written(&self, file: usize, name: &Arc<str>, offset: u64, bytes: &[u8]) {
        let mut state = self.state();
        state.resize(file, |size| size.max(offset + bytes.len() as u64));
        let (name, bytes) = (Arc::clone(name), bytes.into());
        state.steps.push(Step::Write { file, name, offset, bytes });
    }

    pub(crate) fn truncated(&self, file: usize, name: &Arc<str>, size: u64) {
        let mut state = self.state();
        state.resize(file, |_| size);
        state.steps.push(Step::Truncate { file, name: Arc::clone(name), size });
    }

    pub(crate) fn synced(&self, file: usize, name: &Arc<str>) {
        self.record(Step::Sync { file, name: Arc::clone(name) });
    }

    pub(crate) fn synced_folder(&self) {
        self.record(Step::SyncFolder);
    }
}

impl State {
    /// A file has another size now; what it grows by is taken from the room that is left.
    fn resize(&mut self, file: usize, size: impl FnOnce(u64) -> u64) {
        let Some(known) = self.sizes.get_mut(file) else { return };
        let before = std::mem::replace(known, size(*known));
        let after = *known;
        self.room = self.room.map(|room| (room + before).saturating_sub(after));
    }
}
