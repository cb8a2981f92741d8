//! Putting a copy of a database back in its place.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use autoforge_store::testing::CrashPlan;
use autoforge_store::{
    LayoutError, LayoutOptions, OpenError, ProjectLayout, ResetScope, reset_project,
    restore_features,
};

use super::neighbour::{KINDS, ask, found, start};
use super::{
    AtPoint, NAMES, damage, feature_names, features_project, mode, planned, points, snapshot,
};
use crate::support::{Child, Project, create, foreign, say, text, texts};

/// A project with a copy beside it, and with a feature that is not in the copy.
fn with_copy(place: &str) -> Project {
    let project = features_project(place);
    let store = project.open();
    store.backup(copy_of(project.folder())).unwrap();
    store.call(create("after the copy")).unwrap();
    store.close();
    project
}

fn copy_of(folder: &Path) -> std::path::PathBuf {
    folder.join("copy.db")
}

fn restore(project: &Project) -> Result<autoforge_store::Restoration, LayoutError> {
    let options = LayoutOptions { wait: std::time::Duration::ZERO, ..LayoutOptions::default() };
    restore_features(project.folder(), copy_of(project.folder()), &options)
}

/// The body of the child process that restores the copy.
pub(crate) fn restore_in_child(folder: &Path) {
    restore_features(folder, copy_of(folder), &LayoutOptions::default()).unwrap();
    say("restored");
}

#[test]
fn a_copy_is_put_back_and_what_was_there_is_kept() {
    for place in [".autoforge", ".autocoder", "."] {
        let project = with_copy(place);
        let restoration = restore(&project).unwrap();
        let store = project.open();
        assert_eq!(store.path(), restoration.database.canonicalize().unwrap());
        assert_eq!(feature_names(&store), NAMES, "{place}");
        let kept = restoration.replaced.unwrap();
        let names = texts(&foreign(&kept.copy), "SELECT name FROM features ORDER BY id");
        assert_eq!(names.last().unwrap(), "after the copy");
        assert!(kept.sound && copy_of(project.folder()).exists());
        let undone = Project::new();
        std::fs::copy(&kept.copy, copy_of(undone.folder())).unwrap();
        let restoration = restore(&undone).unwrap();
        assert_eq!(restoration.replaced, None);
        assert_eq!(mode(&undone.database()), 0o600);
        assert_eq!(feature_names(&undone.open()).last().unwrap(), "after the copy");
    }
}

#[test]
fn a_reset_can_be_taken_back() {
    let project = features_project(".autoforge");
    let options = LayoutOptions::default();
    let reset = reset_project(project.folder(), ResetScope::Features, &options).unwrap();
    let copy = reset.backup.join("features.db");
    restore_features(project.folder(), copy, &options).unwrap();
    assert_eq!(feature_names(&project.open()), NAMES);
}

#[test]
fn wherever_a_restoration_is_killed_it_left_the_one_or_the_other() {
    let whole = |names: &[String]| names == NAMES || (names[..4] == NAMES && names.len() == 5);
    for (point, nth) in points("restore", with_copy(".autoforge").folder()) {
        let context = format!("killed at {point} {nth}");
        let project = with_copy(".autoforge");
        let plan = CrashPlan::Kill { point, nth };
        let output = planned("restore", project.folder(), &plan).output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{context}: {output:?}");
        let file = foreign(&found(project.folder()));
        assert_eq!(text(&file, "PRAGMA integrity_check"), "ok", "{context}");
        assert!(whole(&texts(&file, "SELECT name FROM features ORDER BY id")), "{context}");
        drop(file);
        restore(&project).unwrap();
        assert_eq!(feature_names(&project.open()), NAMES, "{context}");
        let strays: Vec<_> = snapshot(project.folder()).into_keys().collect();
        assert!(!strays.iter().any(|path| path.to_str().unwrap().contains("moving")), "{context}");
    }
}

#[test]
fn a_program_that_waited_for_a_restoration_works_on_what_was_restored() {
    for (kind, _) in KINDS {
        let project = with_copy(".autoforge");
        let Some(mut other) = start(kind, project.folder()) else { continue };
        ask(&mut other, "find");
        let restoring = AtPoint::reach("restore", project.folder(), "overwrite.begun", 1);
        assert_eq!(ask(&mut other, "open"), "opened");
        other.tell("write waited");
        assert!(restoring.go_on().contains("restored"));
        assert_eq!(other.hear(), "written");
        ask(&mut other, "close");
        let names = feature_names(&project.open());
        assert_eq!((&names[..4], names[4].as_str()), (&NAMES.map(str::to_owned)[..], "waited"));
    }
}

#[test]
fn nothing_is_replaced_under_somebody_who_uses_it() {
    let project = with_copy(".autoforge");
    let mut reader = Child::start("stay_connected", &project.database());
    assert_eq!(reader.hear(), "connected");
    let before = snapshot(project.folder());
    let error = restore(&project).unwrap_err();
    assert!(matches!(&error, LayoutError::InUse { by, .. } if by[0].pid == reader.id()), "{error}");
    assert_eq!(snapshot(project.folder()), before);
    reader.kill();
    std::fs::write(project.folder().join(".autoforge/.devserver.lock"), "1").unwrap();
    assert!(matches!(restore(&project), Err(LayoutError::Running { .. })));
}

#[test]
fn only_a_sound_copy_of_a_project_is_put_in_its_place() {
    let project = with_copy(".autoforge");
    let copy = copy_of(project.folder());
    let unchanged = |what: &str| {
        let store = project.open();
        assert_eq!(feature_names(&store).last().unwrap(), "after the copy", "{what}");
        store.close();
        assert!(!project.folder().join(".autoforge/.moving-features.db").exists(), "{what}");
        assert!(!ProjectLayout::existing(project.folder()).unwrap().is_migrating());
    };
    damage(&copy);
    assert_eq!(restore(&project).unwrap_err().code(), "corrupt");
    unchanged("damaged");
    std::fs::write(&copy, "no database, but as long as one would have to be".repeat(100)).unwrap();
    let error = restore(&project).unwrap_err();
    assert!(matches!(error, LayoutError::Open(OpenError::NotADatabase { .. })), "{error}");
    unchanged("no database");
    std::fs::remove_file(&copy).unwrap();
    foreign(&copy).execute_batch("CREATE TABLE roads (id INTEGER PRIMARY KEY)").unwrap();
    let error = restore(&project).unwrap_err();
    assert!(matches!(error, LayoutError::Open(OpenError::Foreign { .. })), "{error}");
    unchanged("foreign");
    std::fs::remove_file(&copy).unwrap();
    assert!(restore(&project).is_err());
    unchanged("missing");
    let itself = restore_features(project.folder(), project.database(), &LayoutOptions::default());
    assert!(matches!(itself, Err(LayoutError::Itself { .. })), "{itself:?}");
    unchanged("itself");
}

#[test]
fn a_damaged_database_is_replaced_and_kept_as_it_is() {
    let project = with_copy(".autoforge");
    damage(&project.database());
    let kept = restore(&project).unwrap().replaced.unwrap();
    assert!(!kept.sound && kept.copy.exists());
    assert_eq!(feature_names(&project.open()), NAMES);
}
