//! Opening a machine's registry, and looking at what is registered there.

use std::path::Path;

use super::Store;
use crate::command::ListProjects;
use crate::database::Registry;
use crate::engine::OpenOptions;
use crate::error::{Error, OpenError, StorageError};
use crate::home::{FolderState, HomeLayout};
use crate::types::Project;

/// A project and what stands where it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenProject {
    /// What is registered.
    pub project: Project,
    /// What was seen.
    pub folder: FolderState,
}

impl Store<Registry> {
    /// Opens the `registry.db` in a home folder, which must exist, with the default options.
    ///
    /// The folder `.autocoder/` of old releases is renamed to `.autoforge/` where that does not
    /// exist. The journal mode is left as it is; see [`Store::open_assistant`].
    ///
    /// # Errors
    /// As [`Store::open_file`].
    pub fn open_registry(home: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_registry_with(home, &OpenOptions::default())
    }

    /// As [`Store::open_registry`], with options.
    ///
    /// # Errors
    /// As [`Store::open_file`].
    pub fn open_registry_with(
        home: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> Result<Self, OpenError> {
        let layout = HomeLayout::existing(home.as_ref())?;
        Self::open_file(layout.prepare_registry_db()?, options)
    }

    /// All projects by name, and what stands where they should: valid ones are
    /// [`FolderState::Usable`]. A missing one may lie on a disk that is not there at the moment, so
    /// nothing is ever taken out for that alone.
    ///
    /// Looks on the caller's thread, after the registry has answered: a disk that does not answer
    /// keeps nobody else waiting.
    ///
    /// # Errors
    /// The storage's fault.
    pub fn look_at_projects(&self) -> Result<Vec<SeenProject>, StorageError> {
        let projects = match self.call(ListProjects) {
            Ok(projects) => projects,
            Err(Error::Storage(fault)) => return Err(fault),
            Err(Error::Refused(never)) => match never {},
        };
        let look = |project: Project| {
            let folder = FolderState::of(Path::new(&project.path));
            SeenProject { project, folder }
        };
        Ok(projects.into_iter().map(look).collect())
    }
}
