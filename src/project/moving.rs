//! The steps of a migration that need no SQLite: names, folders, and the mark of one under way.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::files::Place;
use super::{ProjectFile, ProjectLayout};
use crate::error::OpenError;

/// Stands in `.autoforge/` from before the first step of a migration until after the last.
const MARK: &str = ".layout-migration";
const MARK_TEXT: &str = "\
The files of this project are on their way here. Where no program is at it any more, the next start
of autoforge-store, or `autoforge-store migrate`, goes on with it.
";
const GITIGNORE_NAME: &str = ".gitignore";

impl ProjectLayout {
    /// Whether a migration was begun and has not ended.
    #[must_use]
    pub fn is_migrating(&self) -> bool {
        self.mark_path().symlink_metadata().is_ok()
    }

    fn mark_path(&self) -> PathBuf {
        self.in_place(Place::Current).join(MARK)
    }

    /// Notes that a migration begins.
    pub(crate) fn mark(&self) -> Result<(), OpenError> {
        let path = self.mark_path();
        #[expect(clippy::disallowed_methods, reason = "a text file, which is no database")]
        let written = fs::write(&path, MARK_TEXT);
        written.map_err(|error| OpenError::system("writing", &path, &error))?;
        sync_folder(&self.in_place(Place::Current))
    }

    /// Notes that it has ended.
    pub(crate) fn unmark(&self) -> Result<(), OpenError> {
        let path = self.mark_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(OpenError::system("removing", &path, &error))
            }
            _ => sync_folder(&self.in_place(Place::Current)),
        }
    }

    /// Where the copy of a database is made before it gets its name.
    pub(crate) fn unnamed_copy(&self, place: Place, file: ProjectFile) -> PathBuf {
        self.in_place(place).join(format!(".moving-{}", file.name()))
    }

    /// Where a file belongs, seen from the folder of an old place.
    pub(crate) fn current_seen_from(&self, old: &Path, file: ProjectFile) -> String {
        let current = format!("{}/{}", super::FOLDER, file.name());
        let in_root = old.parent() == Some(self.folder());
        if in_root { current } else { format!("../{current}") }
    }

    /// Removes `.autocoder/` if nothing is left in it but rules for version control about files
    /// that are gone. Gives it if it did.
    pub(crate) fn remove_old_folder(&self) -> Result<Option<PathBuf>, OpenError> {
        let folder = self.in_place(Place::OldFolder);
        if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            return Ok(None);
        }
        let fault = |error: Error| OpenError::system("removing", &folder, &error);
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let names: Vec<_> = entries.map_err(fault)?.iter().map(fs::DirEntry::file_name).collect();
        if names.iter().any(|name| name != GITIGNORE_NAME) {
            return Ok(None);
        }
        if !names.is_empty() {
            fs::remove_file(folder.join(GITIGNORE_NAME)).map_err(fault)?;
        }
        match fs::remove_dir(&folder) {
            // Somebody has put something there in this moment.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(None),
            Err(error) => Err(fault(error)),
            Ok(()) => Ok(Some(folder)),
        }
    }
}

/// How a renaming that replaces nothing went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renamed {
    Done,
    /// Something stands there already.
    Taken,
    /// The two places are on different disks.
    OtherDisk,
    /// There is nothing to rename any more.
    Gone,
}

/// Renames, and replaces nothing. Durable once the target's folder is synced.
pub(crate) fn rename_to_free(from: &Path, to: &Path) -> Result<Renamed, OpenError> {
    match rename_noreplace(from, to) {
        Ok(()) => Ok(Renamed::Done),
        Err(error) => match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => Ok(Renamed::Taken),
            ErrorKind::CrossesDevices => Ok(Renamed::OtherDisk),
            ErrorKind::NotFound if from.symlink_metadata().is_err() => Ok(Renamed::Gone),
            _ => Err(OpenError::system("renaming", from, &error)),
        },
    }
}

#[cfg(target_os = "linux")]
fn rename_noreplace(from: &Path, to: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems and old kernels do not know how.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => look_and_rename(from, to),
        renamed => renamed.map_err(Into::into),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_noreplace(from: &Path, to: &Path) -> std::io::Result<()> {
    look_and_rename(from, to)
}

fn look_and_rename(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    #[expect(clippy::disallowed_methods, reason = "a folder, which is no database")]
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| OpenError::system("syncing", folder, &error))
}

/// Gives what this process has made to the owner of what it was made from, where the two differ:
/// whoever administers a machine must not lock its users out.
pub(crate) fn give_to_owner_of(like: &Path, made: &Path) -> Result<(), OpenError> {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.uid(), file.gid()));
    let fault = |error: Error| OpenError::system("changing the owner of", made, &error);
    let (owner, group) = identity(like).map_err(fault)?;
    if rustix::process::geteuid().is_root() && identity(made).map_err(fault)?.0 != owner {
        std::os::unix::fs::chown(made, Some(owner), Some(group)).map_err(fault)?;
    }
    Ok(())
}
