//! Starting a project anew: what it had is kept first.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use autoforge_store::testing::CrashPlan;
use autoforge_store::{
    LayoutError, LayoutOptions, ProjectLayout, Reset, ResetScope, Store, reset_project,
};

use super::neighbour::{KINDS, ask, found, start};
use super::{
    AtPoint, NAMES, OLD_PLACES, feature_names, features_project, fill, insert, mode, old_project,
    planned, points, snapshot,
};
use crate::support::{Child, Project, create, foreign, say, text, texts};

fn reset(project: &Project, scope: ResetScope) -> Reset {
    reset_project(project.folder(), scope, &LayoutOptions::default()).unwrap()
}

/// The body of the child process that resets everything.
pub(crate) fn reset_in_child(folder: &Path) {
    match reset_project(folder, ResetScope::Everything, &LayoutOptions::default()) {
        Ok(reset) => say(&format!("removed {}", reset.removed.len())),
        Err(error) => say(&format!("refused: {error}")),
    }
}

fn names_in(path: &Path) -> Vec<String> {
    let file = foreign(path);
    assert_eq!(text(&file, "PRAGMA integrity_check"), "ok", "{}", path.display());
    texts(&file, "SELECT name FROM features ORDER BY id")
}

/// The folders of copies that are complete, by their names.
fn kept(project: &Project) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(project.folder().join(".autoforge/backups")) else {
        return Vec::new();
    };
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.extension().is_none_or(|name| name != "partial"));
    folders.sort();
    folders
}

/// A project that is in use in `.autoforge/`, with older files of the same names in the other places.
fn everywhere() -> Project {
    let project = old_project(".");
    also_in(&project, ".autocoder");
    also_in(&project, ".autoforge");
    project
}

fn also_in(project: &Project, place: &str) {
    std::fs::create_dir(project.folder().join(place)).unwrap();
    let path = project.folder().join(place).join("features.db");
    fill(&path);
    insert(&foreign(&path), &format!("of {place}")).unwrap();
}

#[test]
fn a_reset_removes_features_wherever_they_are_and_keeps_complete_copies() {
    let project = everywhere();
    let reset = reset(&project, ResetScope::Features);
    assert_eq!(reset.removed.len(), 4, "three databases and a cache: {reset:#?}");
    assert!(reset.removed.iter().all(|path| !path.exists()));
    assert!(project.folder().join("assistant.db").exists(), "conversations stay");
    assert_eq!(kept(&project), std::slice::from_ref(&reset.backup));
    let copies: BTreeMap<_, _> = reset
        .copies
        .iter()
        .map(|copy| (copy.original.strip_prefix(project.folder()).unwrap(), names_in(&copy.copy)))
        .collect();
    let own = |last: &str| {
        [&NAMES[..], &[last]].concat().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(copies[Path::new(".autoforge/features.db")], own("of .autoforge"));
    assert_eq!(copies[Path::new(".autocoder/features.db")], own("of .autocoder"));
    assert_eq!(copies[Path::new("features.db")], NAMES);
    assert!(reset.copies.iter().all(|copy| copy.sound && mode(&copy.copy) == 0o600));
    assert_eq!(mode(&reset.backup), 0o700);
    assert_eq!(names_in(&reset.backup.join("features.db")).last().unwrap(), "of .autoforge");
    assert!(reset.backup.join("from-root/.progress_cache").exists());
    let store = project.open();
    assert!(store.opening().created && feature_names(&store).is_empty());
}

#[test]
fn a_whole_reset_removes_conversations_too() {
    for place in OLD_PLACES {
        let project = old_project(place);
        let reset = reset(&project, ResetScope::Everything);
        assert_eq!(reset.removed.len(), 3, "{reset:#?}");
        let layout = ProjectLayout::existing(project.folder()).unwrap();
        let plan = layout.plan_reset(ResetScope::Everything);
        assert!(plan.files.is_empty(), "{plan:#?}");
        let assistant =
            reset.copies.iter().find(|copy| copy.copy.ends_with("assistant.db")).unwrap();
        let messages =
            texts(&foreign(&assistant.copy), "SELECT content FROM conversation_messages");
        assert_eq!(messages, ["Hello"]);
        assert!(
            project.folder().join(place).join("prompts/app_spec.txt").exists(),
            "not its business"
        );
    }
}

#[test]
fn a_plan_of_a_reset_names_what_it_removes_and_changes_nothing() {
    let project = everywhere();
    let before = snapshot(project.folder());
    let layout = ProjectLayout::existing(project.folder()).unwrap();
    let plan = layout.plan_reset(ResetScope::Everything);
    assert_eq!(snapshot(project.folder()), before);
    let mut planned: Vec<_> = plan.files.into_iter().map(|(_, path)| path).collect();
    let mut removed = reset(&project, ResetScope::Everything).removed;
    planned.sort();
    removed.sort();
    assert_eq!(planned, removed);
}

#[test]
fn wherever_a_reset_is_killed_it_left_the_old_project_or_a_new_one_with_its_copies_complete() {
    let in_two_places = || {
        let project = features_project(".");
        also_in(&project, ".autoforge");
        let cache = project.folder().join(".autoforge/.progress_cache");
        std::fs::write(cache, "{}").unwrap();
        project
    };
    let whole = [&NAMES[..], &["of .autoforge"]].concat();
    for (point, nth) in points("reset", in_two_places().folder()) {
        let context = format!("killed at {point} {nth}");
        let project = in_two_places();
        let plan = CrashPlan::Kill { point, nth };
        let output = planned("reset", project.folder(), &plan).output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{context}: {output:?}");
        let found = found(project.folder());
        for backup in kept(&project) {
            assert_eq!(names_in(&backup.join("features.db")), whole, "{context}");
            assert_eq!(names_in(&backup.join("from-root/features.db")), NAMES, "{context}");
        }
        if found.exists() {
            assert_eq!(names_in(&found), whole, "{context}: it is the one that was used");
        } else {
            assert_eq!(kept(&project).len(), 1, "{context}");
        }
        // Whatever is left can be reset again, and the project goes on anew.
        match reset_project(project.folder(), ResetScope::Everything, &LayoutOptions::default()) {
            Ok(again) => {
                assert!(again.copies.iter().all(|copy| copy.sound), "{context}");
                let backups = std::fs::read_dir(project.folder().join(".autoforge/backups"));
                let complete = kept(&project).len();
                assert!(
                    again.copies.is_empty() || backups.unwrap().count() == complete,
                    "{context}"
                );
            }
            Err(LayoutError::Nothing { .. }) => {}
            Err(error) => panic!("{context}: {error}"),
        }
        let layout = ProjectLayout::existing(project.folder()).unwrap();
        assert!(layout.plan_reset(ResetScope::Everything).files.is_empty(), "{context}");
        let store = project.open();
        assert!(feature_names(&store).is_empty(), "{context}");
        store.call(create("anew")).unwrap();
    }
}

#[test]
fn a_reset_is_refused_while_somebody_is_connected_whether_or_not_it_is_forced() {
    for place in [".autoforge", ".autocoder", "."] {
        let project = everywhere();
        let database = project.folder().join(place).join("features.db").canonicalize().unwrap();
        let mut reader = Child::start("stay_connected", &database);
        assert_eq!(reader.hear(), "connected");
        for force in [false, true] {
            let options = LayoutOptions {
                force,
                wait: std::time::Duration::ZERO,
                ..LayoutOptions::default()
            };
            let error =
                reset_project(project.folder(), ResetScope::Everything, &options).unwrap_err();
            let LayoutError::InUse { path, by } = &error else { panic!("{error}") };
            assert_eq!((path.canonicalize().unwrap(), by[0].pid), (database.clone(), reader.id()));
        }
        assert_eq!(kept(&project).len(), 0);
        assert_eq!(names_in(&project.database()).last().unwrap(), "of .autoforge");
    }
}

/// It opens the file when the reset has seen nobody, and waits for its lock.
#[test]
fn whoever_opens_the_database_in_the_last_moment_keeps_it() {
    for (kind, _) in KINDS {
        for point in ["keep.named", "remove.side_files"] {
            let project = features_project(".autoforge");
            let Some(mut other) = start(kind, project.folder()) else { continue };
            ask(&mut other, "find");
            let resetting = AtPoint::reach("reset", project.folder(), point, 1);
            assert_eq!(ask(&mut other, "open"), "opened");
            other.tell("write waited");
            let refused = resetting.go_on();
            assert!(refused.contains(&format!("process {}", other.id())), "{refused}");
            assert_eq!(other.hear(), "written");
            ask(&mut other, "close");
            let names = feature_names(&project.open());
            assert_eq!(names.last().unwrap(), "waited", "{kind}, {point}");
        }
    }
}

#[test]
fn a_lock_file_is_in_the_way_of_a_reset_unless_it_is_overridden() {
    let project = features_project(".autocoder");
    let lock = project.folder().join(".autocoder/.agent.lock");
    std::fs::write(&lock, "4711").unwrap();
    let error = reset_project(project.folder(), ResetScope::Features, &LayoutOptions::default());
    assert!(matches!(error, Err(LayoutError::Running { .. })), "{error:?}");
    let forced = LayoutOptions { force: true, ..LayoutOptions::default() };
    assert_eq!(
        reset_project(project.folder(), ResetScope::Features, &forced).unwrap().removed.len(),
        1
    );
    assert!(lock.exists(), "whether something runs is not for us to say");
}

#[test]
fn an_applications_own_file_of_the_name_is_not_removed() {
    let project = features_project(".autocoder");
    let own = project.folder().join("features.db");
    foreign(&own).execute_batch("CREATE TABLE roads (id INTEGER PRIMARY KEY)").unwrap();
    let reset = reset(&project, ResetScope::Features);
    assert_eq!(reset.removed.len(), 1);
    assert_eq!(reset.left[0].path, own);
    assert!(own.exists());
}

#[test]
fn without_anything_to_remove_nothing_is_made() {
    let project = Project::new();
    let error = reset_project(project.folder(), ResetScope::Everything, &LayoutOptions::default());
    assert!(matches!(error, Err(LayoutError::Nothing { .. })), "{error:?}");
    assert!(snapshot(project.folder()).is_empty());
}

#[test]
fn a_list_that_the_next_opening_would_import_is_told() {
    let project = features_project(".autocoder");
    let list = project.folder().join("feature_list.json");
    std::fs::write(&list, r#"[{"name": "from the list"}]"#).unwrap();
    assert_eq!(reset(&project, ResetScope::Features).legacy_backlog.unwrap(), list);
    assert_eq!(feature_names(&project.open()), ["from the list"]);
}

#[test]
fn two_resets_in_one_second_keep_two_copies() {
    let project = features_project(".autocoder");
    let first = reset(&project, ResetScope::Features);
    project.open().call(create("again")).unwrap();
    let second = reset(&project, ResetScope::Features);
    assert_ne!(first.backup, second.backup);
    assert_eq!(names_in(&first.backup.join("from-autocoder/features.db")), NAMES);
    assert_eq!(names_in(&second.backup.join("features.db")), ["again"]);
}

#[test]
fn a_damaged_project_is_reset_only_by_force_and_its_copy_is_marked() {
    let project = Project::with_database(&crate::old_files::named("current"));
    super::damage(&project.database());
    let error = reset_project(project.folder(), ResetScope::Features, &LayoutOptions::default());
    assert_eq!(error.unwrap_err().code(), "corrupt");
    assert!(project.database().exists() && kept(&project).is_empty());
    let forced = LayoutOptions { force: true, ..LayoutOptions::default() };
    let reset = reset_project(project.folder(), ResetScope::Features, &forced).unwrap();
    assert!(!reset.copies[0].sound && reset.copies[0].copy.exists());
    assert!(!project.database().exists());
    assert!(Store::open_project(project.folder()).unwrap().opening().created);
}

#[test]
fn a_reset_ends_a_migration_that_was_cut_short() {
    let project = super::killed::killed_at(features_project("."), "migrate.copied", 1);
    reset(&project, ResetScope::Features);
    let layout = ProjectLayout::existing(project.folder()).unwrap();
    assert!(!layout.is_migrating());
    let files: Vec<_> = snapshot(project.folder()).into_keys().collect();
    assert!(!files.iter().any(|path| path.to_str().unwrap().contains("moving")), "{files:?}");
}
