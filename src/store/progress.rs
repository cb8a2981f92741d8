//! How far a project is: looked at without changing anything, and reported once beside AutoForge's own
//! programs.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Store;
use crate::command::{ClaimProgress, GetProgress, GetReportedProgress, Progress, ProgressReport};
use crate::database::Features;
use crate::engine::OpenOptions;
use crate::error::{Error, OpenError};
use crate::project::ProjectLayout;
use crate::types::ReportedProgress;

/// The folders of a project in which AutoForge's programs look for a file, in their order.
const PLACES: [&str; 3] = [".autoforge", ".autocoder", ""];
const CACHE: &str = ".progress_cache";
/// A longer cache is not read: it takes more than a million features to fill it.
const CACHE_BYTES: u64 = 16 << 20;
/// How often the cache is written for one claim at most. Each time somebody else has written it
/// meanwhile, or has claimed more.
const ROUNDS: usize = 16;

/// How far a project is, as far as its files tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectProgress {
    /// There is a `feature_list.json`, the list of the time before databases. It is imported when the
    /// project is opened, unless the database has features.
    pub listed: bool,
    /// What the database holds; `None` where there is none.
    pub counted: Option<Progress>,
}

impl ProjectProgress {
    /// Whether the project has features: a list of them, or a row in its database.
    #[must_use]
    pub fn has_features(&self) -> bool {
        self.listed || self.counted.as_ref().is_some_and(|progress| progress.stats.total > 0)
    }
}

/// What [`Store::claim_progress`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedProgress {
    /// The report, which nobody else gets; `None` where no more features pass than were reported.
    pub report: Option<ProgressReport>,
    /// Why AutoForge's own programs could not be told. They may report the same once more, if they
    /// look before a later claim has told them.
    pub cache_problem: Option<String>,
}

impl Store<Features> {
    /// Looks how far a project is, whatever release left its files, and changes nothing in them. With
    /// `names`, also which features pass.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use autoforge_store::{OpenOptions, ProjectLayout, Store};
    ///
    /// let layout = ProjectLayout::existing(dir.path())?;
    /// let progress = Store::look_at_progress(&layout, &OpenOptions::default(), false)?;
    /// assert!(!progress.has_features() && progress.counted.is_none());
    /// # Ok::<(), autoforge_store::OpenError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::look`]. What cannot be read is an error and never "no features".
    pub fn look_at_progress(
        layout: &ProjectLayout,
        options: &OpenOptions,
        names: bool,
    ) -> Result<ProjectProgress, OpenError> {
        let path = layout.features_db();
        let there = path.symlink_metadata().is_ok();
        let look = || Self::look(&path, options, &GetProgress { names });
        let counted = there.then(look).transpose()?;
        Ok(ProjectProgress { listed: layout.legacy_backlog().exists(), counted })
    }

    /// Decides by [`ClaimProgress`] whether more features pass than were last reported, and gives the
    /// report to exactly one of all who ask. Takes into account what AutoForge's programs remember in
    /// the project's `.progress_cache`, and then brings that file along, so that they do not report the
    /// same again.
    ///
    /// The report is decided when the claim is on disk; the file follows. If the process dies between
    /// the two, the next claim brings the file along. AutoForge's programs look, send and write without
    /// excluding anybody, so one of them that is about to report at the same moment may do it as well.
    ///
    /// # Errors
    /// The storage's fault; nothing is reported then.
    pub fn claim_progress(
        &self,
        layout: &ProjectLayout,
    ) -> Result<ClaimedProgress, Error<Infallible>> {
        let cache = Cache::of(self, layout);
        // What cannot be read is nobody's memory; it is written anew below.
        let cached = cache.read().unwrap_or(None);
        let report = self.call(ClaimProgress { cached })?;
        Ok(ClaimedProgress { report, cache_problem: self.bring_along(&cache).err() })
    }

    /// Writes the cache until it knows of all that is reported. Each round looks at both again, so of
    /// several writers the last one to look leaves it right, in whatever order they wrote.
    fn bring_along(&self, cache: &Cache<'_>) -> Result<(), String> {
        let failed = |error: io::Error| format!("writing {} failed: {error}", cache.path.display());
        for _ in 0..ROUNDS {
            let reported = self.call(GetReportedProgress).map_err(|fault| fault.to_string())?;
            let Some(reported) = reported.filter(|reported| reported.count > 0) else {
                return Ok(());
            };
            let cached = cache.read().unwrap_or(None);
            if cached.is_some_and(|cached| cached.count >= reported.count) {
                return Ok(());
            }
            cache.write(&reported).map_err(failed)?;
        }
        Err(format!("others keep changing {}", cache.path.display()))
    }
}

/// The memory of AutoForge's programs: a text file in the project.
struct Cache<'s> {
    store: &'s Store<Features>,
    path: PathBuf,
}

impl<'s> Cache<'s> {
    /// The first of its places that has it; else it belongs beside the database, where they find it.
    fn of(store: &'s Store<Features>, layout: &ProjectLayout) -> Self {
        let mut places = PLACES.map(|place| layout.folder().join(place).join(CACHE)).into_iter();
        let found = places.find(|place| place.symlink_metadata().is_ok());
        let path = found.unwrap_or_else(|| store.path().with_file_name(CACHE));
        Self { store, path }
    }

    /// What it says; `None` where it is not there or says nothing that can be understood.
    fn read(&self) -> io::Result<Option<ReportedProgress>> {
        let file = match fs::metadata(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.is_file() || self.store.is_own_file(&self.path) {
            return Ok(None);
        }
        let mut text = String::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "looked at: not the database by another name"
        )]
        let file = fs::File::open(&self.path)?;
        file.take(CACHE_BYTES).read_to_string(&mut text)?;
        Ok(ReportedProgress::from_cache_text(&text))
    }

    /// Replaces it as a whole, with the rights that it had.
    fn write(&self, reported: &ReportedProgress) -> io::Result<()> {
        let draft = format!("{CACHE}.{}-{:08x}.tmp", std::process::id(), fastrand::u32(..));
        let draft = self.path.with_file_name(draft);
        let written = write_new(&draft, &reported.to_cache_text()).and_then(|()| {
            if let Ok(old) = fs::metadata(&self.path) {
                fs::set_permissions(&draft, old.permissions())?;
            }
            fs::rename(&draft, &self.path)
        });
        if written.is_err() {
            // The failure to write is what has to be told.
            let _ = fs::remove_file(&draft);
        }
        written
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a new file, which is nobody's database")]
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
