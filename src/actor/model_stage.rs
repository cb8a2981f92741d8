//! What models need around the actor and the cache: a storage that keeps a log, and a resident with a
//! thread of its own. loom and shuttle run the same.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{
    Actor, Answerer, Asker, Cache, OnFull, Outcome, Progress, Resident, Resource, Storage, Turn,
    serve, slot,
};
use crate::sync::{Lane, Mutex, Receiver, SendError};

/// What a storage has made durable, in order.
pub(super) type Log = Arc<Mutex<Vec<u32>>>;

pub(super) struct TestJob {
    pub(super) id: u32,
    pub(super) answerer: Answerer<usize>,
}

/// Commits groups to a log, and answers each job with its place in it.
pub(super) struct TestStorage {
    pub(super) log: Log,
    /// How often the write lock is somebody else's before it is free.
    pub(super) busy: usize,
    /// Ends without answering when it meets this job.
    pub(super) dies_at: Option<u32>,
}

impl TestStorage {
    pub(super) fn new(log: &Log) -> Self {
        Self { log: Arc::clone(log), busy: 0, dies_at: None }
    }

    fn serve(mut self, mailbox: Receiver<TestJob>) -> usize {
        serve(&mailbox, &mut self);
        drop(mailbox);
        self.log.lock().len()
    }
}

impl Storage<TestJob> for TestStorage {
    fn read(&mut self, queue: &mut VecDeque<TestJob>, _max: usize) -> Progress {
        for job in queue.drain(..) {
            if job.answerer.start() {
                let seen = self.log.lock().len();
                job.answerer.answer(seen);
            }
        }
        Progress::Done
    }

    fn write(&mut self, queue: &mut VecDeque<TestJob>, max: usize) -> Progress {
        if self.busy > 0 {
            self.busy -= 1;
            return Progress::Blocked(Turn::Unknown);
        }
        let mut group = Vec::new();
        while group.len() < max
            && let Some(job) = queue.pop_front()
        {
            if self.dies_at == Some(job.id) {
                // What unwinding would do: every job is dropped without an answer.
                queue.clear();
                return Progress::Done;
            }
            if job.answerer.start() {
                group.push(job);
            }
        }
        // The commit: only from here on may anybody be answered.
        let first = {
            let mut log = self.log.lock();
            log.extend(group.iter().map(|job| job.id));
            log.len() - group.len()
        };
        for (nth, job) in group.into_iter().enumerate() {
            job.answerer.answer(first + nth);
        }
        Progress::Done
    }

    fn expire(&mut self, _queue: &mut VecDeque<TestJob>) {}

    fn idle(&mut self) {}

    fn is_watched(&self) -> bool {
        false
    }
}

pub(super) type TestActor = Arc<Actor<TestJob, usize>>;

pub(super) fn start(capacity: usize, storage: TestStorage) -> TestActor {
    Arc::new(Actor::start("model", capacity, move |mailbox| storage.serve(mailbox)).unwrap())
}

/// Hands a job in; `None` where the actor takes no more.
pub(super) fn post(actor: &TestActor, lane: Lane, id: u32) -> Option<Asker<usize>> {
    let (asker, answerer) = slot();
    match actor.post(lane, TestJob { id, answerer }, OnFull::Wait) {
        Ok(()) => Some(asker),
        Err(SendError::Disconnected(_)) => None,
        Err(SendError::Full(_)) => unreachable!("a waiting sender is never told that it is full"),
    }
}

/// An answer means: committed, exactly once, at that place, and before the answer.
pub(super) fn assert_committed(log: &Log, id: u32, place: usize) {
    let log = log.lock();
    assert_eq!(log.get(place), Some(&id), "answered before its commit");
    assert_eq!(log.iter().filter(|other| **other == id).count(), 1, "committed more than once");
}

/// A resident with a thread of its own, as an engine is.
pub(super) struct TestResident {
    pub(super) actor: Actor<TestJob, usize>,
    opened: Arc<Mutex<Openings>>,
}

/// How many residents live, and how many there ever were.
#[derive(Default)]
pub(super) struct Openings {
    pub(super) live: usize,
    pub(super) ever: usize,
}

impl Resource for TestResident {
    fn is_usable(&self) -> bool {
        self.actor.is_open()
    }

    fn close(&self) {
        assert!(self.actor.close());
    }
}

pub(super) type TestCache = Arc<Cache<u8, TestResident>>;

pub(super) fn open(
    resident: Resident<u8, TestResident>,
    openings: &Arc<Mutex<Openings>>,
) -> Result<TestResident, &'static str> {
    {
        let mut openings = openings.lock();
        openings.live += 1;
        openings.ever += 1;
        assert_eq!(openings.live, 1, "two residents of one key");
    }
    let counted = Arc::clone(openings);
    let log = Log::default();
    let storage = TestStorage::new(&log);
    let actor = Actor::start("model", 2, move |mailbox| {
        let _resident = resident;
        let end = storage.serve(mailbox);
        counted.lock().live -= 1;
        end
    });
    Ok(TestResident { actor: actor.unwrap(), opened: Arc::clone(openings) })
}

/// Uses the resident of this key, which answers, or says that it is closed.
pub(super) fn use_key(cache: &TestCache, key: u8, openings: &Arc<Mutex<Openings>>) {
    let handle = cache.get_or_open(&key, |resident| open(resident, openings)).unwrap();
    let (asker, answerer) = slot();
    match handle.actor.post(Lane::Write, TestJob { id: 1, answerer }, OnFull::Wait) {
        Ok(()) => assert!(matches!(asker.wait(), Outcome::Answer(_)), "accepted, not answered"),
        Err(SendError::Disconnected(_)) => assert!(!handle.is_usable()),
        Err(SendError::Full(_)) => unreachable!("two places for two jobs"),
    }
    assert!(handle.opened.lock().ever >= 1);
}
