//! Answers that are kept for those who ask again.

use super::{Access, LenientRow, Tx, Write};
use crate::types::RequestId;

/// How many old answers are forgotten at most for each that comes: more than one, so that the table
/// shrinks to its bounds where they were lowered, and few, since nobody else writes meanwhile.
const FORGOTTEN_AT_ONCE: u32 = 8;

/// What was answered to a request.
#[derive(Debug)]
pub(crate) struct KeptAnswer {
    /// The name of the command that was carried out.
    pub(crate) command: String,
    /// The digest of its arguments; `None` for what only another program can have written.
    pub(crate) digest: Option<i64>,
    /// Its output as JSON.
    pub(crate) answer: String,
}

impl<A: Access> Tx<'_, A> {
    /// What was answered to a request, while that is kept; however old it is.
    pub(crate) fn kept_answer(&self, id: &RequestId) -> rusqlite::Result<Option<KeptAnswer>> {
        self.first(
            "SELECT command, digest, answer FROM autoforge_requests WHERE request = ?1",
            [id.as_str()],
            |row| {
                Ok(KeptAnswer {
                    command: row.text(0)?,
                    digest: row.optional_integer(1)?,
                    answer: row.text(2)?,
                })
            },
        )
    }
}

impl Tx<'_, Write> {
    /// Keeps the answer to a request that has none yet, and forgets a few of the oldest: those
    /// beyond the number, and those beyond the age by the clock on the wall. A clock that is wrong
    /// makes answers stay longer or go earlier; the number bounds the table whatever it says.
    pub(crate) fn keep_answer(
        &self,
        id: &RequestId,
        command: &'static str,
        digest: i64,
        answer: &str,
    ) -> rusqlite::Result<()> {
        let now = self.circumstances().moment().wall.to_microseconds();
        self.execute(
            "INSERT INTO autoforge_requests (request, command, digest, answered_at, answer)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (id.as_str(), command, digest, now, answer),
        )?;
        let (answers, kept_for) = self.answers_kept()?;
        let longest = i64::try_from(kept_for.as_micros()).unwrap_or(i64::MAX);
        let last_beyond = self.inserted().saturating_sub(answers.into());
        self.execute(
            "DELETE FROM autoforge_requests
             WHERE seq IN (SELECT seq FROM autoforge_requests ORDER BY seq LIMIT ?1)
             AND (seq <= ?2 OR answered_at < ?3)",
            (FORGOTTEN_AT_ONCE, last_beyond, now.saturating_sub(longest)),
        )
        .map(drop)
    }
}
