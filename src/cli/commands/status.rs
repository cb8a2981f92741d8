//! `status`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::view::ids_text;
use crate::{
    BoardEntry, GetBoard, GetGraph, GetStats, Graph, LayoutError, ProjectFile, ProjectLayout, Stats,
};

/// How many signs the bar of progress is wide.
const BAR: u64 = 30;
const OLD_PLACE: &str = "the database lies in the place of an older release; `autoforge-store migrate` \
                         moves it to .autoforge/";

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {}

impl Task for StatusArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let place = session.place()?;
        let store = session.open()?;
        let stats = store.call(GetStats)?;
        let board = store.call(GetBoard)?;
        for warning in flaws(&store.call(GetGraph)?) {
            session.warn(warning);
        }
        for problem in two_places(&place.folder)? {
            session.warn(problem);
        }
        let old = is_old(store.path(), &place.folder)?;
        if old {
            session.hint(OLD_PLACE);
        }
        let ready = board.pending.iter().filter(|entry| entry.blocked_by.is_empty()).count();
        let open = [&board.pending, &board.in_progress, &board.needs_human_input];
        let blocked = open.into_iter().flatten().filter(|e| !e.blocked_by.is_empty()).count();
        let data = json!({
            "project": place.folder.display().to_string(),
            "database": store.path().display().to_string(),
            "found_by": place.found.as_str(),
            "old_layout": old,
            "passing": stats.passing,
            "in_progress": stats.in_progress,
            "needs_human_input": stats.needs_human_input,
            "ready": ready,
            "blocked": blocked,
            "total": stats.total,
            "percentage": stats.percentage(),
            "waiting_for_human": questions(&board.needs_human_input),
            "being_worked_on": board.in_progress.iter().map(|entry| {
                json!({"id": entry.feature.id.get(), "name": entry.feature.name})
            }).collect::<Value>(),
            "warnings": session.warnings(),
        });
        let page = bar(stats)
            .field("passing", Cell::new(Tone::Good, stats.passing))
            .field("in progress", Cell::new(Tone::Active, stats.in_progress))
            .field("ready", Cell::plain(ready))
            .field("blocked", Cell::new(Tone::Bad, blocked))
            .field("needs human input", Cell::new(Tone::Attention, stats.needs_human_input))
            .field("total", Cell::plain(stats.total))
            .field("percentage", Cell::plain(format_args!("{:.1}", stats.percentage())))
            .field("project", Cell::plain(place.folder.display()))
            .field("database", Cell::plain(store.path().display()))
            .field("found by", Cell::plain(place.found.as_str()))
            .section("waiting for you", &["ID", "Name", "Question"], rows(&board.needs_human_input))
            .section("being worked on", &["ID", "Name"], rows(&board.in_progress));
        Ok(Answer::new(data, page))
    }
}

/// Whether the database lies where older releases had it.
fn is_old(database: &Path, folder: &Path) -> Result<bool, Failed> {
    let current = ProjectLayout::existing(folder)?.current(ProjectFile::FeaturesDb);
    Ok(current.canonicalize().map_or(true, |current| current != database))
}

/// Databases that nobody looks at, since there is another one of the name.
fn two_places(folder: &Path) -> Result<Vec<String>, Failed> {
    let plan = ProjectLayout::existing(folder)?.plan_migration();
    let twice = |problem: &&LayoutError| matches!(problem, LayoutError::TwoPlaces { .. });
    Ok(plan.problems.iter().filter(twice).map(ToString::to_string).collect())
}

/// What keeps features from ever becoming ready.
fn flaws(graph: &Graph) -> Vec<String> {
    let circle = |ids: &Vec<_>| match ids.as_slice() {
        [id] => format!("feature {id} waits for itself and can never be ready"),
        ids => format!("features {} wait for each other and can never be ready", ids_text(ids)),
    };
    let lost = |(feature, missing): &(_, _)| {
        format!("feature {feature} waits for feature {missing}, which does not exist")
    };
    graph.cycles.iter().map(circle).chain(graph.dangling.iter().map(lost)).collect()
}

fn bar(stats: Stats) -> Page {
    let done = (stats.passing * BAR).checked_div(stats.total).unwrap_or(0);
    let signs = |sign: &str, number: u64| sign.repeat(usize::try_from(number).unwrap_or(0));
    let Stats { passing, total, .. } = stats;
    Page::default()
        .ornament([
            Cell::new(Tone::Good, signs("█", done)),
            Cell::faint(signs("░", BAR.saturating_sub(done))),
            Cell::strong(format_args!("  {:.1} %", stats.percentage())),
            Cell::faint(format_args!("  {passing} of {total} pass")),
        ])
        .gap()
}

fn prompt(entry: &BoardEntry) -> Option<&str> {
    entry.feature.human_input_request.as_ref()?.get("prompt")?.as_str()
}

fn questions(entries: &[BoardEntry]) -> Value {
    let one = |entry: &BoardEntry| {
        let feature = &entry.feature;
        json!({"id": feature.id.get(), "name": feature.name, "prompt": prompt(entry)})
    };
    entries.iter().map(one).collect()
}

/// A row for each feature; with its question, where it has one.
fn rows(entries: &[BoardEntry]) -> Vec<Vec<Cell>> {
    let row = |entry: &BoardEntry| {
        let mut row = vec![Cell::strong(entry.feature.id), Cell::plain(&entry.feature.name)];
        row.extend(
            entry.feature.needs_human_input.then(|| Cell::plain(prompt(entry).unwrap_or(""))),
        );
        row
    };
    entries.iter().map(row).collect()
}
