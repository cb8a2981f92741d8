//! Points at which a test can end this process as `kill -9` would, or hold it to look around.
//!
//! Code that leaves something half done between two steps names the place in between:
//! `crash_point("migrate.switched")`. Without the feature `testing` that is an empty function, so no
//! released program has such a point or reads the variable. With it, the variable
//! [`CrashPlan::VARIABLE`] says what happens and where. A child process of a test gets it; the test
//! then asserts what the child left on disk:
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use autoforge_store::testing::CrashPlan;
//!
//! let plan = CrashPlan::kill("migrate.switched");
//! let mut program = std::process::Command::new("autoforge-store");
//! program.env(CrashPlan::VARIABLE, plan.to_string());
//! # }
//! ```
//!
//! With [`CrashPlan::List`] a process tells every point that it comes by, so a test can kill at each
//! of them without a list that grows old.

#[cfg(feature = "testing")]
mod plan;

#[cfg(feature = "testing")]
pub use plan::CrashPlan;
#[cfg(feature = "testing")]
pub(crate) use plan::crash_point;

/// A place between two steps; see the module.
#[cfg(not(feature = "testing"))]
pub(crate) const fn crash_point(_name: &'static str) {}
