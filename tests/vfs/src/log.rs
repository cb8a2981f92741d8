//! What changed the disk, in order.

use std::sync::Arc;

/// One change of the disk, one sync, or a mark of the test's own.
///
/// Files have numbers: a name that was removed and made again leads to another file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields named for what they hold; offsets and sizes in bytes")]
pub enum Step {
    /// A new, empty file got a name.
    Link { name: Arc<str>, file: usize },
    /// A name was removed.
    Unlink { name: Arc<str> },
    /// All names up to here are on disk.
    SyncFolder,
    /// Bytes were written.
    Write { file: usize, name: Arc<str>, offset: u64, bytes: Arc<[u8]> },
    /// A file was cut, or made longer.
    Truncate { file: usize, name: Arc<str>, size: u64 },
    /// What is in a file up to here is on disk.
    Sync { file: usize, name: Arc<str> },
    /// See [`Disk::mark`](crate::Disk::mark).
    Mark(u64),
}

/// A record of what changed a disk.
#[derive(Debug, Clone)]
pub struct Log {
    steps: Vec<Step>,
}

impl Log {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps }
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same on a disk that lies: it said yes to some syncs and did nothing. The function gets the
    /// steps and the place of a sync, of a file or of the folder, and says whether it was a lie.
    #[must_use]
    pub fn with_lies(&self, lie: impl Fn(&[Step], usize) -> bool) -> Self {
        let is_sync = |step: &Step| matches!(step, Step::Sync { .. } | Step::SyncFolder);
        let kept = self.steps.iter().enumerate();
        let kept = kept.filter(|(at, step)| !(is_sync(step) && lie(&self.steps, *at)));
        Self { steps: kept.map(|(_, step)| step.clone()).collect() }
    }
}
