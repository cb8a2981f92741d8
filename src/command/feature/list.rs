//! Looking at features.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;

use super::{FeatureRefusal, existing};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Read, Tx};
use crate::types::{Feature, FeatureId, FeatureSummary};

/// How far a project is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Features that pass.
    pub passing: u64,
    /// Features that somebody works on.
    pub in_progress: u64,
    /// Features that wait for a human.
    pub needs_human_input: u64,
    /// All features.
    pub total: u64,
}

impl Stats {
    /// The share of passing features in percent, to one decimal; 0 for a project without features.
    #[must_use]
    pub fn percentage(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "no table holds 2^53 rows")]
        let share = self.passing as f64 / self.total as f64 * 100.0;
        // Formatting rounds the exact binary value to the nearest decimal, as the old programs do;
        // multiplying by ten first would round a second time.
        format!("{share:.1}").parse().unwrap_or(share)
    }
}

/// Counts the features by state.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{GetStats, Store};
///
/// let stats = Store::open_project(dir.path()).unwrap().call(GetStats).unwrap();
/// assert_eq!((stats.total, stats.percentage()), (0, 0.0));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GetStats;

impl Command for GetStats {
    const NAME: &'static str = "get_stats";
    type Database = Features;
    type Access = Read;
    type Output = Stats;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Stats, Failure<Infallible>> {
        let [total, passing, in_progress, needs_human_input] = tx.counts_by_flags()?;
        Ok(Stats { passing, in_progress, needs_human_input, total })
    }
}

/// One feature, whole.
#[derive(Debug, Clone, Copy)]
pub struct GetFeature {
    /// Which one.
    pub id: FeatureId,
}

impl Command for GetFeature {
    const NAME: &'static str = "get_feature";
    type Database = Features;
    type Access = Read;
    type Output = Feature;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Feature, Failure<FeatureRefusal>> {
        existing(tx, self.id)
    }
}

/// One feature without its long texts.
#[derive(Debug, Clone, Copy)]
pub struct GetSummary {
    /// Which one.
    pub id: FeatureId,
}

impl Command for GetSummary {
    const NAME: &'static str = "get_summary";
    type Database = Features;
    type Access = Read;
    type Output = FeatureSummary;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<FeatureSummary, Failure<FeatureRefusal>> {
        let id = self.id;
        tx.feature_summary(id)?.ok_or(Failure::Refused(FeatureRefusal::NotFound { id }))
    }
}

/// Every feature, ordered by priority, then id: the order of an export.
#[derive(Debug, Clone, Copy)]
pub struct ListFeatures;

impl Command for ListFeatures {
    const NAME: &'static str = "list_features";
    type Database = Features;
    type Access = Read;
    type Output = Vec<Feature>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Feature>, Failure<Infallible>> {
        Ok(tx.features()?)
    }
}

/// Folds every feature into a value, one at a time, ordered by priority, then id, all as of one moment:
/// for lists that shall not be held in memory. Answers the value, or what the fold broke off with; as
/// [`Iterator::try_fold`].
///
/// The fold runs on the engine's thread, which does nothing else meanwhile and keeps the log from being
/// begun anew. So it must not wait: write to a file or to memory, not to a pipe. It must not call the
/// store either. One that panics is a command that panics: see
/// [`StorageError::Panicked`](crate::StorageError::Panicked).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use std::ops::ControlFlow;
/// use autoforge_store::{Feature, FoldFeatures, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let longest = FoldFeatures::new(0, |longest: usize, feature: Feature| {
///     let length = feature.description.len();
///     if length > 10_000 { return ControlFlow::Break(feature.id) }
///     ControlFlow::Continue(longest.max(length))
/// });
/// assert_eq!(store.call(longest).unwrap(), ControlFlow::Continue(0));
/// ```
pub struct FoldFeatures<S, F>(RefCell<Option<(S, F)>>);

impl<S, F> FoldFeatures<S, F> {
    /// Begins with this value, and makes of it and a feature the next one.
    pub fn new<B>(begin: S, fold: F) -> Self
    where
        F: FnMut(S, Feature) -> ControlFlow<B, S>,
    {
        Self(RefCell::new(Some((begin, fold))))
    }
}

impl<S, F> fmt::Debug for FoldFeatures<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldFeatures").finish_non_exhaustive()
    }
}

impl<S, F, B> Command for FoldFeatures<S, F>
where
    S: Send + 'static,
    F: FnMut(S, Feature) -> ControlFlow<B, S> + Send + 'static,
    B: Send + 'static,
{
    const NAME: &'static str = "fold_features";
    type Database = Features;
    type Access = Read;
    type Output = ControlFlow<B, S>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<ControlFlow<B, S>, Failure<Infallible>> {
        // A command is carried out once.
        let (begin, fold) = self.0.take().ok_or(rusqlite::Error::InvalidQuery)?;
        Ok(tx.fold_features(begin, fold)?)
    }
}

/// A feature on the [`Board`].
#[derive(Debug, Clone, PartialEq)]
pub struct BoardEntry {
    /// The feature.
    pub feature: Feature,
    /// Its dependencies that do not pass, missing ones included.
    pub blocked_by: Vec<FeatureId>,
    /// The features that wait for this one, by id; none once it passes.
    pub blocks: Vec<FeatureId>,
}

/// All features by the column in which people look for them, each column by priority, then id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Board {
    /// Neither done, nor waiting for a human, nor claimed.
    pub pending: Vec<BoardEntry>,
    /// Claimed.
    pub in_progress: Vec<BoardEntry>,
    /// Passing.
    pub done: Vec<BoardEntry>,
    /// Waiting for a human.
    pub needs_human_input: Vec<BoardEntry>,
}

/// Lists all features in columns, with what blocks them and what they block.
#[derive(Debug, Clone, Copy)]
pub struct GetBoard;

impl Command for GetBoard {
    const NAME: &'static str = "get_board";
    type Database = Features;
    type Access = Read;
    type Output = Board;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Board, Failure<Infallible>> {
        let features = tx.features()?;
        let passing: HashMap<FeatureId, bool> =
            features.iter().map(|feature| (feature.id, feature.passes)).collect();
        let unmet = |feature: &Feature| -> Vec<FeatureId> {
            let waits_for = |id: &&FeatureId| !passing.get(*id).copied().unwrap_or(false);
            feature.dependencies.iter().filter(waits_for).copied().collect()
        };
        let mut blocks: HashMap<FeatureId, Vec<FeatureId>> = HashMap::new();
        for feature in features.iter().filter(|feature| !feature.passes) {
            for dependency in unmet(feature) {
                blocks.entry(dependency).or_default().push(feature.id);
            }
        }
        let mut board = Board::default();
        for feature in features {
            let column = if feature.passes {
                &mut board.done
            } else if feature.needs_human_input {
                &mut board.needs_human_input
            } else if feature.in_progress {
                &mut board.in_progress
            } else {
                &mut board.pending
            };
            let blocked_by = if feature.passes { Vec::new() } else { unmet(&feature) };
            let mut blocks = blocks.remove(&feature.id).unwrap_or_default();
            blocks.sort_unstable();
            blocks.dedup();
            column.push(BoardEntry { feature, blocked_by, blocks });
        }
        Ok(board)
    }
}
