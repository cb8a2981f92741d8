//! `features.db`: features, schedules and their overrides, as AutoForge's programs know them, and
//! tables of our own beside them.

mod history;

use super::Database;
use super::schema::{
    FACTS, Facts, Journal, Part, Schema, Table, Upkeep, added, built, index, original, table,
    trigger,
};
use crate::tx::{Tx, Write};
use crate::types::{EventKind, FeatureId, Field, Stored};

/// A project's `features.db`.
#[derive(Debug, Clone, Copy)]
pub enum Features {}

impl Database for Features {
    const SCHEMA: Schema = Schema {
        journal: Journal::Log,
        tables: &TABLES,
        parts: &PARTS,
        facts: Some(Facts { format: 2, id_floor: "feature_id_floor" }),
        upkeep: Some(Upkeep { needed: NULL_FLAGS, run: set_null_flags }),
    };
}

const TABLES: [Table; 3] = [
    Table {
        name: "features",
        create: "CREATE TABLE features (
            id INTEGER NOT NULL PRIMARY KEY,
            priority INTEGER NOT NULL,
            category VARCHAR(100) NOT NULL,
            name VARCHAR(255) NOT NULL,
            description TEXT NOT NULL,
            steps JSON NOT NULL,
            passes BOOLEAN NOT NULL,
            in_progress BOOLEAN NOT NULL,
            dependencies JSON,
            needs_human_input BOOLEAN NOT NULL,
            human_input_request JSON,
            human_input_response JSON
        )",
        columns: &[
            original("id"),
            original("priority"),
            original("category"),
            original("name"),
            original("description"),
            original("steps"),
            original("passes"),
            added("in_progress", "BOOLEAN DEFAULT 0"),
            added("dependencies", "TEXT DEFAULT NULL"),
            added("needs_human_input", "BOOLEAN DEFAULT 0"),
            added("human_input_request", "TEXT DEFAULT NULL"),
            added("human_input_response", "TEXT DEFAULT NULL"),
        ],
    },
    Table {
        name: "schedules",
        create: "CREATE TABLE schedules (
            id INTEGER NOT NULL PRIMARY KEY,
            project_name VARCHAR(50) NOT NULL,
            start_time VARCHAR(5) NOT NULL,
            duration_minutes INTEGER NOT NULL,
            days_of_week INTEGER NOT NULL,
            enabled BOOLEAN NOT NULL,
            yolo_mode BOOLEAN NOT NULL,
            model VARCHAR(50),
            max_concurrency INTEGER NOT NULL,
            crash_count INTEGER NOT NULL,
            created_at DATETIME NOT NULL,
            CONSTRAINT ck_schedule_duration CHECK (duration_minutes BETWEEN 1 AND 1440),
            CONSTRAINT ck_schedule_days CHECK (days_of_week BETWEEN 0 AND 127),
            CONSTRAINT ck_schedule_concurrency CHECK (max_concurrency BETWEEN 1 AND 5),
            CONSTRAINT ck_schedule_crash_count CHECK (crash_count >= 0)
        )",
        columns: &[
            original("id"),
            original("project_name"),
            original("start_time"),
            original("duration_minutes"),
            original("days_of_week"),
            original("enabled"),
            original("yolo_mode"),
            original("model"),
            added("max_concurrency", "INTEGER DEFAULT 3"),
            added("crash_count", "INTEGER DEFAULT 0"),
            original("created_at"),
        ],
    },
    Table {
        name: "schedule_overrides",
        create: "CREATE TABLE schedule_overrides (
            id INTEGER NOT NULL PRIMARY KEY,
            schedule_id INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
            override_type VARCHAR(10) NOT NULL,
            expires_at DATETIME NOT NULL,
            created_at DATETIME NOT NULL
        )",
        columns: &[
            original("id"),
            original("schedule_id"),
            original("override_type"),
            original("expires_at"),
            original("created_at"),
        ],
    },
];

/// Keeps the floor when another program deletes a feature. Our own connection runs with triggers
/// off and raises the floor itself. The body uses nothing that an old SQLite cannot parse.
const FLOOR_TRIGGER: &str = "CREATE TRIGGER autoforge_store_deleted AFTER DELETE ON features
    BEGIN
        UPDATE autoforge_store SET value = OLD.id
        WHERE fact = 'feature_id_floor' AND value < OLD.id;
    END";

/// The features that passed when progress was last reported; their number then is the fact
/// `progress_reported`, which nobody has set before the first report.
const PROGRESS: &str = "CREATE TABLE autoforge_progress (
    feature_id INTEGER PRIMARY KEY
)";

/// The rest of what a current file has.
const PARTS: [Part; 21] = [
    index("ix_features_id", "CREATE INDEX ix_features_id ON features (id)"),
    index("ix_features_priority", "CREATE INDEX ix_features_priority ON features (priority)"),
    index("ix_features_passes", "CREATE INDEX ix_features_passes ON features (passes)"),
    index(
        "ix_features_in_progress",
        "CREATE INDEX ix_features_in_progress ON features (in_progress)",
    ),
    index(
        "ix_features_needs_human_input",
        "CREATE INDEX ix_features_needs_human_input ON features (needs_human_input)",
    ),
    index(
        "ix_feature_status",
        "CREATE INDEX ix_feature_status ON features (passes, in_progress, needs_human_input)",
    ),
    index("ix_schedules_id", "CREATE INDEX ix_schedules_id ON schedules (id)"),
    index(
        "ix_schedules_project_name",
        "CREATE INDEX ix_schedules_project_name ON schedules (project_name)",
    ),
    index("ix_schedules_enabled", "CREATE INDEX ix_schedules_enabled ON schedules (enabled)"),
    index(
        "ix_schedule_overrides_id",
        "CREATE INDEX ix_schedule_overrides_id ON schedule_overrides (id)",
    ),
    FACTS,
    trigger("autoforge_store_deleted", FLOOR_TRIGGER),
    table("autoforge_claims", history::CLAIMS),
    index("autoforge_claims_standing", history::CLAIMS_STANDING),
    table("autoforge_budgets", history::BUDGETS),
    table("autoforge_requests", history::REQUESTS),
    table("autoforge_progress", PROGRESS),
    // These name every column of a feature.
    built("table", "autoforge_events", history::events),
    built("trigger", "autoforge_feature_created", history::created),
    built("trigger", "autoforge_feature_changed", history::changed),
    built("trigger", "autoforge_feature_deleted", history::deleted),
];

/// A NULL flag means false everywhere, and is normalised once.
const NULL_FLAGS: &str = "SELECT 1 FROM features WHERE passes IS NULL
    UNION ALL SELECT 1 FROM features WHERE in_progress IS NULL
    UNION ALL SELECT 1 FROM features WHERE needs_human_input IS NULL
    LIMIT 1";

/// Other programs write NULL into files of today, too, so this is a change like any other: without
/// an event the history would not lead to what the table holds.
fn set_null_flags(tx: &Tx<'_, Write>) -> rusqlite::Result<()> {
    const FLAGS: [Field; 3] = [Field::Passes, Field::InProgress, Field::NeedsHumanInput];
    let features = tx.all(
        "SELECT id, passes IS NULL, in_progress IS NULL, needs_human_input IS NULL FROM features
         WHERE passes IS NULL OR in_progress IS NULL OR needs_human_input IS NULL ORDER BY id",
        [],
        |row| {
            let mut unset = Vec::new();
            for (column, flag) in (1..).zip(FLAGS) {
                if row.get(column)? {
                    unset.push((flag, Stored::Integer(0)));
                }
            }
            Ok((FeatureId::from(row.get::<_, i64>(0)?), unset))
        },
    )?;
    for (id, flags) in features {
        tx.change_stored(id, &flags, EventKind::Changed.into())?;
    }
    Ok(())
}
