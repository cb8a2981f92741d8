//! Which project a command is about.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::exit::Failed;
use crate::ProjectLayout;

/// The variable that names the project for agents.
const VARIABLE: &str = "PROJECT_DIR";
/// Folders that hold a project's database and are no projects themselves.
const INNER_FOLDERS: [&str; 2] = [".autoforge", ".autocoder"];

/// How a project was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// `--dir` names it.
    Option,
    /// `$PROJECT_DIR` names it.
    Variable,
    /// It has a database, and the current folder is it or lies in it.
    Around,
    /// Nothing else, so it is the current folder.
    CurrentFolder,
}

impl Found {
    /// In words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Option => "--dir",
            Self::Variable => "$PROJECT_DIR",
            Self::Around => "the nearest folder upward that has a database",
            Self::CurrentFolder => "the current folder",
        }
    }
}

/// The folder of a project, which need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The folder: absolute, and with its links resolved where it exists.
    pub(crate) folder: PathBuf,
    /// How it was found.
    pub(crate) found: Found,
}

impl Place {
    /// The project that a command is about.
    pub(crate) fn find(option: Option<&Path>) -> Result<Self, Failed> {
        Self::choose(option, env::var_os(VARIABLE), &current_folder()?, true)
    }

    /// The folder that becomes a project: folders above do not count.
    pub(crate) fn for_new(option: Option<&Path>) -> Result<Self, Failed> {
        Self::choose(option, env::var_os(VARIABLE), &current_folder()?, false)
    }

    fn choose(
        option: Option<&Path>,
        variable: Option<OsString>,
        current: &Path,
        upward: bool,
    ) -> Result<Self, Failed> {
        let variable = variable.filter(|value| !value.is_empty());
        let (named, found) = match (option, variable) {
            (Some(folder), _) if folder.as_os_str().is_empty() => {
                return Err(Failed::new("usage", "--dir needs the name of a folder"));
            }
            (Some(folder), _) => (folder.to_owned(), Found::Option),
            (None, Some(folder)) => (PathBuf::from(folder), Found::Variable),
            (None, None) => match upward.then(|| nearest(current)).flatten() {
                Some(folder) => (folder, Found::Around),
                None => (current.to_owned(), Found::CurrentFolder),
            },
        };
        let absolute = current.join(named);
        let folder = fs::canonicalize(&absolute).unwrap_or(absolute);
        if folder.exists() && !folder.is_dir() {
            let message = format!("{} is no folder", folder.display());
            return Err(Failed::new("usage", message).hint("name the project's folder"));
        }
        Ok(Self { folder, found })
    }

    /// The layout of the project if it has a database, or a list from which one will be made.
    pub(crate) fn existing(&self) -> Result<ProjectLayout, Failed> {
        let layout = ProjectLayout::existing(&self.folder).ok();
        layout.filter(ProjectLayout::has_features).ok_or_else(|| {
            let place = self.folder.display();
            let message = match self.found {
                Found::CurrentFolder => {
                    format!("neither {place} nor a folder above it has a database")
                }
                found => format!("{place}, named by {}, has no database", found.as_str()),
            };
            Failed::new("no_project", message)
        })
    }

    /// The project around this folder, if there is one.
    pub(crate) fn enclosing(&self) -> Option<PathBuf> {
        self.folder.parent().and_then(nearest)
    }
}

fn current_folder() -> Result<PathBuf, Failed> {
    env::current_dir()
        .map_err(|error| Failed::new("system", format!("the current folder is gone: {error}")))
}

/// The nearest folder upward that has a database in one of its three places.
fn nearest(start: &Path) -> Option<PathBuf> {
    start.ancestors().find(|folder| has_database(folder)).map(Path::to_owned)
}

fn has_database(folder: &Path) -> bool {
    let inner = folder.file_name().is_some_and(|name| INNER_FOLDERS.iter().any(|f| name == *f));
    !inner
        && ProjectLayout::existing(folder)
            .is_ok_and(|layout| layout.features_db().symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project_in(folder: &Path, database: &str) -> PathBuf {
        let database = folder.join(database);
        fs::create_dir_all(database.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "an empty file in a test")]
        fs::write(&database, b"").unwrap();
        fs::canonicalize(folder).unwrap()
    }

    #[test]
    fn an_option_wins_over_the_variable_and_the_variable_over_folders() {
        let dir = tempfile::tempdir().unwrap();
        let here = project_in(dir.path(), "features.db");
        let option = Place::choose(Some(Path::new("a")), Some("b".into()), &here, true).unwrap();
        assert_eq!((option.folder, option.found), (here.join("a"), Found::Option));
        let variable = Place::choose(None, Some("b".into()), &here, true).unwrap();
        assert_eq!((variable.folder, variable.found), (here.join("b"), Found::Variable));
        let around = Place::choose(None, Some(OsString::new()), &here, true).unwrap();
        assert_eq!((around.folder, around.found), (here, Found::Around));
    }

    #[test]
    fn the_nearest_project_is_found_from_inside_its_database_folder() {
        let dir = tempfile::tempdir().unwrap();
        project_in(dir.path(), "features.db");
        for inner in INNER_FOLDERS {
            let here = project_in(
                &dir.path().join(inner.replace('.', "p")),
                &format!("{inner}/features.db"),
            );
            let place = Place::choose(None, None, &here.join(inner), true).unwrap();
            assert_eq!((place.folder, place.found), (here, Found::Around));
        }
    }

    #[test]
    fn a_new_project_ignores_the_ones_above() {
        let dir = tempfile::tempdir().unwrap();
        let outer = project_in(dir.path(), "features.db");
        let inner = outer.join("inner");
        fs::create_dir(&inner).unwrap();
        let place = Place::choose(None, None, &inner, false).unwrap();
        assert_eq!((&place.folder, place.found), (&inner, Found::CurrentFolder));
        assert_eq!(place.enclosing(), Some(outer));
    }
}
