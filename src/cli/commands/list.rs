//! `list`.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::holders::Holders;
use crate::cli::output::{Answer, OneByOne};
use crate::cli::page::{Cell, Page};
use crate::cli::session::Session;
use crate::cli::view::{count, feature_json, ids_json, ids_text, insert, status_cell, status_of};
use crate::{Board, BoardEntry, GetBoard, Status};

const HEAD: &[&str] =
    &["ID", "Priority", "Status", "Category", "Name", "Waits for", "Held by", "Failures"];

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
    /// It has failed too often; see `retry`.
    #[value(alias = "out-of-attempts")]
    Exhausted,
}

impl Standing {
    fn fits(self, entry: &BoardEntry, holders: &Holders) -> bool {
        let (feature, status) = (&entry.feature, status(entry, holders));
        match self {
            Self::Done => status == Status::Done,
            Self::NeedsHumanInput => status == Status::NeedsHumanInput,
            Self::Blocked => status == Status::Blocked,
            // A claim counts even where the feature should not have been claimed yet.
            Self::InProgress => holders.is_worked_on(feature) && status != Status::Done,
            Self::Pending => status == Status::Pending && !holders.is_exhausted(feature),
            Self::Exhausted => holders.is_exhausted(feature),
        }
    }
}

/// What programs get.
#[derive(Serialize)]
struct Listed<F: Serialize> {
    features: F,
    shown: usize,
    total: usize,
}

fn status(entry: &BoardEntry, holders: &Holders) -> Status {
    let feature = &entry.feature;
    status_of(feature, &entry.blocked_by, holders.is_worked_on(feature))
}

impl Task for ListArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = session.open()?;
        let board = store.call(GetBoard)?;
        let holders = Holders::read(&store)?;
        let all = in_order(board, &holders);
        let shown: Vec<&BoardEntry> =
            all.iter().filter(|entry| self.fits(entry, &holders)).collect();
        let data = || Listed {
            features: OneByOne(shown.iter().map(|entry| json(entry, &holders))),
            shown: shown.len(),
            total: all.len(),
        };
        let page = || {
            let summary = match (shown.len(), all.len()) {
                (shown, total) if shown == total => count(total),
                (shown, total) => format!("{shown} of {}", count(total)),
            };
            let mut page = Page::default();
            if !shown.is_empty() {
                page = page.table(HEAD, shown.iter().map(|entry| row(entry, &holders)).collect());
            }
            page.ornament([Cell::faint(summary)])
        };
        Answer::for_output(session.output(), data, page)
    }
}

/// What is worked on first, what is done last; each by priority.
fn in_order(board: Board, holders: &Holders) -> Vec<BoardEntry> {
    let Board { mut pending, in_progress, done, needs_human_input } = board;
    let is_worked_on = |entry: &BoardEntry| holders.is_worked_on(&entry.feature);
    let (in_progress, over): (Vec<_>, Vec<_>) = in_progress.into_iter().partition(is_worked_on);
    pending.extend(over);
    pending.sort_by_key(|entry| (entry.feature.priority, entry.feature.id));
    [in_progress, needs_human_input, pending, done].into_iter().flatten().collect()
}

impl ListArgs {
    fn fits(&self, entry: &BoardEntry, holders: &Holders) -> bool {
        let feature = &entry.feature;
        let lower = |text: &str| text.to_lowercase();
        let standing = self.status.is_empty() || self.status.iter().any(|s| s.fits(entry, holders));
        let category =
            self.category.as_ref().is_none_or(|wanted| lower(wanted) == lower(&feature.category));
        let found = self.search.as_ref().is_none_or(|wanted| {
            let texts = [&feature.name, &feature.category, &feature.description];
            texts.into_iter().any(|text| lower(text).contains(&lower(wanted)))
        });
        standing && category && found
    }
}

fn json(entry: &BoardEntry, holders: &Holders) -> Value {
    let feature = &entry.feature;
    let mut value = feature_json(feature, &entry.blocked_by, holders.is_worked_on(feature));
    insert(&mut value, "blocks", ids_json(&entry.blocks));
    holders.add_to(&mut value, feature);
    value
}

fn row(entry: &BoardEntry, holders: &Holders) -> Vec<Cell> {
    let feature = &entry.feature;
    vec![
        Cell::strong(feature.id),
        Cell::faint(feature.priority),
        status_cell(status(entry, holders), holders.is_worked_on(feature)),
        Cell::plain(&feature.category),
        Cell::plain(&feature.name),
        Cell::plain(ids_text(&entry.blocked_by)),
        holders.holder_cell(feature),
        if holders.has_failed(feature) { holders.failures_cell(feature) } else { Cell::default() },
    ]
}
