//! The list of features that projects kept in `feature_list.json` before there was a database.
//!
//! Agents and people wrote these files by hand, so most keys may be missing. The same format is the
//! export, which has every key.

use std::collections::HashMap;
use std::{fmt, str};

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::json_text::without_lone_surrogates;
use super::{Feature, FeatureId, Limits, Steps};

impl Feature {
    /// Reads a list of features: JSON in UTF-8, with or without a byte order mark.
    ///
    /// A key that is missing or null has its default, except that null `steps` stay null: id and
    /// priority are the 1-based position, the category is `uncategorized`, the name `Feature` and
    /// the position, all else is empty or false. A number where text belongs becomes its text; 0
    /// and 1 are booleans; dependencies that are no integers are left out; keys that mean nothing
    /// are ignored.
    ///
    /// ```
    /// use autoforge_store::{Feature, FeatureId};
    /// let features = Feature::parse_backlog(br#"[{"name": "Log in", "passes": true}, {}]"#)?;
    /// assert_eq!((features[0].name.as_str(), features[0].passes), ("Log in", true));
    /// assert_eq!((features[1].name.as_str(), features[1].id), ("Feature 2", FeatureId::from(2)));
    /// # Ok::<(), autoforge_store::BacklogProblem>(())
    /// ```
    ///
    /// # Errors
    /// [`BacklogProblem`] says where the text stops being JSON, what else it is if it is no list,
    /// that it has more than [`Limits::BULK`] entries, or which is the first entry that cannot be
    /// stored and why.
    pub fn parse_backlog(json: &[u8]) -> Result<Vec<Self>, BacklogProblem> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        entries(json).unwrap_or_else(|error| {
            // Python reads half a surrogate pair, so a list that has one was fine until now.
            let readable = str::from_utf8(json).ok().and_then(without_lone_surrogates);
            let again = readable.and_then(|text| entries(text.as_bytes()).ok());
            again.unwrap_or_else(|| Err(BacklogProblem::not_json(&error)))
        })
    }

    /// `number` is the 1-based position.
    fn parse(item: Value, number: i64) -> Result<Self, EntryProblem> {
        let mut keys = match item {
            Value::Object(keys) => keys,
            other => return Err(EntryProblem::NotAnObject { found: kind(&other) }),
        };
        let id = integer(&keys, "id", number)?;
        if id < 1 {
            return Err(EntryProblem::IdBelowOne { id });
        }
        Ok(Self {
            id: id.into(),
            priority: integer(&keys, "priority", number)?,
            category: text(&mut keys, "category", || "uncategorized".to_owned())?,
            name: text(&mut keys, "name", || format!("Feature {number}"))?,
            description: text(&mut keys, "description", String::new)?,
            steps: keys.remove("steps").map_or_else(|| Steps::List(Vec::new()), Steps::from),
            passes: boolean(&keys, "passes")?,
            in_progress: boolean(&keys, "in_progress")?,
            needs_human_input: boolean(&keys, "needs_human_input")?,
            dependencies: ids(keys.get("dependencies")),
            human_input_request: take(&mut keys, "human_input_request"),
            human_input_response: take(&mut keys, "human_input_response"),
        })
    }
}

/// Why a list cannot be taken over. Nothing of it is.
///
/// ```
/// use autoforge_store::{Feature, BacklogProblem};
/// let problem = Feature::parse_backlog(br#"{"features": []}"#).unwrap_err();
/// assert_eq!(problem, BacklogProblem::NotAnArray { found: "an object" });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BacklogProblem {
    /// It is not JSON.
    #[error("line {line}, column {column}: {detail}")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// How many bytes of that line were read when it was noticed.
        column: usize,
        /// What is wrong there.
        detail: String,
    },
    /// It is JSON, but no array.
    #[error("the list must be an array, not {found}")]
    NotAnArray {
        /// What it is, with its article.
        found: &'static str,
    },
    /// It is too long.
    #[error("there are {count} entries, the limit is {max}")]
    TooMany {
        /// How many entries it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// An entry cannot be stored.
    #[error("entry {index}: {problem}")]
    Entry {
        /// Its 0-based position.
        index: usize,
        /// Why not.
        problem: EntryProblem,
    },
}

/// Why one entry of a list cannot be stored.
///
/// ```
/// use autoforge_store::{Feature, BacklogProblem, EntryProblem};
/// let problem = Feature::parse_backlog(br#"[{}, {"id": 0}]"#).unwrap_err();
/// let expected = EntryProblem::IdBelowOne { id: 0 };
/// assert_eq!(problem, BacklogProblem::Entry { index: 1, problem: expected });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// It is not a JSON object.
    #[error("must be an object, not {found}")]
    NotAnObject {
        /// What it is, with its article.
        found: &'static str,
    },
    /// The value of a key is of the wrong kind.
    #[error("{key} must be {expected}, not {found}")]
    WrongKind {
        /// The key.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is, with its article.
        found: &'static str,
    },
    /// Numbers of features start at 1.
    #[error("id must be at least 1, not {id}")]
    IdBelowOne {
        /// The id it has.
        id: i64,
    },
    /// An earlier entry has this number, be it its own or by default.
    #[error("id {id} is that of entry {first} too")]
    DuplicateId {
        /// The number.
        id: FeatureId,
        /// The 0-based position of the earlier entry.
        first: usize,
    },
}

impl BacklogProblem {
    fn not_json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let position = format!(" at line {line} column {column}");
        let detail = message.strip_suffix(&position).unwrap_or(&message).to_owned();
        Self::NotJson { line, column, detail }
    }
}

/// Reads one entry after the other, so that no more than one is held in a form of its own. What is
/// no JSON at all is told before what is wrong with an entry.
fn entries(json: &[u8]) -> serde_json::Result<Result<Vec<Feature>, BacklogProblem>> {
    if json.trim_ascii_start().first() != Some(&b'[') {
        let other: Value = serde_json::from_slice(json)?;
        return Ok(Err(BacklogProblem::NotAnArray { found: kind(&other) }));
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    let entries = json.deserialize_seq(Entries::default())?;
    json.end().map(|()| entries)
}

#[derive(Default)]
struct Entries {
    read: Vec<Feature>,
    first_with: HashMap<FeatureId, usize>,
}

impl<'de> Visitor<'de> for Entries {
    type Value = Result<Vec<Feature>, BacklogProblem>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut problem = None;
        let mut count = 0;
        while problem.is_none()
            && count < Limits::BULK
            && let Some(item) = list.next_element()?
        {
            problem = self.add(count, item).err();
            count += 1;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        if count > Limits::BULK {
            return Ok(Err(BacklogProblem::TooMany { count, max: Limits::BULK }));
        }
        Ok(problem.map_or(Ok(self.read), Err))
    }
}

impl Entries {
    fn add(&mut self, index: usize, item: Value) -> Result<(), BacklogProblem> {
        let refuse = |problem| BacklogProblem::Entry { index, problem };
        let number = i64::try_from(index).map_or(i64::MAX, |index| index.saturating_add(1));
        let entry = Feature::parse(item, number).map_err(refuse)?;
        if let Some(first) = self.first_with.insert(entry.id, index) {
            return Err(refuse(EntryProblem::DuplicateId { id: entry.id, first }));
        }
        self.read.push(entry);
        Ok(())
    }
}

/// The value of a key that is there and not null.
fn get<'a>(keys: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    keys.get(key).filter(|value| !value.is_null())
}

fn take(keys: &mut Map<String, Value>, key: &str) -> Option<Value> {
    keys.get_mut(key).map(Value::take).filter(|value| !value.is_null())
}

fn integer(
    keys: &Map<String, Value>,
    key: &'static str,
    default: i64,
) -> Result<i64, EntryProblem> {
    let Some(value) = get(keys, key) else { return Ok(default) };
    value.as_i64().ok_or_else(|| match value {
        Value::Number(_) => EntryProblem::WrongKind {
            key,
            expected: "an integer of at most 64 bits",
            found: "a fraction or a larger number",
        },
        _ => wrong_kind(key, "an integer", value),
    })
}

fn boolean(keys: &Map<String, Value>, key: &'static str) -> Result<bool, EntryProblem> {
    match get(keys, key) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(value) => match value.as_i64() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(wrong_kind(key, "true or false", value)),
        },
    }
}

fn text(
    keys: &mut Map<String, Value>,
    key: &'static str,
    default: impl FnOnce() -> String,
) -> Result<String, EntryProblem> {
    match take(keys, key) {
        None => Ok(default()),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(value) => Err(wrong_kind(key, "text", &value)),
    }
}

fn ids(dependencies: Option<&Value>) -> Vec<FeatureId> {
    let items = dependencies.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_i64).map(FeatureId::from).collect()
}

fn wrong_kind(key: &'static str, expected: &'static str, found: &Value) -> EntryProblem {
    EntryProblem::WrongKind { key, expected, found: kind(found) }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{Feature, to_json_text};
    use super::*;

    fn list(json: &Value) -> Result<Vec<Feature>, BacklogProblem> {
        Feature::parse_backlog(json.to_string().as_bytes())
    }

    fn only(entry: Value) -> Feature {
        let [entry] = list(&Value::Array(vec![entry])).unwrap().try_into().unwrap();
        entry
    }

    fn refused(entry: &Value) -> EntryProblem {
        match list(&json!([{}, entry])) {
            Err(BacklogProblem::Entry { index: 1, problem }) => problem,
            other => panic!("expected a refused second entry, not {other:?}"),
        }
    }

    fn wrong(key: &'static str, expected: &'static str, found: &'static str) -> EntryProblem {
        EntryProblem::WrongKind { key, expected, found }
    }

    #[test]
    fn an_empty_entry_has_every_default() {
        let expected = Feature {
            id: 1.into(),
            priority: 1,
            category: "uncategorized".into(),
            name: "Feature 1".into(),
            description: String::new(),
            steps: Steps::List(vec![]),
            passes: false,
            in_progress: false,
            needs_human_input: false,
            dependencies: vec![],
            human_input_request: None,
            human_input_response: None,
        };
        assert_eq!(only(json!({})), expected);
        let nulls = json!({"id": null, "priority": null, "category": null, "name": null,
            "description": null, "passes": null, "in_progress": null, "needs_human_input": null,
            "dependencies": null, "human_input_request": null, "human_input_response": null});
        assert_eq!(only(nulls), expected);
        assert_eq!(list(&json!([])), Ok(vec![]));
    }

    #[test]
    fn what_is_no_json_is_told_before_what_is_wrong_with_an_entry() {
        let text = |end: &str| format!(r#"[{{"id": 0}}, {{"name": "b"{end}"#);
        let refused = |end| Feature::parse_backlog(text(end).as_bytes()).unwrap_err();
        let wrong = EntryProblem::IdBelowOne { id: 0 };
        assert_eq!(refused("}]"), BacklogProblem::Entry { index: 0, problem: wrong });
        for end in ["", "}", "},]", "}] x", "}]]"] {
            assert!(matches!(refused(end), BacklogProblem::NotJson { line: 1, .. }), "{end}");
        }
    }

    #[test]
    fn a_list_without_ids_and_names_is_numbered() {
        let entries = list(&json!([
            {"category": "A", "description": "d", "steps": ["s", "t"], "passes": true},
            {"category": "A", "description": "e", "steps": ["u"], "passes": false},
        ]));
        let [first, second] = entries.unwrap().try_into().unwrap();
        assert_eq!((first.id, first.priority, first.name.as_str()), (1.into(), 1, "Feature 1"));
        assert_eq!(first.steps, Steps::List(vec!["s".into(), "t".into()]));
        assert_eq!((second.id, second.priority, second.name.as_str()), (2.into(), 2, "Feature 2"));
        assert!(first.passes && !second.passes);
    }

    #[test]
    fn ids_priorities_and_dependencies_of_the_file_stay() {
        let entries = list(&json!([
            {"id": 100, "priority": 2, "name": "a", "passes": true, "dependencies": null},
            {"id": 101, "priority": 5, "name": "b", "in_progress": true, "dependencies": [100]},
        ]));
        let [first, second] = entries.unwrap().try_into().unwrap();
        assert_eq!((first.id, first.priority, first.dependencies), (100.into(), 2, vec![]));
        assert_eq!((second.id, second.priority), (101.into(), 5));
        assert_eq!((second.dependencies, second.in_progress), (vec![100.into()], true));
    }

    #[test]
    fn sparse_entries_keep_what_they_have() {
        let entries = list(&json!([
            {"description": "only a description"},
            {},
            {"category": "X", "name": "Y", "steps": ["a"], "passes": true},
            {"name": "no flags", "description": "d", "steps": "just text"},
            {"name": "priority 0", "priority": 0, "description": "", "steps": []},
        ]))
        .unwrap();
        let passing: Vec<bool> = entries.iter().map(|entry| entry.passes).collect();
        assert_eq!(passing, [false, false, true, false, false]);
        let priorities: Vec<i64> = entries.iter().map(|entry| entry.priority).collect();
        assert_eq!(priorities, [1, 2, 3, 4, 0]);
        assert_eq!(entries[0].description, "only a description");
        assert_eq!(entries[3].steps, Steps::Other(json!("just text")));
    }

    #[test]
    fn dependencies_keep_their_integers_whatever_else_is_there() {
        let ids = |dependencies: Value| {
            let entry = only(json!({"dependencies": dependencies}));
            entry.dependencies.into_iter().map(FeatureId::get).collect::<Vec<_>>()
        };
        assert_eq!(ids(json!([3, "x", 1, 1.0, true, null, [2], 9999, 3, -5])), [3, 1, 9999, 3, -5]);
        assert_eq!(ids(json!([u64::MAX, i64::MAX])), [i64::MAX]);
        for none in [json!([]), json!({}), json!("1"), json!(1), json!(false)] {
            assert_eq!(ids(none), [0_i64; 0]);
        }
    }

    #[test]
    fn numbers_stand_for_their_text_and_for_booleans() {
        let entry = only(json!({"category": 5, "name": 1.5, "description": -1, "passes": 1,
            "in_progress": 0, "steps": null, "nonsense": {"a": 1}}));
        assert_eq!((entry.category.as_str(), entry.name.as_str()), ("5", "1.5"));
        assert_eq!((entry.description.as_str(), entry.passes), ("-1", true));
        assert_eq!((entry.in_progress, entry.steps), (false, Steps::Other(Value::Null)));
    }

    #[test]
    fn an_entry_that_cannot_be_stored_is_named_with_the_reason() {
        const NUMBER: &str = "a fraction or a larger number";
        const INTEGER: &str = "an integer of at most 64 bits";
        let cases = [
            (json!(null), EntryProblem::NotAnObject { found: "null" }),
            (json!(["a"]), EntryProblem::NotAnObject { found: "an array" }),
            (json!({"id": 0}), EntryProblem::IdBelowOne { id: 0 }),
            (json!({"id": i64::MIN}), EntryProblem::IdBelowOne { id: i64::MIN }),
            (json!({"id": u64::MAX}), wrong("id", INTEGER, NUMBER)),
            (json!({"id": 2.0}), wrong("id", INTEGER, NUMBER)),
            (json!({"id": "2"}), wrong("id", "an integer", "text")),
            (json!({"priority": 1.5}), wrong("priority", INTEGER, NUMBER)),
            (json!({"priority": true}), wrong("priority", "an integer", "a boolean")),
            (json!({"name": ["a"]}), wrong("name", "text", "an array")),
            (json!({"category": true}), wrong("category", "text", "a boolean")),
            (json!({"description": {}}), wrong("description", "text", "an object")),
            (json!({"passes": "yes"}), wrong("passes", "true or false", "text")),
            (json!({"in_progress": 2}), wrong("in_progress", "true or false", "a number")),
            (
                json!({"needs_human_input": []}),
                wrong("needs_human_input", "true or false", "an array"),
            ),
        ];
        for (entry, expected) in cases {
            assert_eq!(refused(&entry), expected, "{entry}");
        }
        assert_eq!(
            list(&json!([{}, {"id": 2.5}])).unwrap_err().to_string(),
            "entry 1: id must be an integer of at most 64 bits, not a fraction or a larger number"
        );
    }

    #[test]
    fn an_id_given_twice_is_refused_even_where_it_was_a_default() {
        let cases = [
            (json!([{"id": 7}, {"id": 8}, {"id": 7}]), 2, 7, 0),
            (json!([{}, {}, {"id": 2}]), 2, 2, 1),
            (json!([{"id": 2}, {}]), 1, 2, 0),
        ];
        for (json, index, id, first) in cases {
            let problem = EntryProblem::DuplicateId { id: id.into(), first };
            assert_eq!(list(&json), Err(BacklogProblem::Entry { index, problem }));
        }
        assert!(list(&json!([{"id": 2}, {"id": 1}, {}])).is_ok());
    }

    #[test]
    fn what_is_no_json_is_refused_with_the_place() {
        let cases: [(&[u8], usize, usize, &str); 5] = [
            (b"", 1, 0, "EOF while parsing a value"),
            (
                b"[{\"name\": \"a\"},\n {\"name\": \"cut in the mid",
                2,
                25,
                "EOF while parsing a string",
            ),
            (b"[{]", 1, 3, "key must be a string"),
            (b"[] []", 1, 4, "trailing characters"),
            (b"[\"\xff\"]", 1, 3, "invalid unicode code point"),
        ];
        for (json, line, column, detail) in cases {
            let problem = BacklogProblem::NotJson { line, column, detail: detail.into() };
            assert_eq!(Feature::parse_backlog(json), Err(problem));
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let cases = [
            (json!({"features": [{"name": "a"}]}), "an object"),
            (json!(null), "null"),
            (json!("[]"), "text"),
            (json!(1), "a number"),
        ];
        for (json, found) in cases {
            assert_eq!(list(&json), Err(BacklogProblem::NotAnArray { found }));
        }
        let (count, max) = (Limits::BULK + 1, Limits::BULK);
        let many = format!("[{}0]", "0,".repeat(max));
        let problem = Feature::parse_backlog(many.as_bytes());
        assert_eq!(problem, Err(BacklogProblem::TooMany { count, max }));
    }

    #[test]
    fn a_byte_order_mark_and_half_a_surrogate_pair_are_tolerated() {
        let json = "\u{feff}[{\"name\": \"a\\ud800\", \"steps\": [\"é\"]}]";
        let [entry] = Feature::parse_backlog(json.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!(
            (entry.name.as_str(), entry.steps),
            ("a\u{fffd}", Steps::List(vec!["é".into()]))
        );
    }

    fn any_feature() -> impl Strategy<Value = Feature> {
        let texts = (".{0,6}", ".{0,6}", ".{0,6}", prop::collection::vec(".{0,4}", 0..3));
        let other = prop_oneof![
            Just(Value::Null),
            Just(json!("text")),
            Just(json!([1, {"a": null}])),
            Just(json!({"fields": {"é": true}})),
        ];
        let ids = prop::collection::vec(any::<i64>(), 0..4);
        (texts, any::<i64>(), any::<[bool; 3]>(), ids, other, any::<[bool; 3]>()).prop_map(
            |((category, name, description, steps), priority, flags, ids, other, present)| {
                Feature {
                    id: 1.into(),
                    priority,
                    category,
                    name,
                    description,
                    steps: if present[0] { Steps::List(steps) } else { Steps::from(other.clone()) },
                    passes: flags[0],
                    in_progress: flags[1],
                    dependencies: ids.into_iter().map(FeatureId::from).collect(),
                    needs_human_input: flags[2],
                    human_input_request: present[1].then(|| json!({"prompt": "p", "fields": []})),
                    human_input_response: Some(other).filter(|o| present[2] && !o.is_null()),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn the_export_of_features_reads_back_as_the_same_features(
            mut features in prop::collection::vec(any_feature(), 0..5),
            ids in prop::sample::subsequence((1..=20_i64).collect::<Vec<_>>(), 5).prop_shuffle(),
        ) {
            for (feature, id) in features.iter_mut().zip(ids) {
                feature.id = id.into();
            }
            let export: Value = features.iter().map(Feature::to_json).collect();
            let entries = Feature::parse_backlog(to_json_text(&export).as_bytes()).unwrap();
            prop_assert_eq!(entries, features);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>, text in r#"[\[\]{}":,0-9a-z\\ ]{0,40}"#) {
            let _ = Feature::parse_backlog(&bytes);
            let _ = Feature::parse_backlog(text.as_bytes());
        }
    }
}
