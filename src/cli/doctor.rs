//! Checking a project: its database, everything around it, and who else has it open. Nothing is
//! changed.

mod content;
mod library;
mod place;
mod users;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use owo_colors::OwoColorize;
use serde_json::{Value, json};

use self::content::Content;
use self::place::Place;
use super::args::{Arguments, DoctorArgs};
use super::exit::Exit;
use super::report;

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
    let layout = match report::project(arguments) {
        Ok(layout) => layout,
        Err(error) => {
            let (code, exit) = (error.code(), report::exit(error.code()));
            return report::failure(arguments.json, code, &error.to_string(), exit);
        }
    };
    let path = layout.features_db();
    if path.symlink_metadata().is_err() {
        let found = place::without_database(&layout);
        return report::failure(arguments.json, "no_project", &found, Exit::NotFound.into());
    }
    let checks = examine(&path, &Content::new(&layout));
    let worst = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
    let printed = if arguments.json {
        report::data(&json!({
            "database": path.display().to_string(),
            "healthy": worst == Level::Ok,
            "checks": checks.iter().map(Check::to_json).collect::<Vec<_>>(),
        }))
    } else {
        print(&path, &checks)
    };
    match printed {
        Ok(()) if worst == Level::Ok => Exit::Success.into(),
        _ => Exit::Failure.into(),
    }
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

fn print(path: &Path, checks: &[Check]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}\n", path.display())?;
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    for check in checks {
        let level = format!("{:7}", check.level.as_str());
        let level = match check.level {
            Level::Ok => level.green().to_string(),
            Level::Warning => level.yellow().to_string(),
            Level::Error => level.red().bold().to_string(),
        };
        writeln!(out, "  {level}  {:width$}  {}", check.name, check.found)?;
        if let Some(advice) = &check.advice {
            writeln!(out, "  {:7}  {:width$}  → {advice}", "", "")?;
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => writeln!(out, "\nHealthy. Nothing was changed."),
        (errors, warnings) => writeln!(
            out,
            "\n{errors} error{}, {warnings} warning{}. Nothing was changed.",
            if errors == 1 { "" } else { "s" },
            if warnings == 1 { "" } else { "s" },
        ),
    }
}
