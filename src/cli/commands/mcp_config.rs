//! `mcp-config`.

use std::env;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Task;
use crate::cli::args::{parse_lease, parse_name};
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::Page;
use crate::cli::render;
use crate::cli::session::Session;

/// The server's name, which prompts and lists of allowed tools of `AutoForge` contain.
const SERVER: &str = "features";

/// Options of `mcp-config`.
#[derive(Debug, Args)]
pub(crate) struct McpConfigArgs {
    /// The client.
    #[arg(long, value_enum, default_value_t = Client::Json)]
    client: Client,
    /// What the agent is called in the history, and as the owner of claims.
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    agent: Option<String>,
    /// Have the server claim features for its agent alone, for so long unless it renews the claims,
    /// which it does by itself: `90s`, `30m`, `2h`.
    #[arg(long, value_name = "DURATION", value_parser = parse_lease)]
    lease: Option<Duration>,
}

impl McpConfigArgs {
    /// What follows the program's name.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["mcp".to_owned()];
        if let Some(agent) = &self.agent {
            arguments.extend(["--agent".to_owned(), agent.clone()]);
        }
        if let Some(lease) = self.lease {
            arguments.extend(["--lease".to_owned(), format!("{}s", lease.as_secs_f64())]);
        }
        arguments
    }
}

/// A program that can use the MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    /// A command that registers the server with Claude Code.
    ClaudeCode,
    /// A part of Codex's config.toml.
    Codex,
    /// Cursor's mcp.json.
    Cursor,
    /// A file that makes AutoForge use this server instead of its own.
    Autoforge,
    /// The JSON that most clients read, such as .mcp.json.
    Json,
}

impl Task for McpConfigArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let program = env::current_exe()
            .map_err(|error| Failed::new("system", format!("looking for this program: {error}")))?;
        let program = written(&program)?;
        let place = session.place()?;
        let folder = written(&place.folder)?;
        if place.existing().is_err() {
            session.hint(format!("{folder} has no database yet; the server makes it"));
        }
        let arguments = self.arguments();
        let text = self.client.configuration(program, &arguments, folder);
        session.hint(self.client.instruction());
        let data = json!({
            "client": self.client.to_possible_value().map(|value| value.get_name().to_owned()),
            "command": program,
            "args": arguments,
            "env": {"PROJECT_DIR": folder},
            "configuration": text,
            "instruction": self.client.instruction(),
        });
        Ok(Answer::new(data, Page::default().verbatim(text)))
    }
}

impl Client {
    fn instruction(self) -> &'static str {
        match self {
            Self::ClaudeCode => "run this in the project's folder",
            Self::Codex => "add this to ~/.codex/config.toml",
            Self::Cursor => "write this into .cursor/mcp.json in the project's folder",
            Self::Autoforge => {
                "put this in place of mcp_server/feature_mcp.py in AutoForge's folder; \
                 AutoForge itself names the project"
            }
            Self::Json => "write this into .mcp.json, or where your client keeps its servers",
        }
    }

    fn configuration(self, program: &str, arguments: &[String], folder: &str) -> String {
        match self {
            // Another option follows --env, which would else take the server's name for a value.
            Self::ClaudeCode => format!(
                "claude mcp add --env {} --scope project {SERVER} -- {} {}\n",
                shell_word(&format!("PROJECT_DIR={folder}")),
                shell_word(program),
                arguments.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" "),
            ),
            Self::Codex => format!(
                "[mcp_servers.{SERVER}]\ncommand = {}\nargs = {}\n\
                 env = {{ PROJECT_DIR = {} }}\nstartup_timeout_sec = 10\ntool_timeout_sec = 120\n",
                quoted(program),
                json!(arguments),
                quoted(folder),
            ),
            Self::Cursor | Self::Json => render::pretty_json(&json!({
                "mcpServers": {
                    SERVER: {
                        "type": "stdio",
                        "command": program,
                        "args": arguments,
                        "env": {"PROJECT_DIR": folder},
                    }
                }
            })),
            Self::Autoforge => {
                let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
                let words: Vec<&str> = words.collect();
                format!("import os\n\nos.execv({}, {})\n", quoted(program), json!(words))
            }
        }
    }
}

/// A path that can be written into a configuration.
fn written(path: &Path) -> Result<&str, Failed> {
    path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(|| {
        let message = format!("{} cannot be written into a configuration", path.display());
        Failed::new("invalid_input", message)
    })
}

/// A text in double quotes, as JSON, TOML and Python read it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A text as one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-./=+:,@%".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_stay_one_word() {
        assert_eq!(shell_word("/usr/bin/a-b_c.d"), "/usr/bin/a-b_c.d");
        assert_eq!(shell_word("/a b/$(c)"), "'/a b/$(c)'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
