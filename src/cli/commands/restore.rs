//! `restore`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Task;
use super::migrate::seen_from;
use crate::cli::exit::Failed;
use crate::cli::form::yes_or_no;
use crate::cli::output::{Answer, Dialogue};
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::{GetStats, OpenOptions, Store, restore_features};

/// Options of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The copy, made by `backup`, `reset` or an earlier `restore`; it stays.
    file: PathBuf,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(long, short)]
    yes: bool,
    /// Restore although a lock file says that an agent or a dev server runs. A database that
    /// somebody has open is never replaced.
    #[arg(long)]
    force: bool,
}

impl Task for RestoreArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let dialogue = match session.output().dialogue() {
            _ if self.yes => None,
            None => {
                let message = "a restoration needs --yes where nobody can be asked";
                return Err(Failed::new("usage", message));
            }
            dialogue => dialogue,
        };
        if let Err(error) = self.file.metadata() {
            return Err(Failed::file("looking at", &self.file, &error));
        }
        let place = session.place()?;
        if let Some(mut dialogue) = dialogue {
            self.confirm(&mut dialogue, &session.options())?;
        }
        let options = session.layout_options(self.force);
        let restoration = restore_features(&place.folder, &self.file, &options)?;
        let replaced = restoration.replaced.as_ref();
        let data = json!({
            "database": restoration.database.display().to_string(),
            "restored_from": self.file.display().to_string(),
            "replaced_kept_as": replaced.map(|kept| kept.copy.display().to_string()),
            "replaced_was_sound": replaced.map(|kept| kept.sound),
        });
        let mut page = Page::default().line([
            Cell::new(Tone::Good, "restored "),
            Cell::plain(seen_from(&place.folder, &restoration.database)),
        ]);
        if let Some(kept) = replaced {
            page = page.line([
                Cell::faint("what was there is kept as "),
                Cell::plain(seen_from(&place.folder, &kept.copy)),
            ]);
        }
        Ok(Answer::new(data, page))
    }
}

impl RestoreArgs {
    fn confirm(&self, dialogue: &mut Dialogue, options: &OpenOptions) -> Result<(), Failed> {
        let examined = Store::examine(&self.file, options, &GetStats)?;
        let stats = examined.answer?;
        let question = format!(
            "Put {} ({} features, {} of them pass) in the place of what is there? [y/N]",
            self.file.display(),
            stats.total,
            stats.passing
        );
        match dialogue.ask(&Cell::strong(question))? {
            Some(line) if yes_or_no(&line) == Some(true) => Ok(()),
            _ => Err(Failed::new("not_confirmed", "nothing was changed")),
        }
    }
}
