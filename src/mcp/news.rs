//! Waiting calls are told when somebody has committed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

use crate::{Commits, Store};

/// How long the thread goes on at most after the last call that waited has gone.
const LOOK: Duration = Duration::from_secs(1);

/// Where calls subscribe. One thread waits for commits in the place of all of them, for as long as
/// there are any, so that a call which is withdrawn leaves nothing behind.
#[derive(Debug, Default)]
pub(super) struct Newsroom(Arc<Mutex<Desk>>);

/// Invariant: there is a sender exactly while the thread runs, so nobody subscribes to silence.
type Desk = Option<watch::Sender<()>>;

/// What one call is told.
#[derive(Debug)]
pub(super) struct News(watch::Receiver<()>);

impl Newsroom {
    /// Tells of the next commit from now on, or of the end of the store.
    pub(super) async fn subscribe(&self, store: &Store) -> News {
        let mut desk = self.0.lock().await;
        if let Some(sender) = desk.as_ref() {
            return News(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(());
        *desk = Some(sender);
        let (room, commits, store) = (Arc::clone(&self.0), store.commits(), store.clone());
        spawn_blocking(move || report(&room, commits, &store));
        News(receiver)
    }
}

fn report(room: &Mutex<Desk>, mut commits: Commits, store: &Store) {
    loop {
        let news = commits.wait(LOOK);
        let mut desk = room.blocking_lock();
        match desk.as_ref() {
            Some(sender) if sender.receiver_count() > 0 && store.is_open() => {
                if news {
                    sender.send_replace(());
                }
            }
            _ => {
                // Whoever still waits is told by the loss of the sender.
                *desk = None;
                return;
            }
        }
    }
}

impl News {
    /// Waits for the next commit; returns too where the store has ended. To be subscribed to anew
    /// afterwards.
    pub(super) async fn next(mut self) {
        // An error is the end of the store; the next look at the data says why.
        let _ = self.0.changed().await;
    }
}
