//! Every call that SQLite makes of the system fails once, each in a session of its own. Whatever is
//! answered must be true: of the file after all is opened anew, of what a killed process would have left
//! behind at that moment, and of what a power cut would have.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use autoforge_store::{OpenError, StorageError, Store};
use faulty_vfs::{Call, Disk, Fault, Image, Log, Loss, Plan, Replay};
use rusqlite::ffi;

use crate::conversations::{self, OnConversations};
use crate::features::{self, IN_THE_OLD_LOG, OnFeatures};
use crate::is_thorough;
use crate::session::{Answer, Script, after, folder, open, together};

/// How each kind of call can fail.
fn faults_of(call: Call) -> Vec<Fault> {
    match call {
        Call::Open => vec![Fault::refused(ffi::SQLITE_CANTOPEN)],
        Call::Delete => vec![
            Fault::refused(ffi::SQLITE_IOERR_DELETE),
            Fault::carried_out(ffi::SQLITE_IOERR_DIR_FSYNC),
        ],
        Call::Access => vec![Fault::refused(ffi::SQLITE_IOERR_ACCESS)],
        Call::Read => vec![Fault::refused(ffi::SQLITE_IOERR_READ)],
        Call::Write => vec![
            Fault::refused(ffi::SQLITE_IOERR_WRITE),
            Fault::half(ffi::SQLITE_IOERR_WRITE),
            Fault::carried_out(ffi::SQLITE_IOERR_WRITE),
            Fault::refused(ffi::SQLITE_FULL),
            Fault::half(ffi::SQLITE_FULL),
        ],
        Call::Truncate => vec![
            Fault::refused(ffi::SQLITE_IOERR_TRUNCATE),
            Fault::carried_out(ffi::SQLITE_IOERR_TRUNCATE),
        ],
        Call::Sync => vec![
            Fault::refused(ffi::SQLITE_IOERR_FSYNC),
            Fault::carried_out(ffi::SQLITE_IOERR_FSYNC),
        ],
        Call::FileSize => vec![Fault::refused(ffi::SQLITE_IOERR_FSTAT)],
        Call::Lock => {
            vec![Fault::refused(ffi::SQLITE_BUSY), Fault::refused(ffi::SQLITE_IOERR_LOCK)]
        }
        Call::Unlock => vec![Fault::carried_out(ffi::SQLITE_IOERR_UNLOCK)],
        Call::CheckReservedLock => vec![Fault::refused(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)],
        Call::ShmMap => vec![Fault::refused(ffi::SQLITE_IOERR_SHMMAP)],
        Call::ShmLock => {
            vec![Fault::refused(ffi::SQLITE_BUSY), Fault::refused(ffi::SQLITE_IOERR_SHMLOCK)]
        }
    }
}

/// What came of all sessions.
#[derive(Debug, Default)]
struct Figures {
    points: BTreeMap<Call, usize>,
    answers: BTreeMap<&'static str, usize>,
    /// Sessions in which no command was told of the fault, nor the opening or the end.
    unnoticed: usize,
    /// In which the fault kept the store from opening.
    at_opening: usize,
    /// In which a command was told of it.
    at_commands: usize,
    /// States of the disk after a fault that were opened.
    images: usize,
    /// Of those in which an outcome was not known: it had taken effect.
    unknown_but_done: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.points.values().sum();
        let Self { points, answers, unnoticed, at_opening, at_commands, .. } = self;
        let Self { images, unknown_but_done, .. } = self;
        write!(
            f,
            "{total} faults {points:?}: {unnoticed} without consequence, {at_opening} at opening, \
             {at_commands} told to commands; {answers:?}; {images} disks opened after an error, \
             {unknown_but_done} with an unknown outcome that had taken effect"
        )
    }
}

/// How many calls of each kind a session made.
type Calls = BTreeMap<Call, usize>;

/// A session in which something fails.
struct Session<'s, S: Script> {
    disk: Arc<Disk>,
    folder: &'s Path,
    /// What the file may hold by all that was answered.
    possible: Vec<S::Model>,
    figures: Figures,
    first: Option<Told<S>>,
}

/// The moment at which the first commands had been told of the fault.
struct Told<S: Script> {
    /// What the file may hold.
    possible: Vec<S::Model>,
    /// What it holds if all has taken effect of which that is not known.
    if_done: Vec<S::Model>,
    disk: Log,
}

impl<S: Script> Session<'_, S> {
    /// Opens the store, again where it was told of the fault; `None` where it stays so.
    fn open(&mut self) -> Option<Store<S::Database>> {
        for _ in 0..2 {
            match open::<S>(self.folder) {
                Ok(store) => return Some(store),
                Err(error) => {
                    assert!(self.disk.has_fired(), "{error}");
                    assert!(matches!(error, OpenError::Storage(_)), "{error}: {error:?}");
                    self.figures.at_opening += 1;
                }
            }
        }
        None
    }

    fn round(&mut self, store: &Store<S::Database>, steps: &[S::Step], marks: usize) {
        let answers = together::<S>(&self.disk, store, steps, marks);
        for answer in &answers {
            *self.figures.answers.entry(answer.code()).or_default() += 1;
            assert_ne!(answer.code(), "panicked");
            if let Answer::Failed(_) = answer {
                assert!(self.disk.has_fired(), "{answer:?}");
            }
        }
        let before = std::mem::take(&mut self.possible);
        self.possible = after::<S>(&before, steps, &answers);
        assert!(!self.possible.is_empty(), "{answers:?} cannot be true");
        let told = answers.iter().any(|answer| matches!(answer, Answer::Failed(_)));
        if told && self.first.is_none() {
            self.figures.at_commands += 1;
            let done: Vec<Answer> = answers.iter().map(as_if_done).collect();
            let if_done = after::<S>(&before, steps, &done);
            let (possible, disk) = (self.possible.clone(), self.disk.log());
            self.first = Some(Told { possible, if_done, disk });
        }
        // What is read is true, or not told at all.
        if let Ok(view) = S::view(store) {
            self.possible.retain(|model| S::view_of(model) == view);
            assert!(!self.possible.is_empty(), "{answers:?} are not what is read");
        }
    }
}

fn as_if_done(answer: &Answer) -> Answer {
    if answer.is_unknown() { Answer::Done } else { answer.clone() }
}

/// Runs a session with this fault, planned when so many rounds are over; `None` where it does not come to
/// it.
fn run<S: Script>(
    rounds: &[Vec<S::Step>],
    sound: usize,
    plan: Option<Plan>,
) -> Option<(Figures, Calls)> {
    let folder = folder();
    let disk = Arc::new(Disk::below(folder.path()).unwrap());
    let plan_at = |at: usize| {
        if let Some(plan) = plan.filter(|_| at == sound) {
            disk.plan(plan);
        }
    };
    plan_at(0);
    let mut before = disk.calls();
    let mut session = Session::<S> {
        disk: Arc::clone(&disk),
        folder: folder.path(),
        possible: vec![S::Model::default()],
        figures: Figures::default(),
        first: None,
    };
    let mut store = session.open();
    let mut marks = 0;
    let mut noticed_at_end = false;
    for (at, round) in rounds.iter().enumerate() {
        if at > 0 && at == sound {
            plan_at(at);
            before = disk.calls();
        }
        let usable = store.take().filter(Store::is_open);
        let Some(open) = usable.or_else(|| session.open()) else {
            continue;
        };
        session.round(&open, round, marks);
        marks += round.len();
        if at == 1 {
            noticed_at_end |= open.checkpoint().is_err();
        }
        store = Some(open);
    }
    if let Some(store) = store {
        noticed_at_end |= store.close().fault.is_some();
    }
    let (fired, mut calls) = (disk.has_fired(), disk.calls());
    for (call, count) in &mut calls {
        *count -= before.get(call).copied().unwrap_or(0);
    }
    disk.heal();
    let Session { possible, mut figures, first, .. } = session;
    check_file::<S>(folder.path(), &possible).unwrap();
    if let Some(told) = first {
        told.check(calls.values().sum(), &mut figures);
    }
    figures.unnoticed =
        usize::from(figures.at_commands + figures.at_opening == 0 && !noticed_at_end);
    (fired || plan.is_none()).then_some((figures, calls))
}

impl<S: Script> Told<S> {
    /// Opens the disk as it was, had the process been killed, and had the power gone.
    fn check(&self, seed: usize, figures: &mut Figures) {
        for image in images(&self.disk, seed) {
            let scratch = folder();
            image.write_to(scratch.path()).unwrap();
            let found = check_file::<S>(scratch.path(), &self.possible).unwrap();
            figures.images += 1;
            let unknown = self.possible.len() > 1;
            let is_done = unknown && self.if_done.iter().any(|model| S::view_of(model) == found);
            figures.unknown_but_done += usize::from(is_done);
        }
    }
}

/// What the disk holds if the process is killed, and what it may if the power goes.
fn images(log: &Log, seed: usize) -> Vec<Image> {
    let mut replay = Replay::new(log);
    while replay.advance().is_some() {}
    let cuts = [Loss::Everything, Loss::Later, Loss::Some, Loss::Torn];
    let cuts = if is_thorough() { &cuts } else { std::slice::from_ref(&cuts[seed % cuts.len()]) };
    let losses = std::iter::once(&Loss::Nothing).chain(cuts);
    losses.map(|loss| replay.after(*loss, seed as u64)).collect()
}

/// The file must be sound, and hold one of these. Gives what it holds.
pub(crate) fn check_file<S: Script>(
    folder: &Path,
    possible: &[S::Model],
) -> Result<S::View, String> {
    let store = open::<S>(folder).map_err(|error| format!("{error:?}"))?;
    let findings = store.diagnose().map_err(|fault| fault.to_string())?.integrity;
    if !findings.is_empty() {
        return Err(format!("{findings:?}"));
    }
    let view = S::view(&store).map_err(|fault: StorageError| fault.to_string())?;
    store.close();
    if possible.iter().any(|model| S::view_of(model) == view) {
        return Ok(view);
    }
    let expected: Vec<_> = possible.iter().map(S::view_of).collect();
    Err(format!("what was answered is not what is there: {view:#?}\nexpected {expected:#?}"))
}

/// The plan for a call and a fault, if there is to be one.
type Planned = fn(Call, usize, Fault) -> Option<Plan>;

/// It alone fails.
#[expect(clippy::unnecessary_wraps, reason = "as the other plans")]
fn once(call: Call, nth: usize, fault: Fault) -> Option<Plan> {
    Some(Plan::once(call, nth, fault))
}

/// It alone finds the disk full.
fn once_full(call: Call, nth: usize, fault: Fault) -> Option<Plan> {
    let full = [Fault::refused(ffi::SQLITE_FULL), Fault::half(ffi::SQLITE_FULL)];
    full.contains(&fault).then(|| Plan::once(call, nth, fault))
}

/// Half of it fits, and nothing after it.
fn full_from(call: Call, nth: usize, fault: Fault) -> Option<Plan> {
    (fault == Fault::half(ffi::SQLITE_FULL)).then(|| Plan::from(call, nth, fault))
}

/// All sessions: each call of each kind that comes after so many rounds fails in each of its ways.
fn fail_each<S: Script>(
    rounds: &[Vec<S::Step>],
    sound: usize,
    kinds: &[Call],
    planned: Planned,
) -> Figures {
    let (clean, calls) = run::<S>(rounds, sound, None).unwrap();
    assert_eq!(clean.at_commands + clean.at_opening, 0);
    let mut all = Figures::default();
    for call in kinds {
        let count = calls.get(call).copied().unwrap_or(0);
        for fault in faults_of(*call) {
            for nth in 0..count {
                let Some(plan) = planned(*call, nth, fault) else { continue };
                let shown = ShownOnPanic(plan);
                if let Some((figures, _)) = run::<S>(rounds, sound, Some(plan)) {
                    all.add(*call, figures);
                }
                drop(shown);
            }
        }
    }
    all
}

/// Says which session it was in which a test failed.
struct ShownOnPanic(Plan);

impl Drop for ShownOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in the session with {:?}", self.0);
        }
    }
}

impl Figures {
    fn add(&mut self, call: Call, other: Self) {
        *self.points.entry(call).or_default() += 1;
        for (code, count) in other.answers {
            *self.answers.entry(code).or_default() += count;
        }
        self.unnoticed += other.unnoticed;
        self.at_opening += other.at_opening.min(1);
        self.at_commands += other.at_commands;
        self.images += other.images;
        self.unknown_but_done += other.unknown_but_done;
    }
}

const WRITING: [Call; 4] = [Call::Write, Call::Truncate, Call::Sync, Call::Delete];
const OTHERS: [Call; 9] = [
    Call::Open,
    Call::Access,
    Call::Read,
    Call::FileSize,
    Call::Lock,
    Call::Unlock,
    Call::CheckReservedLock,
    Call::ShmMap,
    Call::ShmLock,
];

/// The least that must have been examined for the test to mean anything.
struct Least {
    faults: usize,
    told: usize,
}

fn report(what: &str, began: Instant, figures: &Figures, least: &Least) {
    println!("{what}: {figures}; {} ms", began.elapsed().as_millis());
    let faults: usize = figures.points.values().sum();
    assert!(faults >= least.faults && figures.at_commands >= least.told, "{figures}");
}

#[test]
fn whichever_writing_call_fails_every_answer_is_true() {
    let began = Instant::now();
    let figures = fail_each::<OnFeatures>(&features::short(), 0, &WRITING, once);
    report("with a log, writing", began, &figures, &Least { faults: 800, told: 300 });
    assert!(figures.unknown_but_done > 0, "an outcome is told as unknown for a reason: {figures}");
}

#[test]
fn whichever_other_call_fails_every_answer_is_true() {
    let began = Instant::now();
    let figures = fail_each::<OnFeatures>(&features::short(), 0, &OTHERS, once);
    report("with a log, other calls", began, &figures, &Least { faults: 150, told: 5 });
}

#[test]
fn without_a_log_whichever_writing_call_fails_every_answer_is_true() {
    let began = Instant::now();
    let figures = fail_each::<OnConversations>(&conversations::short(), 0, &WRITING, once);
    report("without a log, writing", began, &figures, &Least { faults: 700, told: 600 });
    assert!(figures.unknown_but_done > 0, "an outcome is told as unknown for a reason: {figures}");
}

#[test]
fn without_a_log_whichever_other_call_fails_every_answer_is_true() {
    let began = Instant::now();
    let figures = fail_each::<OnConversations>(&conversations::short(), 0, &OTHERS, once);
    report("without a log, other calls", began, &figures, &Least { faults: 240, told: 30 });
}

#[test]
fn whichever_write_over_an_old_log_is_the_last_that_fits_every_answer_is_true() {
    let rounds = features::over_an_old_log();
    for (what, planned) in
        [("one write", once_full as Planned), ("all writes from one on", full_from)]
    {
        let began = Instant::now();
        let figures = fail_each::<OnFeatures>(&rounds, IN_THE_OLD_LOG, &[Call::Write], planned);
        let what = format!("over an old log, full for {what}");
        report(&what, began, &figures, &Least { faults: 25, told: 20 });
        let for_good = what.ends_with("on");
        assert_eq!(figures.unknown_but_done > 0, for_good, "{what}: {figures}");
    }
}

#[test]
fn from_whichever_write_on_the_disk_is_full_every_answer_is_true() {
    let began = Instant::now();
    let figures = fail_each::<OnFeatures>(&features::short(), 0, &[Call::Write], full_from);
    report("with a log, full from a write on", began, &figures, &Least { faults: 150, told: 60 });
    let began = Instant::now();
    let rounds = conversations::short();
    let figures = fail_each::<OnConversations>(&rounds, 0, &[Call::Write], full_from);
    report(
        "without a log, full from a write on",
        began,
        &figures,
        &Least { faults: 120, told: 100 },
    );
}
