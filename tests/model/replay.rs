//! The history against the table: every event fits what the table held at that moment, and all of
//! them together lead from its beginning to its end, and back.

use std::collections::{BTreeMap, BTreeSet};

use autoforge_store::{Effect, EventKind, Field};

use crate::raw::{Cell, StoredClaim, StoredEvent, Table};

fn effect(event: &StoredEvent) -> Result<Effect, String> {
    let kind = EventKind::from_name(&event.kind);
    kind.map(EventKind::effect).ok_or_else(|| format!("no such kind: {event:?}"))
}

/// Carries out one event on the table, from `before` to `after` of each column that it names.
pub(crate) fn apply(table: &mut Table, event: &StoredEvent) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {event:#?}"));
    for field in Field::ALL {
        let (before, after) = (&event.before[&field], &event.after[&field]);
        let is_named = event.changed().any(|changed| changed == field);
        if !is_named && (*before != Cell::Null || *after != Cell::Null) {
            return wrong("a column that it does not name has a value");
        }
    }
    match effect(event)? {
        Effect::Creates => {
            if event.changed().count() != Field::ALL.len()
                || event.before.values().any(|cell| *cell != Cell::Null)
            {
                return wrong("what comes has no past and is whole");
            }
            if table.insert(event.feature, event.after.clone()).is_some() {
                return wrong("it was there");
            }
        }
        Effect::Removes => {
            if event.changed().count() != Field::ALL.len()
                || event.after.values().any(|cell| *cell != Cell::Null)
            {
                return wrong("what goes has no future and is whole");
            }
            if table.remove(&event.feature).as_ref() != Some(&event.before) {
                return wrong("the row was another one");
            }
        }
        Effect::Changes => {
            let Some(row) = table.get_mut(&event.feature) else { return wrong("no such row") };
            for field in event.changed() {
                let (before, after) = (&event.before[&field], &event.after[&field]);
                if before == after {
                    return wrong("it says that a column changed to what it was");
                }
                if row.insert(field, after.clone()).as_ref() != Some(before) {
                    return wrong("a column held something else");
                }
            }
        }
    }
    Ok(())
}

/// The event that takes this one back.
fn inverse(event: &StoredEvent) -> Result<StoredEvent, String> {
    let kind = match effect(event)? {
        Effect::Creates => EventKind::Withdrawn,
        Effect::Changes => EventKind::Undone,
        Effect::Removes => EventKind::Restored,
    };
    let (before, after) = (event.after.clone(), event.before.clone());
    Ok(StoredEvent { kind: kind.as_str().to_owned(), before, after, ..event.clone() })
}

/// From the beginning to the end.
pub(crate) fn forwards(start: &Table, events: &[StoredEvent]) -> Result<Table, String> {
    let mut table = start.clone();
    for event in events {
        apply(&mut table, event)?;
    }
    Ok(table)
}

/// From the end to where the events begin.
pub(crate) fn backwards(end: &Table, events: &[StoredEvent]) -> Result<Table, String> {
    let mut table = end.clone();
    for event in events.iter().rev() {
        apply(&mut table, &inverse(event)?)?;
    }
    Ok(table)
}

/// What the history and the ends of the attempts say of how often owners have failed since each
/// feature last passed or was reset.
pub(crate) fn failures(
    start: &Table,
    events: &[StoredEvent],
    claims: &BTreeMap<i64, StoredClaim>,
) -> Result<BTreeMap<i64, i64>, String> {
    let mut table = start.clone();
    let mut failures: BTreeMap<i64, i64> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    for event in events {
        apply(&mut table, event)?;
        let is_ours = event.pid.is_some();
        if let Some((token, claim)) =
            event.claim.and_then(|token| Some((token, claims.get(&token)?)))
            && is_ours
            && ["failed", "died", "expired"].contains(&event.kind.as_str())
            && claim.outcome.as_deref() == Some(&event.kind)
            && claim.agent.is_some()
            && counted.insert(token)
        {
            *failures.entry(event.feature).or_default() += 1;
        }
        let passes = table.get(&event.feature).map(|row| row[&Field::Passes].is_true());
        let is_reset = match passes {
            None => true,
            Some(passes) if !is_ours => passes,
            _ => ["passed", "retried"].contains(&event.kind.as_str()),
        };
        if is_reset {
            failures.remove(&event.feature);
        }
    }
    Ok(failures)
}
