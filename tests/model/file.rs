//! A file that several handles and another program use at once.

use std::path::PathBuf;

use autoforge_store::testing::{Ending, Foreign, Row};
use autoforge_store::{FeatureId, Field, OpenOptions, Store, Stored, dispose};
use proptest::prelude::*;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use tempfile::TempDir;

/// As AutoForge's migrations left its oldest files. What a test wants to try on a file that takes
/// everything is `anything`.
fn old_table(anything: bool) -> String {
    let required = if anything { "" } else { " NOT NULL" };
    format!(
        "CREATE TABLE features (
            id INTEGER NOT NULL PRIMARY KEY,
            priority INTEGER{required},
            category VARCHAR(100){required},
            name VARCHAR(255){required},
            description TEXT{required},
            steps JSON{required},
            passes BOOLEAN,
            in_progress BOOLEAN DEFAULT 0,
            dependencies TEXT DEFAULT NULL,
            needs_human_input BOOLEAN DEFAULT 0,
            human_input_request TEXT DEFAULT NULL,
            human_input_response TEXT DEFAULT NULL
        )"
    )
}

pub(crate) struct File {
    /// Before the folder, which goes when it is dropped.
    handles: Vec<Store>,
    pub(crate) foreign: Connection,
    path: PathBuf,
    _folder: TempDir,
}

impl File {
    /// A file that a store has made.
    pub(crate) fn new() -> Result<Self, TestCaseError> {
        Self::new_in(tempfile::tempdir()?)
    }

    /// The same in this folder.
    pub(crate) fn new_in(folder: TempDir) -> Result<Self, TestCaseError> {
        Self::opened(folder, |_| Ok(()))
    }

    /// A file that was there before.
    pub(crate) fn of(rows: &[(FeatureId, Row)], anything: bool) -> Result<Self, TestCaseError> {
        Self::opened(tempfile::tempdir()?, |path| {
            let foreign = Connection::open(path)?;
            foreign.execute_batch(&old_table(anything))?;
            for (id, row) in rows {
                let columns = Field::ALL.map(Field::as_str).join(", ");
                let sql =
                    format!("INSERT INTO features (id, {columns}) VALUES (?{})", ", ?".repeat(11));
                let id = Stored::Integer(id.get());
                let values = Field::ALL.map(|field| row.get(field).clone());
                foreign.execute(&sql, params_from_iter(std::iter::once(id).chain(values)))?;
            }
            Ok(())
        })
    }

    fn opened(
        folder: TempDir,
        make: impl FnOnce(&PathBuf) -> Result<(), TestCaseError>,
    ) -> Result<Self, TestCaseError> {
        let path = folder.path().join("features.db");
        make(&path)?;
        let store = Store::open_file(&path, &OpenOptions::default())?;
        let handles = vec![store.clone(), store.clone(), store];
        Ok(Self { handles, foreign: Connection::open(&path)?, path, _folder: folder })
    }

    /// One handle after the other.
    pub(crate) fn store(&self, turn: usize) -> &Store {
        &self.handles[turn % self.handles.len()]
    }

    /// Runs the statement of another program; `None` where the file refuses it.
    pub(crate) fn run(&self, foreign: &Foreign) -> Result<Option<usize>, TestCaseError> {
        let (sql, params) = foreign.statement();
        match self.foreign.execute(&sql, params_from_iter(params)) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends all handles and opens the file again; gives whether that changed it.
    pub(crate) fn reopen(&mut self, how: Ending) -> Result<bool, TestCaseError> {
        match how {
            Ending::Close => {
                let report = self.store(0).close();
                prop_assert!(report.fault.is_none(), "{:?}", report);
            }
            Ending::Drop => {}
            Ending::Dispose => prop_assert!(dispose(&self.path)?.is_some()),
        }
        self.handles.clear();
        let store = Store::open_file(&self.path, &OpenOptions::default())?;
        self.handles = vec![store.clone(), store.clone(), store];
        prop_assert!(!self.store(0).opening().created);
        Ok(self.store(0).opening().migrated)
    }
}
