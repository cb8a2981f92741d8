//! Keeping claims alive: a thread of the process that holds them begins their leases anew.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Reply, Store};
use crate::command::{ClearInProgress, Command, RecoverClaims, RenewClaims, Signed};
use crate::error::Error;
use crate::sync::{Condvar, JoinHandle, Mutex, spawn};
use crate::types::{Caller, FeatureId, FenceToken, ProcessIdentity};

/// A lease is renewed when so much of it has passed: two attempts may fail before it runs out.
const RENEWALS_A_LEASE: u32 = 3;
/// After a failed renewal, the next one is tried when so much of the lease has passed.
const RETRIES_A_LEASE: u32 = 20;

/// Holds claims for one caller, and renews their leases from a thread of its own.
///
/// An agent may think for an hour without asking anything; its claims stand as long as the process
/// that holds them lives and its thread runs. When the process dies, others take the features at
/// once; when it is stopped, they do when the lease has run out, and what it does afterwards under
/// those claims is refused.
///
/// Each round also ends the claims of others that are over, so that programs which only know the
/// flags in the file see those features as free.
///
/// Dropping it ends the thread. The claims stand until their leases run out or the process ends;
/// [`LeaseKeeper::tokens`] says which they are.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use std::time::Duration;
/// use autoforge_store::{
///     Caller, ClaimFeature, CreateFeature, LeaseKeeper, MarkPassing, NewFeature, Store,
/// };
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let id = store.call(CreateFeature::new(login)).unwrap().id;
///
/// let agent = Caller::new("coder-1", "monday");
/// let keeper = LeaseKeeper::start(&store, agent, Duration::from_secs(120)).unwrap();
/// let claim = store.call(keeper.sign(ClaimFeature { id })).unwrap();
/// keeper.keep(id, claim.token.unwrap());
/// // … an hour later …
/// store.call(keeper.under(id, MarkPassing { id })).unwrap();
/// keeper.forget(id);
/// ```
pub struct LeaseKeeper {
    caller: Arc<Caller>,
    lease: Duration,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// `None` once it serves nothing more, until there is another one.
    store: Option<Store>,
    held: BTreeMap<FeatureId, Held>,
    ended: bool,
}

/// A claim, which may have been lost meanwhile.
#[derive(Debug, Clone, Copy)]
struct Held {
    token: FenceToken,
    lost: bool,
}

impl fmt::Debug for LeaseKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseKeeper")
            .field("caller", &self.caller)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl LeaseKeeper {
    /// Starts the thread. The caller becomes one of this process, whatever it was before.
    ///
    /// The lease should be well above the time for which a process may be kept from running: at
    /// 60 s or more, a busy machine loses no claims. Below 30 s, a program that holds the write
    /// lock for as long as a [`Store`] waits may cost a claim.
    ///
    /// # Errors
    /// Where the system starts no thread.
    pub fn start(store: &Store, caller: Caller, lease: Duration) -> io::Result<Self> {
        let caller = Arc::new(caller.in_process(ProcessIdentity::current()));
        let state = State { store: Some(store.clone()), held: BTreeMap::new(), ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (of_thread, signer) = (Arc::clone(&shared), Arc::clone(&caller));
        let thread = spawn("autoforge-leases", move || of_thread.serve(&signer, lease))?;
        Ok(Self { caller, lease, shared, thread: Some(thread) })
    }

    /// For whom it holds claims.
    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Signs a command as the caller's; what it claims is owned by the caller under the lease.
    pub fn sign<C: Command>(&self, command: C) -> Signed<C> {
        command.by(&self.caller).owning(Some(self.lease))
    }

    /// Signs a command that is done under the claim on a feature, if the caller has claimed it.
    ///
    /// A claim that was lost is still named, so that the command is refused: the caller must not go
    /// on as if nothing had happened, even if nobody has taken the feature. Claiming it again helps.
    pub fn under<C: Command>(&self, feature: FeatureId, command: C) -> Signed<C> {
        let signed = self.sign(command);
        match self.token_of(feature) {
            Some(token) => signed.under(token),
            None => signed,
        }
    }

    /// Keeps a claim that the caller has made, in the place of an earlier one on the same feature.
    pub fn keep(&self, feature: FeatureId, token: FenceToken) {
        self.shared.state.lock().held.insert(feature, Held { token, lost: false });
        self.shared.changed.notify_all();
    }

    /// Keeps the claim on a feature no longer: it has ended, or shall end by itself.
    pub fn forget(&self, feature: FeatureId) {
        self.shared.state.lock().held.remove(&feature);
    }

    /// The token of the caller's claim on a feature, also of one that was lost.
    #[must_use]
    pub fn token_of(&self, feature: FeatureId) -> Option<FenceToken> {
        self.shared.state.lock().held.get(&feature).map(|held| held.token)
    }

    /// Goes on with another store of the same file, where the one before had to be opened anew.
    pub fn attach(&self, store: &Store) {
        self.shared.state.lock().store = Some(store.clone());
        self.shared.changed.notify_all();
    }

    /// Gives every claim back, with the reason for the history; what cannot be given back now ends
    /// with the process. Waits as long as one command does, however many claims there are.
    pub fn release_all(&self, reason: &str) {
        let Some(store) = self.shared.state.lock().store.clone() else { return };
        let release = |(id, token)| {
            let release = ClearInProgress { id }.under(token).because(reason);
            (id, store.submit(self.sign(release)))
        };
        // Handed in before the first is waited for, they share transactions.
        let releases: Vec<_> = self.tokens().into_iter().map(release).collect();
        for (id, reply) in releases {
            if let Err(fault) = reply.map_err(Error::from).and_then(Reply::wait) {
                tracing::warn!(feature = %id, %fault, "a claim was not given back");
            }
            self.forget(id);
        }
    }

    /// The claims that it keeps, as far as it knows.
    #[must_use]
    pub fn tokens(&self) -> Vec<(FeatureId, FenceToken)> {
        let state = self.shared.state.lock();
        let kept = state.held.iter().filter(|(_, held)| !held.lost);
        kept.map(|(feature, held)| (*feature, held.token)).collect()
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(caller = %self.caller, "the thread that renewed leases panicked");
        }
    }
}

impl Shared {
    /// Renews until the end.
    fn serve(&self, caller: &Arc<Caller>, lease: Duration) {
        let (usual, soon) = (lease / RENEWALS_A_LEASE, lease / RETRIES_A_LEASE);
        let mut due = Instant::now().checked_add(usual);
        while let Some((store, tokens)) = self.wait(&mut due, usual) {
            let pause = if self.renew(&store, caller, tokens) { usual } else { soon };
            due = Instant::now().checked_add(pause);
        }
    }

    /// Waits until claims have to be renewed, and gives their tokens; `None` at the end.
    fn wait(&self, due: &mut Option<Instant>, usual: Duration) -> Option<(Store, Vec<FenceToken>)> {
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return None;
            }
            let kept = state.held.values().filter(|held| !held.lost);
            let tokens: Vec<FenceToken> = kept.map(|held| held.token).collect();
            let Some(store) = state.store.clone().filter(|_| !tokens.is_empty()) else {
                self.changed.wait(&mut state);
                // A claim that has come just now is as fresh as can be.
                *due = Instant::now().checked_add(usual);
                continue;
            };
            match *due {
                Some(due) if Instant::now() < due => {
                    self.changed.wait_until(&mut state, due);
                }
                Some(_) => return Some((store, tokens)),
                // A lease beyond all time needs no renewal.
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Renews the claims; `false` where that has to be tried again.
    fn renew(&self, store: &Store, caller: &Arc<Caller>, tokens: Vec<FenceToken>) -> bool {
        // Handed in together, the two share a transaction.
        let renewed = store.submit(RenewClaims { tokens }.by(caller));
        let recovered = store.submit(RecoverClaims.by(caller));
        if let Ok(Err(fault)) = recovered.map(Reply::wait) {
            tracing::debug!(%fault, "claims that are over were not ended this time");
        }
        match renewed.map_err(Error::from).and_then(Reply::wait) {
            Ok(renewed) => {
                let mut state = self.state.lock();
                for held in state.held.values_mut().filter(|h| renewed.lost.contains(&h.token)) {
                    held.lost = true;
                    tracing::warn!(token = %held.token, "a claim is over, though it was not given back");
                }
                true
            }
            Err(Error::Storage(fault)) if fault.needs_reopen() => {
                tracing::warn!(%fault, "leases are not renewed until the store is opened again");
                let mut state = self.state.lock();
                // Unless somebody has attached another one meanwhile.
                state.store.take_if(|current| !current.is_open());
                false
            }
            Err(fault) => {
                tracing::warn!(%fault, "leases were not renewed; trying again");
                false
            }
        }
    }
}
