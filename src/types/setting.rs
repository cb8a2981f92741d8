//! Settings of a machine: keys, values, and values that must never be shown.

use std::fmt;

use super::{Limits, Timestamp};

/// The key of a setting: 1 to [`Limits::SETTING_KEY_CHARS`] characters, none of them blank or a
/// control character. Every key is kept; those that AutoForge's programs know have rules of their own
/// for their values.
///
/// ```
/// use autoforge_store::SettingKey;
/// assert!(SettingKey::new("api_auth_token")?.is_secret());
/// assert!(!SettingKey::new("model")?.is_secret());
/// assert!(SettingKey::new("").is_err());
/// # Ok::<(), autoforge_store::InvalidSetting>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SettingKey(String);

/// What is known of a value by its key.
enum Rule {
    Flag,
    Number { min: u16, max: u16 },
}

impl SettingKey {
    /// The keys that AutoForge's programs know.
    pub const KNOWN: [&'static str; 10] = [
        "yolo_mode",
        "model",
        "testing_agent_ratio",
        "batch_size",
        "testing_batch_size",
        "effort",
        "api_provider",
        "api_base_url",
        "api_auth_token",
        "api_model",
    ];

    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidSetting`] says which rule it breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidSetting> {
        let (text, max) = (text.into(), Limits::SETTING_KEY_CHARS);
        let chars = text.chars().count();
        if chars == 0 || chars > max {
            return Err(InvalidSetting::KeyLength { chars, max });
        }
        match text.chars().position(|c| c.is_whitespace() || c.is_control()) {
            Some(at) => Err(InvalidSetting::KeyCharacter { at }),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a value under this key is hidden, which is so for everything that is called as a
    /// secret is. Rather too much is hidden than too little.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        is_secret(&self.0)
    }

    fn rule(&self) -> Option<Rule> {
        Some(match self.as_str() {
            "yolo_mode" => Rule::Flag,
            "testing_agent_ratio" => Rule::Number { min: 0, max: 3 },
            "batch_size" | "testing_batch_size" => Rule::Number { min: 1, max: 15 },
            _ => return None,
        })
    }
}

impl fmt::Display for SettingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether what is stored under this key must not be shown.
fn is_secret(key: &str) -> bool {
    const ANYWHERE: [&str; 8] =
        ["token", "secret", "passw", "passphrase", "credential", "apikey", "privatekey", "bearer"];
    const WORDS: [&str; 7] = ["auth", "authorization", "key", "keys", "pass", "pwd", "pin"];
    let lower = key.to_lowercase();
    let letters: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    ANYWHERE.iter().any(|part| letters.contains(part))
        || lower.split(|c: char| !c.is_alphanumeric()).any(|word| WORDS.contains(&word))
}

/// A text that neither `Debug` nor `Display` shows.
///
/// ```
/// use autoforge_store::Secret;
/// let token = Secret::new("sk-123");
/// assert_eq!(format!("{token} {token:?}"), "(hidden) Secret(hidden)");
/// assert_eq!(token.reveal(), "sk-123");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for whoever is to use it, not for messages and logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The value of a setting. Which of the two it is follows from its key.
///
/// ```
/// use autoforge_store::{SettingChange, SettingKey};
/// let change = SettingChange::set(SettingKey::new("api_auth_token")?, "sk-123")?;
/// assert!(!format!("{change:?}").contains("sk-123"));
/// # Ok::<(), autoforge_store::InvalidSetting>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue {
    /// Anybody may see it.
    Plain(String),
    /// Nobody may.
    Secret(Secret),
}

impl SettingValue {
    /// What stands under a key, whatever rule either breaks.
    pub(crate) fn stored(key: &str, text: String) -> Self {
        if is_secret(key) { Self::Secret(Secret(text)) } else { Self::Plain(text) }
    }

    /// The text, if anybody may see it.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Secret(_) => None,
        }
    }

    /// The text itself, also of a secret: for whoever is to use it, not for messages and logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.reveal(),
        }
    }
}

/// One setting as the registry holds it. A key that other programs stored may break the rule of
/// [`SettingKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key; unique.
    pub key: String,
    /// Its value.
    pub value: SettingValue,
    /// When it was last set; `None` where the file holds no time.
    pub updated_at: Option<Timestamp>,
}

/// What becomes of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    key: SettingKey,
    value: Option<SettingValue>,
}

impl SettingChange {
    /// It gets a value of at most [`Limits::SETTING_VALUE_CHARS`] characters. For the keys that
    /// AutoForge's programs know it is what they can read: `yolo_mode` is `true` or `false`,
    /// `testing_agent_ratio` a number from 0 to 3, `batch_size` and `testing_batch_size` numbers
    /// from 1 to 15.
    ///
    /// # Errors
    /// [`InvalidSetting`] says which rule the value breaks. It shows nothing of the value itself.
    pub fn set(key: SettingKey, text: impl Into<String>) -> Result<Self, InvalidSetting> {
        let (text, max) = (text.into(), Limits::SETTING_VALUE_CHARS);
        let chars = text.chars().count();
        if chars > max {
            let key = key.0;
            return Err(InvalidSetting::ValueTooLong { key, chars, max });
        }
        match key.rule() {
            Some(Rule::Flag) if !matches!(text.as_str(), "true" | "false") => {
                return Err(InvalidSetting::NotAFlag { key: key.0 });
            }
            Some(Rule::Number { min, max }) if !is_number(&text, min, max) => {
                return Err(InvalidSetting::NotANumber { key: key.0, min, max });
            }
            _ => {}
        }
        let value = Some(SettingValue::stored(key.as_str(), text));
        Ok(Self { key, value })
    }

    /// It goes, and its default holds again.
    #[must_use]
    pub fn remove(key: SettingKey) -> Self {
        Self { key, value: None }
    }

    /// Which one.
    #[must_use]
    pub fn key(&self) -> &SettingKey {
        &self.key
    }

    /// Its value from then on; `None` where it goes.
    #[must_use]
    pub fn value(&self) -> Option<&SettingValue> {
        self.value.as_ref()
    }
}

/// In the form in which Python writes a number, so that both read the same.
fn is_number(text: &str, min: u16, max: u16) -> bool {
    text.parse::<u16>().is_ok_and(|n| (min..=max).contains(&n) && n.to_string() == text)
}

/// Why a setting is refused. No message shows anything of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSetting {
    /// The key is empty or too long.
    #[error("the key of a setting has 1 to {max} characters, not {chars}")]
    KeyLength {
        /// How many it has.
        chars: usize,
        /// How many it may have.
        max: usize,
    },
    /// The key has a character that people could not see in a message.
    #[error("the key of a setting must have no blanks and no control characters, as at {at}")]
    KeyCharacter {
        /// Its 0-based position, in characters.
        at: usize,
    },
    /// The value has too many characters.
    #[error("the value of {key} has {chars} characters, the limit is {max}")]
    ValueTooLong {
        /// Of which setting.
        key: String,
        /// How many it has.
        chars: usize,
        /// How many it may have.
        max: usize,
    },
    /// The value of a setting that is either on or off is neither.
    #[error("{key} is true or false")]
    NotAFlag {
        /// Which setting.
        key: String,
    },
    /// The value of a setting that is a number is none, or out of bounds.
    #[error("{key} is a number from {min} to {max}")]
    NotANumber {
        /// Which setting.
        key: String,
        /// The lowest possible.
        min: u16,
        /// The highest possible.
        max: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, text: &str) -> Result<SettingChange, InvalidSetting> {
        SettingChange::set(SettingKey::new(key)?, text)
    }

    #[test]
    fn what_is_called_as_a_secret_is_hidden() {
        for key in [
            "api_auth_token",
            "API_AUTH_TOKEN",
            "apiKey",
            "openai_api_key",
            "GITHUB-TOKEN",
            "webhook.secret",
            "client_secret",
            "db_password",
            "passwd",
            "private_key",
            "aws credentials",
            "auth",
            "license.key",
        ] {
            assert!(is_secret(key), "{key}");
            let value = SettingValue::stored(key, "s3cr3t".to_owned());
            assert_eq!((value.shown(), value.reveal()), (None, "s3cr3t"));
            assert!(!format!("{value:?}").contains("s3cr3t"), "{key}");
        }
        let shown = SettingKey::KNOWN.iter().filter(|key| **key != "api_auth_token");
        for key in shown.chain(&["author", "hotkeys", "compass", "monkey", "pinned"]) {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn nothing_that_can_be_formatted_shows_a_secret() {
        let long = "s3cr3t".repeat(100);
        for text in ["s3cr3t", long.as_str()] {
            let said = format!("{:?}", change("api_auth_token", text));
            assert!(!said.contains("s3cr3t"), "{said}");
        }
        let problem = change("api_auth_token", &long).unwrap_err().to_string();
        assert_eq!(problem, "the value of api_auth_token has 600 characters, the limit is 500");
    }

    #[test]
    fn values_of_known_keys_are_such_as_autoforge_reads() {
        for (key, good, bad) in [
            ("yolo_mode", ["true", "false"].as_slice(), ["True", "1", ""].as_slice()),
            ("testing_agent_ratio", &["0", "3"], &["4", "-1", "+1", "01", "1.0", " 1", ""]),
            ("batch_size", &["1", "15"], &["0", "16", "many"]),
            ("testing_batch_size", &["1", "15"], &["0", "16", "65537"]),
        ] {
            for text in good {
                assert_eq!(change(key, text).unwrap().value().unwrap().shown(), Some(*text));
            }
            for text in bad {
                assert!(change(key, text).is_err(), "{key}={text}");
            }
        }
        for free in ["model", "effort", "api_base_url", "somebody_elses"] {
            assert!(change(free, "").is_ok() && change(free, "x=y\nz").is_ok(), "{free}");
        }
    }

    #[test]
    fn keys_are_bounded_and_visible() {
        assert!(SettingKey::new("é".repeat(50)).is_ok());
        let too_long = InvalidSetting::KeyLength { chars: 51, max: 50 };
        assert_eq!(SettingKey::new("é".repeat(51)), Err(too_long));
        assert_eq!(SettingKey::new("a b"), Err(InvalidSetting::KeyCharacter { at: 1 }));
        assert_eq!(SettingKey::new("a\u{7f}"), Err(InvalidSetting::KeyCharacter { at: 1 }));
    }
}
