//! The reference model: what the commands should do, said a second time and naively.
//!
//! An [`Op`] is a command as plain data. [`Op::apply_to`] runs it on a real store, [`Model::apply`]
//! on a table in memory, and both give an [`Outcome`]; the two must agree, whatever the sequence.
//! Tests, fuzz targets and benchmarks share this module. It is there with the feature `testing`
//! only, and may change in any release.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! use autoforge_store::Store;
//! use autoforge_store::testing::{Model, Op, compare};
//!
//! let store = Store::open_project(dir.path()).unwrap();
//! let mut model = Model::default();
//! for op in [Op::ClaimNext, Op::MarkPassing(7), Op::GetStats] {
//!     assert_eq!(op.apply_to(&store), model.apply(&op));
//! }
//! compare(&model, &store).unwrap();
//! ```

mod backlog;
mod call;
mod conversations;
mod foreign;
mod form;
mod model;
mod op;
mod registry;
mod row;
mod schedule;
mod schedules;
mod step;
mod strategy;

use crate::Store;

pub use crate::crash::CrashPlan;
pub use backlog::realistic_backlog;
pub use call::{Call, OWNERS, Token, World};
pub use conversations::{
    ConversationNeighbour, ConversationOp, ConversationOutcome, ConversationStep, Conversations,
    conversation_steps, second,
};
pub use foreign::Foreign;
pub use form::{FieldKind, FormField, Given, fits, is_form};
pub use model::Model;
pub use op::{Answer, Expect, Op, Outcome, Texts};
pub use registry::{RegistryModel, RegistryOp, RegistryOutcome, RegistryStep, registry_steps};
pub use row::{Layout, Row};
pub use schedules::{
    ForeignWrite, ListFilter, ScheduleModel, ScheduleOp, ScheduleOutcome, compare_schedules,
    schedule_ops,
};
pub use step::{Ending, Sequence, Step};
pub use strategy::{call, foreign, op, ops, row, steps};

/// Compares everything that can be read: each feature whole, the counters, what is ready and what
/// is blocked, the graph, the board, what is unusual, the claims and attempts, the policy and the
/// history.
///
/// # Errors
/// Names the first reading on which the two differ, and what each says.
pub fn compare(model: &Model, store: &Store) -> Result<(), String> {
    compare_in(model, store, &World::default())
}

/// As [`compare`], for a model that was told of a world: some claims are over in it, and what they
/// held is ready.
///
/// # Errors
/// As [`compare`].
pub fn compare_in(model: &Model, store: &Store, world: &World) -> Result<(), String> {
    let everything = usize::MAX;
    let readings = [
        Op::ListFeatures,
        Op::GetStats,
        Op::GetReady { limit: everything },
        Op::GetBlocked { limit: everything },
        Op::GetGraph,
        Op::GetBoard,
        Op::CheckFeatures,
        Op::GetSnapshot,
        Op::GetClaims,
        Op::GetAttempts { feature: None, limit: everything },
        Op::GetPolicy,
        Op::GetChanges { since: 0, limit: everything },
    ];
    compare_on(&readings, model, store, world)
}

/// As [`compare_in`], on these readings only.
///
/// # Errors
/// As [`compare`].
pub fn compare_on(
    readings: &[Op],
    model: &Model,
    store: &Store,
    world: &World,
) -> Result<(), String> {
    for op in readings {
        let (expected, found) =
            (model.read(op, world), op.apply_as(store, &Call::default(), world));
        if expected.as_ref() != Some(&found) {
            return Err(format!("{op:?}\nthe model says {expected:#?}\nthe store says {found:#?}"));
        }
    }
    Ok(())
}
