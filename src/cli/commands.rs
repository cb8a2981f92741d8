//! The commands, one file for each group: its arguments, and what it does.
//!
//! A new command is a file here, a variant of [`Command`] and a line in [`task`].

mod add;
mod answer;
mod bench;
mod claim;
mod claims;
mod completions;
mod conversations;
mod delete;
mod depends;
mod edit;
mod explain;
mod export;
mod graph;
mod import;
mod init;
mod list;
mod log;
mod mcp_config;
mod migrate;
mod policy;
mod progress;
mod projects;
mod ready;
mod recover;
mod reset;
mod restore;
mod retry;
mod schedules;
mod settings;
mod show;
mod status;
mod undo;
mod verdict;
pub(super) mod watch;

pub(crate) use add::AddArgs;
pub(crate) use answer::AnswerArgs;
pub(crate) use bench::BenchArgs;
pub(crate) use claim::ClaimArgs;
pub(crate) use claims::ClaimsArgs;
pub(crate) use completions::CompletionsArgs;
pub(crate) use conversations::ConversationsArgs;
pub(crate) use delete::DeleteArgs;
pub(crate) use depends::DependsArgs;
pub(crate) use edit::EditArgs;
pub(crate) use explain::ExplainArgs;
pub(crate) use export::ExportArgs;
pub(crate) use graph::GraphArgs;
pub(crate) use import::ImportArgs;
pub(crate) use init::InitArgs;
pub(crate) use list::ListArgs;
pub(crate) use log::LogArgs;
pub(crate) use mcp_config::McpConfigArgs;
pub(crate) use migrate::MigrateArgs;
pub(crate) use policy::PolicyArgs;
pub(crate) use progress::ProgressArgs;
pub(crate) use projects::ProjectsArgs;
pub(crate) use ready::{BlockedArgs, ReadyArgs};
pub(crate) use recover::RecoverArgs;
pub(crate) use reset::ResetArgs;
pub(crate) use restore::RestoreArgs;
pub(crate) use retry::RetryArgs;
pub(crate) use schedules::SchedulesArgs;
pub(crate) use settings::SettingsArgs;
pub(crate) use show::ShowArgs;
pub(crate) use status::StatusArgs;
pub(crate) use undo::UndoArgs;
pub(crate) use verdict::{FailArgs, PassArgs, ReleaseArgs, SkipArgs};
pub(crate) use watch::WatchArgs;

use super::args::Command;
use super::exit::Failed;
use super::output::Answer;
use super::session::Session;

/// A command that answers with data.
pub(super) trait Task {
    /// Does the work; prints nothing, unless it has to ask.
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed>;
}

/// The task of a command; `None` for those that print by themselves.
pub(super) fn task(command: &Command) -> Option<&dyn Task> {
    Some(match command {
        Command::Init(args) => args,
        Command::Status(args) => args,
        Command::List(args) => args,
        Command::Show(args) => args,
        Command::Ready(args) => args,
        Command::Blocked(args) => args,
        Command::Explain(args) => args,
        Command::Claim(args) => args,
        Command::Pass(args) => args,
        Command::Fail(args) => args,
        Command::Skip(args) => args,
        Command::Release(args) => args,
        Command::Claims(args) => args,
        Command::Recover(args) => args,
        Command::Retry(args) => args,
        Command::Add(args) => args,
        Command::Edit(args) => args,
        Command::Delete(args) => args,
        Command::Depends(args) => args,
        Command::Answer(args) => args,
        Command::Log(args) => args,
        Command::Undo(args) => args,
        Command::Policy(args) => args,
        Command::Import(args) => args,
        Command::Export(args) => args,
        Command::Graph(args) => args,
        Command::Progress(args) => args,
        Command::Schedules(args) => args,
        Command::Backup(args) => args,
        Command::Migrate(args) => args,
        Command::Reset(args) => args,
        Command::Restore(args) => args,
        Command::Conversations(args) => args,
        Command::Projects(args) => args,
        Command::Settings(args) => args,
        Command::McpConfig(args) => args,
        Command::Bench(args) => args,
        Command::Completions(args) => args,
        Command::Mcp(_)
        | Command::Demo(_)
        | Command::Run(_)
        | Command::SimulatedAgent(_)
        | Command::Soak(_)
        | Command::Doctor(_)
        | Command::Watch(_) => return None,
    })
}
