//! `features.db`: features, schedules and their overrides, as AutoForge's programs know them, and
//! tables of our own beside them.
//!
//! Only additions are ever made, in one transaction, and what older programs left is kept: columns
//! nobody uses any more, indexes under known names with other columns, tables of other tools.

mod history;

use std::collections::{BTreeMap, BTreeSet};

use super::{Condition, Database, Schema};
use crate::tx::{Access, Read, Tx, Write};
use crate::types::{EventKind, FeatureId, Field, Stored};

/// A project's `features.db`.
#[derive(Debug, Clone, Copy)]
pub enum Features {}

impl Database for Features {
    const SCHEMA: Schema = Schema { inspect, migrate };
}

/// The version of our own additions. Raised when a release adds something that an older release of
/// this store must not write beside.
const FORMAT: i64 = 2;

struct Column {
    name: &'static str,
    /// How a migration adds it; `None` for columns that every state of the file has.
    added_as: Option<&'static str>,
}

const fn original(name: &'static str) -> Column {
    Column { name, added_as: None }
}

const fn added(name: &'static str, declaration: &'static str) -> Column {
    Column { name, added_as: Some(declaration) }
}

struct Table {
    name: &'static str,
    create: &'static str,
    columns: &'static [Column],
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

/// Our own facts about the file, one row each: `format`, and `feature_id_floor`, the highest id
/// that was ever deleted. An id is given out only above both the floor and every existing id.
const FACTS: &str = "CREATE TABLE autoforge_store (
    fact TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID";

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

/// The rest of what a current file has, by kind and name.
const PARTS: [(&str, &str, &str); 17] = [
    ("index", "ix_features_id", "CREATE INDEX ix_features_id ON features (id)"),
    ("index", "ix_features_priority", "CREATE INDEX ix_features_priority ON features (priority)"),
    ("index", "ix_features_passes", "CREATE INDEX ix_features_passes ON features (passes)"),
    (
        "index",
        "ix_features_in_progress",
        "CREATE INDEX ix_features_in_progress ON features (in_progress)",
    ),
    (
        "index",
        "ix_features_needs_human_input",
        "CREATE INDEX ix_features_needs_human_input ON features (needs_human_input)",
    ),
    (
        "index",
        "ix_feature_status",
        "CREATE INDEX ix_feature_status ON features (passes, in_progress, needs_human_input)",
    ),
    ("index", "ix_schedules_id", "CREATE INDEX ix_schedules_id ON schedules (id)"),
    (
        "index",
        "ix_schedules_project_name",
        "CREATE INDEX ix_schedules_project_name ON schedules (project_name)",
    ),
    ("index", "ix_schedules_enabled", "CREATE INDEX ix_schedules_enabled ON schedules (enabled)"),
    (
        "index",
        "ix_schedule_overrides_id",
        "CREATE INDEX ix_schedule_overrides_id ON schedule_overrides (id)",
    ),
    ("table", "autoforge_store", FACTS),
    ("trigger", "autoforge_store_deleted", FLOOR_TRIGGER),
    ("table", "autoforge_claims", history::CLAIMS),
    ("index", "autoforge_claims_standing", history::CLAIMS_STANDING),
    ("table", "autoforge_budgets", history::BUDGETS),
    ("table", "autoforge_requests", history::REQUESTS),
    ("table", "autoforge_progress", PROGRESS),
];

/// Kind, name, and what makes the definition.
type BuiltPart = (&'static str, &'static str, fn() -> String);

/// The parts that name every column of a feature.
const BUILT_PARTS: [BuiltPart; 4] = [
    ("table", "autoforge_events", history::events),
    ("trigger", "autoforge_feature_created", history::created),
    ("trigger", "autoforge_feature_changed", history::changed),
    ("trigger", "autoforge_feature_deleted", history::deleted),
];

/// A NULL flag means false everywhere, and is normalised once.
const NULL_FLAGS: &str = "SELECT 1 FROM features WHERE passes IS NULL
    UNION ALL SELECT 1 FROM features WHERE in_progress IS NULL
    UNION ALL SELECT 1 FROM features WHERE needs_human_input IS NULL
    LIMIT 1";

/// What the file's schema holds: names by kind.
type Objects = BTreeMap<String, BTreeSet<String>>;

fn objects<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Objects> {
    let mut objects = Objects::new();
    for (kind, name) in tx.all("SELECT type, name FROM sqlite_schema", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })? {
        objects.entry(kind).or_default().insert(name);
    }
    Ok(objects)
}

fn has(objects: &Objects, kind: &str, name: &str) -> bool {
    objects.get(kind).is_some_and(|names| names.contains(name))
}

fn columns<A: Access>(tx: &Tx<'_, A>, table: &str) -> rusqlite::Result<BTreeSet<String>> {
    let names = tx.all("SELECT name FROM pragma_table_info(?1)", [table], |row| row.get(0))?;
    Ok(names.into_iter().collect())
}

fn inspect(tx: &Tx<'_, Read>) -> rusqlite::Result<Condition> {
    let objects = objects(tx)?;
    if let Some(found) = foreign(tx, &objects)? {
        return Ok(Condition::Foreign { found });
    }
    if has(&objects, "table", "autoforge_store")
        && let Some(found) =
            tx.first("SELECT value FROM autoforge_store WHERE fact = 'format'", [], |row| {
                row.get(0)
            })?
        && found > FORMAT
    {
        return Ok(Condition::Newer { found, known: FORMAT });
    }
    let outdated = Condition::Outdated { empty: objects.is_empty() };
    let plain = PARTS.iter().map(|(kind, name, _)| (kind, name));
    let built = BUILT_PARTS.iter().map(|(kind, name, _)| (kind, name));
    if plain.chain(built).any(|(kind, name)| !has(&objects, kind, name)) {
        return Ok(outdated);
    }
    for table in &TABLES {
        let present = columns(tx, table.name)?;
        if table.columns.iter().any(|column| !present.contains(column.name)) {
            return Ok(outdated);
        }
    }
    Ok(if tx.exists(NULL_FLAGS, [])? { outdated } else { Condition::Current })
}

/// Whether the file belongs to somebody else: it has tables, but not ours, or tables under our
/// names without the columns that every release had.
fn foreign<A: Access>(tx: &Tx<'_, A>, objects: &Objects) -> rusqlite::Result<Option<String>> {
    let ours = |name: &str| TABLES.iter().any(|table| table.name == name);
    let tables = objects.get("table");
    if !has(objects, "table", "features") {
        let stranger = tables.into_iter().flatten().find(|name| {
            !ours(name) && !name.starts_with("sqlite_") && name.as_str() != "autoforge_store"
        });
        if let Some(name) = stranger {
            return Ok(Some(format!("it has a table {name} and no table features")));
        }
        if objects.contains_key("view") {
            return Ok(Some("it has views and no table features".to_owned()));
        }
    }
    for table in TABLES.iter().filter(|table| has(objects, "table", table.name)) {
        let present = columns(tx, table.name)?;
        let missing = table
            .columns
            .iter()
            .find(|column| column.added_as.is_none() && !present.contains(column.name));
        if let Some(column) = missing {
            return Ok(Some(format!("its table {} has no column {}", table.name, column.name)));
        }
    }
    Ok(None)
}

fn migrate(tx: &Tx<'_, Write>) -> rusqlite::Result<()> {
    let objects = objects(tx)?;
    for table in &TABLES {
        if !has(&objects, "table", table.name) {
            tx.define(table.create)?;
            continue;
        }
        let present = columns(tx, table.name)?;
        for column in table.columns.iter().filter(|column| !present.contains(column.name)) {
            if let Some(declaration) = column.added_as {
                tx.define(&format!(
                    "ALTER TABLE {} ADD COLUMN {} {declaration}",
                    table.name, column.name
                ))?;
            }
        }
    }
    for (kind, name, definition) in PARTS {
        if !has(&objects, kind, name) {
            tx.define(definition)?;
        }
    }
    for (kind, name, definition) in BUILT_PARTS {
        if !has(&objects, kind, name) {
            tx.define(&definition())?;
        }
    }
    tx.define(&format!(
        "INSERT OR IGNORE INTO autoforge_store (fact, value) VALUES ('feature_id_floor', 0);
         INSERT INTO autoforge_store (fact, value) VALUES ('format', {FORMAT})
             ON CONFLICT (fact) DO UPDATE SET value = excluded.value;"
    ))?;
    set_null_flags(tx)
}

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
