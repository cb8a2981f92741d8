//! Who else has the database open, as far as the system tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Check;
use super::library::Library;

const COMMAND_CHARS: usize = 100;
const DELETED: &str = " (deleted)";

/// All processes that have the database open, without this one.
#[derive(Debug, Default)]
pub(super) struct Users {
    processes: Vec<User>,
    /// Processes that this user may not look into.
    hidden: usize,
    /// The system tells nothing of the kind.
    unknown: bool,
}

#[derive(Debug)]
struct User {
    pid: u32,
    command: String,
    stopped: bool,
    /// What it has open was deleted or replaced.
    detached: bool,
    linked: Option<Library>,
}

/// How a process holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Current,
    Detached,
}

pub(super) fn of(database: &Path) -> Users {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Users { unknown: true, ..Users::default() };
    };
    let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let mut users = Users::default();
    let mut libraries = BTreeMap::new();
    let own = std::process::id();
    let names = entries.flatten().map(|entry| entry.file_name());
    for pid in names.filter_map(|name| name.to_str()?.parse::<u32>().ok()) {
        if pid == own {
            continue;
        }
        match hold(pid, &database) {
            Ok(Some(hold)) => users.processes.push(User {
                pid,
                command: command(pid),
                stopped: is_stopped(pid),
                detached: hold == Hold::Detached,
                linked: library(pid, &mut libraries),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => users.hidden += 1,
            // It is none of them, or it has ended meanwhile.
            Ok(None) | Err(_) => {}
        }
    }
    users
}

impl Users {
    /// Whether nobody has the database open, as far as can be seen.
    pub(super) fn is_empty(&self) -> bool {
        self.processes.is_empty() && !self.unknown
    }

    pub(super) fn checks(&self, has_log: bool) -> Vec<Check> {
        let name = "open elsewhere";
        if self.unknown {
            return vec![Check::ok(name, "this system does not tell")];
        }
        if self.processes.is_empty() {
            let hidden = match self.hidden {
                0 => String::new(),
                count => format!(" ({count} processes of other users could not be looked at)"),
            };
            return vec![Check::ok(
                name,
                format!("no other process has the database open{hidden}"),
            )];
        }
        self.processes.iter().map(|user| user.check(name, has_log)).collect()
    }
}

impl User {
    fn check(&self, name: &'static str, has_log: bool) -> Check {
        let mut found = format!("process {} ({})", self.pid, self.command);
        if let Some(library) = &self.linked {
            found = format!("{found}, {library}");
        }
        if self.detached {
            found.push_str(", works on a file that was deleted or replaced");
            return Check::error(name, found, "end the process: what it writes is lost");
        }
        if has_log && self.linked.as_ref().is_some_and(Library::loses_writes) {
            found.push_str(", which can lose writes of others when it copies the log back");
            let advice = "update the SQLite of this program to 3.51.3 or later (the packages \
                          libsqlite3-0 or python3), or end it";
            return Check::error(name, found, advice);
        }
        if self.stopped {
            found.push_str(", is stopped and keeps its locks");
            return Check::warning(name, found, "let it go on (kill -CONT), or end it");
        }
        Check::ok(name, found)
    }
}

/// Whether and how the process has the database or its log open.
fn hold(pid: u32, database: &Path) -> std::io::Result<Option<Hold>> {
    let identity = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    let database_name = database.as_os_str().to_string_lossy().into_owned();
    let mut found = None;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let link = entry?.path();
        let Ok(target) = fs::read_link(&link) else { continue };
        let target = target.to_string_lossy().into_owned();
        let (open, deleted) = match target.strip_suffix(DELETED) {
            Some(open) => (open, true),
            None => (target.as_str(), false),
        };
        let side = open.strip_prefix(&database_name);
        if !matches!(side, Some("" | "-wal" | "-shm" | "-journal")) {
            continue;
        }
        // A process in another root folder may show the same path for another file.
        if !deleted && identity(&link) == identity(Path::new(open)) {
            found = found.or(Some(Hold::Current));
        } else if side == Some("") {
            return Ok(Some(Hold::Detached));
        }
    }
    Ok(found)
}

fn command(pid: u32) -> String {
    let text = kernel_text(pid, "cmdline").unwrap_or_default().replace('\0', " ");
    text.trim().chars().filter(|c| !c.is_control()).take(COMMAND_CHARS).collect()
}

fn is_stopped(pid: u32) -> bool {
    // The state follows the name, which is in parentheses and may hold anything.
    kernel_text(pid, "stat")
        .and_then(|stat| Some(stat.rsplit_once(')')?.1.trim_start().starts_with(['T', 't'])))
        .unwrap_or(false)
}

/// The SQLite that the process has loaded: in a library of that name, else in anything it runs.
fn library(pid: u32, known: &mut BTreeMap<PathBuf, Option<Library>>) -> Option<Library> {
    let mut files: Vec<PathBuf> = mapped_files(pid).into_iter().collect();
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains("sqlite"))
    };
    files.sort_by_key(|path| !named(path));
    files.into_iter().find_map(|path| {
        // Seen with the eyes of that process, which may have another root folder.
        let inside = path.strip_prefix("/").ok()?;
        let seen = Path::new(&format!("/proc/{pid}/root")).join(inside);
        let place = if seen.exists() { seen } else { path.clone() };
        known.entry(path.clone()).or_insert_with(|| Library::find(&place, &path)).clone()
    })
}

/// The programs and libraries that a process has mapped.
pub(super) fn mapped_files(pid: u32) -> BTreeSet<PathBuf> {
    let maps = kernel_text(pid, "maps").unwrap_or_default();
    maps.lines()
        .filter_map(|line| {
            // Address, rights, offset, device, inode, path.
            let mut fields = line.splitn(6, ' ');
            let executable = fields.nth(1)?.contains('x');
            let path = fields.last()?.trim_start();
            (executable && path.starts_with('/')).then(|| PathBuf::from(path))
        })
        .collect()
}

fn kernel_text(pid: u32, file: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
    let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
