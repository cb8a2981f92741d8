//! The history: what every event says.

use crate::{Change, Event, EventId, FeatureId, Field, Stored, Timestamp};

use super::super::row::Row;
use super::{Model, Occasion};

/// What differs between two states of a row.
pub(super) fn differences(before: &Row, after: &Row) -> Vec<Change> {
    let change = |field| {
        let (before, after) = (before.get(field).clone(), after.get(field).clone());
        (before != after).then_some(Change { field, before, after })
    };
    Field::ALL.into_iter().filter_map(change).collect()
}

/// A row that came.
pub(super) fn appearance(row: &Row) -> Vec<Change> {
    let change = |field| Change { field, before: Stored::Null, after: row.get(field).clone() };
    Field::ALL.map(change).into()
}

/// A row that went.
pub(super) fn disappearance(row: &Row) -> Vec<Change> {
    let change = |field| Change { field, before: row.get(field).clone(), after: Stored::Null };
    Field::ALL.map(change).into()
}

impl Model {
    fn next_event(&self) -> EventId {
        EventId::from(self.events.last().map_or(0, |event| event.id.get()) + 1)
    }

    /// Writes down what the call did.
    pub(super) fn note(&mut self, feature: FeatureId, changes: Vec<Change>, occasion: Occasion) {
        let id = self.next_event();
        let caller = self.now.call.caller();
        let first = *self.now.first_event.get_or_insert(id);
        self.events.push(Event {
            at: self.now.world.moment().wall,
            agent: caller.as_ref().map(|caller| caller.agent.clone()),
            session: caller.map(|caller| caller.session),
            pid: Some(std::process::id()),
            reason: self.now.call.reason.map(str::to_owned),
            command: first,
            ..anonymous(id, feature, changes, occasion)
        });
    }

    /// Writes down what another program did.
    pub(super) fn note_foreign(
        &mut self,
        feature: FeatureId,
        changes: Vec<Change>,
        occasion: Occasion,
    ) {
        self.events.push(anonymous(self.next_event(), feature, changes, occasion));
    }

    pub(super) fn changes(&self, since: i64, limit: usize) -> Result<Vec<Event>, &'static str> {
        let after = |event: &&Event| event.id.get() > since;
        if since > self.events.last().map_or(0, |event| event.id.get()) {
            return Err("unknown_event");
        }
        if since < 0 && !self.events.is_empty() {
            return Err("events_forgotten");
        }
        Ok(self.events.iter().filter(after).take(limit).cloned().collect())
    }

    pub(super) fn log(
        &self,
        feature: Option<i64>,
        session: Option<&str>,
        before: Option<i64>,
    ) -> Vec<Event> {
        let is_wanted = |event: &&Event| {
            feature.is_none_or(|id| event.feature.get() == id)
                && session.is_none_or(|session| event.session.as_deref() == Some(session))
                && before.is_none_or(|before| event.id.get() < before)
        };
        self.events.iter().rev().filter(is_wanted).cloned().collect()
    }
}

fn anonymous(id: EventId, feature: FeatureId, changes: Vec<Change>, occasion: Occasion) -> Event {
    Event {
        id,
        at: Timestamp::EPOCH,
        feature,
        kind: occasion.kind,
        agent: None,
        session: None,
        pid: None,
        claim: occasion.claim,
        overrode: occasion.overrode,
        reason: None,
        command: id,
        undoes: None,
        changes,
    }
}
