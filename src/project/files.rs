//! Which files AutoForge keeps for a project, and in which places they are looked for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{FOLDER, OLD_FOLDER, ProjectLayout};

/// What makes a `prompts` folder one of AutoForge's, beside an application that may have its own.
const SPECIFICATION: &str = "app_spec.txt";

/// A file or folder that AutoForge keeps for a project, by a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectFile {
    /// Features and schedules.
    FeaturesDb,
    /// The conversations of the project's assistant.
    AssistantDb,
    /// What the last webhook about progress told.
    ProgressCache,
    /// There while an agent runs.
    AgentLock,
    /// There while a development server runs.
    DevServerLock,
    /// What the last agent was allowed to do.
    AgentSettings,
    /// What the assistant was allowed to do.
    AssistantSettings,
    /// A folder: what the agents are told, and what they build.
    Prompts,
}

impl ProjectFile {
    pub(crate) const ALL: [Self; 8] = [
        Self::FeaturesDb,
        Self::AssistantDb,
        Self::ProgressCache,
        Self::AgentLock,
        Self::DevServerLock,
        Self::AgentSettings,
        Self::AssistantSettings,
        Self::Prompts,
    ];
    pub(super) const LOCKS: [Self; 2] = [Self::AgentLock, Self::DevServerLock];

    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FeaturesDb => "features.db",
            Self::AssistantDb => "assistant.db",
            Self::ProgressCache => ".progress_cache",
            Self::AgentLock => ".agent.lock",
            Self::DevServerLock => ".devserver.lock",
            Self::AgentSettings => ".claude_settings.json",
            Self::AssistantSettings => ".claude_assistant_settings.json",
            Self::Prompts => "prompts",
        }
    }

    /// Whether it is a database, which other programs may have open.
    #[must_use]
    pub const fn is_database(self) -> bool {
        matches!(self, Self::FeaturesDb | Self::AssistantDb)
    }
}

/// A folder in which a release of AutoForge kept its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `.autoforge/`, where they belong.
    Current,
    /// `.autocoder/`.
    OldFolder,
    /// The project's folder itself.
    Root,
}

impl Place {
    /// In the order in which a file is looked for.
    pub(crate) const ALL: [Self; 3] = [Self::Current, Self::OldFolder, Self::Root];

    const fn folder(self) -> &'static str {
        match self {
            Self::Current => FOLDER,
            Self::OldFolder => OLD_FOLDER,
            Self::Root => "",
        }
    }

    /// How its folder is called in a list of copies.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::OldFolder => "from-autocoder",
            Self::Root => "from-root",
        }
    }
}

impl ProjectLayout {
    /// Where a file is, or would be made: `.autoforge/`, then `.autocoder/`, then the project's
    /// folder, the first that has it.
    #[must_use]
    pub fn file(&self, file: ProjectFile) -> PathBuf {
        self.standing(file).into_iter().next().map_or_else(|| self.current(file), |(_, path)| path)
    }

    /// Where a file belongs: in `.autoforge/`.
    #[must_use]
    pub fn current(&self, file: ProjectFile) -> PathBuf {
        self.at(Place::Current, file)
    }

    pub(crate) fn at(&self, place: Place, file: ProjectFile) -> PathBuf {
        self.in_place(place).join(file.name())
    }

    pub(super) fn in_place(&self, place: Place) -> PathBuf {
        self.folder().join(place.folder())
    }

    /// Everywhere that the file stands, in the order in which it is looked for. A place that is
    /// another one by another name counts once.
    pub(crate) fn standing(&self, file: ProjectFile) -> Vec<(Place, PathBuf)> {
        let mut found: Vec<(Place, PathBuf)> = Vec::new();
        for place in Place::ALL {
            let path = self.at(place, file);
            let same = |other: &Path| {
                let identity = |path: &Path| path.metadata().ok().map(|at| (at.dev(), at.ino()));
                let folder = self.in_place(place);
                other.parent().is_some_and(|other| identity(other) == identity(&folder))
            };
            if stands(place, file, &path) && !found.iter().any(|(_, other)| same(other)) {
                found.push((place, path));
            }
        }
        found
    }
}

/// A link that leads nowhere stands there too, and is refused when it is opened.
fn stands(place: Place, file: ProjectFile, path: &Path) -> bool {
    match (file, place) {
        (ProjectFile::Prompts, Place::Root) => path.join(SPECIFICATION).is_file(),
        _ => fs::symlink_metadata(path).is_ok(),
    }
}
