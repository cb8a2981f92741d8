//! Checking a project: its database, everything around it, and who else has it open. Nothing is
//! changed.

mod content;
mod layout;
mod library;
mod place;
mod users;

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use self::content::Content;
use self::place::Place;
use super::args::{Arguments, DoctorArgs};
use super::exit::{Exit, Failed};
use super::locate;
use super::output::{Answer, Output};
use super::page::{Cell, Page, Tone};
use crate::ProjectLayout;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warning,
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that was looked at.
#[derive(Debug)]
struct Check {
    name: &'static str,
    level: Level,
    found: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), advice: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { name, level: Level::Warning, found: found.into(), advice }
    }

    fn error(name: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self { level: Level::Error, ..Self::warning(name, found, advice) }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "level": self.level.as_str(),
            "found": self.found,
            "advice": self.advice,
        })
    }
}

pub(super) fn run(_: &DoctorArgs, arguments: &Arguments) -> ExitCode {
    let output = Output::new(arguments.json);
    let exit = match look(arguments) {
        Ok((answer, level)) => match output.answer(&answer) {
            Exit::Success if level > Level::Ok => Exit::Failure,
            exit => exit,
        },
        Err(failed) => output.failure(&failed),
    };
    exit.into()
}

/// What there is to say, and how bad the worst of it is.
fn look(arguments: &Arguments) -> Result<(Answer, Level), Failed> {
    let found = locate::Place::find(arguments.dir.as_deref())?;
    let layout = ProjectLayout::existing(&found.folder)?;
    let path = layout.features_db();
    if path.symlink_metadata().is_err() {
        return Err(Failed::new("no_project", place::without_database(&layout)));
    }
    let mut checks = layout::checks(&layout);
    checks.extend(examine(&path, &Content::new(&layout, arguments.open_options())));
    let worst = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
    let data = json!({
        "database": path.display().to_string(),
        "healthy": worst == Level::Ok,
        "checks": checks.iter().map(Check::to_json).collect::<Vec<_>>(),
    });
    Ok((Answer::new(data, page(&path, &checks)), worst))
}

/// All checks, those that open files and look at other processes before the one that opens the
/// database: closing a file that this process has open through SQLite would drop its locks.
fn examine(path: &Path, content: &Content) -> Vec<Check> {
    let place = Place::look(path);
    let mut checks = place.checks();
    let users = users::of(path);
    checks.extend(users.checks(place.header.is_none_or(|header| header.log)));
    checks.push(library::our_own());
    checks.extend(content.checks(&place, &users));
    checks
}

fn page(path: &Path, checks: &[Check]) -> Page {
    let rows = checks.iter().map(|check| {
        let tone = match check.level {
            Level::Ok => Tone::Good,
            Level::Warning => Tone::Attention,
            Level::Error => Tone::Bad,
        };
        let found = match &check.advice {
            Some(advice) => format!("{} → {advice}", check.found),
            None => check.found.clone(),
        };
        vec![Cell::new(tone, check.level.as_str()), Cell::plain(check.name), Cell::plain(found)]
    });
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let sum = match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => Cell::new(Tone::Good, "healthy"),
        (0, warnings) => Cell::new(Tone::Attention, format_args!("{warnings} to look at")),
        (errors, 0) => Cell::new(Tone::Bad, format_args!("{errors} wrong")),
        (errors, warnings) => {
            Cell::new(Tone::Bad, format_args!("{errors} wrong, {warnings} to look at"))
        }
    };
    Page::default()
        .field("database", Cell::plain(path.display()))
        .gap()
        .table(&["", "check", "found"], rows.collect())
        .gap()
        .line([sum, Cell::faint("; nothing was changed")])
}
