//! Whom the server speaks for, and the claims that it holds for it.
//!
//! Every change carries the agent's name and session into the history. Whether a claim has an owner
//! is the choice of whoever starts the server: with a lease, the server claims in the agent's name,
//! remembers the tokens, and renews the leases from a thread of its own, so the agent itself needs to
//! know nothing of it. Without one, claims are taken for nobody in particular, as ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};

use super::Options;
use super::present::Trouble;
use crate::{
    Caller, Command, FeatureId, FenceToken, LeaseKeeper, ProcessIdentity, Signed, Store, Timestamp,
};

/// What an agent is called whose client does not introduce itself.
const NAMELESS: &str = "mcp";
/// Characters that are kept of what a client calls itself.
const NAME_CHARS: usize = 100;

/// Whom the server speaks for.
#[derive(Debug)]
pub(super) struct Agent {
    /// What the agent is called, if the server was told.
    name: Option<String>,
    session: String,
    lease: Option<Duration>,
    caller: OnceCell<Arc<Caller>>,
    claims: Mutex<Claims>,
}

#[derive(Debug)]
struct Claims {
    /// Claims that somebody else has taken for the agent, and keeps alive.
    lent: BTreeMap<FeatureId, FenceToken>,
    /// Holds the agent's own claims; there is one as soon as there is a lease and a store.
    keeper: Option<LeaseKeeper>,
    /// The opening of the store on which the keeper renews.
    generation: u64,
}

/// What comes with a call beside its own arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    /// Under which claim the caller says that it acts.
    pub(super) token: Option<FenceToken>,
    pub(super) overriding: bool,
    pub(super) reason: Option<String>,
}

/// Signs the commands of one call.
#[derive(Debug, Clone)]
pub(super) struct Pen {
    caller: Arc<Caller>,
    lease: Option<Duration>,
    extras: Extras,
}

impl Pen {
    pub(super) fn sign<C: Command>(&self, command: C) -> Signed<C> {
        let mut signed = command.by(&self.caller);
        if self.lease.is_some() {
            signed = signed.owning(self.lease);
        }
        if let Some(token) = self.extras.token {
            signed = signed.under(token);
        }
        if self.extras.overriding {
            signed = signed.overriding();
        }
        match &self.extras.reason {
            Some(reason) => signed.because(reason),
            None => signed,
        }
    }
}

impl Agent {
    pub(super) fn new(options: &Options) -> Self {
        let session = options
            .session
            .clone()
            .unwrap_or_else(|| format!("{}/{}", Timestamp::now().to_iso8601(), std::process::id()));
        let lent = options.claims.iter().copied().collect();
        Self {
            name: options.agent.clone(),
            session,
            lease: options.lease,
            caller: OnceCell::new(),
            claims: Mutex::new(Claims { lent, keeper: None, generation: 0 }),
        }
    }

    /// Takes the agent's name from what its client calls itself, where the server was told none. The
    /// first name counts, since claims belong to whoever has taken them.
    pub(super) async fn introduce(&self, client: Option<&str>) {
        self.called(client).await;
    }

    async fn called(&self, client: Option<&str>) -> &Arc<Caller> {
        self.caller
            .get_or_init(|| async {
                let shown = |name: &str| -> String {
                    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect()
                };
                let client = client.map(shown).filter(|name| !name.trim().is_empty());
                let name = self.name.clone().or(client).unwrap_or_else(|| NAMELESS.to_owned());
                Arc::new(Caller::new(name, &self.session).in_process(ProcessIdentity::current()))
            })
            .await
    }

    /// A pen for one call of the agent; for a call about a feature that it has claimed, under that
    /// claim.
    pub(super) async fn pen(&self, feature: Option<FeatureId>, mut extras: Extras) -> Pen {
        if let Some(feature) = feature.filter(|_| extras.token.is_none() && !extras.overriding) {
            extras.token = self.token_of(feature).await;
        }
        Pen { caller: Arc::clone(self.called(None).await), lease: self.lease, extras }
    }

    /// The claim under which the agent works on a feature, as far as the server knows.
    pub(super) async fn token_of(&self, feature: FeatureId) -> Option<FenceToken> {
        let claims = self.claims.lock().await;
        let own = claims.keeper.as_ref().and_then(|keeper| keeper.token_of(feature));
        own.or_else(|| claims.lent.get(&feature).copied())
    }

    /// Whether what the agent claims belongs to it.
    pub(super) fn owns(&self) -> bool {
        self.lease.is_some()
    }

    /// Has the store, if it is a new one, used for renewing the leases from now on.
    pub(super) async fn attach(&self, store: &Store, generation: u64) -> Result<(), Trouble> {
        let Some(lease) = self.lease else { return Ok(()) };
        let mut claims = self.claims.lock().await;
        if claims.generation == generation {
            return Ok(());
        }
        if let Some(keeper) = &claims.keeper {
            keeper.attach(store);
        } else {
            let caller = Caller::clone(self.called(None).await);
            let keeper = LeaseKeeper::start(store, caller, lease);
            claims.keeper = Some(keeper.map_err(|error| Trouble::unrenewed(&error))?);
        }
        claims.generation = generation;
        Ok(())
    }

    /// Keeps a claim that was taken in the agent's name.
    pub(super) async fn keep(&self, feature: FeatureId, token: FenceToken) {
        let mut claims = self.claims.lock().await;
        if claims.lent.get(&feature) == Some(&token) {
            return;
        }
        claims.lent.remove(&feature);
        if let Some(keeper) = &claims.keeper {
            keeper.keep(feature, token);
        }
    }

    /// The claim has ended with what the agent did, unless it has claimed the feature anew since.
    pub(super) async fn forget(&self, feature: FeatureId, token: FenceToken) {
        let mut claims = self.claims.lock().await;
        if claims.lent.get(&feature) == Some(&token) {
            claims.lent.remove(&feature);
        }
        if let Some(keeper) = &claims.keeper
            && keeper.token_of(feature) == Some(token)
        {
            keeper.forget(feature);
        }
    }

    /// Takes the keeper away, for the end of the server.
    pub(super) async fn retire(&self) -> Option<LeaseKeeper> {
        self.claims.lock().await.keeper.take()
    }
}
