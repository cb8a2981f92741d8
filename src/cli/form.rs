//! A question to a human as a form: read from what the file holds, shown, filled in.

use serde_json::Value;

use super::page::{Cell, Page};

/// What is asked. Other programs write requests too, so whatever makes no sense is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Form {
    pub(crate) prompt: String,
    pub(crate) fields: Vec<Field>,
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) placeholder: Option<String>,
    pub(crate) required: bool,
    pub(crate) input: Input,
}

/// How a field is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// With one line.
    Line,
    /// With any number of lines.
    Lines,
    /// With yes or no.
    YesNo,
    /// With one of these values, each with its label.
    Choice(Vec<(String, String)>),
}

impl Form {
    /// The form of a request as the file holds it.
    pub(crate) fn of(request: Option<&Value>) -> Self {
        let text = |key: &str| request.and_then(|r| r.get(key)).and_then(Value::as_str);
        let fields = request.and_then(|r| r.get("fields")).and_then(Value::as_array);
        Self {
            prompt: text("prompt").unwrap_or_default().to_owned(),
            fields: fields.into_iter().flatten().filter_map(Field::of).collect(),
        }
    }

    /// The field with this id.
    pub(crate) fn field(&self, id: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// The form on a page.
    pub(crate) fn on(&self, page: Page) -> Page {
        let rows = self.fields.iter().map(|field| {
            let need = if field.required { "required" } else { "optional" };
            vec![
                Cell::strong(&field.id),
                Cell::plain(&field.label),
                Cell::faint(field.input.describe()),
                Cell::faint(need),
            ]
        });
        page.text("question", &self.prompt).section(
            "fields",
            &["Field", "Label", "Kind", ""],
            rows.collect(),
        )
    }
}

impl Field {
    fn of(field: &Value) -> Option<Self> {
        let text = |key: &str| field.get(key).and_then(Value::as_str);
        let id = text("id").filter(|id| !id.trim().is_empty())?.to_owned();
        let input = match text("type") {
            Some("textarea") => Input::Lines,
            Some("boolean") => Input::YesNo,
            Some("select") => Input::Choice(options(field.get("options"))),
            _ => Input::Line,
        };
        Some(Self {
            label: text("label").unwrap_or(&id).to_owned(),
            placeholder: text("placeholder").map(str::to_owned),
            required: field.get("required") != Some(&Value::Bool(false)),
            input,
            id,
        })
    }

    /// The value that a text stands for. One that does not fit stays text, and is refused with a
    /// reason where it is stored.
    pub(crate) fn value(&self, text: &str) -> Value {
        match &self.input {
            Input::YesNo => yes_or_no(text).map_or_else(|| text.into(), Value::Bool),
            _ => text.into(),
        }
    }
}

impl Input {
    fn describe(&self) -> String {
        match self {
            Self::Line => "text".to_owned(),
            Self::Lines => "lines of text".to_owned(),
            Self::YesNo => "true or false".to_owned(),
            Self::Choice(options) => {
                let values: Vec<&str> = options.iter().map(|(value, _)| value.as_str()).collect();
                format!("one of: {}", values.join(", "))
            }
        }
    }
}

/// What people type for yes and for no.
pub(crate) fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" => Some(true),
        "false" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn options(options: Option<&Value>) -> Vec<(String, String)> {
    let option = |option: &Value| {
        let value = option.get("value").and_then(Value::as_str)?;
        let label = option.get("label").and_then(Value::as_str).unwrap_or(value);
        Some((value.to_owned(), label.to_owned()))
    };
    options.and_then(Value::as_array).into_iter().flatten().filter_map(option).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stored_request_becomes_a_form() {
        let request = json!({"prompt": "Which?", "fields": [
            {"id": "how", "label": "How", "type": "select",
             "options": [{"value": "a", "label": "A"}, {"value": "b"}]},
            {"id": "sure", "label": "Sure?", "type": "boolean", "required": false},
            {"id": " "}, 7,
        ]});
        let form = Form::of(Some(&request));
        assert_eq!((form.prompt.as_str(), form.fields.len()), ("Which?", 2));
        let choice = Input::Choice(vec![("a".into(), "A".into()), ("b".into(), "b".into())]);
        assert_eq!(form.field("how").unwrap().input, choice);
        let sure = form.field("sure").unwrap();
        assert_eq!(
            (sure.required, sure.value("Yes"), sure.value("?")),
            (false, json!(true), json!("?"))
        );
    }

    #[test]
    fn a_request_without_sense_is_an_empty_form() {
        for request in [None, Some(json!(7)), Some(json!({"fields": {}, "prompt": []}))] {
            assert_eq!(Form::of(request.as_ref()), Form::default());
        }
    }
}
