//! Opening a project: where its file lies, and the backlog of the time before databases.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Store;
use super::layout::{Migration, finish_interrupted};
use crate::command::ImportBacklog;
use crate::crash::crash_point;
use crate::database::{Database, Features};
use crate::engine::{Absent, OpenOptions};
use crate::error::{Error, OpenError, StorageError};
use crate::project::{ProjectFile, ProjectLayout};
use crate::types::{Feature, Timestamp};

/// How often a file may be moved away while it is being opened, until that is an error.
const MOVES_WHILE_OPENING: usize = 8;

/// What opening a handle did, and what its user should know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// The file was created.
    pub created: bool,
    /// The file was brought up to date from an older state.
    pub migrated: bool,
    /// A `feature_list.json` was imported.
    pub imported: Option<ImportedBacklog>,
    /// A `feature_list.json` should have been imported and could not be; it and the database are as
    /// they were. Says where, and what is wrong with it.
    pub backlog_problem: Option<String>,
    /// A move of the project's files to `.autoforge/` had been cut short, and was finished.
    pub finished_migration: Option<Migration>,
    /// Such a move could not be finished now; the project is used where it lies. Says why.
    pub layout_problem: Option<String>,
}

/// A `feature_list.json` that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedBacklog {
    /// How many features it held.
    pub features: usize,
    /// Where the list is kept now; `None` where renaming it failed, which harms nothing, since a
    /// project that has features imports none.
    pub kept_as: Option<PathBuf>,
}

impl Store<Features> {
    /// Opens a project's `features.db` with the default options.
    ///
    /// The folder is created where it is missing. An existing database is found where any release
    /// of AutoForge left it; a new one is made in `.autoforge/`. A `feature_list.json` is imported
    /// if the project has no features yet.
    ///
    /// # Errors
    /// As [`Store::open_file`].
    pub fn open_project(folder: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_project_with(folder, &OpenOptions::default())
    }

    /// As [`Store::open_project`], with options.
    ///
    /// # Errors
    /// As [`Store::open_file`].
    pub fn open_project_with(
        folder: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> Result<Self, OpenError> {
        let layout = ProjectLayout::create(folder.as_ref())?;
        let mut store = Self::open_in_project(&layout, ProjectFile::FeaturesDb, options)?;
        let legacy = layout.legacy_backlog();
        if legacy.is_file() {
            let (imported, backlog_problem) = store.import_legacy(&legacy)?;
            let opening = store.opening().clone();
            store.opening = Arc::new(Opening { imported, backlog_problem, ..opening });
        }
        Ok(store)
    }
}

impl<D: Database> Store<D> {
    /// Opens one of the project's databases, after finishing a move that was cut short.
    pub(super) fn open_in_project(
        layout: &ProjectLayout,
        file: ProjectFile,
        options: &OpenOptions,
    ) -> Result<Self, OpenError> {
        let (finished_migration, layout_problem) = finish_interrupted(layout, options);
        let mut store = Self::open_where_it_lies(layout, file, options)?;
        let opening = store.opening().clone();
        store.opening = Arc::new(Opening { finished_migration, layout_problem, ..opening });
        Ok(store)
    }

    /// Another process may move the file between our looking for it and our opening it. So nothing
    /// is ever made in an old place, and where the file lies is looked up again afterwards: whoever
    /// has it open by then keeps others from moving it.
    fn open_where_it_lies(
        layout: &ProjectLayout,
        file: ProjectFile,
        options: &OpenOptions,
    ) -> Result<Self, OpenError> {
        let mut path = layout.prepare(file)?;
        let mut attempts = 0..MOVES_WHILE_OPENING;
        loop {
            let new = path == layout.current(file);
            let absent = if new { Absent::Create } else { Absent::Refuse };
            crash_point("open.chosen");
            let opened = Self::open_at(&path, absent, options);
            let found = layout.prepare(file)?;
            let settled = match &opened {
                Ok(store) => found.canonicalize().is_ok_and(|found| found == store.path()),
                Err(OpenError::Storage(StorageError::Moved { .. })) => false,
                Err(_) => found == path,
            };
            if settled {
                return opened;
            }
            if attempts.next().is_none() {
                return Err(StorageError::Moved { path: path.into() }.into());
            }
            path = found;
        }
    }
}

impl Store<Features> {
    /// Imports the list unless there are features, then renames it. The check and the import are
    /// one transaction, so of many processes one imports; a crash between import and renaming
    /// leaves a list that is not imported again.
    fn import_legacy(
        &self,
        list: &Path,
    ) -> Result<(Option<ImportedBacklog>, Option<String>), OpenError> {
        if self.call(crate::command::GetStats).map_or(0, |stats| stats.total) > 0 {
            return Ok((None, None));
        }
        let problem = |problem: &dyn std::fmt::Display| {
            let text = format!("{} cannot be imported: {problem}", list.display());
            tracing::warn!("{text}");
            Ok((None, Some(text)))
        };
        if self.is_own_file(list) {
            return problem(&"it is the database by another name");
        }
        #[expect(clippy::disallowed_methods, reason = "a JSON list, which is no database")]
        let text = match std::fs::read(list) {
            Ok(text) => text,
            // Somebody else has imported and renamed it in this moment.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((None, None)),
            Err(error) => return Err(OpenError::system("reading", list, &error)),
        };
        let entries = match Feature::parse_backlog(&text) {
            Ok(entries) => entries,
            Err(wrong) => return problem(&wrong),
        };
        match self.call(ImportBacklog { entries }) {
            Ok(features) => {
                let kept_as = keep(list);
                Ok((Some(ImportedBacklog { features, kept_as }), None))
            }
            Err(Error::Refused(crate::command::ImportRefusal::NotEmpty { .. })) => Ok((None, None)),
            Err(Error::Refused(refusal)) => problem(&refusal),
            Err(Error::Storage(fault)) => Err(storage(fault)),
        }
    }
}

impl Store<Features> {
    /// Whether the path leads to the database or to the memory its users share. Reading either
    /// would drop the engine's locks.
    pub(crate) fn is_own_file(&self, path: &Path) -> bool {
        let identity = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
        let mut shared_memory = self.path().as_os_str().to_owned();
        shared_memory.push("-shm");
        let own = [self.path(), Path::new(&shared_memory)].map(identity);
        identity(path).is_some_and(|found| own.contains(&Some(found)))
    }
}

fn storage(fault: StorageError) -> OpenError {
    OpenError::Storage(fault)
}

/// Renames the list to a name that nobody has yet.
fn keep(list: &Path) -> Option<PathBuf> {
    let stamp = Timestamp::now().to_file_stamp();
    let names = std::iter::once(format!("feature_list.json.backup.{stamp}"))
        .chain((1..100).map(|n| format!("feature_list.json.backup.{stamp}.{n}")));
    let free = names.map(|name| list.with_file_name(name)).find(|path| !path.exists())?;
    std::fs::rename(list, &free).ok().map(|()| free)
}
