//! Claims: who works on a feature, under which token, and for how long.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event::named_enum;
use super::{FeatureId, Moment, ProcessIdentity, Timestamp};

/// The number of a claim. Each claim has a higher one than every claim before it in the file, so a
/// write that carries the token of a claim that has ended is told from one of the claim that
/// stands, however late it comes.
///
/// ```
/// use autoforge_store::FenceToken;
/// assert!(FenceToken::from(7) < FenceToken::from(8));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FenceToken(i64);

impl FenceToken {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for FenceToken {
    fn from(token: i64) -> Self {
        Self(token)
    }
}

impl fmt::Display for FenceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who calls: an agent in one of its sessions, and the process that speaks for it.
///
/// Two callers are the same if all of it is equal.
///
/// ```
/// use autoforge_store::{Caller, ProcessIdentity};
///
/// let agent = Caller::new("coder-1", "monday").in_process(ProcessIdentity::current());
/// assert_eq!(agent.agent, "coder-1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// What the agent is called.
    pub agent: String,
    /// Which of its runs this is.
    pub session: String,
    /// The process whose death ends its claims; `None` where only their leases do.
    pub process: Option<ProcessIdentity>,
}

impl Caller {
    /// A caller without a process.
    #[must_use]
    pub fn new(agent: impl Into<String>, session: impl Into<String>) -> Self {
        Self { agent: agent.into(), session: session.into(), process: None }
    }

    /// The same, with its claims bound to a process.
    #[must_use]
    pub fn in_process(self, process: Option<ProcessIdentity>) -> Self {
        Self { process, ..self }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.agent)?;
        match &self.process {
            Some(process) => write!(f, " ({process})"),
            None => Ok(()),
        }
    }
}

/// For how long a claim is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tenure {
    /// By nobody in particular, until somebody releases it: as AutoForge's programs claim.
    #[default]
    Unowned,
    /// By the caller, until it releases it, its process dies, or the lease has run out since the
    /// claim was last renewed.
    Owned {
        /// `None` for as long as its process lives.
        lease: Option<Duration>,
    },
}

named_enum! {
    /// How an attempt at a feature ended.
    AttemptOutcome;
    /// The feature passes.
    Passed = "passed",
    /// The claim was given back, taken away, or the feature was deleted.
    Released = "released",
    /// The lease ran out.
    Expired = "expired",
    /// The process of its owner died.
    Died = "died",
    /// The feature was found to fail.
    Failed = "failed",
    /// A human was asked.
    WaitingForHuman = "waiting_for_human",
}

impl AttemptOutcome {
    /// Whether an attempt of an owner that ends so counts against the feature's budget.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Died | Self::Expired)
    }
}

/// How and when an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: AttemptOutcome,
    /// Why, where somebody said so.
    pub reason: Option<String>,
}

/// A lease: how long a claim lasts without being renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// How long.
    pub length: Duration,
    /// When it was last renewed, or taken.
    pub renewed: Moment,
}

impl Lease {
    /// Whether it has run out by `now`.
    #[must_use]
    pub fn is_over(&self, now: &Moment) -> bool {
        now.since(&self.renewed) >= self.length
    }

    /// How much of it is left at `now`; zero once it has run out.
    ///
    /// ```
    /// use autoforge_store::{Lease, Moment};
    /// use std::time::Duration;
    /// let now = Moment::now();
    /// let lease = Lease { length: Duration::from_secs(90), renewed: now.clone() };
    /// assert_eq!(lease.left(&now), Duration::from_secs(90));
    /// ```
    #[must_use]
    pub fn left(&self, now: &Moment) -> Duration {
        self.length.saturating_sub(now.since(&self.renewed))
    }
}

/// One claim on a feature, and the attempt that it is: it stands until it has an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRecord {
    /// Its number.
    pub token: FenceToken,
    /// What is claimed.
    pub feature: FeatureId,
    /// By whom; `None` for a claim that names nobody.
    pub owner: Option<Caller>,
    /// Since when.
    pub taken_at: Timestamp,
    /// For how long, where it has a limit.
    pub lease: Option<Lease>,
    /// How it ended; `None` while it stands.
    pub end: Option<AttemptEnd>,
}

impl ClaimRecord {
    /// The claim as the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let owner = self.owner.as_ref();
        let process = owner.and_then(|owner| owner.process.as_ref());
        let end = self.end.as_ref();
        json!({
            "token": self.token.get(),
            "feature_id": self.feature.get(),
            "agent": owner.map(|owner| &owner.agent),
            "session": owner.map(|owner| &owner.session),
            "pid": process.map(|process| process.pid),
            "host": process.map(|process| &process.host),
            "taken_at": self.taken_at.to_iso8601(),
            "lease_seconds": self.lease.as_ref().map(|lease| lease.length.as_secs_f64()),
            "renewed_at": self.lease.as_ref().map(|lease| lease.renewed.wall.to_iso8601()),
            "ended_at": end.map(|end| end.at.to_iso8601()),
            "outcome": end.map(|end| end.outcome.as_str()),
            "reason": end.and_then(|end| end.reason.as_deref()),
        })
    }
}

/// Who holds a feature, for messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// By whom it is claimed; `None` for a claim that names nobody.
    pub owner: Option<Caller>,
    /// Since when.
    pub since: Timestamp,
}

impl Holder {
    pub(crate) fn of(claim: &ClaimRecord) -> Self {
        Self { owner: claim.owner.clone(), since: claim.taken_at }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => owner.fmt(f)?,
            None => f.write_str("somebody who gave no name")?,
        }
        write!(f, " since {}", self.since)
    }
}
