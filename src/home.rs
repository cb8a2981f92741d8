//! Where a machine's registry lies, and what stands where its projects should.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::OpenError;
use crate::project::{FOLDER, OLD_FOLDER, make_private_folder, write_gitignore};
use crate::types::{InvalidProject, ProjectPath};

const REGISTRY: &str = "registry.db";

/// The home folder of a user, in which the registry lies. The library never looks for it: whoever
/// opens the registry says whose it is.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::HomeLayout;
///
/// let layout = HomeLayout::existing(dir.path())?;
/// assert!(layout.registry_db().ends_with(".autoforge/registry.db"));
/// assert!(!layout.has_registry());
/// # Ok::<(), autoforge_store::OpenError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeLayout {
    home: PathBuf,
}

impl HomeLayout {
    /// The layout of a home folder, which must exist. Links in its path are resolved.
    ///
    /// # Errors
    /// [`OpenError::System`] where it cannot be reached.
    pub fn existing(home: &Path) -> Result<Self, OpenError> {
        let home =
            fs::canonicalize(home).map_err(|error| OpenError::system("resolving", home, &error))?;
        Ok(Self { home })
    }

    /// Where `registry.db` is, or would be made. An old one lies in `.autocoder/` until it is first
    /// opened, which renames that folder.
    #[must_use]
    pub fn registry_db(&self) -> PathBuf {
        let (new, old) = (self.home.join(FOLDER), self.home.join(OLD_FOLDER));
        let folder = if !stands(&new) && stands(&old) { old } else { new };
        folder.join(REGISTRY)
    }

    /// Whether there is a registry.
    #[must_use]
    pub fn has_registry(&self) -> bool {
        stands(&self.registry_db())
    }

    /// An old registry that is not used, since there was a folder `.autoforge/` already when it
    /// could have been renamed: its projects are not in the one that is used.
    #[must_use]
    pub fn left_behind(&self) -> Option<PathBuf> {
        let old = self.home.join(OLD_FOLDER).join(REGISTRY);
        (stands(&old) && self.registry_db() != old).then_some(old)
    }

    /// How a project in this folder is registered: by its real path as far as that exists, links
    /// resolved, so that a folder cannot be registered twice under two names for one place.
    ///
    /// # Errors
    /// [`InvalidProject`] where the path cannot be registered.
    pub fn project_path(folder: impl AsRef<Path>) -> Result<ProjectPath, InvalidProject> {
        let folder = std::path::absolute(folder).map_err(|_| InvalidProject::PathNotAbsolute)?;
        let resolved = folder.ancestors().find_map(|above| {
            let real = fs::canonicalize(above).ok()?;
            let rest = folder.strip_prefix(above).ok()?;
            Some(real.join(rest))
        });
        ProjectPath::new(resolved.unwrap_or(folder))
    }

    /// Where `registry.db` is, after renaming the folder of old releases to the new one, or making
    /// that, private and out of version control.
    ///
    /// Of several processes at once one renames and the others find it done. A program that has the
    /// old file open keeps it, since a rename moves no content; SQLite lets it write no more there.
    pub(crate) fn prepare_registry_db(&self) -> Result<PathBuf, OpenError> {
        let (new, old) = (self.home.join(FOLDER), self.home.join(OLD_FOLDER));
        if !stands(&new) && stands(&old) {
            match fs::rename(&old, &new) {
                // It is gone, or the new one is there: somebody else was faster.
                Err(error) if error.kind() != ErrorKind::NotFound && !stands(&new) => {
                    return Err(OpenError::system("renaming", &old, &error));
                }
                _ => {}
            }
        }
        make_private_folder(&new)?;
        write_gitignore(&new)?;
        Ok(new.join(REGISTRY))
    }
}

/// Whether there is anything under that name, be it a link that leads nowhere.
fn stands(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What stands where a project should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FolderState {
    /// A folder that can be read and written.
    Usable,
    /// Nothing. The project was moved or deleted, or its disk is not there at the moment.
    Missing,
    /// Something else than a folder.
    NotAFolder,
    /// A folder that this process may not read.
    NotReadable,
    /// A folder that this process may not write to.
    NotWritable,
    /// The system does not tell.
    Unknown,
}

impl FolderState {
    /// Looks at a place. How long that takes is up to the disk.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        match fs::metadata(folder) {
            // It would be looked for wherever this process happens to be.
            _ if !folder.is_absolute() => Self::Unknown,
            Ok(found) if !found.is_dir() => Self::NotAFolder,
            Ok(_) if access(folder, Access::READ_OK | Access::EXEC_OK).is_err() => {
                Self::NotReadable
            }
            Ok(_) if access(folder, Access::WRITE_OK).is_err() => Self::NotWritable,
            Ok(_) => Self::Usable,
            Err(error) if is_missing(error.kind()) => Self::Missing,
            Err(_) => Self::Unknown,
        }
    }

    /// Whether the project is not there: whoever registered it may want to take it out.
    #[must_use]
    pub const fn is_stale(self) -> bool {
        matches!(self, Self::Missing | Self::NotAFolder)
    }

    /// Its name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Missing => "missing",
            Self::NotAFolder => "not_a_folder",
            Self::NotReadable => "not_readable",
            Self::NotWritable => "not_writable",
            Self::Unknown => "unknown",
        }
    }
}

fn is_missing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}
