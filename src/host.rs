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
use std::rc::Rc;
use std::sync::Arc;

use crate::types::{Moment, ProcessIdentity, Timestamp, Uptime};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(test, target_os = "linux"))]
mod process_tests;

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

/// This process; `None` where the system does not tell enough to know it again.
pub(crate) fn this_process() -> Option<Arc<ProcessIdentity>> {
    let here = here(std::process::id());
    once(&here.process, || system::process().map(Arc::new)).cloned()
}

impl ProcessIdentity {
    /// This process; `None` where the system does not tell enough to know it again.
    #[must_use]
    pub fn current() -> Option<Self> {
        this_process().map(|identity| Self::clone(&identity))
    }
}

/// What both clocks show.
pub(crate) fn now() -> Moment {
    let here = here(std::process::id());
    let uptime = once(&here.clock, system::clock).map(|clock| Uptime {
        boot: Arc::clone(&clock.boot),
        namespace: Arc::clone(&clock.namespace),
        microseconds: system::microseconds(),
    });
    Moment { wall: Timestamp::now(), uptime }
}

/// Whether the process still lives, by the table at the head of this module.
pub(crate) fn fate(of: &ProcessIdentity) -> Fate {
    this_process().map_or(Fate::Unknown, |own| system::fate(of, &own))
}

/// What was found out once about the process with this number. What the system did not tell is
/// asked again, since a file of the kernel is also out of reach while too many files are open.
struct Here {
    pid: u32,
    process: OnceCell<Arc<ProcessIdentity>>,
    /// The clock's boot and namespace; its time is that of nothing.
    clock: OnceCell<Uptime>,
}

thread_local! {
    static HERE: RefCell<Option<Rc<Here>>> = const { RefCell::new(None) };
}

/// The notes of this process. A forked child finds its parent's, with another number on them, and
/// begins its own.
fn here(pid: u32) -> Rc<Here> {
    // While the thread ends its notes may be gone already; then there are some for this call only.
    let noted = HERE.try_with(|here| here.borrow().clone()).ok().flatten();
    noted.filter(|here| here.pid == pid).unwrap_or_else(|| {
        let fresh = Rc::new(Here { pid, process: OnceCell::new(), clock: OnceCell::new() });
        let _ = HERE.try_with(|here| here.replace(Some(Rc::clone(&fresh))));
        fresh
    })
}

fn once<T>(cell: &OnceCell<T>, ask: impl FnOnce() -> Option<T>) -> Option<&T> {
    if cell.get().is_none() {
        let answer = ask()?;
        return Some(cell.get_or_init(|| answer));
    }
    cell.get()
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
    fn a_process_keeps_its_notes_and_a_forked_child_does_not_inherit_them() {
        let parent = here(1);
        assert!(Rc::ptr_eq(&parent, &here(1)));
        let child = here(2);
        assert_eq!(child.pid, 2);
        assert!(!Rc::ptr_eq(&parent, &child));
    }

    #[test]
    fn what_the_system_did_not_tell_is_asked_again() {
        let cell = OnceCell::new();
        assert_eq!(once(&cell, || None), None);
        assert_eq!(once(&cell, || Some(1)), Some(&1));
        assert_eq!(once(&cell, || Some(2)), Some(&1));
    }
}
