//! Writing what the user asked for into a file, whole or not at all, and never onto a database.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::exit::Failed;

/// What the names of databases end with.
const DATABASE_NAMES: [&str; 3] = ["db", "sqlite", "sqlite3"];

/// A file that may be written.
#[derive(Debug)]
pub(crate) struct Target(PathBuf);

impl Target {
    /// Where to write, links resolved; `None` for stdout, which is `-` or no name at all. A file that
    /// exists is replaced only by `force`. Looks by path only, since opening a database to look into
    /// it would drop this process's locks on it.
    pub(crate) fn of(
        file: Option<&Path>,
        database: &Path,
        ending: &str,
        force: bool,
    ) -> Result<Option<Self>, Failed> {
        let Some(file) = file.filter(|file| file.as_os_str() != "-") else { return Ok(None) };
        let path = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let same = |other: fs::Metadata| {
            fs::metadata(database)
                .is_ok_and(|own| (own.dev(), own.ino()) == (other.dev(), other.ino()))
        };
        let found = fs::metadata(&path).ok();
        if named_like_a_database(&path) || found.clone().is_some_and(same) {
            let message = format!("{} is the name of a database, not of a list", path.display());
            let hint = format!("give it a name that ends in .{ending}");
            return Err(Failed::new("usage", message).hint(hint));
        }
        // /dev/stdout leads to wherever stdout goes, which may be a file that must not be replaced.
        let device = ["/dev", "/proc"].iter().any(|folder| file.starts_with(folder));
        match found {
            Some(found) if device || !found.is_file() => {
                let message = format!("{} is no regular file", path.display());
                Err(Failed::new("usage", message).hint("leave the name out to write to stdout"))
            }
            Some(_) if !force => {
                let message = format!("{} exists already", path.display());
                Err(Failed::new("file_exists", message).hint("--force replaces it"))
            }
            _ => Ok(Some(Self(path))),
        }
    }

    /// Writes the file; gives its name for people.
    pub(crate) fn write(&self, content: &[u8]) -> Result<String, Failed> {
        self.write_with(|mut file| Ok(file.write_all(content)))
    }

    /// The same piece by piece. Whoever writes is given a file of its own, which becomes the target when
    /// all of it is written.
    pub(crate) fn write_with(
        &self,
        write: impl FnOnce(fs::File) -> Result<io::Result<()>, Failed>,
    ) -> Result<String, Failed> {
        let Self(path) = self;
        let failed = |error: io::Error| Failed::file("writing", path, &error);
        let draft = Draft::beside(path).map_err(failed)?;
        write(draft.file.try_clone().map_err(failed)?)?.map_err(failed)?;
        draft.replace(path).map_err(failed)?;
        Ok(path.display().to_string())
    }
}

fn named_like_a_database(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| {
        let main = ["-wal", "-shm", "-journal"].iter().find_map(|side| ending.strip_suffix(side));
        DATABASE_NAMES.contains(&main.unwrap_or(&ending))
    })
}

/// A file that is not whole yet, and goes away unless it becomes so.
#[derive(Debug)]
struct Draft {
    file: fs::File,
    path: PathBuf,
}

impl Draft {
    fn beside(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut draft = std::ffi::OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}-{:08x}.tmp", std::process::id(), fastrand::u32(..)));
        let path = target.with_file_name(draft);
        #[expect(clippy::disallowed_methods, reason = "a new file, which is nobody's database")]
        let file = fs::File::create_new(&path)?;
        Ok(Self { file, path })
    }

    fn replace(&self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if let Ok(old) = fs::metadata(target) {
            fs::set_permissions(&self.path, old.permissions())?;
        }
        fs::rename(&self.path, target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Where it has become the target, there is nothing under this name. Where it has not, why that
        // is so is what the user has to hear of.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_and_of_their_side_files_are_known() {
        for name in ["features.db", "a/b.DB", "x.db-wal", "x.sqlite3-journal", "y.sqlite"] {
            assert!(named_like_a_database(Path::new(name)), "{name}");
        }
        for name in ["features.json", "db", ".db", "x.db.json", "-wal"] {
            assert!(!named_like_a_database(Path::new(name)), "{name}");
        }
    }
}
