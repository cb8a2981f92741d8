//! `import`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::input;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::IdentityArgs;
use crate::cli::view::count;
use crate::{Feature, ImportBacklog, ProjectLayout};

/// Options of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A list in JSON, such as `export` writes or an old `feature_list.json`; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl Task for ImportArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.identity.signer()?;
        let entries = Feature::parse_backlog(&input::read(&self.file)?).map_err(|problem| {
            let message = format!("{} cannot be imported: {problem}", self.file.display());
            Failed::new("invalid_input", message)
        })?;
        let own_list = self.is_list_of(session)?;
        let store = session.open_or_create()?;
        let number = match &store.opening().imported {
            // Opening imports the project's own list, so there is nothing left to do.
            Some(imported) if own_list => imported.features,
            _ => signer.call(&store, ImportBacklog { entries })?,
        };
        let database = store.path().display().to_string();
        let said = Cell::new(Tone::Good, "imported ");
        let page =
            Page::default().line([said, Cell::plain(format!("{} into {database}", count(number)))]);
        Ok(Answer::new(json!({"imported": number, "database": database}), page))
    }
}

impl ImportArgs {
    /// Whether the file is the list that opening the project imports by itself.
    fn is_list_of(&self, session: &Session<'_>) -> Result<bool, Failed> {
        let Ok(layout) = ProjectLayout::existing(&session.place()?.folder) else {
            return Ok(false);
        };
        let (list, file) =
            (fs::canonicalize(layout.legacy_backlog()), fs::canonicalize(&self.file));
        Ok(matches!((list, file), (Ok(list), Ok(file)) if list == file))
    }
}
