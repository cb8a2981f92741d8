//! What a migration of the layout would do, from looking at names alone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::files::Place;
use super::{LayoutError, ProjectFile, ProjectLayout};

/// A file on its way to `.autoforge/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMove {
    /// What it is.
    pub file: ProjectFile,
    /// Where it is.
    pub from: PathBuf,
    /// Where it belongs.
    pub to: PathBuf,
}

/// A file in an old place that stays there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftFile {
    /// The file.
    pub path: PathBuf,
    /// Why it stays.
    pub reason: String,
}

/// What [`migrate_layout`](crate::migrate_layout) would do.
#[derive(Debug, Clone, Default)]
pub struct MigrationPlan {
    /// What would be moved, databases first.
    pub moves: Vec<PlannedMove>,
    /// What would stay in an old place.
    pub left: Vec<LeftFile>,
    /// What forbids it.
    pub problems: Vec<LayoutError>,
    /// An earlier migration was begun and has not ended.
    pub interrupted: bool,
}

impl ProjectLayout {
    /// What a migration would do and what forbids it, as far as names and owners tell. Whether
    /// somebody has a database open shows only when it is tried. Changes nothing.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # autoforge_store::Store::open_project(dir.path()).unwrap().close();
    /// use autoforge_store::ProjectLayout;
    ///
    /// let plan = ProjectLayout::existing(dir.path())?.plan_migration();
    /// assert!(plan.moves.is_empty(), "a new project lies where it belongs");
    /// # Ok::<(), autoforge_store::OpenError>(())
    /// ```
    #[must_use]
    pub fn plan_migration(&self) -> MigrationPlan {
        let mut plan =
            MigrationPlan { interrupted: self.is_migrating(), ..MigrationPlan::default() };
        for file in ProjectFile::ALL {
            plan.add(self, file);
        }
        plan.problems.extend(self.running());
        plan
    }

    /// The lock files that say that somebody works on the project.
    pub(crate) fn running(&self) -> Vec<LayoutError> {
        let standing = ProjectFile::LOCKS.iter().flat_map(|file| {
            let what = match file {
                ProjectFile::AgentLock => "an agent",
                _ => "a development server",
            };
            let places = self.standing(*file).into_iter();
            places.map(move |(_, lock)| LayoutError::Running { lock, what })
        });
        standing.collect()
    }

    /// The first thing in the way of moving or removing a database that stands there.
    pub(crate) fn problem_with(&self, place: Place, path: &Path) -> Option<LayoutError> {
        let link = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        let folder = self.in_place(place);
        if place != Place::Current && link(&folder) {
            return Some(LayoutError::Link { path: folder });
        }
        if link(path) {
            return Some(LayoutError::Link { path: path.to_owned() });
        }
        let owner = fs::metadata(path).map(|file| file.uid()).ok()?;
        let us = rustix::process::geteuid().as_raw();
        let path = path.to_owned();
        (owner != us && us != 0).then_some(LayoutError::NotOwner { path, owner })
    }
}

impl MigrationPlan {
    fn add(&mut self, layout: &ProjectLayout, file: ProjectFile) {
        let mut standing = layout.standing(file).into_iter().peekable();
        let to = layout.current(file);
        let moved = standing.next_if(|(place, _)| *place != Place::Current);
        let used = match (&moved, standing.peek()) {
            (Some((_, path)), _) => path.clone(),
            (None, Some(_)) => to.clone(),
            (None, None) => return,
        };
        for (_, other) in standing.filter(|(place, _)| *place != Place::Current) {
            if file.is_database() {
                self.problems.push(LayoutError::TwoPlaces { file, used: used.clone(), other });
            } else {
                let reason = format!("{} is the one that is used", used.display());
                self.left.push(LeftFile { path: other, reason });
            }
        }
        let Some((place, from)) = moved else { return };
        self.problems.extend(layout.problem_with(place, &from));
        self.moves.push(PlannedMove { file, from, to });
    }
}
