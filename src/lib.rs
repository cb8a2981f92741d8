//! Storage that lets many AI coding agents work on one project at once.
#![deny(missing_docs)]

mod actor;
#[cfg(feature = "cli")]
pub mod cli;
mod command;
mod database;
mod engine;
mod error;
#[cfg(feature = "cli")]
pub mod mcp;
mod project;
mod store;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod types;

pub use command::{
    AddDependency, AnswerHumanInput, Blocked, BlockedFeature, Board, BoardEntry, BulkRefusal,
    Claim, ClaimFeature, ClaimNext, ClaimedNext, ClearInProgress, Command, CreateFeature,
    CreateFeatures, CreateRefusal, CreatedFeatures, DeleteFeature, DeletedFeature, DependencyList,
    DependencyProblem, DependencyRefusal, FeatureChanges, FeatureRefusal, GetBlocked, GetBoard,
    GetFeature, GetGraph, GetReady, GetStats, GetSummary, Graph, GraphEntry, HumanInputRefusal,
    ImportBacklog, ImportRefusal, ListFeatures, MarkFailing, MarkInProgress, MarkPassing,
    PassedFeature, Ready, RemoveDependency, RequestHumanInput, SetDependencies, SkipFeature,
    SkippedFeature, Stats, UpdateFeature, UpdateRefusal,
};
pub use database::{Database, Features, Schema};
pub use engine::{
    BackupReport, CheckpointReport, CloseReport, Diagnosis, JournalMode, OpenOptions,
    SQLITE_REQUIRED,
};
pub use error::{Error, Failure, LockHolder, OpenError, Refusal, StorageError};
pub use project::ProjectLayout;
pub use store::{ImportedBacklog, Opening, Reply, Store, dispose};
pub use tx::{Access, Read, Tx, Write};
pub use types::{
    AnswerProblem, BacklogEntry, BacklogProblem, DependencyGraph, EntryProblem, Feature, FeatureId,
    FeatureSummary, FieldProblem, GraphNode, HumanInputAnswer, HumanInputRequest, InvalidFeature,
    InvalidRequest, Limits, NewFeature, PlannedFeature, Revision, Status, Steps, Timestamp,
};
