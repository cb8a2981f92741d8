//! JSON envelopes and error messages of the commands that look after a database.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

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
