//! A row of the table as the file holds it, and what is read from it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::types::{parse_json, to_json_text};
use crate::{Feature, FeatureId, Field, Steps, Stored};

/// How the columns of a file were declared, as far as it changes what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// As this store makes new files.
    #[default]
    New,
    /// As AutoForge's migrations left old ones: flags may be NULL, and later columns hold text.
    Migrated,
}

impl Layout {
    /// Whether a column refuses NULL.
    #[must_use]
    pub fn requires(self, field: Field) -> bool {
        use Field::{
            Dependencies, HumanInputRequest, HumanInputResponse, InProgress, NeedsHumanInput,
            Passes,
        };
        match field {
            Dependencies | HumanInputRequest | HumanInputResponse => false,
            Passes | InProgress | NeedsHumanInput => self == Self::New,
            _ => true,
        }
    }

    /// What a column makes of a value. SQLite knows no type `JSON` or `BOOLEAN`, so a text that looks
    /// like a number becomes one there, and in a column of texts a number becomes text.
    fn holds(self, field: Field, value: Stored) -> Stored {
        let is_text = match field {
            Field::Category | Field::Name | Field::Description => true,
            Field::Dependencies | Field::HumanInputRequest | Field::HumanInputResponse => {
                self == Self::Migrated
            }
            _ => false,
        };
        match value {
            Stored::Integer(number) if is_text => Stored::Text(number.to_string()),
            Stored::Text(text) if !is_text => number(&text).unwrap_or(Stored::Text(text)),
            value => value,
        }
    }
}

fn number(text: &str) -> Option<Stored> {
    if let Ok(whole) = text.parse() {
        return Some(Stored::Integer(whole));
    }
    // Rust reads `inf` and `NaN`, too.
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    text.parse().ok().filter(|_| is_plain).map(Stored::Real)
}

/// The columns of a feature, exactly as the file holds them.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(BTreeMap<Field, Stored>);

impl Row {
    /// A row of these values; a column that is not named holds NULL.
    #[must_use]
    pub fn new(layout: Layout, values: impl IntoIterator<Item = (Field, Stored)>) -> Self {
        let mut row = Self(Field::ALL.map(|field| (field, Stored::Null)).into());
        values.into_iter().for_each(|(field, value)| row.set(layout, field, value));
        row
    }

    /// What a column holds.
    #[must_use]
    pub fn get(&self, field: Field) -> &Stored {
        self.0.get(&field).unwrap_or(&Stored::Null)
    }

    pub(super) fn set(&mut self, layout: Layout, field: Field, value: Stored) {
        self.0.insert(field, layout.holds(field, value));
    }

    /// Whether a column holds something that a condition of SQL takes for true.
    pub(super) fn is(&self, field: Field) -> bool {
        match self.get(field) {
            Stored::Null => false,
            Stored::Integer(number) => *number != 0,
            Stored::Real(number) => *number != 0.0,
            Stored::Text(_) | Stored::BadText(_) | Stored::Blob(_) => true,
        }
    }

    /// The text in a column, whatever it holds; `None` for NULL.
    pub(super) fn text(&self, field: Field) -> Option<String> {
        Some(match self.get(field) {
            Stored::Null => return None,
            Stored::Integer(number) => number.to_string(),
            Stored::Real(number) => number.to_string(),
            Stored::Text(text) => text.clone(),
            Stored::BadText(bytes) | Stored::Blob(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
        })
    }

    /// The feature that is read from the row.
    pub(super) fn read(&self, id: FeatureId) -> Feature {
        let text = |field| self.text(field).unwrap_or_default();
        let json = |text: String| parse_json(&text).unwrap_or(Value::String(text));
        let optional = |field| self.text(field).map(json).filter(|value| !value.is_null());
        let flag = |field| match self.get(field) {
            Stored::Integer(_) | Stored::Real(_) => self.is(field),
            _ => false,
        };
        Feature {
            id,
            priority: match self.get(Field::Priority) {
                Stored::Integer(number) => *number,
                _ => 999,
            },
            category: text(Field::Category),
            name: text(Field::Name),
            description: text(Field::Description),
            steps: Steps::from(json(text(Field::Steps))),
            passes: flag(Field::Passes),
            in_progress: flag(Field::InProgress),
            dependencies: ids(&json(text(Field::Dependencies))),
            needs_human_input: flag(Field::NeedsHumanInput),
            human_input_request: optional(Field::HumanInputRequest),
            human_input_response: optional(Field::HumanInputResponse),
        }
    }
}

/// The whole numbers of a list, those beyond the range at its end.
fn ids(list: &Value) -> Vec<FeatureId> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let id = |item: &Value| match item.as_i64() {
        None if item.is_u64() => Some(i64::MAX),
        id => id,
    };
    items.iter().filter_map(id).map(FeatureId::from).collect()
}

/// What the commands write into a column for a feature.
pub(super) fn written(feature: &Feature, field: Field) -> Stored {
    let json = |value: &Option<Value>| {
        value.as_ref().map_or(Stored::Null, |value| Stored::Text(to_json_text(value)))
    };
    let text = |text: &String| Stored::Text(text.clone());
    let flag = |flag: bool| Stored::Integer(flag.into());
    match field {
        Field::Priority => Stored::Integer(feature.priority),
        Field::Category => text(&feature.category),
        Field::Name => text(&feature.name),
        Field::Description => text(&feature.description),
        Field::Steps => json(&Some(feature.steps.to_json())),
        Field::Passes => flag(feature.passes),
        Field::InProgress => flag(feature.in_progress),
        Field::Dependencies if feature.dependencies.is_empty() => Stored::Null,
        Field::Dependencies => {
            let ids: Vec<i64> = feature.dependencies.iter().map(|id| id.get()).collect();
            Stored::Text(format!("{ids:?}"))
        }
        Field::NeedsHumanInput => flag(feature.needs_human_input),
        Field::HumanInputRequest => json(&feature.human_input_request),
        Field::HumanInputResponse => json(&feature.human_input_response),
    }
}
