//! The MCP server over stdin and stdout: the project's features as tools for agents.
//!
//! One thread speaks the protocol; the store's own thread does the work. A call is a command handed
//! to the store and a future of its answer, so calls never wait for one another here: a read is
//! answered while a write waits for another process.
//!
//! The store is opened while the client still introduces itself. A project that cannot be opened
//! does not end the server: its tools say what is wrong, and each call tries again, since the
//! project may have been mended.
//!
//! What results look like is told in `present`, the arguments in `arguments`. All revisions of the
//! protocol from 2024-11-05 to 2026-07-28 are served.
//!
//! stdout belongs to the protocol. Logs go to stderr, as much as `RUST_LOG` says. The server ends
//! with its store closed when stdin closes, or at SIGTERM, SIGINT or SIGHUP.

mod agent;
mod arguments;
mod message_id;
mod news;
mod present;
mod project;
mod server;
mod signals;
mod tools;
mod transport;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rmcp::service::ServerInitializeError;
use rmcp::transport::{Transport, stdio_pipes};
use rmcp::{RoleServer, Service, ServiceExt};
#[cfg(feature = "testing")]
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use agent::Agent;
use project::Project;
use server::Server;
use signals::Signals;
use transport::Lines;

use crate::{FeatureId, FenceToken, start_log};

/// Where the project is, for clients that pass no argument.
const PROJECT_DIR: &str = "PROJECT_DIR";

/// stdin is a terminal: nobody there speaks MCP.
const USAGE: u8 = 2;

const HINT: &str = "\
autoforge-store mcp speaks MCP over stdin and stdout. It is started by an agent's client, and stdin
is a terminal here. To register it with your client, see:

    autoforge-store mcp-config
";

/// How the server is started. The default serves the current folder's project, and claims for nobody
/// in particular.
///
/// ```
/// use std::time::Duration;
/// use autoforge_store::mcp::Options;
/// let owning = Options {
///     agent: Some("coder-1".to_owned()),
///     lease: Some(Duration::from_secs(120)),
///     ..Options::default()
/// };
/// assert!(owning.claims.is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The project's folder; `None` means `$PROJECT_DIR`, else the current folder.
    pub project_dir: Option<PathBuf>,
    /// What the agent is called in the history and as an owner. `None` takes the name that the client
    /// introduces itself with.
    pub agent: Option<String>,
    /// Which of the agent's runs this is, so that its changes can be found and taken back together.
    /// `None` makes one of the time and the process number.
    pub session: Option<String>,
    /// Claims belong to the agent: they end when the server ends or dies, or when they have not been
    /// renewed for so long. The server renews them by itself. `None`: they belong to nobody, until
    /// somebody releases them.
    pub lease: Option<Duration>,
    /// Claims that somebody else has taken for the agent and keeps alive, such as an orchestrator. What
    /// the agent does to these features is done under them.
    pub claims: Vec<(FeatureId, FenceToken)>,
}

/// Serves a project until stdin closes. A folder that is missing is made.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    if io::stdin().is_terminal() {
        // There is nothing to be done where not even stderr takes it.
        let _ = io::stderr().write_all(HINT.as_bytes());
        return ExitCode::from(USAGE);
    }
    start_log(unasked());
    let folder = options
        .project_dir
        .clone()
        .or_else(|| std::env::var_os(PROJECT_DIR).map(PathBuf::from))
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| PathBuf::from("."));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            tracing::error!("starting failed: {fault}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(serve(folder, Agent::new(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault}");
            ExitCode::FAILURE
        }
    };
    // A read of stdin that never ends would keep an orderly end waiting.
    runtime.shutdown_background();
    code
}

/// What an operator wants to see without asking for it.
fn unasked() -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("rmcp", LevelFilter::ERROR)
        .with_target("autoforge_store::mcp", LevelFilter::INFO)
}

async fn serve(folder: PathBuf, agent: Agent) -> io::Result<()> {
    let signals = Signals::new()?;
    let (input, output) = stdio_pipes();
    attend(folder, agent, Lines::new(input, output), signals).await
}

/// Does what [`run`] does, over any two streams in the place of stdin and stdout; no signal ends it,
/// nothing is logged, and a line may have so many bytes. For tests and fuzz targets, which start many
/// servers in one process.
///
/// # Errors
/// What makes [`run`] fail: the introduction went wrong, or the service ended by a panic.
#[cfg(feature = "testing")]
pub async fn run_over<R, W>(
    options: &Options,
    max_line: usize,
    input: R,
    output: W,
) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let folder = options.project_dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let lines = Lines::limited_to(max_line, input, output);
    attend(folder, Agent::new(options), lines, Signals::none()?).await
}

/// Serves a project, and closes its store at the end.
async fn attend<R, W>(
    folder: PathBuf,
    agent: Agent,
    lines: Lines<R, W>,
    mut signals: Signals,
) -> io::Result<()>
where
    Lines<R, W>: Transport<RoleServer, Error = io::Error> + 'static,
{
    let project = Arc::new(Project::new(folder, agent));
    project.prepare().await;
    let server = Server::new(Arc::clone(&project));
    let outcome = converse(server, lines, &mut signals).await;
    tokio::select! {
        () = project.close() => {}
        // Whoever asks twice does not want to wait. Nothing acknowledged is lost.
        () = signals.next() => tracing::warn!("ended before the store was closed"),
    }
    outcome
}

/// Serves until the client closes stdin or a signal comes.
async fn converse<R, W>(server: Server, lines: Lines<R, W>, signals: &mut Signals) -> io::Result<()>
where
    Lines<R, W>: Transport<RoleServer, Error = io::Error> + 'static,
    Server: Service<RoleServer>,
{
    let session = tokio::select! {
        session = server.serve(lines) => session,
        () = signals.next() => return Ok(()),
    };
    let session = match session {
        Ok(session) => session,
        // The client left without a word.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(fault) => return Err(io::Error::other(fault.to_string())),
    };
    let stop = session.cancellation_token();
    let mut end = std::pin::pin!(session.waiting());
    let ended = tokio::select! {
        ended = &mut end => ended,
        () = signals.next() => {
            stop.cancel();
            end.await
        }
    };
    ended.map(drop).map_err(io::Error::other)
}
