//! The copies that are kept before anything is removed or replaced.

use std::fs;
use std::path::{Path, PathBuf};

use super::{LayoutOptions, damaged};
use crate::crash::crash_point;
use crate::engine::Exclusive;
use crate::error::OpenError;
use crate::project::{
    LayoutError, Place, ProjectFile, ProjectLayout, Renamed, give_to_owner_of, make_private_folder,
    rename_to_free, sync_folder,
};
use crate::types::Timestamp;

/// Where copies are kept, in `.autoforge/`.
const FOLDER: &str = "backups";
/// What the name of a folder ends with until all its copies are complete.
const PARTIAL: &str = ".partial";

/// A copy of a database that was removed or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCopy {
    /// Where the database was.
    pub original: PathBuf,
    /// Where its copy is.
    pub copy: PathBuf,
    /// The copy's size.
    pub bytes: u64,
    /// Whether SQLite's check found nothing wrong with it.
    pub sound: bool,
}

/// A database, the place it stands in, and its file, which this process alone has open.
pub(super) struct Held {
    pub(super) file: ProjectFile,
    pub(super) place: Place,
    pub(super) path: PathBuf,
    pub(super) original: Exclusive,
}

/// Copies all of them into a new folder, which gets its name when every copy is complete. Gives the
/// folder and what is in it.
pub(super) fn keep(
    layout: &ProjectLayout,
    held: &[Held],
    options: &LayoutOptions,
) -> Result<(PathBuf, Vec<KeptCopy>), LayoutError> {
    let folder = layout.prepare_folder()?.join(FOLDER);
    make_folder(layout, &folder)?;
    if !held.is_empty() {
        discard_partial(&folder)?;
    }
    let named = free_name(&folder);
    let partial = with_suffix(&named, PARTIAL);
    make_folder(layout, &partial)?;
    match copy_into(layout, &partial, held, options) {
        Ok(mut copies) => {
            sync_folder(&partial)?;
            crash_point("keep.copied");
            if rename_to_free(&partial, &named)? != Renamed::Done {
                return Err(super::moved(&partial));
            }
            sync_folder(&folder)?;
            sync_folder(layout.folder())?;
            crash_point("keep.named");
            for copy in &mut copies {
                if let Ok(within) = copy.copy.strip_prefix(&partial) {
                    copy.copy = named.join(within);
                }
            }
            Ok((named, copies))
        }
        Err(error) => {
            if let Err(fault) = fs::remove_dir_all(&partial) {
                tracing::warn!(%fault, path = %partial.display(), "what is left of a copy stays");
            }
            Err(error)
        }
    }
}

/// Where a file of this place is kept in a folder of copies.
pub(super) fn kept_as(folder: &Path, place: Place, file: ProjectFile) -> PathBuf {
    folder.join(place.label()).join(file.name())
}

fn copy_into(
    layout: &ProjectLayout,
    folder: &Path,
    held: &[Held],
    options: &LayoutOptions,
) -> Result<Vec<KeptCopy>, LayoutError> {
    let mut copies = Vec::new();
    for Held { file, place, path, original } in held {
        let copy = kept_as(folder, *place, *file);
        if let Some(inner) = copy.parent().filter(|inner| *inner != folder) {
            make_folder(layout, inner)?;
        }
        let (report, findings) = original.copy_to(&copy, false)?;
        if !findings.is_empty() && !options.force {
            return Err(damaged(path, &findings));
        }
        give_to_owner_of(path, &copy)?;
        copies.push(KeptCopy {
            original: path.clone(),
            copy,
            bytes: report.bytes,
            sound: findings.is_empty(),
        });
    }
    Ok(copies)
}

fn make_folder(layout: &ProjectLayout, folder: &Path) -> Result<(), OpenError> {
    make_private_folder(folder)?;
    give_to_owner_of(layout.folder(), folder)
}

/// Removes what those left who were killed while they copied. Whoever holds the databases is alone at
/// it.
fn discard_partial(folder: &Path) -> Result<(), OpenError> {
    let fault = |error: std::io::Error| OpenError::system("clearing", folder, &error);
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.as_os_str().to_string_lossy().ends_with(PARTIAL) {
            fs::remove_dir_all(&path).map_err(fault)?;
        }
    }
    Ok(())
}

/// A name with the time in it that nobody has yet.
fn free_name(folder: &Path) -> PathBuf {
    let stamp = Timestamp::now().to_file_stamp();
    let names = std::iter::once(stamp.clone()).chain((1..).map(|n| format!("{stamp}.{n}")));
    let mut free = names
        .map(|name| folder.join(name))
        .filter(|path| !path.exists() && !with_suffix(path, PARTIAL).exists());
    free.next().unwrap_or_else(|| folder.join(stamp))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
