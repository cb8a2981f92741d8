//! The power goes at every moment of a session. Whatever the disk then holds, the file must be sound, all
//! that was answered must be in it, and no command by half. Disks that lie show that this would be noticed.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use faulty_vfs::{Disk, Image, Log, Loss, Replay, Step};
use rusqlite::types::ValueRef;
use tempfile::TempDir;

use crate::conversations::{self, OnConversations};
use crate::features::{self, OnFeatures};
use crate::is_thorough;
use crate::session::{Answer, Script, folder, open, together};

/// The mark for: the file is open. Those of commands follow.
const OPENED: u64 = 0;

/// A session as the disk saw it.
struct Recorded<S: Script> {
    log: Log,
    /// What the file holds at first, and after each group.
    moments: Vec<Moment<S>>,
}

struct Moment<S: Script> {
    /// How many marks there are by then.
    marks: usize,
    view: S::View,
    /// Of all that is in the tables, as any program reads it.
    content: u64,
}

/// Runs a session in which nothing fails; the log is copied back in the middle, where there is one.
fn record<S: Script>(rounds: &[Vec<S::Step>]) -> Recorded<S> {
    let folder = folder();
    let disk = Arc::new(Disk::below(folder.path()).unwrap());
    let store = open::<S>(folder.path()).unwrap();
    disk.mark(OPENED);
    let mut model = S::Model::default();
    let mut moments = vec![(1, S::view_of(&model))];
    for (at, round) in rounds.iter().enumerate() {
        let marks = moments.last().map_or(0, |(marks, _)| *marks);
        let answers = together::<S>(&disk, &store, round, marks);
        for (step, answer) in round.iter().zip(answers) {
            assert_eq!(answer, Answer::Done, "{step:?}");
            S::apply(step, &mut model).unwrap();
        }
        moments.push((marks + round.len(), S::view_of(&model)));
        if at % 7 == 6 {
            store.checkpoint().unwrap();
        }
    }
    assert!(store.close().fault.is_none());
    let log = disk.log();
    let moments = with_contents(&log, moments);
    Recorded { log, moments }
}

/// Looks what each moment left in the file, and that the model says the same.
fn with_contents<S: Script>(log: &Log, views: Vec<(usize, S::View)>) -> Vec<Moment<S>> {
    let scratch = Scratch::new();
    let mut replay = Replay::new(log);
    let mut moments = Vec::new();
    for (marks, view) in views {
        let last = Step::Mark(u64::try_from(marks).unwrap() - 1);
        while replay.advance().expect("each command is marked") != &last {}
        scratch.put(&replay.after(Loss::Nothing, 0));
        let content = content(&scratch.file::<S>()).unwrap();
        let store = open::<S>(scratch.path()).unwrap();
        assert_eq!(S::view(&store).unwrap(), view, "the model says otherwise");
        assert!(store.close().fault.is_none());
        moments.push(Moment { marks, view, content });
    }
    moments
}

/// A folder that is used again and again.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(folder())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file<S: Script>(&self) -> PathBuf {
        self.path().join(S::FILE)
    }

    /// Makes these files in it, and no others.
    fn put(&self, image: &Image) {
        for entry in self.path().read_dir().unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        image.write_to(self.path()).unwrap();
    }
}

/// The digest of all rows of all tables, where the file is sound.
fn content(file: &Path) -> Result<u64, String> {
    let fault = |fault: rusqlite::Error| fault.to_string();
    let db = rusqlite::Connection::open(file).map_err(fault)?;
    let check = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match check.map_err(fault)?.as_str() {
        "ok" => {}
        finding => return Err(finding.to_owned()),
    }
    digest(&db).map_err(fault)
}

fn digest(db: &rusqlite::Connection) -> rusqlite::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut tables =
        db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in tables {
        table.hash(&mut hasher);
        let mut rows = db.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => 0_u8.hash(&mut hasher),
                    ValueRef::Integer(number) => number.hash(&mut hasher),
                    ValueRef::Real(number) => number.to_bits().hash(&mut hasher),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.hash(&mut hasher),
                }
            }
        }
    }
    Ok(hasher.finish())
}

/// What a file after a power cut is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// What it was at one of the moments, by when so many marks had been made.
    After(usize),
    /// What it was at no time.
    Half,
    /// Damaged, or of no use to the store.
    Corrupt,
}

#[derive(Default)]
struct Findings {
    examined: usize,
    distinct: usize,
    corrupt: usize,
    half: usize,
    /// Acknowledged commands that are not there.
    lost: usize,
    worst: usize,
    milliseconds: u128,
    first: Option<String>,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { examined, distinct, corrupt, half, lost, worst, milliseconds, .. } = self;
        write!(
            f,
            "{examined} states, {distinct} distinct: {corrupt} corrupt, {half} half done, {lost} without \
             what was acknowledged (up to {worst} commands); {milliseconds} ms"
        )
    }
}

impl Findings {
    fn is_clean(&self) -> bool {
        (self.corrupt, self.half, self.lost) == (0, 0, 0)
    }
}

/// Cuts the power at every place of a record, `stride` apart, and right after each answer.
fn cut_everywhere<S: Script>(recorded: &Recorded<S>, log: &Log, stride: usize) -> Findings {
    let stride = if is_thorough() { 1 } else { stride };
    let began = Instant::now();
    let scratch = Scratch::new();
    let mut known: HashMap<u64, State> = HashMap::new();
    let mut findings = Findings::default();
    let mut replay = Replay::new(log);
    let mut acknowledged = 0;
    let mut place = 0_usize;
    while let Some(step) = replay.advance() {
        place += 1;
        let is_mark = matches!(step, Step::Mark(_));
        acknowledged += usize::from(is_mark);
        if !is_mark && !place.is_multiple_of(stride) {
            continue;
        }
        for (at, loss) in losses(replay.is_pending()).into_iter().enumerate() {
            let seed = (place * 64 + at) as u64;
            let image = replay.after(loss, seed);
            let state = *known.entry(image.digest()).or_insert_with(|| {
                findings.distinct += 1;
                examine(&scratch, &image, recorded, seed)
            });
            findings.note(state, acknowledged, || format!("{loss:?} at {place}, seed {seed}"));
        }
    }
    findings.milliseconds = began.elapsed().as_millis();
    findings
}

pub(crate) fn losses(pending: bool) -> Vec<Loss> {
    if !pending {
        return vec![Loss::Everything];
    }
    let random = [Loss::Later, Loss::Some, Loss::Torn, Loss::Torn];
    let times = if is_thorough() { 8 } else { 1 };
    let fixed = [Loss::Everything, Loss::Nothing];
    fixed.into_iter().chain(random.into_iter().cycle().take(random.len() * times)).collect()
}

impl Findings {
    fn note(&mut self, state: State, acknowledged: usize, place: impl Fn() -> String) {
        self.examined += 1;
        match state {
            State::After(commands) if commands >= acknowledged => return,
            State::After(commands) => {
                self.lost += 1;
                self.worst = self.worst.max(acknowledged - commands);
            }
            State::Half => self.half += 1,
            State::Corrupt => self.corrupt += 1,
        }
        self.first.get_or_insert_with(|| {
            format!("{state:?} with {acknowledged} acknowledged, {}", place())
        });
    }
}

/// Opens what a power cut has left. Any program that uses SQLite may come first, and brings the file in
/// order; now and then it is the store.
fn examine<S: Script>(
    scratch: &Scratch,
    image: &Image,
    recorded: &Recorded<S>,
    seed: u64,
) -> State {
    scratch.put(image);
    // The shared memory of the log is a file as well, and may be anything.
    if seed.is_multiple_of(3) && image.names().any(is_log) {
        write_garbage(&scratch.path().join(format!("{}-shm", S::FILE)));
    }
    if !scratch.file::<S>().exists() {
        return State::After(0);
    }
    let by_store = (seed % 8 < 2).then(|| seen_by_store(scratch, recorded));
    let Ok(content) = content(&scratch.file::<S>()) else { return State::Corrupt };
    let moment = recorded.moments.iter().find(|moment| moment.content == content);
    let found = match moment {
        Some(moment) => State::After(moment.marks),
        // Nothing was made in it yet.
        None if content == DefaultHasher::new().finish() => State::After(0),
        None => State::Half,
    };
    match by_store {
        // By now the store has made in it what it makes at first.
        Some(State::After(0)) if found == State::After(1) => State::After(0),
        Some(other) if other != found => State::Half,
        _ => found,
    }
}

/// What the store makes of the file, by all that can be read of it.
fn seen_by_store<S: Script>(scratch: &Scratch, recorded: &Recorded<S>) -> State {
    let Ok(store) = open::<S>(scratch.path()) else { return State::Corrupt };
    let is_new = store.opening().migrated || store.opening().created;
    let view = S::view(&store);
    let closed = store.close().fault.is_none();
    let (Ok(view), true) = (view, closed) else { return State::Corrupt };
    match recorded.moments.iter().find(|moment| moment.view == view) {
        Some(_) if is_new => State::After(0),
        Some(moment) => State::After(moment.marks),
        None => State::Half,
    }
}

#[expect(clippy::disallowed_methods, reason = "a new file, which nobody has open")]
fn write_garbage(path: &Path) {
    std::fs::write(path, vec![0xa5; 32_768]).unwrap();
}

fn is_log(name: &str) -> bool {
    name.ends_with("-wal")
}

/// As `synchronous=NORMAL`: what is synced of the log is its header, and all before it is copied back.
pub(crate) fn is_sync_of_a_commit(steps: &[Step], at: usize) -> bool {
    let Step::Sync { name, .. } = &steps[at] else { return false };
    if !is_log(name) {
        return false;
    }
    let of_header = steps[..at].iter().rev().find_map(|step| match step {
        Step::Write { name, offset, .. } if is_log(name) => Some(*offset == 0),
        _ => None,
    });
    let copies_back = steps[at + 1..].iter().find_map(|step| match step {
        Step::Write { name, .. } | Step::Sync { name, .. } => Some(!is_log(name)),
        _ => None,
    });
    of_header != Some(true) && copies_back != Some(true)
}

/// As `synchronous=FULL` without a log: the folder is not synced when the journal is gone.
fn is_sync_of_a_removal(steps: &[Step], at: usize) -> bool {
    let after_removal = at > 0 && matches!(steps[at - 1], Step::Unlink { .. });
    matches!(steps[at], Step::SyncFolder) && after_removal
}

#[test]
fn whatever_was_answered_survives_a_power_cut_at_any_moment() {
    let recorded = record::<OnFeatures>(&features::long());
    let findings = cut_everywhere(&recorded, &recorded.log, 2);
    println!("with a log: {findings}");
    assert!(findings.is_clean(), "{findings}\n{:?}", findings.first);
    assert!(findings.examined > 3_000, "{findings}");
}

#[test]
fn without_a_log_whatever_was_answered_survives_a_power_cut_at_any_moment() {
    let recorded = record::<OnConversations>(&conversations::long());
    let findings = cut_everywhere(&recorded, &recorded.log, 1);
    println!("without a log: {findings}");
    assert!(findings.is_clean(), "{findings}\n{:?}", findings.first);
    assert!(findings.examined > 3_000, "{findings}");
}

#[test]
fn a_disk_that_syncs_nothing_is_found_out() {
    let recorded = record::<OnFeatures>(&features::long());
    let findings = cut_everywhere(&recorded, &recorded.log.with_lies(|_, _| true), 9);
    println!("with a log, nothing synced: {findings}");
    assert!(findings.corrupt > 50, "{findings}");
    let recorded = record::<OnConversations>(&conversations::long());
    let findings = cut_everywhere(&recorded, &recorded.log.with_lies(|_, _| true), 9);
    println!("without a log, nothing synced: {findings}");
    assert!(findings.corrupt > 50, "{findings}");
}

#[test]
fn a_log_that_is_not_synced_at_commits_is_found_to_lose_them_and_nothing_else() {
    let recorded = record::<OnFeatures>(&features::long());
    let findings = cut_everywhere(&recorded, &recorded.log.with_lies(is_sync_of_a_commit), 9);
    println!("with a log, commits not synced: {findings}");
    assert_eq!((findings.corrupt, findings.half), (0, 0), "{findings}\n{:?}", findings.first);
    assert!(findings.lost > 50, "{findings}");
}

#[test]
fn a_journal_whose_removal_is_not_synced_is_found_to_take_a_commit_back() {
    let recorded = record::<OnConversations>(&conversations::long());
    let findings = cut_everywhere(&recorded, &recorded.log.with_lies(is_sync_of_a_removal), 3);
    println!("without a log, removals not synced: {findings}");
    assert_eq!((findings.corrupt, findings.half), (0, 0), "{findings}\n{:?}", findings.first);
    assert!(findings.lost > 20, "{findings}");
}
