//! `reset`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use super::migrate::{left_json, left_page, seen_from};
use crate::cli::exit::Failed;
use crate::cli::form::yes_or_no;
use crate::cli::output::{Answer, Dialogue};
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::{
    GetStats, KeptCopy, OpenOptions, ProjectFile, ProjectLayout, Reset, ResetPlan, ResetScope,
    Store, reset_project,
};

/// Options of `reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// Remove the conversations of the project's assistant too.
    #[arg(long)]
    all: bool,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(long, short)]
    yes: bool,
    /// Reset although a lock file says that an agent or a dev server runs, or although the database
    /// is damaged and so its copy will be. A database that somebody has open is never removed.
    #[arg(long)]
    force: bool,
}

impl Task for ResetArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let dialogue = match session.output().dialogue() {
            _ if self.yes => None,
            None => {
                let message = "a reset needs --yes where nobody can be asked";
                return Err(Failed::new("usage", message));
            }
            dialogue => dialogue,
        };
        let place = session.place()?;
        let layout = ProjectLayout::existing(&place.folder)?;
        let scope = if self.all { ResetScope::Everything } else { ResetScope::Features };
        let plan = layout.plan_reset(scope);
        if plan.files.is_empty() {
            // It says what else there is, or that there is nothing.
            place.existing()?;
        }
        let options = session.layout_options(self.force);
        if let Some(mut dialogue) = dialogue {
            let problem = plan.problems.first().filter(|problem| {
                !(self.force && matches!(problem, crate::LayoutError::Running { .. }))
            });
            if let Some(problem) = problem {
                return Err(problem.clone().into());
            }
            confirm(&mut dialogue, &layout, &plan, &session.options())?;
        }
        let reset = reset_project(layout.folder(), scope, &options)?;
        if let Some(list) = &reset.legacy_backlog {
            session.warn(format!("{} is there, and the next opening imports it", list.display()));
        }
        Ok(answer(layout.folder(), &reset))
    }
}

fn confirm(
    dialogue: &mut Dialogue,
    layout: &ProjectLayout,
    plan: &ResetPlan,
    options: &OpenOptions,
) -> Result<(), Failed> {
    let rows = plan.files.iter().map(|(file, path)| {
        let content = content(*file, path, options);
        vec![Cell::plain(seen_from(layout.folder(), path)), Cell::strong(content)]
    });
    let page = Page::default().table(&["File", "What is in it"], rows.collect()).line([
        Cell::faint("a checked copy is kept first, in "),
        Cell::plain(".autoforge/backups/"),
    ]);
    dialogue.show(&page)?;
    match dialogue.ask(&Cell::strong("Remove all this? [y/N]"))? {
        Some(line) if yes_or_no(&line) == Some(true) => Ok(()),
        _ => Err(Failed::new("not_confirmed", "nothing was removed")),
    }
}

/// What a user would miss.
fn content(file: ProjectFile, path: &Path, options: &OpenOptions) -> String {
    let bytes = path.metadata().map_or(0, |file| file.len());
    if file == ProjectFile::FeaturesDb
        && let Ok(examined) = Store::examine(path, options, &GetStats)
        && let Ok(stats) = examined.answer
    {
        return format!("{} features, {} of them pass", stats.total, stats.passing);
    }
    format!("{bytes} bytes")
}

fn answer(folder: &Path, reset: &Reset) -> Answer {
    let copies = reset.copies.iter().map(|copy| {
        json!({
            "original": copy.original.display().to_string(),
            "copy": copy.copy.display().to_string(),
            "bytes": copy.bytes,
            "sound": copy.sound,
        })
    });
    let data = json!({
        "removed": reset.removed.iter().map(|path| path.display().to_string()).collect::<Value>(),
        "backup": reset.backup.display().to_string(),
        "copies": copies.collect::<Value>(),
        "left": left_json(&reset.left),
    });
    let mut page = Page::default();
    for path in &reset.removed {
        page = page.line([Cell::new(Tone::Bad, "removed "), Cell::plain(seen_from(folder, path))]);
    }
    page = page
        .line([Cell::new(Tone::Good, "kept in "), Cell::plain(seen_from(folder, &reset.backup))]);
    for KeptCopy { copy, .. } in reset.copies.iter().filter(|copy| !copy.sound) {
        let path = seen_from(folder, copy);
        page = page.line([
            Cell::new(Tone::Attention, "damaged "),
            Cell::plain(format!("{path}: as the original was")),
        ]);
    }
    Answer::new(data, left_page(page, folder, &reset.left))
}
