//! What follows when agents crash while a window is open.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ScheduleRefusal, existing, overrides_of};
use crate::command::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Tx, Write};
use crate::types::{ScheduleId, ScheduleState, Verdict, restart_delay};

/// Whether agents that have crashed are started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterCrash {
    /// They are, after a while: the crash is counted. The waiting is the caller's, outside of any
    /// transaction; whether the window is still open then has to be asked again.
    Restart {
        /// How often they have crashed in this window, this time included.
        crashes: u32,
        /// How long to wait; see [`restart_delay`].
        delay: Duration,
    },
    /// They are not: they have crashed too often in this window.
    TooOften {
        /// How often they had crashed before.
        crashes: u32,
    },
    /// They are not: the schedule does not want agents to run now.
    NotWanted(
        /// Why not.
        NotWanted,
    ),
}

/// Why a schedule does not want agents to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotWanted {
    /// It is disabled.
    Disabled,
    /// No window of it is open.
    NoWindow,
    /// A human has stopped agents.
    StoppedByHand,
}

/// Counts a crash of the agents that a schedule has started, and says whether to start them again: up
/// to three times in a window, after 10, 30 and 90 seconds. Where they are not started again, nothing
/// is counted.
///
/// Which window the count is about, nobody notes: whoever starts agents at the beginning of a window
/// sends [`ResetCrashCount`] first.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct IncrementCrashCount {
    /// The schedule.
    pub id: ScheduleId,
}

impl Command for IncrementCrashCount {
    const NAME: &'static str = "increment_crash_count";
    type Database = Features;
    type Access = Write;
    type Output = AfterCrash;
    type Rejection = ScheduleRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<AfterCrash, Failure<ScheduleRefusal>> {
        let schedule = existing(tx, self.id)?;
        let crashes = schedule.crash_count;
        let now = tx.circumstances().moment().wall;
        let overrides = overrides_of(tx, self.id)?;
        match ScheduleState::of(&[schedule], &overrides, now).verdict {
            Verdict::NoSchedule => return Ok(AfterCrash::NotWanted(NotWanted::Disabled)),
            Verdict::NoWindow => return Ok(AfterCrash::NotWanted(NotWanted::NoWindow)),
            Verdict::StoppedByHand => return Ok(AfterCrash::NotWanted(NotWanted::StoppedByHand)),
            Verdict::Window(_) | Verdict::StartedByHand(_) => {}
        }
        let counted = crashes.saturating_add(1);
        let Some(delay) = restart_delay(counted) else {
            return Ok(AfterCrash::TooOften { crashes });
        };
        set_crash_count(tx, self.id, counted)?;
        Ok(AfterCrash::Restart { crashes: counted, delay })
    }
}

/// Forgets the crashes of a schedule, and gives how many there were: for whoever starts agents at the
/// beginning of a window.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ResetCrashCount {
    /// The schedule.
    pub id: ScheduleId,
}

impl Command for ResetCrashCount {
    const NAME: &'static str = "reset_crash_count";
    type Database = Features;
    type Access = Write;
    type Output = u32;
    type Rejection = ScheduleRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<u32, Failure<ScheduleRefusal>> {
        let before = existing(tx, self.id)?.crash_count;
        set_crash_count(tx, self.id, 0)?;
        Ok(before)
    }
}

/// A count that is so already is not written, so that it costs no commit.
fn set_crash_count(tx: &Tx<'_, Write>, id: ScheduleId, count: u32) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE schedules SET crash_count = ?2 WHERE id = ?1 AND crash_count IS NOT ?2",
        (id.get(), count),
    )
    .map(drop)
}
