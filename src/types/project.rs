//! Projects of a machine, as its registry holds them, and what a new one must look like.

use std::fmt;
use std::path::{Component, Path};

use super::{Limits, LocalTime};

/// A name for a project: 1 to [`Limits::PROJECT_NAME_CHARS`] of the letters a to z and A to Z,
/// digits, `-` and `_`.
///
/// ```
/// use autoforge_store::ProjectName;
/// assert_eq!(ProjectName::new("my-shop_2")?.as_str(), "my-shop_2");
/// assert!(ProjectName::new("my shop").is_err());
/// # Ok::<(), autoforge_store::InvalidProject>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProjectName(String);

impl ProjectName {
    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidProject`] says which rule it breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidProject> {
        let (text, max) = (text.into(), Limits::PROJECT_NAME_CHARS);
        let chars = text.chars().count();
        if chars == 0 || chars > max {
            return Err(InvalidProject::NameLength { chars, max });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        match text.chars().position(|c| !allowed(c)) {
            Some(at) => Err(InvalidProject::NameCharacter { at }),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a project lies: an absolute path as text, with forward slashes and in one spelling, so that
/// equal places have equal texts as far as that can be told without looking at the disk.
///
/// [`HomeLayout::project_path`](crate::HomeLayout::project_path) makes one of any path, by looking.
///
/// ```
/// use autoforge_store::ProjectPath;
/// assert_eq!(ProjectPath::new("/home/me//shop/./")?.as_str(), "/home/me/shop");
/// assert!(ProjectPath::new("shop").is_err());
/// # Ok::<(), autoforge_store::InvalidProject>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProjectPath(String);

impl ProjectPath {
    /// Checks a path. Empty parts and `.` are left out; `..` is refused, since only the disk tells
    /// where it leads.
    ///
    /// # Errors
    /// [`InvalidProject`] says which rule it breaks.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, InvalidProject> {
        let path = path.as_ref();
        if !path.is_absolute() {
            return Err(InvalidProject::PathNotAbsolute);
        }
        let mut text = String::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    let name = name.to_str().filter(|name| !name.contains('\0'));
                    text.push('/');
                    text.push_str(name.ok_or(InvalidProject::PathNotText)?);
                }
                Component::ParentDir => return Err(InvalidProject::PathGoesUp),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        if text.is_empty() {
            text.push('/');
        }
        let (bytes, max) = (text.len(), Limits::PROJECT_PATH_BYTES);
        if bytes > max {
            return Err(InvalidProject::PathTooLong { bytes, max });
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How many coding agents work on a project unless somebody says otherwise: 1 to 5, by default 3.
///
/// ```
/// use autoforge_store::Concurrency;
/// assert_eq!((Concurrency::default().get(), Concurrency::new(5)?.get()), (3, 5));
/// assert!(Concurrency::new(0).is_err());
/// # Ok::<(), autoforge_store::InvalidProject>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Concurrency(u8);

impl Concurrency {
    const MIN: u8 = 1;
    const MAX: u8 = 5;

    /// Checks the number.
    ///
    /// # Errors
    /// [`InvalidProject::OutOfRange`] outside of 1 to 5.
    pub fn new(agents: u8) -> Result<Self, InvalidProject> {
        let range = (Self::MIN.into(), Self::MAX.into());
        check_range("concurrency", agents.into(), range).map(|()| Self(agents))
    }

    /// What a file holds: nothing is the default, what is out of bounds the nearest bound.
    pub(crate) fn stored(agents: Option<i64>) -> Self {
        let Some(agents) = agents else { return Self::default() };
        let bounded = agents.clamp(Self::MIN.into(), Self::MAX.into());
        u8::try_from(bounded).map_or_else(|_| Self::default(), Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self(3)
    }
}

/// How long a project rests before it is improved again: 1 to 1440 minutes, by default 10.
///
/// ```
/// use autoforge_store::ImproveInterval;
/// assert_eq!(ImproveInterval::minutes(1440)?.get(), 1440);
/// assert!(ImproveInterval::minutes(1441).is_err());
/// # Ok::<(), autoforge_store::InvalidProject>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImproveInterval(u16);

impl ImproveInterval {
    const MIN: u16 = 1;
    const MAX: u16 = 24 * 60;

    /// Checks the number of minutes.
    ///
    /// # Errors
    /// [`InvalidProject::OutOfRange`] outside of 1 to 1440.
    pub fn minutes(minutes: u16) -> Result<Self, InvalidProject> {
        let range = (Self::MIN.into(), Self::MAX.into());
        check_range("interval", minutes.into(), range).map(|()| Self(minutes))
    }

    /// What a file holds: nothing is the default, what is out of bounds the nearest bound.
    pub(crate) fn stored(minutes: Option<i64>) -> Self {
        let Some(minutes) = minutes else { return Self::default() };
        let bounded = minutes.clamp(Self::MIN.into(), Self::MAX.into());
        u16::try_from(bounded).map_or_else(|_| Self::default(), Self)
    }

    /// The number of minutes.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for ImproveInterval {
    fn default() -> Self {
        Self(10)
    }
}

fn check_range(
    field: &'static str,
    value: u16,
    (min, max): (u16, u16),
) -> Result<(), InvalidProject> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(InvalidProject::OutOfRange { field, value, min, max })
}

/// Whether a finished project is improved again and again, and how often. By default it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AutoImprove {
    /// It is.
    pub enabled: bool,
    /// How long it rests between.
    pub interval: ImproveInterval,
}

/// One project as the registry holds it. A name that other programs stored may break the rule of
/// [`ProjectName`], and a path that of [`ProjectPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// What it is called; unique.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// When it was registered, on the clock of the machine's own time zone; `None` where the file
    /// holds no time.
    pub created_at: Option<LocalTime>,
    /// How many coding agents work on it.
    pub concurrency: Concurrency,
    /// Whether it is improved when it is done.
    pub auto_improve: AutoImprove,
}

/// Why the name, the path or a number of a project is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProject {
    /// The name is empty or too long.
    #[error("the name of a project has 1 to {max} characters, not {chars}")]
    NameLength {
        /// How many it has.
        chars: usize,
        /// How many it may have.
        max: usize,
    },
    /// The name has a character that none may have.
    #[error(
        "the name of a project has letters from a to z, digits, - and _ only, which its character {} is not",
        .at + 1
    )]
    NameCharacter {
        /// Its 0-based position, in characters.
        at: usize,
    },
    /// The path means another place in another folder.
    #[error("the path of a project must be absolute")]
    PathNotAbsolute,
    /// The path has `..`, and only the disk tells where that leads.
    #[error("the path of a project must not go up with `..`")]
    PathGoesUp,
    /// The path is no UTF-8 text, which the registry cannot hold.
    #[error("the path of a project must be UTF-8 text")]
    PathNotText,
    /// The path is longer than any that the system takes.
    #[error("the path of the project takes {bytes} bytes, the limit is {max}")]
    PathTooLong {
        /// How many it takes.
        bytes: usize,
        /// How many it may take.
        max: usize,
    },
    /// A number is out of bounds.
    #[error("{field} is a number from {min} to {max}, not {value}")]
    OutOfRange {
        /// Which one.
        field: &'static str,
        /// What it is.
        value: u16,
        /// The lowest possible.
        min: u16,
        /// The highest possible.
        max: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_letters_that_autoforge_takes_and_no_others() {
        let longest = "a".repeat(50);
        for good in ["a", "Z9", "-", "_", "my-crm", longest.as_str()] {
            assert_eq!(ProjectName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(ProjectName::new(""), Err(InvalidProject::NameLength { chars: 0, max: 50 }));
        let long = ProjectName::new("a".repeat(51));
        assert_eq!(long, Err(InvalidProject::NameLength { chars: 51, max: 50 }));
        for (bad, at) in [("a b", 1), ("é", 0), ("ab/..", 2), ("a.b", 1), ("a\n", 1), ("\0", 0)] {
            assert_eq!(ProjectName::new(bad), Err(InvalidProject::NameCharacter { at }), "{bad:?}");
        }
    }

    #[test]
    fn a_place_has_one_spelling() {
        for (path, spelled) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b/", "/a/b"),
            ("/a//./b/.", "/a/b"),
            ("/a b/é", "/a b/é"),
            (r"/with\backslash", r"/with\backslash"),
        ] {
            assert_eq!(ProjectPath::new(path).unwrap().as_str(), spelled);
        }
        assert_eq!(ProjectPath::new(""), Err(InvalidProject::PathNotAbsolute));
        assert_eq!(ProjectPath::new("a"), Err(InvalidProject::PathNotAbsolute));
        assert_eq!(ProjectPath::new("/a/../b"), Err(InvalidProject::PathGoesUp));
        assert_eq!(ProjectPath::new("/a\0b"), Err(InvalidProject::PathNotText));
        let long = ProjectPath::new(format!("/{}", "a".repeat(4096)));
        assert_eq!(long, Err(InvalidProject::PathTooLong { bytes: 4097, max: 4096 }));
    }

    #[test]
    fn numbers_that_a_file_holds_are_brought_within_bounds() {
        for (stored, agents) in [(None, 3), (Some(0), 1), (Some(4), 4), (Some(i64::MAX), 5)] {
            assert_eq!(Concurrency::stored(stored).get(), agents);
        }
        for (stored, minutes) in [(None, 10), (Some(-1), 1), (Some(30), 30), (Some(9999), 1440)] {
            assert_eq!(ImproveInterval::stored(stored).get(), minutes);
        }
    }
}
