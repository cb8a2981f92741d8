//! Claims and attempts: what stands on a feature, beginning and ending it, and the budget.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{ErrorCode, Row, params};

use super::events::timestamp;
use super::{Access, LenientRow, Occasion, Tx, Write};
use crate::types::{
    AttemptEnd, AttemptOutcome, Caller, ClaimRecord, EventKind, Feature, FeatureId, FenceToken,
    Field, Fields, Holder, Lease, Moment, ProcessIdentity, Tenure, Uptime,
};

macro_rules! select_claims {
    ($rest:literal) => {
        concat!(
            "SELECT token, feature_id, taken_at, agent, session, host, boot, namespace, pid, \
             started, lease, renewed_at, clock_boot, clock_namespace, renewed_uptime, ended_at, \
             outcome, reason",
            $rest
        )
    };
}
pub(super) use select_claims;

/// How many columns [`select_claims`] gives.
pub(super) const COLUMNS: usize = 18;

/// What stands on a feature.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Nothing: nobody works on it.
    Free,
    /// A claim that names nobody; without a record where it is older than the records.
    Unowned(Option<ClaimRecord>),
    /// The claim of an owner.
    Owned(ClaimRecord),
    /// The claim of an owner that is over, though nobody has written it down yet.
    Lapsed(ClaimRecord, AttemptOutcome),
}

impl Standing {
    /// Who holds the feature.
    pub(crate) fn holder(&self) -> Option<Holder> {
        match self {
            Self::Unowned(Some(claim)) | Self::Owned(claim) => Some(Holder::of(claim)),
            Self::Free | Self::Unowned(None) | Self::Lapsed(..) => None,
        }
    }
}

impl<A: Access> Tx<'_, A> {
    pub(crate) fn standing(&self, feature: &Feature) -> rusqlite::Result<Standing> {
        if !feature.in_progress {
            return Ok(Standing::Free);
        }
        Ok(match self.standing_claim(feature.id)? {
            Some(claim) if claim.owner.is_some() => match self.lapse(&claim) {
                Some(outcome) => Standing::Lapsed(claim, outcome),
                None => Standing::Owned(claim),
            },
            unowned => Standing::Unowned(unowned),
        })
    }

    /// The claim of a feature that nobody has ended, whatever the feature's flag says.
    pub(super) fn standing_claim(&self, id: FeatureId) -> rusqlite::Result<Option<ClaimRecord>> {
        self.first(
            select_claims!(" FROM autoforge_claims WHERE feature_id = ?1 AND outcome IS NULL"),
            [id.get()],
            claim,
        )
    }

    /// How a claim that nobody has ended is over all the same: its owner's process is proven dead,
    /// or its lease has run out.
    ///
    /// Invariant: never for a process that may live while its lease runs.
    pub(super) fn lapse(&self, claim: &ClaimRecord) -> Option<AttemptOutcome> {
        let circumstances = self.circumstances();
        let process = claim.owner.as_ref()?.process.as_ref();
        if process.is_some_and(|process| circumstances.is_dead(process)) {
            return Some(AttemptOutcome::Died);
        }
        let over = claim.lease.as_ref()?.is_over(circumstances.moment());
        over.then_some(AttemptOutcome::Expired)
    }

    /// All claims that nobody has ended, by token.
    pub(crate) fn standing_claims(&self) -> rusqlite::Result<Vec<ClaimRecord>> {
        self.all(
            select_claims!(
                " FROM autoforge_claims INDEXED BY autoforge_claims_standing WHERE outcome IS NULL ORDER BY token"
            ),
            [],
            claim,
        )
    }

    /// The claims that are over though nobody has written it down, and how.
    pub(crate) fn lapsed_claims(&self) -> rusqlite::Result<Vec<(ClaimRecord, AttemptOutcome)>> {
        let claims = self.standing_claims()?.into_iter();
        Ok(claims.filter_map(|claim| self.lapse(&claim).map(|outcome| (claim, outcome))).collect())
    }

    /// Whether nobody has ended the claim and it is not over.
    pub(crate) fn is_running(&self, token: FenceToken) -> rusqlite::Result<bool> {
        let claim = self.first(
            select_claims!(" FROM autoforge_claims WHERE token = ?1 AND outcome IS NULL"),
            [token.get()],
            claim,
        )?;
        Ok(claim.is_some_and(|claim| self.lapse(&claim).is_none()))
    }

    /// The latest claims, newest first: of one feature or of all.
    pub(crate) fn attempts(
        &self,
        feature: Option<FeatureId>,
        max: usize,
    ) -> rusqlite::Result<Vec<ClaimRecord>> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.all(
            select_claims!(" FROM autoforge_claims WHERE ?1 IS NULL OR feature_id = ?1 ORDER BY token DESC LIMIT ?2"),
            (feature.map(FeatureId::get), max),
            claim,
        )
    }

    /// Failed attempts by feature, where there are any: those that are written down, and the claims
    /// that are over though nobody has written it down.
    pub(crate) fn failures(&self) -> rusqlite::Result<BTreeMap<FeatureId, u32>> {
        self.failures_with(&self.lapsed_claims()?)
    }

    fn failures_with(
        &self,
        lapsed: &[(ClaimRecord, AttemptOutcome)],
    ) -> rusqlite::Result<BTreeMap<FeatureId, u32>> {
        let mut failures = self.written_failures()?;
        for (claim, _) in lapsed {
            let count = failures.entry(claim.feature).or_default();
            *count = count.saturating_add(1);
        }
        Ok(failures)
    }

    /// Failed attempts that are written down, by feature, where there are any.
    pub(super) fn written_failures(&self) -> rusqlite::Result<BTreeMap<FeatureId, u32>> {
        let written =
            self.all("SELECT feature_id, failures FROM autoforge_budgets", [], |row| {
                Ok((FeatureId::from(row.integer(0, 0)?), failures(row, 1)?))
            })?;
        Ok(written.into_iter().collect())
    }

    /// Failed attempts of one feature that are written down.
    pub(crate) fn failures_of(&self, id: FeatureId) -> rusqlite::Result<u32> {
        let count = self.first(
            "SELECT failures FROM autoforge_budgets WHERE feature_id = ?1",
            [id.get()],
            |row| failures(row, 0),
        )?;
        Ok(count.unwrap_or(0))
    }

    /// Which features nobody works on though their flag says so, and which have used up their
    /// attempts: what [`Tx::dependency_graph`] has to know of claims.
    pub(super) fn claim_marks(&self) -> rusqlite::Result<ClaimMarks> {
        let lapsed = self.lapsed_claims()?;
        let mut failures = self.failures_with(&lapsed)?;
        let policy = self.policy()?;
        failures.retain(|_, count| policy.is_used_up(*count));
        let lapsed = lapsed.into_iter().map(|(claim, _)| claim.feature).collect();
        Ok(ClaimMarks { lapsed, exhausted: failures.into_keys().collect() })
    }
}

/// See [`Tx::claim_marks`].
#[derive(Debug, Default)]
pub(super) struct ClaimMarks {
    pub(super) lapsed: BTreeSet<FeatureId>,
    pub(super) exhausted: BTreeSet<FeatureId>,
}

/// How often old attempts are forgotten: every so many claims.
const FORGET_EVERY: i64 = 64;

impl Tx<'_, Write> {
    /// Claims a feature that nobody holds, for whom and for how long the call says.
    pub(crate) fn begin_claim(&self, feature: &mut Feature) -> rusqlite::Result<FenceToken> {
        self.touch(feature.id);
        let id = feature.id.get();
        let moment = self.circumstances().moment();
        let now = moment.wall.to_microseconds();
        let signature = self.signature();
        let (owner, lease) = match (signature.tenure, signature.caller.as_deref()) {
            (Tenure::Owned { lease }, Some(caller)) => (Some(caller), lease),
            _ => (None, None),
        };
        let process = owner.and_then(|owner| owner.process.as_ref());
        let uptime = moment.uptime.as_ref().filter(|_| lease.is_some());
        let insert = || {
            self.execute(
                "INSERT INTO autoforge_claims (feature_id, taken_at, agent, session, host, boot,
                     namespace, pid, started, lease, renewed_at, clock_boot, clock_namespace,
                     renewed_uptime)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                params![
                    id,
                    now,
                    owner.map(|owner| &owner.agent),
                    owner.map(|owner| &owner.session),
                    process.map(|process| &process.host),
                    process.map(|process| &process.boot),
                    process.map(|process| &process.namespace),
                    process.map(|process| process.pid),
                    process.map(|process| integer(process.started)),
                    lease.map(|lease| integer(lease.as_micros())),
                    lease.map(|_| now),
                    uptime.map(|uptime| &*uptime.boot),
                    uptime.map(|uptime| &*uptime.namespace),
                    uptime.map(|uptime| integer(uptime.microseconds)),
                ],
            )
        };
        if let Err(fault) = insert() {
            // The index of standing claims refuses a second one.
            if fault.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
                return Err(fault);
            }
            self.end_unseen(id, now)?;
            insert()?;
        }
        let token = FenceToken::from(self.inserted());
        feature.in_progress = true;
        let occasion = Occasion::from(EventKind::Claimed).under(Some(token));
        self.change_feature(feature, Fields::of(&[Field::InProgress]), occasion)?;
        if token.get() % FORGET_EVERY == 0 {
            self.forget_attempts(token)?;
        }
        Ok(token)
    }

    /// Ends the claim that was left although the feature's flag was cleared: by a program that ran with
    /// triggers off.
    fn end_unseen(&self, id: i64, now: i64) -> rusqlite::Result<()> {
        self.execute(
            "UPDATE autoforge_claims SET ended_at = ?2, outcome = 'released', reason = 'ended unseen'
             WHERE feature_id = ?1 AND outcome IS NULL",
            (id, now),
        )
        .map(drop)
    }

    /// Notes the claim of a feature that came as one in progress.
    pub(super) fn note_unowned_claim(&self, id: FeatureId) -> rusqlite::Result<FenceToken> {
        self.touch(id);
        self.execute(
            "INSERT INTO autoforge_claims (feature_id, taken_at) VALUES (?1, ?2)",
            (id.get(), self.circumstances().moment().wall.to_microseconds()),
        )?;
        Ok(FenceToken::from(self.inserted()))
    }

    /// Begins the lease anew. The claim must be one that stands and has not lapsed.
    pub(crate) fn renew_claim(&self, token: FenceToken) -> rusqlite::Result<()> {
        let moment = self.circumstances().moment();
        let uptime = moment.uptime.as_ref();
        self.execute(
            "UPDATE autoforge_claims
             SET renewed_at = ?2, clock_boot = ?3, clock_namespace = ?4, renewed_uptime = ?5
             WHERE token = ?1 AND outcome IS NULL AND lease IS NOT NULL",
            (
                token.get(),
                moment.wall.to_microseconds(),
                uptime.map(|uptime| &*uptime.boot),
                uptime.map(|uptime| &*uptime.namespace),
                uptime.map(|uptime| integer(uptime.microseconds)),
            ),
        )
        .map(drop)
    }

    /// Writes down how an attempt ended, and counts it where it was a failure.
    pub(crate) fn end_claim(
        &self,
        claim: &ClaimRecord,
        outcome: AttemptOutcome,
    ) -> rusqlite::Result<()> {
        self.touch(claim.feature);
        self.execute(
            "UPDATE autoforge_claims SET ended_at = ?2, outcome = ?3, reason = ?4
             WHERE token = ?1 AND outcome IS NULL",
            (
                claim.token.get(),
                self.circumstances().moment().wall.to_microseconds(),
                outcome.as_str(),
                self.signature().reason.as_deref(),
            ),
        )?;
        if claim.owner.is_some() && outcome.is_failure() {
            self.execute(
                "INSERT INTO autoforge_budgets (feature_id, failures) VALUES (?1, 1)
                 ON CONFLICT (feature_id) DO UPDATE SET failures = failures + 1",
                [claim.feature.get()],
            )?;
        }
        Ok(())
    }

    /// Ends a claim that is over, and frees its feature.
    pub(crate) fn end_lapsed(
        &self,
        feature: &mut Feature,
        claim: &ClaimRecord,
        outcome: AttemptOutcome,
    ) -> rusqlite::Result<()> {
        let kind = match outcome {
            AttemptOutcome::Died => EventKind::Died,
            _ => EventKind::Expired,
        };
        feature.in_progress = false;
        let occasion = Occasion::from(kind).under(Some(claim.token));
        self.change_feature(feature, Fields::of(&[Field::InProgress]), occasion)?;
        self.end_claim(claim, outcome)
    }

    /// Ends every claim that is over, and gives them as they were with how they ended.
    pub(crate) fn recover(&self) -> rusqlite::Result<Vec<(ClaimRecord, AttemptOutcome)>> {
        let lapsed = match self.index {
            Some(index) => index.look(self, |contents| contents.lapsed(self))?,
            None => self.lapsed_claims()?,
        };
        for (claim, outcome) in &lapsed {
            match self.feature(claim.feature)? {
                Some(mut feature) => self.end_lapsed(&mut feature, claim, *outcome)?,
                None => self.end_claim(claim, *outcome)?,
            }
        }
        Ok(lapsed)
    }

    /// Forgets the failed attempts of a feature; `false` where there were none.
    pub(crate) fn clear_failures(&self, id: FeatureId) -> rusqlite::Result<bool> {
        self.touch(id);
        let cleared =
            self.execute("DELETE FROM autoforge_budgets WHERE feature_id = ?1", [id.get()])?;
        Ok(cleared > 0)
    }

    /// Forgets the oldest attempts beyond those that are kept; standing ones stay.
    fn forget_attempts(&self, newest: FenceToken) -> rusqlite::Result<()> {
        let kept = i64::from(self.policy()?.ended_claims);
        self.execute(
            "DELETE FROM autoforge_claims WHERE token <= ?1 AND outcome IS NOT NULL",
            [newest.get().saturating_sub(kept)],
        )
        .map(drop)
    }
}

/// SQLite's integers are signed; what is beyond them is further away than anybody lives.
fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A number of failed attempts; none where there is no row about them.
pub(super) fn failures(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.integer(column, 0)?.max(0)).unwrap_or(u32::MAX))
}

pub(super) fn claim(row: &Row<'_>) -> rusqlite::Result<ClaimRecord> {
    let optional = |column| row.optional_integer(column);
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    let process = match (optional(8)?, optional(9)?) {
        (Some(pid), Some(started)) => Some(ProcessIdentity {
            host: row.text(5)?,
            boot: row.text(6)?,
            namespace: row.text(7)?,
            pid: u32::try_from(pid).unwrap_or(u32::MAX),
            started: unsigned(started),
        }),
        _ => None,
    };
    let owner = match row.optional_text(3)? {
        Some(agent) => Some(Caller { agent, session: row.text(4)?, process }),
        None => None,
    };
    let uptime = match optional(14)? {
        Some(microseconds) => Some(Uptime {
            boot: Arc::from(row.text(12)?),
            namespace: Arc::from(row.text(13)?),
            microseconds: unsigned(microseconds),
        }),
        None => None,
    };
    let lease = match optional(10)? {
        Some(length) => Some(Lease {
            length: Duration::from_micros(unsigned(length)),
            renewed: Moment { wall: timestamp(row.integer(11, 0)?), uptime },
        }),
        None => None,
    };
    let end = match row.optional_text(16)? {
        Some(outcome) => Some(AttemptEnd {
            at: timestamp(row.integer(15, 0)?),
            // A later release may know more ways to end; all of them free the feature.
            outcome: AttemptOutcome::from_name(&outcome).unwrap_or(AttemptOutcome::Released),
            reason: row.optional_text(17)?,
        }),
        None => None,
    };
    Ok(ClaimRecord {
        token: FenceToken::from(row.integer(0, 0)?),
        feature: FeatureId::from(row.integer(1, 0)?),
        owner,
        taken_at: timestamp(row.integer(2, 0)?),
        lease,
        end,
    })
}
