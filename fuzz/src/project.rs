//! Projects that cost no disk, and are emptied between inputs.

use std::cell::RefCell;
use std::path::Path;

use autoforge_store::Store;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::file::File;

/// A folder in memory where the system has such a place.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Claims and history go too, and their numbers begin anew; the features go first, since the triggers
/// note that they went.
const EMPTY: &str = "BEGIN IMMEDIATE; DELETE FROM features;
     DELETE FROM autoforge_claims; DELETE FROM autoforge_budgets;
     DELETE FROM autoforge_events; DELETE FROM autoforge_requests;
     DELETE FROM sqlite_sequence WHERE name LIKE 'autoforge\\_%' ESCAPE '\\';
     DELETE FROM autoforge_store WHERE fact NOT IN ('format', 'feature_id_floor');
     UPDATE autoforge_store SET value = 0 WHERE fact = 'feature_id_floor'; COMMIT";

/// Leaves a file as if it had just been made, which is much faster than making one.
pub(crate) fn empty(foreign: &Connection) {
    foreign.execute_batch(EMPTY).unwrap();
}

thread_local! {
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Runs on an empty file. What went wrong with the last one is not carried over: a panic ends the run.
pub(crate) fn with_file<T>(run: impl FnOnce(&mut File) -> T) -> T {
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| File::new_in(folder()).unwrap());
        empty(&file.foreign);
        run(file)
    })
}

/// Runs on an empty project: a store, and another program's connection to the same file.
pub fn with_project(run: impl FnOnce(&Store, &mut Connection)) {
    with_file(|file| {
        let store = file.store(0).clone();
        run(&store, &mut file.foreign);
    });
}
