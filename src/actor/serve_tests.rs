//! What the loop asks of a storage, and when: a storage that notes every call, and jobs that lie in the
//! mailbox before the loop begins, so that nothing depends on time.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use super::{
    CommitDelay, GROUP_MAX, LINE_MAX, Pause, Progress, Storage, Turn, serve, serve_delayed,
};
use crate::sync::{Lane, Sender, mailbox};

/// A call of the loop, with the length of the queue that it handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Watched,
    Idle,
    Read(usize),
    Write(usize),
    Expire(usize),
}

use Call::{Expire, Idle, Read, Watched, Write};

/// Carries out whatever it is given, and lets go of the mailbox when there is nothing to do.
struct Noting {
    calls: RefCell<Vec<Call>>,
    sender: Option<Sender<u32>>,
    /// How often the write lock is somebody else's.
    blocked: usize,
    /// Lets go of the mailbox as soon as it is asked to write.
    leaves_at_once: bool,
    carried_out: Vec<u32>,
}

impl Storage<u32> for Noting {
    fn read(&mut self, queue: &mut VecDeque<u32>, max: usize) -> Progress {
        self.calls.get_mut().push(Read(queue.len()));
        self.carried_out.extend(queue.drain(..queue.len().min(max)));
        Progress::Done
    }

    fn write(&mut self, queue: &mut VecDeque<u32>, max: usize) -> Progress {
        self.calls.get_mut().push(Write(queue.len()));
        if self.leaves_at_once {
            self.sender = None;
        }
        if self.blocked > 0 {
            self.blocked -= 1;
            return Progress::Blocked(Turn::Unknown);
        }
        self.carried_out.extend(queue.drain(..queue.len().min(max)));
        Progress::Done
    }

    fn expire(&mut self, queue: &mut VecDeque<u32>) {
        self.calls.get_mut().push(Expire(queue.len()));
    }

    fn idle(&mut self) {
        self.calls.get_mut().push(Idle);
        self.sender = None;
    }

    fn is_watched(&self) -> bool {
        self.calls.borrow_mut().push(Watched);
        true
    }
}

/// Serves so many reads and writes to the end, and gives the storage as it is then.
fn served(reads: u32, writes: u32, blocked: usize, leaves_at_once: bool) -> Noting {
    let (sender, receiver) = mailbox(4 * LINE_MAX);
    for job in 0..reads {
        sender.send(Lane::Read, job).unwrap();
    }
    for job in reads..reads + writes {
        sender.send(Lane::Write, job).unwrap();
    }
    let (calls, carried_out) = (RefCell::default(), Vec::new());
    let sender = Some(sender);
    let mut storage = Noting { calls, sender, blocked, leaves_at_once, carried_out };
    serve(&receiver, &mut storage);
    storage
}

#[test]
fn what_has_queued_is_the_next_group() {
    let mut storage = served(300, 0, 0, false);
    let reads = [Watched, Read(GROUP_MAX), Watched, Read(44), Watched, Idle, Watched];
    assert_eq!(*storage.calls.get_mut(), reads);

    let mut storage = served(0, 600, 0, false);
    let writes = [Watched, Write(600), Write(344), Write(88), Watched, Idle, Watched];
    assert_eq!(*storage.calls.get_mut(), writes);
}

#[test]
fn a_group_begins_when_as_many_are_there_as_were_in_the_last_one() {
    // A loop that does not wait may find the second job by luck, but not each time.
    for _ in 0..20 {
        // Has one place, so that the second job is not there when the first one is taken.
        let (sender, receiver) = mailbox(1);
        let callers = std::thread::spawn(move || {
            for job in 0..2 {
                sender.send(Lane::Write, job).unwrap();
            }
        });
        let (calls, carried_out) = (RefCell::default(), Vec::new());
        let mut storage =
            Noting { calls, sender: None, blocked: 0, leaves_at_once: false, carried_out };
        let mut delay = CommitDelay::of_at_most(Duration::from_hours(1));
        delay.after_group(2, 0);
        serve_delayed(&receiver, &mut storage, delay);
        callers.join().unwrap();
        let is_group = |call: &&Call| matches!(call, Read(_) | Write(_));
        assert!(storage.calls.get_mut().iter().filter(is_group).eq(&[Write(2)]));
    }
}

#[test]
fn a_full_line_takes_no_more_from_the_mailbox_and_reads_go_on_beside_it() {
    let mut storage = served(300, 1100, 2, false);
    let blocked = [Watched, Read(GROUP_MAX), Write(LINE_MAX), Expire(LINE_MAX)];
    let again = [Read(44), Write(LINE_MAX), Expire(LINE_MAX), Write(LINE_MAX)];
    let rest = [Write(844), Write(588), Write(332), Write(76), Watched, Idle, Watched];
    assert_eq!(*storage.calls.get_mut(), [&blocked[..], &again, &rest].concat());
    assert!(storage.carried_out.is_sorted(), "jobs of a lane changed places");
}

#[test]
fn what_was_accepted_is_carried_out_though_the_line_was_full_when_the_last_sender_went() {
    let jobs = u32::try_from(2 * LINE_MAX).unwrap();
    let storage = served(0, jobs, 2, true);
    assert_eq!(storage.carried_out.len(), 2 * LINE_MAX);
    assert!(storage.carried_out.into_iter().eq(0..jobs), "jobs of a lane changed places");
}

#[test]
fn pauses_double_up_to_the_last_and_are_never_less_than_half_of_that() {
    let mut pauses: Vec<_> = (0..200).map(|_| Pause::new()).collect();
    let mut ceiling = Pause::FIRST;
    for _ in 0..10 {
        let drawn: Vec<Duration> = pauses.iter_mut().map(Pause::next).collect();
        assert!(drawn.iter().all(|pause| (ceiling / 2..=ceiling).contains(pause)), "{drawn:?}");
        ceiling = (ceiling * 2).min(Pause::LAST);
    }
    assert_eq!(ceiling, Pause::LAST);
}

#[test]
fn who_comes_next_pauses_least_and_who_stands_behind_waits_for_the_bell() {
    let mut pause = Pause::new();
    assert_eq!(pause.before(Turn::Behind), Pause::BEHIND);
    for _ in 0..Pause::EAGER_ATTEMPTS {
        assert_eq!(pause.before(Turn::Next), Pause::EAGER);
    }
    // Whoever has the lock keeps it for long.
    assert!((Pause::FIRST / 2..=Pause::FIRST).contains(&pause.before(Turn::Next)));
    assert!((Pause::FIRST..=Pause::FIRST * 2).contains(&pause.before(Turn::Unknown)));
}
