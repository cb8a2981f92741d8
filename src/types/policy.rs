//! How long the store remembers, and how often a feature is tried.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rules of one file, kept in it.
///
/// ```
/// use autoforge_store::Policy;
/// assert_eq!(Policy::default().attempts, Some(3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Failed attempts of owners after which a feature is not ready any more until somebody resets
    /// it; `None` for no limit. Default: 3.
    pub attempts: Option<u32>,
    /// Events that are kept; older ones are forgotten. Default: 100,000.
    pub events: u32,
    /// Attempts that are kept beside the running ones. Default: 10,000.
    pub ended_claims: u32,
    /// Answers to commands with a request id that are kept; 0 keeps none, so nobody is protected
    /// from a repetition. Default: 10,000.
    pub answers: u32,
    /// For how long such answers are kept, by the clock on the wall; older ones are forgotten little
    /// by little as new ones come. Default: 24 hours.
    pub answers_for: Duration,
}

impl Policy {
    /// Whether a feature that has failed so often has used up its attempts.
    pub(crate) fn is_used_up(&self, failures: u32) -> bool {
        self.attempts.is_some_and(|limit| failures >= limit)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: Some(3),
            events: 100_000,
            ended_claims: 10_000,
            answers: 10_000,
            answers_for: Duration::from_hours(24),
        }
    }
}
