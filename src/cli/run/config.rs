//! `agents.toml`: what `run` would otherwise be told by options.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

use super::Preset;
use crate::ProjectLayout;
use crate::cli::args::parse_lease;
use crate::cli::exit::Failed;
use crate::orchestrator::{AgentCommand, Settings};

const NAME: &str = "agents.toml";

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Config {
    coding: Option<usize>,
    testing: Option<usize>,
    total: Option<usize>,
    batch: Option<usize>,
    test_batch: Option<usize>,
    lease: Option<String>,
    silence: Option<String>,
    time: Option<String>,
    initializer_time: Option<String>,
    grace: Option<String>,
    wait_for_humans: Option<bool>,
    log_bytes: Option<u64>,
    coder: Option<Words>,
    tester: Option<Words>,
    initializer: Option<Words>,
    /// Where it was read, for messages.
    #[serde(skip)]
    path: PathBuf,
}

/// An agent: `"claude-code"`, or the words of a command line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Preset(String),
    Command(Vec<String>),
}

impl Config {
    /// Reads the file that is named, or the project's own where there is one.
    pub(super) fn read(named: Option<&Path>, project: &Path) -> Result<Self, Failed> {
        let own = || {
            let layout = ProjectLayout::existing(project).ok()?;
            Some(layout.features_db().with_file_name(NAME)).filter(|own| own.exists())
        };
        let Some(path) = named.map(Path::to_owned).or_else(own) else {
            return Ok(Self::default());
        };
        let bytes = crate::cli::input::read(&path)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(&path, "it is no UTF-8"))?;
        let config: Self = toml::from_str(&text).map_err(|error| wrong(&path, error))?;
        Ok(Self { path, ..config })
    }

    /// What it says, with `own` in the place of its coder.
    pub(super) fn settings(&self, own: Option<AgentCommand>) -> Result<Settings, Failed> {
        let coder = match (own, &self.coder) {
            (Some(own), _) => own,
            (None, Some(words)) => self.agent(words)?,
            (None, None) => {
                let message = "which agent shall work?";
                return Err(Failed::new("usage", message).hint(format!(
                    "--agent claude-code, --agent codex, a command line after --, or {NAME} \
                     beside the project's database"
                )));
            }
        };
        let mut settings = Settings::new(coder);
        settings.tester = self.tester.as_ref().map(|words| self.agent(words)).transpose()?;
        settings.initializer =
            self.initializer.as_ref().map(|words| self.agent(words)).transpose()?;
        for (setting, wanted) in [
            (&mut settings.coding, self.coding),
            (&mut settings.testing, self.testing),
            (&mut settings.total, self.total),
            (&mut settings.batch, self.batch),
            (&mut settings.test_batch, self.test_batch),
        ] {
            *setting = wanted.unwrap_or(*setting);
        }
        for (setting, wanted) in
            [(&mut settings.lease, &self.lease), (&mut settings.grace, &self.grace)]
        {
            if let Some(text) = wanted {
                *setting = self.duration(text)?;
            }
        }
        for (setting, wanted) in [
            (&mut settings.silence, &self.silence),
            (&mut settings.time, &self.time),
            (&mut settings.initializer_time, &self.initializer_time),
        ] {
            match wanted.as_deref() {
                None => {}
                Some("none") => *setting = None,
                Some(text) => *setting = Some(self.duration(text)?),
            }
        }
        settings.wait_for_humans = self.wait_for_humans.unwrap_or(settings.wait_for_humans);
        settings.log_bytes = self.log_bytes.unwrap_or(settings.log_bytes);
        Ok(settings)
    }

    fn agent(&self, words: &Words) -> Result<AgentCommand, Failed> {
        match words {
            Words::Preset(name) => Preset::from_str(name, false)
                .map_err(|_| wrong(&self.path, format!("there is no agent {name:?}")))?
                .command(),
            Words::Command(words) => {
                AgentCommand::new(words).map_err(|problem| wrong(&self.path, problem))
            }
        }
    }

    fn duration(&self, text: &str) -> Result<Duration, Failed> {
        parse_lease(text).map_err(|problem| wrong(&self.path, format!("{text:?}: {problem}")))
    }
}

fn wrong(path: &Path, problem: impl std::fmt::Display) -> Failed {
    Failed::new("invalid_input", format!("{}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.settings(None).map_err(|failed| failed.message().to_owned())
    }

    #[test]
    fn a_file_says_what_options_say() {
        let text = r#"
            coding = 5
            lease = "3m"
            silence = "none"
            wait-for-humans = false
            coder = ["my-agent", "{features}"]
            tester = "codex"
        "#;
        let settings = settings(text).unwrap();
        assert_eq!((settings.coding, settings.testing), (5, 1));
        assert_eq!((settings.lease, settings.silence), (Duration::from_mins(3), None));
        assert_eq!(settings.coder.to_string(), "my-agent {features}");
        assert_eq!(settings.tester, Some(AgentCommand::codex()));
        assert!(!settings.wait_for_humans && settings.initializer.is_none());
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        for (text, problem) in [
            ("codng = 5", "unknown field"),
            ("coder = \"clod\"", "there is no agent \"clod\""),
            ("coder = [\"a\", \"{b}\"]", "there is no placeholder {b}"),
            ("coder = \"codex\"\nlease = \"soon\"", "\"soon\""),
            ("", "which agent"),
        ] {
            let found = settings(text).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
