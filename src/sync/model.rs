//! The half for models: the same names on the types of loom, which explores every order within a bound,
//! or of shuttle, which tries many orders at random.
//!
//! Where the real half knows time, this one knows only order: a wait with a timeout may end at
//! once, which is among what can really happen, and housekeeping while idle, which touches no job,
//! is left out. The mailbox is crossbeam's in behaviour: bounded lanes, and messages that are
//! dropped, with whatever their drop says to their callers, when the receiver goes.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(autoforge_loom)]
use loom as scheduler;
#[cfg(autoforge_shuttle)]
use shuttle as scheduler;

pub(crate) use once_cell::sync::Lazy;
pub(crate) use scheduler::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use scheduler::thread::{JoinHandle, ThreadId};

use super::{Lane, Patience, Received, SendError};

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(scheduler::sync::Mutex<T>);

/// Empty only while a [`Condvar`] has the lock.
#[derive(Debug)]
pub(crate) struct MutexGuard<'l, T>(Option<scheduler::sync::MutexGuard<'l, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(scheduler::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap()))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(scheduler::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(scheduler::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().unwrap();
        guard.0 = Some(self.0.wait(held).unwrap());
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    /// A deadline may pass at once.
    pub(crate) fn wait_until<T>(
        &self,
        _guard: &mut MutexGuard<'_, T>,
        _deadline: Instant,
    ) -> TimedOut {
        TimedOut
    }
}

/// What a wait with a deadline ended with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimedOut;

impl TimedOut {
    pub(crate) fn timed_out(self) -> bool {
        true
    }
}

pub(crate) fn spawn<T: Send + 'static>(
    _name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    Ok(scheduler::thread::spawn(body))
}

pub(crate) fn current_thread() -> ThreadId {
    scheduler::thread::current().id()
}

pub(crate) fn sleep(_: Duration) {
    scheduler::thread::yield_now();
}

/// Stands still: what a model does must not depend on how fast it runs.
pub(crate) fn now() -> Instant {
    thread_local! {
        static NOW: Instant = Instant::now();
    }
    NOW.with(|now| *now)
}

pub(crate) fn mailbox<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        reads: VecDeque::new(),
        writes: VecDeque::new(),
        capacity,
        senders: 1,
        receiving: true,
        rung: false,
    };
    let channel =
        Arc::new(Channel { state: Mutex::new(state), came: Condvar::new(), went: Condvar::new() });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

#[derive(Debug)]
struct Channel<T> {
    state: Mutex<State<T>>,
    /// A message came, or the last sender went.
    came: Condvar,
    /// A message went, or the receiver did.
    went: Condvar,
}

#[derive(Debug)]
struct State<T> {
    reads: VecDeque<T>,
    writes: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receiving: bool,
    rung: bool,
}

/// Wakes a receiver without a message.
#[derive(Clone)]
pub(crate) struct Bell(Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bell")
    }
}

impl Bell {
    pub(crate) fn ring(&self) {
        (self.0)();
    }
}

impl<T> State<T> {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<T> {
        match lane {
            Lane::Read => &mut self.reads,
            Lane::Write => &mut self.writes,
        }
    }

    fn take(&mut self, take_writes: bool) -> Option<Received<T>> {
        let read = self.reads.pop_front().map(Received::Read);
        read.or_else(|| {
            let write = if take_writes { self.writes.pop_front() } else { None };
            write.map(Received::Write)
        })
    }
}

#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Channel<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.lock().senders -= 1;
        self.0.came.notify_all();
    }
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, lane: Lane, message: T) -> Result<(), SendError<T>> {
        let mut state = self.0.state.lock();
        while state.receiving && state.lane(lane).len() >= state.capacity {
            self.0.went.wait(&mut state);
        }
        self.put(state, lane, message)
    }

    /// A deadline may pass at once.
    pub(crate) fn send_until(
        &self,
        lane: Lane,
        message: T,
        _deadline: Instant,
    ) -> Result<(), SendError<T>> {
        self.try_send(lane, message)
    }

    pub(crate) fn try_send(&self, lane: Lane, message: T) -> Result<(), SendError<T>> {
        let mut state = self.0.state.lock();
        if state.receiving && state.lane(lane).len() >= state.capacity {
            return Err(SendError::Full(message));
        }
        self.put(state, lane, message)
    }

    fn put(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        lane: Lane,
        message: T,
    ) -> Result<(), SendError<T>> {
        if !state.receiving {
            return Err(SendError::Disconnected(message));
        }
        state.lane(lane).push_back(message);
        self.0.came.notify_all();
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Channel<T>>);

impl<T: Send + 'static> Receiver<T> {
    pub(crate) fn bell(&self) -> Bell {
        let channel = Arc::clone(&self.0);
        Bell(Arc::new(move || {
            channel.state.lock().rung = true;
            channel.came.notify_all();
        }))
    }
}

impl<T> Receiver<T> {
    pub(crate) fn recv(&self, take_writes: bool, patience: Patience) -> Received<T> {
        let mut state = self.0.state.lock();
        loop {
            if let Some(received) = state.take(take_writes) {
                self.0.went.notify_all();
                return received;
            }
            if state.senders == 0 && (take_writes || state.writes.is_empty()) {
                return Received::Disconnected;
            }
            if std::mem::take(&mut state.rung) {
                return Received::Nothing;
            }
            if let Patience::Retry(pause) = patience {
                drop(state);
                sleep(pause);
                return Received::Nothing;
            }
            self.0.came.wait(&mut state);
        }
    }

    pub(crate) fn queued(&self, lane: Lane) -> usize {
        self.0.state.lock().lane(lane).len()
    }

    pub(crate) fn try_recv(&self, lane: Lane) -> Option<T> {
        let message = self.0.state.lock().lane(lane).pop_front();
        self.0.went.notify_all();
        message
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.receiving = false;
        let left = (std::mem::take(&mut state.reads), std::mem::take(&mut state.writes));
        self.0.went.notify_all();
        drop(state);
        drop(left);
    }
}
