//! The `autoforge-store` program.

use std::process::ExitCode;

use autoforge_store::cli::{self, Invocation};
use autoforge_store::mcp;

fn main() -> ExitCode {
    match cli::parse() {
        Invocation::Serve(options) => {
            let claims = options.claims();
            let cli::ServeOptions { project_dir, agent, session, lease, .. } = options;
            mcp::run(&mcp::Options { project_dir, agent, session, lease, claims })
        }
        Invocation::Command(command) => cli::run(&command),
    }
}
