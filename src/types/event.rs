//! What happened to features: one event a change, numbered in the order of the commits.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FeatureId, FenceToken, Timestamp};

/// The number of an event. A later change has a higher one, whichever process made it, so the
/// number of the last event that was seen is all that a reader has to remember.
///
/// ```
/// use autoforge_store::EventId;
/// assert!(EventId::START < EventId::from(1));
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct EventId(i64);

impl EventId {
    /// Before every event.
    pub const START: Self = Self(0);

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for EventId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! named_enum {
    (
        $(#[$meta:meta])* $name:ident;
        $($(#[$doc:meta])* $variant:ident = $text:literal,)+
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Its stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// What a name stands for; `None` for one that this release does not know.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Some(match name {
                    $($text => Self::$variant,)+
                    _ => return None,
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(super) use named_enum;

named_enum! {
    /// What an event is about.
    EventKind;
    /// The feature came into being.
    Created = "created",
    /// It came with a list that was imported.
    Imported = "imported",
    /// It was claimed.
    Claimed = "claimed",
    /// Its claim was given back.
    Released = "released",
    /// Its claim ended with its lease.
    Expired = "expired",
    /// Its claim ended with the process that held it.
    Died = "died",
    /// It passes.
    Passed = "passed",
    /// It fails, or it passed before and does not any more.
    Failed = "failed",
    /// It was put off.
    Skipped = "skipped",
    /// A human was asked.
    Asked = "asked",
    /// A human answered.
    Answered = "answered",
    /// Its texts or its priority were changed.
    Edited = "edited",
    /// What it waits for was changed.
    Depends = "depends",
    /// Its failures were forgotten, so that it can be tried again.
    Retried = "retried",
    /// It was deleted.
    Deleted = "deleted",
    /// An earlier change was taken back.
    Undone = "undone",
    /// It is there again: its deletion was taken back.
    Restored = "restored",
    /// It is gone: its creation was taken back.
    Withdrawn = "withdrawn",
    /// Anything else.
    Changed = "changed",
}

/// What an event did to the row of its feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// There was none before.
    Creates,
    /// It was changed, or only the feature's claim was.
    Changes,
    /// There is none any more.
    Removes,
}

impl Effect {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creates => "creates",
            Self::Changes => "changes",
            Self::Removes => "removes",
        }
    }
}

impl EventKind {
    /// What it does to the feature's row.
    #[must_use]
    pub const fn effect(self) -> Effect {
        match self {
            Self::Created | Self::Imported | Self::Restored => Effect::Creates,
            Self::Deleted | Self::Withdrawn => Effect::Removes,
            _ => Effect::Changes,
        }
    }
}

named_enum! {
    /// A column of a feature other than its id.
    Field;
    /// [`Feature::priority`](crate::Feature::priority).
    Priority = "priority",
    /// [`Feature::category`](crate::Feature::category).
    Category = "category",
    /// [`Feature::name`](crate::Feature::name).
    Name = "name",
    /// [`Feature::description`](crate::Feature::description).
    Description = "description",
    /// [`Feature::steps`](crate::Feature::steps).
    Steps = "steps",
    /// [`Feature::passes`](crate::Feature::passes).
    Passes = "passes",
    /// [`Feature::in_progress`](crate::Feature::in_progress).
    InProgress = "in_progress",
    /// [`Feature::dependencies`](crate::Feature::dependencies).
    Dependencies = "dependencies",
    /// [`Feature::needs_human_input`](crate::Feature::needs_human_input).
    NeedsHumanInput = "needs_human_input",
    /// [`Feature::human_input_request`](crate::Feature::human_input_request).
    HumanInputRequest = "human_input_request",
    /// [`Feature::human_input_response`](crate::Feature::human_input_response).
    HumanInputResponse = "human_input_response",
}

impl Field {
    /// All of them, in the order of the columns.
    pub const ALL: [Self; 11] = [
        Self::Priority,
        Self::Category,
        Self::Name,
        Self::Description,
        Self::Steps,
        Self::Passes,
        Self::InProgress,
        Self::Dependencies,
        Self::NeedsHumanInput,
        Self::HumanInputRequest,
        Self::HumanInputResponse,
    ];

    const fn bit(self) -> i64 {
        1 << self as u16
    }
}

/// A set of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Fields(i64);

impl Fields {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(0x07ff);

    pub(crate) const fn of(fields: &[Field]) -> Self {
        let mut bits = 0;
        let mut rest = fields;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    pub(crate) const fn from_bits(bits: i64) -> Self {
        Self(bits & Self::ALL.0)
    }

    pub(crate) const fn bits(self) -> i64 {
        self.0
    }

    pub(crate) const fn has(self, field: Field) -> bool {
        self.0 & field.bit() != 0
    }

    pub(crate) fn insert(&mut self, field: Field) {
        self.0 |= field.bit();
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Without those that are also in `others`.
    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub(crate) const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// In the order of the columns.
    pub(crate) fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |field| self.has(*field))
    }
}

/// A value exactly as a column holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// NULL.
    Null,
    /// A whole number; booleans are 0 and 1.
    Integer(i64),
    /// A floating-point number.
    #[serde(with = "bits")]
    Real(f64),
    /// Text.
    Text(String),
    /// What the file holds as text though it is no UTF-8.
    BadText(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Stored {
    /// The value as JSON: bytes as text, as far as they are any.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => json!(number),
            Self::Real(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::BadText(bytes) | Self::Blob(bytes) => json!(String::from_utf8_lossy(bytes)),
        }
    }

    /// The value read as text, as every column is read: `None` for NULL.
    pub(crate) fn to_text(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Integer(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::BadText(bytes) | Self::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// The value read as a flag: any number but zero is set.
    pub(crate) fn is_set(&self) -> bool {
        match self {
            Self::Integer(number) => *number != 0,
            Self::Real(number) => *number != 0.0,
            Self::Null | Self::Text(_) | Self::BadText(_) | Self::Blob(_) => false,
        }
    }
}

/// A floating-point number by its bits: JSON has no infinity, and a column may hold one.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands in")]
    pub(super) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(number.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// What an event changed in one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which column.
    pub field: Field,
    /// What it held; NULL where the row did not exist.
    pub before: Stored,
    /// What it holds; NULL where the row is gone.
    pub after: Stored,
}

impl Change {
    /// The change as the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "field": self.field.as_str(),
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        })
    }
}

/// One change of one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// When, by the clock of the machine that made it.
    pub at: Timestamp,
    /// Which feature.
    pub feature: FeatureId,
    /// What happened.
    pub kind: EventKind,
    /// Who did it; `None` for a program that does not say, such as AutoForge's own.
    pub agent: Option<String>,
    /// Under which session.
    pub session: Option<String>,
    /// The process that did it, where it was one of ours.
    pub pid: Option<u32>,
    /// The claim that stood on the feature at that moment.
    pub claim: Option<FenceToken>,
    /// That claim had an owner, and it was not the owner who did this.
    pub overrode: bool,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    /// The first event of the same command.
    pub command: EventId,
    /// The event that this one takes back.
    pub undoes: Option<EventId>,
    /// What it changed, in the order of the columns; all of them where the row came or went.
    pub changes: Vec<Change>,
}

impl Event {
    /// The event as the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.get(),
            "at": self.at.to_iso8601(),
            "feature_id": self.feature.get(),
            "kind": self.kind.as_str(),
            "agent": self.agent,
            "session": self.session,
            "pid": self.pid,
            "claim": self.claim.map(FenceToken::get),
            "overrode": self.overrode,
            "reason": self.reason,
            "command": self.command.get(),
            "undoes": self.undoes.map(EventId::get),
            "changes": self.changes.iter().map(Change::to_json).collect::<Value>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_place_of_its_own() {
        assert_eq!(Fields::of(&Field::ALL), Fields::ALL);
        assert!(Fields::ALL.iter().eq(Field::ALL));
        assert!(
            Field::ALL.into_iter().all(|field| Field::from_name(field.as_str()) == Some(field))
        );
    }

    #[test]
    fn bits_of_a_later_release_are_left_out() {
        assert_eq!(Fields::from_bits(-1), Fields::ALL);
        assert_eq!(Fields::from_bits(1 << 20), Fields::NONE);
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        assert_eq!(EventKind::from_name("withdrawn"), Some(EventKind::Withdrawn));
        assert_eq!(EventKind::from_name("teleported"), None);
    }
}
