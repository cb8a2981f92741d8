//! The arguments of a tool: what is advertised and what is accepted, from one description.
//!
//! Models write integers as `3`, `3.0` or `"3"`, and arrays as JSON text; all of these are read.
//! What is wrong is refused with the argument's name, what came, and what is expected.

use serde_json::{Map, Number, Value, json};

use crate::FeatureId;

/// The arguments of one call.
#[derive(Debug, Default)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    pub(super) fn new(arguments: Map<String, Value>) -> Self {
        Self(arguments)
    }

    /// The value of an argument. Nobody reads one twice, so texts are moved, not copied.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }
}

/// Why an argument is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadArgument {
    /// Which one, with its position where it is part of a list.
    pub(super) name: String,
    /// The whole sentence.
    pub(super) problem: String,
}

impl BadArgument {
    /// `expected` completes "must be".
    fn wrong(name: impl Into<String>, expected: &str, found: &Value) -> Self {
        let name = name.into();
        let problem = format!("{name} must be {expected}, not {}", show(found));
        Self { name, problem }
    }

    fn missing(name: &str, expected: &str) -> Self {
        let problem = format!("{name} is missing; it must be {expected}");
        Self { name: name.to_owned(), problem }
    }

    /// A value of the right kind that breaks a rule, which `problem` says.
    pub(super) fn rule(name: impl Into<String>, problem: &impl ToString) -> Self {
        Self { name: name.into(), problem: problem.to_string() }
    }
}

/// What a value is, for a message: itself where it is short.
fn show(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("the text {text:?}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// What `tools/list` says about an argument.
pub(super) trait Parameter: Sync {
    fn name(&self) -> &'static str;
    fn required(&self) -> bool;
    fn schema(&self) -> Value;
}

/// The input schema of a tool.
pub(super) fn input_schema(parameters: &[&dyn Parameter]) -> Map<String, Value> {
    let properties: Map<String, Value> =
        parameters.iter().map(|p| (p.name().to_owned(), p.schema())).collect();
    let required: Vec<_> = parameters.iter().filter(|p| p.required()).map(|p| p.name()).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

/// An integer in a range.
#[derive(Debug)]
pub(super) struct Integer {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) min: i64,
    pub(super) max: Option<i64>,
    /// What a missing argument means; without one the argument is required.
    pub(super) default: Option<i64>,
}

impl Integer {
    /// The id of a feature.
    pub(super) const fn id(name: &'static str, description: &'static str) -> Self {
        Self { name, description, min: 1, max: None, default: None }
    }

    fn expected(&self) -> String {
        match self.max {
            Some(max) => format!("an integer from {} to {max}", self.min),
            None => format!("an integer of at least {}", self.min),
        }
    }

    pub(super) fn read(&self, arguments: &mut Arguments) -> Result<i64, BadArgument> {
        let Some(value) = arguments.take(self.name) else {
            let missing = || BadArgument::missing(self.name, &self.expected());
            return self.default.ok_or_else(missing);
        };
        let in_range = |n: &i64| *n >= self.min && self.max.is_none_or(|max| *n <= max);
        match integer(&value) {
            Ok(n) => Some(n).filter(in_range).ok_or_else(|| self.expected()),
            // Where only the 64 bits are the limit, the message must say so.
            Err(NoInteger::TooLarge) if self.max.is_none() => Err(SIXTY_FOUR_BITS.to_owned()),
            Err(_) => Err(self.expected()),
        }
        .map_err(|expected| BadArgument::wrong(self.name, &expected, &value))
    }

    pub(super) fn read_id(&self, arguments: &mut Arguments) -> Result<FeatureId, BadArgument> {
        self.read(arguments).map(FeatureId::from)
    }

    /// A number of things; the range leaves no other.
    pub(super) fn read_count(&self, arguments: &mut Arguments) -> Result<usize, BadArgument> {
        self.read(arguments).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
    }
}

impl Parameter for Integer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn required(&self) -> bool {
        self.default.is_none()
    }

    fn schema(&self) -> Value {
        let mut schema = json!({
            "type": "integer",
            "description": self.description,
            "minimum": self.min,
        });
        for (key, value) in [("maximum", self.max), ("default", self.default)] {
            if let Some(value) = value
                && let Some(schema) = schema.as_object_mut()
            {
                schema.insert(key.to_owned(), json!(value));
            }
        }
        schema
    }
}

const SIXTY_FOUR_BITS: &str = "an integer of at most 64 bits (up to 9223372036854775807)";

enum NoInteger {
    /// It is one, but no `i64`.
    TooLarge,
    /// It is none.
    Other,
}

/// The integer that a value stands for.
fn integer(value: &Value) -> Result<i64, NoInteger> {
    match value {
        Value::Number(number) => whole(number),
        Value::String(text) => {
            let text = text.trim();
            if let Ok(n) = text.parse() {
                return Ok(n);
            }
            // Only digits with a fraction: no exponents, "inf" or "nan".
            let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
            let number = Some(text).filter(|text| text.chars().all(plain));
            number.and_then(|text| text.parse().ok()).map_or(Err(NoInteger::Other), whole_float)
        }
        _ => Err(NoInteger::Other),
    }
}

fn whole(number: &Number) -> Result<i64, NoInteger> {
    match number.as_i64() {
        Some(n) => Ok(n),
        None => number.as_f64().map_or(Err(NoInteger::Other), whole_float),
    }
}

fn whole_float(number: f64) -> Result<i64, NoInteger> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::float_cmp, reason = "a whole number equals itself cut off, exactly")]
    if number.trunc() != number {
        return Err(NoInteger::Other);
    }
    if !(-TWO_TO_63..TWO_TO_63).contains(&number) {
        return Err(NoInteger::TooLarge);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range, as just shown")]
    Ok(number as i64)
}

/// A text. Its size is for the command's own types to judge; the schema tells clients beforehand.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) max_chars: Option<usize>,
}

impl Text {
    pub(super) fn read(&self, arguments: &mut Arguments) -> Result<String, BadArgument> {
        const EXPECTED: &str = "text that is not empty";
        match arguments.take(self.name) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(BadArgument::wrong(self.name, EXPECTED, &other)),
            None => Err(BadArgument::missing(self.name, EXPECTED)),
        }
    }
}

impl Parameter for Text {
    fn name(&self) -> &'static str {
        self.name
    }

    fn required(&self) -> bool {
        true
    }

    fn schema(&self) -> Value {
        let mut schema = json!({"type": "string", "description": self.description, "minLength": 1});
        if let Some(max) = self.max_chars
            && let Some(schema) = schema.as_object_mut()
        {
            schema.insert("maxLength".to_owned(), json!(max));
        }
        schema
    }
}

/// A parameter that may be left out, or null.
#[derive(Debug)]
pub(super) struct Optional<P>(pub(super) P);

impl<P: Parameter> Optional<P> {
    /// Whether there is a value to be read.
    fn is_given(&self, arguments: &mut Arguments) -> bool {
        let name = self.0.name();
        if arguments.0.get(name).is_some_and(Value::is_null) {
            arguments.take(name);
        }
        arguments.0.contains_key(name)
    }
}

impl Optional<Integer> {
    pub(super) fn read(&self, arguments: &mut Arguments) -> Result<Option<i64>, BadArgument> {
        self.is_given(arguments).then(|| self.0.read(arguments)).transpose()
    }

    pub(super) fn read_id(
        &self,
        arguments: &mut Arguments,
    ) -> Result<Option<FeatureId>, BadArgument> {
        Ok(self.read(arguments)?.map(FeatureId::from))
    }
}

impl Optional<Text> {
    pub(super) fn read(&self, arguments: &mut Arguments) -> Result<Option<String>, BadArgument> {
        self.is_given(arguments).then(|| self.0.read(arguments)).transpose()
    }
}

impl<P: Parameter> Parameter for Optional<P> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn required(&self) -> bool {
        false
    }

    fn schema(&self) -> Value {
        self.0.schema()
    }
}

/// A yes or no.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// What a missing one means.
    pub(super) default: bool,
}

impl Flag {
    pub(super) fn read(&self, arguments: &mut Arguments) -> Result<bool, BadArgument> {
        match arguments.take(self.name) {
            None | Some(Value::Null) => Ok(self.default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(BadArgument::wrong(self.name, "true or false", &other)),
        }
    }
}

impl Parameter for Flag {
    fn name(&self) -> &'static str {
        self.name
    }

    fn required(&self) -> bool {
        false
    }

    fn schema(&self) -> Value {
        json!({"type": "boolean", "description": self.description, "default": self.default})
    }
}

/// An array.
#[derive(Debug)]
pub(super) struct List {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// The schema of an item.
    pub(super) items: fn() -> Value,
    pub(super) min_items: Option<usize>,
}

impl List {
    pub(super) fn read(&self, arguments: &mut Arguments) -> Result<Vec<Value>, BadArgument> {
        match arguments.take(self.name) {
            Some(value) => {
                array(value).map_err(|other| BadArgument::wrong(self.name, "an array", &other))
            }
            None => Err(BadArgument::missing(self.name, "an array")),
        }
    }

    pub(super) fn read_texts(&self, arguments: &mut Arguments) -> Result<Vec<String>, BadArgument> {
        self.each(arguments, "text", |item| match item {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    pub(super) fn read_objects(
        &self,
        arguments: &mut Arguments,
    ) -> Result<Vec<Map<String, Value>>, BadArgument> {
        self.each(arguments, "an object", |item| match item {
            Value::Object(members) => Ok(members),
            other => Err(other),
        })
    }

    pub(super) fn read_ids(
        &self,
        arguments: &mut Arguments,
    ) -> Result<Vec<FeatureId>, BadArgument> {
        self.each(arguments, SIXTY_FOUR_BITS, |item| match integer(&item) {
            Ok(id) => Ok(FeatureId::from(id)),
            Err(_) => Err(item),
        })
    }

    fn each<T>(
        &self,
        arguments: &mut Arguments,
        expected: &str,
        read: fn(Value) -> Result<T, Value>,
    ) -> Result<Vec<T>, BadArgument> {
        let items = self.read(arguments)?.into_iter().enumerate();
        let at = |index| format!("{}[{index}]", self.name);
        items
            .map(|(index, item)| {
                read(item).map_err(|other| BadArgument::wrong(at(index), expected, &other))
            })
            .collect()
    }
}

/// The items of an array, which may have come as JSON text.
pub(super) fn array(value: Value) -> Result<Vec<Value>, Value> {
    match value {
        Value::Array(items) => Ok(items),
        Value::String(text) => serde_json::from_str(&text).map_err(|_| Value::String(text)),
        other => Err(other),
    }
}

impl Parameter for List {
    fn name(&self) -> &'static str {
        self.name
    }

    fn required(&self) -> bool {
        true
    }

    fn schema(&self) -> Value {
        let mut schema =
            json!({"type": "array", "description": self.description, "items": (self.items)()});
        if let Some(min) = self.min_items
            && let Some(schema) = schema.as_object_mut()
        {
            schema.insert("minItems".to_owned(), json!(min));
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Integer = Integer::id("feature_id", "");
    const LIMIT: Integer =
        Integer { name: "limit", description: "", min: 1, max: Some(50), default: Some(10) };
    const IDS: List = List { name: "ids", description: "", items: || json!({}), min_items: None };

    fn arguments(value: Value) -> Arguments {
        match value {
            Value::Object(members) => Arguments::new(members),
            _ => Arguments::default(),
        }
    }

    fn id(value: &Value) -> Result<i64, String> {
        ID.read(&mut arguments(json!({"feature_id": value}))).map_err(|bad| bad.problem)
    }

    #[test]
    fn an_integer_may_come_as_a_float_or_as_text() {
        for three in [json!(3), json!(3.0), json!("3"), json!(" 3 "), json!("3.0"), json!("+3")] {
            assert_eq!(id(&three), Ok(3), "{three}");
        }
        assert_eq!(id(&json!(i64::MAX)), Ok(i64::MAX));
        assert_eq!(id(&json!(i64::MAX.to_string())), Ok(i64::MAX));
    }

    #[test]
    fn what_is_no_integer_is_shown_with_what_is_expected() {
        let cases = [
            (json!(1.5), "1.5"),
            (json!(null), "null"),
            (json!(true), "true"),
            (json!(""), "the text \"\""),
            (json!("1.5"), "the text \"1.5\""),
            (json!("one"), "the text \"one\""),
            (json!("1e3"), "the text \"1e3\""),
            (json!("nan"), "the text \"nan\""),
            (json!("x".repeat(41)), "a text"),
            (json!([1]), "an array of 1"),
            (json!({"id": 1}), "an object"),
            (json!(0), "0"),
            (json!(-1.0), "-1.0"),
        ];
        for (value, shown) in cases {
            let expected = format!("feature_id must be an integer of at least 1, not {shown}");
            assert_eq!(id(&value), Err(expected));
        }
        assert_eq!(
            ID.read(&mut Arguments::default()).unwrap_err().problem,
            "feature_id is missing; it must be an integer of at least 1"
        );
    }

    #[test]
    fn an_integer_beyond_64_bits_is_out_of_range_however_it_is_written() {
        let cases = [
            (json!(u64::MAX), "18446744073709551615"),
            (json!(1e30), "1e+30"),
            (json!("9223372036854775808"), "the text \"9223372036854775808\""),
            (json!(-1e19), "-1e+19"),
        ];
        for (value, shown) in cases {
            assert_eq!(
                id(&value),
                Err(format!("feature_id must be {SIXTY_FOUR_BITS}, not {shown}"))
            );
        }
    }

    #[test]
    fn a_range_is_enforced_and_a_default_stands_in_only_for_a_missing_argument() {
        let limit = |value| LIMIT.read(&mut arguments(value)).map_err(|bad| bad.problem);
        assert_eq!(limit(json!({})), Ok(10));
        assert_eq!(limit(json!({"limit": 50.0})), Ok(50));
        for (value, shown) in [(json!(51), "51"), (json!(0), "0"), (json!(null), "null")] {
            let expected = format!("limit must be an integer from 1 to 50, not {shown}");
            assert_eq!(limit(json!({"limit": value})), Err(expected));
        }
    }

    #[test]
    fn an_array_may_come_as_json_text_and_a_bad_item_is_named_with_its_place() {
        let ids = |value: Value| {
            let ids = IDS.read_ids(&mut arguments(json!({"ids": value})));
            ids.map(|ids| ids.into_iter().map(FeatureId::get).collect::<Vec<_>>())
        };
        assert_eq!(ids(json!([3, "2", 1.0, -1])), Ok(vec![3, 2, 1, -1]));
        assert_eq!(ids(json!("[3, 2]")), Ok(vec![3, 2]));
        assert_eq!(ids(json!([])), Ok(vec![]));
        let bad = ids(json!([1, null])).unwrap_err();
        assert_eq!(bad.name, "ids[1]");
        assert_eq!(bad.problem, format!("ids[1] must be {SIXTY_FOUR_BITS}, not null"));
        for (value, shown) in [
            (json!("3"), "the text \"3\""),
            (json!("{}"), "the text \"{}\""),
            (json!(null), "null"),
            (json!({}), "an object"),
        ] {
            assert_eq!(
                ids(value).unwrap_err().problem,
                format!("ids must be an array, not {shown}")
            );
        }
    }
}
