//! Processes on Windows, by the system's own tools. Nobody has run this yet: the rest of the crate
//! does not build there.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::{Mark, Order, Process, Tree};

/// The process that has this number. Windows tells no start that is worth its price here, so a number
/// stands for itself.
pub(super) fn identify(pid: u32) -> Option<Process> {
    let filter = format!("PID eq {pid}");
    let listed =
        Command::new("tasklist").args(["/NH", "/FO", "CSV", "/FI", &filter]).output().ok()?;
    let found = String::from_utf8_lossy(&listed.stdout).contains(&format!("\"{pid}\""));
    found.then_some(Process { pid, started: 0 })
}

/// The leader, as long as it is there; its descendants are ended with it.
pub(super) fn members(tree: &Tree) -> Vec<Process> {
    tree.leader.and_then(|leader| identify(leader.pid)).into_iter().collect()
}

/// Gives the order to the leader and all of its descendants.
pub(super) fn order(tree: &Tree, order: Order) {
    let Some(leader) = tree.leader else { return };
    let mut command = Command::new("taskkill");
    command.args(["/T", "/PID", &leader.pid.to_string()]);
    if order == Order::Now {
        command.arg("/F");
    }
    // It fails where the processes have ended, which is what is wanted.
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Windows shows no environment of other processes, so what a dead orchestrator has left is not
/// found.
pub(super) fn marks() -> Vec<Mark> {
    Vec::new()
}

/// Nor are processes found by it.
pub(super) fn present(_: impl Fn(&Mark) -> bool) -> Option<BTreeSet<u32>> {
    None
}
