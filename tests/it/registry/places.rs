//! Where the registry lies, and who may come at the same moment.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use autoforge_store::{HomeLayout, ListProjects, OpenError, Registry, Store};

use super::{CURRENT, Home, OLDEST, names, registers};
use crate::support::{Child, foreign, number, text, texts, together};

#[test]
fn a_new_registry_is_private_and_kept_out_of_version_control() {
    let home = Home::new();
    let store = home.open();
    assert_eq!(store.path(), home.database());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(store.path()), mode(store.path().parent().unwrap())), (0o600, 0o700));
    assert!(home.path().join(".autoforge/.gitignore").exists());
}

#[test]
fn the_folder_of_old_releases_is_renamed_at_first_use() {
    let home = Home::with_registry(".autocoder", OLDEST);
    let layout = HomeLayout::existing(home.path()).unwrap();
    assert!(layout.has_registry() && layout.registry_db().ends_with(".autocoder/registry.db"));
    let store = home.open();
    assert_eq!(names(&store), ["my-crm", "shop"]);
    assert!(!home.path().join(".autocoder").exists());
    assert_eq!((layout.registry_db(), layout.left_behind()), (home.database(), None));
}

#[test]
fn nothing_is_renamed_over_a_folder_that_is_there_and_what_stays_behind_is_told() {
    let home = Home::with_registry(".autocoder", OLDEST);
    std::fs::create_dir(home.path().join(".autoforge")).unwrap();
    let store = home.open();
    assert!(store.opening().created);
    let old = home.path().canonicalize().unwrap().join(".autocoder/registry.db");
    let layout = HomeLayout::existing(home.path()).unwrap();
    assert_eq!(layout.left_behind(), Some(old.clone()));
    assert_eq!(number(&foreign(&old), "SELECT count(*) FROM projects"), 2);
}

#[test]
fn a_program_that_has_the_old_file_open_loses_nothing_and_harms_nothing() {
    let home = Home::with_registry(".autocoder", OLDEST);
    let other = foreign(&home.path().join(".autocoder/registry.db"));
    assert_eq!(number(&other, "SELECT count(*) FROM projects"), 2);
    let store = home.open();
    // It still reads; its writes are refused by SQLite, since the file is not where it was.
    assert_eq!(number(&other, "SELECT count(*) FROM projects"), 2);
    let insert = "INSERT INTO projects (name, path, created_at) VALUES ('theirs', '/t', '')";
    assert!(other.execute_batch(insert).is_err());
    store.call(registers("ours", "/o")).unwrap();
    assert_eq!(names(&store), ["my-crm", "ours", "shop"]);
    assert_eq!(text(&home.foreign(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_program_that_is_writing_in_the_old_folder_is_told_the_truth() {
    let home = Home::with_registry(".autocoder", CURRENT);
    let other = foreign(&home.path().join(".autocoder/registry.db"));
    let insert = "BEGIN IMMEDIATE;
        INSERT INTO projects VALUES ('theirs', '/t', '2026-01-12 00:00:00.000000', 3, 0, 10)";
    other.execute_batch(insert).unwrap();
    let store = home.open();
    assert_eq!(names(&store).len(), 2);
    // SQLite cannot end the transaction where its journal is not, and takes it back.
    let committed = other.execute_batch("COMMIT").is_ok();
    drop(other);
    assert_eq!(names(&store).contains(&"theirs".to_owned()), committed);
    store.call(registers("ours", "/o")).unwrap();
    assert_eq!(store.diagnose().unwrap().integrity, Vec::<String>::new());
    assert_eq!(names(&home.open()).len(), 3 + usize::from(committed));
}

#[test]
fn a_home_that_does_not_exist_is_refused_and_not_made() {
    let home = Home::new();
    let nowhere = home.path().join("nobody");
    let error = Store::<Registry>::open_registry(&nowhere).unwrap_err();
    assert!(matches!(error, OpenError::System { .. }), "{error}");
    assert!(!nowhere.exists());
}

#[test]
fn looking_at_a_home_makes_nothing() {
    let home = Home::new();
    let layout = HomeLayout::existing(home.path()).unwrap();
    assert!(!layout.has_registry() && layout.registry_db() == home.database());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn of_64_threads_that_open_a_registry_at_once_all_get_one_engine() {
    let home = Home::with_registry(".autocoder", OLDEST);
    let stores = together(64, |at| {
        let store = home.open();
        store.call(registers(&format!("p{at}"), &format!("/p/{at}"))).unwrap();
        store
    });
    assert_eq!(stores.iter().filter(|store| store.opening().migrated).count(), 1);
    stores[9].close();
    assert!(stores.iter().all(|store| store.call(ListProjects).is_err()));
    assert_eq!(names(&home.open()).len(), 66);
}

/// What may be in a home before eight processes come to it at the same moment.
enum Before {
    Nothing,
    Old(&'static str),
    EmptyFolder,
}

#[test]
fn of_eight_processes_that_open_a_missing_or_old_registry_at_once_all_succeed() {
    const PROCESSES: usize = 8;
    let mut children: Vec<_> =
        (0..PROCESSES).map(|_| Child::start("registry_opener", Path::new("/"))).collect();
    let states = [Before::Nothing, Before::Old(OLDEST), Before::Old(CURRENT), Before::EmptyFolder];
    for (round, state) in states.iter().cycle().take(12).enumerate() {
        let (home, already) = match state {
            Before::Nothing => (Home::new(), 0),
            Before::Old(sql) => (Home::with_registry(".autocoder", sql), 2),
            Before::EmptyFolder => {
                let home = Home::new();
                std::fs::create_dir(home.path().join(".autoforge")).unwrap();
                (home, 0)
            }
        };
        for (at, child) in children.iter_mut().enumerate() {
            child.tell(&format!("p{at} {}", home.path().display()));
        }
        let said: Vec<String> = children.iter_mut().map(Child::hear).collect();
        let winners = said.iter().filter(|line| line.ends_with(" true won true")).count();
        let losers = said.iter().filter(|line| line.ends_with(" true project_exists true")).count();
        assert_eq!((winners, losers), (1, PROCESSES - 1), "round {round}: {said:?}");
        assert!(!home.path().join(".autocoder").exists());
        let file = home.foreign();
        let projects = texts(&file, "SELECT name FROM projects");
        assert_eq!(projects.len(), already + PROCESSES + 1, "round {round}: {projects:?}");
        // Several settings at once are those of one process.
        let mixed = "SELECT count(DISTINCT value) FROM settings WHERE key LIKE '%model'";
        assert_eq!(number(&file, mixed), 1);
        assert_eq!(text(&file, "PRAGMA integrity_check"), "ok");
    }
}
