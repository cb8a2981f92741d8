//! Who holds a lock, and who has a file open, as far as the system tells. That somebody is
//! named may stand in the way of something; that nobody is proves nothing.

use super::{FileIdentity, Location};
use crate::error::LockHolder;

/// The process that holds the write lock of the database, where the system tells.
#[cfg(target_os = "linux")]
pub(super) fn of_write_lock(location: &Location) -> Option<LockHolder> {
    linux::of_write_lock(location)
}

/// A process that reads the database, in the way of whoever changes it without a log.
#[cfg(target_os = "linux")]
pub(super) fn of_read_lock(location: &Location) -> Option<LockHolder> {
    linux::of_read_lock(location)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn of_write_lock(_location: &Location) -> Option<LockHolder> {
    None
}

/// The other processes that have the database or a side file of it open, where the system tells.
#[cfg(target_os = "linux")]
pub(crate) fn with_open(location: &Location) -> Vec<LockHolder> {
    linux::with_open(location)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn with_open(_location: &Location) -> Vec<LockHolder> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn of_read_lock(_location: &Location) -> Option<LockHolder> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::{FileIdentity, Location, LockHolder};

    /// The byte of the shared-memory file that a writer locks, and the bytes of the database file
    /// that a writer locks where there is no log.
    const SHM_WRITE_BYTE: u64 = 120;
    const PENDING_AND_RESERVED: [u64; 2] = [0x4000_0000, 0x4000_0001];
    /// The first of the bytes of the database file that every reader locks.
    const SHARED_FIRST: u64 = 0x4000_0002;
    const COMMAND_CHARS: usize = 80;
    /// Where `/proc/PID/stat` has these, behind the name.
    const PARENT: usize = 1;
    const START_STACK: usize = 25;
    /// The kinds of locks, as the kernel names them.
    const READ: &str = "READ";
    const WRITE: &str = "WRITE";

    pub(super) fn of_write_lock(location: &Location) -> Option<LockHolder> {
        let locks = kernel_text(Path::new("/proc/locks"))?;
        let shm = location.side_file("-shm");
        let pid = other(&locks, WRITE, &shm, &[SHM_WRITE_BYTE])
            .or_else(|| other(&locks, WRITE, location.path(), &PENDING_AND_RESERVED))?;
        Some(describe(pid))
    }

    pub(super) fn with_open(location: &Location) -> Vec<LockHolder> {
        let Some(name) = location.path().file_name().map(OsStr::to_string_lossy) else {
            return Vec::new();
        };
        let side_files = ["-wal", "-shm", "-journal"].map(|suffix| location.side_file(suffix));
        let mut files: Vec<FileIdentity> =
            side_files.iter().filter_map(|path| FileIdentity::at(path)).collect();
        files.extend(location.identity_now());
        let own = std::process::id();
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != own && has_open(*pid, &name, &files) && !is_half_started(*pid))
            .map(describe)
            .collect()
    }

    /// Only what is named like our file is looked at more closely, since looking at what is not ours
    /// could hang. A process in another root folder may show another path for the file, and the name
    /// of one that was removed has something behind it.
    fn has_open(pid: u32, name: &str, files: &[FileIdentity]) -> bool {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.map(|entry| entry.path()).any(|link| {
            let shown = fs::read_link(&link).unwrap_or_default();
            shown.file_name().is_some_and(|shown| shown.to_string_lossy().contains(name))
                && FileIdentity::at(&link).is_some_and(|open| files.contains(&open))
        })
    }

    /// A child of this process that has not become the program yet that it was started for: it has
    /// what was open here, uses none of it, and loses it in that moment. It is told from a program of
    /// the same name by its stack, which lies where ours does.
    fn is_half_started(pid: u32) -> bool {
        let field = |stat: &str, behind_name: usize| {
            let (_, fields) = stat.rsplit_once(')')?;
            fields.split_whitespace().nth(behind_name)?.parse::<u64>().ok()
        };
        let stat = |pid: &str| kernel_text(&Path::new("/proc").join(pid).join("stat"));
        let (Some(child), Some(own)) = (stat(&pid.to_string()), stat("self")) else { return false };
        let stack = field(&own, START_STACK).filter(|place| *place != 0);
        field(&child, PARENT) == Some(std::process::id().into())
            && stack.is_some()
            && field(&child, START_STACK) == stack
    }

    pub(super) fn of_read_lock(location: &Location) -> Option<LockHolder> {
        let locks = kernel_text(Path::new("/proc/locks"))?;
        other(&locks, READ, location.path(), &[SHARED_FIRST]).map(describe)
    }

    fn describe(pid: u32) -> LockHolder {
        LockHolder { pid, command: command(pid), stopped: is_stopped(pid) }
    }

    /// Another process whose lock of this kind covers one of the bytes of the file.
    fn other(locks: &str, kind: &str, file: &Path, bytes: &[u64]) -> Option<u32> {
        let inode = fs::metadata(file).ok()?.ino();
        let own = std::process::id();
        locks.lines().filter_map(|line| held(line, kind, inode, bytes)).find(|pid| *pid != own)
    }

    /// A line reads `1: POSIX ADVISORY WRITE pid major:minor:inode first last`. The inode alone is
    /// compared: file systems with subvolumes show other device numbers here than `stat` does.
    fn held(line: &str, kind: &str, inode: u64, bytes: &[u64]) -> Option<u32> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, found, pid, file, first, last] = fields.as_slice() else { return None };
        let first: u64 = first.parse().ok()?;
        let last: u64 = if *last == "EOF" { u64::MAX } else { last.parse().ok()? };
        let same = file.rsplit(':').next()?.parse::<u64>().ok()? == inode;
        let covers = bytes.iter().any(|byte| (first..=last).contains(byte));
        if *found == kind && same && covers { pid.parse().ok() } else { None }
    }

    fn command(pid: u32) -> String {
        let text = kernel_text(Path::new(&format!("/proc/{pid}/cmdline"))).unwrap_or_default();
        let shown = text.replace('\0', " ");
        shown.trim().chars().filter(|c| !c.is_control()).take(COMMAND_CHARS).collect()
    }

    fn is_stopped(pid: u32) -> bool {
        let text = kernel_text(Path::new(&format!("/proc/{pid}/stat"))).unwrap_or_default();
        // The state follows the name, which is in parentheses and may hold anything.
        text.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['T', 't']))
    }

    #[expect(clippy::disallowed_methods, reason = "files of the kernel, never a database")]
    fn kernel_text(path: &Path) -> Option<String> {
        fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_write_lock_on_the_byte_is_found() {
            let line = "4: POSIX  ADVISORY  WRITE 4711 fd:01:99 120 120";
            assert_eq!(held(line, WRITE, 99, &[120]), Some(4711));
            assert_eq!(held(line, WRITE, 98, &[120]), None);
            assert_eq!(held(line, WRITE, 99, &[121]), None);
        }

        #[test]
        fn shared_locks_and_waiters_are_not_holders() {
            let reader = "4: POSIX ADVISORY READ 4711 fd:01:99 120 120";
            assert_eq!(held(reader, WRITE, 99, &[120]), None);
            assert_eq!(held(reader, READ, 99, &[120]), Some(4711));
            let waiter = "4: -> POSIX ADVISORY WRITE 4711 fd:01:99 120 120";
            assert_eq!(held(waiter, WRITE, 99, &[120]), None);
        }
    }
}
