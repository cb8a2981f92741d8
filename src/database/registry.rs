//! `registry.db`: all projects on a machine, and the settings that hold for all of them.
//!
//! Nothing of ours is in it: what AutoForge's programs know is all that is needed.

use super::Database;
use super::schema::{Journal, Part, Schema, Table, added, index, original};

/// A machine's `registry.db`.
#[derive(Debug, Clone, Copy)]
pub enum Registry {}

impl Database for Registry {
    const SCHEMA: Schema = Schema {
        journal: Journal::AsFound,
        tables: &TABLES,
        parts: &PARTS,
        facts: None,
        upkeep: None,
    };
}

const TABLES: [Table; 2] = [
    Table {
        name: "projects",
        create: "CREATE TABLE projects (
            name VARCHAR(50) NOT NULL PRIMARY KEY,
            path VARCHAR NOT NULL,
            created_at DATETIME NOT NULL,
            default_concurrency INTEGER NOT NULL,
            auto_improve_enabled BOOLEAN NOT NULL,
            auto_improve_interval_minutes INTEGER NOT NULL
        )",
        columns: &[
            original("name"),
            original("path"),
            original("created_at"),
            added("default_concurrency", "INTEGER DEFAULT 3"),
            added("auto_improve_enabled", "INTEGER NOT NULL DEFAULT 0"),
            added("auto_improve_interval_minutes", "INTEGER NOT NULL DEFAULT 10"),
        ],
    },
    Table {
        name: "settings",
        create: "CREATE TABLE settings (
            key VARCHAR(50) NOT NULL PRIMARY KEY,
            value VARCHAR(500) NOT NULL,
            updated_at DATETIME NOT NULL
        )",
        columns: &[original("key"), original("value"), original("updated_at")],
    },
];

const PARTS: [Part; 1] =
    [index("ix_projects_name", "CREATE INDEX ix_projects_name ON projects (name)")];
