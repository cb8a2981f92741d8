//! What the tests share: projects in temporary folders, connections as another program would open
//! them, commands that stop an engine at a known point, and child processes that run a role of ours.
#![expect(clippy::disallowed_types, reason = "tests wait for each other outside the models")]

use std::fmt;
use std::io::{BufRead, BufReader, Write as _};
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use autoforge_store::{
    Access, Command, CreateFeature, CreateFeatures, Database, Failure, Feature, FeatureId,
    FeatureRefusal, Features, GetFeature, NewFeature, OpenOptions, Read, Store, Tx, Write,
};
use rusqlite::Connection;
use tempfile::TempDir;

/// Longer than any test takes: a call that is bounded by it fails instead of hanging for ever.
pub(crate) const FOREVER: Duration = Duration::from_mins(1);

/// A project in a folder of its own.
pub(crate) struct Project {
    _temporary: TempDir,
    folder: PathBuf,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self::below(tempfile::tempdir().unwrap())
    }

    /// In memory, where the system has a file system there: the end of a process loses nothing of
    /// that, and a test that kills at every step need not wait for the disk.
    pub(crate) fn in_memory() -> Self {
        let in_memory = tempfile::tempdir_in("/dev/shm");
        Self::below(in_memory.or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn below(temporary: TempDir) -> Self {
        let folder = temporary.path().canonicalize().unwrap().join("project");
        std::fs::create_dir(&folder).unwrap();
        Self { _temporary: temporary, folder }
    }

    /// A project whose database another program has made with these statements.
    pub(crate) fn with_database(sql: &str) -> Self {
        let project = Self::new();
        std::fs::create_dir(project.folder.join(".autoforge")).unwrap();
        project.foreign().execute_batch(sql).unwrap();
        project
    }

    /// A project with features 1 to `count`, and its store.
    pub(crate) fn with_features(count: usize) -> (Self, Store) {
        let project = Self::new();
        let store = project.open();
        let planned = (1..=count).map(|n| new_feature(&format!("Feature {n}")).into()).collect();
        store.call(CreateFeatures::new(planned)).unwrap();
        (project, store)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join(".autoforge/features.db")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(".autoforge/features.db-wal")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open_project(&self.folder).unwrap()
    }

    pub(crate) fn open_waiting(&self, lock_wait: Duration) -> Store {
        let options = OpenOptions { lock_wait, ..OpenOptions::default() };
        Store::open_project_with(&self.folder, &options).unwrap()
    }

    pub(crate) fn foreign(&self) -> Connection {
        foreign(&self.database())
    }
}

/// A connection as another program would open it, except that it never waits for a lock.
pub(crate) fn foreign(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection
}

pub(crate) fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

pub(crate) fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The first column of all rows.
pub(crate) fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The statements of the schema, as the file holds them.
pub(crate) fn schema(connection: &Connection) -> Vec<String> {
    texts(connection, "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema")
}

pub(crate) fn new_feature(name: &str) -> NewFeature {
    NewFeature::new("Category", name, "What it does.", ["Build it", "Try it"]).unwrap()
}

pub(crate) fn create(name: &str) -> CreateFeature {
    CreateFeature::new(new_feature(name))
}

pub(crate) fn feature(store: &Store, id: i64) -> Feature {
    store.call(GetFeature { id: id.into() }).unwrap()
}

pub(crate) fn ids(numbers: &[i64]) -> Vec<FeatureId> {
    numbers.iter().copied().map(FeatureId::from).collect()
}

pub(crate) fn names(store: &Store) -> Vec<String> {
    let features = store.call(autoforge_store::ListFeatures).unwrap();
    features.into_iter().map(|feature| feature.name).collect()
}

/// A command that stops the engine while it runs, until it is released.
#[derive(Debug)]
pub(crate) struct Gate<A, D = Features> {
    entered: Sender<()>,
    release: Receiver<()>,
    access: PhantomData<(A, D)>,
}

/// The other side of a [`Gate`]; dropping it releases the engine.
pub(crate) struct Held {
    entered: Receiver<()>,
    _release: Sender<()>,
}

impl Held {
    /// Returns once the command runs.
    pub(crate) fn wait_until_entered(&self) {
        self.entered.recv().unwrap();
    }
}

pub(crate) fn gate<A>() -> (Gate<A>, Held) {
    gate_of()
}

/// A gate for an engine of any kind.
pub(crate) fn gate_of<A, D>() -> (Gate<A, D>, Held) {
    let (entered, has_entered) = channel();
    let (release, released) = channel();
    let gate = Gate { entered, release: released, access: PhantomData };
    (gate, Held { entered: has_entered, _release: release })
}

impl<A: Access + fmt::Debug, D: Database> Command for Gate<A, D> {
    const NAME: &'static str = "gate";
    type Database = D;
    type Access = A;
    type Output = ();
    type Rejection = FeatureRefusal;

    fn run(&self, _: &Tx<'_, A>) -> Result<(), Failure<FeatureRefusal>> {
        self.entered.send(()).unwrap();
        // Ends when the other side is dropped.
        let _ = self.release.recv();
        Ok(())
    }
}

/// Stops the engine of a store, so that what is submitted meanwhile has all arrived when it goes
/// on. What it takes up next is then decided.
pub(crate) fn hold<D: Database>(store: &Store<D>) -> Held {
    let (gate, held) = gate_of::<Read, D>();
    drop_later(store.clone().submit(gate).unwrap(), &held);
    held
}

fn drop_later<T>(reply: T, held: &Held) {
    held.wait_until_entered();
    // It has started, so dropping the reply withdraws nothing.
    drop(reply);
}

/// A writing command that does what a test wants, through the commands that exist.
pub(crate) struct Script<F>(pub(crate) F);

impl<F> fmt::Debug for Script<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl<F> Command for Script<F>
where
    F: Fn(&Tx<'_, Write>) -> Result<(), Failure<FeatureRefusal>> + Send + 'static,
{
    const NAME: &'static str = "script";
    type Database = Features;
    type Access = Write;
    type Output = ();
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<(), Failure<FeatureRefusal>> {
        self.0(tx)
    }
}

/// How many transactions the log holds that were committed.
pub(crate) fn commits_in_log(log: &Path) -> usize {
    log_frames(log).into_iter().filter(|commits| *commits).count()
}

/// The frames in use of a log; `true` for one that ends a transaction.
pub(crate) fn log_frames(log: &Path) -> Vec<bool> {
    #[expect(clippy::disallowed_methods, reason = "SQLite keeps no locks on the log itself")]
    let bytes = std::fs::read(log).unwrap();
    if bytes.is_empty() {
        return Vec::new();
    }
    let number = |at: usize| {
        let bytes: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
        u32::from_be_bytes(bytes)
    };
    let frame_size = 24 + number(8) as usize;
    (32..bytes.len())
        .step_by(frame_size)
        // A frame of an earlier round of the log has another salt.
        .take_while(|at| bytes[at + 8..at + 16] == bytes[16..24])
        .map(|at| number(at + 4) != 0)
        .collect()
}

/// Whether this process holds a lock of this kind (`READ`, `WRITE`) on that byte of the file. The
/// kernel's list may leave out a line while it changes, so a lock that seems to be missing is looked
/// for again; one that was lost never comes back.
pub(crate) fn holds_lock(file: &Path, kind: &str, byte: u64) -> bool {
    (0..100).any(|_| locks(file).iter().any(|lock| lock.0 == kind && lock.1.contains(&byte)))
}

/// Whether this process holds no lock of this kind on that byte, or has let go of it meanwhile.
pub(crate) fn is_free(file: &Path, kind: &str, byte: u64) -> bool {
    (0..100).any(|_| !locks(file).iter().any(|lock| lock.0 == kind && lock.1.contains(&byte)))
}

fn locks(file: &Path) -> Vec<(String, std::ops::RangeInclusive<u64>)> {
    let inode = std::fs::metadata(file).unwrap().ino().to_string();
    let own = std::process::id().to_string();
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
    let text = std::fs::read_to_string("/proc/locks").unwrap();
    let held = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, kind, pid, place, first, last] = fields.as_slice() else { return None };
        let ours = *pid == own && place.rsplit(':').next() == Some(inode.as_str());
        ours.then(|| ((*kind).to_owned(), first.parse().unwrap()..=last.parse().unwrap()))
    });
    held.collect()
}

/// Runs the body on so many threads, all of which have started before any goes on.
pub(crate) fn together<T: Send>(threads: usize, body: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|at| {
                let (body, barrier) = (&body, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    body(at)
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A waker that counts, and does something on the thread that wakes.
pub(crate) struct OnWake {
    count: AtomicUsize,
    then: Box<dyn Fn() + Send + Sync>,
}

impl OnWake {
    pub(crate) fn new(then: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), then: Box::new(then) })
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        (self.then)();
    }
}

/// The smallest executor there is.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let thread = std::thread::current();
    let waker = Waker::from(OnWake::new(move || thread.unpark()));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The variable that gives a child process its role; see `processes::child`.
pub(crate) const ROLE: &str = "AUTOFORGE_STORE_TEST_ROLE";
/// The variable with the folder it works in.
pub(crate) const FOLDER: &str = "AUTOFORGE_STORE_TEST_FOLDER";
const MARK: &str = "\u{1}";

/// Another process, which plays a role of `processes::child` and talks in lines.
pub(crate) struct Child {
    process: std::process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(role: &str, folder: &Path) -> Self {
        Self::start_by(Program::new(std::env::current_exe().unwrap()), role, folder)
    }

    /// Starts the child through a program that is followed by the child's arguments.
    pub(crate) fn start_by(mut program: Program, role: &str, folder: &Path) -> Self {
        let mut process = program
            .args(["--exact", "processes::child", "--nocapture"])
            .env(ROLE, role)
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// The next line that the child says.
    pub(crate) fn hear(&mut self) -> String {
        self.try_hear().expect("the child has ended without a word")
    }

    /// `None` where the child has ended.
    pub(crate) fn try_hear(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The harness writes lines of its own.
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.trim_end_matches('\n').to_owned());
            }
            line.clear();
        }
        None
    }

    /// Ends the child as a crash would, at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// In a child: says a line to the parent.
pub(crate) fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{MARK}{line}").unwrap();
    output.flush().unwrap();
}

/// In a child: the next line of the parent, `None` once it is gone.
pub(crate) fn listen() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap();
    (read > 0).then(|| line.trim_end_matches('\n').to_owned())
}

/// How often a bounded wait looks before it gives up: far more often than a working engine needs.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let end = std::time::Instant::now() + FOREVER;
    while std::time::Instant::now() < end {
        if holds() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Tells the user of the tests something, such as that a test had nothing to work on.
pub(crate) fn say_note(note: &str) {
    drop(writeln!(std::io::stderr(), "{note}"));
}

pub(crate) fn can_mount() -> bool {
    let probe = "mount -t tmpfs -o size=64k tmpfs /tmp";
    let status = Program::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", probe])
        .status();
    match status {
        Ok(status) => status.success(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => panic!("{error}"),
    }
}

/// The processes that have the project's folder on their command line or in their environment.
pub(crate) fn processes_of(project: &Path) -> Vec<String> {
    let name = project.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            #[expect(clippy::disallowed_methods, reason = "a file of the kernel")]
            let text = std::fs::read(entry.path().join(file)).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains(name) {
                found.push(format!("{}: {}", file, entry.path().display()));
            }
        }
    }
    found
}
