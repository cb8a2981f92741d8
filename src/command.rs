//! The commands: one type each, with its transaction and its answer.
//!
//! A new command is one new file below (or a verb beside its kin) and one `pub use` line here.

mod dependency;
mod feature;
mod human_input;

use std::fmt;

use crate::database::Database;
use crate::error::{Failure, Refusal};
use crate::tx::{Access, Tx};

pub use dependency::{
    AddDependency, DependencyList, DependencyRefusal, RemoveDependency, SetDependencies,
};
pub use feature::{
    Blocked, BlockedFeature, Board, BoardEntry, BulkRefusal, CheckFeatures, Claim, ClaimFeature,
    ClaimNext, ClaimedNext, ClearInProgress, CreateFeature, CreateFeatures, CreateRefusal,
    CreatedFeatures, DeleteFeature, DeletedFeature, DependencyProblem, FeatureChanges,
    FeatureFindings, FeatureRefusal, GetBlocked, GetBoard, GetFeature, GetGraph, GetReady,
    GetStats, GetSummary, Graph, GraphEntry, ImportBacklog, ImportRefusal, ListFeatures,
    MarkFailing, MarkInProgress, MarkPassing, PassedFeature, PriorityProblem, Ready, SkipFeature,
    SkippedFeature, Stats, UpdateFeature, UpdateRefusal,
};
pub use human_input::{AnswerHumanInput, HumanInputRefusal, RequestHumanInput};

/// A typed operation on one kind of database, carried out in one transaction.
///
/// `run` reads everything it decides on and writes everything it changes through the transaction
/// it is lent. Time, randomness and ids from outside are fields of the command, so that running
/// the same commands in the same order gives the same file.
///
/// **Atomicity**: a command that refuses, fails or panics leaves nothing behind, whatever its
/// neighbours in the same group do. **Durability**: an answer is given only after the commit that
/// holds it has been synced to disk.
///
/// The trait is closed: only this crate can issue SQL through a [`Tx`].
///
/// ```
/// use autoforge_store::{Command, GetStats};
/// assert_eq!(GetStats::NAME, "get_stats");
/// ```
pub trait Command: fmt::Debug + Send + 'static {
    /// Its name in snake case, for logs and errors.
    const NAME: &'static str;
    /// The kind of file it works on.
    type Database: Database;
    /// [`Read`](crate::Read) or [`Write`](crate::Write).
    type Access: Access;
    /// What it answers.
    type Output: Send + 'static;
    /// Why it may refuse; [`Infallible`](std::convert::Infallible) where it never does.
    type Rejection: Refusal;

    /// Does the work.
    ///
    /// # Errors
    /// [`Failure::Refused`] for a verdict about the data, [`Failure::Sqlite`] for a fault.
    fn run(&self, tx: &Tx<'_, Self::Access>) -> Result<Self::Output, Failure<Self::Rejection>>;
}
