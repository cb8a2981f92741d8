//! What is told of a commit for which the disk was too small, by the place in the log at which it was cut
//! short.

use std::sync::Arc;

use faulty_vfs::{Call, Disk, Fault, Loss, Plan, Replay};
use rusqlite::{Connection, ffi};

use super::{Bench, FILE};
use crate::engine::job::Verdict;
use crate::engine::maintenance::{Mode, checkpoint};

/// A row fills a page, so changes of so many of the first rows are so many frames in the log. The changed
/// value lies in the first half of its page, and the rest stays as it is.
const PAGES: &str = "CREATE TABLE pages (id INTEGER PRIMARY KEY, value TEXT, rest BLOB);
    INSERT INTO pages SELECT value, 'none', zeroblob(3000) FROM json_each('[1,2,3,4,5,6]')";

/// Writes of a frame.
const FRAME: usize = 2;

struct Bed {
    bench: Bench,
    disk: Arc<Disk>,
}

impl Bed {
    /// A log with `old` frames that were all copied back, over which `new` ones were written.
    fn new(old: u32, new: u32) -> Self {
        let (mut bench, disk) = Bench::on_disk();
        bench.change(PAGES);
        checkpoint(&bench.engine.connection, Mode::Truncate).unwrap();
        let mut bed = Self { bench, disk: Arc::new(disk) };
        for (frames, value) in [(old, "old"), (new, "new")] {
            if frames > 0 {
                bed.bench.change(&changing(1, frames, value));
                assert_eq!(bed.log().log_frames, frames);
                if value == "old" {
                    assert!(
                        checkpoint(&bed.bench.engine.connection, Mode::Passive).unwrap().complete
                    );
                }
            }
        }
        bed
    }

    fn log(&self) -> crate::engine::CheckpointReport {
        checkpoint(&self.bench.engine.connection, Mode::Noop).unwrap()
    }

    /// Changes rows while a write fails by this plan, and gives what the caller is told.
    fn cut_short(&mut self, rows: (u32, u32), plan: Plan) -> &'static str {
        self.disk.plan(plan);
        self.bench.run(&[("cut short", &changing(rows.0, rows.1, "cut short"), Verdict::Keep)]);
        assert!(self.disk.has_fired());
        self.disk.heal();
        let answers = self.bench.answers();
        let [(_, told)] = answers[..] else { panic!("{answers:?}") };
        told
    }

    /// What the rows hold after the process was killed at this moment.
    fn killed(&self) -> Vec<String> {
        let log = self.disk.log();
        let mut replay = Replay::new(&log);
        while replay.advance().is_some() {}
        let folder = tempfile::tempdir().unwrap();
        replay.after(Loss::Nothing, 0).write_to(folder.path()).unwrap();
        let file = Connection::open(folder.path().join(FILE)).unwrap();
        let mut values = file.prepare("SELECT value FROM pages ORDER BY id").unwrap();
        values.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// The engine serves on.
    fn goes_on(mut self) {
        self.bench.change(&changing(1, 6, "later"));
        assert_eq!(self.killed(), ["later"; 6]);
    }
}

fn changing(first: u32, last: u32, value: &str) -> String {
    format!("UPDATE pages SET value = '{value}' WHERE id BETWEEN {first} AND {last}")
}

/// The disk stays full.
fn full_from(write: usize) -> Plan {
    full_once(write).then(Fault::refused(ffi::SQLITE_FULL))
}

/// There is space again at once.
fn full_once(write: usize) -> Plan {
    Plan::once(Call::Write, write, Fault::half(ffi::SQLITE_FULL))
}

/// The halves of the page are those of two commits, and yet they are just what the third was to write.
#[test]
fn what_an_old_frame_completes_is_told_as_unknown_and_found_by_who_recovers_the_log() {
    let mut bed = Bed::new(5, 4);
    assert_eq!(bed.cut_short((5, 5), full_from(FRAME - 1)), "outcome_unknown");
    assert_eq!(bed.killed(), ["new", "new", "new", "new", "cut short", "none"]);
    bed.goes_on();
}

#[test]
fn where_the_log_was_begun_anew_an_old_frame_completes_as_much() {
    let mut bed = Bed::new(5, 0);
    let header = 1;
    assert_eq!(bed.cut_short((1, 2), full_from(header + 2 * FRAME - 1)), "outcome_unknown");
    assert_eq!(bed.killed(), ["cut short", "cut short", "old", "old", "old", "none"]);
    bed.goes_on();
}

#[test]
fn what_is_written_over_in_time_is_undone_for_good() {
    let mut bed = Bed::new(5, 4);
    assert_eq!(bed.cut_short((5, 5), full_once(FRAME - 1)), "disk_full");
    assert_eq!(bed.killed(), ["new", "new", "new", "new", "old", "none"]);
    bed.goes_on();
}

/// What stands behind it from then on could be told and lost.
#[test]
fn where_the_sync_of_what_is_written_over_fails_nothing_goes_on() {
    let mut bed = Bed::new(5, 4);
    let disk = Arc::clone(&bed.disk);
    bed.disk.before_syncs_of("-wal", move || {
        disk.plan(Plan::once(Call::Sync, 0, Fault::refused(ffi::SQLITE_IOERR_FSYNC)));
    });
    bed.disk.plan(full_once(FRAME - 1));
    bed.bench.run(&[("cut short", &changing(5, 5, "cut short"), Verdict::Keep)]);
    assert_eq!(bed.bench.answers(), [("the owner", "ok"), ("cut short", "outcome_unknown")]);
    bed.disk.heal();
    bed.bench.run(&[("later", &changing(1, 6, "later"), Verdict::Keep)]);
    assert_eq!(bed.bench.answers(), [("later", "poisoned")]);
}

#[test]
fn where_no_log_was_before_nothing_can_complete_it() {
    let mut bed = Bed::new(0, 0);
    let header = 1;
    assert_eq!(bed.cut_short((1, 3), full_from(header + 2 * FRAME - 1)), "disk_full");
    assert_eq!(bed.killed(), ["none"; 6]);
    bed.goes_on();
}

#[test]
fn behind_the_last_old_frame_nothing_can_complete_it() {
    for (write, fault) in [
        // Not even the beginning of a frame fits: the log is as long as it was.
        (0, Fault::refused(ffi::SQLITE_FULL)),
        (FRAME - 1, Fault::half(ffi::SQLITE_FULL)),
    ] {
        let mut bed = Bed::new(5, 5);
        assert_eq!(bed.cut_short((6, 6), Plan::from(Call::Write, write, fault)), "disk_full");
        assert_eq!(bed.killed(), ["new", "new", "new", "new", "new", "none"]);
        bed.goes_on();
    }
}
