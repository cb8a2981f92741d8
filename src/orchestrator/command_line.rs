//! The command line of an agent, with places for what it is to work on.

use std::fmt;

/// A program and its arguments, with placeholders.
///
/// | placeholder | becomes |
/// | --- | --- |
/// | `{features}` | the features' numbers, with commas |
/// | `{feature}` | the number of the first one |
/// | `{project}` | the project's folder |
/// | `{prompt}` | what the agent is to do, as text |
/// | `{prompt_file}` | a file with that text |
/// | `{mcp_config}` | a JSON file that names the MCP server, as most clients read it |
/// | `{mcp_program}` | the MCP server's program |
/// | `{mcp_env_toml}` | the environment that the server needs, as an inline table of TOML |
/// | `{kind}` | `coding`, `testing` or `initializing` |
///
/// Nothing is given to a shell, so nothing needs quotes; `{{` stands for `{`.
///
/// ```
/// use autoforge_store::orchestrator::AgentCommand;
/// assert!(AgentCommand::new(["agent", "--on={features}", "{{literal}"]).is_ok());
/// let wrong = AgentCommand::new(["agent", "{feture}"]).unwrap_err();
/// assert!(wrong.to_string().contains("{feture}"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCommand {
    words: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Place),
}

/// A placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Features,
    Feature,
    Project,
    Prompt,
    PromptFile,
    McpConfig,
    McpProgram,
    McpEnvToml,
    Kind,
}

impl Place {
    const ALL: [(&'static str, Self); 9] = [
        ("features", Self::Features),
        ("feature", Self::Feature),
        ("project", Self::Project),
        ("prompt", Self::Prompt),
        ("prompt_file", Self::PromptFile),
        ("mcp_config", Self::McpConfig),
        ("mcp_program", Self::McpProgram),
        ("mcp_env_toml", Self::McpEnvToml),
        ("kind", Self::Kind),
    ];
}

/// Why words are no command line of an agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// There is no program.
    #[error("an agent's command line needs a program")]
    Empty,
    /// There is no such placeholder.
    #[error("there is no placeholder {{{name}}}; there are {}, and {{{{ for a brace",
        Place::ALL.map(|(name, _)| format!("{{{name}}}")).join(", "))]
    UnknownPlaceholder {
        /// What stands between the braces.
        name: String,
    },
    /// A brace is not closed.
    #[error("a brace is not closed in {word:?}; {{{{ stands for a brace")]
    Unclosed {
        /// The word.
        word: String,
    },
}

/// What the placeholders stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    pub(super) features: Vec<i64>,
    pub(super) project: String,
    pub(super) prompt: String,
    pub(super) prompt_file: String,
    pub(super) mcp_config: String,
    pub(super) mcp_program: String,
    pub(super) mcp_env_toml: String,
    pub(super) kind: &'static str,
}

impl Values {
    fn of(&self, place: Place) -> String {
        let ids = || self.features.iter().map(ToString::to_string);
        match place {
            Place::Features => ids().collect::<Vec<_>>().join(","),
            Place::Feature => ids().next().unwrap_or_default(),
            Place::Project => self.project.clone(),
            Place::Prompt => self.prompt.clone(),
            Place::PromptFile => self.prompt_file.clone(),
            Place::McpConfig => self.mcp_config.clone(),
            Place::McpProgram => self.mcp_program.clone(),
            Place::McpEnvToml => self.mcp_env_toml.clone(),
            Place::Kind => self.kind.to_owned(),
        }
    }
}

impl AgentCommand {
    /// Reads the words, the program first.
    ///
    /// # Errors
    /// [`InvalidCommand`] says what is wrong with which word.
    pub fn new<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<Self, InvalidCommand> {
        let words: Vec<Vec<Piece>> =
            words.into_iter().map(|word| pieces(word.as_ref())).collect::<Result<_, _>>()?;
        if words.first().is_none_or(Vec::is_empty) {
            return Err(InvalidCommand::Empty);
        }
        Ok(Self { words })
    }

    /// The command line of Claude Code, without anybody to ask, for this project's tools alone.
    #[must_use]
    pub fn claude_code() -> Self {
        Self::known(&[
            "claude",
            "--print",
            "{prompt}",
            "--mcp-config",
            "{mcp_config}",
            "--strict-mcp-config",
            "--permission-mode",
            "acceptEdits",
            "--allowedTools",
            "mcp__features,Bash,Edit,Write,Read,Glob,Grep",
            "--output-format",
            "stream-json",
            "--verbose",
        ])
    }

    /// The command line of Codex, without anybody to ask, in its sandbox.
    #[must_use]
    pub fn codex() -> Self {
        Self::known(&[
            "codex",
            "exec",
            "--full-auto",
            "--cd",
            "{project}",
            "-c",
            "mcp_servers.features.command=\"{mcp_program}\"",
            "-c",
            "mcp_servers.features.args=[\"mcp\"]",
            "-c",
            "mcp_servers.features.env={mcp_env_toml}",
            "{prompt}",
        ])
    }

    /// Words of this crate, which a test has read.
    fn known(words: &[&str]) -> Self {
        let words = words.iter().filter_map(|word| pieces(word).ok()).collect();
        Self { words }
    }

    /// The words with everything in its place.
    pub(super) fn fill_in(&self, values: &Values) -> Vec<String> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place(place) => values.of(*place),
        };
        self.words.iter().map(|word| word.iter().map(text).collect()).collect()
    }
}

/// As it is written.
impl fmt::Display for AgentCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.words.iter().enumerate() {
            f.write_str(if at > 0 { " " } else { "" })?;
            let written: String = word.iter().map(written).collect();
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=+:,@%{}".contains(c);
            if !written.is_empty() && written.chars().all(plain) {
                f.write_str(&written)?;
            } else {
                write!(f, "'{}'", written.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

fn written(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.replace('{', "{{"),
        Piece::Place(place) => {
            let name = Place::ALL.iter().find(|(_, other)| other == place);
            name.map_or_else(String::new, |(name, _)| format!("{{{name}}}"))
        }
    }
}

fn pieces(word: &str) -> Result<Vec<Piece>, InvalidCommand> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            text.push('{');
            rest = after;
            continue;
        }
        let unclosed = || InvalidCommand::Unclosed { word: word.to_owned() };
        let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
        let place = Place::ALL.iter().find(|(known, _)| *known == name);
        let unknown = || InvalidCommand::UnknownPlaceholder { name: name.to_owned() };
        let (_, place) = place.ok_or_else(unknown)?;
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Place(*place));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(words: &[&str]) -> Vec<String> {
        let values = Values {
            features: vec![7, 8],
            project: "/a b".to_owned(),
            prompt: "Do {it}.".to_owned(),
            kind: "coding",
            ..Values::default()
        };
        AgentCommand::new(words).unwrap().fill_in(&values)
    }

    #[test]
    fn placeholders_are_filled_in_and_what_they_stand_for_is_not_read_again() {
        let words = ["a", "{features}", "-f{feature}x", "{project}/{kind}", "{prompt}", "{{}", ""];
        let expected = ["a", "7,8", "-f7x", "/a b/coding", "Do {it}.", "{}", ""];
        assert_eq!(filled(&words), expected);
    }

    #[test]
    fn words_without_sense_are_refused() {
        let nothing: [&str; 0] = [];
        assert_eq!(AgentCommand::new(nothing), Err(InvalidCommand::Empty));
        assert_eq!(AgentCommand::new([""]), Err(InvalidCommand::Empty));
        let unclosed = InvalidCommand::Unclosed { word: "{project".to_owned() };
        assert_eq!(AgentCommand::new(["a", "{project"]), Err(unclosed));
        let unknown = InvalidCommand::UnknownPlaceholder { name: String::new() };
        assert_eq!(AgentCommand::new(["a{}"]), Err(unknown));
    }

    #[test]
    fn a_command_is_written_as_it_is_read() {
        let words = ["a", "it's", "{prompt}", "{{x", "p={project}"];
        let command = AgentCommand::new(words).unwrap();
        assert_eq!(command.to_string(), r"a 'it'\''s' {prompt} {{x p={project}");
    }

    #[test]
    fn the_known_agents_have_all_their_words() {
        for (command, program) in
            [(AgentCommand::claude_code(), "claude"), (AgentCommand::codex(), "codex")]
        {
            let words = command.fill_in(&Values::default());
            assert_eq!(words[0], program);
            assert!(words.len() > 8 && command.to_string().contains("{prompt}"), "{command}");
        }
    }
}
