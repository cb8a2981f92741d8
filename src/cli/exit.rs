//! Exit codes, stable and listed in `--help`.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// Something else went wrong.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// Somebody else has it, or its state forbids it.
    Conflict = 4,
    /// Nothing is ready to be worked on.
    NothingReady = 5,
    /// The database is busy; try again.
    Busy = 6,
    /// The database is damaged or no database; see `doctor`.
    Corrupt = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
