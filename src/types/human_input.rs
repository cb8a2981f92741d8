//! Requests to a human and the answers to them.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::json_text::is_deeper;
use super::{Limits, Revision, Timestamp, to_json_text};

/// Levels of arrays and objects in one field or one answered value. The whole stored value then
/// stays far below the 127 levels up to which JSON is read back.
const NESTING: usize = 64;

/// Something that a feature needs to know from a human: a prompt, and the fields of a form.
///
/// A field is a JSON object. `id` and `label` are texts that are not blank, and no two fields share
/// an `id`. `type` is `text` (the default), `textarea`, `select` or `boolean`. A `select` has
/// `options`, a list of objects with a `value` and a `label` that are texts and not blank; no other
/// type has any. `required` counts as true unless it is `false`. Whatever else a field holds, such
/// as a `placeholder`, is kept.
///
/// ```
/// use autoforge_store::HumanInputRequest;
/// use serde_json::json;
/// let fields = vec![json!({"id": "key", "label": "API key"})];
/// let request = HumanInputRequest::new("Which key may I use?", fields)?;
/// assert_eq!(request.to_json()["fields"][0]["id"], "key");
/// # Ok::<(), autoforge_store::InvalidRequest>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HumanInputRequest {
    prompt: String,
    fields: Vec<Value>,
}

impl HumanInputRequest {
    /// Checks the prompt and the fields.
    ///
    /// # Errors
    /// [`InvalidRequest`] names the first part that breaks a rule: the prompt is empty or larger
    /// than [`Limits::TEXT_BYTES`], there are no fields or more than [`Limits::FIELDS`], a field is
    /// not as described above, or all fields as JSON take more than [`Limits::FIELDS_BYTES`].
    pub fn new(prompt: impl Into<String>, fields: Vec<Value>) -> Result<Self, InvalidRequest> {
        let prompt = prompt.into();
        if prompt.is_empty() {
            return Err(InvalidRequest::EmptyPrompt);
        }
        if prompt.len() > Limits::TEXT_BYTES {
            let bytes = prompt.len();
            return Err(InvalidRequest::PromptTooLarge { bytes, max: Limits::TEXT_BYTES });
        }
        if fields.is_empty() {
            return Err(InvalidRequest::NoFields);
        }
        if fields.len() > Limits::FIELDS {
            let count = fields.len();
            return Err(InvalidRequest::TooManyFields { count, max: Limits::FIELDS });
        }
        if let Some(index) = fields.iter().position(|field| is_deeper(field, NESTING)) {
            let problem = FieldProblem::TooDeep { max: NESTING };
            return Err(InvalidRequest::Field { index, problem });
        }
        parse_fields(&fields)?;
        let request = Self { prompt, fields };
        let bytes = json_bytes(request.fields.iter());
        if bytes > Limits::FIELDS_BYTES {
            return Err(InvalidRequest::FieldsTooLarge { bytes, max: Limits::FIELDS_BYTES });
        }
        Ok(request)
    }

    /// What the human is asked.
    #[must_use]
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// The fields as they were handed in.
    #[must_use]
    pub fn fields(&self) -> &[Value] {
        &self.fields
    }

    /// The request as the file holds it: `{"prompt": …, "fields": […]}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"prompt": self.prompt, "fields": self.fields})
    }

    /// A digest of a stored request, to tell whether an answer was meant for it or for an earlier
    /// one.
    #[must_use]
    pub fn revision_of(stored: &Value) -> Revision {
        Revision::of(stored)
    }
}

/// What a human answered: one value for each field, by the field's `id`.
///
/// ```
/// use autoforge_store::{HumanInputAnswer, HumanInputRequest, Timestamp};
/// use serde_json::{Map, json};
/// let fields = vec![json!({"id": "key", "label": "API key"})];
/// let request = HumanInputRequest::new("Which key may I use?", fields).unwrap().to_json();
///
/// let answer = HumanInputAnswer::new(Map::from_iter([("key".into(), json!("sk-1"))])).unwrap();
/// assert!(answer.check(&request).is_ok());
/// assert_eq!(answer.to_json(Timestamp::now())["fields"]["key"], "sk-1");
///
/// let blank = HumanInputAnswer::new(Map::from_iter([("key".into(), json!(" "))])).unwrap();
/// assert_eq!(blank.check(&request).unwrap_err().to_string(), r#"field "key" must not be blank"#);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HumanInputAnswer {
    fields: Map<String, Value>,
}

impl HumanInputAnswer {
    /// Takes the values; whether they fit a request is [`HumanInputAnswer::check`]'s to say.
    ///
    /// # Errors
    /// [`AnswerProblem::TooDeep`] for a value with more than 64 levels of arrays and objects,
    /// [`AnswerProblem::TooLarge`] for values and ids that take more than [`Limits::FIELDS_BYTES`]
    /// as JSON.
    pub fn new(fields: Map<String, Value>) -> Result<Self, AnswerProblem> {
        if let Some((id, _)) = fields.iter().find(|(_, value)| is_deeper(value, NESTING)) {
            return Err(AnswerProblem::TooDeep { id: id.clone(), max: NESTING });
        }
        let fields = Value::Object(fields);
        let bytes = to_json_text(&fields).len();
        match fields {
            Value::Object(fields) if bytes <= Limits::FIELDS_BYTES => Ok(Self { fields }),
            _ => Err(AnswerProblem::TooLarge { bytes, max: Limits::FIELDS_BYTES }),
        }
    }

    /// The values by the ids of their fields.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Whether the values fit a request as the file holds it.
    ///
    /// A required field must be there, and must not be blank unless it is a `boolean`. A `boolean`
    /// is true or false, everything else is text, and for a `select` the text is the `value` of one
    /// of its options. An optional field may be left out or be an empty text. Another program may
    /// have stored a request whose fields make no sense; every answer fits that one, so that its
    /// feature does not wait for ever.
    ///
    /// # Errors
    /// [`AnswerProblem`] names the first field, in the order of the request, whose value does not
    /// fit, and then the first id that the request does not have.
    pub fn check(&self, request: &Value) -> Result<(), AnswerProblem> {
        let stored = request.get("fields").and_then(Value::as_array);
        let Some(Ok(fields)) = stored.map(|fields| parse_fields(fields)) else { return Ok(()) };
        for field in &fields {
            field.check(self.fields.get(field.id))?;
        }
        let ids: HashSet<&str> = fields.iter().map(|field| field.id).collect();
        match self.fields.keys().find(|id| !ids.contains(id.as_str())) {
            Some(id) => Err(AnswerProblem::UnknownField { id: id.clone() }),
            None => Ok(()),
        }
    }

    /// The answer as the file holds it: `{"fields": {…}, "responded_at": ISO 8601 with offset}`.
    #[must_use]
    pub fn to_json(&self, responded_at: Timestamp) -> Value {
        json!({"fields": self.fields, "responded_at": responded_at.to_iso8601()})
    }
}

/// Why a request is refused.
///
/// ```
/// use autoforge_store::{HumanInputRequest, InvalidRequest};
/// assert_eq!(HumanInputRequest::new("Why?", vec![]), Err(InvalidRequest::NoFields));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The prompt has no characters.
    #[error("prompt must not be empty")]
    EmptyPrompt,
    /// The prompt has too many bytes.
    #[error("prompt takes {bytes} bytes, the limit is {max}")]
    PromptTooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// There is nothing to fill in.
    #[error("fields must not be empty")]
    NoFields,
    /// There are too many fields.
    #[error("there are {count} fields, the limit is {max}")]
    TooManyFields {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The fields together take too many bytes as JSON.
    #[error("fields take {bytes} bytes, the limit is {max}")]
    FieldsTooLarge {
        /// How many they take.
        bytes: usize,
        /// How many they may take.
        max: usize,
    },
    /// A field breaks a rule.
    #[error("field {index}: {problem}")]
    Field {
        /// Its 0-based position.
        index: usize,
        /// Which rule.
        problem: FieldProblem,
    },
}

/// Which rule a field of a request breaks.
///
/// ```
/// use autoforge_store::FieldProblem;
/// assert_eq!(FieldProblem::Label.to_string(), "label must be text that is not blank");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldProblem {
    /// It is not a JSON object.
    #[error("must be an object")]
    NotAnObject,
    /// It has more levels of arrays and objects than are read back.
    #[error("has more than {max} levels of arrays and objects")]
    TooDeep {
        /// How many it may have.
        max: usize,
    },
    /// Its `id` is missing, not text, or blank.
    #[error("id must be text that is not blank")]
    Id,
    /// An earlier field has the same `id`.
    #[error("id {id:?} is used by an earlier field")]
    DuplicateId {
        /// The `id` of both.
        id: String,
    },
    /// Its `label` is missing, not text, or blank.
    #[error("label must be text that is not blank")]
    Label,
    /// Its `type` is none of the four.
    #[error("type must be text, textarea, select or boolean")]
    Type,
    /// It is a `select` without a list of options, or with an empty one.
    #[error("a select must have a list of options that is not empty")]
    NoOptions,
    /// One of its options is not a JSON object.
    #[error("option {option} must be an object")]
    OptionNotAnObject {
        /// The option's 0-based position.
        option: usize,
    },
    /// The `value` of an option is missing, not text, or blank.
    #[error("the value of option {option} must be text that is not blank")]
    OptionValue {
        /// The option's 0-based position.
        option: usize,
    },
    /// The `label` of an option is missing, not text, or blank.
    #[error("the label of option {option} must be text that is not blank")]
    OptionLabel {
        /// The option's 0-based position.
        option: usize,
    },
    /// It has options, but is not a `select`.
    #[error("only a select may have options")]
    OptionsWithoutSelect,
}

/// Why an answer is refused.
///
/// ```
/// use autoforge_store::AnswerProblem;
/// let problem = AnswerProblem::Missing { id: "key".into() };
/// assert_eq!(problem.to_string(), r#"field "key" must be answered"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerProblem {
    /// The values take too many bytes as JSON.
    #[error("the answer takes {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// How many they take.
        bytes: usize,
        /// How many they may take.
        max: usize,
    },
    /// A value has more levels of arrays and objects than are read back.
    #[error("field {id:?} has more than {max} levels of arrays and objects")]
    TooDeep {
        /// The field.
        id: String,
        /// How many levels it may have.
        max: usize,
    },
    /// A required field has no value.
    #[error("field {id:?} must be answered")]
    Missing {
        /// The field.
        id: String,
    },
    /// A required field has a text of nothing but white space.
    #[error("field {id:?} must not be blank")]
    Blank {
        /// The field.
        id: String,
    },
    /// The value of a `text`, `textarea` or `select` is not text.
    #[error("field {id:?} must be text")]
    NotText {
        /// The field.
        id: String,
    },
    /// The value of a `boolean` is not true or false.
    #[error("field {id:?} must be true or false")]
    NotBoolean {
        /// The field.
        id: String,
    },
    /// The value of a `select` is none of its options.
    #[error("field {id:?} must be the value of one of its options")]
    NotAnOption {
        /// The field.
        id: String,
    },
    /// The request has no such field.
    #[error("the request has no field {id:?}")]
    UnknownField {
        /// The id that was answered.
        id: String,
    },
}

/// A field whose shape is right.
struct Field<'a> {
    id: &'a str,
    required: bool,
    input: Input<'a>,
}

enum Input<'a> {
    Text,
    Boolean,
    /// The values of its options.
    Select(Vec<&'a str>),
}

impl<'a> Field<'a> {
    fn parse(field: &'a Value) -> Result<Self, FieldProblem> {
        let Value::Object(members) = field else { return Err(FieldProblem::NotAnObject) };
        let id = text(members, "id").ok_or(FieldProblem::Id)?;
        text(members, "label").ok_or(FieldProblem::Label)?;
        let options = members.get("options");
        let input = match members.get("type").map(Value::as_str) {
            None | Some(Some("text" | "textarea")) => Input::Text,
            Some(Some("boolean")) => Input::Boolean,
            Some(Some("select")) => Input::Select(option_values(options)?),
            Some(_) => return Err(FieldProblem::Type),
        };
        if !matches!(input, Input::Select(_)) && options.is_some_and(is_truthy) {
            return Err(FieldProblem::OptionsWithoutSelect);
        }
        let required = members.get("required") != Some(&Value::Bool(false));
        Ok(Self { id, required, input })
    }

    fn check(&self, value: Option<&Value>) -> Result<(), AnswerProblem> {
        let id = || self.id.to_owned();
        let options = match (&self.input, value) {
            (_, None) if self.required => return Err(AnswerProblem::Missing { id: id() }),
            (_, None) | (Input::Boolean, Some(Value::Bool(_))) => return Ok(()),
            (Input::Boolean, Some(_)) => return Err(AnswerProblem::NotBoolean { id: id() }),
            (Input::Text, _) => None,
            (Input::Select(options), _) => Some(options),
        };
        let Some(text) = value.and_then(Value::as_str) else {
            return Err(AnswerProblem::NotText { id: id() });
        };
        if self.required && is_blank(text) {
            return Err(AnswerProblem::Blank { id: id() });
        }
        match options {
            // Forms send an empty text for a choice that was not made.
            Some(options) if !text.is_empty() && !options.contains(&text) => {
                Err(AnswerProblem::NotAnOption { id: id() })
            }
            _ => Ok(()),
        }
    }
}

fn parse_fields(fields: &[Value]) -> Result<Vec<Field<'_>>, InvalidRequest> {
    let mut ids = HashSet::new();
    let parse = |(index, field)| {
        let parsed = Field::parse(field).and_then(|field| {
            let id = field.id.to_owned();
            if ids.insert(field.id) { Ok(field) } else { Err(FieldProblem::DuplicateId { id }) }
        });
        parsed.map_err(|problem| InvalidRequest::Field { index, problem })
    };
    fields.iter().enumerate().map(parse).collect()
}

fn option_values(options: Option<&Value>) -> Result<Vec<&str>, FieldProblem> {
    let options = options.and_then(Value::as_array).filter(|options| !options.is_empty());
    let options = options.ok_or(FieldProblem::NoOptions)?.iter().enumerate();
    options.map(|(option, item)| option_value(option, item)).collect()
}

fn option_value(option: usize, item: &Value) -> Result<&str, FieldProblem> {
    let Value::Object(members) = item else {
        return Err(FieldProblem::OptionNotAnObject { option });
    };
    let value = text(members, "value").ok_or(FieldProblem::OptionValue { option })?;
    text(members, "label").ok_or(FieldProblem::OptionLabel { option })?;
    Ok(value)
}

/// The text under a key, where it is one and not blank.
fn text<'a>(members: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    members.get(key)?.as_str().filter(|text| !is_blank(text))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Whether Python takes the value for true. That decides in its program whether a field has
/// options, so an empty list or null is fine with a field of any type.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

fn json_bytes<'a>(fields: impl Iterator<Item = &'a Value>) -> usize {
    // Each field adds two bytes: a separator, or its share of the brackets.
    fields.map(|field| to_json_text(field).len() + 2).sum()
}

#[cfg(test)]
mod tests;
