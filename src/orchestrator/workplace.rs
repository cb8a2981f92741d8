//! Where agents work: their folder, the files that they are given, and their environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::command_line::Values;
use super::happening::{AgentId, Kind};
use super::process::{Mark, VARIABLE, is_running};
use super::prompt::prompt;
use crate::{FeatureId, FenceToken};

/// So many agents that have ended are remembered by their files.
const AGENTS_KEPT: usize = 200;
/// An agent's files: a log, its older half, a prompt and a configuration.
const FILES_EACH: usize = 4;
/// How often files are looked through in a run.
const TIDY_EVERY: u32 = 50;
/// Keeps the folder out of version control.
const IGNORE: &str = ".gitignore";
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
        let ignore = files.join(IGNORE);
        if !ignore.exists() {
            write(&ignore, "*\n")?;
        }
        let workplace =
            Self { project: project.to_owned(), files, program: std::env::current_exe()? };
        workplace.forget_old(&[]);
        Ok(workplace)
    }

    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    /// After each so many agents, removes what those of long ago have left; those that run, here or by
    /// another orchestrator, lose nothing.
    pub(super) fn tidy(&self, agent: AgentId, running: &[AgentId]) {
        if agent.number.is_multiple_of(TIDY_EVERY) {
            self.forget_old(running);
        }
    }

    fn forget_old(&self, running: &[AgentId]) {
        let (files, own) =
            (fs::read_dir(&self.files).into_iter().flatten().flatten(), std::process::id());
        let is_in_use = |files: Files<'_>| {
            if files.orchestrator == own {
                running.iter().any(|agent| agent.to_string() == files.agent)
            } else {
                is_running(files.orchestrator)
            }
        };
        let is_used = |name: &str| name == IGNORE || Files::of(name).is_some_and(is_in_use);
        let mut by_age: Vec<_> = files
            .filter(|file| !file.file_name().to_str().is_some_and(is_used))
            .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
            .collect();
        by_age.sort();
        let old = by_age.len().saturating_sub(FILES_EACH * AGENTS_KEPT);
        for (_, path) in by_age.into_iter().take(old) {
            // What cannot be removed is looked at again the next time.
            let _ = fs::remove_file(path);
        }
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

/// Whose files these are, by a name such as `coder-3-4711-feature-7.log`.
#[derive(Debug, PartialEq, Eq)]
struct Files<'n> {
    agent: &'n str,
    orchestrator: u32,
}

impl<'n> Files<'n> {
    fn of(name: &'n str) -> Option<Self> {
        let mut dashes = name.match_indices('-').map(|(at, _)| at);
        let (_, end) = (dashes.next()?, dashes.next()?);
        let (agent, rest) = (name.get(..end)?, name.get(end + 1..)?);
        let number = rest.split(['-', '.']).next()?;
        Some(Self { agent, orchestrator: number.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_whose_it_is() {
        let of = |name| Files::of(name).map(|files| (files.agent.to_owned(), files.orchestrator));
        let third = Some(("coder-3".to_owned(), 4711));
        assert_eq!(of("coder-3-4711-feature-7.log.1"), third);
        assert_eq!(of("coder-3-4711.md"), third);
        for name in ["notes.md", "coder-3", "a-b-c", IGNORE] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a text file of an agent")]
    fn make_old(path: &Path) {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn files_of_long_ago_go_and_those_in_use_stay() {
        let dir = tempfile::tempdir().unwrap();
        let workplace = Workplace::prepare(dir.path(), dir.path().join("agents")).unwrap();
        let own = std::process::id();
        let file = |name: String| {
            let path = dir.path().join("agents").join(name);
            write(&path, "").unwrap();
            path
        };
        let ended = file(format!("coder-2-{own}.md"));
        // Files that are made within one tick of the clock are equally old.
        make_old(&ended);
        let kept = [file(format!("coder-1-{own}.md")), dir.path().join("agents").join(IGNORE)];
        // No process has this number.
        let old: Vec<_> = (0..FILES_EACH * AGENTS_KEPT + 10)
            .map(|n| file(format!("coder-{n}-{}.log", u32::MAX)))
            .collect();
        let first = AgentId { kind: Kind::Coding, number: 1 };
        workplace.tidy(AgentId { number: TIDY_EVERY, ..first }, &[first]);
        assert!(kept.iter().all(|path| path.exists()) && !ended.exists());
        assert_eq!(old.iter().filter(|path| path.exists()).count(), FILES_EACH * AGENTS_KEPT);
    }
}
