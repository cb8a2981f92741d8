//! The commands: one type each, with its transaction and its answer.
//!
//! A new command is one new file below (or a verb beside its kin) and one `pub use` line here.

mod claims;
mod conversation;
mod dependency;
mod explain;
mod feature;
mod history;
mod human_input;
mod once;
mod policy;
mod progress;
mod project;
mod schedule;
mod setting;
mod signed;
mod snapshot;
mod undo;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::database::{Database, Features};
use crate::error::{Failure, Refusal};
use crate::tx::{Access, Tx, Write};
use crate::types::{Caller, FenceToken, RequestId};

pub use claims::{
    Budget, GetAttempts, GetBudgets, GetClaims, RecoverClaims, RecoveredClaim, RenewClaims,
    RenewedClaims, RetryFeature, StandingClaim,
};
pub use conversation::{
    AddMessage, ConversationCursor, ConversationPage, ConversationRefusal, CreateConversation,
    DeleteConversation, DeletedConversation, GetConversation, GetMessages, ListConversations,
    ListedConversation, MessageSpan, RenameConversation, WholeConversation,
};
pub use dependency::{
    AddDependency, DependencyList, DependencyRefusal, RemoveDependency, SetDependencies,
};
pub use explain::{ExplainFeature, Explanation, Hindrance};
pub use feature::{
    Blocked, BlockedFeature, Board, BoardEntry, BulkRefusal, CheckFeatures, Claim, ClaimBatch,
    ClaimFeature, ClaimNext, ClaimedFeature, ClaimedNext, ClearInProgress, CreateFeature,
    CreateFeatures, CreateRefusal, CreatedFeatures, DeleteFeature, DeletedFeature,
    DependencyProblem, FeatureChanges, FeatureFindings, FeatureRefusal, FoldFeatures, GetBlocked,
    GetBoard, GetFeature, GetGraph, GetReady, GetStats, GetSummary, Graph, GraphEntry,
    ImportBacklog, ImportRefusal, ListFeatures, MarkFailing, MarkInProgress, MarkPassing,
    PassedFeature, PriorityProblem, Ready, RecordFindings, SkipFeature, SkippedFeature, Stats,
    UpdateFeature, UpdateRefusal,
};
pub use history::{ChangesRefusal, GetChanges, GetLog};
pub use human_input::{AnswerHumanInput, HumanInputRefusal, RequestHumanInput};
pub use once::{Once, OnceRefusal};
pub use policy::{GetPolicy, SetPolicy};
pub use progress::{
    ClaimProgress, GetProgress, GetReportedProgress, PassingFeature, Progress, ProgressReport,
};
pub use project::{
    GetProject, ListProjects, ProjectRefusal, RegisterProject, SetAutoImprove, SetConcurrency,
    UnregisterProject, UpdateProjectPath,
};
pub use schedule::{
    AfterCrash, CreateSchedule, DeleteSchedule, DeletedSchedule, GetActiveOverride, GetSchedule,
    GetScheduleState, IncrementCrashCount, ListOverrides, ListSchedules, ModelChange, NotWanted,
    PurgeExpiredOverrides, ResetCrashCount, ScheduleChanges, ScheduleRefusal, SetOverride,
    UpdateSchedule,
};
pub use setting::{GetSetting, ListSettings, SetSettings, SettingRefusal};
pub use signed::Signed;
pub use snapshot::{GetSnapshot, Snapshot, Testable};
pub use undo::{LeftOut, PreviewUndo, Undo, UndoRefusal, UndoTarget, Undone, UndoneStep};

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

    /// Says who calls; see [`Signed`].
    fn by(self, caller: &Arc<Caller>) -> Signed<Self>
    where
        Self: Sized,
    {
        Signed::new(self).by(caller)
    }

    /// Makes the caller the owner of what the command claims; see [`Signed::owning`].
    fn owning(self, lease: Option<Duration>) -> Signed<Self>
    where
        Self: Sized,
    {
        Signed::new(self).owning(lease)
    }

    /// Says under which claim the call is made; see [`Signed::under`].
    fn under(self, token: FenceToken) -> Signed<Self>
    where
        Self: Sized,
    {
        Signed::new(self).under(token)
    }

    /// Means to act on a feature even if somebody else owns it; see [`Signed::overriding`].
    fn overriding(self) -> Signed<Self>
    where
        Self: Sized,
    {
        Signed::new(self).overriding()
    }

    /// Says why, for the history; see [`Signed::because`].
    fn because(self, reason: &str) -> Signed<Self>
    where
        Self: Sized,
    {
        Signed::new(self).because(reason)
    }

    /// Makes the command one that is carried out once, however often it is sent under this id; see
    /// [`Once`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use autoforge_store::{ClaimNext, Command, RequestId, Store};
    ///
    /// let store = Store::open_project(dir.path()).unwrap();
    /// let id: RequestId = "coder-1/monday/claim-7".parse().unwrap();
    /// let first = store.call(ClaimNext.once(id.clone())).unwrap();
    /// // The answer was lost on its way. Nothing is claimed a second time:
    /// assert_eq!(store.call(ClaimNext.once(id)).unwrap(), first);
    /// ```
    fn once(self, id: RequestId) -> Once<Self>
    where
        Self: Command<Database = Features, Access = Write> + Serialize + Sized,
        Self::Output: Serialize + DeserializeOwned,
    {
        Once::new(self, id)
    }
}
