//! The rules of the file, as facts beside the format.

use std::time::Duration;

use super::{Access, LenientRow, Tx, Write};
use crate::types::Policy;

impl<A: Access> Tx<'_, A> {
    /// A fact about the file; `None` where nobody has set it.
    pub(super) fn fact(&self, fact: &'static str) -> rusqlite::Result<Option<i64>> {
        self.first("SELECT value FROM autoforge_store WHERE fact = ?1", [fact], |row| {
            row.integer(0, 0)
        })
    }

    /// How often a feature may fail; `None` where there is no limit.
    pub(crate) fn attempts_limit(&self) -> rusqlite::Result<Option<u32>> {
        Ok(match self.fact("attempts")? {
            None => Policy::default().attempts,
            // Anything below 1 stands for no limit.
            Some(..=0) => None,
            Some(limit) => Some(u32::try_from(limit).unwrap_or(u32::MAX)),
        })
    }

    /// How many answers are kept, and for how long.
    pub(super) fn answers_kept(&self) -> rusqlite::Result<(u32, Duration)> {
        let usual = Policy::default();
        let seconds = self.fact("answers_kept_seconds")?;
        let kept_for = seconds.map_or(usual.answers_for, |seconds| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        });
        Ok((self.count("answers_kept", usual.answers)?, kept_for))
    }

    fn count(&self, fact: &'static str, usual: u32) -> rusqlite::Result<u32> {
        let count = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
        Ok(self.fact(fact)?.map_or(usual, count))
    }

    pub(crate) fn policy(&self) -> rusqlite::Result<Policy> {
        let usual = Policy::default();
        let (answers, answers_for) = self.answers_kept()?;
        Ok(Policy {
            attempts: self.attempts_limit()?,
            events: self.count("events_kept", usual.events)?.max(1),
            ended_claims: self.count("claims_kept", usual.ended_claims)?,
            answers,
            answers_for,
        })
    }
}

impl Tx<'_, Write> {
    pub(crate) fn set_policy(&self, policy: &Policy) -> rusqlite::Result<()> {
        if let Some(index) = self.index {
            index.touch_policy();
        }
        let seconds = i64::try_from(policy.answers_for.as_secs()).unwrap_or(i64::MAX);
        for (fact, value) in [
            ("attempts", policy.attempts.map_or(0, i64::from)),
            ("events_kept", i64::from(policy.events.max(1))),
            ("claims_kept", i64::from(policy.ended_claims)),
            ("answers_kept", i64::from(policy.answers)),
            ("answers_kept_seconds", seconds),
        ] {
            self.execute(
                "INSERT INTO autoforge_store (fact, value) VALUES (?1, ?2)
                 ON CONFLICT (fact) DO UPDATE SET value = excluded.value",
                (fact, value),
            )?;
        }
        Ok(())
    }
}
