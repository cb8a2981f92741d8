//! Moving a project's files from the places of older releases to `.autoforge/`.
#![expect(clippy::disallowed_methods, reason = "plain files, and databases nobody has open")]

mod beside;
mod half_started;
mod killed;
mod neighbour;
mod refused;
mod reset;
mod restore;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Output, Stdio};

use autoforge_store::testing::CrashPlan;
use autoforge_store::{
    Assistant, LayoutOptions, ListFeatures, Migration, OpenOptions, ProjectFile, ProjectLayout,
    Store, migrate_layout,
};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::old_files;
use crate::support::{FOLDER, Project, ROLE, eventually, foreign, number, say, text, texts};

pub(crate) use beside::open_once;
pub(crate) use half_started::half_started;
pub(crate) use neighbour::neighbour;
pub(crate) use reset::reset_in_child;
pub(crate) use restore::restore_in_child;

/// The places of older releases, seen from the project.
const OLD_PLACES: [&str; 2] = [".autocoder", "."];
/// What is in the database of [`old_project`]: rows of the file, and one that is in its log alone.
const NAMES: [&str; 4] = ["Log in", "Log out", "Pay", "In the log"];

/// A project that has features in that place, and nothing else.
fn features_project(place: &str) -> Project {
    let project = Project::in_memory();
    let folder = project.folder().join(place);
    std::fs::create_dir_all(&folder).unwrap();
    fill(&folder.join("features.db"));
    project
}

/// A project as a release of that time left it, killed: part of its features is in the log.
fn old_project(place: &str) -> Project {
    let project = features_project(place);
    let folder = project.folder().join(place);
    std::fs::create_dir(folder.join("prompts")).unwrap();
    let assistant = foreign(&folder.join("assistant.db"));
    assistant
        .execute_batch(
            "CREATE TABLE conversations (id INTEGER PRIMARY KEY, title VARCHAR(200));
             CREATE TABLE conversation_messages (id INTEGER PRIMARY KEY, content TEXT NOT NULL);
             INSERT INTO conversation_messages VALUES (1, 'Hello')",
        )
        .unwrap();
    drop(assistant);
    std::fs::write(folder.join("prompts/app_spec.txt"), "a shop").unwrap();
    std::fs::write(folder.join(".progress_cache"), r#"{"count": 1, "passing_ids": [1]}"#).unwrap();
    if place == ".autocoder" {
        std::fs::write(folder.join(".gitignore"), "features.db\n").unwrap();
    }
    std::fs::write(project.folder().join("README.md"), "the application").unwrap();
    project
}

/// A database with the features of [`NAMES`].
fn fill(path: &Path) {
    let file = foreign(path);
    file.execute_batch(&old_files::named("current")).unwrap();
    file.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    file.execute("UPDATE features SET name = 'Pay' WHERE id = 5", []).unwrap();
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    insert(&file, "In the log").unwrap();
    file.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    drop(file);
    let log = path.with_file_name("features.db-wal");
    assert!(log.metadata().unwrap().len() > 0, "nothing is left in the log");
}

/// Takes rows out of the database behind SQLite's back.
fn damage(path: &Path) {
    let file = foreign(path);
    for n in 0..200 {
        insert(&file, &format!("{n} {}", "x".repeat(200))).unwrap();
    }
    file.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    drop(file);
    let mut bytes = std::fs::read(path).unwrap();
    let name = b"150 xxxxx";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    let page = at / 4096 * 4096;
    bytes[page..page + 4096].fill(0);
    std::fs::write(path, bytes).unwrap();
}

fn insert(file: &Connection, name: &str) -> rusqlite::Result<usize> {
    file.execute(
        "INSERT INTO features (priority, category, name, description, steps, passes, in_progress,
            needs_human_input)
         VALUES (99, 'c', ?1, 'd', '[]', 0, 0, 0)",
        [name],
    )
}

fn migrate(project: &Project) -> Migration {
    migrate_layout(project.folder(), &LayoutOptions::default()).unwrap()
}

/// The body of the child process that migrates.
pub(crate) fn migrate_in_child(folder: &Path) {
    match migrate_layout(folder, &LayoutOptions::default()) {
        Ok(migration) => {
            let stranded = if migration.stranded.is_empty() { "" } else { ", stranded others" };
            say(&format!("moved {}{stranded}", migration.moved.len()));
        }
        Err(error) => say(&format!("refused: {} {error}", error.code())),
    }
}

/// A process of this test binary in that role, with that plan.
pub(crate) fn planned(role: &str, folder: &Path, plan: &CrashPlan) -> Program {
    let mut program = Program::new(std::env::current_exe().unwrap());
    program
        .args(["--exact", "processes::child", "--nocapture"])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .env(CrashPlan::VARIABLE, plan.to_string());
    program
}

/// A process of this test binary that waits at a point, with all its locks.
struct AtPoint {
    process: std::process::Child,
    gate: Option<std::fs::File>,
}

impl AtPoint {
    /// Returns once it is there.
    fn reach(role: &str, folder: &Path, point: &str, nth: usize) -> Self {
        let gate = folder.with_file_name(format!("gate-{point}"));
        drop(std::fs::remove_file(&gate));
        let pipe = rustix::fs::Mode::from_bits_truncate(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &gate, rustix::fs::FileType::Fifo, pipe, 0).unwrap();
        let plan = CrashPlan::Hold { point: point.to_owned(), nth, gate: gate.clone() };
        let mut process = planned(role, folder, &plan).stdout(Stdio::piped()).spawn().unwrap();
        let mut opened = None;
        eventually(|| {
            let mut options = std::fs::File::options();
            let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().try_into().unwrap();
            opened = options.write(true).custom_flags(nonblocking).open(&gate).ok();
            opened.is_some() || process.try_wait().unwrap().is_some()
        });
        assert!(opened.is_some(), "it did not come by {point} {nth}");
        Self { process, gate: opened }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it go on, and gives what it said.
    fn go_on(mut self) -> String {
        drop(self.gate.take());
        let mut said = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.process.wait().unwrap().success(), "{said}");
        said
    }
}

/// The crash points that a process in that role comes by, each with which coming by it is.
pub(crate) fn points(role: &str, folder: &Path) -> Vec<(String, usize)> {
    let Output { stderr, .. } = planned(role, folder, &CrashPlan::List).output().unwrap();
    let mut counts = BTreeMap::new();
    let told = String::from_utf8(stderr).unwrap();
    let points: Vec<_> = told
        .lines()
        .filter_map(|line| line.strip_prefix(CrashPlan::MARK))
        .map(|name| {
            let count = counts.entry(name.to_owned()).or_insert(0);
            *count += 1;
            (name.to_owned(), *count)
        })
        .collect();
    assert!(points.len() > 5, "{told}");
    points
}

/// Everything below a folder with its bytes; a folder has none. The memory that the users of a log
/// share is left out: it is made anew by whoever looks.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(target) = std::fs::read_link(&path) {
            found.insert(path, target.into_os_string().into_encoded_bytes());
        } else if path.is_dir() {
            found.extend(snapshot(&path));
            found.insert(path, Vec::new());
        } else if !path.to_str().unwrap().ends_with("-shm") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn feature_names(store: &Store) -> Vec<String> {
    let mut features = store.call(ListFeatures).unwrap();
    features.sort_by_key(|feature| feature.id);
    features.into_iter().map(|feature| feature.name).collect()
}

/// What holds of a project whose migration has ended: everything is in one place, nothing is missing.
fn assert_moved(project: &Project, context: &str) {
    use ProjectFile::{AssistantDb, FeaturesDb, ProgressCache, Prompts};
    assert_in_new_place(project, &[FeaturesDb, AssistantDb, ProgressCache, Prompts], context);
    let assistant = foreign(&project.folder().join(".autoforge/assistant.db"));
    assert_sound(&assistant, context);
    let messages = texts(&assistant, "SELECT content FROM conversation_messages");
    assert_eq!(messages, ["Hello"], "{context}");
}

fn assert_in_new_place(project: &Project, files: &[ProjectFile], context: &str) {
    for file in files {
        let path = project.folder().join(".autoforge").join(file.name());
        assert!(path.exists(), "{context}: {} is missing", path.display());
        for old in OLD_PLACES {
            let old = project.folder().join(old).join(file.name());
            assert!(old.symlink_metadata().is_err(), "{context}: {} is there", old.display());
        }
    }
    assert!(!ProjectLayout::existing(project.folder()).unwrap().is_migrating(), "{context}");
    assert!(!project.folder().join(".autocoder").exists(), "{context}");
    let strays: Vec<_> = snapshot(&project.folder().join(".autoforge"))
        .into_keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name.contains("moving") || name.ends_with("-journal"))
        .collect();
    assert!(strays.is_empty(), "{context}: {strays:?}");
    assert_sound(&project.foreign(), context);
}

fn assert_sound(file: &Connection, context: &str) {
    assert_eq!(text(file, "PRAGMA integrity_check"), "ok", "{context}");
    let fences = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'autoforge_store_moved%'";
    assert_eq!(number(file, fences), 0, "{context}");
}

#[test]
fn everything_of_an_old_layout_is_moved_and_nothing_else() {
    for place in OLD_PLACES {
        let project = old_project(place);
        let migration = migrate(&project);
        assert_eq!(migration.moved.len(), 4, "{migration:#?}");
        assert!(migration.left.is_empty() && !migration.resumed, "{migration:#?}");
        assert_eq!(migration.removed.len(), usize::from(place == ".autocoder"));
        assert_moved(&project, place);
        let store = project.open();
        assert_eq!(feature_names(&store), NAMES);
        assert_eq!(store.opening().finished_migration, None);
        let spec = project.folder().join(".autoforge/prompts/app_spec.txt");
        assert_eq!(std::fs::read_to_string(spec).unwrap(), "a shop");
        assert!(project.folder().join("README.md").exists());
    }
}

#[test]
fn what_is_moved_is_readable_by_its_owner_alone_and_keeps_its_journal_mode() {
    for place in OLD_PLACES {
        let project = old_project(place);
        let new = project.folder().join(".autoforge");
        migrate(&project);
        assert_eq!(mode(&new), 0o700);
        for name in ["features.db", "assistant.db"] {
            assert_eq!(mode(&new.join(name)), 0o600, "{name}");
        }
        assert_eq!(text(&project.foreign(), "PRAGMA journal_mode"), "wal");
        assert_eq!(text(&foreign(&new.join("assistant.db")), "PRAGMA journal_mode"), "delete");
        let ignored = std::fs::read_to_string(new.join(".gitignore")).unwrap();
        assert!(ignored.lines().any(|line| line == "*.db"), "{ignored}");
    }
}

#[test]
fn a_project_that_lies_where_it_belongs_is_left_alone() {
    let (project, store) = Project::with_features(2);
    store.close();
    let before = snapshot(project.folder());
    let migration = migrate(&project);
    assert_eq!(migration, Migration::default());
    assert_eq!(snapshot(project.folder()), before);
    assert!(migrate_layout(project.folder().join("nowhere"), &LayoutOptions::default()).is_err());
    let empty = Project::new();
    assert_eq!(migrate(&empty), Migration::default());
    assert!(snapshot(empty.folder()).is_empty());
}

#[test]
fn a_migration_can_be_repeated() {
    let project = old_project(".");
    migrate(&project);
    let before = snapshot(project.folder());
    assert_eq!(migrate(&project), Migration::default());
    assert_eq!(snapshot(project.folder()), before);
}

#[test]
fn a_plan_names_every_move_and_changes_nothing() {
    for place in OLD_PLACES {
        let project = old_project(place);
        let before = snapshot(project.folder());
        let plan = ProjectLayout::existing(project.folder()).unwrap().plan_migration();
        assert_eq!(snapshot(project.folder()), before);
        assert!(plan.problems.is_empty() && !plan.interrupted, "{plan:#?}");
        assert_eq!(plan.moves, migrate(&project).moved);
    }
}

#[test]
fn a_folder_of_prompts_that_is_the_applications_own_stays() {
    let project = old_project(".");
    std::fs::remove_file(project.folder().join("prompts/app_spec.txt")).unwrap();
    std::fs::write(project.folder().join("prompts/greeting.txt"), "of the application").unwrap();
    migrate(&project);
    assert!(project.folder().join("prompts/greeting.txt").exists());
    assert!(!project.folder().join(".autoforge/prompts").exists());
}

#[test]
fn an_old_folder_that_holds_something_unknown_stays_with_it() {
    let project = old_project(".autocoder");
    let notes = project.folder().join(".autocoder/notes.txt");
    std::fs::write(&notes, "mine").unwrap();
    let migration = migrate(&project);
    assert_eq!(migration.moved.len(), 4);
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "mine");
    assert!(project.folder().join(".autocoder/.gitignore").exists());
}

#[test]
fn handles_of_this_process_are_told_and_can_open_the_project_again() {
    let project = old_project(".autocoder");
    let store = project.open();
    assert!(store.path().starts_with(project.folder().join(".autocoder")));
    migrate(&project);
    let error = store.call(ListFeatures).unwrap_err();
    assert!(matches!(error, autoforge_store::Error::Storage(fault) if fault.needs_reopen()));
    let again = project.open();
    assert_eq!(again.path(), project.database());
    assert_eq!(feature_names(&again), NAMES);
}

#[test]
fn a_handle_of_this_process_that_no_lock_tells_of_does_not_go_on_with_what_was_moved() {
    let project = features_project(".autocoder");
    let old = project.folder().join(".autocoder/assistant.db");
    let store = Store::<Assistant>::open_file(&old, &OpenOptions::default()).unwrap();
    assert_eq!(migrate(&project).moved.len(), 2);
    assert!(!store.is_open());
}

#[test]
fn a_link_from_the_old_folder_to_the_new_one_is_one_place() {
    for (real, link) in [(".autoforge", ".autocoder"), (".autocoder", ".autoforge")] {
        let project = Project::new();
        std::fs::create_dir(project.folder().join(real)).unwrap();
        fill(&project.folder().join(real).join("features.db"));
        std::os::unix::fs::symlink(real, project.folder().join(link)).unwrap();
        assert_eq!(migrate(&project), Migration::default());
        assert_eq!(feature_names(&project.open()), NAMES);
    }
}

#[test]
fn an_empty_database_is_moved_too() {
    let project = Project::new();
    std::fs::write(project.folder().join("features.db"), "").unwrap();
    assert_eq!(migrate(&project).moved.len(), 1);
    assert!(project.database().exists());
    assert!(!project.folder().join("features.db").exists());
    assert!(feature_names(&project.open()).is_empty());
}
