//! `projects`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand, ValueEnum, value_parser};
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::home::HomeArgs;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::{
    AutoImprove, Concurrency, FolderState, GetProject, HomeLayout, ImproveInterval, LocalTime,
    Project, ProjectName, ProjectPath, RegisterProject, Registry, SeenProject, SetAutoImprove,
    SetConcurrency, Store, UnregisterProject, UpdateProjectPath,
};

const HEAD: &[&str] = &["Name", "Folder", "Path", "Agents", "Improved"];

/// Options of `projects`.
#[derive(Debug, Args)]
pub(crate) struct ProjectsArgs {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    what: What,
}

/// What to do with projects.
#[derive(Debug, Subcommand)]
enum What {
    /// List the projects of this machine, and which of them are not there.
    List,
    /// Register a project.
    Add(Add),
    /// Show everything about a project.
    Info(Named),
    /// Change how a project is worked on.
    Set(Set),
    /// Say where a project lies by now; nothing is moved on the disk.
    Move(Move),
    /// Take a project out of the list; its files stay.
    Remove(Named),
    /// List the projects that are not there, and take them out of the list if you say so.
    Stale(Stale),
}

/// A project.
#[derive(Debug, Args)]
struct Named {
    /// What it is called.
    name: String,
}

/// Options of `projects add`.
#[derive(Debug, Args)]
struct Add {
    /// What to call it: letters, digits, - and _.
    name: String,
    /// Its folder. Default: the current one.
    folder: Option<PathBuf>,
}

/// Options of `projects move`.
#[derive(Debug, Args)]
struct Move {
    /// What it is called.
    name: String,
    /// Its folder.
    folder: PathBuf,
}

/// Options of `projects set`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["concurrency", "auto_improve", "every"]))]
struct Set {
    /// What it is called.
    name: String,
    /// How many coding agents work on it.
    #[arg(long, value_name = "AGENTS", value_parser = value_parser!(i64).range(1..=5))]
    concurrency: Option<i64>,
    /// Whether it is improved again and again when it is done.
    #[arg(long, value_enum)]
    auto_improve: Option<Switch>,
    /// How long it rests between.
    #[arg(long, value_name = "MINUTES", value_parser = value_parser!(u16).range(1..=1440))]
    every: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Options of `projects stale`.
#[derive(Debug, Args)]
struct Stale {
    /// Take them out of the list. A project on a disk that is not there at the moment counts as one.
    #[arg(long)]
    remove: bool,
}

impl Task for ProjectsArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let home = self.home.folder()?;
        match &self.what {
            What::List => {
                let store = session.find_registry(&home)?;
                let seen = store.map_or(Ok(Vec::new()), |store| store.look_at_projects())?;
                Ok(list(&seen))
            }
            What::Add(Add { name, folder }) => {
                let folder = folder.as_deref().unwrap_or(Path::new("."));
                let (name, path) = (ProjectName::new(name).map_err(invalid)?, path(folder)?);
                let store = session.open_registry(&home)?;
                let project = store.call(RegisterProject { name, path })?;
                Ok(changed("added ", &project))
            }
            What::Info(named) => {
                let project = existing(session, self, &named.name)?.1;
                let folder = FolderState::of(project.path.as_ref());
                Ok(info(&SeenProject { project, folder }))
            }
            What::Set(set) => {
                let (store, project) = existing(session, self, &set.name)?;
                Ok(changed("changed ", &set.apply(&store, project)?))
            }
            What::Move(Move { name, folder }) => {
                let path = path(folder)?;
                let store = existing(session, self, name)?.0;
                let project = store.call(UpdateProjectPath { name: name.clone(), path })?;
                Ok(changed("moved ", &project))
            }
            What::Remove(named) => {
                let store = existing(session, self, &named.name)?.0;
                let name = named.name.clone();
                let project = store.call(UnregisterProject { name, expected_path: None })?;
                Ok(changed("removed ", &project))
            }
            What::Stale(stale) => {
                let store = session.find_registry(&home)?;
                stale.run(session, store.as_ref())
            }
        }
    }
}

impl Set {
    fn apply(&self, store: &Store<Registry>, before: Project) -> Result<Project, Failed> {
        let mut project = before;
        if let Some(agents) = self.concurrency {
            let concurrency = Concurrency::new(agents).map_err(invalid)?;
            project = store.call(SetConcurrency { name: self.name.clone(), concurrency })?;
        }
        if self.auto_improve.is_some() || self.every.is_some() {
            let enabled = self.auto_improve.map(|switch| switch == Switch::On);
            let interval = self.every.map(ImproveInterval::minutes).transpose().map_err(invalid)?;
            let name = self.name.clone();
            project = store.call(SetAutoImprove { name, enabled, interval })?;
        }
        Ok(project)
    }
}

impl Stale {
    fn run(
        &self,
        session: &mut Session<'_>,
        store: Option<&Store<Registry>>,
    ) -> Result<Answer, Failed> {
        let seen = store.map_or(Ok(Vec::new()), Store::look_at_projects)?;
        let stale: Vec<_> = seen.into_iter().filter(|seen| seen.folder.is_stale()).collect();
        let mut removed = Vec::new();
        for SeenProject { project, .. } in stale.iter().filter(|_| self.remove) {
            let (name, path) = (project.name.clone(), project.path.clone());
            let command = UnregisterProject { name, expected_path: Some(path) };
            match store.map(|store| store.call(command)) {
                Some(Ok(project)) => removed.push(project.name),
                // Somebody has changed it since it was looked at, and knows better.
                Some(Err(error @ crate::Error::Refused(_))) => session.warn(error.to_string()),
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        let data = json!({
            "stale": stale.iter().map(seen_json).collect::<Value>(),
            "removed": removed,
        });
        let mut page = Page::default();
        if !stale.is_empty() {
            page = page.table(HEAD, stale.iter().map(row).collect());
        }
        let summary = match (stale.len(), self.remove) {
            (0, _) => "all projects are there".to_owned(),
            (found, true) => format!("{} of {found} taken out of the list", removed.len()),
            (_, false) => "--remove takes them out of the list".to_owned(),
        };
        Ok(Answer::new(data, page.ornament([Cell::faint(summary)])))
    }
}

/// A project that is registered, and the registry.
fn existing(
    session: &mut Session<'_>,
    args: &ProjectsArgs,
    name: &str,
) -> Result<(Store<Registry>, Project), Failed> {
    let none = || Failed::new("unknown_project", format!("no project is called {name:?}"));
    let store = session.find_registry(&args.home.folder()?)?.ok_or_else(none)?;
    let project = store.call(GetProject { name: name.to_owned() })?;
    Ok((store, project))
}

fn invalid(problem: impl std::error::Error) -> Failed {
    Failed::new("invalid_project", problem)
}

/// Where the folder of a project is, which must be there.
fn path(folder: &Path) -> Result<ProjectPath, Failed> {
    let path = HomeLayout::project_path(folder).map_err(invalid)?;
    match FolderState::of(path.as_str().as_ref()) {
        state if state.is_stale() => {
            let problem =
                if state == FolderState::Missing { "does not exist" } else { "is no folder" };
            Err(Failed::new("file_not_found", format!("{path} {problem}")))
        }
        _ => Ok(path),
    }
}

fn list(seen: &[SeenProject]) -> Answer {
    let data = json!({"projects": seen.iter().map(seen_json).collect::<Value>()});
    let mut page = Page::default();
    if !seen.is_empty() {
        page = page.table(HEAD, seen.iter().map(row).collect());
    }
    let summary = match seen.len() {
        1 => "1 project".to_owned(),
        number => format!("{number} projects"),
    };
    Answer::new(data, page.ornament([Cell::faint(summary)]))
}

fn info(seen: &SeenProject) -> Answer {
    let project = &seen.project;
    let AutoImprove { enabled, interval } = project.auto_improve;
    let created = project.created_at.map_or_else(|| "-".to_owned(), LocalTime::to_sqlite_text);
    let page = Page::default()
        .field("name", Cell::plain(&project.name))
        .field("path", Cell::plain(&project.path))
        .field("folder", folder_cell(seen.folder))
        .field("created", Cell::plain(created.get(..19).unwrap_or(&created)))
        .field("concurrency", Cell::plain(project.concurrency.get()))
        .field("auto improve", Cell::plain(if enabled { "on" } else { "off" }))
        .field("every minutes", Cell::plain(interval.get()));
    Answer::new(seen_json(seen), page)
}

fn changed(what: &str, project: &Project) -> Answer {
    let cells = [
        Cell::new(Tone::Good, what),
        Cell::strong(&project.name),
        Cell::plain(format!(" at {}", project.path)),
    ];
    Answer::new(project_json(project), Page::default().line(cells))
}

fn folder_cell(state: FolderState) -> Cell {
    match state {
        FolderState::Usable => Cell::new(Tone::Good, "there"),
        FolderState::Missing => Cell::new(Tone::Bad, "missing"),
        FolderState::NotAFolder => Cell::new(Tone::Bad, "no folder"),
        FolderState::NotReadable => Cell::new(Tone::Attention, "not readable"),
        FolderState::NotWritable => Cell::new(Tone::Attention, "not writable"),
        FolderState::Unknown => Cell::new(Tone::Attention, "not known"),
    }
}

fn row(seen: &SeenProject) -> Vec<Cell> {
    let project = &seen.project;
    let AutoImprove { enabled, interval } = project.auto_improve;
    let improved = if enabled { format!("every {} min", interval.get()) } else { "no".to_owned() };
    vec![
        Cell::strong(&project.name),
        folder_cell(seen.folder),
        Cell::plain(&project.path),
        Cell::plain(project.concurrency.get()),
        Cell::faint(improved),
    ]
}

fn project_json(project: &Project) -> Value {
    let AutoImprove { enabled, interval } = project.auto_improve;
    json!({
        "name": project.name,
        "path": project.path,
        "created_at": project.created_at.map(|at| at.to_string()),
        "default_concurrency": project.concurrency.get(),
        "auto_improve_enabled": enabled,
        "auto_improve_interval_minutes": interval.get(),
    })
}

fn seen_json(seen: &SeenProject) -> Value {
    let mut value = project_json(&seen.project);
    crate::cli::view::insert(&mut value, "folder", seen.folder.as_str().into());
    value
}
