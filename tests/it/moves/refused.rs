//! What is in the way of a migration: it is named, and nothing is changed.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use autoforge_store::{
    GetStats, LayoutError, LayoutOptions, OpenError, ProjectFile, ProjectLayout, Store,
    migrate_layout,
};

use super::neighbour::{KINDS, ask, start};
use super::{
    NAMES, OLD_PLACES, assert_moved, feature_names, features_project, fill, migrate, old_project,
    snapshot,
};
use crate::support::{Child, Project, foreign};

fn options() -> LayoutOptions {
    LayoutOptions { wait: std::time::Duration::ZERO, ..LayoutOptions::default() }
}

/// Refused, and every byte is where it was.
fn refused_with(project: &Project, options: &LayoutOptions) -> LayoutError {
    let before = snapshot(project.folder());
    let error = migrate_layout(project.folder(), options).unwrap_err();
    assert_eq!(snapshot(project.folder()), before, "{error}");
    error
}

fn refused(project: &Project) -> LayoutError {
    refused_with(project, &options())
}

fn assert_in_use(error: &LayoutError, database: &Path, pid: u32) {
    let LayoutError::InUse { path, by } = error else { panic!("{error}") };
    assert_eq!(path, database);
    assert!(by.iter().any(|holder| holder.pid == pid), "{error}");
    assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
    assert!(error.retryable() && error.code() == "in_use");
}

#[test]
fn a_database_that_another_process_has_open_is_not_touched_and_the_process_is_named() {
    for place in OLD_PLACES {
        let project = old_project(place);
        let database = project.folder().join(place).join("features.db").canonicalize().unwrap();
        let mut reader = Child::start("stay_connected", &database);
        assert_eq!(reader.hear(), "connected");
        let forced = LayoutOptions { force: true, ..options() };
        for options in [options(), forced] {
            assert_in_use(&refused_with(&project, &options), &database, reader.id());
        }
        reader.kill();
        migrate(&project);
        assert_moved(&project, place);
    }
}

#[test]
fn a_store_of_another_process_keeps_its_database() {
    let project = features_project(".autocoder");
    let mut other = Child::start("open", project.folder());
    other.tell(project.folder().to_str().unwrap());
    assert_eq!(other.hear(), "false true 4");
    let database = project.folder().join(".autocoder/features.db");
    assert_in_use(&refused(&project), &database, other.id());
    other.tell("close");
    assert_eq!(other.hear(), "closed None");
    assert_eq!(migrate(&project).moved.len(), 1);
}

#[test]
fn a_connection_that_sleeps_without_any_lock_is_noticed() {
    for (kind, place) in KINDS {
        let project = features_project(place);
        let database = project.folder().join(place).join("features.db").canonicalize().unwrap();
        let file = foreign(&database);
        file.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
        drop(file);
        let Some(mut other) = start(kind, project.folder()) else { continue };
        ask(&mut other, "find");
        assert_eq!(ask(&mut other, "open"), "opened");
        assert_eq!(ask(&mut other, "names"), NAMES.join(","));
        assert_in_use(&refused(&project), &database, other.id());
        assert_eq!(ask(&mut other, "write still"), "written");
        ask(&mut other, "close");
        migrate(&project);
        assert_eq!(feature_names(&project.open()).last().unwrap(), "still");
    }
}

#[test]
fn a_writer_and_a_connection_of_this_process_are_in_the_way() {
    let project = features_project(".");
    let database = project.folder().join("features.db");
    let own = foreign(&database);
    own.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(refused(&project), LayoutError::InUse { .. }));
    own.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(refused(&project), LayoutError::InUse { .. }), "it is still connected");
    drop(own);
    migrate(&project);
}

#[test]
fn a_lock_file_in_any_place_is_in_the_way_unless_it_is_overridden() {
    for place in [".autoforge", ".autocoder", "."] {
        for name in [".agent.lock", ".devserver.lock"] {
            let project = features_project(".autocoder");
            let lock = project.folder().join(place).join(name);
            std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
            std::fs::write(&lock, "4711").unwrap();
            let error = refused(&project);
            assert!(error.to_string().contains(name) && error.code() == "running", "{error}");
            let forced = LayoutOptions { force: true, ..options() };
            migrate_layout(project.folder(), &forced).unwrap();
            // It says the same as before, in the place where it is looked for first.
            let layout = ProjectLayout::existing(project.folder()).unwrap();
            let found = if name == ".agent.lock" {
                layout.file(ProjectFile::AgentLock)
            } else {
                layout.file(ProjectFile::DevServerLock)
            };
            assert_eq!(found, project.folder().join(".autoforge").join(name));
            assert_eq!(std::fs::read_to_string(found).unwrap(), "4711");
        }
    }
}

#[test]
fn a_database_in_two_places_is_left_to_its_owner() {
    for places in [[".autoforge", ".autocoder"], [".autoforge", "."], [".autocoder", "."]] {
        let project = Project::new();
        let paths = places.map(|place| project.folder().join(place).join("features.db"));
        for path in &paths {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            fill(path);
        }
        let error = refused(&project);
        let LayoutError::TwoPlaces { used, other, .. } = &error else { panic!("{error}") };
        let real = |path: &PathBuf| path.canonicalize().unwrap();
        assert_eq!([real(used), real(other)], [real(&paths[0]), real(&paths[1])]);
        let plan = ProjectLayout::existing(project.folder()).unwrap().plan_migration();
        assert_eq!(plan.problems.len(), 1);
    }
}

#[test]
fn whatever_stands_in_the_new_place_is_not_replaced() {
    let project = features_project(".");
    std::fs::create_dir(project.folder().join(".autoforge")).unwrap();
    symlink("/nowhere/at/all.db", project.database()).unwrap();
    assert!(matches!(refused(&project), LayoutError::TwoPlaces { .. }));
    std::fs::remove_file(project.database()).unwrap();
    std::fs::create_dir(project.database()).unwrap();
    assert!(matches!(refused(&project), LayoutError::TwoPlaces { .. }));
}

#[test]
fn links_are_not_followed_into_other_folders() {
    let project = features_project("elsewhere");
    let real = project.folder().join("elsewhere");
    symlink(&real, project.folder().join(".autocoder")).unwrap();
    assert!(matches!(refused(&project), LayoutError::Link { .. }));
    std::fs::remove_file(project.folder().join(".autocoder")).unwrap();
    symlink(real.join("features.db"), project.folder().join("features.db")).unwrap();
    assert!(matches!(refused(&project), LayoutError::Link { .. }));
    std::fs::remove_file(project.folder().join("features.db")).unwrap();
    std::fs::hard_link(real.join("features.db"), project.folder().join("features.db")).unwrap();
    let error = refused(&project);
    assert!(matches!(error, LayoutError::Open(OpenError::HardLinked { .. })), "{error}");
}

#[test]
fn what_is_not_ours_is_not_moved() {
    let project = Project::new();
    let file = project.folder().join("features.db");
    foreign(&file).execute_batch("CREATE TABLE roads (id INTEGER PRIMARY KEY)").unwrap();
    let error = refused(&project);
    assert!(matches!(error, LayoutError::Open(OpenError::Foreign { .. })), "{error}");
    std::fs::write(&file, "no database, but as long as one would have to be".repeat(100)).unwrap();
    let error = refused(&project);
    assert!(matches!(error, LayoutError::Open(OpenError::NotADatabase { .. })), "{error}");

    // Beside features of ours, an application's own file of the assistant's name stays.
    let project = features_project(".");
    let assistant = project.folder().join("assistant.db");
    foreign(&assistant).execute_batch("CREATE TABLE roads (id INTEGER PRIMARY KEY)").unwrap();
    let migration = migrate(&project);
    assert_eq!(migration.moved.len(), 1);
    assert_eq!(migration.left[0].path, assistant);
    assert!(assistant.exists() && !project.folder().join(".autoforge/assistant.db").exists());
}

#[test]
fn a_damaged_database_stays_where_it_is() {
    let project = features_project(".");
    let path = project.folder().join("features.db");
    super::damage(&path);
    let error = migrate_layout(project.folder(), &options()).unwrap_err();
    assert_eq!(error.code(), "corrupt", "{error}");
    assert!(path.exists() && !project.database().exists());
    let left: Vec<_> = snapshot(project.folder()).into_keys().collect();
    assert!(!left.iter().any(|path| path.to_str().unwrap().contains("moving")), "{left:?}");
    assert!(!ProjectLayout::existing(project.folder()).unwrap().is_migrating());
}

#[test]
fn one_database_in_use_keeps_the_others_in_place_and_as_they_were() {
    // The features could be had, and are given back when the conversations cannot.
    let project = old_project(".autocoder");
    let held = foreign(&project.folder().join(".autocoder/assistant.db"));
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = migrate_layout(project.folder(), &options()).unwrap_err();
    assert!(matches!(error, LayoutError::InUse { .. }), "{error}");
    assert!(!project.folder().join(".autoforge").exists());
    let features = foreign(&project.folder().join(".autocoder/features.db"));
    assert_eq!(crate::support::text(&features, "PRAGMA journal_mode"), "wal");
    drop(features);
    assert_eq!(feature_names(&project.open()), NAMES);
}

#[test]
fn an_opening_that_cannot_finish_a_migration_disturbs_no_handle_of_its_process() {
    let project = super::killed::killed_at(features_project("."), "migrate.copied", 1);
    let lock = project.folder().join(".autoforge/.agent.lock");
    std::fs::write(&lock, "1").unwrap();
    let store = project.open();
    std::fs::remove_file(&lock).unwrap();
    // Nothing is in the way any more but this process's own engine.
    let again = project.open();
    let problem = again.opening().layout_problem.clone().unwrap();
    assert!(problem.contains(&format!("process {}", std::process::id())), "{problem}");
    assert_eq!(store.call(GetStats).unwrap().total, 4);
    store.close();
    assert!(
        Store::open_project(project.folder()).unwrap().path().ends_with(".autoforge/features.db")
    );
}
