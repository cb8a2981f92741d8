//! The file and its folder, as the system shows them.

use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Check;
use super::library::Version;
use crate::ProjectLayout;

/// Everything that can be known of a database file without opening it as one.
#[derive(Debug)]
pub(super) struct Place {
    /// The file itself, links resolved where they lead somewhere.
    pub(super) path: PathBuf,
    linked_from: Option<PathBuf>,
    metadata: Option<Metadata>,
    pub(super) header: Option<Header>,
}

/// What the first hundred bytes of a database tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// The file has a write-ahead log.
    pub(super) log: bool,
    /// The SQLite that last wrote the first page.
    writer: Version,
}

impl Place {
    pub(super) fn look(named: &Path) -> Self {
        let path = fs::canonicalize(named).unwrap_or_else(|_| named.to_owned());
        let is_link = named.symlink_metadata().is_ok_and(|file| file.is_symlink());
        let metadata = path.metadata().ok();
        let is_file = metadata.as_ref().is_some_and(Metadata::is_file);
        let header = if is_file { Header::read(&path) } else { None };
        Self { linked_from: is_link.then(|| named.to_owned()), path, metadata, header }
    }

    /// A side file of the database, and its size.
    fn side_file(&self, suffix: &str) -> (PathBuf, Option<u64>) {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        let size = path.symlink_metadata().ok().map(|file| file.len());
        (path, size)
    }

    /// The size of a rollback journal that a transaction has left or is still writing.
    pub(super) fn journal(&self) -> Option<u64> {
        self.side_file("-journal").1.filter(|size| *size > 0)
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(link) = &self.linked_from {
            let found = format!("{} is a link to {}", link.display(), self.path.display());
            checks.push(Check::ok("link", found));
        }
        let Some(metadata) = self.metadata.as_ref().filter(|file| file.is_file()) else {
            return checks;
        };
        checks.push(names(metadata));
        checks.push(owner(metadata));
        checks.push(mode(&self.path, metadata));
        checks.push(self.rights());
        checks.push(self.space(metadata.len()));
        checks.push(self.side_files());
        checks.extend(self.header.map(Header::check));
        checks
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn rights(&self) -> Check {
        let name = "rights";
        let advice = "let the user who runs the agents write the file and its folder: side files \
                      are made beside the database";
        let may = |path: &Path, access| rustix::fs::access(path, access).is_ok();
        if !may(&self.path, Access::READ_OK | Access::WRITE_OK) {
            return Check::error(name, "the file cannot be read and written", advice);
        }
        if !may(self.folder(), Access::WRITE_OK | Access::EXEC_OK) {
            let found = format!("the folder {} cannot be written", self.folder().display());
            return Check::error(name, found, advice);
        }
        Check::ok(name, "the file and its folder can be written")
    }

    fn space(&self, bytes: u64) -> Check {
        let name = "free space";
        let needed = 2 * (bytes + self.side_file("-wal").1.unwrap_or(0));
        match rustix::fs::statvfs(self.folder()) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                let found = format!("{} of {} wanted", size(free), size(needed));
                // Some file systems count no inodes and say 0 of 0.
                let no_inode = disk.f_files > 0 && disk.f_favail == 0;
                if free < needed || no_inode {
                    let advice = "make room: a full disk stops every write";
                    return Check::warning(name, found, advice);
                }
                Check::ok(name, format!("{} free, {} wanted", size(free), size(needed)))
            }
            Err(error) => Check::ok(name, format!("the system does not tell: {error}")),
        }
    }

    fn side_files(&self) -> Check {
        let name = "side files";
        let has_log = self.header.is_some_and(|header| header.log);
        let (journal, _) = self.side_file("-journal");
        if let Some(bytes) = self.journal() {
            let what = format!("{} holds {}", journal.display(), size(bytes));
            return if has_log {
                let found = format!("{what}, beside a database that has a write-ahead log");
                let advice = "do not open the database: SQLite would write the journal's old pages \
                              into it. Copy all files to another folder and look there";
                Check::error(name, found, advice)
            } else {
                let advice = "wait for the running transaction; where none is running, the next \
                              opening undoes what was cut short. Never delete the journal";
                Check::warning(name, what, advice)
            };
        }
        let (log, bytes) = self.side_file("-wal");
        match bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) if self.header.is_some() && !has_log => {
                let found =
                    format!("{} holds {}, but the database uses none", log.display(), size(bytes));
                let advice = "keep it: it may hold what the database lacks. A copy of one of the \
                              two files alone does this";
                Check::warning(name, found, advice)
            }
            Some(bytes) => Check::ok(name, format!("a log of {}; never delete it", size(bytes))),
            None => Check::ok(name, "nothing that does not belong to the database"),
        }
    }
}

impl Header {
    /// Reads the start of the file, which must happen before this process has it open through
    /// SQLite, and while no thread could.
    fn read(path: &Path) -> Option<Self> {
        let mut bytes = [0; 100];
        #[expect(
            clippy::disallowed_methods,
            reason = "this process has not opened the database yet, so it has no locks to lose"
        )]
        fs::File::open(path).ok()?.read_exact(&mut bytes).ok()?;
        let writer = bytes.last_chunk::<4>().map(|number| u32::from_be_bytes(*number))?;
        let log = bytes.get(18..20)? == [2, 2];
        bytes.starts_with(b"SQLite format 3\0").then(|| Self { log, writer: Version::from(writer) })
    }

    fn check(self) -> Check {
        let name = "last writer";
        let found = format!("SQLite {}", self.writer);
        if self.log && self.writer.loses_writes() {
            let found = format!("{found}, which can lose writes when it copies the log back");
            let advice = "find the program that brings this library and update it; SQLite 3.51.3 \
                          has the fault mended";
            return Check::warning(name, found, advice);
        }
        Check::ok(name, found)
    }
}

fn names(metadata: &Metadata) -> Check {
    match metadata.nlink() {
        1 => Check::ok("names", "the file has one name"),
        links => Check::error(
            "names",
            format!("the file has {links} names (hard links)"),
            "remove all but one: SQLite keeps a log for each name, and they know nothing of each \
             other",
        ),
    }
}

fn owner(metadata: &Metadata) -> Check {
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == us || us == 0 {
        return Check::ok("owner", format!("user {owner}"));
    }
    Check::warning(
        "owner",
        format!("the file belongs to user {owner}, this is user {us}"),
        "run all agents of a project as one user",
    )
}

/// Whether others can get at the file: its own mode counts as far as all folders above let them
/// through.
fn mode(path: &Path, metadata: &Metadata) -> Check {
    let reach = path.ancestors().skip(1).filter_map(|folder| folder.metadata().ok()).fold(
        metadata.mode(),
        |reach, folder| {
            let passes = |bit: u32, mask: u32| if folder.mode() & bit == 0 { mask } else { 0 };
            reach & !(passes(0o010, 0o070) | passes(0o001, 0o007))
        },
    );
    let found = format!("mode {:o}", metadata.mode() & 0o777);
    let who = match (reach & 0o060, reach & 0o006) {
        (0, 0) => return Check::ok("mode", found),
        (_, 0) => "its group",
        _ => "everybody",
    };
    let can = if reach & 0o022 == 0 { "read" } else { "read or write" };
    Check::warning(
        "mode",
        format!("{found}: {who} can {can} the file"),
        "chmod 600 the database, or chmod 700 its folder, unless this is meant",
    )
}

/// What can be said of a project without a database.
pub(super) fn without_database(layout: &ProjectLayout) -> String {
    let path = layout.features_db();
    let mut found = format!("{} has no database", layout.folder().display());
    let mut log = path.into_os_string();
    log.push("-wal");
    if Path::new(&log).exists() {
        found.push_str(", but a log of one, whose database is gone: keep the log");
    }
    if layout.legacy_backlog().exists() {
        found.push_str("; the next opening makes one from feature_list.json");
    }
    found
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}
