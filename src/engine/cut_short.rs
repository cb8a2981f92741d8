//! What a full disk leaves of a transaction in the log.
//!
//! The end of a transaction is its last frame, so one that did not fit has none. But a log that was
//! copied back is written over from its beginning, and some file systems want space for that too. Then
//! the last frame may be cut short in the place of an old one of the same page, and what is left of that
//! one may be just what is missing. SQLite itself does not look there again. The next commit, of whomever,
//! puts an end to it; but if the last process is killed before, whoever recovers the log finds a
//! transaction that was told as undone.

use super::log_sync::sync_log;
use super::maintenance::{Mode, checkpoint};
use super::{Engine, JournalMode};

/// Bytes of a log before its first frame.
const LOG_HEADER: u64 = 32;
/// Bytes of a frame before its page.
const FRAME_HEADER: u64 = 24;

impl Engine {
    /// Whether what was cut short in a commit, and was rolled back since, will never be taken for a whole
    /// transaction. `log_before` is how long the log was before that commit.
    pub(super) fn is_gone_for_good(&mut self, log_before: u64) -> bool {
        // Without a log, the journal holds what was there until all fits. A log that has become longer
        // was cut short where there were no frames before.
        self.journal == JournalMode::Rollback
            || self.location.log_length() > log_before
            || self.has_no_old_frame().unwrap_or(false)
            || self.write_over()
    }

    /// Whether what stands behind the last commit in the log is too short for a frame.
    fn has_no_old_frame(&self) -> rusqlite::Result<bool> {
        let frames = checkpoint(&self.connection, Mode::Noop)?.log_frames;
        let page = self.connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?;
        let frame = FRAME_HEADER + u64::from(page);
        Ok(self.location.log_length() < LOG_HEADER + (u64::from(frames) + 1) * frame)
    }

    /// Commits one frame in the place of what was cut short. All that follows it there is void then,
    /// since each frame's checksum goes on from that of the one before.
    fn write_over(&mut self) -> bool {
        let written = self.execute("BEGIN IMMEDIATE").and_then(|()| {
            // Rewrites the first page as it is.
            let version = "PRAGMA user_version";
            let version: i32 = self.connection.query_row(version, [], |row| row.get(0))?;
            self.connection.pragma_update(None, "user_version", version)?;
            self.execute("COMMIT")?;
            sync_log(&self.connection)
        });
        if let Err(fault) = &written {
            self.notice_failed_sync(fault);
        }
        if !self.roll_back() {
            self.poison("a rollback failed on a full disk".to_owned());
        }
        written.is_ok()
    }
}
