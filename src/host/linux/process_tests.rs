//! Real processes, in every state in which an owner can be met.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::{Stat, text};
use crate::host::{Fate, PROCESS, fate, now, this_process};
use crate::types::ProcessIdentity;

/// A process that lives until its input ends, which is when this value goes, or until it is killed.
fn start() -> (Child, ProcessIdentity) {
    let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let own = this_process().expect("this system tells who we are");
    let started = started(child.id()).unwrap();
    let identity = ProcessIdentity { pid: child.id(), started, ..ProcessIdentity::clone(&own) };
    (child, identity)
}

fn started(pid: u32) -> Option<u64> {
    Stat::parse(&text(&format!("/proc/{pid}/stat"))?).map(|stat| stat.started)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Returns when the child is in the state, and leaves the news of it for others.
fn await_state(child: &Child, state: WaitIdOptions) {
    waitid(WaitId::Pid(pid(child)), state | WaitIdOptions::NOWAIT).unwrap();
}

#[test]
fn this_process_is_alive() {
    let own = this_process().unwrap();
    assert_eq!(own.pid, std::process::id());
    assert_eq!(fate(&own), Fate::Alive);
}

#[test]
fn all_threads_of_a_process_have_one_identity() {
    assert_eq!(std::thread::spawn(this_process).join().unwrap(), this_process());
}

#[test]
fn a_forked_child_is_not_taken_for_its_parent() {
    let own = this_process();
    let parent = ProcessIdentity { pid: 0, ..ProcessIdentity::clone(own.as_ref().unwrap()) };
    PROCESS.set(Some(parent.into()));
    assert_eq!(this_process(), own);
}

#[test]
fn a_running_child_is_alive() {
    let (mut child, identity) = start();
    assert_eq!(fate(&identity), Fate::Alive);
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn a_stopped_child_is_alive() {
    let (mut child, identity) = start();
    kill_process(pid(&child), Signal::STOP).unwrap();
    await_state(&child, WaitIdOptions::STOPPED);
    assert_eq!(fate(&identity), Fate::Alive);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_child_is_dead_before_and_after_its_parent_notices() {
    let (mut child, identity) = start();
    child.kill().unwrap();
    await_state(&child, WaitIdOptions::EXITED);
    assert_eq!(fate(&identity), Fate::Dead, "nobody has asked for its end yet");
    child.wait().unwrap();
    assert_eq!(fate(&identity), Fate::Dead);
}

#[test]
fn a_process_that_started_at_another_time_is_dead() {
    let own = this_process().unwrap();
    for started in [0, own.started - 1, own.started + 1, u64::MAX] {
        let earlier = ProcessIdentity { started, ..ProcessIdentity::clone(&own) };
        assert_eq!(fate(&earlier), Fate::Dead, "{started}");
    }
}

#[test]
fn of_processes_elsewhere_nothing_is_known() {
    let (mut child, identity) = start();
    child.kill().unwrap();
    child.wait().unwrap();
    let host = ProcessIdentity { host: "elsewhere/5fb2a1c9".to_owned(), ..identity.clone() };
    let namespace = ProcessIdentity { namespace: "pid:[1] time:[1]".to_owned(), ..identity };
    assert_eq!(fate(&host), Fate::Unknown);
    assert_eq!(fate(&namespace), Fate::Unknown);
}

#[test]
fn numbers_that_no_process_can_have_are_unknown() {
    let own = this_process().unwrap();
    for pid in [0, 1 << 31, u32::MAX] {
        let identity = ProcessIdentity { pid, ..ProcessIdentity::clone(&own) };
        assert_eq!(fate(&identity), Fate::Unknown, "{pid}");
    }
}

#[test]
fn the_first_process_is_alive_whoever_owns_it() {
    let own = this_process().unwrap();
    // Where it is hidden from us its start is, too, and any other will do.
    let started = started(1).unwrap_or(0);
    let first = ProcessIdentity { pid: 1, started, ..ProcessIdentity::clone(&own) };
    assert_eq!(fate(&first), Fate::Alive);
}

#[test]
fn all_threads_read_one_clock_that_does_not_go_back() {
    let earlier = now();
    let later = std::thread::spawn(now).join().unwrap();
    let [earlier, later] = [earlier.uptime.unwrap(), later.uptime.unwrap()];
    assert!(later.since(&earlier).is_some(), "{earlier:?} {later:?}");
    assert!(later.microseconds >= earlier.microseconds, "{earlier:?} {later:?}");
}

#[test]
fn the_clock_of_a_process_is_that_of_its_identity() {
    let (own, uptime) = (this_process().unwrap(), now().uptime.unwrap());
    assert_eq!(*uptime.boot, own.boot);
    assert!(own.namespace.ends_with(&*uptime.namespace), "{own:?} {uptime:?}");
}
