//! The name of a request that may be sent more than once.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

use super::Limits;

/// The name of one request, by which a repetition is known: 1 to [`Limits::REQUEST_ID_CHARS`]
/// characters, none of them a control character.
///
/// It names the request to everybody who uses the file, not to one caller alone: whoever gives
/// another request the same name is refused, or gets an answer that was meant for somebody else. So
/// take what nobody else takes: [`RequestId::random`], or what the caller is called and what it does.
///
/// ```
/// use autoforge_store::RequestId;
/// let id: RequestId = "coder-1/monday/claim-7".parse()?;
/// assert_eq!(id.as_str(), "coder-1/monday/claim-7");
/// assert!(RequestId::new("").is_err());
/// assert_ne!(RequestId::random(), RequestId::random());
/// # Ok::<(), autoforge_store::InvalidRequestId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// Checks the text. Texts that differ in anything are different names.
    ///
    /// # Errors
    /// [`InvalidRequestId`] says which rule the text breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidRequestId> {
        let text = text.into();
        if text.is_empty() {
            return Err(InvalidRequestId::Empty);
        }
        let chars = text.chars().count();
        if chars > Limits::REQUEST_ID_CHARS {
            return Err(InvalidRequestId::TooLong { chars, max: Limits::REQUEST_ID_CHARS });
        }
        if let Some(at) = text.chars().position(char::is_control) {
            return Err(InvalidRequestId::ControlCharacter { at });
        }
        Ok(Self(text))
    }

    /// A name that nobody else has: 128 random bits in hexadecimal digits. Keep it until the answer
    /// is there; without it the request cannot be repeated.
    #[must_use]
    pub fn random() -> Self {
        let bits = || {
            // Keys from the system's own source; a forked child has inherited those of its parent.
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u32(std::process::id());
            hasher.finish()
        };
        Self(format!("{:016x}{:016x}", bits(), bits()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a text names no request.
///
/// ```
/// use autoforge_store::{InvalidRequestId, RequestId};
/// let problem = RequestId::new("a\nb").unwrap_err();
/// assert_eq!(problem, InvalidRequestId::ControlCharacter { at: 1 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequestId {
    /// It has no characters.
    #[error("a request id must not be empty")]
    Empty,
    /// It has too many characters.
    #[error("the request id has {chars} characters, the limit is {max}")]
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many it may have.
        max: usize,
    },
    /// It has a control character, which people could not see in a message.
    #[error("the request id has a control character at {at}; leave it out")]
    ControlCharacter {
        /// Its 0-based position, in characters.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_visible() {
        let longest = "é".repeat(Limits::REQUEST_ID_CHARS);
        assert_eq!(RequestId::new(longest.as_str()).unwrap().to_string(), longest);
        let max = Limits::REQUEST_ID_CHARS;
        let too_long = InvalidRequestId::TooLong { chars: max + 1, max };
        assert_eq!(RequestId::new(longest + "x"), Err(too_long));
        for hidden in ["\0", "\u{7f}", "\u{85}", "\r"] {
            let problem = InvalidRequestId::ControlCharacter { at: 2 };
            assert_eq!(format!("é {hidden}").parse::<RequestId>(), Err(problem));
        }
        assert_eq!(RequestId::new(" ").unwrap().as_str(), " ", "nothing is trimmed");
    }

    #[test]
    fn random_names_are_valid_and_differ() {
        let names: std::collections::HashSet<_> = (0..1000).map(|_| RequestId::random()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| RequestId::new(name.as_str()).as_ref() == Ok(name)));
    }
}
