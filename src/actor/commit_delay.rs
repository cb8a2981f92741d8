//! Waiting a moment before a group of writes, for those who are about to come.
//!
//! Callers who were answered together come again together, a moment later. A loop that begins the next group at
//! once takes those who queued meanwhile and leaves the others for the group after it. So they fall into
//! two halves that take turns, and each half pays for a sync of its own.
//!
//! A group waits until as many have come as the last one had, so who is alone is never waited for. It waits for
//! [`LONGEST`] at most, and what did not come then is not waited for again. Now and then it waits for those as well
//! who queued beside the last group, which is how the halves become one; the rarer, the more often that
//! was in vain. It ends at once when a read comes, since reads wait for nothing.

use std::time::Duration;

use super::{GROUP_MAX, Queues};
use crate::sync::{Patience, Receiver, now};

/// About the time in which a caller who was answered is awake and has asked again, and less than a sync.
const LONGEST: Duration = Duration::from_micros(100);
/// Groups between two tries to have more company.
const SOONEST: u32 = 16;
const RAREST: u32 = 1024;

#[derive(Debug)]
pub(super) struct CommitDelay {
    longest: Duration,
    /// How many jobs the next group waits for.
    wanted: usize,
    /// Whether some of those were not in the last group.
    tries_for_more: bool,
    /// Groups until the next try.
    rest: u32,
    /// Groups between tries.
    interval: u32,
}

impl CommitDelay {
    pub(super) fn new() -> Self {
        Self::of_at_most(LONGEST)
    }

    pub(super) fn of_at_most(longest: Duration) -> Self {
        Self { longest, wanted: 0, tries_for_more: false, rest: 0, interval: SOONEST }
    }

    /// Notes how many jobs a group had, and how many have queued beside it.
    pub(super) fn after_group(&mut self, done: usize, queued: usize) {
        self.tries_for_more = queued > 0 && self.rest == 0;
        self.rest = self.rest.saturating_sub(1);
        let more = if self.tries_for_more { queued } else { 0 };
        self.wanted = (done + more).min(GROUP_MAX);
    }

    /// Waits for the company of the next group; `false` once the last sender is gone.
    pub(super) fn before_group<J>(
        &mut self,
        queues: &mut Queues<J>,
        mailbox: &Receiver<J>,
    ) -> bool {
        let end = now() + self.longest;
        let mut open = true;
        while open && queues.line.len() < self.wanted && queues.reads.is_empty() {
            let (before, left) = (queues.line.len(), end.saturating_duration_since(now()));
            open = queues.wait(mailbox, Patience::Retry(left));
            queues.gather(mailbox);
            if queues.line.len() == before {
                break;
            }
        }
        if self.tries_for_more {
            let came = queues.line.len() >= self.wanted;
            self.interval = if came { SOONEST } else { (self.interval * 2).min(RAREST) };
            self.rest = self.interval;
            self.tries_for_more = false;
        }
        open
    }
}

#[cfg(all(test, not(any(autoforge_loom, autoforge_shuttle))))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

    use std::collections::VecDeque;

    use super::*;
    use crate::sync::{Lane, Sender, mailbox};

    /// Longer than any test runs: who waits for so long waits for something else.
    const FOR_EVER: Duration = Duration::from_hours(1);

    struct Stage {
        delay: CommitDelay,
        queues: Queues<u32>,
        sender: Option<Sender<u32>>,
        mailbox: Receiver<u32>,
    }

    impl Stage {
        /// One job is in line, and a group would wait so long for others.
        fn new(longest: Duration) -> Self {
            let (sender, mailbox) = mailbox(GROUP_MAX);
            let queues = Queues { reads: VecDeque::new(), line: VecDeque::from([0]) };
            let delay = CommitDelay::of_at_most(longest);
            Self { delay, queues, sender: Some(sender), mailbox }
        }

        fn send(&self, lane: Lane) {
            self.sender.as_ref().unwrap().send(lane, 1).unwrap();
        }

        /// How many jobs are in line when the wait is over.
        fn assembled(&mut self) -> usize {
            assert!(self.delay.before_group(&mut self.queues, &self.mailbox));
            self.queues.line.len()
        }
    }

    #[test]
    fn a_group_waits_for_as_many_as_the_last_one_had() {
        let mut stage = Stage::new(FOR_EVER);
        stage.delay.after_group(3, 0);
        let sender = stage.sender.clone().unwrap();
        let others = std::thread::spawn(move || {
            for _ in 0..2 {
                sender.send(Lane::Write, 1).unwrap();
            }
        });
        assert_eq!(stage.assembled(), 3);
        others.join().unwrap();
    }

    #[test]
    fn who_is_alone_is_not_waited_for() {
        let mut stage = Stage::new(FOR_EVER);
        assert_eq!(stage.assembled(), 1, "there was no group before");
        stage.delay.after_group(1, 0);
        assert_eq!(stage.assembled(), 1);
    }

    #[test]
    fn who_queued_beside_a_group_is_waited_for_with_it_and_rarely_where_that_is_in_vain() {
        let mut stage = Stage::new(FOR_EVER);
        stage.delay.after_group(1, 1);
        stage.send(Lane::Write);
        assert_eq!(stage.assembled(), 2);

        let mut stage = Stage::new(Duration::ZERO);
        let mut tries = Vec::new();
        for group in 0..200 {
            stage.delay.after_group(1, 1);
            if stage.delay.wanted == 2 {
                tries.push(group);
            }
            assert_eq!(stage.assembled(), 1);
        }
        assert_eq!(tries, [0, 33, 98]);
    }

    #[test]
    fn a_read_or_the_end_of_the_last_sender_ends_the_wait() {
        let mut stage = Stage::new(FOR_EVER);
        stage.delay.after_group(3, 0);
        stage.send(Lane::Read);
        assert_eq!(stage.assembled(), 1);

        stage.queues.reads.clear();
        stage.sender = None;
        assert!(!stage.delay.before_group(&mut stage.queues, &stage.mailbox));
    }

    #[test]
    fn what_does_not_come_in_time_is_not_waited_for_again() {
        let mut stage = Stage::new(Duration::from_micros(1));
        stage.delay.after_group(3, 0);
        assert_eq!(stage.assembled(), 1);
        stage.delay = CommitDelay { longest: FOR_EVER, ..stage.delay };
        stage.delay.after_group(1, 0);
        assert_eq!(stage.assembled(), 1);
    }
}
