//! What happens at the points, in builds for tests.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use rustix::process::{Signal, getpid, kill_process};

use crate::sync::{AtomicUsize, Lazy, Ordering};

/// What a process does at a named point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrashPlan {
    /// Ends as `kill -9` would: nothing is flushed, dropped or told.
    Kill {
        /// The point.
        point: String,
        /// At which coming by, from 1.
        nth: usize,
    },
    /// Waits there, with all its locks, while somebody has the gate open for writing, and until
    /// somebody had. The gate is a named pipe: opening it without blocking succeeds from the moment
    /// at which the process is there, so neither side has to guess.
    Hold {
        /// The point.
        point: String,
        /// At which coming by, from 1.
        nth: usize,
        /// The named pipe.
        gate: PathBuf,
    },
    /// Writes the name of each point to stderr, a line each, after [`CrashPlan::MARK`].
    List,
}

impl CrashPlan {
    /// The variable that carries a plan into a process.
    pub const VARIABLE: &'static str = "AUTOFORGE_STORE_CRASH";
    /// What stands before a point's name in the lines of [`CrashPlan::List`].
    pub const MARK: &'static str = "crash point: ";

    /// Kill at the first coming by.
    #[must_use]
    pub fn kill(point: &str) -> Self {
        Self::Kill { point: point.to_owned(), nth: 1 }
    }

    /// Whether this is the coming by that the plan means.
    fn is_meant(&self, name: &str, coming_by: &AtomicUsize) -> bool {
        let (point, nth) = match self {
            Self::Kill { point, nth } | Self::Hold { point, nth, .. } => (point, *nth),
            Self::List => return true,
        };
        // ORDERING: SeqCst, the simplest; nothing here has to be fast.
        point == name && coming_by.fetch_add(1, Ordering::SeqCst) + 1 == nth
    }

    fn carry_out(&self, name: &str) {
        match self {
            Self::List => tell(&format!("{}{name}", Self::MARK)),
            Self::Kill { .. } => {
                let _ = kill_process(getpid(), Signal::KILL);
                std::process::abort();
            }
            Self::Hold { gate, .. } =>
            {
                #[expect(clippy::disallowed_methods, reason = "a pipe, which is no database")]
                if let Err(error) = std::fs::read(gate) {
                    tell(&format!("{}: {error}", gate.display()));
                    std::process::abort();
                }
            }
        }
    }
}

/// The form that the variable carries: `kill POINT NTH`, `hold POINT NTH GATE`, `list`.
impl fmt::Display for CrashPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { point, nth } => write!(f, "kill {point} {nth}"),
            Self::Hold { point, nth, gate } => write!(f, "hold {point} {nth} {}", gate.display()),
            Self::List => f.write_str("list"),
        }
    }
}

impl FromStr for CrashPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no plan: kill POINT NTH, hold POINT NTH GATE, or list");
        let words: Vec<&str> = text.splitn(4, ' ').collect();
        let at = |point: &str, nth: &str| Some((point.to_owned(), nth.parse::<usize>().ok()?));
        match words.as_slice() {
            ["list"] => Ok(Self::List),
            ["kill", point, nth] => {
                at(point, nth).map(|(point, nth)| Self::Kill { point, nth }).ok_or_else(wrong)
            }
            ["hold", point, nth, gate] => at(point, nth)
                .map(|(point, nth)| Self::Hold { point, nth, gate: gate.into() })
                .ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

/// The plan of this process, and how often it has come by the plan's point.
#[expect(clippy::non_std_lazy_statics, reason = "`sync` has it from once_cell")]
static ARMED: Lazy<Option<(CrashPlan, AtomicUsize)>> = Lazy::new(|| {
    let text = std::env::var(CrashPlan::VARIABLE).ok()?;
    match text.parse() {
        Ok(plan) => Some((plan, AtomicUsize::new(0))),
        Err(wrong) => {
            // A test that means to crash must not pass because it did not.
            tell(&wrong);
            std::process::abort();
        }
    }
});

/// A place between two steps; see the module.
pub(crate) fn crash_point(name: &'static str) {
    let Some((plan, coming_by)) = &*ARMED else { return };
    if plan.is_meant(name, coming_by) {
        plan.carry_out(name);
    }
}

fn tell(line: &str) {
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_it_is_written() {
        for plan in [
            CrashPlan::kill("a.b"),
            CrashPlan::Hold { point: "c".to_owned(), nth: 3, gate: "/tmp/a gate".into() },
            CrashPlan::List,
        ] {
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        for wrong in ["", "kill", "kill a", "kill a x", "hold a 1", "maim a 1", "list all"] {
            assert!(wrong.parse::<CrashPlan>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_coming_by_that_the_plan_names_counts() {
        let plan = CrashPlan::Kill { point: "a".to_owned(), nth: 2 };
        let coming_by = AtomicUsize::new(0);
        let meant = ["a", "b", "a", "a"].map(|name| plan.is_meant(name, &coming_by));
        assert_eq!(meant, [false, false, true, false]);
        assert!(CrashPlan::List.is_meant("a", &coming_by));
    }
}
