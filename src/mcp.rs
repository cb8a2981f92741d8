//! The MCP server over stdin and stdout.

use std::path::PathBuf;
use std::process::ExitCode;

/// Serves the project in `project_dir`, or in $PROJECT_DIR, or in the current folder, until stdin
/// closes.
#[must_use]
pub fn run(_project_dir: Option<PathBuf>) -> ExitCode {
    ExitCode::FAILURE
}
