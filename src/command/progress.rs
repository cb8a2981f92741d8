//! How far a project is: in numbers, and as a report that is made once.

use std::collections::BTreeSet;
use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Command;
use super::feature::Stats;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Access, LenientRow, Read, Tx, Write};
use crate::types::{FeatureId, ReportedProgress, Timestamp, to_json_text};

/// A feature that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassingFeature {
    /// Its number.
    pub id: FeatureId,
    /// What it belongs to.
    pub category: String,
    /// What it is called.
    pub name: String,
}

impl PassingFeature {
    /// `category name`, as reports name it; the name alone where it belongs to nothing.
    #[must_use]
    pub fn title(&self) -> String {
        match self.category.as_str() {
            "" => self.name.clone(),
            category => format!("{category} {}", self.name),
        }
    }
}

/// How far a project is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// In numbers.
    pub stats: Stats,
    /// The features that pass, by priority, then by id; `None` where nobody asked for them.
    pub passing: Option<Vec<PassingFeature>>,
}

/// How far a project is, also in a file of any earlier release: what its columns do not say is zero.
/// For [`Store::look`](crate::Store::look), which brings no file up to date.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{GetProgress, OpenOptions, Store};
///
/// let path = Store::open_project(dir.path())?.path().to_owned();
/// let look = GetProgress { names: true };
/// let progress = Store::look(path, &OpenOptions::default(), &look)?;
/// assert_eq!((progress.stats.total, progress.passing), (0, Some(vec![])));
/// # Ok::<(), autoforge_store::OpenError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GetProgress {
    /// Also which features pass.
    pub names: bool,
}

impl Command for GetProgress {
    const NAME: &'static str = "get_progress";
    type Database = Features;
    type Access = Read;
    type Output = Progress;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Progress, Failure<Infallible>> {
        let columns = columns(tx)?;
        let stats = stats(tx, &columns)?;
        // A file that was made and not filled has no table yet.
        let passing = match (self.names, columns.is_empty()) {
            (false, _) => None,
            (true, true) => Some(Vec::new()),
            (true, false) => Some(passing(tx)?),
        };
        Ok(Progress { stats, passing })
    }
}

fn columns<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<BTreeSet<String>> {
    let names = tx.all("SELECT name FROM pragma_table_info('features')", [], |row| row.text(0))?;
    Ok(names.into_iter().collect())
}

fn stats<A: Access>(tx: &Tx<'_, A>, columns: &BTreeSet<String>) -> rusqlite::Result<Stats> {
    const NOTHING: Stats = Stats { passing: 0, in_progress: 0, needs_human_input: 0, total: 0 };
    if columns.is_empty() {
        return Ok(NOTHING);
    }
    let sql = match (columns.contains("in_progress"), columns.contains("needs_human_input")) {
        (true, true) => {
            "SELECT count(*), count(nullif(passes, 0)), count(nullif(in_progress, 0)),
                    count(nullif(needs_human_input, 0))
             FROM features"
        }
        (true, false) => {
            "SELECT count(*), count(nullif(passes, 0)), count(nullif(in_progress, 0)), 0
             FROM features"
        }
        (false, true) => {
            "SELECT count(*), count(nullif(passes, 0)), 0, count(nullif(needs_human_input, 0))
             FROM features"
        }
        (false, false) => "SELECT count(*), count(nullif(passes, 0)), 0, 0 FROM features",
    };
    let stats = tx.first(sql, [], |row| {
        let count = |column| Ok::<_, rusqlite::Error>(row.integer(column, 0)?.unsigned_abs());
        Ok(Stats {
            total: count(0)?,
            passing: count(1)?,
            in_progress: count(2)?,
            needs_human_input: count(3)?,
        })
    })?;
    Ok(stats.unwrap_or(NOTHING))
}

fn passing<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Vec<PassingFeature>> {
    tx.all(
        "SELECT id, category, name FROM features WHERE nullif(passes, 0) IS NOT NULL
         ORDER BY priority, id",
        [],
        |row| {
            Ok(PassingFeature {
                id: FeatureId::from(row.integer(0, 0)?),
                category: row.text(1)?,
                name: row.text(2)?,
            })
        },
    )
}

/// That more features pass than were last reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressReport {
    /// How many pass now.
    pub passing: u64,
    /// How many there are.
    pub total: u64,
    /// How many passed when progress was last reported.
    pub previous_passing: u64,
    /// The features that pass now and did not then, by priority: `category name` each. None where
    /// nobody noted which passed then.
    pub completed: Vec<String>,
    /// When this was seen.
    pub at: Timestamp,
}

impl ProgressReport {
    /// The report as the webhook gets it, about a project of this name.
    #[must_use]
    pub fn to_json(&self, project: &str) -> Value {
        let Self { passing, total, previous_passing, completed, at } = self;
        let share =
            Stats { passing: *passing, total: *total, in_progress: 0, needs_human_input: 0 };
        json!({
            "event": "test_progress",
            "passing": passing,
            "total": total,
            "percentage": share.percentage(),
            "previous_passing": previous_passing,
            "tests_completed_this_session": passing.saturating_sub(*previous_passing),
            "completed_tests": completed,
            "project": project,
            "timestamp": at.to_iso8601().replace("+00:00", "Z"),
        })
    }

    /// The body of the webhook's request: an array with the one report, in the text that AutoForge's
    /// programs send.
    #[must_use]
    pub fn to_webhook_body(&self, project: &str) -> String {
        to_json_text(&Value::from(vec![self.to_json(project)]))
    }
}

/// Decides whether more features pass than were last reported, by whatever process. If so, that counts
/// as reported from this commit on, and the caller gets the report: of any number of callers at once,
/// exactly one.
///
/// A report is sent **at most once**: if its caller dies before it has sent it, nobody does, and the
/// next report tells of it only in its numbers. Whoever prefers to send twice rather than never asks
/// with a request id ([`Command::once`]), and again with the same one.
///
/// [`Store::claim_progress`](crate::Store::claim_progress) does this beside AutoForge's own programs,
/// which remember in a file.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{ClaimProgress, CreateFeature, MarkPassing, NewFeature, Store};
///
/// let store = Store::open_project(dir.path())?;
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"])?;
/// let id = store.call(CreateFeature::new(login))?.id;
/// store.call(MarkPassing { id })?;
/// let report = store.call(ClaimProgress { cached: None })?.expect("one more passes");
/// assert_eq!(report.completed, ["Auth Log in"]);
/// assert_eq!(store.call(ClaimProgress { cached: None })?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct ClaimProgress {
    /// What AutoForge's programs remember; what they have reported is not reported again. `None` where
    /// they remember nothing.
    #[serde(skip)]
    pub cached: Option<ReportedProgress>,
}

impl Command for ClaimProgress {
    const NAME: &'static str = "claim_progress";
    type Database = Features;
    type Access = Write;
    type Output = Option<ProgressReport>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Option<ProgressReport>, Failure<Infallible>> {
        let stored = reported_count(tx)?;
        let cached = self.cached.as_ref().map(|cached| cached.count);
        let previous = stored.max(cached).unwrap_or(0);
        let stats = stats(tx, &columns(tx)?)?;
        if stats.passing <= previous {
            // What others have reported is kept, should their memory be lost.
            if let Some(cached) = self.cached.as_ref().filter(|_| cached > stored) {
                note_reported(tx, cached)?;
            }
            return Ok(None);
        }
        let before = match (reported(tx)?, self.cached.clone()) {
            (Some(stored), Some(cached)) => stored.newer(cached),
            (stored, cached) => {
                stored.or(cached).unwrap_or_else(|| ReportedProgress::new(0, Vec::new()))
            }
        };
        let passing = passing(tx)?;
        let completed = before.ids.map_or_else(Vec::new, |ids| completed_since(&passing, &ids));
        let ids = passing.into_iter().map(|feature| feature.id).collect();
        note_reported(tx, &ReportedProgress::new(stats.passing, ids))?;
        Ok(Some(ProgressReport {
            passing: stats.passing,
            total: stats.total,
            previous_passing: previous,
            completed,
            at: tx.circumstances().moment().wall,
        }))
    }
}

fn completed_since(passing: &[PassingFeature], ids: &[FeatureId]) -> Vec<String> {
    let known: BTreeSet<&FeatureId> = ids.iter().collect();
    let new = passing.iter().filter(|feature| !known.contains(&feature.id));
    new.map(PassingFeature::title).collect()
}

/// What counts as reported, by us or by AutoForge's programs as far as we have seen; `None` before the
/// first time.
#[derive(Debug, Clone, Copy)]
pub struct GetReportedProgress;

impl Command for GetReportedProgress {
    const NAME: &'static str = "get_reported_progress";
    type Database = Features;
    type Access = Read;
    type Output = Option<ReportedProgress>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Option<ReportedProgress>, Failure<Infallible>> {
        Ok(reported(tx)?)
    }
}

fn reported_count<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Option<u64>> {
    tx.first("SELECT value FROM autoforge_store WHERE fact = 'progress_reported'", [], |row| {
        Ok(u64::try_from(row.integer(0, 0)?).unwrap_or(0))
    })
}

/// In the order in which AutoForge's programs list them: by priority; features that are gone last.
fn reported<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Option<ReportedProgress>> {
    let Some(count) = reported_count(tx)? else { return Ok(None) };
    let ids = tx.all(
        "SELECT feature_id FROM autoforge_progress LEFT JOIN features ON id = feature_id
         ORDER BY priority IS NULL, priority, feature_id",
        [],
        |row| Ok(FeatureId::from(row.integer(0, 0)?)),
    )?;
    Ok(Some(ReportedProgress::new(count, ids)))
}

fn note_reported(tx: &Tx<'_, Write>, reported: &ReportedProgress) -> rusqlite::Result<()> {
    let count = i64::try_from(reported.count).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO autoforge_store (fact, value) VALUES ('progress_reported', ?1)
         ON CONFLICT (fact) DO UPDATE SET value = excluded.value",
        [count],
    )?;
    // Only what differs is written: of a large project, a report touches a few pages.
    let wanted: BTreeSet<i64> = reported.ids.iter().flatten().map(|id| id.get()).collect();
    let present =
        tx.all("SELECT feature_id FROM autoforge_progress", [], |row| row.integer(0, 0))?;
    let present: BTreeSet<i64> = present.into_iter().collect();
    for id in present.difference(&wanted) {
        tx.execute("DELETE FROM autoforge_progress WHERE feature_id = ?1", [id])?;
    }
    for id in wanted.difference(&present) {
        tx.execute("INSERT INTO autoforge_progress (feature_id) VALUES (?1)", [id])?;
    }
    Ok(())
}
