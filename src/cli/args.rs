//! The arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, value_parser};

/// Storage that lets many AI coding agents work on one project at once.
#[derive(Debug, Parser)]
#[command(name = "autoforge-store", version, about)]
pub struct Arguments {
    /// The project's folder. Default: $PROJECT_DIR, else the nearest folder above that has a
    /// features.db.
    #[arg(long, short = 'C', global = true, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON in a versioned envelope.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the MCP server is started.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// The project's folder; `None` means $PROJECT_DIR, else the current folder.
    pub project_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP over stdin and stdout, for agents.
    Mcp,
    /// Copy the database into a new file, beside running agents, and check the copy.
    Backup(BackupArgs),
    /// Show the problem solved: many agents, one of them killed, one backlog, verified.
    Demo(DemoArgs),
    /// A worker of the demonstration.
    #[command(hide = true)]
    DemoWorker(DemoWorkerArgs),
    /// Check a project's database and everything around it.
    Doctor(DoctorArgs),
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where to put the copy; must not exist.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
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
