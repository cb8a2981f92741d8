//! The half that ships.

use std::time::{Duration, Instant};

pub(crate) use once_cell::sync::Lazy;
pub(crate) use parking_lot::{Condvar, Mutex};
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use std::thread::{JoinHandle, ThreadId, sleep};

use super::{Lane, Patience, Received, SendError};

/// How often an idle actor looks after the log that other programs let grow.
const IDLE_ROUND: Duration = Duration::from_millis(200);
/// How often it looks while somebody waits for other programs' commits.
const WATCH_ROUND: Duration = Duration::from_millis(20);

/// Starts a thread with a name.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

pub(crate) fn current_thread() -> ThreadId {
    std::thread::current().id()
}

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A mailbox of two lanes, each bounded by `capacity`.
pub(crate) fn mailbox<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (reads, reads_out) = crossbeam_channel::bounded(capacity);
    let (writes, writes_out) = crossbeam_channel::bounded(capacity);
    // Being rung twice is being rung.
    let (bell, rung) = crossbeam_channel::bounded(1);
    let receiver = Receiver { reads: reads_out, writes: writes_out, bell: Bell(bell), rung };
    (Sender { reads, writes }, receiver)
}

/// Wakes a receiver without a message.
#[derive(Debug, Clone)]
pub(crate) struct Bell(crossbeam_channel::Sender<()>);

impl Bell {
    /// Whoever waits goes on, or does so at its next wait.
    pub(crate) fn ring(&self) {
        self.0.try_send(()).ok();
    }
}

#[derive(Debug)]
pub(crate) struct Sender<T> {
    reads: crossbeam_channel::Sender<T>,
    writes: crossbeam_channel::Sender<T>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { reads: self.reads.clone(), writes: self.writes.clone() }
    }
}

impl<T> Sender<T> {
    fn lane(&self, lane: Lane) -> &crossbeam_channel::Sender<T> {
        match lane {
            Lane::Read => &self.reads,
            Lane::Write => &self.writes,
        }
    }

    /// Waits for a place.
    pub(crate) fn send(&self, lane: Lane, message: T) -> Result<(), SendError<T>> {
        self.lane(lane).send(message).map_err(|error| SendError::Disconnected(error.0))
    }

    /// Waits for a place until `deadline`.
    pub(crate) fn send_until(
        &self,
        lane: Lane,
        message: T,
        deadline: Instant,
    ) -> Result<(), SendError<T>> {
        use crossbeam_channel::SendTimeoutError::{Disconnected, Timeout};
        self.lane(lane).send_deadline(message, deadline).map_err(|error| match error {
            Timeout(message) => SendError::Full(message),
            Disconnected(message) => SendError::Disconnected(message),
        })
    }

    /// Takes a place or gives up.
    pub(crate) fn try_send(&self, lane: Lane, message: T) -> Result<(), SendError<T>> {
        use crossbeam_channel::TrySendError::{Disconnected, Full};
        self.lane(lane).try_send(message).map_err(|error| match error {
            Full(message) => SendError::Full(message),
            Disconnected(message) => SendError::Disconnected(message),
        })
    }
}

#[derive(Debug)]
pub(crate) struct Receiver<T> {
    reads: crossbeam_channel::Receiver<T>,
    writes: crossbeam_channel::Receiver<T>,
    bell: Bell,
    rung: crossbeam_channel::Receiver<()>,
}

impl<T> Receiver<T> {
    pub(crate) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Takes what is there, reads first; waits otherwise. With `take_writes` false the writing
    /// lane is left alone, which makes its senders wait.
    pub(crate) fn recv(&self, take_writes: bool, patience: Patience) -> Received<T> {
        let none = crossbeam_channel::never();
        let writes = if take_writes { &self.writes } else { &none };
        let timeout = match patience {
            Patience::Idle => IDLE_ROUND,
            Patience::Watch => WATCH_ROUND,
            Patience::Retry(pause) => pause,
        };
        if let Ok(message) = self.reads.try_recv() {
            return Received::Read(message);
        }
        let received = crossbeam_channel::select! {
            recv(self.reads) -> message => message.ok().map(Received::Read),
            recv(writes) -> message => message.ok().map(Received::Write),
            recv(self.rung) -> _ => return Received::Nothing,
            default(timeout) => return Received::Nothing,
        };
        // Both lanes lose their senders together, but each reports it as soon as it is empty.
        received.unwrap_or_else(|| match (self.reads.try_recv(), writes.try_recv()) {
            (Ok(message), _) => Received::Read(message),
            (_, Ok(message)) => Received::Write(message),
            // Not the end: what was accepted into a lane that is left alone still comes out of it.
            _ if !take_writes && !self.writes.is_empty() => {
                sleep(timeout);
                Received::Nothing
            }
            _ => Received::Disconnected,
        })
    }

    /// How many messages of this lane nobody has taken yet.
    pub(crate) fn queued(&self, lane: Lane) -> usize {
        match lane {
            Lane::Read => self.reads.len(),
            Lane::Write => self.writes.len(),
        }
    }

    /// Takes what is there, without waiting.
    pub(crate) fn try_recv(&self, lane: Lane) -> Option<T> {
        match lane {
            Lane::Read => self.reads.try_recv().ok(),
            Lane::Write => self.writes.try_recv().ok(),
        }
    }
}
