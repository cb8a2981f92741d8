//! A commit's lock is let go before its sync. Whatever other programs do in between, and wherever the
//! power goes then, nothing that was answered may rest on something that is lost.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autoforge_store::Store;
use autoforge_store::testing::Op;
use faulty_vfs::{Call, Disk, Fault, Image, Log, Plan, Replay, Step};
use rusqlite::{Connection, Row, ffi};

use crate::features::{OnFeatures, create};
use crate::is_thorough;
use crate::power::{is_sync_of_a_commit, losses};
use crate::session::{Answer, Script, folder, open, together};

/// Marks of the other program begin here; those of the store below.
const THEIRS: u64 = 1 << 32;
const COMMITS: u64 = 48;

/// What another program does between a commit of ours and its sync.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Nothing,
    /// It commits behind ours, and syncs both.
    Commit,
    /// It copies the log back, ours with it.
    CopyBack,
    /// It copies the log back and commits, which writes over ours in the log.
    BeginAnew,
}

const DEEDS: [Deed; 7] = [
    Deed::Nothing,
    Deed::Commit,
    Deed::CopyBack,
    Deed::Commit,
    Deed::BeginAnew,
    Deed::BeginAnew,
    Deed::CopyBack,
];

/// How many rows there are: ours, and the other program's.
type Count = (u64, u64);

struct Recorded {
    log: Log,
    /// What there was after each commit, in their order.
    history: Vec<Count>,
}

/// The other program.
struct Neighbour {
    file: Connection,
    disk: Arc<Disk>,
    history: Arc<Mutex<Vec<Count>>>,
    deeds: usize,
}

impl Neighbour {
    fn commit(&self) {
        let (ours, theirs) = counted(&self.file).unwrap();
        self.file.execute("INSERT INTO theirs VALUES (?1)", [theirs.cast_signed() + 1]).unwrap();
        self.disk.mark(THEIRS + theirs + 1);
        self.history.lock().unwrap().push((ours, theirs + 1));
    }

    fn copy_back(&self) {
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        let report: (i64, i64, i64) = self
            .file
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        assert!(report.0 == 0 && report.1 == report.2, "somebody was in the way: {report:?}");
    }

    /// Whether the store is between a commit and its sync. It also syncs the log's beginning inside of a
    /// commit, and all of it in a checkpoint; there a lock keeps others out.
    fn is_let_in(&self) -> bool {
        let let_in = self.file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        let_in && self.file.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(0)) == Ok(0)
    }

    fn act(&mut self) {
        if !self.is_let_in() {
            return;
        }
        let count = counted(&self.file).unwrap();
        self.history.lock().unwrap().push(count);
        let deed = DEEDS[self.deeds % DEEDS.len()];
        self.deeds += 1;
        match deed {
            Deed::Nothing => {}
            Deed::Commit => self.commit(),
            Deed::CopyBack => self.copy_back(),
            Deed::BeginAnew => {
                self.copy_back();
                self.commit();
            }
        }
    }
}

fn counted(file: &Connection) -> rusqlite::Result<Count> {
    let sql = "SELECT (SELECT count(*) FROM features), (SELECT count(*) FROM theirs)";
    let count = |row: &Row<'_>, column| row.get(column).map(i64::unsigned_abs);
    file.query_row(sql, [], |row| Ok((count(row, 0)?, count(row, 1)?)))
}

fn record() -> Recorded {
    let folder = folder();
    let disk = Arc::new(Disk::below(folder.path()).unwrap());
    let store = open::<OnFeatures>(folder.path()).unwrap();
    let file = Connection::open(folder.path().join(OnFeatures::FILE)).unwrap();
    file.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE theirs (n)",
    )
    .unwrap();
    file.busy_timeout(Duration::ZERO).unwrap();
    // From here on both tables are there, whatever is lost.
    disk.mark(0);
    let history = Arc::new(Mutex::new(vec![(0, 0)]));
    let mut neighbour =
        Neighbour { file, disk: Arc::clone(&disk), history: Arc::clone(&history), deeds: 0 };
    disk.before_syncs_of("-wal", move || neighbour.act());
    write(&disk, &store);
    disk.leave_syncs_alone();
    let commits = history.lock().unwrap().len();
    assert!(commits as u64 > COMMITS, "the other program was hardly ever let in: {commits}");
    let theirs = history.lock().unwrap().last().map_or(0, |(_, theirs)| *theirs);
    history.lock().unwrap().push((COMMITS, theirs));
    let log = disk.log();
    assert!(store.close().fault.is_none());
    let history = history.lock().unwrap().clone();
    Recorded { log, history }
}

fn write(disk: &Arc<Disk>, store: &Store) {
    for at in 1..=COMMITS {
        let step: Op = create(&format!("feature {at}"), 700);
        assert_eq!(
            together::<OnFeatures>(disk, store, &[step], usize::try_from(at).unwrap()),
            [Answer::Done]
        );
    }
}

/// What a power cut has left, as another program finds it.
fn found(scratch: &Path, image: &Image) -> Result<Count, String> {
    for entry in scratch.read_dir().unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    image.write_to(scratch).unwrap();
    let fault = |fault: rusqlite::Error| fault.to_string();
    let file = Connection::open(scratch.join(OnFeatures::FILE)).map_err(fault)?;
    let check = file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match check.map_err(fault)?.as_str() {
        "ok" => counted(&file).map_err(fault),
        finding => Err(finding.to_owned()),
    }
}

/// Cuts the power after each answer and other steps, and gives how often there were states to look at, and what was wrong.
fn cut_everywhere(recorded: &Recorded, log: &Log) -> (usize, Vec<String>) {
    let scratch = folder();
    let mut replay = Replay::new(log);
    let mut acknowledged: Option<Count> = None;
    let (mut examined, mut wrong, mut place) = (0, Vec::new(), 0);
    while let Some(step) = replay.advance() {
        place += 1;
        if let Step::Mark(mark) = step {
            let (ours, theirs) = acknowledged.get_or_insert_default();
            match mark.checked_sub(THEIRS) {
                Some(mark) => *theirs = mark,
                None => *ours = *mark,
            }
        }
        let Some(acknowledged) = acknowledged else { continue };
        if !matches!(step, Step::Mark(_)) && !is_thorough() && place % 3 != 0 {
            continue;
        }
        for (at, loss) in losses(replay.is_pending()).into_iter().enumerate() {
            examined += 1;
            let image = replay.after(loss, (place * 64 + at) as u64);
            let complaint = match found(scratch.path(), &image) {
                Err(fault) => fault,
                Ok(count) if !recorded.history.contains(&count) => format!("{count:?} never was"),
                Ok(count) if count.0 < acknowledged.0 || count.1 < acknowledged.1 => {
                    format!("{count:?}, though {acknowledged:?} were acknowledged")
                }
                Ok(_) => continue,
            };
            wrong.push(format!("{complaint}; {loss:?} at {place}"));
        }
    }
    (examined, wrong)
}

#[test]
fn what_others_do_between_a_commit_and_its_sync_costs_nothing_that_was_answered() {
    let recorded = record();
    let (examined, wrong) = cut_everywhere(&recorded, &recorded.log);
    println!("others between commit and sync: {examined} states, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{:?}", wrong.first());
    assert!(examined > 1_000, "{examined}");
}

#[test]
fn a_sync_that_does_not_happen_then_is_found_out() {
    let recorded = record();
    let (examined, wrong) = cut_everywhere(&recorded, &recorded.log.with_lies(is_sync_of_a_commit));
    println!("the same without the syncs: {examined} states, {} wrong", wrong.len());
    let lost = wrong.iter().filter(|complaint| complaint.contains("acknowledged")).count();
    assert!(lost > 100, "{lost}, {:?}", wrong.first());
}

#[test]
fn where_the_sync_of_a_commit_fails_its_caller_is_told_that_nobody_knows_and_no_other_goes_on() {
    let folder = folder();
    let disk = Arc::new(Disk::below(folder.path()).unwrap());
    let store = open::<OnFeatures>(folder.path()).unwrap();
    let commit = |mark| together::<OnFeatures>(&disk, &store, &[create("x", 10)], mark).remove(0);
    assert_eq!(commit(0), Answer::Done);
    disk.plan(Plan::once(Call::Sync, 0, Fault::refused(ffi::SQLITE_IOERR_FSYNC)));
    assert!(commit(1).is_unknown());
    assert!(disk.has_fired());
    // What is not on disk would be said to be by the next sync.
    assert_eq!(commit(2).code(), "poisoned");
}
