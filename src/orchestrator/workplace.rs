//! Where agents work: their folder, the files that they are given, and their environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::command_line::Values;
use super::happening::{AgentId, Kind};
use super::process::{Mark, VARIABLE};
use super::prompt::prompt;
use crate::{FeatureId, FenceToken};

/// Logs of agents that are kept from earlier runs.
const LOGS_KEPT: usize = 200;
/// The name of the MCP server that agents' prompts know.
const SERVER: &str = "features";

/// The folders of a run.
#[derive(Debug)]
pub(super) struct Workplace {
    project: PathBuf,
    /// Where prompts, configurations and logs are.
    files: PathBuf,
    /// The MCP server's program.
    program: PathBuf,
}

/// What an agent is started with.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) values: Values,
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) log: PathBuf,
}

/// What an agent is to do, and for whom.
#[derive(Debug)]
pub(super) struct Task<'t> {
    pub(super) id: AgentId,
    pub(super) session: &'t str,
    pub(super) features: &'t [(FeatureId, String)],
    pub(super) claims: &'t [(FeatureId, FenceToken)],
    pub(super) lease: Duration,
    pub(super) mark: &'t Mark,
}

impl Workplace {
    /// Makes the folder for the agents' files, which nobody else reads and which stays out of
    /// version control.
    pub(super) fn prepare(project: &Path, files: PathBuf) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&files)?;
        let ignore = files.join(".gitignore");
        if !ignore.exists() {
            write(&ignore, "*\n")?;
        }
        forget_old(&files);
        Ok(Self { project: project.to_owned(), files, program: std::env::current_exe()? })
    }

    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    /// Writes what the agent is to read.
    pub(super) fn desk(&self, task: &Task<'_>) -> io::Result<Desk> {
        let environment = self.environment(task);
        let first = task.features.first().map(|(id, _)| format!("-feature-{id}"));
        let name = format!(
            "{}-{}{}",
            task.id,
            std::process::id(),
            first.filter(|_| task.id.kind != Kind::Initializing).unwrap_or_default()
        );
        let prompt = prompt(task.id.kind, task.features);
        let prompt_file = self.files.join(format!("{name}.md"));
        write(&prompt_file, &prompt)?;
        let mcp_config = self.files.join(format!("{name}.json"));
        let variables: serde_json::Map<String, serde_json::Value> =
            environment.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let server = json!({
            "type": "stdio",
            "command": self.program.display().to_string(),
            "args": ["mcp"],
            "env": variables,
        });
        write(&mcp_config, &json!({"mcpServers": {SERVER: server}}).to_string())?;
        // A JSON text is a basic string of TOML as well.
        let pairs = environment.iter().map(|(key, value)| format!("{key} = {}", json!(value)));
        let toml = format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "));
        let values = Values {
            features: task.features.iter().map(|(id, _)| id.get()).collect(),
            project: self.project.display().to_string(),
            prompt,
            prompt_file: prompt_file.display().to_string(),
            mcp_config: mcp_config.display().to_string(),
            mcp_program: self.program.display().to_string(),
            mcp_env_toml: toml,
            kind: task.id.kind.as_str(),
        };
        Ok(Desk { values, environment, log: self.files.join(format!("{name}.log")) })
    }

    /// What the agent's MCP server has to know. The agent inherits it, and so does what it starts.
    fn environment(&self, task: &Task<'_>) -> Vec<(&'static str, String)> {
        let claims = task.claims.iter().map(|(id, token)| format!("{id}={token}"));
        vec![
            ("PROJECT_DIR", self.project.display().to_string()),
            ("AUTOFORGE_AGENT", task.id.to_string()),
            ("AUTOFORGE_SESSION", task.session.to_owned()),
            ("AUTOFORGE_CLAIMS", claims.collect::<Vec<_>>().join(",")),
            ("AUTOFORGE_LEASE", format!("{}s", task.lease.as_secs_f64())),
            (VARIABLE, task.mark.as_str().to_owned()),
        ]
    }
}

#[expect(clippy::disallowed_methods, reason = "text files in a folder of agents' files")]
fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)
}

/// Removes what agents of long ago have left; the names of what is kept say nothing of their age.
fn forget_old(files: &Path) {
    let entries = fs::read_dir(files).into_iter().flatten().flatten();
    let mut by_age: Vec<_> = entries
        .filter(|entry| entry.file_name() != ".gitignore")
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    by_age.sort();
    // A log, its older half, a prompt and a configuration each.
    let old = by_age.len().saturating_sub(4 * LOGS_KEPT);
    for (_, path) in by_age.into_iter().take(old) {
        // What cannot be removed is looked at again the next time.
        let _ = fs::remove_file(path);
    }
}
