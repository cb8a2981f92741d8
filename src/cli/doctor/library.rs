//! Which SQLite a process carries. Libraries before 3.51.3 can lose writes of others when they copy
//! a write-ahead log back, and only the copying process's library matters.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Check;

/// Files larger than this are not searched.
const LARGEST: u64 = 256 << 20;
/// The length of `2026-03-13 10:38:09 ` and 64 hexadecimal digits, of which distributors change the
/// last four.
const DATE: usize = "2026-03-13 10:38:09 ".len();
const DIGITS: usize = 60;
/// The day on which the first library without the fault was released.
const MENDED_ON: &str = "2026-03-13";

/// The number of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl From<u32> for Version {
    fn from(number: u32) -> Self {
        Self { major: number / 1_000_000, minor: number / 1_000 % 1_000, patch: number % 1_000 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// Whether it has the fault. Three older lines got the repair too; 3.52.0 was withdrawn.
    pub(super) fn loses_writes(self) -> bool {
        match (self.major, self.minor) {
            (3, 44) => self.patch < 6,
            (3, 50) => self.patch < 7,
            (3, 51) => self.patch < 3,
            (3, minor) => (7..53).contains(&minor),
            _ => false,
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.split('.').map(str::parse::<u32>);
        let mut next = || parts.next()?.ok();
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        parts.next().is_none().then_some(version)
    }
}

/// An SQLite that was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Library {
    path: PathBuf,
    version: Option<Version>,
    /// The day of its source.
    date: String,
}

impl Library {
    /// Whether it can lose writes in a file with a log.
    pub(super) fn loses_writes(&self) -> bool {
        match self.version {
            Some(version) => version.loses_writes(),
            None => self.date.as_str() < MENDED_ON,
        }
    }

    /// Searches a file for SQLite, and calls it by another path. Only for programs and libraries,
    /// never for databases.
    pub(super) fn find(file: &Path, path: &Path) -> Option<Self> {
        if file.metadata().ok()?.len() > LARGEST {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "a program or a library, never a database")]
        let bytes = std::fs::read(file).ok()?;
        let (date, version) = search(&bytes)?;
        Some(Self { path: path.to_owned(), version, date })
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "SQLite {version} of {}", self.date)?,
            None => write!(f, "SQLite of {}", self.date)?,
        }
        write!(f, " in {}", self.path.display())
    }
}

/// The day of the source and the version, as every SQLite carries them in its text.
fn search(bytes: &[u8]) -> Option<(String, Option<Version>)> {
    let mut rest = bytes;
    let mut date = None;
    // `20` is rare enough in a program that looking closer at each costs little.
    while let Some(at) = rest.windows(2).position(|pair| pair == b"20") {
        rest = rest.get(at..)?;
        if is_source_id(rest) {
            date = std::str::from_utf8(rest.get(..MENDED_ON.len())?).ok().map(str::to_owned);
            break;
        }
        rest = rest.get(2..)?;
    }
    let date = date?;
    // The number stands by itself between two NULs.
    let version = bytes
        .split(|byte| *byte == 0)
        .filter(|text| text.starts_with(b"3.") && text.len() <= "3.999.999".len())
        .find_map(Version::parse);
    Some((date, version))
}

fn is_source_id(text: &[u8]) -> bool {
    const PATTERN: &[u8; DATE] = b"dddd-dd-dd dd:dd:dd ";
    let (Some(date), Some(digits)) = (text.get(..DATE), text.get(DATE..DATE + DIGITS)) else {
        return false;
    };
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    };
    date.iter().zip(PATTERN).all(fits) && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Two libraries in one process undo each other's locks.
pub(super) fn our_own() -> Check {
    let name = "this program";
    let others: Vec<String> = super::users::mapped_files(std::process::id())
        .into_iter()
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("sqlite3"))
        })
        .map(|path| path.display().to_string())
        .collect();
    match others.as_slice() {
        [] => Check::ok(name, format!("at least SQLite {} is built in", crate::SQLITE_REQUIRED)),
        others => Check::error(
            name,
            format!("a second SQLite is loaded: {}", others.join(", ")),
            "start this program without LD_PRELOAD and the like",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn repaired_lines_are_known() {
        for fine in ["3.51.3", "3.50.7", "3.44.6", "3.53.0", "3.54.1", "3.6.23", "4.0.0"] {
            assert!(!version(fine).loses_writes(), "{fine}");
        }
        for faulty in ["3.40.1", "3.44.5", "3.46.1", "3.50.6", "3.51.2", "3.52.0", "3.7.0"] {
            assert!(version(faulty).loses_writes(), "{faulty}");
        }
        assert_eq!(Version::from(3_040_001), version("3.40.1"));
    }

    #[test]
    fn a_library_is_known_by_its_source_id() {
        let digits = "0c55d179733b46d8d0ba4d88e01a25e10677046ee3da1d5b1581e86726f2171d";
        let text = format!("\x7fELF\0202\0in 2020\x003.40.1\x002022-12-28 14:03:47 {digits}\0x");
        let (date, found) = search(text.as_bytes()).unwrap();
        assert_eq!((date.as_str(), found), ("2022-12-28", Some(version("3.40.1"))));
        assert_eq!(search(b"\x003.40.1\x002022-12-28 14:03:47 no digits"), None);
    }

    #[test]
    fn without_a_number_the_day_decides() {
        let of =
            |date: &str| Library { path: PathBuf::new(), version: None, date: date.to_owned() };
        assert!(of("2025-11-04").loses_writes());
        assert!(!of("2026-03-13").loses_writes());
    }
}
