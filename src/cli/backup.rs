//! Copying a database while others work on it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::commands::Task;
use super::exit::Failed;
use super::output::Answer;
use super::page::{Cell, Page, Tone};
use super::session::Session;

/// Options of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where to put the copy; must not exist.
    file: PathBuf,
}

impl Task for BackupArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        if self.file.symlink_metadata().is_ok() {
            let message = format!("{} exists already", self.file.display());
            let hint = "a backup never replaces anything; choose another name";
            return Err(Failed::new("file_exists", message).hint(hint));
        }
        let copy = session.open()?.backup(&self.file)?;
        let (path, bytes) = (copy.path.display().to_string(), copy.bytes);
        let data = json!({"file": path, "bytes": bytes, "checked": true});
        let said = Cell::new(Tone::Good, "copied and checked: ");
        Ok(Answer::new(
            data,
            Page::default().line([
                said,
                Cell::plain(path),
                Cell::faint(format_args!(" ({bytes} bytes)")),
            ]),
        ))
    }
}
