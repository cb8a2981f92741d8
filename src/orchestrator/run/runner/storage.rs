//! Calls of the storage, which may be locked, full or gone for a while, without the loop standing still.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Runner;
use crate::orchestrator::agent::{Heard, Urge};
use crate::orchestrator::happening::Happening;
use crate::{Command, Error, Features, Refusal, StorageError, Store};

/// How long the thread that waits for commits goes on after the run.
const LOOK: Duration = Duration::from_secs(1);
/// How long somebody in a hurry waits for the storage.
const HURRIED: Duration = Duration::from_secs(2);

/// Why a call of the storage brought nothing.
pub(super) enum Trouble<R> {
    Refused(R),
    Storage(StorageError),
}

impl Runner<'_> {
    /// Calls the storage, and goes on hearing agents meanwhile: the storage may wait for another
    /// program's lock for as long as half a minute.
    pub(super) async fn call<C>(&mut self, command: C) -> Result<C::Output, Trouble<C::Rejection>>
    where
        C: Command<Database = Features>,
    {
        self.reopen().await?;
        let reply = self.store.try_submit(command).map_err(Trouble::Storage)?;
        let mut reply = pin!(reply);
        let mut urge = self.urge.clone();
        let mut hurry = pin!(until_hurried(&mut urge));
        loop {
            tokio::select! {
                biased;
                answer = &mut reply => return match answer {
                    Ok(output) => Ok(output),
                    Err(Error::Refused(refusal)) => Err(Trouble::Refused(refusal)),
                    Err(Error::Storage(fault)) => {
                        self.worn = fault.needs_reopen();
                        Err(Trouble::Storage(fault))
                    }
                },
                Some(heard) = self.receiver.recv() => match heard {
                    Heard::Said(agent, line) => {
                        (self.observe)(&Happening::Said { agent, line });
                    }
                    ended @ Heard::Ended(..) => self.unheard.push_back(ended),
                },
                () = &mut hurry => {
                    return Err(Trouble::Storage(StorageError::DeadlinePassed { allowed: HURRIED }));
                }
            }
        }
    }

    /// Opens the store anew where that is the only remedy.
    async fn reopen<R: Refusal>(&mut self) -> Result<(), Trouble<R>> {
        if self.store.is_open() && !self.worn {
            return Ok(());
        }
        let (worn, options) = (self.store.clone(), self.options);
        let project = self.workplace.project().to_owned();
        let opened = spawn_blocking(move || {
            worn.close();
            Store::open_project_with(project, &options)
        });
        let fault = match opened.await {
            Ok(Ok(store)) => {
                self.keeper.attach(&store);
                self.commits = watch_commits(&store);
                (self.store, self.worn) = (store, false);
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let path = self.store.path().into();
        Err(Trouble::Storage(StorageError::Poisoned { path, cause: fault }))
    }

    pub(super) fn tell_trouble(&mut self, fault: &StorageError) {
        (self.observe)(&Happening::Trouble(fault.to_string()));
    }
}

/// Until somebody has been in a hurry for as long as the storage may take then.
pub(super) async fn until_hurried(urge: &mut watch::Receiver<Urge>) {
    if urge.wait_for(|urge| *urge == Urge::Hurry).await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(HURRIED).await;
}

/// Tells of every commit, from a thread that ends with its store or with whoever listens.
pub(super) fn watch_commits(store: &Store) -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    let (mut commits, store) = (store.commits(), store.clone());
    spawn_blocking(move || {
        while !sender.is_closed() && store.is_open() {
            if commits.wait(LOOK) {
                sender.send_replace(());
            }
        }
    });
    receiver
}
