//! `migrate`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::{
    LayoutError, LeftFile, Migration, MigrationPlan, PlannedMove, ProjectLayout, migrate_layout,
    open_elsewhere,
};

/// Options of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Show what would be moved and what is in the way; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Move although a lock file says that an agent or a dev server runs. A database that somebody
    /// has open is never moved.
    #[arg(long)]
    force: bool,
}

impl Task for MigrateArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let place = session.place()?;
        let layout = ProjectLayout::existing(&place.folder)?;
        let mut plan = layout.plan_migration();
        if plan.moves.is_empty() && !plan.interrupted {
            // A wrong folder is told from a project that has nothing to move.
            place.existing()?;
        }
        if self.dry_run {
            plan.problems.extend(in_use(&plan));
            return Ok(planned(layout.folder(), &plan));
        }
        let migration = migrate_layout(layout.folder(), &session.layout_options(self.force))?;
        Ok(done(layout.folder(), &migration))
    }
}

/// Who has a database open that would be moved.
fn in_use(plan: &MigrationPlan) -> Vec<LayoutError> {
    let databases = plan.moves.iter().filter(|planned| planned.file.is_database());
    let users = databases.map(|planned| (planned.from.clone(), open_elsewhere(&planned.from)));
    users
        .filter(|(_, by)| !by.is_empty())
        .map(|(path, by)| LayoutError::InUse { path, by })
        .collect()
}

fn planned(folder: &Path, plan: &MigrationPlan) -> Answer {
    let problems = plan
        .problems
        .iter()
        .map(|problem| json!({"code": problem.code(), "message": problem.to_string()}));
    let data = json!({
        "dry_run": true,
        "moves": moves_json(&plan.moves),
        "left": left_json(&plan.left),
        "interrupted": plan.interrupted,
        "problems": problems.collect::<Value>(),
    });
    let mut page = moves_page(Page::default(), folder, "would move", Tone::Active, &plan.moves);
    if plan.interrupted {
        page = page.line([Cell::plain("would finish a move that was cut short")]);
    }
    page = left_page(page, folder, &plan.left);
    for problem in &plan.problems {
        page = page.line([Cell::new(Tone::Bad, "in the way: "), Cell::plain(problem)]);
    }
    if plan.moves.is_empty() && plan.problems.is_empty() && !plan.interrupted {
        page = page.line([Cell::plain("nothing to move")]);
    }
    Answer::new(data, page)
}

fn done(folder: &Path, migration: &Migration) -> Answer {
    let Migration { moved, left, removed, resumed, stranded } = migration;
    let data = json!({
        "dry_run": false,
        "moved": moves_json(moved),
        "left": left_json(left),
        "removed": removed.iter().map(|path| path.display().to_string()).collect::<Value>(),
        "resumed": resumed,
        "stranded": stranded.iter().map(|process| process.pid).collect::<Value>(),
    });
    let mut page = Page::default();
    if *resumed {
        page = page.line([Cell::new(Tone::Good, "finished a move that was cut short")]);
    }
    page = moves_page(page, folder, "moved", Tone::Good, moved);
    for path in removed {
        page = page.line([Cell::faint("removed "), Cell::plain(seen_from(folder, path))]);
    }
    page = left_page(page, folder, left);
    for process in stranded {
        let advice = format!("{process} has the old file open; start it anew");
        page = page.line([Cell::new(Tone::Bad, "stranded "), Cell::plain(advice)]);
    }
    if moved.is_empty() && removed.is_empty() && !resumed {
        page = page.line([Cell::plain("nothing to move")]);
    }
    Answer::new(data, page)
}

fn moves_json(moves: &[PlannedMove]) -> Value {
    let one = |planned: &PlannedMove| {
        json!({
            "file": planned.file.name(),
            "from": planned.from.display().to_string(),
            "to": planned.to.display().to_string(),
        })
    };
    moves.iter().map(one).collect()
}

pub(super) fn left_json(left: &[LeftFile]) -> Value {
    let one =
        |left: &LeftFile| json!({"path": left.path.display().to_string(), "reason": left.reason});
    left.iter().map(one).collect()
}

fn moves_page(page: Page, folder: &Path, verb: &str, tone: Tone, moves: &[PlannedMove]) -> Page {
    moves.iter().fold(page, |page, planned| {
        page.line([
            Cell::new(tone, format_args!("{verb} ")),
            Cell::plain(seen_from(folder, &planned.from)),
            Cell::faint(" to "),
            Cell::plain(seen_from(folder, &planned.to)),
        ])
    })
}

pub(super) fn left_page(page: Page, folder: &Path, left: &[LeftFile]) -> Page {
    left.iter().fold(page, |page, left| {
        let path = seen_from(folder, &left.path);
        page.line([
            Cell::new(Tone::Attention, "left "),
            Cell::plain(format!("{path}: {}", left.reason)),
        ])
    })
}

/// A path below the project, without what every line would repeat.
pub(super) fn seen_from(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
