//! Projects of a machine, as its registry holds them, and what a new one must look like.

use std::fmt;
use std::path::{Component, Path};

use super::{Concurrency, Limits, LocalTime};

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
    /// [`InvalidProject::Interval`] outside of 1 to 1440.
    pub fn minutes(minutes: u16) -> Result<Self, InvalidProject> {
        if (Self::MIN..=Self::MAX).contains(&minutes) {
            return Ok(Self(minutes));
        }
        Err(InvalidProject::Interval { found: minutes })
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

/// Whether a finished project is improved again and again, and how often. By default it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AutoImprove {
    /// It is.
    pub enabled: bool,
    /// How long it rests between.
    pub interval: ImproveInterval,
}

/// One project as the registry holds it. A name that other programs stored may break the rule of
/// [`ProjectName`](super::ProjectName), and a path that of [`ProjectPath`].
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

/// Why the path of a project, or how long it is to rest, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProject {
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
    /// No project rests so long.
    #[error("a project rests 1 to 1440 minutes, not {found}")]
    Interval {
        /// The minutes.
        found: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (stored, minutes) in [(None, 10), (Some(-1), 1), (Some(30), 30), (Some(9999), 1440)] {
            assert_eq!(ImproveInterval::stored(stored).get(), minutes);
        }
    }
}
