//! Processes on a Unix: what `/proc` lists, where there is one, else the group alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Mark, Order, Process, Tree, VARIABLE};

/// What is known of a process.
#[derive(Debug, Clone, Copy)]
struct Entry {
    process: Process,
    parent: u32,
    group: u32,
}

/// The process that has this number, unless it has ended.
pub(super) fn identify(pid: u32) -> Option<Process> {
    entry(pid).map(|entry| entry.process)
}

/// The tree's processes that have not ended, without this one.
pub(super) fn members(tree: &Tree) -> Vec<Process> {
    let table = table();
    let marked = |entry: &Entry| mark_of(entry.process.pid).is_some_and(|mark| mark == tree.mark);
    let mut found: BTreeMap<u32, Process> = BTreeMap::new();
    for entry in table.values().filter(|entry| is_in_group(tree, &table, entry) || marked(entry)) {
        found.insert(entry.process.pid, entry.process);
    }
    add_descendants(&mut found, &table);
    found.remove(&std::process::id());
    found.into_values().collect()
}

/// The processes that carry a mark of this kind, and all that descends from them or from this one,
/// which is not among them; `None` where the system shows no processes.
pub(super) fn present(wanted: impl Fn(&Mark) -> bool) -> Option<BTreeSet<u32>> {
    if !has_proc() {
        return None;
    }
    let (table, own) = (table(), std::process::id());
    let is_kin = |pid: u32| pid == own || mark_of(pid).is_some_and(|mark| wanted(&mark));
    let kin = table.values().map(|entry| entry.process).filter(|process| is_kin(process.pid));
    let mut found: BTreeMap<u32, Process> = kin.map(|process| (process.pid, process)).collect();
    add_descendants(&mut found, &table);
    found.remove(&own);
    Some(found.into_keys().collect())
}

/// A child may have a lower number than its parent, so this goes on until nothing new comes.
fn add_descendants(found: &mut BTreeMap<u32, Process>, table: &BTreeMap<u32, Entry>) {
    loop {
        let parents: BTreeSet<u32> = found.keys().copied().collect();
        let children = table.values().filter(|entry| parents.contains(&entry.parent));
        let new: Vec<Process> =
            children.map(|entry| entry.process).filter(|p| !found.contains_key(&p.pid)).collect();
        if new.is_empty() {
            break;
        }
        found.extend(new.into_iter().map(|process| (process.pid, process)));
    }
}

/// Whether a process is in the group that the tree's leader has founded. When the leader has ended
/// and its number belongs to another process, the group is another one as well.
fn is_in_group(tree: &Tree, table: &BTreeMap<u32, Entry>, entry: &Entry) -> bool {
    let Some(leader) = tree.leader else { return false };
    let taken = table.get(&leader.pid).is_some_and(|other| other.process != leader);
    entry.group == leader.pid && !taken && entry.process.started >= leader.started
}

/// Gives the order to all of the tree's processes.
pub(super) fn order(tree: &Tree, order: Order) {
    let signal = match order {
        Order::Please => Signal::TERM,
        Order::Now => Signal::KILL,
    };
    if !has_proc() {
        let leader = tree.leader.and_then(|leader| number(leader.pid));
        if let Some(leader) = leader {
            // It fails where the group is gone, which is what is wanted.
            let _ = kill_process_group(leader, signal);
        }
        return;
    }
    for process in members(tree) {
        send(process, signal);
    }
}

/// Sends the signal to this process and to no other that may have its number by now.
#[cfg(target_os = "linux")]
fn send(process: Process, signal: Signal) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let Some(pid) = number(process.pid) else { return };
    // The descriptor means the process that has the number now, for as long as it is open.
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if identify(process.pid) == Some(process) {
        // It fails where the process has ended meanwhile.
        let _ = pidfd_send_signal(&descriptor, signal);
    }
}

#[cfg(not(target_os = "linux"))]
fn send(process: Process, signal: Signal) {
    if let Some(pid) = number(process.pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The marks of all processes that this user may look at.
pub(super) fn marks() -> Vec<Mark> {
    table().keys().filter_map(|pid| mark_of(*pid)).collect()
}

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

fn table() -> BTreeMap<u32, Entry> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|name| name.file_name().to_str()?.parse().ok());
    pids.filter_map(entry).map(|entry| (entry.process.pid, entry)).collect()
}

/// Fields 3 (state), 4 (parent), 5 (group) and 22 (start) of the line; the second one is the
/// program's name in parentheses, which may hold anything.
#[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
fn entry(pid: u32) -> Option<Entry> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = line.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let started = fields.nth(16)?.parse().ok()?;
    Some(Entry { process: Process { pid, started }, parent, group })
}

#[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
fn mark_of(pid: u32) -> Option<Mark> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables
        .find_map(|variable| variable.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="))?;
    Mark::parse(std::str::from_utf8(value).ok()?)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {

    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::ProcessIdentity;

    fn mark(agent: u32) -> Mark {
        let own = ProcessIdentity::current().unwrap();
        Mark::new(&own, agent, Path::new("/nowhere/features.db"))
    }

    /// A process that says so when it runs, for the scripts below.
    const SLEEPER: &str = "sh -c 'echo runs; exec sleep 600'";

    /// A shell in a group of its own whose script has said so many times that something runs.
    fn start(script: &str, times: usize, mark: &Mark) -> (Child, Tree) {
        let script = script.replace("SLEEPER", SLEEPER);
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .env(VARIABLE, mark.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let tree = Tree::of(child.id(), mark.clone());
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.take(times).all(|line| line.unwrap() == "runs"));
        (child, tree)
    }

    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(future)
    }

    fn strays(database: &Path) -> Vec<Tree> {
        wait_for(super::super::strays(database))
    }

    fn end(tree: &Tree, child: &mut Child, grace: Duration) -> super::super::Ended {
        let ended = wait_for(tree.end(grace));
        child.wait().unwrap();
        ended
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn whoever_carries_a_mark_of_the_database_or_descends_from_us_is_present() {
        let database = Path::new("/somewhere/features.db");
        let own = ProcessIdentity::current().unwrap();
        let (mut child, tree) = start("exec SLEEPER", 1, &Mark::new(&own, 7, database));
        let present = |database: &Path| super::super::processes_at(database).unwrap();
        assert!(present(database).contains(&child.id()));
        let is_kin = super::present(|_| false).unwrap().contains(&child.id());
        assert!(is_kin, "it descends from this process, whatever it carries");
        assert!(!present(database).contains(&std::process::id()));
        end(&tree, &mut child, LONG);
        assert!(!present(database).contains(&child.id()));
    }

    #[test]
    fn a_group_its_descendants_and_what_has_detached_itself_are_ended() {
        let mark = mark(1);
        // One in the group, one in a session of its own, one in a session whose parents are gone.
        let script = "SLEEPER & setsid SLEEPER & (setsid setsid SLEEPER &) ; wait";
        let (mut child, tree) = start(script, 3, &mark);
        assert_eq!(members(&tree).len(), 4);
        assert_eq!(end(&tree, &mut child, LONG), super::super::Ended::default());
        assert!(!tree.is_alive());
    }

    #[test]
    fn what_ignores_the_question_is_killed() {
        let (mut child, tree) =
            start("trap '' TERM; echo runs; while :; do sleep 600; done", 1, &mark(2));
        let ended = end(&tree, &mut child, Duration::ZERO);
        assert!(ended.killed >= 1 && ended.left.is_empty(), "{ended:?}");
        assert!(!tree.is_alive());
    }

    #[test]
    fn a_group_is_ended_after_its_leader_has_cleared_the_mark() {
        let script = "env -i setsid sh -c 'sleep 600 & echo runs; wait' & wait";
        let (mut child, tree) = start(script, 1, &mark(3));
        assert!(members(&tree).len() >= 3, "descendants need no mark");
        end(&tree, &mut child, LONG);
        assert!(!tree.is_alive());
    }

    #[test]
    fn who_has_lost_the_mark_and_the_parents_is_still_in_the_group() {
        let script = "(env -i sh -c 'echo runs; exec sleep 600' &); echo runs; exec sleep 600";
        let (mut child, tree) = start(script, 2, &mark(7));
        assert_eq!(members(&tree).len(), 2);
        end(&tree, &mut child, LONG);
        assert!(!tree.is_alive());
    }

    #[test]
    fn other_agents_are_left_alone() {
        let (mut one, first) = start("echo runs; exec sleep 600", 1, &mark(4));
        let (mut two, second) = start("echo runs; exec sleep 600", 1, &mark(5));
        end(&first, &mut one, LONG);
        assert!(!first.is_alive() && second.is_alive());
        end(&second, &mut two, LONG);
    }

    #[test]
    fn what_a_dead_orchestrator_has_left_is_found_by_its_mark() {
        let database = Path::new("/nowhere/strays.db");
        let own = ProcessIdentity::current().unwrap();
        let dead = ProcessIdentity { started: 1, ..own.clone() };
        let (mut stray, _) = start("echo runs; exec sleep 600", 1, &Mark::new(&dead, 1, database));
        let (mut held, tree) = start("echo runs; exec sleep 600", 1, &Mark::new(&own, 1, database));
        let found = strays(database);
        assert_eq!(found.len(), 1, "{found:?}");
        end(&found[0], &mut stray, LONG);
        assert!(tree.is_alive() && strays(database).is_empty());
        end(&tree, &mut held, LONG);
    }

    #[test]
    fn a_process_that_has_another_start_gets_no_signal() {
        let (mut child, tree) = start("echo runs; exec sleep 600", 1, &mark(6));
        let [process] = members(&tree)[..] else { panic!() };
        send(Process { started: process.started + 1, ..process }, Signal::KILL);
        assert!(tree.is_alive());
        end(&tree, &mut child, LONG);
    }
}
