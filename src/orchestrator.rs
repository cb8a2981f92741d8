//! The orchestrator: drives a backlog to its end with agents, each a process of its own.
//!
//! What to do next is decided by a pure function (`plan`) from a [`Snapshot`](crate::Snapshot) of the
//! project and what runs; the rest (`run`) does it. Nothing is polled but the file that asks for a
//! pause: the loop wakes when an agent ends or says something, and when anybody commits.
//!
//! Claims are taken in the agents' names, owned by this process, and renewed by it. An agent acts on
//! its features under these claims, by way of its MCP server, which finds their tokens in its
//! environment. When an agent ends, all of its processes are ended, and what it has not settled is:
//! the feature that it was at counts as a failed attempt, the ones behind it are given back.
//!
//! When this process dies, its claims are over at once, wherever they are looked at; the next
//! orchestrator of the project ends what it has left running.
//!
//! ```no_run
//! use std::path::Path;
//! use autoforge_store::OpenOptions;
//! use autoforge_store::orchestrator::{AgentCommand, Finish, Settings, Stop, run};
//!
//! let settings = Settings { coding: 5, ..Settings::new(AgentCommand::claude_code()) };
//! let mut print = |happening: &_| println!("{happening:?}");
//! let project = Path::new("my-project");
//! let outcome = run(project, &OpenOptions::default(), &settings, &Stop::new(), &mut print)?;
//! assert_eq!(outcome.finish, Some(Finish::AllPassing));
//! # Ok::<(), autoforge_store::orchestrator::RunError>(())
//! ```

mod agent;
mod command_line;
mod happening;
mod log;
mod plan;
mod process;
mod prompt;
mod run;
mod settings;
mod stop;
mod workplace;

pub use command_line::{AgentCommand, InvalidCommand};
pub use happening::{AgentExit, AgentId, Happening, Kind, Settled};
#[cfg(feature = "cli")]
pub(crate) use log::last_words;
pub use plan::Finish;
pub use process::{companion_mark, processes_at};
pub use run::{Outcome, RunError, run};
pub use settings::{InvalidSettings, Settings};
pub use stop::Stop;
