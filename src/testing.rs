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
mod form;
mod model;
mod op;
mod schedule;
mod strategy;

use crate::Store;

pub use backlog::realistic_backlog;
pub use form::{FieldKind, FormField, Given, fits, is_form};
pub use model::Model;
pub use op::{Answer, Expect, Op, Outcome, Texts};
pub use strategy::{op, ops};

/// Compares everything that can be read: each feature whole, the counters, what is ready and what
/// is blocked, the graph, the board, and what is unusual.
///
/// # Errors
/// Names the first reading on which the two differ, and what each says.
pub fn compare(model: &Model, store: &Store) -> Result<(), String> {
    let everything = usize::MAX;
    for op in [
        Op::ListFeatures,
        Op::GetStats,
        Op::GetReady { limit: everything },
        Op::GetBlocked { limit: everything },
        Op::GetGraph,
        Op::GetBoard,
        Op::CheckFeatures,
    ] {
        let (expected, found) = (model.read(&op), op.apply_to(store));
        if expected.as_ref() != Some(&found) {
            return Err(format!("{op:?}\nthe model says {expected:#?}\nthe store says {found:#?}"));
        }
    }
    Ok(())
}
