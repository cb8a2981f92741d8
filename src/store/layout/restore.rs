//! Putting a copy of a database in its place.

use std::path::{Path, PathBuf};

use super::copies::{self, Held, KeptCopy};
use super::{
    LayoutOptions, OwnEngine, damaged, discard, expected, moved, refuse_running, release, take,
};
use crate::crash::crash_point;
use crate::engine::{FileIdentity, Source};
use crate::project::{
    LayoutError, Place, ProjectFile, ProjectLayout, Renamed, give_to_owner_of, rename_to_free,
    sync_folder,
};
use crate::sync::sleep;

/// What a restoration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The database, which holds what the copy held.
    pub database: PathBuf,
    /// The database that was there before, kept; `None` where there was none.
    pub replaced: Option<KeptCopy>,
}

/// Puts a copy of a project's `features.db` in its place: one that [`Store::backup`](crate::Store::backup)
/// or [`reset_project`](crate::reset_project) has made. The copy stays. What was there before is kept
/// in `.autoforge/backups/`, even if it is damaged.
///
/// Everything goes back to when the copy was made: the numbers of events and claims too, and the ids
/// of features that were created since are given out again. A crash leaves the one or the other.
/// Handles of this process say [`StorageError::Closed`](crate::StorageError::Closed) afterwards.
///
/// # Errors
/// [`LayoutError`] says what is in the way, or what is wrong with the copy; the database is as it was.
/// One that is no database any more has to be moved away by hand: nothing tells who uses it.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{LayoutOptions, Store, restore_features};
///
/// let store = Store::open_project(dir.path())?;
/// let copy = dir.path().join("copy.db");
/// store.backup(&copy).unwrap();
/// let restoration = restore_features(dir.path(), &copy, &LayoutOptions::default())?;
/// assert_eq!(restoration.database, store.path());
/// assert!(!store.is_open());
/// # Ok::<(), autoforge_store::LayoutError>(())
/// ```
pub fn restore_features(
    folder: impl AsRef<Path>,
    from: impl AsRef<Path>,
    options: &LayoutOptions,
) -> Result<Restoration, LayoutError> {
    let layout = ProjectLayout::existing(folder.as_ref())?;
    let from = from.as_ref();
    refuse_running(&layout, options)?;
    let held = hold(&layout, from, options)?;
    crash_point("restore.alone");
    let restored = match held {
        Some(held) => put_into(&layout, from, held, options),
        None => put_in_place(&layout, from, options),
    };
    crash_point("restore.done");
    restored
}

/// The database that is there, if there is one.
fn hold(
    layout: &ProjectLayout,
    from: &Path,
    options: &LayoutOptions,
) -> Result<Option<Held>, LayoutError> {
    let file = ProjectFile::FeaturesDb;
    let mut standing = layout.standing(file).into_iter();
    let Some((place, path)) = standing.next() else { return Ok(None) };
    if let Some((_, other)) = standing.next() {
        return Err(LayoutError::TwoPlaces { file, used: path, other });
    }
    if FileIdentity::at(&path).is_some() && FileIdentity::at(&path) == FileIdentity::at(from) {
        return Err(LayoutError::Itself { path });
    }
    if let Some(problem) = layout.problem_with(place, &path) {
        return Err(problem);
    }
    let original = take(file, &path, OwnEngine::Dispose, options)?;
    Ok(Some(Held { file, place, path, original }))
}

/// A sound database to restore from.
fn sound(from: &Path, options: &LayoutOptions) -> Result<Source, LayoutError> {
    let expected = expected(ProjectFile::FeaturesDb);
    let source = Source::open(from, expected, &options.opening(), sleep)?;
    let findings = source.findings()?;
    if findings.is_empty() { Ok(source) } else { Err(damaged(from, &findings)) }
}

/// Keeps what is there, and overwrites it.
fn put_into(
    layout: &ProjectLayout,
    from: &Path,
    held: Held,
    options: &LayoutOptions,
) -> Result<Restoration, LayoutError> {
    // A damaged database is what copies are restored for.
    let as_it_is = LayoutOptions { force: true, ..*options };
    let prepared = sound(from, options).and_then(|source| {
        let (_, mut copies) = copies::keep(layout, std::slice::from_ref(&held), &as_it_is)?;
        Ok((source, copies.pop()))
    });
    let Held { path, mut original, .. } = held;
    match prepared {
        Ok((source, replaced)) => {
            let overwritten = original.overwrite(&source);
            release([original]);
            overwritten?;
            Ok(Restoration { database: path, replaced })
        }
        Err(error) => {
            release([original]);
            Err(error)
        }
    }
}

/// Makes the database where there is none.
fn put_in_place(
    layout: &ProjectLayout,
    from: &Path,
    options: &LayoutOptions,
) -> Result<Restoration, LayoutError> {
    let source = sound(from, options)?;
    let folder = layout.prepare_folder()?;
    give_to_owner_of(layout.folder(), &folder)?;
    let unnamed = layout.unnamed_copy(Place::Current, ProjectFile::FeaturesDb);
    let database = layout.current(ProjectFile::FeaturesDb);
    discard(&unnamed)?;
    source.copy_to(&unnamed)?;
    give_to_owner_of(layout.folder(), &unnamed)?;
    match rename_to_free(&unnamed, &database)? {
        Renamed::Done => sync_folder(&folder)?,
        _ => return Err(moved(&database)),
    }
    sync_folder(layout.folder())?;
    Ok(Restoration { database, replaced: None })
}
