//! JSON text in the form in which the Python program writes it, and reading what others wrote.
//!
//! Both programs write the same columns. Writing the same bytes for the same value keeps a file
//! free of changes that mean nothing, and lets both compare stored text as text.

use std::fmt::Write;

use serde::de::DeserializeOwned;
use serde_json::{Deserializer, Number, Value};

/// Levels of arrays and objects up to which a text is read as JSON.
pub(super) const LEVELS: usize = 127;

/// Levels up to which [`read_answer`] goes: those of a value that a file holds, and those around it.
const ANSWER_LEVELS: usize = LEVELS + 17;

/// The value as one line of ASCII: `", "` and `": "` between parts, every other character escaped,
/// floats in their shortest form with an exponent outside 1e-4..1e16.
pub(crate) fn to_json_text(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    push_value(&mut text, value);
    text
}

/// The value of a text that any program may have written; `None` where it is no JSON, or nested
/// deeper than 127 levels.
///
/// Python accepts and stores half of a surrogate pair, which no Rust string can hold: such an
/// escape is read as U+FFFD instead of losing the whole value.
pub(crate) fn parse_json(text: &str) -> Option<Value> {
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_json::from_str(&without_lone_surrogates(text)?).ok())
}

/// Reads what `serde_json` wrote of a value of ours; `None` where it is something else. Unlike
/// [`parse_json`] it takes a value of a file, which may be as deep as that reads, inside of others.
pub(crate) fn read_answer<T: DeserializeOwned>(text: &str) -> Option<T> {
    if levels(text) > ANSWER_LEVELS {
        return None;
    }
    let mut json = Deserializer::from_str(text);
    json.disable_recursion_limit();
    let value = T::deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

/// How deep the brackets of a JSON text lie in each other. Of a text that is no JSON it is no less
/// than where a reader gives up.
fn levels(text: &str) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !quoted => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether arrays and objects lie in each other more than `max` deep. Walks with a stack of its
/// own, since the value may come from a caller who built it.
pub(super) fn is_deeper(value: &Value, max: usize) -> bool {
    let mut pending = vec![(value, 0)];
    while let Some((value, outside)) = pending.pop() {
        let level = outside + usize::from(value.is_array() || value.is_object());
        if level > max {
            return true;
        }
        match value {
            Value::Array(items) => pending.extend(items.iter().map(|item| (item, level))),
            Value::Object(members) => pending.extend(members.values().map(|item| (item, level))),
            _ => {}
        }
    }
    false
}

// Recursion is bounded: what was parsed has at most 127 levels, and what callers hand in is checked
// for depth before it gets here.
fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => push_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                push_value(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                push_string(out, key);
                out.push_str(": ");
                push_value(out, member);
            }
            out.push('}');
        }
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing into a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float_text(float),
        _ => number.to_string(),
    }
}

/// The shortest text that reads back as the same float, laid out as Python's `repr` does.
fn float_text(value: f64) -> String {
    let shortest = format!("{value:e}");
    let parts = shortest.split_once('e');
    let Some((mantissa, exponent)) =
        parts.and_then(|(mantissa, exponent)| Some((mantissa, exponent.parse::<isize>().ok()?)))
    else {
        return shortest;
    };
    // Where the float lies in the middle of two texts of that length, Python takes the one with the
    // even last digit, as rounding to a number of digits does. Next to a power of two that one may
    // belong to another float.
    let reads_back = |text: &String| text.parse().map(f64::to_bits) == Ok(value.to_bits());
    let digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if (-4..16).contains(&exponent) {
        let decimals = digits.saturating_add_signed(-exponent).max(1);
        let even = Some(format!("{value:.decimals$}")).filter(reads_back);
        return even.unwrap_or_else(|| format!("{value:?}"));
    }
    let even = Some(format!("{value:.digits$e}")).filter(reads_back);
    let mantissa = even.as_deref().and_then(|text| text.split_once('e')).map_or(mantissa, |p| p.0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// The text with every `\uD800`..`\uDFFF` that is not half of a pair replaced by `\ufffd`; `None`
/// where there is no such escape.
pub(super) fn without_lone_surrogates(text: &str) -> Option<String> {
    let mut fixed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, tail) = rest.split_at(at);
        fixed.push_str(plain);
        let escape = match (code_unit(tail), tail.get(6..).and_then(code_unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                fixed.push_str("\\ufffd");
                rest = tail.get(6..)?;
                continue;
            }
            // The character after a backslash belongs to it: the `u` of `\\u` starts no escape.
            _ => 1 + tail.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (kept, after) = tail.split_at_checked(escape)?;
        fixed.push_str(kept);
        rest = after;
    }
    fixed.push_str(rest);
    (fixed != text).then_some(fixed)
}

/// The number of the `\uXXXX` at the start of the text.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // `from_str_radix` alone would also take a sign.
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn separators_are_followed_by_a_space() {
        let value =
            json!({"b": [1, -2, {"c": null}], "a": {}, "d": [], "e": [[]], "f": [true, false]});
        assert_eq!(
            to_json_text(&value),
            r#"{"b": [1, -2, {"c": null}], "a": {}, "d": [], "e": [[]], "f": [true, false]}"#
        );
    }

    #[test]
    fn everything_but_printable_ascii_is_escaped() {
        let text = "\u{7f}\0\u{1f}\u{80}é日😀\u{2028}\u{ffff}\"\\/\u{8}\u{c}\n\r\t~ '";
        assert_eq!(
            to_json_text(&json!(text)),
            concat!(
                r#""\u007f\u0000\u001f\u0080\u00e9\u65e5\ud83d\ude00\u2028\uffff"#,
                r#"\"\\/\b\f\n\r\t~ '""#
            )
        );
        assert_eq!(to_json_text(&json!({"é": 1})), r#"{"\u00e9": 1}"#);
    }

    #[test]
    fn numbers_look_as_python_writes_them() {
        let cases = [
            (1e16, "1e+16"),
            (1e-7, "1e-07"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0, "0.0"),
            (1e15, "1000000000000000.0"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (10_000_000_000_000_002.0, "1.0000000000000002e+16"),
            (1e22, "1e+22"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-1.234e-5, "-1.234e-05"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.1, "0.1"),
            (100_000.0, "100000.0"),
            (12345.678, "12345.678"),
            (2_f64.powi(-24), "5.960464477539063e-08"),
            (864_414_205_143_375.0 + 0.25, "864414205143375.2"),
            (779_092_706_471.0 + 0.781_25, "779092706471.7812"),
            (-9_007_199_254_740_993.0, "-9007199254740992.0"),
        ];
        for (value, text) in cases {
            assert_eq!(to_json_text(&json!(value)), text);
        }
        assert_eq!(to_json_text(&json!(u64::MAX)), "18446744073709551615");
        assert_eq!(to_json_text(&json!(i64::MIN)), "-9223372036854775808");
    }

    #[test]
    fn half_a_surrogate_pair_is_read_as_the_replacement_character() {
        let cases = [
            (r#""\ud800""#, "\u{fffd}"),
            (r#""a\uDFFFb""#, "a\u{fffd}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83dA""#, "\u{fffd}A"),
            (r#""\\ud800\ud800""#, "\\ud800\u{fffd}"),
            (r#""é\ud800\"é""#, "é\u{fffd}\"é"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_json(text), Some(json!(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_none() {
        let cases = [
            "",
            " ",
            "not json",
            "[1",
            "{'a': 1}",
            "NaN",
            "[1] x",
            r"\ud800",
            r#""\ud800"#,
            r#""\ud8"#,
            r#""\ud800\"#,
            r#""\u+123""#,
            r#""\ud800\u+123""#,
            "\"\\é",
            "\"\\ud80é\"",
        ];
        for text in cases {
            assert_eq!(parse_json(text), None, "{text}");
        }
    }

    #[test]
    fn nesting_is_read_up_to_its_bound_and_never_overflows_the_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse_json(&nested(127)).is_some());
        assert_eq!(parse_json(&nested(128)), None);
        assert_eq!(parse_json(&nested(1_000_000)), None);
        assert_eq!(parse_json(&"[".repeat(1_000_000)), None);
    }

    #[test]
    fn an_answer_is_read_with_a_value_of_a_file_in_it_and_never_overflows_the_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let read = |text: &str| read_answer::<Value>(text).is_some();
        assert!(read(&nested(LEVELS + 17)));
        assert!(!read(&nested(LEVELS + 18)));
        assert!(!read(&nested(1_000_000)));
        assert!(!read(&"[".repeat(1_000_000)));
        // Brackets in a text are no levels, whatever is escaped around them.
        assert!(read(&format!(r#"["\\", "\\\"{}", "{}"]"#, "[".repeat(999), "{".repeat(999))));
        assert!(!read("[1] 2") && !read("1 x") && !read("[1}"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1_000_000..1_000_000_i32).prop_map(|n| json!(f64::from(n) / 64.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn written_text_is_ascii_and_reads_back_as_the_same_value(value in any_json()) {
            let text = to_json_text(&value);
            prop_assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(parse_json(&text), Some(value.clone()));
            prop_assert_eq!(read_answer(&value.to_string()), Some(value));
        }

        #[test]
        fn every_float_reads_back_bit_for_bit(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            prop_assert_eq!(float_text(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }

        #[test]
        fn no_text_makes_reading_panic(text in r#"([\["\\ud8dcDeE0123,\]é]|\\ud8|\\udc00){0,24}"#) {
            parse_json(&text);
        }
    }
}
