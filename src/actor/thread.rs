//! An actor from its callers' side: the way to its thread, and the thread.

use std::sync::Arc;
use std::time::Instant;

use crate::sync::{
    JoinHandle, Lane, Mutex, Receiver, SendError, Sender, ThreadId, current_thread, mailbox, spawn,
};

/// What to do where the mailbox is full.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OnFull {
    /// Wait for a place.
    Wait,
    /// Wait for a place until then.
    WaitUntil(Instant),
    /// Give up.
    Refuse,
}

/// A thread with a mailbox, which ends when the mailbox is closed and emptied.
#[derive(Debug)]
pub(crate) struct Actor<J, R> {
    /// Taken by whoever closes the mailbox; the thread ends when the last copy is gone.
    sender: Mutex<Option<Sender<J>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_id: ThreadId,
    report: Arc<Mutex<Option<R>>>,
}

impl<J: Send + 'static, R: Clone + Send + 'static> Actor<J, R> {
    /// Starts the thread. `body` is given the mailbox, and drops it as soon as it takes nothing
    /// more from it, so that whoever still sends is told at once.
    pub(crate) fn start(
        name: &str,
        capacity: usize,
        body: impl FnOnce(Receiver<J>) -> R + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mailbox(capacity);
        let report = Arc::new(Mutex::new(None));
        let reported = Arc::clone(&report);
        let thread = spawn(name, move || {
            let end = body(receiver);
            *reported.lock() = Some(end);
        })?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            thread_id: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
            report,
        })
    }

    /// Puts a job into the mailbox.
    pub(crate) fn post(&self, lane: Lane, job: J, on_full: OnFull) -> Result<(), SendError<J>> {
        // A copy, so that closing need not wait for whoever waits for a place.
        let Some(sender) = self.sender.lock().clone() else {
            return Err(SendError::Disconnected(job));
        };
        match on_full {
            OnFull::Wait => sender.send(lane, job),
            OnFull::WaitUntil(deadline) => sender.send_until(lane, job, deadline),
            OnFull::Refuse => sender.try_send(lane, job),
        }
    }

    /// Whether the mailbox still takes jobs.
    pub(crate) fn is_open(&self) -> bool {
        self.sender.lock().is_some()
    }

    /// Closes the mailbox; what it accepted is still carried out.
    pub(crate) fn close_mailbox(&self) {
        drop(self.sender.lock().take());
    }

    /// Closes the mailbox and waits for the thread to end, unless it is that thread which calls: a
    /// waker may drop the last handle there, and it cannot wait for itself. Several callers at once
    /// all return after the end. `false` where the thread panicked.
    pub(crate) fn close(&self) -> bool {
        self.close_mailbox();
        if current_thread() == self.thread_id {
            return true;
        }
        // A second caller waits here until the first has seen the thread end.
        let mut thread = self.thread.lock();
        thread.take().is_none_or(|thread| thread.join().is_ok())
    }

    /// What the thread said at its end; `None` before, and where it panicked.
    pub(crate) fn report(&self) -> Option<R> {
        self.report.lock().clone()
    }
}
