//! `completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use super::Task;
use crate::cli::args::Arguments;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::Page;
use crate::cli::session::Session;

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl Task for CompletionsArgs {
    fn run(&self, _: &mut Session<'_>) -> Result<Answer, Failed> {
        let mut script = Vec::new();
        let mut command = Arguments::command();
        clap_complete::generate(self.shell, &mut command, "autoforge-store", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        let data = json!({"shell": self.shell.to_string(), "script": script});
        Ok(Answer::new(data, Page::default().verbatim(script)))
    }
}
