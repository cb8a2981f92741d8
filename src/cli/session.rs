//! One run of one command: its project, its store, what it says beside its answer.

use std::path::Path;

use super::args::Arguments;
use super::exit::Failed;
use super::locate::Place;
use super::output::{Note, Output};
use crate::{
    Assistant, CloseReport, Features, HomeLayout, LayoutOptions, OpenOptions, Opening,
    ProjectLayout, Registry, Store,
};

/// What a command needs of the world.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    arguments: &'a Arguments,
    opened: Vec<Opened>,
    notes: Vec<Note>,
}

/// A store that is to be closed at the end.
#[derive(Debug)]
enum Opened {
    Features(Store<Features>),
    Assistant(Store<Assistant>),
    Registry(Store<Registry>),
}

impl Opened {
    fn close(&self) -> CloseReport {
        match self {
            Self::Features(store) => store.close(),
            Self::Assistant(store) => store.close(),
            Self::Registry(store) => store.close(),
        }
    }
}

impl<'a> Session<'a> {
    pub(crate) fn new(arguments: &'a Arguments) -> Self {
        Self { arguments, opened: Vec::new(), notes: Vec::new() }
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
        self.arguments.open_options()
    }

    pub(crate) fn open_folder(&mut self, folder: &Path) -> Result<Store, Failed> {
        let store = Store::open_project_with(folder, &self.options())?;
        self.opened.push(Opened::Features(store.clone()));
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
        self.tell_of_move(opening);
        Ok(store)
    }

    fn tell_of_move(&mut self, opening: &Opening) {
        if opening.finished_migration.is_some() {
            self.hint("a move of the project's files had been cut short, and is finished");
        }
        if let Some(problem) = &opening.layout_problem {
            self.warn(problem.clone());
        }
    }

    /// How a project's files are moved or removed. Agents stay for hours, so nobody waits for them as
    /// for a lock.
    pub(crate) fn layout_options(&self, force: bool) -> LayoutOptions {
        let default = LayoutOptions::default();
        LayoutOptions {
            force,
            wait: default.wait.min(self.arguments.lock_wait),
            allow_unsafe_file_system: self.arguments.allow_unsafe_file_system,
        }
    }

    /// Opens the project's conversations; `None` where there are none yet, and no file is made.
    pub(crate) fn open_assistant(&mut self) -> Result<Option<Store<Assistant>>, Failed> {
        let place = self.place()?;
        let there = ProjectLayout::existing(&place.folder)
            .is_ok_and(|layout| layout.assistant_db().symlink_metadata().is_ok());
        if !there {
            place.existing()?;
            return Ok(None);
        }
        let store = Store::open_assistant_with(&place.folder, &self.options())?;
        self.opened.push(Opened::Assistant(store.clone()));
        self.tell_of_move(store.opening());
        Ok(Some(store))
    }

    /// Opens the registry in a home folder, and makes it where there is none.
    pub(crate) fn open_registry(&mut self, home: &Path) -> Result<Store<Registry>, Failed> {
        let store = Store::open_registry_with(home, &self.options())?;
        self.opened.push(Opened::Registry(store.clone()));
        if store.opening().created {
            self.hint(format!("{} is made", store.path().display()));
        }
        if let Some(old) = HomeLayout::existing(home)?.left_behind() {
            let (old, used) = (old.display(), store.path().display());
            self.warn(format!("an older registry lies in {old}; {used} is used instead"));
        }
        Ok(store)
    }

    /// Opens the registry in a home folder; `None` where there is none yet, and no file is made.
    pub(crate) fn find_registry(&mut self, home: &Path) -> Result<Option<Store<Registry>>, Failed> {
        let there = HomeLayout::existing(home)?.has_registry();
        there.then(|| self.open_registry(home)).transpose()
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

    /// Closes what was opened and gives what is left to be said.
    pub(crate) fn close(mut self) -> Vec<Note> {
        for store in std::mem::take(&mut self.opened) {
            if let Some(fault) = store.close().fault {
                self.warn(format!("closing the database: {fault}"));
            }
        }
        self.notes
    }
}
