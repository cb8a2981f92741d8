//! The history of changes: as a feed that goes on, and backwards from now.

use std::convert::Infallible;

use super::Command;
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Read, Tx};
use crate::types::{Event, EventId, FeatureId};

/// Why [`GetChanges`] cannot go on from where its caller was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesRefusal {
    /// Events that the caller has not seen are forgotten already. Read the features anew and go on
    /// from `last`.
    #[error(
        "events after {since} are forgotten up to {oldest}; read the features, then go on from {last}"
    )]
    Forgotten {
        /// From where the caller wanted to go on.
        since: EventId,
        /// The oldest event that is kept.
        oldest: EventId,
        /// The last event.
        last: EventId,
    },
    /// The file has no such event yet: the number is of another file, or of a file that was
    /// replaced by an older copy of it.
    #[error(
        "the last event is {last}, so {since} is not of this file; read the features, then go on from {last}"
    )]
    Unknown {
        /// From where the caller wanted to go on.
        since: EventId,
        /// The last event.
        last: EventId,
    },
}

impl Refusal for ChangesRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Forgotten { .. } => "events_forgotten",
            Self::Unknown { .. } => "unknown_event",
        }
    }
}

/// The events after one, oldest first: a feed across processes. Go on from the last event of the
/// answer; nothing is missed and nothing comes twice. [`Store::commits`](crate::Store::commits) tells
/// when to look again.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateFeature, EventId, EventKind, GetChanges, NewFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// store.call(CreateFeature::new(login)).unwrap();
/// let changes = store.call(GetChanges { since: EventId::START, limit: 100 }).unwrap();
/// assert_eq!(changes[0].kind, EventKind::Created);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GetChanges {
    /// The last event that the caller has seen; [`EventId::START`] for none.
    pub since: EventId,
    /// At most so many are given.
    pub limit: usize,
}

impl Command for GetChanges {
    const NAME: &'static str = "get_changes";
    type Database = Features;
    type Access = Read;
    type Output = Vec<Event>;
    type Rejection = ChangesRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Event>, Failure<ChangesRefusal>> {
        let (since, last) = (self.since, tx.last_event()?);
        if since > last {
            return Err(Failure::Refused(ChangesRefusal::Unknown { since, last }));
        }
        if let Some((oldest, _)) = tx.event_bounds()?
            && oldest.get() > since.get().saturating_add(1)
        {
            return Err(Failure::Refused(ChangesRefusal::Forgotten { since, oldest, last }));
        }
        Ok(tx.events_after(since, self.limit)?)
    }
}

/// The latest events, newest first.
#[derive(Debug, Clone, Default)]
pub struct GetLog {
    /// Of this feature alone.
    pub feature: Option<FeatureId>,
    /// Of one session alone.
    pub session: Option<String>,
    /// Before this event, to turn a page.
    pub before: Option<EventId>,
    /// At most so many are given.
    pub limit: usize,
}

impl Command for GetLog {
    const NAME: &'static str = "get_log";
    type Database = Features;
    type Access = Read;
    type Output = Vec<Event>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Event>, Failure<Infallible>> {
        Ok(tx.events_before(self.before, self.feature, self.session.as_deref(), self.limit)?)
    }
}
