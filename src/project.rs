//! Where a project's files lie.

mod files;
mod moving;
mod plan;
mod refusal;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use files::Place;
pub use files::ProjectFile;
pub(crate) use moving::{Renamed, give_to_owner_of, rename_to_free, sync_folder};
pub use plan::{LeftFile, MigrationPlan, PlannedMove};
pub use refusal::LayoutError;

use crate::error::OpenError;

pub(crate) const FOLDER: &str = ".autoforge";
pub(crate) const OLD_FOLDER: &str = ".autocoder";

/// Keeps the runtime files out of version control, and nothing else that a user may put there.
const GITIGNORE: &str = "\
# Made by autoforge-store: files of running programs.
*.db
*.db-wal
*.db-shm
*.db-journal
*.lock
.pause_drain
.progress_cache
.layout-migration
backups/
";

/// The folder of a project.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::ProjectLayout;
///
/// let layout = ProjectLayout::create(&dir.path().join("shop"))?;
/// assert!(layout.features_db().ends_with("shop/.autoforge/features.db"));
/// # Ok::<(), autoforge_store::OpenError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectLayout {
    folder: PathBuf,
}

impl ProjectLayout {
    /// The layout of a folder, which is made where it is missing. Links in its path are resolved.
    ///
    /// # Errors
    /// [`OpenError::System`] where the folder cannot be made or reached.
    pub fn create(folder: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(folder)
            .map_err(|error| OpenError::system("making the folder", folder, &error))?;
        Self::existing(folder)
    }

    /// The layout of a folder that exists.
    ///
    /// # Errors
    /// [`OpenError::System`] where it cannot be reached.
    pub fn existing(folder: &Path) -> Result<Self, OpenError> {
        let folder = fs::canonicalize(folder)
            .map_err(|error| OpenError::system("resolving", folder, &error))?;
        Ok(Self { folder })
    }

    /// The project's folder, links resolved.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where `features.db` is, or would be made: `.autoforge/`, then `.autocoder/`, then the
    /// project's folder, the first that has it.
    #[must_use]
    pub fn features_db(&self) -> PathBuf {
        self.file(ProjectFile::FeaturesDb)
    }

    /// Where `assistant.db` is, or would be made: in the same places, but not always in the same
    /// one.
    #[must_use]
    pub fn assistant_db(&self) -> PathBuf {
        self.file(ProjectFile::AssistantDb)
    }

    /// Whether the project has a database or a list of features.
    #[must_use]
    pub fn has_features(&self) -> bool {
        self.features_db().exists() || self.legacy_backlog().exists()
    }

    /// The list of the time before databases.
    #[must_use]
    pub fn legacy_backlog(&self) -> PathBuf {
        self.folder.join("feature_list.json")
    }

    /// Where a file is, after making its folder, if it is the new one, private and out of version
    /// control.
    pub(crate) fn prepare(&self, file: ProjectFile) -> Result<PathBuf, OpenError> {
        let path = self.file(file);
        if path == self.current(file) {
            self.prepare_folder()?;
        }
        Ok(path)
    }

    /// Makes `.autoforge/`, private and out of version control.
    pub(crate) fn prepare_folder(&self) -> Result<PathBuf, OpenError> {
        let folder = self.folder.join(FOLDER);
        make_private_folder(&folder)?;
        write_gitignore(&folder)?;
        Ok(folder)
    }
}

pub(crate) fn make_private_folder(folder: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt;
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::system("making the folder", folder, &error)),
    }
}

/// A folder that cannot be written to still serves readers; the file is a convenience.
pub(crate) fn write_gitignore(folder: &Path) -> Result<(), OpenError> {
    let path = folder.join(".gitignore");
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    #[expect(clippy::disallowed_methods, reason = "a text file, which is no database")]
    match fs::write(&path, GITIGNORE) {
        Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => {
            Err(OpenError::system("writing", &path, &error))
        }
        _ => Ok(()),
    }
}
