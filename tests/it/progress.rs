//! How far a project is: looked at in files of every release without changing them, and reported once,
//! also beside AutoForge's own programs, which remember in a file.
#![expect(clippy::disallowed_methods, reason = "caches, and databases that nobody has open")]

pub(crate) mod claims;

use autoforge_store::{
    FeatureId, Features, GetProgress, GetStats, ImportBacklog, MarkPassing, OpenError, OpenOptions,
    PassingFeature, ProjectLayout, ProjectProgress, Stats, StorageError, Store,
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::old_files;
use crate::support::{Child, FOREVER, Project, create, foreign, say_note};

fn look(project: &Project) -> Result<ProjectProgress, OpenError> {
    look_within(project, Duration::ZERO)
}

fn look_within(project: &Project, lock_wait: Duration) -> Result<ProjectProgress, OpenError> {
    let layout = ProjectLayout::existing(project.folder()).unwrap();
    let options = OpenOptions { lock_wait, ..OpenOptions::default() };
    Store::look_at_progress(&layout, &options, true)
}

/// Every file of the project by name, with its bytes. Nobody has it open.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut content: Vec<_> = entries
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap_or_default()))
        .collect();
    content.sort();
    content
}

fn stats(passing: u64, in_progress: u64, needs_human_input: u64, total: u64) -> Stats {
    Stats { passing, in_progress, needs_human_input, total }
}

#[test]
fn every_old_state_is_counted_as_after_its_migration_and_nothing_is_changed() {
    for (state, sql) in old_files::all() {
        let project = Project::with_database(&sql);
        let folder = project.database().parent().unwrap().to_owned();
        let before = content(&folder);
        let found = look(&project).unwrap();
        assert_eq!(content(&folder), before, "{state}");
        assert!(found.has_features() && !found.listed, "{state}");
        let found = found.counted.unwrap();

        let store = project.open();
        assert_eq!(store.call(GetStats).unwrap(), found.stats, "{state}");
        assert_eq!(store.call(GetProgress { names: true }).unwrap(), found, "{state}");
        assert_eq!(store.call(GetProgress { names: false }).unwrap().passing, None);
        let features = store.call(autoforge_store::ListFeatures).unwrap();
        let passing = features.into_iter().filter(|feature| feature.passes);
        let passing: Vec<_> = passing
            .map(|feature| PassingFeature {
                id: feature.id,
                category: feature.category,
                name: feature.name,
            })
            .collect();
        assert_eq!(found.passing, Some(passing), "{state}");
        assert_eq!(found.stats.total, 3, "{state}");
    }
}

#[test]
fn a_log_that_a_killed_program_left_is_read_and_stays() {
    let (project, store) = Project::with_features(3);
    store.call(MarkPassing { id: 2.into() }).unwrap();
    // What a killed process leaves: the file, and a log that nobody has copied back.
    let left = Project::new();
    let folder = left.folder().join(".autoforge");
    std::fs::create_dir(&folder).unwrap();
    for suffix in ["", "-wal"] {
        let of = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(of(&project.database()), of(&left.database())).unwrap();
    }
    let before = content(&folder);
    assert_eq!(look(&left).unwrap().counted.unwrap().stats, stats(1, 0, 0, 3));
    let after = content(&folder);
    assert!(before.iter().all(|file| after.contains(file)), "what was there is as it was");
    drop(store);
}

#[test]
fn a_project_without_features_is_told_from_one_that_cannot_be_read() {
    let project = Project::new();
    let nothing = ProjectProgress { listed: false, counted: None };
    assert_eq!(look(&project).unwrap(), nothing);
    assert_eq!(std::fs::read_dir(project.folder()).unwrap().count(), 0);

    std::fs::write(project.folder().join("feature_list.json"), "[]").unwrap();
    let listed = look(&project).unwrap();
    assert!(listed.has_features() && listed.counted.is_none());
    std::fs::remove_file(project.folder().join("feature_list.json")).unwrap();

    // Made, and not filled yet, as between two steps of an opening.
    std::fs::create_dir(project.folder().join(".autoforge")).unwrap();
    std::fs::write(project.database(), b"").unwrap();
    let empty = look(&project).unwrap();
    assert!(!empty.has_features());
    assert_eq!(empty.counted.unwrap().passing, Some(vec![]));
    assert_eq!(std::fs::read(project.database()).unwrap(), b"");

    drop(project.open());
    assert_eq!(look(&project).unwrap().counted.unwrap().stats, stats(0, 0, 0, 0));
}

#[test]
fn what_cannot_be_read_is_an_error_and_never_nothing_of_nothing() {
    let project = Project::new();
    std::fs::create_dir(project.folder().join(".autoforge")).unwrap();
    std::fs::write(project.database(), "a text, and no database at all").unwrap();
    assert!(matches!(look(&project), Err(OpenError::NotADatabase { .. })));

    let project = Project::with_database("CREATE TABLE notes (id INTEGER)");
    assert!(matches!(look(&project), Err(OpenError::Foreign { .. })));

    // A page of the table is damaged.
    let (project, store) = Project::with_features(200);
    store.close();
    let root: u32 = foreign(&project.database())
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'features'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let mut bytes = std::fs::read(project.database()).unwrap();
    let page = 4096 * (root as usize - 1);
    bytes[page..page + 100].fill(0xa5);
    std::fs::write(project.database(), bytes).unwrap();
    let found = look(&project);
    assert!(matches!(found, Err(OpenError::Storage(StorageError::Corrupt { .. }))), "{found:?}");
}

#[test]
fn a_locked_file_is_busy_and_counted_when_it_is_free_again() {
    let project = Project::with_database(&old_files::named("no in_progress"));
    let other = project.foreign();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let found = look(&project);
    assert!(matches!(found, Err(OpenError::Storage(StorageError::Busy { .. }))), "{found:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(look(&project).unwrap().counted.unwrap().stats, stats(1, 0, 0, 3));
}

#[test]
fn a_file_that_is_locked_again_and_again_is_counted_each_time() {
    let project = Project::with_database(&old_files::named("no in_progress"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = project.foreign();
            other.busy_timeout(FOREVER).unwrap();
            while !done.load(Ordering::SeqCst) {
                other.execute_batch("BEGIN EXCLUSIVE; ROLLBACK").unwrap();
            }
        });
        for _ in 0..300 {
            let found = look_within(&project, FOREVER);
            let total = found.map(|found| found.counted.unwrap().stats.total);
            if !matches!(total, Ok(3)) {
                done.store(true, Ordering::SeqCst);
                panic!("{total:?}");
            }
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_writer_in_a_log_is_in_nobodys_way() {
    let (project, store) = Project::with_features(3);
    let mut holder = Child::start("hold_lock", &project.database());
    assert_eq!(holder.hear(), "locked");
    assert_eq!(look(&project).unwrap().counted.unwrap().stats, stats(0, 0, 0, 3));
    drop(store);
}

#[test]
fn a_file_without_rights_is_an_error() {
    let (project, store) = Project::with_features(1);
    store.close();
    let mode = |mode| PermissionsExt::from_mode(mode);
    std::fs::set_permissions(project.database(), mode(0o000)).unwrap();
    if std::fs::read(project.database()).is_ok() {
        return say_note("this user may read any file, so nothing was refused");
    }
    let found = look(&project);
    assert!(matches!(found, Err(OpenError::Storage(StorageError::ReadOnly { .. }))), "{found:?}");
    std::fs::set_permissions(project.database(), mode(0o600)).unwrap();
}

#[test]
fn names_are_listed_by_priority_and_without_a_category_they_stand_alone() {
    let project = Project::new();
    let store = project.open();
    let list = br#"[
        {"id": 1, "priority": 9, "name": "last", "category": "", "passes": true},
        {"id": 2, "priority": 3, "name": "Log in", "category": "Auth", "passes": true},
        {"id": 3, "priority": 1, "name": "open"}
    ]"#;
    let entries = autoforge_store::Feature::parse_backlog(list).unwrap();
    store.call(ImportBacklog { entries }).unwrap();
    let passing = store.call(GetProgress { names: true }).unwrap().passing.unwrap();
    let titles: Vec<String> = passing.iter().map(PassingFeature::title).collect();
    assert_eq!(titles, ["Auth Log in", "last"]);
    assert_eq!(passing[1].id, FeatureId::from(1));
}

#[test]
fn looking_beside_an_engine_of_this_process_costs_it_no_lock() {
    let (project, store) = Project::with_features(1);
    let path = store.path().to_owned();
    let options = OpenOptions::default();
    let seen = || Store::<Features>::look(&path, &options, &GetProgress { names: false });
    for total in 1..5 {
        assert_eq!(seen().unwrap().stats.total, total);
        store.call(create("one more")).unwrap();
    }
    let shared_memory = format!("{}-shm", project.database().display());
    // Byte 128 of the shared memory is held by whoever has the log open.
    assert!(crate::support::holds_lock(Path::new(&shared_memory), "READ", 128));
}
