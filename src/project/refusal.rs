//! Why the files of a project are not moved or removed.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::ProjectFile;
use crate::error::{LockHolder, OpenError, StorageError};

/// Why a migration, a reset or a restoration was not begun, or where it ended. What a variant is
/// about is as it was, unless it says otherwise.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Somebody has the database open.
    #[error("{} is open in {}, and stays as it is; end that first", .path.display(), Holders(.by))]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who has it open, as far as the system tells.
        by: Vec<LockHolder>,
    },
    /// A lock file says that an agent or a development server runs.
    #[error("{} says that {what} runs; stop it, or override the file if you know that it is an old one", .lock.display())]
    Running {
        /// The lock file.
        lock: PathBuf,
        /// What runs.
        what: &'static str,
    },
    /// The file stands in two places, and only one can be the project's.
    #[error("{} and {} both exist, and programs use the first; move away the one that you do not want, nothing was changed",
        .used.display(), .other.display())]
    TwoPlaces {
        /// What it is.
        file: ProjectFile,
        /// The one that is used.
        used: PathBuf,
        /// The one that nobody looks at.
        other: PathBuf,
    },
    /// The file, or the folder in which it lies, is a link.
    #[error("{} is a link; put what it leads to in its place, or move it by hand", .path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The file belongs to somebody else, who could not use it afterwards.
    #[error("{} belongs to user {owner}; do this as that user", .path.display())]
    NotOwner {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// The copy is not sound, and so the original is not either.
    #[error("{} is damaged ({detail}); `autoforge-store doctor` tells more", .path.display())]
    Damaged {
        /// The original.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// A database cannot be restored from itself.
    #[error("{} is the project's own database; name a copy of it", .path.display())]
    Itself {
        /// The database.
        path: PathBuf,
    },
    /// There is nothing that could be removed or replaced.
    #[error("{} has no database", .folder.display())]
    Nothing {
        /// The project's folder.
        folder: PathBuf,
    },
    /// The file cannot be opened, or is not what it should be; or the storage failed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl LayoutError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "in_use",
            Self::Running { .. } => "running",
            Self::TwoPlaces { .. } => "two_places",
            Self::Link { .. } => "link",
            Self::NotOwner { .. } => "not_owner",
            Self::Damaged { .. } => "corrupt",
            Self::Itself { .. } => "same_file",
            Self::Nothing { .. } => "no_project",
            Self::Open(error) => error.code(),
        }
    }

    /// Whether the same may succeed later without anything else being changed first.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::Running { .. } => true,
            Self::Open(error) => error.retryable(),
            _ => false,
        }
    }
}

impl From<StorageError> for LayoutError {
    fn from(fault: StorageError) -> Self {
        Self::Open(fault.into())
    }
}

struct Holders<'a>(&'a [LockHolder]);

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else {
            return f.write_str("another process, which the system does not name");
        };
        first.fmt(f)?;
        rest.iter().try_for_each(|holder| write!(f, " and {holder}"))
    }
}
