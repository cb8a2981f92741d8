//! Changing features and writing down that they were changed, in one.
//!
//! Invariant: every statement of ours that touches a row of `features` is run from this file, or by the
//! insertion in `features.rs`, which notes here what it has made; so no change of ours is missing in the
//! history. Their texts are in `change_sql.rs`.

use std::collections::BTreeSet;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, params_from_iter};

use super::change_sql::{ChangeSql, HEAD_PARAMETERS};
use super::{Access, LenientRow, Tx, Write, features};
use crate::types::{
    Change, Event, EventId, EventKind, Feature, FeatureId, FenceToken, Field, Fields, Stored,
    Timestamp, to_json_text,
};

/// How often the history is cut to its bound: every so many events.
const FORGET_EVERY: i64 = 64;

/// On what occasion a feature is changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion {
    pub(crate) kind: EventKind,
    /// The claim that stands on the feature.
    pub(crate) claim: Option<FenceToken>,
    /// It has an owner, and that is not the caller.
    pub(crate) overrode: bool,
    /// The event that this takes back.
    pub(crate) undoes: Option<EventId>,
}

impl From<EventKind> for Occasion {
    fn from(kind: EventKind) -> Self {
        Self { kind, claim: None, overrode: false, undoes: None }
    }
}

impl Occasion {
    pub(crate) fn under(self, claim: Option<FenceToken>) -> Self {
        Self { claim, ..self }
    }
}

/// What an event did, without its values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventOutline {
    pub(crate) id: EventId,
    pub(crate) feature: FeatureId,
    pub(crate) kind: EventKind,
    /// What it changed beside the claim; never empty.
    pub(crate) fields: Fields,
    /// The first event of the same command.
    pub(crate) command: EventId,
    pub(crate) undoes: Option<EventId>,
}

/// What an event was about, and where it stands in the history.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventMark {
    pub(super) id: EventId,
    /// When it was written down, exactly as stored.
    pub(super) at: i64,
    pub(super) feature: FeatureId,
    pub(super) kind: EventKind,
    /// It changed the feature's row.
    pub(super) has_changes: bool,
    /// This process wrote it down.
    pub(super) is_own: bool,
}

/// The field that says that a feature is claimed.
const CLAIM: Fields = Fields::of(&[Field::InProgress]);

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::BadText(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

pub(super) fn stored(row: &Row<'_>, column: usize) -> rusqlite::Result<Stored> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Stored::Null,
        ValueRef::Integer(number) => Stored::Integer(number),
        ValueRef::Real(number) => Stored::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Stored::Text(text.to_owned()),
            Err(_) => Stored::BadText(bytes.to_owned()),
        },
        ValueRef::Blob(bytes) => Stored::Blob(bytes.to_owned()),
    })
}

/// What a column gets from a feature.
fn value_of(feature: &Feature, field: Field) -> Stored {
    let json = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or(Stored::Null, |value| Stored::Text(to_json_text(value)))
    };
    match field {
        Field::Priority => Stored::Integer(feature.priority),
        Field::Category => Stored::Text(feature.category.clone()),
        Field::Name => Stored::Text(feature.name.clone()),
        Field::Description => Stored::Text(feature.description.clone()),
        Field::Steps => Stored::Text(to_json_text(&feature.steps.to_json())),
        Field::Passes => Stored::Integer(feature.passes.into()),
        Field::InProgress => Stored::Integer(feature.in_progress.into()),
        Field::Dependencies => {
            features::dependencies_text(&feature.dependencies).map_or(Stored::Null, Stored::Text)
        }
        Field::NeedsHumanInput => Stored::Integer(feature.needs_human_input.into()),
        Field::HumanInputRequest => json(&feature.human_input_request),
        Field::HumanInputResponse => json(&feature.human_input_response),
    }
}

fn list(fields: Fields, separator: &str, text: impl FnMut(Field) -> String) -> String {
    fields.iter().map(text).collect::<Vec<_>>().join(separator)
}

impl<A: Access> Tx<'_, A> {
    /// The columns as they are; `None` where there is no such feature.
    pub(crate) fn stored(
        &self,
        id: FeatureId,
        fields: Fields,
    ) -> rusqlite::Result<Option<Vec<(Field, Stored)>>> {
        let mut statement = self.connection.prepare_cached(&ChangeSql::of(fields).read)?;
        let mut rows = statement.query([id.get()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let values = fields.iter().enumerate();
        values.map(|(at, field)| Ok((field, stored(row, at)?))).collect::<Result<_, _>>().map(Some)
    }

    /// The events after one, oldest first.
    pub(crate) fn events_after(&self, since: EventId, max: usize) -> rusqlite::Result<Vec<Event>> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let sql = events_sql("WHERE id > ?1 ORDER BY id LIMIT ?2");
        self.events(&sql, [since.get(), max])
    }

    /// The latest events, newest first: of one feature or of all, before one or up to the last.
    pub(crate) fn events_before(
        &self,
        before: Option<EventId>,
        feature: Option<FeatureId>,
        session: Option<&str>,
        max: usize,
    ) -> rusqlite::Result<Vec<Event>> {
        let before = before.map_or(i64::MAX, EventId::get);
        let feature = feature.map(FeatureId::get);
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let sql = events_sql(
            "WHERE id < ?1 AND (?2 IS NULL OR feature_id = ?2) AND (?3 IS NULL OR session = ?3)
             ORDER BY id DESC LIMIT ?4",
        );
        self.events(&sql, (before, feature, session, max))
    }

    /// One event; `None` where it is forgotten, or never was.
    pub(crate) fn find_event(&self, id: EventId) -> rusqlite::Result<Option<Event>> {
        Ok(self.events(&events_sql("WHERE id = ?1"), [id.get()])?.pop())
    }

    /// All events that changed more than a claim, oldest first.
    pub(crate) fn event_outlines(&self) -> rusqlite::Result<Vec<EventOutline>> {
        self.all(
            "SELECT id, feature_id, kind, fields, command, undoes FROM autoforge_events
             WHERE fields & ?1 <> 0 ORDER BY id",
            [Fields::ALL.without(CLAIM).bits()],
            |row| {
                let id = EventId::from(row.integer(0, 0)?);
                Ok(EventOutline {
                    id,
                    feature: FeatureId::from(row.integer(1, 0)?),
                    kind: kind(row, 2)?,
                    fields: Fields::from_bits(row.integer(3, 0)?).without(CLAIM),
                    command: row.optional_integer(4)?.map_or(id, EventId::from),
                    undoes: row.optional_integer(5)?.map(EventId::from),
                })
            },
        )
    }

    /// The events of a session that changed more than a claim, oldest first, and their agents.
    pub(crate) fn session_events(
        &self,
        session: &str,
    ) -> rusqlite::Result<Vec<(EventId, Option<String>)>> {
        self.all(
            "SELECT id, agent FROM autoforge_events
             WHERE session = ?1 AND fields & ?2 <> 0 ORDER BY id",
            (session, Fields::ALL.without(CLAIM).bits()),
            |row| Ok((EventId::from(row.integer(0, 0)?), row.optional_text(1)?)),
        )
    }

    fn events(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<Event>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_map(params, event)?.collect()
    }

    /// The first and the last event that are kept; `None` where there is none.
    pub(crate) fn event_bounds(&self) -> rusqlite::Result<Option<(EventId, EventId)>> {
        let bounds = self.first(
            "SELECT (SELECT min(id) FROM autoforge_events), (SELECT max(id) FROM autoforge_events)",
            [],
            |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
        )?;
        let Some((Some(first), Some(last))) = bounds else { return Ok(None) };
        Ok(Some((EventId::from(first), EventId::from(last))))
    }

    /// How many events are not there between the first and the last one that are kept.
    pub(crate) fn missing_events(&self) -> rusqlite::Result<u64> {
        let missing = self.first(
            "SELECT max(id) - min(id) + 1 - count(*) FROM autoforge_events",
            [],
            |row| row.integer(0, 0),
        )?;
        Ok(u64::try_from(missing.unwrap_or(0)).unwrap_or(0))
    }

    /// The features that are not as the history says, as far as it goes back, by id: a column holds
    /// something else than the last event that changed it left, or the row came or went unseen.
    pub(crate) fn unseen_changes(&self) -> rusqlite::Result<Vec<FeatureId>> {
        let id = |row: &Row<'_>| Ok(FeatureId::from(row.integer(0, 0)?));
        let appearances = [EventKind::Created, EventKind::Imported, EventKind::Restored];
        let vanished = self.all(
            "SELECT feature_id FROM (
                 SELECT feature_id, kind, max(id) FROM autoforge_events
                 WHERE kind IN (?1, ?2, ?3, 'deleted', 'withdrawn') GROUP BY feature_id)
             WHERE kind IN (?1, ?2, ?3) AND feature_id NOT IN (SELECT id FROM features)",
            appearances.map(EventKind::as_str),
            id,
        )?;
        let mut found: BTreeSet<FeatureId> = vanished.into_iter().collect();
        for field in Field::ALL {
            let sql = format!(
                "SELECT feature.id FROM (
                     SELECT feature_id, max(id) AS id FROM autoforge_events
                     WHERE fields & ?1 <> 0 GROUP BY feature_id) AS last
                 JOIN autoforge_events AS event ON event.id = last.id
                 JOIN features AS feature ON feature.id = last.feature_id
                 WHERE event.new_{field} IS NOT feature.{field}"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            for feature in statement.query_map([Fields::of(&[field]).bits()], id)? {
                found.insert(feature?);
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Whether the file has claims and history, which older releases did not give it.
    pub(crate) fn has_records(&self) -> rusqlite::Result<bool> {
        let tables = self.first(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN
                 ('autoforge_store', 'autoforge_claims', 'autoforge_budgets', 'autoforge_events')",
            [],
            |row| row.integer(0, 0),
        )?;
        Ok(tables == Some(4))
    }

    /// What the events after one were about, oldest first.
    pub(super) fn event_marks_after(
        &self,
        since: EventId,
        max: usize,
    ) -> rusqlite::Result<Vec<EventMark>> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.all(
            "SELECT id, at, feature_id, kind, fields <> 0, pid IS ?3 FROM autoforge_events
             WHERE id > ?1 ORDER BY id LIMIT ?2",
            [since.get(), max, std::process::id().into()],
            |row| {
                Ok(EventMark {
                    id: EventId::from(row.integer(0, 0)?),
                    at: row.integer(1, 0)?,
                    feature: FeatureId::from(row.integer(2, 0)?),
                    kind: kind(row, 3)?,
                    has_changes: row.boolean(4)?,
                    is_own: row.boolean(5)?,
                })
            },
        )
    }

    /// When an event was written down, exactly as stored; `None` where it is not there.
    pub(super) fn event_time(&self, id: EventId) -> rusqlite::Result<Option<i64>> {
        self.first("SELECT at FROM autoforge_events WHERE id = ?1", [id.get()], |row| {
            row.integer(0, 0)
        })
    }

    /// The last event, and when it was written down.
    pub(super) fn last_event_mark(&self) -> rusqlite::Result<Option<(EventId, i64)>> {
        self.first("SELECT id, at FROM autoforge_events ORDER BY id DESC LIMIT 1", [], |row| {
            Ok((EventId::from(row.integer(0, 0)?), row.integer(1, 0)?))
        })
    }

    /// The last event that ever was; it is always kept.
    pub(crate) fn last_event(&self) -> rusqlite::Result<EventId> {
        let last =
            self.first("SELECT max(id) FROM autoforge_events", [], |row| row.integer(0, 0))?;
        Ok(EventId::from(last.unwrap_or(0)))
    }
}

impl Tx<'_, Write> {
    /// Writes these fields of the feature, as `after` has them, and the event. What a column held
    /// that is not among them stays, whatever it is; where nothing differs there is no event.
    pub(crate) fn change_feature(
        &self,
        after: &Feature,
        fields: Fields,
        occasion: Occasion,
    ) -> rusqlite::Result<()> {
        let values: Vec<_> = fields.iter().map(|field| (field, value_of(after, field))).collect();
        self.change_stored(after.id, &values, occasion)
    }

    /// As [`Tx::change_feature`], with the values as the file shall hold them.
    pub(crate) fn change_stored(
        &self,
        id: FeatureId,
        values: &[(Field, Stored)],
        occasion: Occasion,
    ) -> rusqlite::Result<()> {
        let mut fields = Fields::NONE;
        for (field, _) in values {
            fields.insert(*field);
        }
        if fields.is_empty() {
            return Ok(());
        }
        self.touch(id);
        let values = in_order(values);
        let sql = ChangeSql::of(fields);
        let update = || {
            let id = Stored::Integer(id.get());
            let row = [&id].into_iter().chain(values.iter().copied());
            self.execute_built(&sql.update, params_from_iter(row))
        };
        if values.iter().all(|value| matches!(value, Stored::Integer(_))) {
            if self.note_from_row(&sql, id, &values, occasion)? {
                update()?;
            }
            return Ok(());
        }
        let before = self.stored(id, fields)?.unwrap_or_default();
        update()?;
        // Read back, since a column may store a value in another form than it was given.
        let after = self.stored(id, fields)?.unwrap_or_default();
        let changes: Vec<Change> = before
            .into_iter()
            .zip(after)
            .filter(|((_, before), (_, after))| before != after)
            .map(|((field, before), (_, after))| Change { field, before, after })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        self.insert_event(id, &changes, occasion)
    }

    /// Writes down an event that changes nothing in the feature's row.
    pub(crate) fn note(&self, id: FeatureId, occasion: Occasion) -> rusqlite::Result<()> {
        self.insert_event(id, &[], occasion)
    }

    /// Writes down that a feature was made; its row is there.
    pub(super) fn note_created(&self, id: FeatureId, occasion: Occasion) -> rusqlite::Result<()> {
        self.write_event(&ChangeSql::of(Fields::ALL).note_appeared, id, &[], occasion).map(drop)
    }

    /// Deletes a feature and writes it down. Its id is never given out again.
    pub(crate) fn remove_feature(&self, id: FeatureId, occasion: Occasion) -> rusqlite::Result<()> {
        self.touch(id);
        // While the row is there to be read.
        self.write_event(&ChangeSql::of(Fields::ALL).note_vanishes, id, &[], occasion)?;
        self.execute("DELETE FROM features WHERE id = ?1", [id.get()])?;
        self.execute("DELETE FROM autoforge_budgets WHERE feature_id = ?1", [id.get()])?;
        self.raise_feature_id_floor(id)
    }

    /// Puts a row back that was deleted, with the values as the file shall hold them, and writes it
    /// down. There is no feature with that id.
    ///
    /// The columns that no release of ours knows get their defaults: nobody wrote down what they
    /// held.
    pub(crate) fn restore_feature(
        &self,
        id: FeatureId,
        values: &[(Field, Stored)],
        occasion: Occasion,
    ) -> rusqlite::Result<()> {
        self.touch(id);
        let mut columns: Vec<&str> = values.iter().map(|(field, _)| field.as_str()).collect();
        let (id_value, abandoned) = (Stored::Integer(id.get()), Stored::Integer(0));
        let mut row: Vec<&Stored> = values.iter().map(|(_, value)| value).collect();
        columns.push("id");
        row.push(&id_value);
        if self.has_abandoned_column()? {
            columns.push("testing_in_progress");
            row.push(&abandoned);
        }
        let places = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO features ({}) VALUES ({places})", columns.join(", "));
        self.execute_built(&sql, params_from_iter(row))?;
        self.note_created(id, occasion)
    }

    fn insert_event(
        &self,
        feature: FeatureId,
        changes: &[Change],
        occasion: Occasion,
    ) -> rusqlite::Result<()> {
        let mut fields = Fields::NONE;
        for change in changes {
            fields.insert(change.field);
        }
        let old = changes.iter().map(|change| &change.before);
        let new = changes.iter().map(|change| &change.after);
        let values: Vec<&Stored> = old.chain(new).collect();
        self.write_event(&ChangeSql::of(fields).note, feature, &values, occasion).map(drop)
    }

    /// Writes down what giving the feature these numbers will change; `false` where that is nothing.
    ///
    /// A number stays what it is in every column that any release has given a feature. In a file that
    /// somebody has declared otherwise the event has the number, and the column what it makes of it:
    /// both are equal to SQLite, and [`undo`](crate::Undo) takes the feature for one that was changed since.
    fn note_from_row(
        &self,
        sql: &ChangeSql,
        feature: FeatureId,
        numbers: &[&Stored],
        occasion: Occasion,
    ) -> rusqlite::Result<bool> {
        self.write_event(&sql.note_from_row, feature, numbers, occasion)
    }

    /// Runs one of the statements that write an event; `false` where it wrote none.
    fn write_event(
        &self,
        sql: &str,
        feature: FeatureId,
        values: &[&Stored],
        occasion: Occasion,
    ) -> rusqlite::Result<bool> {
        let signature = self.signature();
        let caller = signature.caller.as_deref();
        let at = self.circumstances().moment().wall.to_microseconds();
        let head: [&dyn ToSql; HEAD_PARAMETERS] = [
            &at,
            &occasion.kind.as_str(),
            &feature.get(),
            &occasion.claim.map(FenceToken::get),
            &occasion.overrode,
            &caller.map(|caller| caller.agent.as_str()),
            &caller.map(|caller| caller.session.as_str()),
            &std::process::id(),
            &signature.reason.as_deref(),
            &self.first_event.get().map(EventId::get),
            &occasion.undoes.map(EventId::get),
        ];
        let values = values.iter().map(|value| value as &dyn ToSql);
        if self.execute_built(sql, params_from_iter(head.into_iter().chain(values)))? == 0 {
            return Ok(false);
        }
        let id = EventId::from(self.inserted());
        if let Some(index) = self.index {
            index.noted(id, at);
        }
        if self.first_event.get().is_none() {
            self.first_event.set(Some(id));
        }
        if id.get() % FORGET_EVERY == 0 {
            let kept = i64::from(self.policy()?.events);
            self.execute("DELETE FROM autoforge_events WHERE id <= ?1", [id.get() - kept])?;
        }
        Ok(true)
    }
}

/// The values alone, in the order of their columns.
fn in_order(values: &[(Field, Stored)]) -> Vec<&Stored> {
    let mut values: Vec<_> = values.iter().collect();
    values.sort_by_key(|(field, _)| *field);
    values.into_iter().map(|(_, value)| value).collect()
}

fn events_sql(rest: &str) -> String {
    format!(
        "SELECT id, at, feature_id, kind, fields, claim, overrode, agent, session, pid, reason,
             command, undoes, {}, {} FROM autoforge_events {rest}",
        list(Fields::ALL, ", ", |field| format!("old_{field}")),
        list(Fields::ALL, ", ", |field| format!("new_{field}")),
    )
}

/// The columns before the values.
const HEAD: usize = 13;

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let id = EventId::from(row.integer(0, 0)?);
    let fields = Fields::from_bits(row.integer(4, 0)?);
    let optional = |column| row.optional_integer(column);
    let mut changes = Vec::new();
    for (place, field) in Field::ALL.into_iter().enumerate() {
        if fields.has(field) {
            let before = stored(row, HEAD + place)?;
            let after = stored(row, HEAD + Field::ALL.len() + place)?;
            changes.push(Change { field, before, after });
        }
    }
    Ok(Event {
        id,
        at: timestamp(row.integer(1, 0)?),
        feature: FeatureId::from(row.integer(2, 0)?),
        kind: kind(row, 3)?,
        claim: optional(5)?.map(FenceToken::from),
        overrode: row.boolean(6)?,
        agent: row.optional_text(7)?,
        session: row.optional_text(8)?,
        pid: optional(9)?.and_then(|pid| u32::try_from(pid).ok()),
        reason: row.optional_text(10)?,
        command: optional(11)?.map_or(id, EventId::from),
        undoes: optional(12)?.map(EventId::from),
        changes,
    })
}

/// A later release may know more kinds.
fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<EventKind> {
    Ok(EventKind::from_name(&row.text(column)?).unwrap_or(EventKind::Changed))
}

/// A time beyond what can be told is the end of what can be.
pub(super) fn timestamp(microseconds: i64) -> Timestamp {
    Timestamp::from_microseconds(microseconds).unwrap_or(Timestamp::EPOCH)
}
