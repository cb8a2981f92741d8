//! Which changes are in force, and what stands on what.

use std::collections::{BTreeMap, BTreeSet};

use crate::tx::{Access, EventOutline, Tx};
use crate::types::{Effect, EventId, FeatureId};

/// All changes that are kept, without their values.
pub(super) struct Ledger {
    events: BTreeMap<EventId, EventOutline>,
    by_feature: BTreeMap<FeatureId, Vec<EventId>>,
    /// Those that are not in force.
    taken_back: BTreeSet<EventId>,
}

impl Ledger {
    pub(super) fn read<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Self> {
        let mut by_feature: BTreeMap<FeatureId, Vec<EventId>> = BTreeMap::new();
        let mut events = BTreeMap::new();
        for outline in tx.event_outlines()? {
            by_feature.entry(outline.feature).or_default().push(outline.id);
            events.insert(outline.id, outline);
        }
        // What takes an event back comes after it: from the end, each is decided before it decides.
        let mut taken_back = BTreeSet::new();
        for event in events.values().rev() {
            if let Some(target) = event.undoes.filter(|_| !taken_back.contains(&event.id)) {
                taken_back.insert(target);
            }
        }
        Ok(Self { events, by_feature, taken_back })
    }

    pub(super) fn find(&self, id: EventId) -> Option<&EventOutline> {
        self.events.get(&id)
    }

    pub(super) fn is_in_force(&self, id: EventId) -> bool {
        !self.taken_back.contains(&id)
    }

    /// The changes of a feature, oldest first.
    pub(super) fn of_feature(
        &self,
        id: FeatureId,
    ) -> impl DoubleEndedIterator<Item = &EventOutline> {
        let ids = self.by_feature.get(&id).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.events.get(id))
    }

    /// The changes that were made by one command, oldest first.
    pub(super) fn of_command(&self, first: EventId) -> impl Iterator<Item = &EventOutline> {
        let events = self.events.range(first..).map(|(_, event)| event);
        events.take_while(move |event| event.command <= first).filter(move |e| e.command == first)
    }

    /// What takes an event back that is not in force.
    pub(super) fn taken_back_by(&self, id: EventId) -> Option<EventId> {
        let later = self.of_feature(self.find(id)?.feature).rev();
        later.filter(|e| e.undoes == Some(id)).map(|e| e.id).find(|id| self.is_in_force(*id))
    }

    /// The last change that stands on an event: it came later, is in force, and changed a column
    /// that the event changed, or made or removed the row. What only took back another later one
    /// does not count, for both together changed nothing.
    pub(super) fn standing_on(&self, event: &EventOutline) -> Option<EventId> {
        let later = self.of_feature(event.feature).rev().take_while(|later| later.id > event.id);
        later
            .filter(|later| self.is_in_force(later.id))
            .filter(|later| later.undoes.is_none_or(|target| target < event.id))
            .find(|later| later.fields.meets(event.fields))
            .map(|later| later.id)
    }

    /// Whether a feature was removed after an event.
    pub(super) fn was_removed_after(&self, event: EventId, id: FeatureId) -> bool {
        let mut later = self.of_feature(id).rev().take_while(|later| later.id > event);
        later.any(|later| later.kind.effect() == Effect::Removes)
    }

    /// Notes that an event which is in force is taken back. If it took back another one, that one is
    /// in force again, so what that one took back is not, and so on.
    pub(super) fn take_back(&mut self, id: EventId) {
        let (mut next, mut in_force) = (Some(id), false);
        while let Some(id) = next {
            if in_force {
                self.taken_back.remove(&id);
            } else {
                self.taken_back.insert(id);
            }
            in_force = !in_force;
            next = self.find(id).and_then(|event| event.undoes);
        }
    }
}
