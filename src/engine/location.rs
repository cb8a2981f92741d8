//! Where a database lies, and whether that is a place where SQLite's promises hold.
//!
//! Everything here asks the system by path. No file is ever opened: closing any descriptor of a
//! database file would drop all locks that this process holds on it.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::OpenError;

/// The first release of SQLite without the WAL-reset fault.
pub const SQLITE_REQUIRED: &str = "3.51.3";
pub(super) const SQLITE_REQUIRED_NUMBER: i32 = 3_051_003;

/// The longest path that SQLite's Unix layer handles, the terminating NUL included.
const SQLITE_PATH_MAX: usize = 512;
/// What SQLite appends to a database's name at most.
const LONGEST_SUFFIX: usize = "-journal".len();

/// Which file stands at a path: its device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The file at the path, if there is one.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|file| Self::of(&file))
    }

    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A database file and what identifies it.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    path: Arc<Path>,
    /// Which file it is, once it has been opened.
    identity: Option<FileIdentity>,
}

impl Location {
    /// The real place of a database that may not exist yet: links and `..` resolved, the kind of
    /// file and the file system checked.
    pub(crate) fn resolve(path: &Path) -> Result<Self, OpenError> {
        let path = real_path(path)?;
        let bytes = path.as_os_str().len();
        let max = SQLITE_PATH_MAX - 1 - LONGEST_SUFFIX;
        if bytes > max {
            return Err(OpenError::PathTooLong { path, bytes, max });
        }
        match fs::metadata(&path) {
            Ok(metadata) => check_file(&path, &metadata)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::system("looking at", &path, &error)),
        }
        Ok(Self { path: path.into(), identity: None })
    }

    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Notes which file stands at the path now.
    pub(super) fn identify(&mut self) -> Result<FileIdentity, OpenError> {
        let metadata = fs::metadata(&self.path)
            .map_err(|error| OpenError::system("looking at", &self.path, &error))?;
        check_file(&self.path, &metadata)?;
        Ok(*self.identity.insert(FileIdentity::of(&metadata)))
    }

    /// Which file was noted; where none was, which one stands there now.
    pub(super) fn identity_now(&self) -> Option<FileIdentity> {
        self.identity.or_else(|| FileIdentity::at(&self.path))
    }

    /// Whether another file, or none, stands at the path by now.
    pub(super) fn was_moved(&self) -> bool {
        self.identity.is_some() && FileIdentity::at(&self.path) != self.identity
    }

    /// The side file with this suffix.
    pub(super) fn side_file(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(suffix);
        PathBuf::from(name)
    }

    /// How long the file's log is, in bytes; 0 where there is none.
    pub(super) fn log_length(&self) -> u64 {
        length(&self.side_file("-wal")).unwrap_or(0)
    }

    /// Lets nobody but the owner read the file. SQLite gives the side files the same mode.
    pub(super) fn make_private(&self) -> Result<(), OpenError> {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600))
            .map_err(|error| OpenError::system("changing the mode of", &self.path, &error))
    }

    /// The kind of file system, where it is one that breaks SQLite's locks or its shared memory.
    pub(crate) fn unsafe_file_system(&self) -> Option<String> {
        let folder = self.path.parent().unwrap_or(&self.path);
        unsafe_file_system(folder)
    }

    /// As [`Location::unsafe_file_system`]; such a one is refused unless the caller allows it.
    pub(super) fn check_file_system(
        &self,
        allow_unsafe: bool,
    ) -> Result<Option<String>, OpenError> {
        self.accept_file_system(self.unsafe_file_system(), allow_unsafe)
    }

    fn accept_file_system(
        &self,
        kind: Option<String>,
        allow_unsafe: bool,
    ) -> Result<Option<String>, OpenError> {
        match kind {
            Some(kind) if !allow_unsafe => {
                Err(OpenError::UnsafeFileSystem { path: self.path.to_path_buf(), kind })
            }
            kind => Ok(kind),
        }
    }
}

fn real_path(path: &Path) -> Result<PathBuf, OpenError> {
    match fs::canonicalize(path) {
        Ok(path) => return Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::system("resolving", path, &error)),
    }
    let name = path
        .file_name()
        .ok_or_else(|| OpenError::NotAFile { path: path.to_owned(), found: "no file name" })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(folder)
        .map_err(|error| OpenError::system("resolving the folder of", path, &error))?;
    let resolved = folder.join(name);
    match fs::symlink_metadata(&resolved) {
        // It exists and yet does not resolve.
        Ok(found) if found.is_symlink() => {
            Err(OpenError::NotAFile { path: resolved, found: "a link that leads nowhere" })
        }
        // It is not there, or another process has made it in this moment.
        _ => Ok(resolved),
    }
}

fn check_file(path: &Path, metadata: &Metadata) -> Result<(), OpenError> {
    let kind = metadata.file_type();
    let found = if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    };
    let path = || path.to_owned();
    match found {
        Some(found) => Err(OpenError::NotAFile { path: path(), found }),
        None if metadata.nlink() > 1 => {
            Err(OpenError::HardLinked { path: path(), links: metadata.nlink() })
        }
        None => Ok(()),
    }
}

/// Magic numbers of statfs, for file systems whose locks or shared memory do not reach every
/// process that can open the file.
#[cfg(target_os = "linux")]
const UNSAFE_MAGIC: [(u64, &str); 9] = [
    (0x6969, "NFS"),
    (0x0102_1997, "9p"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x00c3_6400, "Ceph"),
    (0x6b41_4653, "AFS"),
    (0x5346_414f, "AFS"),
    (0x6573_5546, "FUSE"),
];

/// The length of a file, in bytes. Asks for nothing beside it where the system can be asked so: once somebody has
/// read a file's times, Linux gives the next write a new one, and its sync has a second block to write, that of
/// the inode.
fn length(path: &Path) -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
        if let Ok(file) = statx(CWD, path, AtFlags::empty(), StatxFlags::SIZE) {
            return Some(file.stx_size);
        }
    }
    Some(fs::metadata(path).ok()?.len())
}

#[cfg(target_os = "linux")]
fn unsafe_file_system(folder: &Path) -> Option<String> {
    let magic = u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()? & 0xffff_ffff;
    unsafe_kind(magic, || mount_kind(folder))
}

/// The same of a magic number, and of the kind of the mount where the number does not say all.
#[cfg(target_os = "linux")]
fn unsafe_kind(magic: u64, mount: impl FnOnce() -> Option<String>) -> Option<String> {
    let (_, name) = UNSAFE_MAGIC.iter().find(|(number, _)| *number == magic)?;
    if *name != "FUSE" {
        return Some((*name).to_owned());
    }
    // FUSE carries both network file systems and local disks (as `fuseblk`).
    let kind = mount().unwrap_or_else(|| "fuse".to_owned());
    (kind != "fuseblk").then_some(kind)
}

#[cfg(not(target_os = "linux"))]
fn unsafe_file_system(_folder: &Path) -> Option<String> {
    None
}

/// The type of the mount with the longest mount point above `folder`.
#[cfg(target_os = "linux")]
fn mount_kind(folder: &Path) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    kind_of_mount(&table, folder)
}

/// The same from the text of a mount table; of mounts at one point the last one counts.
#[cfg(target_os = "linux")]
fn kind_of_mount(table: &str, folder: &Path) -> Option<String> {
    let mounts = table.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = PathBuf::from(unescape(left.split(' ').nth(4)?));
        let kind = right.split(' ').next()?.to_owned();
        folder.starts_with(&point).then(|| (point.components().count(), kind))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// The mount table writes space, tab, newline and backslash as three octal digits.
#[cfg(target_os = "linux")]
fn unescape(text: &str) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    OsString::from_vec(bytes)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 30 0:41 / /home/me/local rw - ext4 /dev/vdb rw
32 22 0:42 / /mnt/with\\040space rw - fuse.sshfs host: rw
33 22 0:43 / /homework rw - fuseblk /dev/vdc rw
34 22 0:44 / /mnt rw - tmpfs tmpfs rw";

    fn kind(folder: &str) -> Option<String> {
        kind_of_mount(TABLE, Path::new(folder))
    }

    #[test]
    fn a_network_is_unsafe_and_fuse_is_but_for_a_local_disk() {
        let ext4 = 0xef53;
        assert_eq!(unsafe_kind(ext4, || unreachable!("the number says all")), None);
        let nfs = unsafe_kind(0x6969, || unreachable!("the number says all"));
        assert_eq!(nfs.as_deref(), Some("NFS"));
        let fuse = |mount: Option<&str>| unsafe_kind(0x6573_5546, || mount.map(str::to_owned));
        assert_eq!(fuse(Some("fuse.sshfs")).as_deref(), Some("fuse.sshfs"));
        assert_eq!(fuse(None).as_deref(), Some("fuse"));
        assert_eq!(fuse(Some("fuseblk")), None);
    }

    #[test]
    fn an_unsafe_file_system_is_refused_unless_it_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::resolve(&dir.path().join("features.db")).unwrap();
        let accept = |kind: Option<&str>, allow_unsafe| {
            location.accept_file_system(kind.map(str::to_owned), allow_unsafe)
        };
        let refused = accept(Some("NFS"), false);
        assert!(matches!(refused, Err(OpenError::UnsafeFileSystem { kind, .. }) if kind == "NFS"));
        assert_eq!(accept(Some("NFS"), true).unwrap().as_deref(), Some("NFS"));
        assert_eq!(accept(None, false).unwrap(), None);
    }

    #[test]
    fn the_mount_of_a_folder_is_looked_up() {
        assert_eq!(mount_kind(Path::new("/proc/self")).as_deref(), Some("proc"));
    }

    #[test]
    fn the_mount_with_the_longest_point_decides() {
        assert_eq!(kind("/srv").as_deref(), Some("ext4"));
        assert_eq!(kind("/home/me").as_deref(), Some("nfs4"));
        assert_eq!(kind("/home/me/local/project").as_deref(), Some("ext4"));
    }

    #[test]
    fn a_mount_point_matches_whole_names_only() {
        assert_eq!(kind("/homework/project").as_deref(), Some("fuseblk"));
        assert_eq!(kind("/homeless").as_deref(), Some("ext4"));
    }

    #[test]
    fn escaped_mount_points_are_read() {
        assert_eq!(kind("/mnt/with space/project").as_deref(), Some("fuse.sshfs"));
    }

    #[test]
    fn a_folder_is_no_database() {
        let dir = tempfile::tempdir().unwrap();
        let error = Location::resolve(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::NotAFile { found: "a folder", .. }), "{error}");
    }

    #[test]
    fn a_bare_name_is_one_in_the_folder_of_the_process() {
        let name = Path::new("no-such-file.db");
        let folder = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(**Location::resolve(name).unwrap().path(), *folder.join(name));
    }

    #[test]
    fn a_path_that_does_not_resolve_is_told_with_what_the_system_says() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("in circles.db");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        let error = Location::resolve(&link).unwrap_err();
        assert!(matches!(error, OpenError::System { action: "resolving", .. }), "{error}");
    }
}
