//! What `doctor` finds, and that looking changes nothing.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use autoforge_store::{
    Caller, Command as _, CreateFeatures, FenceToken, MarkFailing, MarkInProgress, NewFeature,
    Policy, ProcessIdentity, RecoverClaims, RetryFeature, SetPolicy, Store,
};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::Value;
use tempfile::TempDir;

/// A project with three features, closed.
struct Project {
    dir: TempDir,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_project(dir.path()).unwrap();
        let feature = |name: &str| NewFeature::new("Shop", name, "It works.", ["Try it"]).unwrap();
        let features = ["Cart", "Search", "Orders"].map(|name| feature(name).into()).to_vec();
        store.call(CreateFeatures::new(features)).unwrap();
        store.close();
        Self { dir }
    }

    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(".autoforge");
        fs::DirBuilder::new().mode(0o700).create(folder).unwrap();
        Self { dir }
    }

    fn database(&self) -> PathBuf {
        self.dir.path().join(".autoforge/features.db")
    }

    fn plant(&self, sql: &str) {
        Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }

    /// As a program does that switches triggers off.
    fn plant_without_triggers(&self, sql: &str) {
        let connection = Connection::open(self.database()).unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn store(&self) -> Store {
        Store::open_project(self.dir.path()).unwrap()
    }

    fn claim(&self, id: i64, owner: &Caller, lease: Option<Duration>) -> FenceToken {
        let claim = MarkInProgress { id: id.into() }.by(&Arc::new(owner.clone())).owning(lease);
        self.store().call(claim).unwrap().token
    }

    fn examine(&self) -> Report {
        let output = Command::new(env!("CARGO_BIN_EXE_autoforge-store"))
            .args(["doctor", "--json", "-C"])
            .arg(self.dir.path())
            .output()
            .unwrap();
        let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(envelope["schema_version"], 1);
        Report { exit: output.status.code().unwrap(), envelope }
    }

    /// All files around the database with their bytes.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.database().parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), read(&path))).collect()
    }
}

struct Report {
    exit: i32,
    envelope: Value,
}

impl Report {
    fn checks(&self) -> &Vec<Value> {
        self.envelope["data"]["checks"].as_array().unwrap()
    }

    /// The level and the text of the worst check of that name.
    fn check(&self, name: &str) -> (&str, &str) {
        let order = |level: &str| ["ok", "warning", "error"].iter().position(|l| *l == level);
        self.checks()
            .iter()
            .filter(|check| check["name"] == name)
            .map(|check| (check["level"].as_str().unwrap(), check["found"].as_str().unwrap()))
            .max_by_key(|(level, _)| order(level))
            .unwrap_or_else(|| panic!("no check {name} in {}", self.envelope))
    }

    /// What is advised about the check of that name.
    fn advice(&self, name: &str) -> &str {
        let check = self.checks().iter().find(|check| check["name"] == name).unwrap();
        check["advice"].as_str().unwrap()
    }

    fn assert_finds(&self, name: &str, level: &str, text: &str) {
        let (found_level, found) = self.check(name);
        assert_eq!(found_level, level, "{found}");
        assert!(found.contains(text), "{found}");
        assert_eq!(self.exit, i32::from(level != "ok"), "{}", self.envelope);
    }
}

#[expect(clippy::disallowed_methods, reason = "this process has no connection to the file")]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "this process has no connection to the file")]
fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// A Python program that has the database open until this is dropped; `None` without Python.
struct Holder {
    python: Child,
    version: String,
}

impl Holder {
    fn of(database: &Path) -> Option<Self> {
        let program = "import sqlite3, sys\n\
             connection = sqlite3.connect(sys.argv[1])\n\
             connection.execute('SELECT count(*) FROM features').fetchall()\n\
             print(sqlite3.sqlite_version, flush=True)\n\
             sys.stdin.read()";
        let mut python = Command::new("python3")
            .args(["-c", program])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut version = String::new();
        BufReader::new(python.stdout.take().unwrap()).read_line(&mut version).unwrap();
        Some(Self { python, version: version.trim().to_owned() })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.python.stdin.take());
        self.python.wait().unwrap();
    }
}

#[test]
fn a_sound_project_has_no_findings() {
    let report = Project::new().examine();
    assert_eq!(report.exit, 0, "{}", report.envelope);
    assert_eq!(report.envelope["data"]["healthy"], true);
    assert!(report.checks().iter().all(|check| check["level"] == "ok"));
    assert_eq!(report.check("features").1, "3 features");
}

#[test]
fn without_a_database_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_autoforge-store"))
        .args(["doctor", "-C"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn looking_leaves_every_byte_as_it_was() {
    let project = Project::new();
    let before = project.files();
    project.examine();
    assert_eq!(project.files(), before);
}

#[test]
fn a_log_that_a_killed_process_left_stays() {
    let project = Project::new();
    let connection = Connection::open(project.database()).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection.execute_batch("UPDATE features SET name = 'Basket' WHERE id = 1").unwrap();
    drop(connection);
    let log = project.database().with_extension("db-wal");
    let before = (read(&project.database()), read(&log));
    let report = project.examine();
    assert_eq!((read(&project.database()), read(&log)), before);
    report.assert_finds("side files", "ok", "a log of");
}

#[test]
fn an_older_release_is_told_and_not_changed() {
    let project = Project::empty();
    project.plant(
        "CREATE TABLE features (id INTEGER PRIMARY KEY, priority INTEGER, category TEXT,
             name TEXT, description TEXT, steps TEXT, passes BOOLEAN)",
    );
    let before = project.files();
    let report = project.examine();
    report.assert_finds("release", "ok", "the next opening brings it up to date");
    assert_eq!(project.files(), before);
}

#[test]
fn features_that_wait_in_a_circle_are_found() {
    let project = Project::new();
    project.plant(
        "UPDATE features SET dependencies = '[2]' WHERE id = 1;
         UPDATE features SET dependencies = '[1]' WHERE id = 2",
    );
    project.examine().assert_finds("circles", "warning", "1, 2");
}

#[test]
fn a_dependency_that_does_not_exist_is_found() {
    let project = Project::new();
    project.plant("UPDATE features SET dependencies = '[1, 99]' WHERE id = 3");
    project.examine().assert_finds("dependencies", "warning", "3 on 99");
}

#[test]
fn features_with_one_priority_are_found() {
    let project = Project::new();
    project.plant("UPDATE features SET priority = 7 WHERE id > 1");
    project.examine().assert_finds("priorities", "warning", "7 (features 2, 3)");
}

#[test]
fn stored_json_of_another_form_is_found() {
    let project = Project::new();
    project.plant(
        "UPDATE features SET steps = 'not json' WHERE id = 1;
         UPDATE features SET dependencies = '[true]' WHERE id = 2;
         UPDATE features SET human_input_request = '[]', dependencies = 'null' WHERE id = 3",
    );
    let found = "steps of feature 1, dependencies of feature 2, human_input_request of feature 3";
    project.examine().assert_finds("stored JSON", "warning", found);
}

#[test]
fn null_flags_are_found() {
    let project = Project::empty();
    project.plant(
        "CREATE TABLE features (id INTEGER PRIMARY KEY, priority INTEGER, category TEXT,
             name TEXT, description TEXT, steps TEXT, passes BOOLEAN, in_progress BOOLEAN,
             dependencies TEXT, needs_human_input BOOLEAN, human_input_request TEXT,
             human_input_response TEXT);
         INSERT INTO features (id, priority, category, name, description, steps, passes)
             VALUES (5, 1, 'Shop', 'Cart', 'It works.', '[\"Try it\"]', 0)",
    );
    project.examine().assert_finds("flags", "warning", "NULL: 5");
}

#[test]
fn a_claim_of_nobody_and_a_question_are_told() {
    let project = Project::new();
    project.plant(
        "UPDATE features SET in_progress = 1 WHERE id = 2;
         UPDATE features SET needs_human_input = 1 WHERE id = 3",
    );
    let report = project.examine();
    report.assert_finds("claims", "warning", "nobody has the database open: 2");
    assert_eq!(report.check("questions"), ("ok", "features that wait for a human: 3"));
}

#[test]
fn a_claim_that_is_over_is_found_with_its_remedy() {
    let project = Project::new();
    let (mine, gone) = (Caller::new("bob", "cli"), ProcessIdentity::current());
    let gone = gone.map(|own| ProcessIdentity { started: 1, ..own });
    let dead = Caller::new("eve", "cli").in_process(gone);
    project.claim(1, &mine, Some(Duration::ZERO));
    project.claim(2, &dead, None);
    let report = project.examine();
    report.assert_finds(
        "leases and owners",
        "warning",
        "feature 1 of bob, over: its lease ran out",
    );
    let (_, found) = report.check("leases and owners");
    assert!(found.contains("feature 2 of eve, over: its process died"), "{found}");
    assert!(report.advice("leases and owners").contains("autoforge-store recover"));
    project.store().call(RecoverClaims).unwrap();
    assert_eq!(project.examine().exit, 0);
}

#[test]
fn a_claim_of_an_owner_that_runs_is_no_finding_whoever_has_the_database_open() {
    let project = Project::new();
    project.claim(1, &Caller::new("bob", "cli"), None);
    let report = project.examine();
    assert_eq!(report.check("claims"), ("ok", "features that are worked on: 1"));
    assert_eq!(report.exit, 0, "{}", report.envelope);
}

#[test]
fn a_claim_that_was_ended_without_its_record_is_found() {
    let project = Project::new();
    let token = project.claim(1, &Caller::new("bob", "cli"), None);
    project.plant_without_triggers("UPDATE features SET in_progress = 0 WHERE id = 1");
    let report = project.examine();
    report.assert_finds("claim records", "warning", &format!("claim {token} on feature 1"));
    report.assert_finds("history", "warning", "without a word in it: 1");
}

#[test]
fn a_feature_that_has_failed_too_often_is_found_with_its_remedy() {
    let project = Project::new();
    let bob = Arc::new(Caller::new("bob", "cli"));
    for _ in 0..3 {
        project.claim(2, &bob, None);
        project.store().call(MarkFailing { id: 2.into() }.by(&bob)).unwrap();
    }
    let report = project.examine();
    report.assert_finds("attempts", "warning", "failed too often: 2");
    assert!(report.advice("attempts").contains("autoforge-store retry ID"));
    project.store().call(RetryFeature { id: 2.into() }).unwrap();
    assert_eq!(project.examine().exit, 0);
}

#[test]
fn a_history_with_gaps_is_found() {
    let project = Project::new();
    project.plant("DELETE FROM autoforge_events WHERE id = 2");
    project.examine().assert_finds("history", "warning", "1 events were deleted from its midst");

    let project = Project::new();
    project.plant_without_triggers("DELETE FROM features WHERE id = 3");
    project.examine().assert_finds("history", "warning", "without a word in it: 3");
}

#[test]
fn a_history_that_was_cut_to_its_bound_has_no_gap() {
    let project = Project::new();
    let store = project.store();
    store.call(SetPolicy(Policy { events: 2, ..Policy::default() })).unwrap();
    store.close();
    for name in ["a", "b", "c"] {
        project.plant(&format!("UPDATE features SET name = '{name}' WHERE id = 1"));
    }
    assert_eq!(project.examine().check("history").0, "ok");
}

#[test]
fn a_file_that_others_can_read_is_found() {
    let project = Project::new();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&project.database(), 0o644);
    project.examine().assert_finds("mode", "ok", "mode 644");
    mode(project.database().parent().unwrap(), 0o755);
    mode(project.dir.path(), 0o755);
    project.examine().assert_finds("mode", "warning", "everybody can read the file");
}

#[test]
fn what_is_no_database_is_a_finding_and_stays() {
    let project = Project::empty();
    write(&project.database(), &b"This is not a database. ".repeat(100));
    let before = project.files();
    project.examine().assert_finds("content", "error", "is not an SQLite database");
    assert_eq!(project.files(), before);
}

#[test]
fn a_cut_database_is_a_finding() {
    let project = Project::new();
    let bytes = read(&project.database());
    write(&project.database(), &bytes[..bytes.len() / 2 + 100]);
    let report = project.examine();
    assert_eq!(report.exit, 1, "{}", report.envelope);
    assert!(report.checks().iter().any(|check| check["level"] == "error"));
}

#[test]
fn a_folder_in_the_place_of_the_database_is_a_finding() {
    let project = Project::empty();
    fs::create_dir(project.database()).unwrap();
    project.examine().assert_finds("content", "error", "is a folder");
}

#[test]
fn the_database_of_another_program_is_a_finding() {
    let project = Project::empty();
    project.plant("CREATE TABLE songs (title TEXT)");
    project.examine().assert_finds("content", "error", "another program");
}

#[test]
fn a_damaged_index_is_found() {
    let project = Project::new();
    let (root, size): (u32, u32) = Connection::open(project.database())
        .unwrap()
        .query_row(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size)
             FROM sqlite_schema WHERE name = 'ix_features_priority'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let mut bytes = read(&project.database());
    // An index page without entries is well formed, and wrong.
    bytes[((root - 1) * size) as usize + 3..][..2].copy_from_slice(&[0, 0]);
    write(&project.database(), &bytes);
    project.examine().assert_finds("integrity", "error", "page");
}

#[test]
fn a_second_name_is_found() {
    let project = Project::new();
    fs::hard_link(project.database(), project.dir.path().join("copy.db")).unwrap();
    project.examine().assert_finds("names", "error", "2 names");
}

#[test]
fn a_rollback_journal_beside_a_log_is_found_and_left_alone() {
    let project = Project::new();
    write(&project.database().with_extension("db-journal"), &[0; 512]);
    let before = project.files();
    let report = project.examine();
    report.assert_finds("side files", "error", "beside a database that has a write-ahead log");
    assert_eq!(report.check("content").0, "warning");
    assert_eq!(project.files(), before);
}

#[test]
fn an_old_library_that_wrote_the_file_is_found() {
    let project = Project::new();
    let mut bytes = read(&project.database());
    bytes[96..100].copy_from_slice(&3_040_001_u32.to_be_bytes());
    write(&project.database(), &bytes);
    project.examine().assert_finds("last writer", "warning", "SQLite 3.40.1");
}

#[test]
fn a_list_that_cannot_be_imported_is_found() {
    let project = Project::new();
    project.plant("DELETE FROM features");
    let list = project.dir.path().join("feature_list.json");
    write(&list, b"{}");
    project.examine().assert_finds("feature_list.json", "error", "cannot be imported");
    write(&list, b"[{\"name\": \"Cart\"}]");
    project.examine().assert_finds("feature_list.json", "ok", "imports its 1 features");
    assert!(list.exists());
}

#[test]
fn another_process_is_found_with_its_library() {
    let project = Project::new();
    let Some(holder) = Holder::of(&project.database()) else { return };
    let report = project.examine();
    let (level, found) = report.check("open elsewhere");
    assert!(found.contains(&format!("process {}", holder.python.id())), "{found}");
    assert!(found.contains(&format!("SQLite {}", holder.version)), "{found}");
    let parts: Vec<u32> = holder.version.split('.').map(|part| part.parse().unwrap()).collect();
    if parts < vec![3, 44, 6] {
        assert_eq!(level, "error", "{found}");
    } else if parts >= vec![3, 53, 0] {
        assert_eq!(level, "ok", "{found}");
    }
}

#[test]
fn a_claim_beside_a_living_process_is_no_finding() {
    let project = Project::new();
    project.plant("UPDATE features SET in_progress = 1 WHERE id = 2");
    let Some(_holder) = Holder::of(&project.database()) else { return };
    assert_eq!(project.examine().check("claims").0, "ok");
}

#[test]
fn a_process_that_works_on_a_deleted_file_is_found() {
    let project = Project::new();
    let Some(_holder) = Holder::of(&project.database()) else { return };
    let bytes = read(&project.database());
    fs::remove_file(project.database()).unwrap();
    write(&project.database(), &bytes);
    project.examine().assert_finds("open elsewhere", "error", "deleted or replaced");
}
