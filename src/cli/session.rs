//! One run of one command: its project, its store, what it says beside its answer.

use std::path::Path;

use super::args::Arguments;
use super::exit::Failed;
use super::locate::Place;
use super::output::{Note, Output};
use crate::{OpenOptions, ProjectLayout, Store};

/// What a command needs of the world.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    arguments: &'a Arguments,
    store: Option<Store>,
    notes: Vec<Note>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(arguments: &'a Arguments) -> Self {
        Self { arguments, store: None, notes: Vec::new() }
    }

    pub(crate) fn output(&self) -> Output {
        Output::new(self.arguments.json)
    }

    /// The project that the command is about, which need not exist.
    pub(crate) fn place(&self) -> Result<Place, Failed> {
        Place::find(self.named_folder())
    }

    /// The folder that `--dir` names.
    pub(crate) fn named_folder(&self) -> Option<&'a Path> {
        self.arguments.dir.as_deref()
    }

    /// Opens the project's store; makes no file where there is no project.
    pub(crate) fn open(&mut self) -> Result<Store, Failed> {
        let place = self.place()?;
        let layout = place.existing()?;
        self.open_folder(layout.folder())
    }

    /// Opens the project's store, and makes it where there is none.
    pub(crate) fn open_or_create(&mut self) -> Result<Store, Failed> {
        let place = self.place()?;
        let store = self.open_folder(&place.folder)?;
        if store.opening().created {
            self.hint(format!("{} is made", store.path().display()));
        }
        Ok(store)
    }

    /// How the user wants databases to be opened.
    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            lock_wait: self.arguments.lock_wait,
            allow_unsafe_file_system: self.arguments.allow_unsafe_file_system,
        }
    }

    pub(crate) fn open_folder(&mut self, folder: &Path) -> Result<Store, Failed> {
        let store = Store::open_project_with(folder, &self.options())?;
        self.store = Some(store.clone());
        let opening = store.opening();
        if let Some(imported) = &opening.imported {
            let list = ProjectLayout::existing(folder)?.legacy_backlog();
            let count = imported.features;
            let kept = imported.kept_as.as_ref();
            let kept = kept.map_or(String::new(), |name| format!(", kept as {}", name.display()));
            self.hint(format!("{count} features were imported from {}{kept}", list.display()));
        }
        if let Some(problem) = &opening.backlog_problem {
            self.warn(problem.clone());
        }
        Ok(store)
    }

    pub(crate) fn hint(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Hint(text.into()));
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Warning(text.into()));
    }

    /// The warnings so far.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let mut warnings = Vec::new();
        for note in &self.notes {
            if let Note::Warning(text) = note {
                warnings.push(text.as_str());
            }
        }
        warnings
    }

    /// Closes the store and gives what is left to be said.
    pub(crate) fn close(mut self) -> Vec<Note> {
        if let Some(fault) = self.store.take().and_then(|store| store.close().fault) {
            self.warn(format!("closing the database: {fault}"));
        }
        self.notes
    }
}
