//! The projects of a machine: registering, finding and changing them.
//!
//! No command looks at the disk, which may take long or never end. What
//! [`Store::look_at_projects`](crate::Store::look_at_projects) saw there is told to a command as what
//! its caller expects.

use std::convert::Infallible;

use rusqlite::Row;

use super::Command;
use crate::database::Registry;
use crate::error::{Failure, Refusal};
use crate::tx::{Access, LenientRow, Read, Tx, Write};
use crate::types::{
    AutoImprove, Concurrency, ImproveInterval, LocalTime, Project, ProjectName, ProjectPath,
};

/// Why a command on projects changed or showed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectRefusal {
    /// No project has that name.
    #[error("no project is called {name:?}")]
    NotFound {
        /// The name that was asked for.
        name: String,
    },
    /// Another project has the name.
    #[error("a project called {name} is registered already, at {path}; choose another name")]
    NameTaken {
        /// The name.
        name: String,
        /// Where that project lies.
        path: String,
    },
    /// Another project lies there.
    #[error("{path} is registered already, as project {name:?}")]
    PathTaken {
        /// The place.
        path: String,
        /// The project there.
        name: String,
    },
    /// The project lies elsewhere by now than its caller believed.
    #[error("project {name:?} lies at {path} by now; nothing was changed, look at it again")]
    Moved {
        /// The project.
        name: String,
        /// Where it lies.
        path: String,
    },
}

impl Refusal for ProjectRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "unknown_project",
            Self::NameTaken { .. } => "project_exists",
            Self::PathTaken { .. } => "path_taken",
            Self::Moved { .. } => "project_moved",
        }
    }
}

/// Registers a project. Neither its name nor its place may be another project's.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{ProjectName, ProjectPath, RegisterProject, Registry, Store};
///
/// let store = Store::<Registry>::open_registry(dir.path())?;
/// let name = ProjectName::new("shop")?;
/// let path = ProjectPath::new("/home/me/shop")?;
/// let project = store.call(RegisterProject { name, path: path.clone() })?;
/// assert_eq!((project.name.as_str(), project.concurrency.get()), ("shop", 3));
///
/// let again = RegisterProject { name: ProjectName::new("other")?, path };
/// assert_eq!(store.call(again).unwrap_err().code(), "path_taken");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RegisterProject {
    /// What it is called.
    pub name: ProjectName,
    /// Where it lies.
    pub path: ProjectPath,
}

impl Command for RegisterProject {
    const NAME: &'static str = "register_project";
    type Database = Registry;
    type Access = Write;
    type Output = Project;
    type Rejection = ProjectRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Project, Failure<ProjectRefusal>> {
        let (name, path) = (self.name.as_str(), self.path.as_str());
        if let Some(Project { name, path, .. }) = find(tx, name)? {
            return Err(Failure::Refused(ProjectRefusal::NameTaken { name, path }));
        }
        check_path(tx, &self.path, name)?;
        let created_at = tx.circumstances().local_time();
        let project = Project {
            name: name.to_owned(),
            path: path.to_owned(),
            created_at: Some(created_at),
            concurrency: Concurrency::default(),
            auto_improve: AutoImprove::default(),
        };
        tx.execute(
            "INSERT INTO projects (name, path, created_at, default_concurrency,
                auto_improve_enabled, auto_improve_interval_minutes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                name,
                path,
                created_at.to_sqlite_text(),
                project.concurrency.get(),
                project.auto_improve.enabled,
                project.auto_improve.interval.get(),
            ),
        )?;
        Ok(project)
    }
}

/// Takes a project out of the registry. Its files stay as they are.
#[derive(Debug, Clone)]
pub struct UnregisterProject {
    /// What it is called.
    pub name: String,
    /// Where its caller believes it to lie: if somebody has moved it meanwhile, nothing happens.
    pub expected_path: Option<String>,
}

impl Command for UnregisterProject {
    const NAME: &'static str = "unregister_project";
    type Database = Registry;
    type Access = Write;
    type Output = Project;
    type Rejection = ProjectRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Project, Failure<ProjectRefusal>> {
        let project = existing(tx, &self.name)?;
        if self.expected_path.as_ref().is_some_and(|expected| *expected != project.path) {
            let Project { name, path, .. } = project;
            return Err(Failure::Refused(ProjectRefusal::Moved { name, path }));
        }
        tx.execute("DELETE FROM projects WHERE name = ?1", [&self.name])?;
        Ok(project)
    }
}

/// Says where a project lies from now on; nothing on the disk is moved.
#[derive(Debug, Clone)]
pub struct UpdateProjectPath {
    /// What it is called.
    pub name: String,
    /// Where it lies.
    pub path: ProjectPath,
}

impl Command for UpdateProjectPath {
    const NAME: &'static str = "update_project_path";
    type Database = Registry;
    type Access = Write;
    type Output = Project;
    type Rejection = ProjectRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Project, Failure<ProjectRefusal>> {
        let project = existing(tx, &self.name)?;
        check_path(tx, &self.path, &self.name)?;
        let path = self.path.as_str();
        tx.execute("UPDATE projects SET path = ?2 WHERE name = ?1", (&self.name, path))?;
        Ok(Project { path: path.to_owned(), ..project })
    }
}

/// Sets how many coding agents work on a project.
#[derive(Debug, Clone)]
pub struct SetConcurrency {
    /// The project.
    pub name: String,
    /// How many.
    pub concurrency: Concurrency,
}

impl Command for SetConcurrency {
    const NAME: &'static str = "set_concurrency";
    type Database = Registry;
    type Access = Write;
    type Output = Project;
    type Rejection = ProjectRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Project, Failure<ProjectRefusal>> {
        let (project, concurrency) = (existing(tx, &self.name)?, self.concurrency);
        tx.execute(
            "UPDATE projects SET default_concurrency = ?2 WHERE name = ?1",
            (&self.name, concurrency.get()),
        )?;
        Ok(Project { concurrency, ..project })
    }
}

/// Sets whether a finished project is improved again and again, and how often.
#[derive(Debug, Clone)]
pub struct SetAutoImprove {
    /// The project.
    pub name: String,
    /// Whether it is; `None` leaves that as it is.
    pub enabled: Option<bool>,
    /// How long it rests between; `None` leaves that as it is.
    pub interval: Option<ImproveInterval>,
}

impl Command for SetAutoImprove {
    const NAME: &'static str = "set_auto_improve";
    type Database = Registry;
    type Access = Write;
    type Output = Project;
    type Rejection = ProjectRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Project, Failure<ProjectRefusal>> {
        let project = existing(tx, &self.name)?;
        let auto_improve = AutoImprove {
            enabled: self.enabled.unwrap_or(project.auto_improve.enabled),
            interval: self.interval.unwrap_or(project.auto_improve.interval),
        };
        tx.execute(
            "UPDATE projects
             SET auto_improve_enabled = ?2, auto_improve_interval_minutes = ?3 WHERE name = ?1",
            (&self.name, auto_improve.enabled, auto_improve.interval.get()),
        )?;
        Ok(Project { auto_improve, ..project })
    }
}

/// One project.
#[derive(Debug, Clone)]
pub struct GetProject {
    /// What it is called.
    pub name: String,
}

impl Command for GetProject {
    const NAME: &'static str = "get_project";
    type Database = Registry;
    type Access = Read;
    type Output = Project;
    type Rejection = ProjectRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Project, Failure<ProjectRefusal>> {
        existing(tx, &self.name)
    }
}

/// All projects, by name.
#[derive(Debug, Clone, Copy)]
pub struct ListProjects;

impl Command for ListProjects {
    const NAME: &'static str = "list_projects";
    type Database = Registry;
    type Access = Read;
    type Output = Vec<Project>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Project>, Failure<Infallible>> {
        Ok(all(tx)?)
    }
}

fn find<A: Access>(tx: &Tx<'_, A>, name: &str) -> rusqlite::Result<Option<Project>> {
    tx.first(
        "SELECT name, path, created_at, default_concurrency, auto_improve_enabled,
            auto_improve_interval_minutes
         FROM projects WHERE name = ?1",
        [name],
        project,
    )
}

fn existing<A: Access>(tx: &Tx<'_, A>, name: &str) -> Result<Project, Failure<ProjectRefusal>> {
    let missing = || Failure::Refused(ProjectRefusal::NotFound { name: name.to_owned() });
    find(tx, name)?.ok_or_else(missing)
}

fn all<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Vec<Project>> {
    tx.all(
        "SELECT name, path, created_at, default_concurrency, auto_improve_enabled,
            auto_improve_interval_minutes
         FROM projects ORDER BY name",
        [],
        project,
    )
}

/// Refuses a place where another project lies, in whatever spelling a program has stored it.
fn check_path(
    tx: &Tx<'_, Write>,
    wanted: &ProjectPath,
    name: &str,
) -> Result<(), Failure<ProjectRefusal>> {
    let same = |project: &Project| {
        project.path == wanted.as_str()
            || ProjectPath::new(&project.path).is_ok_and(|path| path == *wanted)
    };
    match all(tx)?.into_iter().find(|other| other.name != name && same(other)) {
        Some(Project { name, path, .. }) => {
            Err(Failure::Refused(ProjectRefusal::PathTaken { path, name }))
        }
        None => Ok(()),
    }
}

fn project(row: &Row<'_>) -> rusqlite::Result<Project> {
    let created_at = row.optional_text(2)?;
    Ok(Project {
        name: row.text(0)?,
        path: row.text(1)?,
        created_at: created_at.and_then(|text| LocalTime::from_sqlite_text(&text)),
        concurrency: row
            .optional_integer(3)?
            .map_or_else(Concurrency::default, Concurrency::from_stored),
        auto_improve: AutoImprove {
            enabled: row.boolean(4)?,
            interval: ImproveInterval::stored(row.optional_integer(5)?),
        },
    })
}
