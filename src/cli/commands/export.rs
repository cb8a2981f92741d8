//! `export`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::render;
use crate::cli::session::Session;
use crate::cli::view::count;
use crate::{Feature, ListFeatures};

/// What the names of databases end with.
const DATABASE_NAMES: [&str; 3] = ["db", "sqlite", "sqlite3"];

/// Options of `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to write. Default, and `-`: stdout.
    file: Option<PathBuf>,
    /// Replace a file that exists.
    #[arg(long, requires = "file")]
    force: bool,
}

impl Task for ExportArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = session.open()?;
        let target = self.file.as_deref().filter(|file| file.as_os_str() != "-");
        let target = target.map(|file| self.target(file, store.path())).transpose()?;
        let features = store.call(ListFeatures)?;
        let number = features.len();
        let list: Value = features.iter().map(Feature::to_json).collect();
        let Some(target) = target else {
            let text = render::pretty_json(&list);
            return Ok(Answer::new(list, Page::default().verbatim(text)));
        };
        replace(&target, render::pretty_json(&list).as_bytes())
            .map_err(|error| Failed::file("writing", &target, &error))?;
        let shown = target.display().to_string();
        let said = Cell::new(Tone::Good, "exported ");
        let page =
            Page::default().line([said, Cell::plain(format!("{} to {shown}", count(number)))]);
        Ok(Answer::new(json!({"exported": number, "file": shown}), page))
    }
}

impl ExportArgs {
    /// Where to write, links resolved; never onto a database. Looks by path only, since opening a
    /// database to look into it would drop this process's locks on it.
    fn target(&self, file: &Path, database: &Path) -> Result<PathBuf, Failed> {
        let path = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let same = |other: fs::Metadata| {
            fs::metadata(database)
                .is_ok_and(|own| (own.dev(), own.ino()) == (other.dev(), other.ino()))
        };
        let found = fs::metadata(&path).ok();
        if named_like_a_database(&path) || found.clone().is_some_and(same) {
            let message = format!("{} is the name of a database, not of a list", path.display());
            return Err(Failed::new("usage", message).hint("give it a name that ends in .json"));
        }
        // /dev/stdout leads to wherever stdout goes, which may be a file that must not be replaced.
        let device = ["/dev", "/proc"].iter().any(|folder| file.starts_with(folder));
        match found {
            Some(found) if device || !found.is_file() => {
                let message = format!("{} is no regular file", path.display());
                Err(Failed::new("usage", message).hint("leave the name out to write to stdout"))
            }
            Some(_) if !self.force => {
                let message = format!("{} exists already", path.display());
                Err(Failed::new("file_exists", message).hint("--force replaces it"))
            }
            _ => Ok(path),
        }
    }
}

fn named_like_a_database(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| {
        let main = ["-wal", "-shm", "-journal"].iter().find_map(|side| ending.strip_suffix(side));
        DATABASE_NAMES.contains(&main.unwrap_or(&ending))
    })
}

/// Writes a file whole or not at all.
fn replace(target: &Path, content: &[u8]) -> io::Result<()> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut draft = std::ffi::OsString::from(".");
    draft.push(name);
    draft.push(format!(".{}-{:08x}.tmp", std::process::id(), fastrand::u32(..)));
    let draft = target.with_file_name(draft);
    let written = write_new(&draft, content).and_then(|()| {
        if let Ok(old) = fs::metadata(target) {
            fs::set_permissions(&draft, old.permissions())?;
        }
        fs::rename(&draft, target)
    });
    if written.is_err() {
        // The failure to write is what the user has to hear of.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a new file, which is nobody's database")]
    let mut file = fs::File::create_new(path)?;
    file.write_all(content)?;
    file.sync_all()
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
