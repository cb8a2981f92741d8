//! Taking back whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use autoforge_store::testing::ops;
use autoforge_store::{CheckFeatures, GetChanges, ListFeatures};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rusqlite::types::Value as Sql;

/// The columns of every feature, by name, as the file holds them.
type Table = BTreeMap<i64, Vec<(&'static str, Sql)>>;

fn table(project: &Project) -> Table {
    let columns = Field::ALL.map(Field::as_str).join(", ");
    let connection = project.foreign();
    let mut statement = connection.prepare(&format!("SELECT id, {columns} FROM features")).unwrap();
    let rows = statement.query_map([], |row| {
        let value = |(at, field): (usize, &Field)| Ok((field.as_str(), row.get(at + 1)?));
        let columns = Field::ALL.iter().enumerate().map(value);
        Ok((row.get(0)?, columns.collect::<rusqlite::Result<Vec<_>>>()?))
    });
    let rows = rows.unwrap().map(Result::unwrap);
    let unclaimed = |(id, mut columns): (i64, Vec<(&'static str, Sql)>)| {
        columns.retain(|(name, _)| *name != "in_progress");
        (id, columns)
    };
    rows.map(unclaimed).collect()
}

fn sql(value: &Stored) -> Sql {
    match value {
        Stored::Null => Sql::Null,
        Stored::Integer(number) => Sql::Integer(*number),
        Stored::Real(number) => Sql::Real(*number),
        Stored::Text(text) => Sql::Text(text.clone()),
        Stored::BadText(bytes) | Stored::Blob(bytes) => Sql::Blob(bytes.clone()),
    }
}

/// What a table was before an event, if it is `table` after it.
fn before(mut table: Table, event: &Event) -> Table {
    let id = event.feature.get();
    if event.kind.effect() == Effect::Creates {
        table.remove(&id);
        return table;
    }
    let row = table.entry(id).or_default();
    for change in event.changes.iter().filter(|change| change.field != Field::InProgress) {
        let name = change.field.as_str();
        match row.iter_mut().find(|(column, _)| *column == name) {
            Some((_, value)) => *value = sql(&change.before),
            None => row.push((name, sql(&change.before))),
        }
    }
    table
}

fn release_all(store: &Store) {
    for feature in store.call(ListFeatures).unwrap() {
        store.call(ClearInProgress { id: feature.id }).unwrap();
    }
}

fn is_claim_alone(event: &Event) -> bool {
    event.changes.iter().all(|change| change.field == Field::InProgress)
}

/// Whether the command that created the feature of an event created these others as well.
fn came_together(store: &Store, event: &Event, others: &[FeatureId]) -> bool {
    let siblings: BTreeSet<FeatureId> = log(store, usize::MAX)
        .iter()
        .filter(|e| e.command == event.command && e.kind.effect() == Effect::Creates)
        .map(|e| e.feature)
        .collect();
    others.iter().all(|id| siblings.contains(id))
}

fn cases(usual: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: wanted.unwrap_or(usual), ..ProptestConfig::default() }
}

/// What no undo may make worse: who is in progress, priorities that several features have, and
/// features that wait for themselves through others.
fn troubles(store: &Store) -> BTreeSet<String> {
    let features = store.call(ListFeatures).unwrap();
    let findings = store.call(CheckFeatures).unwrap();
    let mut troubles = BTreeSet::new();
    for (at, feature) in features.iter().enumerate() {
        if feature.in_progress {
            troubles.insert(format!("{} is in progress", feature.id));
        }
        for other in features.iter().skip(at + 1).filter(|f| f.priority == feature.priority) {
            troubles.insert(format!("{} and {} have one priority", feature.id, other.id));
        }
    }
    troubles.extend(findings.cycles.iter().map(|ids| format!("{ids:?} wait for each other")));
    troubles
}

proptest! {
    #![proptest_config(cases(24))]

    /// Newest first, each event is either refused by a rule, or the table is what it was before.
    #[test]
    fn any_history_is_taken_back_step_by_step_and_brought_back(ops in ops(25)) {
        let project = Project::new();
        let store = project.open();
        // What the table was before each command that changed it, and the last event before it.
        let mut past: Vec<(i64, Table)> = Vec::new();
        for op in ops.iter() {
            let last = log(&store, 1).first().map_or(0, |event| event.id.get());
            past.push((last, table(&project)));
            let _ = op.apply_to(&store);
        }
        let (at_last, since) = (table(&project), log(&store, 1).first().map_or(EventId::START, |e| e.id));
        release_all(&store);

        let mut all_undone = true;
        for event in log(&store, usize::MAX).iter().filter(|event| event.id <= since) {
            while let Some((_, was)) = past.pop_if(|(last, _)| *last >= event.id.get()) {
                prop_assert!(!all_undone || table(&project) == was);
            }
            let now = table(&project);
            match try_undo(&project, &store, &one(event)) {
                Ok(undone) => {
                    prop_assert!(undone.left.is_empty() || !all_undone, "{:?}", undone.left);
                    let events: Vec<Event> = undone.steps.iter().map(|step| found(&store, step.event)).collect();
                    prop_assert_eq!(&events[0], event);
                    prop_assert_eq!(table(&project), events.iter().fold(now, before));
                }
                Err(UndoRefusal::ClaimAlone { .. }) => prop_assert!(is_claim_alone(event)),
                // It was taken back together with a deletion.
                Err(UndoRefusal::AlreadyUndone { .. }) => prop_assert_eq!(event.kind, EventKind::Depends),
                // Only an import gives a priority that another feature has.
                Err(UndoRefusal::Priority { .. }) => all_undone = false,
                // Only an import lets a feature wait for one that comes after it.
                Err(UndoRefusal::HasDependents { dependents, .. })
                    if event.kind == EventKind::Imported && came_together(&store, event, &dependents) =>
                {
                    all_undone = false;
                }
                Err(refusal) => {
                    prop_assert!(!all_undone, "{event:?}: {refusal}");
                }
            }
        }
        if all_undone {
            prop_assert!(table(&project).is_empty());
            let mut all_redone = true;
            let undoing = store.call(GetChanges { since, limit: usize::MAX }).unwrap();
            for event in undoing.iter().rev().filter(|event| event.undoes.is_some()) {
                match try_undo(&project, &store, &one(event)) {
                    Ok(_) | Err(UndoRefusal::AlreadyUndone { .. }) => {}
                    Err(UndoRefusal::Priority { .. }) => all_redone = false,
                    Err(refusal) => prop_assert!(!all_redone, "{event:?}: {refusal}"),
                }
            }
            prop_assert!(!all_redone || table(&project) == at_last);
        }
    }

    /// In any order, and whatever else is in the way.
    #[test]
    fn any_event_is_refused_or_taken_back_exactly(
        ops in ops(25),
        picks in vec(any::<Index>(), 1..15),
    ) {
        let project = Project::new();
        let store = project.open();
        for op in ops.iter() {
            let _ = op.apply_to(&store);
        }
        for pick in picks {
            let events = log(&store, usize::MAX);
            let Some(event) = events.get(pick.index(events.len().max(1))) else { break };
            let (now, troubled) = (table(&project), troubles(&store));
            if let Ok(undone) = try_undo(&project, &store, &one(event)) {
                let steps = undone.steps.iter().map(|step| found(&store, step.event));
                prop_assert_eq!(table(&project), steps.fold(now, |now, event| before(now, &event)));
                let after = troubles(&store);
                prop_assert!(after.is_subset(&troubled), "{troubled:?} became {after:?}");
            }
        }
    }

    /// What two sessions did in turns, and some of it taken back by one of them.
    #[test]
    fn any_session_is_refused_or_taken_back_as_a_whole(
        ops in ops(25),
        turns in vec(any::<bool>(), 25),
        picks in vec((any::<Index>(), any::<bool>()), 0..6),
    ) {
        let project = Project::new();
        let store = project.open();
        let mut seen = 0;
        let mut sign = |is_first: bool| {
            let agent = if is_first { "first" } else { "second" };
            let sql = "UPDATE autoforge_events SET agent = ?1, session = ?1 WHERE id > ?2";
            let connection = project.foreign();
            connection.execute(sql, (agent, seen)).unwrap();
            seen = number(&connection, "SELECT coalesce(max(id), 0) FROM autoforge_events");
        };
        for (op, is_first) in ops.iter().zip(turns) {
            let _ = op.apply_to(&store);
            sign(is_first);
        }
        for (pick, is_first) in picks {
            let events = log(&store, usize::MAX);
            let Some(event) = events.get(pick.index(events.len().max(1))) else { break };
            let _ = try_undo(&project, &store, &one(event));
            sign(is_first);
        }
        for name in ["second", "first"] {
            let (now, troubled) = (table(&project), troubles(&store));
            if let Ok(undone) = try_undo(&project, &store, &session(name)) {
                let steps = undone.steps.iter().map(|step| found(&store, step.event));
                let steps: Vec<Event> = steps.collect();
                prop_assert!(steps.iter().all(|event| event.session.as_deref() == Some(name)));
                prop_assert_eq!(table(&project), steps.iter().fold(now, before));
                let after = troubles(&store);
                prop_assert!(after.is_subset(&troubled), "{troubled:?} became {after:?}");
                let left = undone.left.len();
                let again = try_undo(&project, &store, &session(name));
                let is_done = matches!(again, Err(UndoRefusal::NothingToUndo { .. }));
                prop_assert!(left > 0 || is_done, "{again:?}");
            }
        }
    }
}

fn found(store: &Store, id: EventId) -> Event {
    let since = EventId::from(id.get() - 1);
    store.call(GetChanges { since, limit: 1 }).unwrap().remove(0)
}
