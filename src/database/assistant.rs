//! `assistant.db`: the conversations of a project's chat assistant.

use super::Database;
use super::schema::{FACTS, Facts, Journal, Part, Schema, Table, index, original, trigger};

/// A project's `assistant.db`.
#[derive(Debug, Clone, Copy)]
pub enum Assistant {}

impl Database for Assistant {
    const SCHEMA: Schema = Schema {
        journal: Journal::AsFound,
        tables: &TABLES,
        parts: &PARTS,
        facts: Some(Facts { format: 1, id_floor: "conversation_id_floor" }),
        upkeep: None,
    };
}

const TABLES: [Table; 2] = [
    Table {
        name: "conversations",
        create: "CREATE TABLE conversations (
            id INTEGER NOT NULL PRIMARY KEY,
            project_name VARCHAR(100) NOT NULL,
            title VARCHAR(200),
            created_at DATETIME,
            updated_at DATETIME
        )",
        columns: &[
            original("id"),
            original("project_name"),
            original("title"),
            original("created_at"),
            original("updated_at"),
        ],
    },
    Table {
        name: "conversation_messages",
        create: "CREATE TABLE conversation_messages (
            id INTEGER NOT NULL PRIMARY KEY,
            conversation_id INTEGER NOT NULL REFERENCES conversations (id),
            role VARCHAR(20) NOT NULL,
            content TEXT NOT NULL,
            timestamp DATETIME
        )",
        columns: &[
            original("id"),
            original("conversation_id"),
            original("role"),
            original("content"),
            original("timestamp"),
        ],
    },
];

/// Keeps the floor when another program deletes a conversation. Our own connection runs with triggers
/// off and raises the floor itself. An id that came twice would lead an answer that is still on its
/// way to a deleted conversation into another one.
const FLOOR_TRIGGER: &str = "CREATE TRIGGER autoforge_store_deleted AFTER DELETE ON conversations
    BEGIN
        UPDATE autoforge_store SET value = OLD.id
        WHERE fact = 'conversation_id_floor' AND value < OLD.id;
    END";

const PARTS: [Part; 7] = [
    index("ix_conversations_id", "CREATE INDEX ix_conversations_id ON conversations (id)"),
    index(
        "ix_conversations_project_name",
        "CREATE INDEX ix_conversations_project_name ON conversations (project_name)",
    ),
    index(
        "ix_conversation_messages_id",
        "CREATE INDEX ix_conversation_messages_id ON conversation_messages (id)",
    ),
    index(
        "ix_conversation_messages_conversation_id",
        "CREATE INDEX ix_conversation_messages_conversation_id
         ON conversation_messages (conversation_id)",
    ),
    // The order in which messages are read: without it, whoever wants the last of them has SQLite
    // sort them all.
    index(
        "autoforge_messages_in_order",
        "CREATE INDEX autoforge_messages_in_order
         ON conversation_messages (conversation_id, timestamp)",
    ),
    FACTS,
    trigger("autoforge_store_deleted", FLOOR_TRIGGER),
];
