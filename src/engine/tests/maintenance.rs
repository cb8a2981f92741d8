//! What becomes of the log beside other programs, and what is told of a disk that fails.

use std::time::{Duration, Instant};

use faulty_vfs::{Call, Fault, Plan};
use rusqlite::{Connection, ffi};

use super::{Bench, CREATE};
use crate::engine::maintenance::{CheckpointReport, Mode, checkpoint};

fn log(bench: &Bench) -> CheckpointReport {
    checkpoint(&bench.engine.connection, Mode::Noop).unwrap()
}

/// Commits of another program, a frame each.
fn writes(neighbour: &Connection, commits: u32) {
    neighbour.execute_batch("CREATE TABLE IF NOT EXISTS theirs (n)").unwrap();
    for _ in 0..commits {
        neighbour.execute_batch("PRAGMA user_version = 7").unwrap();
    }
}

/// The look at the log is due, or is not for a long time.
fn next_look_is_due(bench: &mut Bench, due: bool) {
    let hour = Duration::from_hours(1);
    let (now, looked_at) = (Instant::now(), &mut bench.engine.looked_at);
    *looked_at = if due { now.checked_sub(hour).unwrap() } else { now + hour };
}

#[test]
fn reads_without_end_do_not_keep_another_programs_log_from_being_copied_back() {
    let mut bench = Bench::new();
    let neighbour = bench.neighbour();
    writes(&neighbour, 300);
    next_look_is_due(&mut bench, false);
    bench.read();
    assert_eq!(log(&bench).copied_frames, 0, "a look costs, so it is not taken at each read");
    next_look_is_due(&mut bench, true);
    bench.read();
    let found = log(&bench);
    assert!(found.log_frames > 250 && found.copied_frames == found.log_frames, "{found:?}");
}

#[test]
fn an_idle_engine_copies_back_what_another_program_has_written_once_it_is_much() {
    let mut bench = Bench::new();
    let neighbour = bench.neighbour();
    writes(&neighbour, 10);
    bench.engine.idle();
    assert_eq!(log(&bench).copied_frames, 0, "so little is left to its writer");
    writes(&neighbour, 300);
    bench.engine.idle();
    let found = log(&bench);
    assert!(found.log_frames > 250 && found.copied_frames == found.log_frames, "{found:?}");
}

#[test]
fn a_checkpoint_is_complete_only_once_the_log_is_cut() {
    let mut bench = Bench::new();
    bench.change(CREATE);
    let reader = bench.neighbour();
    reader.execute_batch("BEGIN; SELECT count(*) FROM features").unwrap();
    let beside = bench.engine.checkpoint().unwrap().unwrap();
    assert!(beside.log_frames > 0 && beside.copied_frames == beside.log_frames, "{beside:?}");
    assert!(!beside.complete, "{beside:?}");
    reader.execute_batch("COMMIT").unwrap();
    let alone = bench.engine.checkpoint().unwrap().unwrap();
    assert_eq!(alone, CheckpointReport { log_frames: 0, copied_frames: 0, complete: true });
}

#[test]
fn an_end_that_fails_to_copy_the_log_back_says_so() {
    let (mut bench, disk) = Bench::on_disk();
    bench.change(CREATE);
    disk.plan(Plan::from(Call::Write, 0, Fault::refused(ffi::SQLITE_IOERR_WRITE)));
    let Bench { engine, .. } = bench;
    let report = engine.close();
    assert!(disk.has_fired() && report.checkpoint.is_none());
    assert_eq!(report.fault.unwrap().code(), "io");
}

#[test]
fn a_copy_that_cannot_be_read_is_not_called_damaged() {
    let (mut bench, disk) = Bench::on_disk();
    bench.change(CREATE);
    let folder = bench.folder().to_owned();
    let mut refused = 0;
    for read in 0.. {
        disk.plan(Plan::once(Call::Read, read, Fault::refused(ffi::SQLITE_IOERR_READ)));
        let made = bench.engine.backup(&folder.join(format!("copy {read}.db")));
        if !disk.has_fired() {
            made.unwrap();
            break;
        }
        if let Err(fault) = made {
            // The check itself tells of pages that it could not get.
            let is_finding = fault.to_string().contains("*** in database main ***");
            assert!(fault.code() == "io" || is_finding, "{fault}");
            refused += 1;
        }
    }
    assert!(refused > 5, "{refused} reads");
}
