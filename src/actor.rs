//! The actor: one thread that takes jobs from a mailbox and has a storage carry them out in groups.
//!
//! The loop knows neither SQLite nor commands. It decides what runs when:
//!
//! - Whatever has queued while the last group ran is the next group. Who was in the last one is waited for a
//!   moment, where that was worth it before ([`commit_delay`]); who is alone is not.
//! - Reads run at once, each group of them on one snapshot; they never wait for the write lock.
//! - Writes wait in a line. When the storage says that somebody else holds the lock, the loop tries
//!   again itself after a short pause, and goes on serving reads meanwhile. Where other processes come
//!   first, a bell says when it is our turn.
//! - The line is bounded. A full line leaves the writing lane of the mailbox alone, which makes
//!   writers wait; readers do not notice.
//! - When the last sender is gone, all that was accepted is still carried out; then it ends.

mod cache;
mod commit_delay;
#[cfg(all(test, autoforge_loom))]
mod loom_tests;
#[cfg(all(test, any(autoforge_loom, autoforge_shuttle)))]
mod model_stage;
mod reply;
#[cfg(all(test, not(any(autoforge_loom, autoforge_shuttle))))]
mod serve_tests;
#[cfg(all(test, autoforge_shuttle))]
mod shuttle_tests;
mod signal;
mod thread;
mod turnstile;

use std::collections::VecDeque;
use std::time::Duration;

pub(crate) use cache::{Cache, Handle, Resident, Resource};
pub(crate) use reply::{Answerer, Asker, Outcome, slot};
pub(crate) use signal::{CommitSignal, News};
pub(crate) use thread::{Actor, OnFull};
pub(crate) use turnstile::{Barrier, Turnstile};

use self::commit_delay::CommitDelay;
use crate::sync::{Lane, Patience, Received, Receiver, sleep};

/// Jobs in the line at most.
const LINE_MAX: usize = 1024;
/// Jobs carried out in one transaction at most.
const GROUP_MAX: usize = 256;

/// Whether a storage got what it needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The jobs it took from the queue are answered.
    Done,
    /// Somebody else is in the way; the queue is as it was.
    Blocked(Turn),
}

/// When whoever is blocked tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nobody knows who comes next.
    Unknown,
    /// Others come before; the bell rings when it is our turn.
    Behind,
    /// It is ours as soon as whoever has the lock lets go of it.
    Next,
}

/// What carries out the jobs. Every job taken from a queue is answered or dropped by its owner's
/// choice before the method returns.
pub(crate) trait Storage<J> {
    /// Carries out reads from the front of the queue, at most `max`, on one snapshot.
    fn read(&mut self, queue: &mut VecDeque<J>, max: usize) -> Progress;
    /// Carries out jobs of any kind from the front of the queue, at most `max`, in one transaction,
    /// and answers them only after it is durable.
    fn write(&mut self, queue: &mut VecDeque<J>, max: usize) -> Progress;
    /// Answers and removes the jobs that have waited long enough.
    fn expire(&mut self, queue: &mut VecDeque<J>);
    /// Housekeeping while there is nothing to do.
    fn idle(&mut self);
    /// Whether housekeeping is wanted often: somebody waits for news that it alone brings, or others
    /// make work for it.
    fn is_watched(&self) -> bool;
}

/// Serves the mailbox until its last sender is gone and all it accepted is answered.
pub(crate) fn serve<J, S: Storage<J>>(mailbox: &Receiver<J>, storage: &mut S) {
    serve_delayed(mailbox, storage, CommitDelay::new());
}

fn serve_delayed<J, S: Storage<J>>(mailbox: &Receiver<J>, storage: &mut S, mut delay: CommitDelay) {
    let mut queues = Queues { reads: VecDeque::new(), line: VecDeque::new() };
    let mut pause = Pause::new();
    let mut progress = Progress::Done;
    let mut open = true;
    while open || !queues.is_empty() {
        if open {
            open = match progress {
                Progress::Blocked(turn) => {
                    queues.wait(mailbox, Patience::Retry(pause.before(turn)))
                }
                Progress::Done if queues.is_empty() => {
                    let watched = storage.is_watched();
                    queues.wait(mailbox, if watched { Patience::Watch } else { Patience::Idle })
                }
                Progress::Done => true,
            };
            queues.gather(mailbox);
            if progress == Progress::Done && !queues.line.is_empty() {
                open = delay.before_group(&mut queues, mailbox);
            }
        } else if let Progress::Blocked(_) = progress {
            sleep(pause.next());
        }
        if open && queues.is_empty() {
            storage.idle();
        }
        let before = queues.line.len();
        progress = queues.advance(storage);
        let left = queues.line.len();
        if left < before {
            delay.after_group(before - left, left + mailbox.queued(Lane::Write));
        }
        if progress == Progress::Done {
            pause = Pause::new();
        }
    }
}

/// What was taken from the mailbox and waits for its turn.
struct Queues<J> {
    reads: VecDeque<J>,
    /// Jobs for the write lock, in the order of the writing lane.
    line: VecDeque<J>,
}

impl<J> Queues<J> {
    fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.line.is_empty()
    }

    /// Waits for a message; `false` once the last sender is gone and nothing is left.
    fn wait(&mut self, mailbox: &Receiver<J>, patience: Patience) -> bool {
        match mailbox.recv(self.line.len() < LINE_MAX, patience) {
            Received::Read(job) => self.reads.push_back(job),
            Received::Write(job) => self.line.push_back(job),
            Received::Nothing => {}
            Received::Disconnected => return false,
        }
        true
    }

    /// Takes what has queued meanwhile, from both lanes, so that neither starves the other.
    fn gather(&mut self, mailbox: &Receiver<J>) {
        while self.reads.len() < GROUP_MAX
            && let Some(job) = mailbox.try_recv(Lane::Read)
        {
            self.reads.push_back(job);
        }
        while self.line.len() < LINE_MAX
            && let Some(job) = mailbox.try_recv(Lane::Write)
        {
            self.line.push_back(job);
        }
    }

    /// Carries out one group of reads and one of writes; `Blocked` where anything has to wait.
    fn advance<S: Storage<J>>(&mut self, storage: &mut S) -> Progress {
        let mut progress = Progress::Done;
        if !self.reads.is_empty()
            && let blocked @ Progress::Blocked(_) = storage.read(&mut self.reads, GROUP_MAX)
        {
            storage.expire(&mut self.reads);
            progress = blocked;
        }
        if !self.line.is_empty()
            && let blocked @ Progress::Blocked(_) = storage.write(&mut self.line, GROUP_MAX)
        {
            storage.expire(&mut self.line);
            // The line's turn says nothing of reads.
            if progress == Progress::Done {
                progress = blocked;
            }
        }
        progress
    }
}

/// The pauses between attempts at a lock that somebody else holds: short at first, since most
/// holders are gone within a millisecond, and never the same twice, so that waiters fall out of
/// step. Who comes next has nobody to be out of step with, and its pauses stay short for longer, since
/// they are the lock's as well.
struct Pause {
    ceiling: Duration,
    /// Attempts of who comes next.
    eager: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_micros(100);
    const LAST: Duration = Duration::from_millis(4);
    /// Of who comes next. Trying without a pause takes a whole processor, which whoever has the lock, or
    /// waits for an answer, may want.
    const EAGER: Duration = Duration::from_micros(30);
    /// Most groups are carried out in less than so many of these.
    const EAGER_ATTEMPTS: u32 = 30;
    /// Deadlines are looked at so often, whether or not the bell rings.
    const BEHIND: Duration = Duration::from_millis(10);

    fn new() -> Self {
        Self { ceiling: Self::FIRST, eager: 0 }
    }

    fn before(&mut self, turn: Turn) -> Duration {
        match turn {
            Turn::Behind => Self::BEHIND,
            Turn::Next if self.eager < Self::EAGER_ATTEMPTS => {
                self.eager += 1;
                Self::EAGER
            }
            Turn::Next | Turn::Unknown => self.next(),
        }
    }

    fn next(&mut self) -> Duration {
        let pause = self.ceiling.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.ceiling = (self.ceiling * 2).min(Self::LAST);
        pause
    }
}
