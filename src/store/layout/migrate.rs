//! Moving a project's files from an old place to `.autoforge/`.
//!
//! At every moment, and wherever it is cut short, one complete database is found by whoever looks
//! for it, and only that one takes writes. `DESIGN.md` has the steps in a table, with what is on
//! disk after each.

use std::path::{Path, PathBuf};

use super::{
    LayoutOptions, OwnEngine, damaged, discard, is_strangers, moved, refuse_running, release, take,
};
use crate::crash::crash_point;
use crate::engine::{Exclusive, OpenOptions, is_moved_to};
use crate::error::{LockHolder, OpenError};
use crate::project::{
    LayoutError, LeftFile, MigrationPlan, Place, PlannedMove, ProjectFile, ProjectLayout, Renamed,
    give_to_owner_of, rename_to_free, sync_folder,
};
use crate::sync::sleep;

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migration {
    /// What lies in `.autoforge/` by now.
    pub moved: Vec<PlannedMove>,
    /// What stays in an old place.
    pub left: Vec<LeftFile>,
    /// What was removed, since it was empty or what an earlier attempt had left behind.
    pub removed: Vec<PathBuf>,
    /// An earlier migration had been cut short, and this one has finished it.
    pub resumed: bool,
    /// Processes that opened a database in the very moment in which it was moved, as far as the
    /// system tells. They see what it held then, and cannot write: start them anew.
    pub stranded: Vec<LockHolder>,
}

/// Moves the files of a project from `.autocoder/` or from its folder to `.autoforge/`, where
/// AutoForge's programs look first. Where there is nothing to move, it does nothing.
///
/// Each database is copied and checked, then the copy gets its name and the original is removed. A
/// crash at any point leaves one complete database, which every program finds; the next opening of
/// the project, or the next migration, goes on. Handles of this process say
/// [`StorageError::Closed`](crate::StorageError::Closed) afterwards.
///
/// A program that noted the old path before and opens it only afterwards makes a new, empty database
/// there, which nobody else looks at. So end the programs of a project first.
///
/// # Errors
/// [`LayoutError`] says what is in the way; a database that was not moved holds what it held.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{LayoutOptions, Store, migrate_layout};
///
/// # std::fs::create_dir(dir.path().join(".autocoder")).unwrap();
/// let old = dir.path().join(".autocoder/features.db");
/// # drop(Store::<autoforge_store::Features>::open_file(&old, &Default::default()).unwrap());
/// let migration = migrate_layout(dir.path(), &LayoutOptions::default())?;
/// assert!(migration.moved[0].to.ends_with(".autoforge/features.db"));
/// assert!(!old.exists());
/// # Ok::<(), autoforge_store::LayoutError>(())
/// ```
pub fn migrate_layout(
    folder: impl AsRef<Path>,
    options: &LayoutOptions,
) -> Result<Migration, LayoutError> {
    migrate(&ProjectLayout::existing(folder.as_ref())?, OwnEngine::Dispose, options)
}

/// Goes on with a migration that was cut short. Gives what it did, or why it cannot be done now,
/// which keeps nobody from using the project.
pub(crate) fn finish_interrupted(
    layout: &ProjectLayout,
    options: &OpenOptions,
) -> (Option<Migration>, Option<String>) {
    if !layout.is_migrating() {
        return (None, None);
    }
    let default = LayoutOptions::default();
    let options = LayoutOptions {
        wait: default.wait.min(options.lock_wait),
        allow_unsafe_file_system: options.allow_unsafe_file_system,
        ..default
    };
    match migrate(layout, OwnEngine::Keep, &options) {
        Ok(migration) => (Some(migration), None),
        // Of several that go on with it, one does it.
        Err(_) if !layout.is_migrating() => (None, None),
        Err(error) => {
            let text = format!("a move of this project's files was cut short: {error}");
            tracing::warn!("{text}");
            (None, Some(text))
        }
    }
}

/// A database on its way, which this process alone has open.
struct Moving<'p> {
    planned: &'p PlannedMove,
    original: Exclusive,
}

fn migrate(
    layout: &ProjectLayout,
    own: OwnEngine,
    options: &LayoutOptions,
) -> Result<Migration, LayoutError> {
    refuse_running(layout, options)?;
    let plan = layout.plan_migration();
    let leftovers = leftovers(&plan, own, options)?;
    let mut moving = Vec::new();
    let mut left = plan.left.clone();
    for planned in plan.moves.iter().filter(|planned| planned.file.is_database()) {
        match take(planned.file, &planned.from, own, options) {
            Ok(original) => moving.push(Moving { planned, original }),
            // An application may have a file of that name. With the features it is another thing:
            // whoever opens the project would be refused.
            Err(error) if is_strangers(&error) && planned.file != ProjectFile::FeaturesDb => {
                left.push(LeftFile { path: planned.from.clone(), reason: error.to_string() });
            }
            Err(error) => {
                release(moving.into_iter().map(|moving| moving.original));
                release(leftovers.into_iter().map(|(_, original)| original));
                return Err(error);
            }
        }
    }
    crash_point("migrate.alone");
    let has_others = plan.moves.iter().any(|planned| !planned.file.is_database());
    let nothing = moving.is_empty() && leftovers.is_empty() && !has_others && !plan.interrupted;
    let mut migration = Migration { left, resumed: plan.interrupted, ..Migration::default() };
    if nothing {
        return Ok(migration);
    }
    begin(layout)?;
    if let Err(error) = copy_all(layout, &moving).and_then(|()| refuse_waiting(&moving)) {
        give_up(layout, moving, plan.interrupted);
        return Err(error);
    }
    let mut moving = moving.into_iter();
    while let Some(Moving { planned, original }) = moving.next() {
        match switch(layout, planned, original) {
            Ok(stranded) => migration.stranded.extend(stranded),
            Err(error) => {
                release(moving.map(|moving| moving.original));
                return Err(error);
            }
        }
        migration.moved.push(planned.clone());
    }
    for (path, original) in leftovers {
        migration.stranded.extend(original.remove()?);
        sync_parent(&path)?;
        migration.removed.push(path);
    }
    move_plain_files(&plan, &mut migration)?;
    end(layout, &mut migration)?;
    Ok(migration)
}

/// What forbids the migration, unless it is a database whose contents were moved already: that one
/// is removed instead.
fn leftovers(
    plan: &MigrationPlan,
    own: OwnEngine,
    options: &LayoutOptions,
) -> Result<Vec<(PathBuf, Exclusive)>, LayoutError> {
    let mut leftovers = Vec::new();
    for problem in &plan.problems {
        let found = match problem {
            LayoutError::Running { .. } => continue,
            LayoutError::TwoPlaces { file, used, other } => {
                left_behind(*file, used, other, own, options)
            }
            _ => Ok(None),
        };
        match found {
            Ok(Some(original)) => leftovers.push(original),
            found => {
                release(leftovers.into_iter().map(|(_, original)| original));
                return Err(match found {
                    Err(error @ LayoutError::InUse { .. }) => error,
                    _ => problem.clone(),
                });
            }
        }
    }
    Ok(leftovers)
}

/// The other file, if it is fenced because its contents were moved to the used one.
fn left_behind(
    file: ProjectFile,
    used: &Path,
    other: &Path,
    own: OwnEngine,
    options: &LayoutOptions,
) -> Result<Option<(PathBuf, Exclusive)>, LayoutError> {
    if !is_moved_to(other, used, &options.opening(), sleep)? {
        return Ok(None);
    }
    let original = take(file, other, own, options)?;
    Ok(Some((other.to_owned(), original)))
}

/// From here on, whoever opens the project knows that there may be something to finish.
fn begin(layout: &ProjectLayout) -> Result<(), LayoutError> {
    let folder = layout.prepare_folder()?;
    give_to_owner_of(layout.folder(), &folder)?;
    sync_folder(layout.folder())?;
    layout.mark()?;
    crash_point("migrate.marked");
    Ok(())
}

/// All copies are made and checked before any gets its name.
fn copy_all(layout: &ProjectLayout, moving: &[Moving<'_>]) -> Result<(), LayoutError> {
    for Moving { planned, original } in moving {
        let copy = layout.unnamed_copy(Place::Current, planned.file);
        discard(&copy)?;
        let (_, findings) = original.copy_to(&copy, true)?;
        if !findings.is_empty() {
            return Err(damaged(&planned.from, &findings));
        }
        give_to_owner_of(&planned.from, &copy)?;
    }
    Ok(())
}

/// Whoever has opened an original since it was taken would be left behind with it.
fn refuse_waiting(moving: &[Moving<'_>]) -> Result<(), LayoutError> {
    crash_point("migrate.copied");
    for Moving { planned, original } in moving {
        let by = original.waiting();
        if !by.is_empty() {
            return Err(LayoutError::InUse { path: planned.from.clone(), by });
        }
    }
    Ok(())
}

/// Nothing has been switched yet, so everything is put back.
fn give_up(layout: &ProjectLayout, moving: Vec<Moving<'_>>, interrupted: bool) {
    for Moving { planned, .. } in &moving {
        if let Err(error) = discard(&layout.unnamed_copy(Place::Current, planned.file)) {
            tracing::warn!(%error, "a copy stays, which the next migration makes again");
        }
    }
    release(moving.into_iter().map(|moving| moving.original));
    if !interrupted && let Err(error) = layout.unmark() {
        tracing::warn!(%error, "the next opening tries to go on with this migration");
    }
}

fn switch(
    layout: &ProjectLayout,
    planned: &PlannedMove,
    original: Exclusive,
) -> Result<Vec<LockHolder>, LayoutError> {
    let PlannedMove { file, from, to } = planned;
    let copy = layout.unnamed_copy(Place::Current, *file);
    let fenced = original.fence(&layout.current_seen_from(from, *file));
    crash_point("migrate.fenced");
    let renamed = fenced.map_err(Into::into).and_then(|()| Ok(rename_to_free(&copy, to)?));
    let error = match renamed {
        Ok(Renamed::Done) => {
            sync_parent(to)?;
            crash_point("migrate.switched");
            let stranded = original.remove()?;
            sync_parent(from)?;
            crash_point("migrate.removed");
            return Ok(stranded);
        }
        Ok(Renamed::Taken) => {
            LayoutError::TwoPlaces { file: *file, used: to.clone(), other: from.clone() }
        }
        Ok(Renamed::OtherDisk | Renamed::Gone) => moved(&copy),
        Err(error) => error,
    };
    release([original]);
    Err(error)
}

fn move_plain_files(plan: &MigrationPlan, migration: &mut Migration) -> Result<(), LayoutError> {
    for planned in plan.moves.iter().filter(|planned| !planned.file.is_database()) {
        let PlannedMove { from, to, .. } = planned;
        let reason = match rename_to_free(from, to)? {
            Renamed::Done => {
                sync_parent(to)?;
                crash_point("migrate.plain_file");
                migration.moved.push(planned.clone());
                continue;
            }
            Renamed::Gone => continue,
            Renamed::Taken => format!("{} is there by now", to.display()),
            Renamed::OtherDisk => "it lies on another disk, and is found where it is".to_owned(),
        };
        migration.left.push(LeftFile { path: from.clone(), reason });
    }
    Ok(())
}

fn end(layout: &ProjectLayout, migration: &mut Migration) -> Result<(), LayoutError> {
    for file in ProjectFile::ALL.into_iter().filter(|file| file.is_database()) {
        let copy = layout.unnamed_copy(Place::Current, file);
        if layout.current(file).exists() {
            discard(&copy)?;
        } else if copy.exists() {
            let reason = "a copy that was being made of a database that is gone".to_owned();
            migration.left.push(LeftFile { path: copy, reason });
        }
    }
    migration.removed.extend(layout.remove_old_folder()?);
    sync_folder(layout.folder())?;
    crash_point("migrate.cleared");
    layout.unmark()?;
    crash_point("migrate.unmarked");
    Ok(())
}

fn sync_parent(path: &Path) -> Result<(), OpenError> {
    sync_folder(path.parent().unwrap_or(path))
}
