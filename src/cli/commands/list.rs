//! `list`.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page};
use crate::cli::session::Session;
use crate::cli::view::{count, feature_json, ids_json, ids_text, insert, status_cell, status_of};
use crate::{Board, BoardEntry, GetBoard, Status};

const HEAD: &[&str] = &["ID", "Priority", "Status", "Category", "Name", "Waits for"];

/// Options of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only features that stand there; can be repeated.
    #[arg(long, value_enum, value_delimiter = ',')]
    status: Vec<Standing>,
    /// Only features of this category.
    #[arg(long)]
    category: Option<String>,
    /// Only features with this text in name, category or description, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

/// Where a feature stands, as people ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Standing {
    /// It passes.
    #[value(alias = "passing")]
    Done,
    /// It waits for an answer from a human.
    #[value(name = "needs_human_input", aliases = ["needs-human-input", "human"])]
    NeedsHumanInput,
    /// It waits for other features.
    Blocked,
    /// It is claimed.
    #[value(name = "in_progress", alias = "in-progress")]
    InProgress,
    /// It can be taken.
    #[value(alias = "ready")]
    Pending,
}

impl Standing {
    fn fits(self, entry: &BoardEntry) -> bool {
        let status = status_of(&entry.feature, &entry.blocked_by);
        match self {
            Self::Done => status == Status::Done,
            Self::NeedsHumanInput => status == Status::NeedsHumanInput,
            Self::Blocked => status == Status::Blocked,
            // A claim counts even where the feature should not have been claimed yet.
            Self::InProgress => entry.feature.in_progress && status != Status::Done,
            Self::Pending => status == Status::Pending,
        }
    }
}

impl Task for ListArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let board = session.open()?.call(GetBoard)?;
        let Board { pending, in_progress, done, needs_human_input } = board;
        let columns = [in_progress, needs_human_input, pending, done];
        let all: Vec<BoardEntry> = columns.into_iter().flatten().collect();
        let shown: Vec<&BoardEntry> = all.iter().filter(|entry| self.fits(entry)).collect();
        let data = json!({
            "features": shown.iter().map(|entry| json(entry)).collect::<Value>(),
            "shown": shown.len(),
            "total": all.len(),
        });
        let summary = match (shown.len(), all.len()) {
            (shown, total) if shown == total => count(total),
            (shown, total) => format!("{shown} of {}", count(total)),
        };
        let mut page = Page::default();
        if !shown.is_empty() {
            page = page.table(HEAD, shown.into_iter().map(row).collect());
        }
        Ok(Answer::new(data, page.ornament([Cell::faint(summary)])))
    }
}

impl ListArgs {
    fn fits(&self, entry: &BoardEntry) -> bool {
        let feature = &entry.feature;
        let lower = |text: &str| text.to_lowercase();
        let standing = self.status.is_empty() || self.status.iter().any(|s| s.fits(entry));
        let category =
            self.category.as_ref().is_none_or(|wanted| lower(wanted) == lower(&feature.category));
        let found = self.search.as_ref().is_none_or(|wanted| {
            let texts = [&feature.name, &feature.category, &feature.description];
            texts.into_iter().any(|text| lower(text).contains(&lower(wanted)))
        });
        standing && category && found
    }
}

fn json(entry: &BoardEntry) -> Value {
    let mut value = feature_json(&entry.feature, &entry.blocked_by);
    insert(&mut value, "blocks", ids_json(&entry.blocks));
    value
}

fn row(entry: &BoardEntry) -> Vec<Cell> {
    let feature = &entry.feature;
    vec![
        Cell::strong(feature.id),
        Cell::faint(feature.priority),
        status_cell(status_of(feature, &entry.blocked_by), feature.in_progress),
        Cell::plain(&feature.category),
        Cell::plain(&feature.name),
        Cell::plain(ids_text(&entry.blocked_by)),
    ]
}
