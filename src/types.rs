//! What a feature store talks about: identifiers, features, requests to humans, limits.
//!
//! Nothing here touches a database, a thread or a clock. Values that users hand in are checked when
//! they are made ([`NewFeature::new`], [`HumanInputRequest::new`]), so a command never meets an
//! invalid one; values read from a file are taken as they are, because other programs write it too.

mod backlog;
mod claim;
mod concurrency;
mod conversation;
mod digest;
mod event;
mod feature;
mod graph;
mod human_input;
mod json_text;
mod limits;
mod policy;
mod process;
mod progress;
mod project;
mod project_name;
mod request_id;
mod schedule;
mod setting;
mod signature;
mod timestamp;

pub use backlog::{BacklogProblem, EntryProblem};
pub use claim::{
    AttemptEnd, AttemptOutcome, Caller, ClaimRecord, FenceToken, Holder, Lease, Tenure,
};
pub use concurrency::{Concurrency, InvalidConcurrency};
pub use conversation::{
    Conversation, ConversationId, ConversationTitle, InvalidConversation, Message, MessageId,
    NewConversation, NewMessage, Role, StoredRole,
};
pub(crate) use digest::Fnv1a;
pub(crate) use event::Fields;
pub use event::{Change, Effect, Event, EventId, EventKind, Field, Stored};
pub use feature::{
    Feature, FeatureId, FeatureSummary, InvalidFeature, NewFeature, PlannedFeature, Revision,
    Status, Steps,
};
pub(crate) use feature::{check_category, check_description, check_name, check_steps, ids_json};
pub use graph::{DependencyGraph, DependencyState, GraphCounts, GraphNode, Obstacle, RootCauses};
pub use human_input::{
    AnswerProblem, FieldProblem, HumanInputAnswer, HumanInputRequest, InvalidRequest,
};
pub(crate) use json_text::{parse_json, read_answer, to_json_text};
pub use limits::Limits;
pub use policy::Policy;
pub use process::{Moment, ProcessIdentity, Uptime};
pub use progress::ReportedProgress;
pub use project::{AutoImprove, ImproveInterval, InvalidProject, Project, ProjectPath};
pub use project_name::{InvalidProjectName, ProjectName};
pub use request_id::{InvalidRequestId, RequestId};
pub(crate) use schedule::override_at;
pub use schedule::{
    ConcernedSchedule, InvalidSchedule, ModelName, NewSchedule, OverrideId, OverrideKind, Schedule,
    ScheduleId, ScheduleOverride, ScheduleState, TimeOfDay, Verdict, Weekdays, WeeklyWindow,
    Window, WindowMinutes, restart_delay,
};
pub use setting::{InvalidSetting, Secret, Setting, SettingChange, SettingKey, SettingValue};
pub(crate) use signature::Signature;
pub use timestamp::{LocalTime, Timestamp};
