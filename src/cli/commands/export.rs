//! `export`.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
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
use crate::{Feature, FoldFeatures, ListFeatures};

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
        let Some(target) = target else {
            let list: Value = store.call(ListFeatures)?.iter().map(Feature::to_json).collect();
            let text = render::pretty_json(&list);
            return Ok(Answer::new(list, Page::default().verbatim(text)));
        };
        let mut number = 0;
        let shown = target.write_with(|file| {
            let list = List { to: BufWriter::new(file), features: 0 };
            let push = |mut list: List<_>, feature: Feature| match list.push(&feature) {
                Ok(()) => ControlFlow::Continue(list),
                Err(error) => ControlFlow::Break(error),
            };
            Ok(match store.call(FoldFeatures::new(list, push))? {
                ControlFlow::Continue(mut list) => {
                    number = list.features;
                    list.end()
                }
                ControlFlow::Break(error) => Err(error),
            })
        })?;
        let said = Cell::new(Tone::Good, "exported ");
        let page =
            Page::default().line([said, Cell::plain(format!("{} to {shown}", count(number)))]);
        Ok(Answer::new(json!({"exported": number, "file": shown}), page))
    }
}

/// A list that is written feature by feature, in the form of [`render::pretty_json`]: so a project of any
/// size takes no more memory than its longest feature.
struct List<W> {
    to: W,
    features: usize,
}

impl<W: Write> List<W> {
    fn push(&mut self, feature: &Feature) -> io::Result<()> {
        self.to.write_all(if self.features == 0 { b"[\n" } else { b",\n" })?;
        self.features += 1;
        let text = render::pretty_json(&feature.to_json());
        // Line breaks within texts are escaped, so each of these is one between keys.
        let text = text.trim_end().replace('\n', "\n  ");
        write!(self.to, "  {text}")
    }

    fn end(&mut self) -> io::Result<()> {
        self.to.write_all(if self.features == 0 { b"[]\n" } else { b"\n]\n" })?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::realistic_backlog;

    #[test]
    fn a_list_that_is_written_bit_by_bit_is_that_which_is_written_at_once() {
        for features in [0, 1, 3] {
            let features: Vec<Feature> = realistic_backlog(features, 1)
                .into_iter()
                .zip(1..)
                .map(|(planned, id)| planned.feature.at(id.into(), id, vec![9.into(), 10.into()]))
                .collect();
            let mut list = List { to: Vec::new(), features: 0 };
            for feature in &features {
                list.push(feature).unwrap();
            }
            list.end().unwrap();
            let whole: Value = features.iter().map(Feature::to_json).collect();
            assert_eq!(String::from_utf8(list.to).unwrap(), render::pretty_json(&whole));
        }
    }
}
