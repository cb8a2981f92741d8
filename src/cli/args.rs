//! The arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};

use super::backup::BackupArgs;
use super::commands::{
    AddArgs, AnswerArgs, BlockedArgs, ClaimArgs, CompletionsArgs, ConversationsArgs, DeleteArgs,
    DependsArgs, EditArgs, ExportArgs, FailArgs, GraphArgs, ImportArgs, InitArgs, ListArgs,
    McpConfigArgs, PassArgs, ProjectsArgs, ReadyArgs, ReleaseArgs, SettingsArgs, ShowArgs,
    SkipArgs, StatusArgs,
};
use super::exit::EXIT_CODES;
use crate::FeatureId;

/// Above the options that every command has.
const COMMON: &str = "Common options";

/// Storage that lets many AI coding agents work on one project at once.
#[derive(Debug, Parser)]
#[command(name = "autoforge-store", version, about, after_help = EXIT_CODES)]
pub struct Arguments {
    /// The project's folder. Default: `$PROJECT_DIR`, else the nearest folder upward that has a
    /// features.db, else the current folder.
    #[arg(long, short = 'C', global = true, help_heading = COMMON, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON in a versioned envelope.
    #[arg(long, global = true, help_heading = COMMON)]
    pub(crate) json: bool,
    /// How long to wait while another process locks the database.
    #[arg(long, global = true, help_heading = COMMON, value_name = "SECONDS", default_value = "30",
        value_parser = parse_seconds)]
    pub(crate) lock_wait: Duration,
    /// Open a database on a network file system, which this host alone must use.
    #[arg(long, global = true, help_heading = COMMON)]
    pub(crate) allow_unsafe_file_system: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the MCP server is started.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// The project's folder; `None` means `$PROJECT_DIR`, else the current folder.
    pub project_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a project's database.
    Init(InitArgs),
    /// Show how far the project is, and what waits for you.
    Status(StatusArgs),
    /// List features by the column in which a board has them.
    List(ListArgs),
    /// Show everything about a feature.
    Show(ShowArgs),
    /// List what can be worked on, the one to take first on top.
    Ready(ReadyArgs),
    /// List what waits for other features.
    Blocked(BlockedArgs),
    /// Claim a feature; without an ID the one to take first.
    Claim(ClaimArgs),
    /// Mark a feature as passing and end its claim.
    Pass(PassArgs),
    /// Mark a feature as failing and end its claim.
    Fail(FailArgs),
    /// Put a feature behind all others and end its claim.
    Skip(SkipArgs),
    /// Give a claim back.
    Release(ReleaseArgs),
    /// Add a feature, or several from JSON.
    Add(AddArgs),
    /// Change what a feature says.
    Edit(EditArgs),
    /// Delete a feature, and take it out of what others wait for.
    Delete(DeleteArgs),
    /// Show or change what a feature waits for.
    Depends(DependsArgs),
    /// Answer the question that a feature asks, or show it.
    Answer(AnswerArgs),
    /// Import a feature list into an empty project.
    Import(ImportArgs),
    /// Export all features as a list that `import` reads.
    Export(ExportArgs),
    /// Print the dependency graph.
    Graph(GraphArgs),
    /// Serve MCP over stdin and stdout, for agents.
    Mcp,
    /// Copy the database into a new file, beside running agents, and check the copy.
    Backup(BackupArgs),
    /// Look at the conversations with the project's assistant.
    Conversations(ConversationsArgs),
    /// Look at and change which projects there are on this machine.
    Projects(ProjectsArgs),
    /// Look at and change the settings of all projects on this machine.
    Settings(SettingsArgs),
    /// Print how to register the MCP server with a client.
    McpConfig(McpConfigArgs),
    /// Show the problem solved: many agents, one of them killed, one backlog, verified.
    Demo(DemoArgs),
    /// A worker of the demonstration.
    #[command(hide = true)]
    DemoWorker(DemoWorkerArgs),
    /// Check a project's database and everything around it.
    Doctor(DoctorArgs),
    /// Print a script that completes this program's arguments in a shell.
    Completions(CompletionsArgs),
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to make the project. Default: a new temporary folder, which is kept.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) project: Option<PathBuf>,
    /// How many features the backlog has.
    #[arg(long, value_name = "COUNT", default_value_t = 60,
        value_parser = value_parser!(u32).range(1..=2000))]
    pub(crate) features: u32,
    /// How many workers there are at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 5,
        value_parser = value_parser!(u32).range(1..=32))]
    pub(crate) workers: u32,
    /// Chance's beginning. Default: another one each time.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

/// Options of a demonstration's worker.
#[derive(Debug, Args)]
pub(crate) struct DemoWorkerArgs {
    /// The project's folder.
    #[arg(long)]
    pub(crate) project: PathBuf,
    /// Chance's beginning.
    #[arg(long)]
    pub(crate) seed: u64,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

/// A feature's number, with or without the `#` that texts put before it.
pub(crate) fn parse_id(text: &str) -> Result<FeatureId, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse::<i64>();
    number.map(FeatureId::from).map_err(|_| "the number of a feature is a whole number".to_owned())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
