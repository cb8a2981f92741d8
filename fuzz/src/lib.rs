//! What the fuzz targets share: commands and what else happens made of few bytes, projects that cost
//! no disk, and a client of the MCP server.

#![expect(clippy::unwrap_used, reason = "whatever fails ends the run")]

// What the property tests look at, the targets look at too.
#[path = "../../tests/model/file.rs"]
#[expect(dead_code, reason = "only the tests begin with files of others")]
mod file;
#[path = "../../tests/model/raw.rs"]
mod raw;
#[path = "../../tests/model/replay.rs"]
mod replay;
#[path = "../../tests/model/scene.rs"]
mod scene;

mod frames;
mod json;
mod ops;
mod project;
mod server;
mod spelling;
mod steps;
mod tools;

pub use frames::converse;
pub use ops::{Id, RawOp, Word};
pub use project::{folder, with_project};
pub use steps::{RawStep, take_all};
pub use tools::{RawCalls, call_all};
