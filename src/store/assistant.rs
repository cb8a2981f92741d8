//! Opening a project's conversations.

use std::path::Path;

use super::Store;
use crate::database::Assistant;
use crate::engine::OpenOptions;
use crate::error::OpenError;
use crate::project::{ProjectFile, ProjectLayout};

impl Store<Assistant> {
    /// Opens a project's `assistant.db` with the default options.
    ///
    /// The folder is created where it is missing. An existing file is found where any release of
    /// AutoForge left it; a new one is made in `.autoforge/`. Its journal mode is left as it is,
    /// which for AutoForge's files is a rollback journal: a write then waits for readers before it
    /// takes effect, up to [`OpenOptions::lock_wait`].
    ///
    /// # Errors
    /// As [`Store::open_file`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use autoforge_store::{Assistant, ListConversations, Store};
    ///
    /// let store = Store::<Assistant>::open_assistant(dir.path())?;
    /// assert!(store.call(ListConversations::all()).unwrap().conversations.is_empty());
    /// # Ok::<(), autoforge_store::OpenError>(())
    /// ```
    pub fn open_assistant(folder: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_assistant_with(folder, &OpenOptions::default())
    }

    /// As [`Store::open_assistant`], with options.
    ///
    /// # Errors
    /// As [`Store::open_file`].
    pub fn open_assistant_with(
        folder: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> Result<Self, OpenError> {
        let layout = ProjectLayout::create(folder.as_ref())?;
        Self::open_in_project(&layout, ProjectFile::AssistantDb, options)
    }
}
