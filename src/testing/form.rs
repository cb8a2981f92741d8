//! Questions to a human and their answers, as plain data and as the model reads them.

use serde_json::{Value, json};

/// A field of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormField {
    /// What an answer calls it.
    pub id: String,
    /// What the human reads.
    pub label: String,
    /// What may be put in.
    pub kind: FieldKind,
    /// Whether it must be filled in; left out of the JSON where it is `None`.
    pub required: Option<bool>,
}

/// The input that a [`FormField`] offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// No `type` at all, which means text.
    Unnamed,
    /// `text`.
    Text,
    /// `textarea`.
    Textarea,
    /// `boolean`.
    Boolean,
    /// `select`, with the values of its options.
    Select(Vec<String>),
    /// `text` with options, which only a `select` may have.
    TextWithOptions,
    /// A `type` that there is not.
    Unknown,
}

/// What a human put into a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the JSON of that kind")]
pub enum Given {
    Text(String),
    Flag(bool),
    Number(i64),
    Null,
}

impl FormField {
    /// The field as a request holds it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let options = |values: &[String]| -> Value {
            values.iter().map(|value| json!({"value": value, "label": value})).collect()
        };
        let mut field = json!({"id": self.id, "label": self.label});
        let (kind, options) = match &self.kind {
            FieldKind::Unnamed => (None, None),
            FieldKind::Text => (Some("text"), None),
            FieldKind::Textarea => (Some("textarea"), None),
            FieldKind::Boolean => (Some("boolean"), Some(options(&[]))),
            FieldKind::Select(values) => (Some("select"), Some(options(values))),
            FieldKind::TextWithOptions => (Some("text"), Some(options(&["a".to_owned()]))),
            FieldKind::Unknown => (Some("colour"), None),
        };
        if let Value::Object(members) = &mut field {
            members.extend(kind.map(|kind| ("type".to_owned(), json!(kind))));
            members.extend(options.map(|options| ("options".to_owned(), options)));
            members.extend(self.required.map(|required| ("required".to_owned(), json!(required))));
        }
        field
    }
}

impl Given {
    /// The value as an answer holds it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Flag(flag) => json!(flag),
            Self::Number(number) => json!(number),
            Self::Null => Value::Null,
        }
    }
}

/// Whether the fields of a request are all in order.
#[must_use]
pub fn is_form(fields: &[Value]) -> bool {
    let ids: Vec<_> = fields.iter().map(|field| field.get("id")).collect();
    fields.iter().all(is_field)
        && ids.iter().enumerate().all(|(at, id)| !ids.iter().skip(at + 1).any(|other| other == id))
}

fn is_field(field: &Value) -> bool {
    let options = field.get("options");
    let list = options.and_then(Value::as_array).filter(|list| !list.is_empty());
    let in_order = match kind(field) {
        Some("select") => list.is_some_and(|list| {
            list.iter().all(|option| is_text(option.get("value")) && is_text(option.get("label")))
        }),
        // What Python takes for false is as good as no options.
        Some("text" | "textarea" | "boolean") => options.is_none_or(|options| {
            *options == json!([])
                || *options == json!({})
                || *options == json!("")
                || *options == json!(false)
                || options.as_f64() == Some(0.0)
                || options.is_null()
        }),
        _ => false,
    };
    is_text(field.get("id")) && is_text(field.get("label")) && in_order
}

fn kind(field: &Value) -> Option<&str> {
    field.get("type").map_or(Some("text"), Value::as_str)
}

fn is_text(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
}

/// Whether an answer fits a stored request. Every answer fits a request that makes no sense.
#[must_use]
pub fn fits(answer: &Value, request: &Value) -> bool {
    let Some(fields) = request.get("fields").and_then(Value::as_array) else { return true };
    let Some(answer) = answer.as_object() else { return false };
    if !is_form(fields) {
        return true;
    }
    let ids: Vec<_> = fields.iter().filter_map(|field| field.get("id")?.as_str()).collect();
    answer.keys().all(|id| ids.contains(&id.as_str()))
        && fields.iter().zip(ids).all(|(field, id)| value_fits(answer.get(id), field))
}

fn value_fits(value: Option<&Value>, field: &Value) -> bool {
    let required = field.get("required") != Some(&json!(false));
    let Some(value) = value else { return !required };
    match (kind(field), value) {
        (Some("boolean"), _) => value.is_boolean(),
        (_, Value::String(text)) if text.is_empty() => !required,
        (Some("select"), Value::String(text)) => {
            let options = field.get("options").and_then(Value::as_array);
            let chosen = |option: &Value| option.get("value") == Some(value);
            options.is_some_and(|options| options.iter().any(chosen)) && is_filled(text, required)
        }
        (_, Value::String(text)) => is_filled(text, required),
        _ => false,
    }
}

fn is_filled(text: &str, required: bool) -> bool {
    !(required && text.trim().is_empty())
}
