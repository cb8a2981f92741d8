//! What a project is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Limits;

/// What a project is called, in the registry and in the rows of its files: 1 to [`Limits::PROJECT_NAME_CHARS`] of the
/// letters `a` to `z` and `A` to `Z`, digits, `-` and `_`, which is what AutoForge's programs take.
///
/// ```
/// use autoforge_store::ProjectName;
/// let name: ProjectName = "web_shop-2".parse()?;
/// assert_eq!(name.as_str(), "web_shop-2");
/// assert!(ProjectName::new("web shop").is_err());
/// # Ok::<(), autoforge_store::InvalidProjectName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ProjectName(String);

impl ProjectName {
    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidProjectName`] where it is no such name.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidProjectName> {
        let found = text.into();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let length = 1..=Limits::PROJECT_NAME_CHARS;
        if length.contains(&found.len()) && found.bytes().all(known) {
            return Ok(Self(found));
        }
        Err(InvalidProjectName { found })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectName {
    type Err = InvalidProjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for ProjectName {
    type Error = InvalidProjectName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that names no project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} names no project; take 1 to {} letters of a-z and A-Z, digits, - and _",
    Limits::PROJECT_NAME_CHARS
)]
pub struct InvalidProjectName {
    /// The text.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_old_programs_take() {
        let longest = "x".repeat(Limits::PROJECT_NAME_CHARS);
        for name in ["a", "Z9", "-", "_", "web_shop-2", &longest] {
            assert_eq!(
                name.parse::<ProjectName>().map(|name| name.to_string()).as_deref(),
                Ok(name)
            );
        }
        for text in
            ["", " a", "a b", "ä", "a/b", "ab/..", "a.b", "a\n", "\0", &format!("{longest}x")]
        {
            let found = text.to_owned();
            assert_eq!(ProjectName::new(text), Err(InvalidProjectName { found }));
        }
    }

    #[test]
    fn a_name_that_a_file_holds_is_checked_as_well() {
        assert!(serde_json::from_str::<ProjectName>("\"shop\"").is_ok());
        assert!(serde_json::from_str::<ProjectName>("\"a shop\"").is_err());
    }
}
