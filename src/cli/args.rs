//! The arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};

use super::backup::BackupArgs;
use super::commands::{
    AddArgs, AnswerArgs, BenchArgs, BlockedArgs, ClaimArgs, ClaimsArgs, CompletionsArgs,
    ConversationsArgs, DeleteArgs, DependsArgs, EditArgs, ExplainArgs, ExportArgs, FailArgs,
    GraphArgs, ImportArgs, InitArgs, ListArgs, LogArgs, McpConfigArgs, MigrateArgs, PassArgs,
    PolicyArgs, ProgressArgs, ProjectsArgs, ReadyArgs, RecoverArgs, ReleaseArgs, ResetArgs,
    RestoreArgs, RetryArgs, SchedulesArgs, SettingsArgs, ShowArgs, SkipArgs, StatusArgs, UndoArgs,
    WatchArgs,
};
use super::exit::EXIT_CODES;
use super::run::RunArgs;
use super::signature::parse_token;
use super::simulated::SimulatedArgs;
use super::soak::SoakArgs;
use super::time::parse_duration;
use crate::{EventId, FeatureId, FenceToken, OpenOptions};

/// Above the options that every command has.
const COMMON: &str = "Common options";

/// Renewals need some room.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

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

impl Arguments {
    /// How the user wants databases to be opened.
    pub(crate) fn open_options(&self) -> OpenOptions {
        OpenOptions {
            lock_wait: self.lock_wait,
            allow_unsafe_file_system: self.allow_unsafe_file_system,
        }
    }
}

/// How the MCP server is started.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeOptions {
    /// The project's folder; `None` means `$PROJECT_DIR`, else the current folder.
    #[arg(skip)]
    pub project_dir: Option<PathBuf>,
    /// What the agent is called in the history, and as the owner of claims. Default: the name that
    /// its client gives.
    #[arg(long, env = "AUTOFORGE_AGENT", value_name = "NAME", value_parser = parse_name)]
    pub agent: Option<String>,
    /// Which run of the agent this is, so that `log` and `undo` find its changes together. Default:
    /// one made of the time and the process number.
    #[arg(long, env = "AUTOFORGE_SESSION", value_name = "NAME", value_parser = parse_name)]
    pub session: Option<String>,
    /// Claim features for this agent alone, for so long unless the server renews it, which it does by
    /// itself: `90`, `90s`, `30m`, `2h`. The claims end with the server, also if it is killed.
    /// Without it, claims belong to nobody until somebody releases them.
    #[arg(long, env = "AUTOFORGE_LEASE", value_name = "DURATION", value_parser = parse_lease)]
    pub lease: Option<Duration>,
    /// A claim that was taken for this agent, and that somebody else keeps alive: FEATURE=TOKEN. May
    /// be given more than once, or as a list with commas.
    #[arg(long = "claim", env = "AUTOFORGE_CLAIMS", value_name = "FEATURE=TOKEN",
        value_delimiter = ',', value_parser = parse_claim)]
    lent: Vec<Lent>,
}

/// A claim, or nothing: a variable may be set and empty.
#[derive(Debug, Clone, Copy)]
struct Lent(Option<(FeatureId, FenceToken)>);

impl ServeOptions {
    /// The claims that were taken for the agent, and that somebody else keeps alive.
    #[must_use]
    pub fn claims(&self) -> Vec<(FeatureId, FenceToken)> {
        self.lent.iter().filter_map(|lent| lent.0).collect()
    }
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
    /// Tell why a feature is ready or not, and what would make it so.
    Explain(ExplainArgs),
    /// Claim a feature, without an ID the one to take first; or renew a claim.
    Claim(ClaimArgs),
    /// Mark a feature as passing and end its claim.
    Pass(PassArgs),
    /// Mark a feature as failing and end its claim.
    Fail(FailArgs),
    /// Put a feature behind all others and end its claim.
    Skip(SkipArgs),
    /// Give a claim back.
    Release(ReleaseArgs),
    /// List who holds what, and how attempts ended.
    Claims(ClaimsArgs),
    /// End the claims that are over: their leases have run out, or their processes died.
    Recover(RecoverArgs),
    /// Give a feature that has failed too often another chance.
    Retry(RetryArgs),
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
    /// List what happened, the latest first.
    Log(LogArgs),
    /// Print what happens, as it happens.
    Watch(WatchArgs),
    /// Take changes back.
    Undo(UndoArgs),
    /// Show or change how often features are tried, and how much is remembered.
    Policy(PolicyArgs),
    /// Import a feature list into an empty project.
    Import(ImportArgs),
    /// Export all features as a list that `import` reads.
    Export(ExportArgs),
    /// Tell how far the project is, and report it to a webhook; looking changes nothing.
    Progress(ProgressArgs),
    /// Show or change the hours in which agents may run by themselves.
    Schedules(SchedulesArgs),
    /// Print the dependency graph.
    Graph(GraphArgs),
    /// Serve MCP over stdin and stdout, for agents.
    Mcp(ServeOptions),
    /// Copy the database into a new file, beside running agents, and check the copy.
    Backup(BackupArgs),
    /// Look at the conversations with the project's assistant.
    Conversations(ConversationsArgs),
    /// Look at and change which projects there are on this machine.
    Projects(ProjectsArgs),
    /// Look at and change the settings of all projects on this machine.
    Settings(SettingsArgs),
    /// Move a project's files from the place of an older release to `.autoforge/`.
    Migrate(MigrateArgs),
    /// Start a project anew: remove its features, after keeping a copy.
    Reset(ResetArgs),
    /// Put a copy of the database in its place, after keeping what is there.
    Restore(RestoreArgs),
    /// Print how to register the MCP server with a client.
    McpConfig(McpConfigArgs),
    /// Drive the backlog with agents until every feature passes.
    Run(RunArgs),
    /// Show the problem solved: many agents, one of them killed, one backlog, verified.
    Demo(DemoArgs),
    /// Put this machine and its disk to the test: agents that are killed at random, for as long as
    /// you say, then everything verified.
    Soak(SoakArgs),
    /// Measure a disk: what it makes of commands that are durable when they are answered.
    Bench(BenchArgs),
    /// An agent that only pretends.
    #[command(hide = true)]
    SimulatedAgent(SimulatedArgs),
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
    /// How many agents build at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 5,
        value_parser = value_parser!(u32).range(1..=32))]
    pub(crate) workers: u32,
    /// Milliseconds that an agent works on a feature, at most.
    #[arg(long, value_name = "MS", default_value_t = 80,
        value_parser = value_parser!(u32).range(1..=600_000))]
    pub(crate) work: u32,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

/// A feature's number, with or without the `#` that texts put before it.
pub(crate) fn parse_id(text: &str) -> Result<FeatureId, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse::<i64>();
    number.map(FeatureId::from).map_err(|_| "the number of a feature is a whole number".to_owned())
}

/// The number of an event.
pub(crate) fn parse_event(text: &str) -> Result<EventId, String> {
    let number = text.parse::<i64>();
    number.map(EventId::from).map_err(|_| "the number of an event is a whole number".to_owned())
}

/// What an agent or a session is called.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("a name has to be visible".to_owned());
    }
    Ok(text.to_owned())
}

/// A lease that is renewed while it runs.
pub(crate) fn parse_lease(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    if length < SHORTEST_LEASE {
        return Err("a lease is at least 1s".to_owned());
    }
    Ok(length)
}

fn parse_claim(text: &str) -> Result<Lent, String> {
    if text.is_empty() {
        return Ok(Lent(None));
    }
    let numbers = text
        .split_once('=')
        .and_then(|(feature, token)| Some((parse_id(feature).ok()?, parse_token(token).ok()?)));
    let claim = numbers.ok_or_else(|| "a claim is FEATURE=TOKEN, two whole numbers".to_owned())?;
    Ok(Lent(Some(claim)))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
