//! Every state that a `features.db` was ever in is opened, brought up to date in one transaction and
//! left as it was in all that a release of AutoForge knows.

use std::collections::BTreeMap;

use autoforge_store::{
    GetFeature, GetStats, JournalMode, OpenError, SkipFeature, Steps, StorageError, Store,
};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::old_files;
use crate::support::{Project, create, feature, foreign, number, schema, text, texts};

/// A table's columns: name to declared type and default.
fn columns(connection: &Connection, table: &str) -> BTreeMap<String, (String, Option<String>)> {
    let mut statement =
        connection.prepare("SELECT name, type, dflt_value FROM pragma_table_info(?1)").unwrap();
    let columns = statement.query_map([table], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
    columns.unwrap().map(Result::unwrap).collect()
}

/// All rows of a table, in the columns that are named, as they are stored.
fn rows(connection: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Value>> {
    if columns.is_empty() {
        return Vec::new();
    }
    let sql = format!("SELECT {} FROM {table} ORDER BY id", columns.join(", "));
    let mut statement = connection.prepare(&sql).unwrap();
    let read = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|at| row.get(at)).collect();
    statement.query_map([], read).unwrap().map(Result::unwrap).collect()
}

fn column_names(connection: &Connection, table: &str) -> Vec<String> {
    columns(connection, table).into_keys().collect()
}

const TABLES: [&str; 3] = ["features", "schedules", "schedule_overrides"];

/// What a migration adds, and how AutoForge's own declares it.
const ADDED: [(&str, &str, &str, Option<&str>); 7] = [
    ("features", "in_progress", "BOOLEAN", Some("0")),
    ("features", "dependencies", "TEXT", Some("NULL")),
    ("features", "needs_human_input", "BOOLEAN", Some("0")),
    ("features", "human_input_request", "TEXT", Some("NULL")),
    ("features", "human_input_response", "TEXT", Some("NULL")),
    ("schedules", "crash_count", "INTEGER", Some("0")),
    ("schedules", "max_concurrency", "INTEGER", Some("3")),
];

const INDEXES: [&str; 10] = [
    "ix_feature_status",
    "ix_features_id",
    "ix_features_in_progress",
    "ix_features_needs_human_input",
    "ix_features_passes",
    "ix_features_priority",
    "ix_schedule_overrides_id",
    "ix_schedules_enabled",
    "ix_schedules_id",
    "ix_schedules_project_name",
];

#[test]
fn every_old_state_gets_the_columns_and_indexes_of_a_current_file() {
    for (state, sql) in old_files::all() {
        let project = Project::with_database(&sql);
        let before = TABLES.map(|table| columns(&project.foreign(), table));
        let store = project.open();
        assert!(store.opening().migrated, "{state}");
        assert!(!store.opening().created, "{state}");
        store.close();

        let file = project.foreign();
        for (table, column, declared, default) in ADDED {
            let at = TABLES.iter().position(|name| *name == table).unwrap();
            let now = columns(&file, table);
            let expected = match before[at].get(column) {
                Some(kept) => kept.clone(),
                // A table that was missing is made whole, as today's release declares it.
                None if before[at].is_empty() => now[column].clone(),
                None => (declared.to_owned(), default.map(str::to_owned)),
            };
            assert_eq!(now.get(column), Some(&expected), "{state}: {table}.{column}");
        }
        let indexes = texts(&file, "SELECT name FROM sqlite_schema WHERE type = 'index'");
        for index in INDEXES {
            assert!(indexes.iter().any(|name| name == index), "{state}: {index}");
        }
        assert_eq!(text(&file, "PRAGMA journal_mode"), "wal", "{state}");
        assert_eq!(texts(&file, "PRAGMA integrity_check"), ["ok"], "{state}");
    }
}

#[test]
fn a_migration_changes_no_row_except_that_null_flags_become_0() {
    for (state, sql) in old_files::all() {
        let project = Project::with_database(&sql);
        let before: Vec<_> = {
            let file = project.foreign();
            let of = |table: &&str| {
                let names = column_names(&file, table);
                let rows = rows(&file, table, &names);
                ((*table).to_owned(), names, rows)
            };
            TABLES.iter().map(of).collect()
        };
        project.open().close();
        let file = project.foreign();
        for (table, names, mut expected) in before {
            for (row, name) in expected.iter_mut().flat_map(|row| row.iter_mut().zip(&names)) {
                let flag = ["passes", "in_progress", "needs_human_input"].contains(&name.as_str());
                if flag && *row == Value::Null {
                    *row = Value::Integer(0);
                }
            }
            assert_eq!(rows(&file, &table, &names), expected, "{state}: {table}");
        }
    }
}

#[test]
fn null_flags_are_stored_as_0_after_opening() {
    let project = Project::with_database(&old_files::named("NULL flags"));
    let nulls = "SELECT count(*) FROM features
        WHERE passes IS NULL OR in_progress IS NULL OR needs_human_input IS NULL";
    assert!(number(&project.foreign(), nulls) > 0);
    let store = project.open();
    assert_eq!(number(&project.foreign(), nulls), 0);
    let stats = store.call(GetStats).unwrap();
    assert_eq!((stats.passing, stats.in_progress, stats.needs_human_input), (1, 0, 0));
}

#[test]
fn a_flag_that_becomes_null_while_open_reads_as_false_and_is_mended_by_the_next_opening() {
    let project = Project::with_database(&old_files::named("NULL flags"));
    let store = project.open();
    project.foreign().execute_batch("UPDATE features SET needs_human_input = NULL").unwrap();
    assert!(!feature(&store, 1).needs_human_input);
    store.close();
    let store = project.open();
    assert!(store.opening().migrated);
    let nulls = "SELECT count(*) FROM features WHERE needs_human_input IS NULL";
    assert_eq!(number(&project.foreign(), nulls), 0);
    store.close();
    assert!(!project.open().opening().migrated);
}

#[test]
fn features_of_every_old_state_can_be_read_created_and_changed() {
    for (state, sql) in old_files::all() {
        let project = Project::with_database(&sql);
        let store = project.open();
        assert_eq!(store.call(GetStats).unwrap().total, 3, "{state}");
        assert_eq!(store.call(create("New")).unwrap().id.get(), 6, "{state}");
        let skipped = store.call(SkipFeature { id: 2.into() }).unwrap();
        assert_eq!((skipped.old_priority, skipped.new_priority), (2, 11), "{state}");
        assert_eq!(feature(&store, 6).priority, 10, "{state}");
    }
}

#[test]
fn a_required_testing_column_without_a_default_does_not_stop_inserts() {
    let project = Project::with_database(&old_files::named("abandoned testing columns"));
    let store = project.open();
    let id = store.call(create("New")).unwrap().id;
    let of_new = format!("SELECT testing_in_progress FROM features WHERE id = {id}");
    assert_eq!(number(&project.foreign(), &of_new), 0);
    // What the column holds of older features stays, too.
    let of_old = "SELECT testing_in_progress FROM features WHERE id = 2";
    assert_eq!(number(&project.foreign(), of_old), 1);
}

#[test]
fn text_that_is_no_json_is_shown_and_stays_in_the_file() {
    let project = Project::with_database(&old_files::named("no in_progress"));
    let store = project.open();
    assert_eq!(feature(&store, 5).steps, Steps::Other("not json".into()));
    store.call(SkipFeature { id: 5.into() }).unwrap();
    assert_eq!(text(&project.foreign(), "SELECT steps FROM features WHERE id = 5"), "not json");
}

#[test]
fn autoforge_can_go_on_writing_to_a_migrated_file() {
    for (state, sql) in old_files::all() {
        if state.contains("testing") {
            continue; // Today's AutoForge cannot insert into these either.
        }
        let project = Project::with_database(&sql);
        let store = project.open();
        let python = project.foreign();
        // As SQLAlchemy writes it: every column but the id.
        python
            .execute_batch(
                "INSERT INTO features (priority, category, name, description, steps, passes,
                     in_progress, dependencies, needs_human_input, human_input_request,
                     human_input_response)
                 VALUES (12, 'c', 'By Python', 'd', '[\"s\"]', 0, 0, 'null', 0, NULL, 'null');
                 UPDATE features SET in_progress = 1 WHERE id = 6 AND in_progress = 0;
                 DELETE FROM features WHERE id = 2;
                 INSERT INTO schedules (project_name, start_time, duration_minutes, days_of_week,
                     enabled, yolo_mode, model, max_concurrency, crash_count, created_at)
                 VALUES ('p', '08:00', 60, 31, 1, 0, NULL, 3, 0, '2026-02-08 09:00:00.000000');",
            )
            .unwrap_or_else(|error| panic!("{state}: {error}"));
        let by_python = feature(&store, 6);
        assert_eq!((by_python.name.as_str(), by_python.in_progress), ("By Python", true));
        assert!(by_python.dependencies.is_empty() && by_python.human_input_response.is_none());
        assert!(store.call(GetFeature { id: 2.into() }).is_err(), "{state}");
    }
}

#[test]
fn opening_an_up_to_date_file_writes_nothing() {
    for (state, sql) in old_files::all() {
        let project = Project::with_database(&sql);
        project.open().close();
        let before = contents(&project);
        let store = project.open();
        assert!(!store.opening().migrated && !store.opening().created, "{state}");
        store.call(GetStats).unwrap();
        store.close();
        assert_eq!(contents(&project), before, "{state}");

        // And another program sees no commit.
        let other = project.foreign();
        let version = number(&other, "PRAGMA data_version");
        let store = project.open();
        store.call(GetStats).unwrap();
        assert_eq!(number(&other, "PRAGMA data_version"), version, "{state}");
    }
}

/// The file's bytes and the time of its last change; nobody may have it open.
fn contents(project: &Project) -> (Vec<u8>, std::time::SystemTime) {
    let changed = project.database().metadata().unwrap().modified().unwrap();
    #[expect(clippy::disallowed_methods, reason = "nobody has the file open")]
    let bytes = std::fs::read(project.database()).unwrap();
    (bytes, changed)
}

#[test]
fn tables_views_and_indexes_of_other_tools_are_kept() {
    let sql = old_files::named("no human input")
        + "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
           INSERT INTO _litestream_seq VALUES (1, 4711);
           CREATE VIEW open_features AS SELECT * FROM features WHERE passes = 0;
           CREATE INDEX my_own ON features (category, priority);";
    let project = Project::with_database(&sql);
    let before = schema(&project.foreign());
    project.open().close();
    let file = project.foreign();
    let after = schema(&file);
    for object in before.iter().filter(|object| !object.starts_with("table features")) {
        assert!(after.contains(object), "{object}");
    }
    assert_eq!(number(&file, "SELECT seq FROM _litestream_seq"), 4711);
}

#[test]
fn an_index_under_a_known_name_is_left_as_it_is() {
    let project = Project::with_database(&old_files::named("abandoned testing columns"));
    project.open().close();
    let of_status = "SELECT group_concat(name) FROM pragma_index_info('ix_feature_status')";
    assert_eq!(text(&project.foreign(), of_status), "passes,in_progress");
    assert!(!project.open().opening().migrated);
}

/// Opening must fail and leave schema and rows as they were.
fn refused_without_a_trace(sql: &str) -> OpenError {
    let project = Project::with_database(sql);
    let look = |project: &Project| {
        let file = project.foreign();
        (schema(&file), texts(&file, "SELECT id || ':' || name FROM features"))
    };
    let before = look(&project);
    let error = Store::open_project(project.folder()).unwrap_err();
    assert_eq!(look(&project), before);
    // Nobody holds a lock of a transaction that failed.
    project.foreign().execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
    error
}

#[test]
fn a_migration_that_fails_half_way_leaves_nothing_behind() {
    // The facts are written last, after tables, columns and indexes; here they cannot be.
    let late = old_files::named("no in_progress")
        + "CREATE TABLE autoforge_store (fact TEXT, value INTEGER);";
    let error = refused_without_a_trace(&late);
    assert!(matches!(error, OpenError::Storage(StorageError::Sqlite { .. })), "{error}");

    // An index cannot be made because something else has its name already.
    let taken = old_files::named("no in_progress") + "CREATE TABLE ix_schedules_id (x);";
    let error = refused_without_a_trace(&taken);
    assert!(matches!(error, OpenError::Storage(StorageError::Sqlite { .. })), "{error}");

    // A flag cannot be normalised.
    let strict = old_files::named("NULL flags")
        + "CREATE UNIQUE INDEX one_of_each ON features (coalesce(passes, 7), in_progress IS NULL)
           WHERE id > 1;";
    let error = refused_without_a_trace(&strict);
    assert!(matches!(error, OpenError::Storage(StorageError::Sqlite { .. })), "{error}");
}

#[test]
fn a_table_under_our_name_with_other_columns_is_an_error_and_not_overwritten() {
    let sql = old_files::named("current") + "CREATE TABLE autoforge_store (key TEXT, note TEXT);";
    let error = refused_without_a_trace(&sql);
    assert!(matches!(error, OpenError::Storage(StorageError::Sqlite { .. })), "{error}");
}

#[test]
fn a_file_of_a_newer_release_is_refused() {
    let project = Project::new();
    project.open().close();
    let newer = "UPDATE autoforge_store SET value = 3 WHERE fact = 'format'";
    project.foreign().execute_batch(newer).unwrap();
    let before = contents(&project);
    let error = Store::open_project(project.folder()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{error}");
    assert_eq!(contents(&project), before);
}

#[test]
fn a_database_of_another_program_is_refused_untouched() {
    for sql in [
        "CREATE TABLE conversations (id INTEGER PRIMARY KEY, title TEXT)",
        "CREATE VIEW features AS SELECT 1 AS id",
        "CREATE TABLE features (id INTEGER PRIMARY KEY, title TEXT)",
        "CREATE TABLE features (id INTEGER NOT NULL, priority INTEGER, category TEXT, name TEXT,
             description TEXT, steps TEXT)",
    ] {
        let project = Project::with_database(sql);
        let before = contents(&project);
        let error = Store::open_project(project.folder()).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{sql}: {error}");
        assert_eq!(contents(&project), before, "{sql}");
    }
}

#[test]
fn a_new_file_is_complete_at_once() {
    let project = Project::new();
    let store = project.open();
    assert!(store.opening().created && !store.opening().migrated);
    assert_eq!(store.diagnose().unwrap().journal, JournalMode::Wal);
    store.close();
    let file = project.foreign();
    let flags = columns(&file, "features");
    assert_eq!(flags["passes"], ("BOOLEAN".to_owned(), None));
    assert_eq!(flags["category"].0, "VARCHAR(100)");
    assert_eq!(flags["human_input_request"].0, "JSON");
    for bad in ["0, 5", "1441, 5", "60, 128", "60, -1"] {
        let insert = format!(
            "INSERT INTO schedules VALUES (1, 'p', '08:00', {bad}, 1, 0, NULL, 3, 0, '2026')"
        );
        assert!(file.execute_batch(&insert).is_err(), "{bad}");
    }
}

#[test]
fn of_a_file_that_another_program_made_current_only_the_missing_parts_are_added() {
    let project = Project::with_database(&old_files::named("current"));
    let before = schema(&project.foreign());
    project.open().close();
    let after = schema(&foreign(&project.database()));
    let added: Vec<_> = after
        .iter()
        .filter(|object| !before.contains(object))
        .map(|object| object.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert!(added.contains(&"trigger autoforge_feature_changed".to_owned()), "{added:?}");
    let ours = |object: &&String| object.contains("autoforge_") || object.contains("sqlite_");
    let others: Vec<_> = added.iter().filter(|object| !ours(object)).collect();
    assert!(others.is_empty(), "{others:?}");
}
