//! Copying a database while others work on it.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use super::args::{Arguments, BackupArgs};
use super::exit::Exit;
use super::report;
use crate::{BackupReport, OpenOptions, Store};

pub(super) fn run(backup: &BackupArgs, arguments: &Arguments) -> ExitCode {
    let fail = |code: &str, message: String| {
        report::failure(arguments.json, code, &message, report::exit(code))
    };
    let path = match report::project(arguments) {
        Ok(layout) => layout.features_db(),
        Err(error) => return fail(error.code(), error.to_string()),
    };
    if !path.exists() {
        return fail("no_project", format!("there is no database at {}", path.display()));
    }
    if backup.file.symlink_metadata().is_ok() {
        return fail("file_exists", format!("{} exists already", backup.file.display()));
    }
    let store: Store = match Store::open_file(&path, &OpenOptions::default()) {
        Ok(store) => store,
        Err(error) => return fail(error.code(), error.to_string()),
    };
    let copied = store.backup(&backup.file);
    store.close();
    match copied {
        Ok(copy) => match print(&copy, arguments.json) {
            Ok(()) => Exit::Success.into(),
            Err(_) => Exit::Failure.into(),
        },
        Err(fault) => fail(fault.code(), fault.to_string()),
    }
}

fn print(copy: &BackupReport, as_json: bool) -> io::Result<()> {
    if as_json {
        let path = copy.path.display().to_string();
        return report::data(&json!({"path": path, "bytes": copy.bytes, "checked": true}));
    }
    let (path, bytes) = (copy.path.display(), copy.bytes);
    writeln!(anstream::stdout().lock(), "{path}: {bytes} bytes, checked")
}
