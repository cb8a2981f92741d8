//! What other programs do to the file, and what its triggers make of it.

use crate::{AttemptOutcome, EventKind, FeatureId, FenceToken, Field, Stored, Timestamp};

use super::super::foreign::Foreign;
use super::super::row::Row;
use super::{Model, Occasion, history};

impl Model {
    /// Does what the statement does; gives the number of rows, or `None` where the file refuses it.
    pub fn apply_foreign(&mut self, foreign: &Foreign) -> Option<usize> {
        match foreign {
            Foreign::Insert { .. } => return self.foreign_insert(foreign),
            Foreign::Delete(id) => return Some(self.foreign_delete((*id).into())),
            _ => {}
        }
        let values = foreign.values();
        let is_for = |(id, row): &(&FeatureId, &Row)| foreign.is_for(**id, row);
        let rows: Vec<FeatureId> = self.rows.iter().filter(is_for).map(|(id, _)| *id).collect();
        let is_refused = |(field, value): &(Field, Stored)| {
            *value == Stored::Null && self.layout.requires(*field)
        };
        if !rows.is_empty() && values.iter().any(is_refused) {
            return None;
        }
        for id in &rows {
            self.foreign_update(*id, &values);
        }
        Some(rows.len())
    }

    fn foreign_insert(&mut self, foreign: &Foreign) -> Option<usize> {
        let highest = self.rows.keys().map(|id| id.get()).max().unwrap_or(0);
        let Some(id) = highest.checked_add(1).map(FeatureId::from) else { return Some(0) };
        let row = Row::new(self.layout, foreign.values());
        if Field::ALL.into_iter().any(|f| *row.get(f) == Stored::Null && self.layout.requires(f)) {
            return None;
        }
        self.put(id, row.clone());
        let claim = row.is(Field::InProgress).then(|| self.foreign_claim(id));
        let occasion = Occasion { claim, ..EventKind::Created.into() };
        self.note_foreign(id, history::appearance(&row), occasion);
        Some(1)
    }

    fn foreign_delete(&mut self, id: FeatureId) -> usize {
        let claim = self.standing_number(id);
        let Some(row) = self.remove(id) else { return 0 };
        self.note_foreign(id, history::disappearance(&row), on(EventKind::Deleted, claim));
        if let Some((token, _)) = claim {
            let reason = Some("deleted by another program");
            self.close(token, AttemptOutcome::Released, Timestamp::EPOCH, reason);
        }
        1
    }

    fn foreign_update(&mut self, id: FeatureId, values: &[(Field, Stored)]) {
        let Some(before) = self.rows.get(&id).cloned() else { return };
        let mut after = before.clone();
        for (field, value) in values {
            after.set(self.layout, *field, value.clone());
        }
        if after == before {
            return;
        }
        self.put(id, after.clone());
        let begins = after.is(Field::InProgress) && !before.is(Field::InProgress);
        if begins && self.standing_number(id).is_none() {
            self.foreign_claim(id);
        }
        let claim = self.standing_number(id);
        let occasion = on(kind(&before, &after), claim);
        self.note_foreign(id, history::differences(&before, &after), occasion);
        if let Some((token, _)) = claim.filter(|_| !after.is(Field::InProgress)) {
            let outcome = if after.is(Field::Passes) {
                AttemptOutcome::Passed
            } else if after.is(Field::NeedsHumanInput) {
                AttemptOutcome::WaitingForHuman
            } else {
                AttemptOutcome::Released
            };
            self.close(token, outcome, Timestamp::EPOCH, Some("ended by another program"));
        }
        if after.is(Field::Passes) {
            self.forget_failures(id);
        }
    }

    fn foreign_claim(&mut self, id: FeatureId) -> FenceToken {
        self.new_claim(id, None, None, Timestamp::EPOCH)
    }
}

fn on(kind: EventKind, claim: Option<(FenceToken, bool)>) -> Occasion {
    Occasion {
        kind,
        claim: claim.map(|(token, _)| token),
        overrode: claim.is_some_and(|(_, owned)| owned),
    }
}

/// What such a change is called: the first that fits.
fn kind(before: &Row, after: &Row) -> EventKind {
    let begins = |field| after.is(field) && !before.is(field);
    let ends = |field| before.is(field) && !after.is(field);
    let later = match [before, after].map(|row| row.get(Field::Priority)) {
        [Stored::Integer(before), Stored::Integer(after)] => before < after,
        _ => false,
    };
    if begins(Field::Passes) {
        EventKind::Passed
    } else if ends(Field::Passes) {
        EventKind::Failed
    } else if begins(Field::NeedsHumanInput) {
        EventKind::Asked
    } else if ends(Field::NeedsHumanInput) {
        EventKind::Answered
    } else if begins(Field::InProgress) {
        EventKind::Claimed
    } else if ends(Field::InProgress) {
        if later { EventKind::Skipped } else { EventKind::Released }
    } else if before.get(Field::Dependencies) != after.get(Field::Dependencies) {
        EventKind::Depends
    } else {
        EventKind::Edited
    }
}
