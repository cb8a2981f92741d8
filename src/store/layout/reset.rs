//! Removing what a project has recorded, after keeping a copy of it.

use std::path::{Path, PathBuf};

use super::copies::{self, Held, KeptCopy};
use super::{
    LayoutOptions, OwnEngine, discard, is_strangers, not_alone, refuse_running, release, take,
};
use crate::crash::crash_point;
use crate::engine::nameless;
use crate::project::{
    LayoutError, LeftFile, Place, ProjectFile, ProjectLayout, Renamed, rename_to_free, sync_folder,
};

/// What a reset removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetScope {
    /// `features.db`, and the cache of what was told of its progress.
    Features,
    /// `assistant.db` as well.
    Everything,
}

impl ResetScope {
    fn databases(self) -> &'static [ProjectFile] {
        match self {
            Self::Features => &[ProjectFile::FeaturesDb],
            Self::Everything => &[ProjectFile::FeaturesDb, ProjectFile::AssistantDb],
        }
    }
}

/// What [`reset_project`] would do.
#[derive(Debug, Clone, Default)]
pub struct ResetPlan {
    /// What would be removed, wherever it stands.
    pub files: Vec<(ProjectFile, PathBuf)>,
    /// What forbids it.
    pub problems: Vec<LayoutError>,
}

/// What a reset did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// What was removed.
    pub removed: Vec<PathBuf>,
    /// The folder that holds the copies, and everything else that was removed.
    pub backup: PathBuf,
    /// The copies of the databases.
    pub copies: Vec<KeptCopy>,
    /// What stays although it has the name of a file to be removed.
    pub left: Vec<LeftFile>,
    /// A `feature_list.json`, which the next opening of the project imports.
    pub legacy_backlog: Option<PathBuf>,
}

/// Removes a project's databases from wherever they stand, so that it starts anew. A complete and
/// checked copy is kept first, in a folder with the time in its name in `.autoforge/backups/`.
///
/// A crash leaves the old project, or one that is reset with its copies complete; a reset that was
/// cut short between two databases is finished by another one. Handles of this process say
/// [`StorageError::Closed`](crate::StorageError::Closed) afterwards.
///
/// # Errors
/// [`LayoutError`] says what is in the way; nothing was removed then, unless removing itself failed.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{LayoutOptions, ResetScope, Store, reset_project};
///
/// Store::open_project(dir.path())?.close();
/// let reset = reset_project(dir.path(), ResetScope::Features, &LayoutOptions::default())?;
/// assert!(!dir.path().join(".autoforge/features.db").exists());
/// assert!(reset.backup.join("features.db").exists());
/// # Ok::<(), autoforge_store::LayoutError>(())
/// ```
pub fn reset_project(
    folder: impl AsRef<Path>,
    scope: ResetScope,
    options: &LayoutOptions,
) -> Result<Reset, LayoutError> {
    let layout = ProjectLayout::existing(folder.as_ref())?;
    refuse_running(&layout, options)?;
    let mut left = Vec::new();
    let held = hold(&layout, scope, options, &mut left)?;
    let caches = layout.standing(ProjectFile::ProgressCache);
    if held.is_empty() && caches.is_empty() {
        return Err(LayoutError::Nothing { folder: layout.folder().to_owned() });
    }
    crash_point("reset.alone");
    let (backup, copies) = match copies::keep(&layout, &held, options) {
        Ok(kept) => kept,
        Err(error) => {
            release(held.into_iter().map(|held| held.original));
            return Err(error);
        }
    };
    let mut removed = Vec::new();
    for Held { path, original, .. } in held {
        original.remove_if_alone().map_err(|error| not_alone(&path, error))?;
        sync_folder(path.parent().unwrap_or(&path))?;
        removed.push(path);
    }
    put_caches_away(caches, &backup, &mut removed, &mut left)?;
    forget_unfinished(&layout, scope)?;
    crash_point("reset.done");
    let backlog = layout.legacy_backlog();
    let legacy_backlog = backlog.exists().then_some(backlog);
    Ok(Reset { removed, backup, copies, left, legacy_backlog })
}

impl ProjectLayout {
    /// What a reset would remove and what forbids it, as far as names and owners tell. Whether
    /// somebody has a database open shows only when it is tried. Changes nothing.
    #[must_use]
    pub fn plan_reset(&self, scope: ResetScope) -> ResetPlan {
        let mut plan = ResetPlan { problems: self.running(), ..ResetPlan::default() };
        for file in scope.databases().iter().copied().chain([ProjectFile::ProgressCache]) {
            for (place, path) in self.standing(file) {
                if file.is_database() {
                    plan.problems.extend(self.problem_with(place, &path));
                }
                plan.files.push((file, path));
            }
        }
        plan
    }
}

/// Takes all of them, the one that is used last of its name: were it removed first, a crash would
/// leave the project with an older one in its place.
fn hold(
    layout: &ProjectLayout,
    scope: ResetScope,
    options: &LayoutOptions,
    left: &mut Vec<LeftFile>,
) -> Result<Vec<Held>, LayoutError> {
    let mut held = Vec::new();
    for file in scope.databases() {
        for (at, (place, path)) in layout.standing(*file).into_iter().enumerate().rev() {
            let taken = match layout.problem_with(place, &path) {
                Some(problem) => Err(problem),
                None => take(*file, &path, OwnEngine::Dispose, options),
            };
            match taken {
                Ok(original) => held.push(Held { file: *file, place, path, original }),
                // Another program's file that happens to have the name, where nobody looks for ours.
                Err(error) if at > 0 && is_strangers(&error) => {
                    left.push(LeftFile { path, reason: error.to_string() });
                }
                Err(error) => {
                    release(held.into_iter().map(|held| held.original));
                    return Err(error);
                }
            }
        }
    }
    Ok(held)
}

/// What the cache told of is gone, so nobody must compare with it; it lies with the copies.
fn put_caches_away(
    caches: Vec<(Place, PathBuf)>,
    backup: &Path,
    removed: &mut Vec<PathBuf>,
    left: &mut Vec<LeftFile>,
) -> Result<(), LayoutError> {
    for (place, path) in caches {
        let kept = copies::kept_as(backup, place, ProjectFile::ProgressCache);
        if let Some(folder) = kept.parent() {
            crate::project::make_private_folder(folder)?;
        }
        match rename_to_free(&path, &kept)? {
            Renamed::Done => removed.push(path),
            Renamed::Gone => {}
            Renamed::Taken | Renamed::OtherDisk => {
                left.push(LeftFile { path, reason: format!("{} is taken", kept.display()) });
            }
        }
        crash_point("reset.cache");
    }
    Ok(())
}

/// What earlier attempts to move or remove these databases have left is gone with them.
fn forget_unfinished(layout: &ProjectLayout, scope: ResetScope) -> Result<(), LayoutError> {
    for file in scope.databases() {
        for place in Place::ALL {
            discard(&nameless(&layout.at(place, *file)))?;
        }
        discard(&layout.unnamed_copy(Place::Current, *file))?;
    }
    if layout.is_migrating() {
        layout.unmark()?;
    }
    Ok(())
}
