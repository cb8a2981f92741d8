//! The `autoforge-store` program.

use std::process::ExitCode;

use autoforge_store::cli::{self, Invocation};
use autoforge_store::mcp;

fn main() -> ExitCode {
    match cli::parse() {
        Invocation::Serve(options) => mcp::run(options.project_dir),
        Invocation::Command(command) => cli::run(&command),
    }
}
