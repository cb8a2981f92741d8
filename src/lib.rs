//! Storage that lets many AI coding agents work on one project at once, and never corrupts, loses or
//! double-assigns anything.
//!
//! A project's features lie in one SQLite file that many processes share. In each process one thread
//! a file owns the only connection; callers hand it typed [`Command`]s, which it carries out in
//! groups, each command in a savepoint of one IMMEDIATE transaction, and answers when their commit is
//! on disk. Between processes there is SQLite's own locking and nothing else.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let project = dir.path();
//! use autoforge_store::{ClaimNext, ClaimedNext, CreateFeature, MarkPassing, NewFeature, Store};
//!
//! let store = Store::open_project(project)?;
//! let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"])?;
//! store.call(CreateFeature::new(login))?;
//!
//! // Of many agents, in any number of processes, exactly one gets each feature.
//! if let ClaimedNext::Feature(claimed) = store.call(ClaimNext)? {
//!     store.call(MarkPassing { id: claimed.feature.id })?;
//! }
//! assert_eq!(store.call(ClaimNext)?, ClaimedNext::AllPassing);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Start with [`Store`]; each command documents what it does. [`Error`] tells a command's refusal
//! from a fault of the storage. The feature `cli`, on by default, adds the program's own parts, `mcp`
//! its server alone; the library needs none of them.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod actor;
#[cfg(feature = "cli")]
pub mod cli;
mod command;
mod crash;
mod database;
mod engine;
mod error;
mod home;
mod host;
#[cfg(feature = "mcp")]
mod logging;
#[cfg(feature = "mcp")]
pub mod mcp;
#[cfg(feature = "orchestrator")]
pub mod orchestrator;
mod project;
mod store;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod types;
#[cfg(feature = "cli")]
mod webhook;

pub use command::{
    AddDependency, AnswerHumanInput, Blocked, BlockedFeature, Board, BoardEntry, Budget,
    BulkRefusal, ChangesRefusal, CheckFeatures, Claim, ClaimBatch, ClaimFeature, ClaimNext,
    ClaimedFeature, ClaimedNext, ClearInProgress, Command, CreateFeature, CreateFeatures,
    CreateRefusal, CreatedFeatures, DeleteFeature, DeletedFeature, DependencyList,
    DependencyProblem, DependencyRefusal, ExplainFeature, Explanation, FeatureChanges,
    FeatureFindings, FeatureRefusal, FoldFeatures, GetAttempts, GetBlocked, GetBoard, GetBudgets,
    GetChanges, GetClaims, GetFeature, GetGraph, GetLog, GetPolicy, GetReady, GetSnapshot,
    GetStats, GetSummary, Graph, GraphEntry, Hindrance, HumanInputRefusal, ImportBacklog,
    ImportRefusal, LeftOut, ListFeatures, MarkFailing, MarkInProgress, MarkPassing, Once,
    OnceRefusal, PassedFeature, PreviewUndo, PriorityProblem, Ready, RecordFindings, RecoverClaims,
    RecoveredClaim, RemoveDependency, RenewClaims, RenewedClaims, RequestHumanInput, RetryFeature,
    SetDependencies, SetPolicy, Signed, SkipFeature, SkippedFeature, Snapshot, StandingClaim,
    Stats, Testable, Undo, UndoRefusal, UndoTarget, Undone, UndoneStep, UpdateFeature,
    UpdateRefusal,
};
pub use command::{
    AddMessage, ConversationCursor, ConversationPage, ConversationRefusal, CreateConversation,
    DeleteConversation, DeletedConversation, GetConversation, GetMessages, GetProject, GetSetting,
    ListConversations, ListProjects, ListSettings, ListedConversation, MessageSpan, ProjectRefusal,
    RegisterProject, RenameConversation, SetAutoImprove, SetConcurrency, SetSettings,
    SettingRefusal, UnregisterProject, UpdateProjectPath, WholeConversation,
};
pub use command::{
    AfterCrash, CreateSchedule, DeleteSchedule, DeletedSchedule, GetActiveOverride, GetSchedule,
    GetScheduleState, IncrementCrashCount, ListOverrides, ListSchedules, ModelChange, NotWanted,
    PurgeExpiredOverrides, ResetCrashCount, ScheduleChanges, ScheduleRefusal, SetOverride,
    UpdateSchedule,
};
pub use command::{
    ClaimProgress, GetProgress, GetReportedProgress, PassingFeature, Progress, ProgressReport,
};
pub use database::{Assistant, Database, Features, Registry, Schema};
pub use engine::{
    BackupReport, CheckpointReport, CloseReport, Diagnosis, Examination, JournalMode, OpenOptions,
    SQLITE_REQUIRED,
};
pub use error::{Error, Failure, LockHolder, OpenError, Refusal, StorageError};
pub use home::{FolderState, HomeLayout};
#[cfg(feature = "mcp")]
pub(crate) use logging::start_log;
pub use project::{LayoutError, LeftFile, MigrationPlan, PlannedMove, ProjectFile, ProjectLayout};
pub use store::{
    ClaimedProgress, Commits, ImportedBacklog, KeptCopy, LayoutOptions, LeaseKeeper, Migration,
    Opening, ProjectProgress, Reply, Reset, ResetPlan, ResetScope, Restoration, SeenProject, Store,
    dispose, migrate_layout, open_elsewhere, reset_project, restore_features,
};
pub use tx::{Access, Circumstances, Read, Tx, Write};
pub use types::{
    AnswerProblem, AttemptEnd, AttemptOutcome, BacklogProblem, Caller, Change, ClaimRecord,
    DependencyGraph, DependencyState, Effect, EntryProblem, Event, EventId, EventKind, Feature,
    FeatureId, FeatureSummary, FenceToken, Field, FieldProblem, GraphCounts, GraphNode, Holder,
    HumanInputAnswer, HumanInputRequest, InvalidFeature, InvalidRequest, InvalidRequestId, Lease,
    Limits, Moment, NewFeature, Obstacle, PlannedFeature, Policy, ProcessIdentity, RequestId,
    Revision, RootCauses, Status, Steps, Stored, Tenure, Timestamp, Uptime,
};
pub use types::{
    AutoImprove, Conversation, ConversationId, ConversationTitle, ImproveInterval,
    InvalidConversation, InvalidProject, InvalidSetting, LocalTime, Message, MessageId,
    NewConversation, NewMessage, Project, ProjectPath, Role, Secret, Setting, SettingChange,
    SettingKey, SettingValue, StoredRole,
};
pub use types::{
    ConcernedSchedule, Concurrency, InvalidConcurrency, InvalidProjectName, InvalidSchedule,
    ModelName, NewSchedule, OverrideId, OverrideKind, ProjectName, ReportedProgress, Schedule,
    ScheduleId, ScheduleOverride, ScheduleState, TimeOfDay, Verdict, Weekdays, WeeklyWindow,
    Window, WindowMinutes, restart_delay,
};
#[cfg(feature = "cli")]
pub use webhook::{Delivered, Delivery, InvalidWebhook, Webhook};
