//! Moving, removing and replacing the files of a project.
//!
//! Each begins in the same way: this process gives up its own engines, and then proves that nobody
//! else has a database open ([`Exclusive`]). Only then is anything changed.

mod copies;
mod migrate;
mod reset;
mod restore;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use copies::KeptCopy;
pub(super) use migrate::finish_interrupted;
pub use migrate::{Migration, migrate_layout};
pub use reset::{Reset, ResetPlan, ResetScope, reset_project};
pub use restore::{Restoration, restore_features};

use super::{dispose, has_engine};
use crate::database::{Database, Features};
use crate::engine::{Exclusive, Expected, Location, NotExclusive, OpenOptions, with_open};
use crate::error::{LockHolder, OpenError, StorageError};
use crate::project::{LayoutError, ProjectFile, ProjectLayout};
use crate::sync::sleep;

/// How the files of a project are moved or removed.
///
/// ```
/// use autoforge_store::LayoutOptions;
/// let options = LayoutOptions { force: true, ..LayoutOptions::default() };
/// assert!(!options.allow_unsafe_file_system);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutOptions {
    /// Go on although a lock file says that an agent or a development server runs, and reset a
    /// damaged database although its copy is as damaged. A database that somebody has open is never
    /// touched, whatever this says. Default: `false`.
    pub force: bool,
    /// How long to wait for those who have a database open. Default: 1 s.
    pub wait: Duration,
    /// As [`OpenOptions::allow_unsafe_file_system`]. Default: `false`.
    pub allow_unsafe_file_system: bool,
}

impl Default for LayoutOptions {
    fn default() -> Self {
        Self { force: false, wait: Duration::from_secs(1), allow_unsafe_file_system: false }
    }
}

/// The other processes that have a database or a side file of it open, as far as the system tells:
/// none where it does not, or where this user may not look into them.
#[must_use]
pub fn open_elsewhere(path: impl AsRef<Path>) -> Vec<LockHolder> {
    Location::resolve(path.as_ref()).map_or_else(|_| Vec::new(), |location| with_open(&location))
}

impl LayoutOptions {
    fn opening(&self) -> OpenOptions {
        OpenOptions {
            lock_wait: self.wait,
            allow_unsafe_file_system: self.allow_unsafe_file_system,
        }
    }
}

/// What becomes of the engine that this process may have for a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnEngine {
    /// It is ended; its handles say so from then on.
    Dispose,
    /// It is in the way like everybody else's.
    Keep,
}

/// What `assistant.db` is known by.
const ASSISTANT_TABLES: &[&str] = &["conversations", "conversation_messages"];

/// What a database of this name must be.
fn expected(file: ProjectFile) -> Expected {
    match file {
        ProjectFile::FeaturesDb => Expected::Schema(Features::SCHEMA),
        _ => Expected::Tables(ASSISTANT_TABLES),
    }
}

/// Takes a database for this process alone.
fn take(
    file: ProjectFile,
    path: &Path,
    own: OwnEngine,
    options: &LayoutOptions,
) -> Result<Exclusive, LayoutError> {
    if own == OwnEngine::Keep && has_engine(path) {
        let by = vec![LockHolder::this_process()];
        return Err(LayoutError::InUse { path: path.to_owned(), by });
    }
    let taken = dispose(path)
        .map_err(NotExclusive::Open)
        .and_then(|_| Exclusive::take(path, expected(file), &options.opening(), sleep));
    taken.map_err(|error| not_alone(path, error))
}

fn not_alone(path: &Path, error: NotExclusive) -> LayoutError {
    match error {
        // Somebody else has moved or removed it in this moment.
        _ if path.symlink_metadata().is_err() => moved(path),
        NotExclusive::InUse { by } => LayoutError::InUse { path: path.to_owned(), by },
        NotExclusive::Open(error) => LayoutError::Open(error),
    }
}

/// The first lock file in the way, unless it is to be overridden.
fn refuse_running(layout: &ProjectLayout, options: &LayoutOptions) -> Result<(), LayoutError> {
    match layout.running().into_iter().next() {
        Some(running) if !options.force => Err(running),
        _ => Ok(()),
    }
}

/// Removes a copy that got no name, or the other name of one that has got it. Where it was cut short,
/// the original is there to be copied again.
fn discard(copy: &Path) -> Result<(), LayoutError> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut name = copy.as_os_str().to_owned();
        name.push(suffix);
        let path = Path::new(&name);
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(OpenError::system("removing", path, &error).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Lets go of databases that stay. What goes wrong with one of them is the business of whoever opens
/// it next: nothing was taken from it.
fn release(taken: impl IntoIterator<Item = Exclusive>) {
    for exclusive in taken {
        if let Err(fault) = exclusive.release() {
            tracing::warn!(%fault, "a database is kept otherwise than before");
        }
    }
}

/// Whether the file is another program's.
fn is_strangers(error: &LayoutError) -> bool {
    use OpenError::{Foreign, NotADatabase, NotAFile};
    matches!(error, LayoutError::Open(Foreign { .. } | NotADatabase { .. } | NotAFile { .. }))
}

fn damaged(path: &Path, findings: &[String]) -> LayoutError {
    let detail = findings.first().cloned().unwrap_or_default();
    LayoutError::Damaged { path: path.to_owned(), detail }
}

fn moved(path: &Path) -> LayoutError {
    StorageError::Moved { path: Arc::from(path) }.into()
}
