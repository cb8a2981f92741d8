//! The project's store: opened beside the handshake, shared by all calls, opened anew where that is
//! the only remedy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

use super::agent::Agent;
use super::news::{News, Newsroom};
use super::present::Trouble;
use crate::{Command, Error, Features, OpenError, Store};

/// How long the end of the program waits for an opening that has begun. Breaking it off harms
/// nothing; it only leaves files that the next opening has to clean up.
const OPENING_AT_THE_END: Duration = Duration::from_secs(2);

/// Why claims end with the server, for the history.
const GONE: &str = "the agent's server ended";

/// An attempt to open the store: its outcome, once there is one. All calls that find it under way
/// share the outcome.
type Opening = watch::Receiver<Option<Result<Store, OpenError>>>;

/// A project whose store is opened when it is needed.
#[derive(Debug)]
pub(super) struct Project {
    folder: PathBuf,
    agent: Agent,
    newsroom: Newsroom,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    opening: Option<Opening>,
    /// Counts the openings, so that of many calls that find a store worn out only the first says so.
    generation: u64,
    /// A store that serves nothing more. It is closed before the next one is opened, since the file
    /// would otherwise lead to the same engine again.
    worn: Option<Store>,
}

impl State {
    /// The opening that counts, begun now where there is none or the last one failed: what was in
    /// the way may be gone.
    fn opening(&mut self, folder: &Path) -> Opening {
        if let Some(opening) = &self.opening
            && !has_failed(opening)
        {
            return opening.clone();
        }
        self.generation += 1;
        self.opening.insert(open(folder.to_owned(), self.worn.take())).clone()
    }
}

impl Project {
    pub(super) fn new(folder: PathBuf, agent: Agent) -> Self {
        Self { folder, agent, newsroom: Newsroom::default(), state: Mutex::default() }
    }

    /// For whom the server works on the project.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Begins to open the store, so that the first call finds it open.
    pub(super) async fn prepare(&self) {
        self.state.lock().await.opening(&self.folder);
    }

    /// Runs a command. Never blocks the thread; a dropped future withdraws the command.
    pub(super) async fn run<C>(&self, command: C) -> Result<C::Output, Trouble>
    where
        C: Command<Database = Features>,
    {
        let (store, generation) = self.store().await.map_err(|error| Trouble::unopened(&error))?;
        self.agent.attach(&store, generation).await?;
        // Each call has a clone of its own: clones do not queue behind each other's writes.
        let answer = match store.try_submit(command) {
            Ok(reply) => reply.await,
            Err(fault) => Err(Error::Storage(fault)),
        };
        match answer {
            Ok(output) => Ok(output),
            Err(Error::Refused(refusal)) => Err(Trouble::refused(&refusal)),
            Err(Error::Storage(fault)) => {
                tracing::warn!("{}: {fault}", C::NAME);
                if fault.needs_reopen() {
                    self.discard(store, generation).await;
                }
                Err(Trouble::fault(&fault))
            }
        }
    }

    /// Tells from now on when somebody has committed to the project's database.
    pub(super) async fn news(&self) -> Result<News, Trouble> {
        let (store, _) = self.store().await.map_err(|error| Trouble::unopened(&error))?;
        Ok(self.newsroom.subscribe(&store).await)
    }

    async fn store(&self) -> Result<(Store, u64), OpenError> {
        let (mut opening, generation) = {
            let mut state = self.state.lock().await;
            (state.opening(&self.folder), state.generation)
        };
        match opening.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(store))) => Ok((store.clone(), generation)),
            Ok(Some(Err(error))) => Err(error.clone()),
            Ok(None) | Err(_) => Err(OpenError::System {
                action: "opening",
                path: self.folder.clone(),
                detail: "the attempt ended without an outcome".to_owned(),
            }),
        }
    }

    /// Makes the next call open the store anew.
    async fn discard(&self, store: Store, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation && state.opening.take().is_some() {
            state.worn = Some(store);
        }
    }

    /// Closes the store: what was accepted is carried out, the agent's claims are given back, the log
    /// is copied back.
    pub(super) async fn close(&self) {
        let State { opening, worn, .. } = std::mem::take(&mut *self.state.lock().await);
        let mut stores: Vec<Store> = worn.into_iter().collect();
        if let Some(mut opening) = opening {
            let opened = opening.wait_for(Option::is_some);
            if let Ok(Ok(outcome)) = tokio::time::timeout(OPENING_AT_THE_END, opened).await {
                stores.extend(outcome.iter().flatten().cloned());
            }
        }
        let keeper = self.agent.retire().await;
        let closed = spawn_blocking(move || {
            if let Some(keeper) = keeper {
                keeper.release_all(GONE);
            }
            for store in stores {
                if let Some(fault) = store.close().fault {
                    tracing::warn!("closing {}: {fault}", store.path().display());
                }
            }
        });
        if closed.await.is_err() {
            tracing::error!("closing the store failed inside");
        }
    }
}

fn has_failed(opening: &Opening) -> bool {
    match &*opening.borrow() {
        Some(outcome) => outcome.is_err(),
        // The attempt is gone without an outcome.
        None => opening.has_changed().is_err(),
    }
}

fn open(folder: PathBuf, worn: Option<Store>) -> Opening {
    let (outcome, opening) = watch::channel(None);
    spawn_blocking(move || {
        drop(worn.inspect(|worn| drop(worn.close())));
        let opened = Store::open_project(&folder);
        report(&folder, &opened);
        outcome.send_replace(Some(opened));
    });
    opening
}

/// Logs what opening did to the project's files. The store itself warns of a list that it could not
/// import.
fn report(folder: &Path, opened: &Result<Store, OpenError>) {
    let folder = folder.display();
    match opened {
        Ok(store) => {
            let opening = store.opening();
            if opening.migrated {
                tracing::info!("{}: brought up to date", store.path().display());
            }
            if let Some(imported) = &opening.imported {
                let features = imported.features;
                tracing::info!("{folder}: imported {features} features from feature_list.json");
                if let Some(path) = &imported.kept_as {
                    tracing::info!("the list is kept as {}", path.display());
                } else {
                    tracing::warn!("the list could not be renamed, which does no harm");
                }
            }
        }
        Err(error) => tracing::error!("{error}"),
    }
}
