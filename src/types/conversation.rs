//! Conversations with a project's assistant: what the file holds of them, and what a new one must
//! look like.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Limits, Timestamp};

/// The number of a conversation. This store never gives one out twice.
///
/// ```
/// use autoforge_store::ConversationId;
/// assert_eq!(ConversationId::from(7).to_string(), "7");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ConversationId(i64);

/// The number of a message, among those of all conversations in the file.
///
/// ```
/// use autoforge_store::MessageId;
/// assert_eq!(MessageId::from(7).get(), 7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MessageId(i64);

impl ConversationId {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for ConversationId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl MessageId {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for MessageId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who says something in a conversation.
///
/// ```
/// use autoforge_store::Role;
/// assert_eq!("assistant".parse(), Ok(Role::Assistant));
/// assert_eq!(Role::User.as_str(), "user");
/// assert!("robot".parse::<Role>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The assistant.
    Assistant,
    /// The program between them.
    System,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::User, Self::Assistant, Self::System];

    /// The name that the file holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidConversation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or(InvalidConversation::UnknownRole)
    }
}

/// Who said a message, as the file tells: other programs may have stored anything there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoredRole {
    /// One of those that there are.
    Known(Role),
    /// Something else.
    Other(String),
}

impl StoredRole {
    /// What the file holds.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(role) => role.as_str(),
            Self::Other(text) => text,
        }
    }
}

impl From<String> for StoredRole {
    fn from(text: String) -> Self {
        text.parse().map_or_else(|_| Self::Other(text), Self::Known)
    }
}

impl From<Role> for StoredRole {
    fn from(role: Role) -> Self {
        Self::Known(role)
    }
}

impl PartialEq<Role> for StoredRole {
    fn eq(&self, role: &Role) -> bool {
        *self == Self::Known(*role)
    }
}

/// One conversation as the file holds it, without its messages.
///
/// A time is `None` where the file holds none, or something that is no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its number.
    pub id: ConversationId,
    /// The project that it is about.
    pub project: String,
    /// What it is called; `None` until its first user message names it.
    pub title: Option<String>,
    /// When it was begun.
    pub created_at: Option<Timestamp>,
    /// When something was last said in it.
    pub updated_at: Option<Timestamp>,
}

/// One message as the file holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// The conversation that it belongs to.
    pub conversation: ConversationId,
    /// Who said it.
    pub role: StoredRole,
    /// What was said.
    pub content: String,
    /// When; `None` where the file holds no time.
    pub at: Option<Timestamp>,
}

/// What a conversation is called: 1 to [`Limits::TITLE_CHARS`] characters, not all of them blank.
///
/// ```
/// use autoforge_store::ConversationTitle;
/// assert_eq!(ConversationTitle::new("Log in")?.as_str(), "Log in");
/// assert!(ConversationTitle::new(" ").is_err());
/// assert!(ConversationTitle::new("t".repeat(201)).is_err());
/// # Ok::<(), autoforge_store::InvalidConversation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationTitle(String);

impl ConversationTitle {
    /// Checks the text; nothing of it is cut.
    ///
    /// # Errors
    /// [`InvalidConversation`] says which rule the text breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidConversation> {
        let text = check_chars("title", text.into(), Limits::TITLE_CHARS)?;
        if text.trim().is_empty() {
            return Err(InvalidConversation::Empty { field: "title" });
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A conversation that is to be begun.
///
/// ```
/// use autoforge_store::{ConversationTitle, NewConversation};
/// let untitled = NewConversation::new("shop")?;
/// let titled = NewConversation::new("shop")?.titled(ConversationTitle::new("Log in")?);
/// assert_eq!((untitled.title(), titled.title()), (None, Some("Log in")));
/// # Ok::<(), autoforge_store::InvalidConversation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConversation {
    project: String,
    title: Option<ConversationTitle>,
}

impl NewConversation {
    /// A conversation about a project, which has 1 to [`Limits::CONVERSATION_PROJECT_CHARS`]
    /// characters. Its first user message will name it.
    ///
    /// # Errors
    /// [`InvalidConversation`] says which rule the project's name breaks.
    pub fn new(project: impl Into<String>) -> Result<Self, InvalidConversation> {
        let max = Limits::CONVERSATION_PROJECT_CHARS;
        let project = check_chars("project", project.into(), max)?;
        Ok(Self { project, title: None })
    }

    /// The same under a title.
    #[must_use]
    pub fn titled(self, title: ConversationTitle) -> Self {
        Self { title: Some(title), ..self }
    }

    /// The project that it is about.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// What it is called.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_ref().map(ConversationTitle::as_str)
    }
}

/// A message that is to be added to a conversation.
///
/// ```
/// use autoforge_store::{NewMessage, Role};
/// let message = NewMessage::new(Role::User, "Where is the login?")?;
/// assert_eq!(message.title_of_conversation().as_deref(), Some("Where is the login?"));
/// # Ok::<(), autoforge_store::InvalidConversation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    role: Role,
    content: String,
}

/// How much of a message an untitled conversation is called by.
const TITLE_FROM_MESSAGE: usize = 50;

impl NewMessage {
    /// Any text of at most [`Limits::MESSAGE_BYTES`], also none.
    ///
    /// # Errors
    /// [`InvalidConversation::TooLarge`] for a longer one.
    pub fn new(role: Role, content: impl Into<String>) -> Result<Self, InvalidConversation> {
        let (content, max) = (content.into(), Limits::MESSAGE_BYTES);
        if content.len() > max {
            let (field, bytes) = ("message", content.len());
            return Err(InvalidConversation::TooLarge { field, bytes, max });
        }
        Ok(Self { role, content })
    }

    /// Who says it.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What is said.
    #[must_use]
    pub fn content(&self) -> &str {
        &self.content
    }

    /// What the message would name an untitled conversation: its first 50 characters, followed by
    /// `...` if there are more. `None` for what no user said, and for what nobody can see.
    #[must_use]
    pub fn title_of_conversation(&self) -> Option<String> {
        if self.role != Role::User || self.content.trim().is_empty() {
            return None;
        }
        let end = self.content.char_indices().nth(TITLE_FROM_MESSAGE).map(|(at, _)| at);
        Some(match end.and_then(|end| self.content.get(..end)) {
            Some(beginning) => format!("{beginning}..."),
            None => self.content.clone(),
        })
    }
}

/// Why a conversation, its title or a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConversation {
    /// A text that must not be empty is.
    #[error("the {field} must not be empty")]
    Empty {
        /// Which one.
        field: &'static str,
    },
    /// A text has too many characters.
    #[error("the {field} has {chars} characters, the limit is {max}")]
    TooLong {
        /// Which one.
        field: &'static str,
        /// How many it has.
        chars: usize,
        /// How many it may have.
        max: usize,
    },
    /// A text has too many bytes.
    #[error("the {field} takes {bytes} bytes, the limit is {max}; split it")]
    TooLarge {
        /// Which one.
        field: &'static str,
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// There is no such role.
    #[error("a role is user, assistant or system")]
    UnknownRole,
}

fn check_chars(
    field: &'static str,
    text: String,
    max: usize,
) -> Result<String, InvalidConversation> {
    match text.chars().count() {
        0 => Err(InvalidConversation::Empty { field }),
        chars if chars > max => Err(InvalidConversation::TooLong { field, chars, max }),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> Option<String> {
        NewMessage::new(Role::User, text).unwrap().title_of_conversation()
    }

    #[test]
    fn a_title_has_50_characters_of_the_message_whatever_their_bytes() {
        for one in ["x", "é", "語", "\u{1f980}"] {
            assert_eq!(title(&one.repeat(50)), Some(one.repeat(50)));
            assert_eq!(title(&one.repeat(51)), Some(one.repeat(50) + "..."));
        }
        assert_eq!(title("one\ntwo").as_deref(), Some("one\ntwo"));
    }

    #[test]
    fn what_nobody_can_see_and_what_no_user_said_names_nothing() {
        assert_eq!((title(""), title(" \n\t")), (None, None));
        for role in [Role::Assistant, Role::System] {
            assert_eq!(NewMessage::new(role, "Hi").unwrap().title_of_conversation(), None);
        }
    }

    #[test]
    fn texts_are_bounded_and_the_bound_is_named() {
        let max = Limits::MESSAGE_BYTES;
        assert!(NewMessage::new(Role::System, "x".repeat(max)).is_ok());
        let problem = NewMessage::new(Role::System, "x".repeat(max + 1)).unwrap_err();
        let expected = InvalidConversation::TooLarge { field: "message", bytes: max + 1, max };
        assert_eq!(problem, expected);
        assert!(NewConversation::new("é".repeat(100)).is_ok());
        let problem = NewConversation::new("é".repeat(101)).unwrap_err();
        assert_eq!(problem.to_string(), "the project has 101 characters, the limit is 100");
        assert!(ConversationTitle::new("é".repeat(200)).is_ok());
        assert!(ConversationTitle::new("").is_err());
    }

    #[test]
    fn a_role_that_there_is_not_is_kept_as_it_stands() {
        let odd = StoredRole::from("Tool".to_owned());
        assert_eq!((odd.as_str(), odd == Role::User), ("Tool", false));
        assert_eq!(StoredRole::from("system".to_owned()), StoredRole::Known(Role::System));
    }
}
