//! Claims and history in the file: who holds which feature, how attempts ended, what was changed by
//! whom, and what was answered to whom.
//!
//! Our own connection runs with triggers off and writes all of this itself, with more to say. The
//! triggers are for other programs, which know nothing of it: whatever they do to a feature is in the
//! history, and a claim that they end is ended. Their bodies use nothing that an old SQLite cannot
//! parse, and cannot fail: a statement of theirs must not fail for our sake.

use crate::types::{Field, Fields};

/// Every claim, each an attempt at a feature; those that stand have no outcome.
///
/// A token must never be given out twice. The newest row is never forgotten, so the number after it
/// is a new one; AUTOINCREMENT would see to it as well, for one more page in each transaction of
/// other programs.
pub(super) const CLAIMS: &str = "CREATE TABLE autoforge_claims (
    token INTEGER PRIMARY KEY,
    feature_id INTEGER NOT NULL,
    taken_at INTEGER NOT NULL,
    agent TEXT,
    session TEXT,
    host TEXT,
    boot TEXT,
    namespace TEXT,
    pid INTEGER,
    started INTEGER,
    lease INTEGER,
    renewed_at INTEGER,
    clock_boot TEXT,
    clock_namespace TEXT,
    renewed_uptime INTEGER,
    ended_at INTEGER,
    outcome TEXT,
    reason TEXT
)";

/// One standing claim a feature, whatever a program does.
pub(super) const CLAIMS_STANDING: &str = "CREATE UNIQUE INDEX autoforge_claims_standing
    ON autoforge_claims (feature_id) WHERE outcome IS NULL";

/// Failed attempts of owners since the feature last passed or was reset; no row means none.
pub(super) const BUDGETS: &str = "CREATE TABLE autoforge_budgets (
    feature_id INTEGER PRIMARY KEY,
    failures INTEGER NOT NULL
)";

/// Answers to commands that came with a request id.
pub(super) const REQUESTS: &str = "CREATE TABLE autoforge_requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    request TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    digest INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    answer TEXT NOT NULL
)";

/// One row an event; the newest is never forgotten, so that ids only grow. `fields` has a bit for each column of `features` that the event changed, in
/// their order; only those have values here. The values have no type of their own, so they are what
/// the feature's column held.
pub(super) fn events() -> String {
    format!(
        "CREATE TABLE autoforge_events (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            feature_id INTEGER NOT NULL,
            kind TEXT NOT NULL,
            fields INTEGER NOT NULL,
            claim INTEGER,
            overrode INTEGER NOT NULL,
            agent TEXT,
            session TEXT,
            pid INTEGER,
            reason TEXT,
            command INTEGER,
            undoes INTEGER,
            {},
            {}
        )",
        each(", ", |field| format!("old_{field}")),
        each(", ", |field| format!("new_{field}")),
    )
}

/// Microseconds since 1970, as exact as SQLite's clock is.
const NOW: &str = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000";

/// Keeps the history within its bound, one row for each that comes.
const FORGET: &str =
    "DELETE FROM autoforge_events WHERE id <= (SELECT max(id) FROM autoforge_events)
            - coalesce((SELECT value FROM autoforge_store WHERE fact = 'events_kept'), 100000)";

/// Something for each column, in their order.
fn each(separator: &str, text: impl FnMut(Field) -> String) -> String {
    Field::ALL.map(text).join(separator)
}

/// The claim that stands on the feature of the row.
fn standing(row: &str) -> String {
    format!("FROM autoforge_claims WHERE feature_id = {row}.id AND outcome IS NULL")
}

/// Begins the claim of a feature that another program has put in progress.
fn claim_begins(when: &str) -> String {
    format!(
        "INSERT INTO autoforge_claims (feature_id, taken_at)
        SELECT NEW.id, {NOW} WHERE {when} AND NOT EXISTS (SELECT 1 {})",
        standing("NEW")
    )
}

/// A feature that another program made, and its claim, if it was made as one in progress.
pub(super) fn created() -> String {
    format!(
        "CREATE TRIGGER autoforge_feature_created AFTER INSERT ON features
        BEGIN
            {};
            INSERT INTO autoforge_events (at, feature_id, kind, fields, claim, overrode, {})
            SELECT {NOW}, NEW.id, 'created', {}, (SELECT token {}), 0, {};
            {FORGET};
        END",
        claim_begins("coalesce(NEW.in_progress, 0) <> 0"),
        each(", ", |field| format!("new_{field}")),
        Fields::ALL.bits(),
        standing("NEW"),
        each(", ", |field| format!("NEW.{field}")),
    )
}

/// A feature that another program changed: a claim that began, the event, a claim that ended.
pub(super) fn changed() -> String {
    let began = "coalesce(NEW.in_progress, 0) <> 0 AND coalesce(OLD.in_progress, 0) = 0";
    let ended = "coalesce(NEW.in_progress, 0) = 0 AND coalesce(OLD.in_progress, 0) <> 0";
    let differs = |field| format!("OLD.{field} IS NOT NEW.{field}");
    let value = |row: &str, field| format!("CASE WHEN {} THEN {row}.{field} END", differs(field));
    let bit = |field| format!("{} * ({})", Fields::of(&[field]).bits(), differs(field));
    format!(
        "CREATE TRIGGER autoforge_feature_changed AFTER UPDATE ON features WHEN {any}
        BEGIN
            {begin};
            INSERT INTO autoforge_events (at, feature_id, kind, fields, claim, overrode,
                {old_columns}, {new_columns})
            SELECT {NOW}, NEW.id,
                CASE
                    WHEN coalesce(NEW.passes, 0) <> 0 AND coalesce(OLD.passes, 0) = 0
                        THEN 'passed'
                    WHEN coalesce(NEW.passes, 0) = 0 AND coalesce(OLD.passes, 0) <> 0
                        THEN 'failed'
                    WHEN coalesce(NEW.needs_human_input, 0) <> 0
                        AND coalesce(OLD.needs_human_input, 0) = 0 THEN 'asked'
                    WHEN coalesce(NEW.needs_human_input, 0) = 0
                        AND coalesce(OLD.needs_human_input, 0) <> 0 THEN 'answered'
                    WHEN {began} THEN 'claimed'
                    WHEN {ended} AND OLD.priority < NEW.priority THEN 'skipped'
                    WHEN {ended} THEN 'released'
                    WHEN OLD.dependencies IS NOT NEW.dependencies THEN 'depends'
                    ELSE 'edited'
                END,
                {bits}, (SELECT token {claim}), EXISTS (SELECT 1 {claim} AND agent IS NOT NULL),
                {old_values}, {new_values};
            UPDATE autoforge_claims SET
                ended_at = {NOW},
                outcome = CASE
                    WHEN coalesce(NEW.passes, 0) <> 0 THEN 'passed'
                    WHEN coalesce(NEW.needs_human_input, 0) <> 0 THEN 'waiting_for_human'
                    ELSE 'released'
                END,
                reason = 'ended by another program'
            WHERE feature_id = NEW.id AND outcome IS NULL AND coalesce(NEW.in_progress, 0) = 0;
            DELETE FROM autoforge_budgets
            WHERE feature_id = NEW.id AND coalesce(NEW.passes, 0) <> 0;
            {FORGET};
        END",
        any = each(" OR ", differs),
        begin = claim_begins(began),
        old_columns = each(", ", |field| format!("old_{field}")),
        new_columns = each(", ", |field| format!("new_{field}")),
        bits = each(" + ", bit),
        claim = standing("NEW"),
        old_values = each(", ", |field| value("OLD", field)),
        new_values = each(", ", |field| value("NEW", field)),
    )
}

/// A feature that another program deleted, and the end of its claim.
pub(super) fn deleted() -> String {
    let claim = standing("OLD");
    format!(
        "CREATE TRIGGER autoforge_feature_deleted AFTER DELETE ON features
        BEGIN
            INSERT INTO autoforge_events (at, feature_id, kind, fields, claim, overrode, {})
            SELECT {NOW}, OLD.id, 'deleted', {}, (SELECT token {claim}),
                EXISTS (SELECT 1 {claim} AND agent IS NOT NULL), {};
            UPDATE autoforge_claims
            SET ended_at = {NOW}, outcome = 'released', reason = 'deleted by another program'
            WHERE feature_id = OLD.id AND outcome IS NULL;
            DELETE FROM autoforge_budgets WHERE feature_id = OLD.id;
            {FORGET};
        END",
        each(", ", |field| format!("old_{field}")),
        Fields::ALL.bits(),
        each(", ", |field| format!("OLD.{field}")),
    )
}
