//! A file that AutoForge made: found where it lies, added to, and left as it was in all that
//! AutoForge knows.

use autoforge_store::{Assistant, GetConversation, ListConversations, OpenError, Store};

use super::{Project, begin, says, texts};
use crate::support::{foreign, number, schema, text};

/// As AutoForge's programs declare it.
pub(super) const AUTOFORGE: &str = "
CREATE TABLE conversations (
	id INTEGER NOT NULL, 
	project_name VARCHAR(100) NOT NULL, 
	title VARCHAR(200), 
	created_at DATETIME, 
	updated_at DATETIME, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_conversations_id ON conversations (id);
CREATE INDEX ix_conversations_project_name ON conversations (project_name);
CREATE TABLE conversation_messages (
	id INTEGER NOT NULL, 
	conversation_id INTEGER NOT NULL, 
	role VARCHAR(20) NOT NULL, 
	content TEXT NOT NULL, 
	timestamp DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(conversation_id) REFERENCES conversations (id)
);
CREATE INDEX ix_conversation_messages_id ON conversation_messages (id);
CREATE INDEX ix_conversation_messages_conversation_id ON conversation_messages (conversation_id);
INSERT INTO conversations VALUES
    (1, 'shop', 'Where is the login handled? Please explain it in d...',
     '2026-11-23 14:06:30.364417', '2026-11-23 14:06:30.402513'),
    (2, 'other', NULL, '2026-11-23 14:06:30.408466', '2026-11-23 14:06:30.408468');
INSERT INTO conversation_messages VALUES
    (1, 1, 'user', 'Where is the login handled? Please explain it in detail.',
     '2026-11-23 14:06:30.395548'),
    (2, 1, 'assistant', 'In `server/auth.py`.', '2026-11-23 14:06:30.400206');
";

const ROWS: &str = "SELECT group_concat(quote(c.id) || quote(project_name) || quote(title) ||
        quote(created_at) || quote(updated_at) || coalesce(quote(m.id) || quote(role) ||
        quote(content) || quote(timestamp), ''), '|')
    FROM conversations AS c LEFT JOIN conversation_messages AS m ON conversation_id = c.id";

#[test]
fn a_file_of_autoforge_is_added_to_and_keeps_every_row_and_every_definition() {
    let project = Project::with_database(AUTOFORGE);
    let (before, rows) = (schema(&project.foreign()), text(&project.foreign(), ROWS));
    let store = project.open();
    assert!(store.opening().migrated && !store.opening().created);
    let after = schema(&project.foreign());
    assert_eq!(after[..before.len()], before);
    let ours: Vec<&str> =
        after[before.len()..].iter().map(|line| line.split(" CREATE").next().unwrap()).collect();
    let expected = [
        "index autoforge_messages_in_order",
        "table autoforge_store",
        "trigger autoforge_store_deleted",
    ];
    assert_eq!(ours, expected);
    assert_eq!(text(&project.foreign(), ROWS), rows);
    let page = store.call(ListConversations::of("shop")).unwrap();
    assert_eq!((page.conversations.len(), page.conversations[0].messages), (1, 2));
    let (id, latest) = (1.into(), 1);
    let whole = store.call(GetConversation { id, latest }).unwrap();
    let at = whole.messages[0].at.unwrap();
    assert_eq!(at.to_sqlite_text(), "2026-11-23 14:06:30.400206");
    drop(store);
    assert!(!project.open().opening().migrated);
}

#[test]
fn a_new_file_has_what_autoforge_declares() {
    let (made, theirs) = (Project::new(), Project::with_database(AUTOFORGE));
    drop(made.open());
    drop(theirs.open());
    let declared = |project: &Project| {
        let sql = "SELECT group_concat(line, '|') FROM (
            SELECT m.name || ' ' || c.name || ' ' || c.type || c.\"notnull\" || c.pk AS line
            FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'
            UNION ALL SELECT 'index ' || m.name || group_concat(c.name)
            FROM sqlite_schema AS m, pragma_index_info(m.name) AS c WHERE m.type = 'index'
            GROUP BY m.name ORDER BY line)";
        text(&project.foreign(), sql)
    };
    assert_eq!(declared(&made), declared(&theirs));
}

#[test]
fn a_current_file_is_opened_without_a_write() {
    let project = Project::with_database(AUTOFORGE);
    drop(project.open());
    let version = |project: &Project| {
        let modified = project.database().metadata().unwrap().modified().unwrap();
        (modified, number(&project.foreign(), "PRAGMA schema_version"))
    };
    let before = version(&project);
    let store = project.open();
    assert!(store.call(ListConversations::all()).is_ok());
    drop(store);
    assert_eq!(version(&project), before);
}

#[test]
fn the_file_is_looked_for_where_any_release_left_it() {
    for place in [".autoforge", ".autocoder", ""] {
        let project = Project::new();
        let folder = project.path().canonicalize().unwrap().join(place);
        std::fs::create_dir_all(&folder).unwrap();
        foreign(&folder.join("assistant.db")).execute_batch(AUTOFORGE).unwrap();
        let store = project.open();
        assert_eq!(store.path(), folder.join("assistant.db"), "{place}");
        assert_eq!(store.call(ListConversations::all()).unwrap().conversations.len(), 2);
        assert_eq!(project.path().join(".autoforge").exists(), place == ".autoforge");
    }
}

#[test]
fn a_new_file_is_private_and_kept_out_of_version_control() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    let store = project.open();
    assert_eq!(store.path(), project.database());
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(store.path()), mode(store.path().parent().unwrap())), (0o600, 0o700));
    #[expect(clippy::disallowed_methods, reason = "a text file")]
    let ignored = std::fs::read_to_string(project.path().join(".autoforge/.gitignore")).unwrap();
    for pattern in ["*.db", "*.db-journal"] {
        assert!(ignored.lines().any(|line| line == pattern), "{pattern}");
    }
}

#[test]
fn what_is_no_file_of_conversations_is_refused_and_kept() {
    for (sql, told) in [
        ("CREATE TABLE features (id INTEGER)", "a table features and no table conversations"),
        ("CREATE TABLE conversations (id INTEGER, topic TEXT)", "conversations has no column"),
        ("CREATE VIEW conversations AS SELECT 1 AS id", "has views"),
    ] {
        let project = Project::with_database(sql);
        let before = schema(&project.foreign());
        let error = Store::<Assistant>::open_assistant(project.path()).unwrap_err();
        assert!(
            matches!(&error, OpenError::Foreign { found, .. } if found.contains(told)),
            "{error}"
        );
        assert_eq!(schema(&project.foreign()), before);
    }
    let later = format!(
        "{AUTOFORGE} CREATE TABLE autoforge_store (fact TEXT NOT NULL PRIMARY KEY, value INTEGER)
            WITHOUT ROWID;
         INSERT INTO autoforge_store VALUES ('format', 99);"
    );
    let project = Project::with_database(&later);
    let error = Store::<Assistant>::open_assistant(project.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 1, .. }), "{error}");
}

#[test]
fn a_file_of_another_kind_is_not_served_by_a_handle_that_is_open() {
    let project = Project::new();
    let store = project.open();
    // Both kinds ask for one file; whoever comes second must not be given the other's engine.
    let options = autoforge_store::OpenOptions::default();
    let other = Store::<autoforge_store::Features>::open_file(project.database(), &options);
    let error = other.unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    let id = begin(&store);
    store.call(says(id, "still there")).unwrap();
    assert_eq!(texts(&store, id), ["still there"]);
}
