//! The picture of runs elsewhere, below the events: what the file and the agents' logs tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::cli::board::Board;
use crate::orchestrator::last_words;
use crate::{
    Caller, Error, FeatureId, GetClaims, GetSnapshot, GetSummary, StandingClaim, StorageError,
    Store, Timestamp,
};

/// How long the picture may be behind the events while many of them come.
const BEHIND: Duration = Duration::from_millis(250);
/// Who claims without a name.
const NOBODY: &str = "somebody";

/// The picture, and what it was drawn from.
pub(super) struct Picture {
    board: Board,
    /// Who is on the board, by key; for those who name themselves, what their logs are found by.
    agents: BTreeMap<String, Option<Caller>>,
    drawn: Option<Instant>,
}

impl Picture {
    pub(super) fn new() -> Self {
        Self { board: Board::new(), agents: BTreeMap::new(), drawn: None }
    }

    /// Prints above the picture.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.board.aside(print)
    }

    /// Whether the picture has fallen behind.
    pub(super) fn is_behind(&self) -> bool {
        self.drawn.is_none_or(|drawn| drawn.elapsed() >= BEHIND)
    }

    /// Draws the project as it is now.
    pub(super) fn draw(&mut self, store: &Store) -> Result<(), StorageError> {
        self.board.stands(&store.call(GetSnapshot).map_err(storage)?);
        self.drawn = Some(Instant::now());
        self.draw_agents(store)
    }

    /// Draws who works, and what each said last. Claims end without a commit, too: when their process
    /// dies, or when their time is up.
    pub(super) fn draw_agents(&mut self, store: &Store) -> Result<(), StorageError> {
        let claims = store.call(GetClaims).map_err(storage)?;
        let standing = claims.into_iter().filter(|standing| standing.lapse.is_none());
        let mut hands: BTreeMap<String, Vec<StandingClaim>> = BTreeMap::new();
        for standing in standing {
            hands.entry(key(&standing)).or_default().push(standing);
        }
        let gone: BTreeSet<String> =
            self.agents.keys().filter(|agent| !hands.contains_key(*agent)).cloned().collect();
        for agent in gone {
            self.board.gone(&agent);
            self.agents.remove(&agent);
        }
        for (key, hand) in hands {
            let mut features = Vec::with_capacity(hand.len());
            for standing in &hand {
                let id = standing.claim.feature;
                // One that is deleted meanwhile is gone in the next picture.
                let name = store.call(GetSummary { id }).map_or(String::new(), |one| one.name);
                features.push((id, name));
            }
            self.draw_agent(key, &hand, features);
        }
        self.hear(store);
        Ok(())
    }

    fn draw_agent(
        &mut self,
        key: String,
        hand: &[StandingClaim],
        features: Vec<(FeatureId, String)>,
    ) {
        let now = Timestamp::now().to_microseconds();
        let since = |standing: &StandingClaim| {
            let elapsed = now.saturating_sub(standing.claim.taken_at.to_microseconds());
            Duration::from_micros(u64::try_from(elapsed).unwrap_or(0))
        };
        let age = hand.iter().map(since).max().unwrap_or_default();
        let owner = hand.first().and_then(|standing| standing.claim.owner.clone());
        let name = owner.as_ref().map_or(NOBODY, |owner| owner.agent.as_str());
        self.board.works(&key, name, age, features);
        self.agents.insert(key, owner);
    }

    fn hear(&mut self, store: &Store) {
        for (key, owner) in &self.agents {
            if let Some(words) = owner.as_ref().and_then(|owner| last_words(store, owner)) {
                self.board.said(key, &words);
            }
        }
    }
}

/// One line for each run of an agent, and for each claim of nobody.
fn key(standing: &StandingClaim) -> String {
    match &standing.claim.owner {
        Some(owner) => format!("{} {}", owner.agent, owner.session),
        None => format!("{NOBODY} {}", standing.claim.token),
    }
}

/// These reads refuse nothing.
fn storage(error: Error<std::convert::Infallible>) -> StorageError {
    match error {
        Error::Storage(fault) => fault,
        Error::Refused(never) => match never {},
    }
}
