//! What the operating system says about processes and time.
//!
//! A claim is taken from its owner only if the owner is proven dead, or if its lease has run out.
//! [`fate`] answers the first question, [`now`] is what the second one is answered with. A doubt is
//! never told as a death: where the system does not tell, or could mean another process, the answer
//! is [`Fate::Unknown`] or [`Fate::Alive`], and the lease decides.
//!
//! The first row that fits decides on a process, seen from this one:
//!
//! | what is known of it | its fate | because |
//! | --- | --- | --- |
//! | the system does not tell who we are | unknown | there is nothing to compare with |
//! | another host | unknown | nobody here can see it |
//! | another boot, both outside containers | dead | no process outlives its kernel |
//! | another boot, one in a container | unknown | a container may show a boot id and a machine id of its own |
//! | another namespace | unknown | its number means another process here, or none |
//! | a number that no process can have | unknown | it was never noted by us |
//! | signal 0 finds nobody | dead | the number is free |
//! | signal 0 fails, but not for lack of permission | unknown | a filter of system calls may be in the way |
//! | its `/proc` entry cannot be read | alive | the number is taken, perhaps by itself |
//! | it started at another time | dead | its number was given out again, which happens only after its end |
//! | it has exited and has no other thread | dead | what is left waits for its parent to notice |
//! | anything else, also stopped | alive | it may go on at any time |
//!
//! A process whose first thread has exited looks like one that has ended, while its other threads
//! run. So the number of its threads is taken from the same line as its state: reading it elsewhere
//! and later would see an `exec`, which replaces the first thread, as an end.
//!
//! A machine without a machine id has another host at each boot, so that two machines of one name
//! are not taken for one.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use crate::types::{Moment, ProcessIdentity, Timestamp, Uptime};

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
use linux as system;

/// Whether a process still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "nothing is proven where the system is not asked")
)]
pub(crate) enum Fate {
    /// It lives, or whatever has its number cannot be told from it.
    Alive,
    /// It has ended for certain.
    Dead,
    /// The system does not tell.
    Unknown,
}

// What was found out once, each thread for itself. What the system did not tell is asked again: a
// file of the kernel is out of reach, too, while too many files are open.
thread_local! {
    static PROCESS: RefCell<Option<Arc<ProcessIdentity>>> = const { RefCell::new(None) };
    /// Which clock it is; its time is of no meaning.
    static CLOCK: OnceCell<Uptime> = const { OnceCell::new() };
}

/// This process; `None` where the system does not tell enough to know it again.
pub(crate) fn this_process() -> Option<Arc<ProcessIdentity>> {
    let pid = std::process::id();
    // While a thread ends, its notes may be gone already.
    let noted = PROCESS.try_with(|process| process.borrow().clone()).ok().flatten();
    // A forked child finds its parent there.
    if let Some(own) = noted.filter(|noted| noted.pid == pid) {
        return Some(own);
    }
    let own = Arc::new(system::process()?);
    let _ = PROCESS.try_with(|process| process.replace(Some(Arc::clone(&own))));
    Some(own)
}

impl ProcessIdentity {
    /// This process; `None` where the system does not tell enough to know it again.
    #[must_use]
    pub fn current() -> Option<Self> {
        this_process().map(|identity| Self::clone(&identity))
    }
}

impl Moment {
    /// What both clocks show. For whoever shows how long a claim lasts; commands are told the time.
    #[must_use]
    pub fn now() -> Self {
        now()
    }
}

/// What both clocks show.
pub(crate) fn now() -> Moment {
    Moment { wall: Timestamp::now(), uptime: uptime() }
}

/// Whether the process still lives, by the table at the head of this module.
pub(crate) fn fate(of: &ProcessIdentity) -> Fate {
    match this_process() {
        None => Fate::Unknown,
        // Whoever asks is there.
        Some(own) if *own == *of => Fate::Alive,
        Some(own) => system::fate(of, &own),
    }
}

fn uptime() -> Option<Uptime> {
    let mut uptime = CLOCK.try_with(noted_clock).unwrap_or_else(|_| system::clock())?;
    uptime.microseconds = system::microseconds();
    Some(uptime)
}

/// A forked child reads the clock of its parent, so its number need not be compared, which would
/// take as long as all the rest.
fn noted_clock(noted: &OnceCell<Uptime>) -> Option<Uptime> {
    if let Some(clock) = noted.get() {
        return Some(clock.clone());
    }
    let clock = system::clock()?;
    Some(noted.get_or_init(|| clock).clone())
}

/// The systems that are not asked yet.
#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Fate, ProcessIdentity, Uptime};

    pub(super) fn process() -> Option<ProcessIdentity> {
        None
    }

    pub(super) fn clock() -> Option<Uptime> {
        None
    }

    pub(super) fn microseconds() -> u64 {
        0
    }

    pub(super) fn fate(_of: &ProcessIdentity, _own: &ProcessIdentity) -> Fate {
        Fate::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_no_system_does_a_process_take_itself_for_dead() {
        if let Some(own) = this_process() {
            assert_ne!(fate(&own), Fate::Dead);
        }
    }

    #[test]
    fn of_two_moments_the_second_is_not_the_earlier_one() {
        let earlier = now();
        let uptimes = now().uptime.zip(earlier.uptime);
        assert!(uptimes.is_none_or(|(now, then)| now.microseconds >= then.microseconds));
    }
}
