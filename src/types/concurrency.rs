//! How many agents run at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many coding agents run at once, in a project or while a schedule's window is open: 1 to 5;
/// AutoForge's default is 3.
///
/// ```
/// use autoforge_store::Concurrency;
/// assert_eq!(Concurrency::default(), Concurrency::new(3)?);
/// assert!(Concurrency::new(6).is_err());
/// # Ok::<(), autoforge_store::InvalidConcurrency>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
pub struct Concurrency(u8);

impl Concurrency {
    /// Checks the number.
    ///
    /// # Errors
    /// [`InvalidConcurrency`] outside 1 to 5.
    pub fn new(agents: i64) -> Result<Self, InvalidConcurrency> {
        let known = u8::try_from(agents).ok().filter(|agents| (1..=5).contains(agents));
        known.map(Self).ok_or(InvalidConcurrency { found: agents })
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0.into()
    }

    /// What another program stored, within the bounds.
    pub(crate) fn from_stored(agents: i64) -> Self {
        Self::new(agents.clamp(1, 5)).unwrap_or_default()
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self(3)
    }
}

impl From<Concurrency> for i64 {
    fn from(agents: Concurrency) -> Self {
        agents.get()
    }
}

impl TryFrom<i64> for Concurrency {
    type Error = InvalidConcurrency;

    fn try_from(agents: i64) -> Result<Self, InvalidConcurrency> {
        Self::new(agents)
    }
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// So many agents cannot run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to 5 agents run at once, not {found}")]
pub struct InvalidConcurrency {
    /// The number.
    pub found: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_five_agents_run_at_once_and_what_a_file_holds_comes_within_that() {
        for found in [0, 6, -3, i64::MAX] {
            assert_eq!(Concurrency::new(found), Err(InvalidConcurrency { found }));
        }
        for (stored, agents) in [(i64::MIN, 1), (0, 1), (4, 4), (99, 5), (i64::MAX, 5)] {
            assert_eq!(Concurrency::from_stored(stored).get(), agents);
        }
        assert!(serde_json::from_str::<Concurrency>("9").is_err());
    }
}
