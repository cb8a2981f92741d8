//! A migration that is killed at each of its steps.

use std::os::unix::process::ExitStatusExt;

use autoforge_store::testing::CrashPlan;
use autoforge_store::{LayoutError, LayoutOptions, ProjectFile, migrate_layout};

use super::neighbour::{KINDS, ask, found, start};
use super::{
    AtPoint, NAMES, OLD_PLACES, assert_in_new_place, assert_moved, feature_names, features_project,
    insert, migrate, old_project, planned, points,
};
use crate::support::{Project, foreign, text, texts};

/// The project, after its migration was killed there.
pub(super) fn killed_at(project: Project, point: &str, nth: usize) -> Project {
    let plan = CrashPlan::Kill { point: point.to_owned(), nth };
    let output = planned("migrate", project.folder(), &plan).output().unwrap();
    assert_eq!(output.status.signal(), Some(9), "{point} {nth}: {output:?}");
    project
}

/// A project after a kill.
struct Killed {
    project: Project,
    /// For messages.
    context: String,
    /// The migration had begun, and had not ended.
    unfinished: bool,
    /// It has all that a project has, else the features alone.
    whole: bool,
}

impl Killed {
    fn assert_moved(&self) {
        if self.whole {
            assert_moved(&self.project, &self.context);
        } else {
            assert_in_new_place(&self.project, &[ProjectFile::FeaturesDb], &self.context);
        }
    }
}

fn for_each_point(body: impl Fn(&Killed)) {
    for whole in [true, false] {
        let make = || if whole { old_project(".autocoder") } else { features_project(".") };
        let points = points("migrate", make().folder());
        let begun = points.iter().position(|(point, _)| point == "migrate.marked").unwrap();
        for (at, (point, nth)) in points.iter().enumerate() {
            body(&Killed {
                project: killed_at(make(), point, *nth),
                context: format!("killed at {point} {nth}"),
                unfinished: at >= begun && point != "migrate.unmarked",
                whole,
            });
        }
    }
}

#[test]
fn wherever_a_migration_is_killed_one_complete_database_is_found_and_only_that_one_takes_writes() {
    for_each_point(|Killed { project, context, .. }| {
        let found = found(project.folder());
        let all = ["features.db", ".autocoder/features.db", ".autoforge/features.db"];
        for path in all.map(|name| project.folder().join(name)) {
            if path.exists() {
                let file = foreign(&path);
                assert_eq!(text(&file, "PRAGMA integrity_check"), "ok", "{context}");
                assert_eq!(
                    texts(&file, "SELECT name FROM features ORDER BY id"),
                    NAMES,
                    "{context}"
                );
                let written = insert(&file, "later");
                assert!(path == found || written.is_err(), "{context}: {} took it", path.display());
            }
        }
        assert!(found.exists(), "{context}");
    });
}

#[test]
fn wherever_a_migration_is_killed_the_next_opening_finishes_it() {
    for_each_point(|killed| {
        let Killed { project, context, unfinished, .. } = killed;
        let store = project.open();
        let opening = store.opening();
        assert_eq!(opening.layout_problem, None, "{context}");
        assert_eq!(opening.finished_migration.is_some(), *unfinished, "{context}");
        assert_eq!(feature_names(&store), NAMES, "{context}");
        store.close();
        if *unfinished {
            killed.assert_moved();
        }
    });
}

#[test]
fn wherever_a_migration_is_killed_another_one_finishes_it() {
    for_each_point(|killed| {
        let Killed { project, context, unfinished, .. } = killed;
        assert_eq!(migrate(project).resumed, *unfinished, "{context}");
        killed.assert_moved();
        assert_eq!(feature_names(&project.open()), NAMES, "{context}");
    });
}

#[test]
fn wherever_a_migration_is_killed_a_program_that_knows_nothing_of_it_loses_nothing() {
    for (kind, place) in KINDS {
        for (point, nth) in points("migrate", features_project(place).folder()) {
            let context = format!("{kind} comes after a kill at {point} {nth}");
            let project = killed_at(features_project(place), &point, nth);
            let Some(mut other) = start(kind, project.folder()) else { break };
            ask(&mut other, "find");
            assert_eq!(ask(&mut other, "open"), "opened");
            assert_eq!(ask(&mut other, "start"), "wal", "{context}");
            assert_eq!(ask(&mut other, "names"), NAMES.join(","), "{context}");
            let written = ask(&mut other, "write later");
            // Fenced, with a copy that has not got its name: readable, and safe until we come.
            let fenced = written.starts_with("failed: this database was moved to");
            assert_eq!(fenced, point == "migrate.fenced", "{context}: {written}");
            assert!(written == "written" || fenced, "{context}: {written}");
            ask(&mut other, "close");
            let names = feature_names(&project.open());
            assert_eq!(names[..4], NAMES, "{context}");
            assert_eq!(names.len() > 4, written == "written", "{context}: {names:?}");
        }
    }
}

/// It has found and opened the old file while it was locked, and gets at it when the migration dies.
#[test]
fn a_program_that_waited_for_the_old_file_writes_nothing_that_nobody_would_see() {
    for (kind, place) in KINDS {
        for (point, nth) in points("migrate", features_project(place).folder()) {
            let project = features_project(place);
            let context = format!("{kind} waits while killed at {point} {nth}");
            let Some(mut other) = start(kind, project.folder()) else { break };
            ask(&mut other, "find");
            let migrating = AtPoint::reach("migrate", project.folder(), &point, nth);
            if ask_to_open_noted(&mut other, &project) {
                other.tell("write waited");
            }
            migrating.kill();
            let answer = other.hear();
            ask(&mut other, "close");
            let names = feature_names(&project.open());
            let kept = names.iter().any(|name| name == "waited");
            assert_eq!(kept, answer == "written", "{context}: {answer}, {names:?}");
            assert_eq!(names[..4], NAMES, "{context}");
        }
    }
}

/// Opens the path that was noted before the move began, if there still is a file. What it opens
/// otherwise is a new one, which is no fault of the move.
fn ask_to_open_noted(other: &mut crate::support::Child, project: &Project) -> bool {
    let old = OLD_PLACES.iter().any(|old| project.folder().join(old).join("features.db").exists());
    if old {
        assert_eq!(ask(other, "open"), "opened");
    } else {
        // It has to say something.
        other.tell("find");
    }
    old
}

#[test]
fn a_project_in_two_places_after_a_kill_is_told_from_one_that_somebody_restored() {
    let project = killed_at(features_project(".autocoder"), "migrate.switched", 1);
    let old = project.folder().join(".autocoder/features.db");
    assert!(old.exists() && project.database().exists());
    // Somebody puts an old copy in the place of the one that was left behind.
    std::fs::remove_file(&old).unwrap();
    super::fill(&old);
    let store = project.open();
    let problem = store.opening().layout_problem.clone().unwrap();
    assert!(
        problem.contains(".autocoder/features.db") && problem.contains(".autoforge/features.db")
    );
    assert_eq!(feature_names(&store), NAMES);
    store.close();
    let error = migrate_layout(project.folder(), &LayoutOptions::default()).unwrap_err();
    assert!(matches!(error, LayoutError::TwoPlaces { .. }), "{error}");
    assert_eq!(texts(&foreign(&old), "SELECT name FROM features ORDER BY id"), NAMES);
}

#[test]
fn a_fence_whose_copy_got_no_name_is_lifted_by_the_next_opening_that_cannot_finish() {
    let project = killed_at(features_project(".autocoder"), "migrate.fenced", 1);
    let lock = project.folder().join(".autoforge/.agent.lock");
    std::fs::write(&lock, "1").unwrap();
    let old = project.folder().join(".autocoder/features.db");
    insert(&foreign(&old), "refused").unwrap_err();
    let store = project.open();
    assert!(store.opening().layout_problem.as_ref().unwrap().contains(".agent.lock"));
    assert_eq!(store.path(), old);
    insert(&foreign(&old), "taken").unwrap();
    store.close();
    std::fs::remove_file(&lock).unwrap();
    let store = project.open();
    assert_eq!(store.path(), project.database());
    assert_eq!(feature_names(&store).last().unwrap(), "taken");
}
