//! JSON envelopes and error messages of the commands that look after a database.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Arguments;
use super::exit::Exit;
use crate::{OpenError, ProjectLayout};

const SCHEMA_VERSION: u32 = 1;

/// Prints what was asked for as JSON.
pub(super) fn data(data: &Value) -> io::Result<()> {
    envelope(&json!({"schema_version": SCHEMA_VERSION, "data": data}))
}

/// Says why there is nothing to print.
pub(super) fn failure(as_json: bool, code: &str, message: &str, exit: ExitCode) -> ExitCode {
    let error = json!({"code": code, "message": message});
    // There is nobody left to tell where this fails.
    drop(if as_json {
        envelope(&json!({"schema_version": SCHEMA_VERSION, "error": error}))
    } else {
        writeln!(anstream::stderr(), "error: {message}")
    });
    exit
}

fn envelope(envelope: &Value) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{envelope}")
}

/// The exit of a failure, by its stable name.
pub(super) fn exit(code: &str) -> ExitCode {
    let exit = match code {
        "no_project" => Exit::NotFound,
        "file_exists" | "not_empty" => Exit::Conflict,
        "busy" => Exit::Busy,
        "corrupt" | "not_a_database" | "not_a_file" | "foreign_database" => Exit::Corrupt,
        _ => Exit::Failure,
    };
    exit.into()
}

/// The project that the command line, the environment or the current folder names.
pub(super) fn project(arguments: &Arguments) -> Result<ProjectLayout, OpenError> {
    let named = arguments.dir.clone().or_else(|| {
        std::env::var_os("PROJECT_DIR").filter(|value| !value.is_empty()).map(PathBuf::from)
    });
    if let Some(folder) = named {
        return ProjectLayout::existing(&folder);
    }
    let here = ProjectLayout::existing(Path::new("."))?;
    let around =
        here.folder().ancestors().filter_map(|folder| ProjectLayout::existing(folder).ok());
    let found = around.into_iter().find(|layout| layout.features_db().exists());
    Ok(found.unwrap_or(here))
}
