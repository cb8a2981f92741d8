//! A lock on the folder of a database, at which processes stand in line.
//!
//! It is the system's advisory lock on the folder itself: no file of its own, no file of a database, and
//! nothing to clean up. It goes when its process does.

use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use super::Location;

/// The lock; not taken at first.
#[derive(Debug)]
pub(crate) struct FolderLock(OwnedFd);

impl FolderLock {
    /// `None` where the folder cannot be opened for it.
    #[expect(clippy::disallowed_methods, reason = "a folder, which no lock of SQLite's is on")]
    pub(crate) fn of(location: &Location) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(location.path().parent()?, flags, Mode::empty()).ok().map(Self)
    }

    pub(crate) fn try_lock(&self) -> bool {
        flock(&self.0, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Waits; `false` where the file system has no such locks.
    pub(crate) fn lock(&self) -> bool {
        loop {
            match flock(&self.0, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                ended => return ended.is_ok(),
            }
        }
    }

    pub(crate) fn unlock(&self) {
        // What can fail is a lock that is not there.
        flock(&self.0, FlockOperation::Unlock).ok();
    }
}
