//! `export`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::file::Target;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::render;
use crate::cli::session::Session;
use crate::cli::view::count;
use crate::{Feature, ListFeatures};

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
        let target = Target::of(self.file.as_deref(), store.path(), "json", self.force)?;
        let features = store.call(ListFeatures)?;
        let number = features.len();
        let list: Value = features.iter().map(Feature::to_json).collect();
        let Some(target) = target else {
            let text = render::pretty_json(&list);
            return Ok(Answer::new(list, Page::default().verbatim(text)));
        };
        let shown = target.write(render::pretty_json(&list).as_bytes())?;
        let said = Cell::new(Tone::Good, "exported ");
        let page =
            Page::default().line([said, Cell::plain(format!("{} to {shown}", count(number)))]);
        Ok(Answer::new(json!({"exported": number, "file": shown}), page))
    }
}
