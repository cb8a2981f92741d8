//! When an engine tries the write lock, and when it lets the next process come.

use std::sync::Arc;
use std::time::Instant;

use super::{Answers, Bench, CREATE, LEAVES};
use crate::engine::job::{Attempt, Verdict};
use crate::engine::turn::{LONGEST_WAIT, Turn};
use crate::engine::{FolderLock, Turnstile};
use crate::sync::Mutex;

/// A turn that comes when the test says so.
#[derive(Debug, Clone, Default)]
struct Scripted {
    line: Arc<Mutex<Line>>,
    /// Where it is noted that the line was left.
    told: Answers,
}

#[derive(Debug, Default)]
struct Line {
    has_come: bool,
    in_line: bool,
}

impl Scripted {
    fn come(&self) {
        self.line.lock().has_come = true;
    }

    fn is_in_line(&self) -> bool {
        self.line.lock().in_line
    }
}

impl Turnstile for Scripted {
    fn is_next(&mut self) -> bool {
        let mut line = self.line.lock();
        line.in_line = true;
        line.has_come
    }

    fn pass(&mut self) {
        if std::mem::take(&mut self.line.lock().in_line) {
            self.told.lock().push(("the line", Ok(())));
        }
    }
}

fn bench() -> (Bench, Scripted) {
    let mut bench = Bench::new();
    let turnstile = Scripted { told: Arc::clone(&bench.answers), ..Scripted::default() };
    bench.engine.stand_in_line(Box::new(turnstile.clone()));
    (bench, turnstile)
}

#[test]
fn nothing_is_written_before_the_turn_has_come() {
    let (mut bench, turnstile) = bench();
    let mut queue = bench.writes(&[("waits", CREATE, Verdict::Keep)]);
    assert_eq!(bench.engine.write(&mut queue, 100), Attempt::Behind);
    assert_eq!(queue.len(), 1);
    assert!(turnstile.is_in_line());
    turnstile.come();
    assert_eq!(bench.engine.write(&mut queue, 100), Attempt::Done);
    // Whoever comes next gets ready before the group is over.
    assert_eq!(bench.answers(), [("the line", "ok"), ("waits", "ok")]);
}

#[test]
fn who_has_the_turn_keeps_it_while_another_program_has_the_lock() {
    let (mut bench, turnstile) = bench();
    turnstile.come();
    let neighbour = bench.neighbour();
    neighbour.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut queue = bench.writes(&[("waits", CREATE, Verdict::Keep)]);
    assert_eq!(bench.engine.write(&mut queue, 100), Attempt::Next);
    assert!(turnstile.is_in_line());
    neighbour.execute_batch("COMMIT").unwrap();
    assert_eq!(bench.engine.write(&mut queue, 100), Attempt::Done);
    assert!(!turnstile.is_in_line());
}

#[test]
fn who_has_nothing_to_write_any_more_leaves_the_line() {
    let (mut bench, turnstile) = bench();
    let mut queue = bench.writes(&[(LEAVES, CREATE, Verdict::Keep)]);
    assert_eq!(bench.engine.write(&mut queue, 100), Attempt::Behind);
    bench.engine.expire(&mut queue);
    assert!(queue.is_empty() && !turnstile.is_in_line());
}

#[test]
fn who_is_next_and_does_not_move_is_not_waited_for() {
    let turnstile = Scripted::default();
    let mut turn = Turn::at(Box::new(turnstile.clone()));
    assert_eq!(turn.come(), Attempt::Behind);
    turn.waiting_since = Instant::now().checked_sub(LONGEST_WAIT);
    assert_eq!(turn.come(), Attempt::Busy);
    assert!(!turnstile.is_in_line());
    assert_eq!(turn.come(), Attempt::Busy, "nor by the next write");
    assert!(!turnstile.is_in_line());
    turn.ignored_until = Some(Instant::now());
    assert_eq!(turn.come(), Attempt::Behind, "but it is asked again later");
}

#[test]
fn the_lock_on_a_folder_is_one_between_all_that_have_opened_it() {
    let bench = Bench::new();
    let lock = || FolderLock::of(&bench.engine.location).unwrap();
    let (one, other) = (lock(), lock());
    assert!(one.try_lock() && !other.try_lock());
    one.unlock();
    assert!(other.lock() && !one.try_lock());
    drop(other);
    assert!(one.try_lock(), "it goes with whoever had it");
}
