//! JSON values made of few bytes.

use arbitrary::Arbitrary;
use serde_json::{Map, Value};

use crate::ops::{Id, Word};

/// A value as clients and models write them, sensible or not.
#[derive(Debug, Clone, Arbitrary)]
pub enum RawJson {
    Null,
    Flag(bool),
    Id(Id),
    Number(i64),
    Unsigned(u64),
    Real(f64),
    Text(Word),
    /// A number as text.
    Digits(i16),
    List(Vec<RawJson>),
    Object(Vec<(RawKey, RawJson)>),
    /// JSON as text.
    Quoted(Box<RawJson>),
}

/// A key that some tool may know.
#[derive(Debug, Clone, Arbitrary)]
pub enum RawKey {
    /// One of those that objects within the arguments have.
    Inner(u8),
    Word(Word),
}

const INNER: [&str; 14] = [
    "category",
    "name",
    "description",
    "steps",
    "depends_on_indices",
    "id",
    "label",
    "type",
    "required",
    "placeholder",
    "options",
    "value",
    "question",
    "header",
];

impl RawKey {
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Inner(n) => INNER[usize::from(*n) % INNER.len()].to_owned(),
            Self::Word(word) => word.text(),
        }
    }
}

impl RawJson {
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Flag(flag) => (*flag).into(),
            Self::Id(id) => id.get().into(),
            Self::Number(number) => (*number).into(),
            Self::Unsigned(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(word) => word.text().into(),
            Self::Digits(number) => number.to_string().into(),
            Self::List(items) => items.iter().map(Self::value).collect(),
            Self::Object(members) => {
                let members = members.iter().map(|(key, value)| (key.key(), value.value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Self::Quoted(value) => {
                // Quotes of quotes of quotes double in length each time.
                let text = value.value().to_string();
                if text.len() < 4096 { text.into() } else { Value::Null }
            }
        }
    }
}
