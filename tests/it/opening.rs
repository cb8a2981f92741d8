//! Opening: what is made, who may read it, which spellings of a path lead to the same engine, and
//! what happens while somebody else is in the way.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoforge_store::{
    CreateFeature, Features, GetStats, OpenError, OpenOptions, StorageError, Store, dispose,
};

use crate::old_files;
use crate::support::{Project, block_on, create, gate, names, new_feature, number, together};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn file(path: &Path) -> Store {
    Store::open_file(path, &OpenOptions::default()).unwrap()
}

/// Whether closing one handle closes the other: then both share one engine.
fn one_engine(a: &Store, b: &Store) -> bool {
    a.call(GetStats).unwrap();
    b.call(GetStats).unwrap();
    a.close();
    matches!(b.call(GetStats), Err(autoforge_store::Error::Storage(StorageError::Closed { .. })))
}

#[test]
fn database_and_side_files_are_readable_by_their_owner_alone() {
    let (project, store) = Project::with_features(1);
    assert_eq!(mode(&project.folder().join(".autoforge")), 0o700);
    for suffix in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{suffix}", project.database().display()));
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
}

#[test]
fn the_mode_of_a_file_that_was_there_before_is_kept() {
    let project = Project::with_database(&old_files::named("current"));
    std::fs::set_permissions(project.database(), PermissionsExt::from_mode(0o664)).unwrap();
    let store = project.open();
    assert_eq!((mode(&project.database()), mode(&project.log())), (0o664, 0o664));
    drop(store);
}

#[test]
fn a_missing_project_folder_is_made() {
    let project = Project::new();
    let folder = project.folder().join("a/b/c");
    let store = Store::open_project(&folder).unwrap();
    assert!(store.opening().created);
    assert_eq!(store.path(), folder.join(".autoforge/features.db"));
}

#[test]
fn a_file_in_a_missing_folder_is_refused_and_the_folder_not_made() {
    let project = Project::new();
    let path = project.folder().join("missing/features.db");
    let error = Store::<Features>::open_file(&path, &OpenOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::System { .. }), "{error}");
    assert!(!path.parent().unwrap().exists());
}

#[test]
fn a_file_whose_contents_are_elsewhere_is_refused_and_one_whose_never_got_there_is_served() {
    let (project, other) = (Project::with_features(1).0, Project::with_features(2).0);
    let (old, new) = (project.database(), other.database());
    let fence = |target: &Path| {
        let file = project.foreign();
        file.execute_batch(
            "CREATE TABLE IF NOT EXISTS autoforge_store_moved (target TEXT NOT NULL);
             DELETE FROM autoforge_store_moved",
        )
        .unwrap();
        let target = target.to_str().unwrap();
        file.execute("INSERT INTO autoforge_store_moved VALUES (?1)", [target]).unwrap();
    };
    let open = || Store::<Features>::open_file(&old, &OpenOptions::default());

    fence(&new);
    for _ in 0..2 {
        let Err(OpenError::MovedAway { path, to }) = open() else { panic!("not refused") };
        assert_eq!((path, to), (old.canonicalize().unwrap(), new.canonicalize().unwrap()));
    }
    // The file itself, under a name that it was given back; and a copy that never got its name.
    for target in [&old, &new.with_file_name("gone.db")] {
        fence(target);
        assert_eq!(open().unwrap().call(GetStats).unwrap().total, 1);
    }
}

#[test]
fn every_spelling_of_a_path_leads_to_one_engine() {
    let project = Project::new();
    let root = project.folder();
    project.open().close();
    let folder = root.join(".autoforge");
    symlink(root, root.join("linked-project")).unwrap();
    symlink(folder.join("features.db"), root.join("linked.db")).unwrap();
    symlink("linked.db", root.join("link-to-link.db")).unwrap();
    for spelling in [
        folder.join("../.autoforge/features.db"),
        folder.join(".//./features.db"),
        root.join("linked-project/.autoforge/features.db"),
        root.join("linked-project/linked-project/linked.db"),
        root.join("linked.db"),
        root.join("link-to-link.db"),
        relative_to_here(&folder.join("features.db")),
    ] {
        let (plain, other) = (project.open(), file(&spelling));
        assert_eq!(other.path(), plain.path());
        assert!(one_engine(&plain, &other), "{}", spelling.display());
    }
    let linked = Store::open_project(root.join("linked-project")).unwrap();
    assert!(one_engine(&linked, &project.open()));
}

/// The path from the working directory, which no test changes.
fn relative_to_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap().canonicalize().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(path.strip_prefix("/").unwrap());
    assert!(relative.is_relative() && relative.exists());
    relative
}

#[test]
fn a_link_to_a_file_that_does_not_exist_yet_in_a_linked_folder_is_the_same_file() {
    let project = Project::new();
    let (real, linked) = (project.folder().join("real"), project.folder().join("linked"));
    std::fs::create_dir(&real).unwrap();
    symlink(&real, &linked).unwrap();
    let first = file(&linked.join("new.db"));
    assert!(first.opening().created);
    assert!(one_engine(&first, &file(&real.join("new.db"))));
}

#[test]
fn different_files_have_engines_of_their_own() {
    let (a, b) = (Project::new(), Project::new());
    let (in_a, in_b) = (a.open(), b.open());
    assert!(!one_engine(&in_a, &in_b));
    assert_eq!(in_b.call(GetStats).unwrap().total, 0);
}

#[test]
fn of_64_threads_that_open_a_file_at_once_all_get_one_engine() {
    let project = Project::new();
    let stores = together(64, |_| project.open());
    assert_eq!(stores.iter().filter(|store| store.opening().created).count(), 1);
    stores[0].call(create("x")).unwrap();
    stores[17].close();
    for store in &stores {
        let answer = store.call(GetStats);
        assert!(matches!(
            answer,
            Err(autoforge_store::Error::Storage(StorageError::Closed { .. }))
        ));
    }
    assert_eq!(project.open().call(GetStats).unwrap().total, 1);
}

#[test]
fn a_file_that_appears_while_its_path_is_looked_up_is_no_dangling_link() {
    let project = Project::new();
    let path = project.folder().join("now-and-then.db");
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            for _ in 0..20_000 {
                #[expect(clippy::disallowed_methods, reason = "nobody opens it as a database")]
                std::fs::write(&path, "").unwrap();
                std::fs::remove_file(&path).unwrap();
            }
        });
        while !other.is_finished() {
            // This looks the path up, and finds that nobody has opened it.
            assert_eq!(dispose(&path).unwrap(), None);
        }
    });
}

#[test]
fn an_opening_that_fails_does_not_stop_a_later_one() {
    let project = Project::with_database("CREATE TABLE strange (x)");
    for error in together(8, |_| Store::open_project(project.folder()).unwrap_err()) {
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    }
    std::fs::remove_file(project.database()).unwrap();
    assert!(project.open().opening().created);
}

#[test]
fn a_slow_file_keeps_nobody_from_opening_another() {
    let (slow, fast) = (Project::new(), Project::new());
    let store = slow.open();
    let (gate, held) = gate::<autoforge_store::Write>();
    let reply = store.submit(gate).unwrap();
    held.wait_until_entered();
    // The engine of the one file is at work; the other file opens, works and closes.
    let other = fast.open();
    other.call(create("x")).unwrap();
    other.close();
    drop(held);
    block_on(reply).unwrap();
}

#[test]
fn the_change_to_a_log_is_tried_again_while_another_program_reads() {
    let project = Project::with_database(&old_files::named("no in_progress"));
    let reader = project.foreign();
    reader.execute_batch("BEGIN; SELECT * FROM features").unwrap();
    let wait = Duration::from_millis(40);
    let options = OpenOptions { lock_wait: wait, ..OpenOptions::default() };
    let error = Store::open_project_with(project.folder(), &options).unwrap_err();
    // SQLite itself gives up at once, so that it has waited shows that we did.
    let OpenError::Storage(StorageError::Busy { waited, .. }) = &error else { panic!("{error}") };
    assert!(*waited >= wait && error.retryable(), "{error}");
    reader.execute_batch("COMMIT").unwrap();
    assert!(project.open().opening().migrated);
}

#[test]
fn a_migration_waits_for_the_write_lock_of_another_program() {
    let sql = old_files::named("no human input");
    let project = Project::with_database(&sql);
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE; UPDATE features SET name = 'Changed'").unwrap();
    let wait = Duration::from_millis(40);
    let options = OpenOptions { lock_wait: wait, ..OpenOptions::default() };
    let error = Store::open_project_with(project.folder(), &options).unwrap_err();
    let OpenError::Storage(StorageError::Busy { waited, .. }) = &error else { panic!("{error}") };
    assert!(*waited >= wait, "{error}");
    let columns = "SELECT count(*) FROM pragma_table_info('features')";
    assert_eq!(number(&writer, columns), 9);
    writer.execute_batch("COMMIT").unwrap();
    let store = project.open();
    assert!(store.opening().migrated);
    assert_eq!(names(&store), ["Changed"; 3]);
}

#[test]
fn an_up_to_date_file_opens_and_answers_while_another_program_writes() {
    let (project, store) = Project::with_features(2);
    store.close();
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM features").unwrap();
    let store = project.open();
    assert_eq!(store.call(GetStats).unwrap().total, 2);
    writer.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn options_count_for_whoever_opens_the_engine() {
    let project = Project::new();
    let wait = Duration::ZERO;
    let impatient = project.open_waiting(wait);
    let patient = project.open();
    let writer = project.foreign();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    for store in [&impatient, &patient] {
        let refused = store.call(CreateFeature::new(new_feature("x"))).unwrap_err();
        assert_eq!(refused.code(), "busy");
    }
}
