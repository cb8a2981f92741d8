//! `init`.

use clap::Args;
use serde_json::json;

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::locate::{Found, Place};
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;

/// Options of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {}

impl Task for InitArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let place = Place::for_new(session.named_folder())?;
        let store = session.open_folder(&place.folder)?;
        let opening = store.opening();
        if opening.created
            && place.found == Found::CurrentFolder
            && let Some(outer) = place.enclosing()
        {
            let outer = outer.display();
            session.warn(format!("this project lies within the project in {outer}"));
        }
        let imported = opening.imported.as_ref().map(|imported| {
            json!({
                "features": imported.features,
                "kept_as": imported.kept_as.as_ref().map(|path| path.display().to_string()),
            })
        });
        let database = store.path().display().to_string();
        let data = json!({
            "project": place.folder.display().to_string(),
            "database": database,
            "created": opening.created,
            "migrated": opening.migrated,
            "imported": imported,
        });
        let done = match (opening.created, opening.migrated) {
            (true, _) => Cell::new(Tone::Good, " is made"),
            (false, true) => Cell::new(Tone::Good, " is brought up to date"),
            (false, false) => Cell::faint(" is there already"),
        };
        Ok(Answer::new(data, Page::default().line([Cell::plain(database), done])))
    }
}
