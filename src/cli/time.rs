//! Times and durations for people, and durations as people write them.

use std::time::Duration;

use super::page::{Cell, Tone};
use crate::Timestamp;

/// Seconds of each unit that a duration can be written in.
const UNITS: [(&str, f64); 5] =
    [("", 1.0), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
/// A duration is shown in the largest unit of which it has one, and the next smaller one.
const SHOWN: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];

/// `90`, `90s`, `30m`, `2h` or `1d`, with fractions.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| seconds);
    let (Ok(number), Some(seconds)) = (number.parse::<f64>(), seconds) else {
        return Err("a duration is written as 90, 90s, 30m, 2h or 1d".to_owned());
    };
    let duration = Duration::try_from_secs_f64(number * seconds).map_err(|e| e.to_string())?;
    if duration.as_micros() == 0 {
        return Err("it must be longer than nothing".to_owned());
    }
    Ok(duration)
}

/// A duration in at most two units: `1 h 30 min`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let Some(largest) = SHOWN.iter().position(|(unit, _)| seconds >= *unit) else {
        return "less than 1 s".to_owned();
    };
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, name) in SHOWN.iter().skip(largest).take(2) {
        if rest >= *unit {
            parts.push(format!("{} {name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}

/// A time in UTC to the second: `2026-01-01T00:00:00Z`.
pub(crate) fn absolute(at: Timestamp) -> String {
    let exact = at.to_iso8601();
    let seconds = exact.split('.').next().unwrap_or(&exact);
    format!("{seconds}Z")
}

/// How long ago a time was, or in how long it will be.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let passed = now.to_microseconds() - at.to_microseconds();
    let duration = Duration::from_micros(passed.unsigned_abs());
    let largest = SHOWN.iter().find(|(unit, _)| duration.as_secs() >= *unit);
    match largest.map(|(unit, name)| format!("{} {name}", duration.as_secs() / unit)) {
        None => "now".to_owned(),
        Some(text) if passed > 0 => format!("{text} ago"),
        Some(text) => format!("in {text}"),
    }
}

/// A time: exact for programs, and how long ago for people.
pub(crate) fn cell(at: Timestamp, now: Timestamp) -> Cell {
    let text = absolute(at);
    let for_people = format!("{text} ({})", relative(at, now));
    Cell::new(Tone::Faint, text).for_people(for_people)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs_f64());
        for (text, expected) in [
            ("90", 90.0),
            ("90s", 90.0),
            ("30m", 1_800.0),
            ("2h", 7_200.0),
            ("1.5h", 5_400.0),
            ("1d", 86_400.0),
            ("0.000001", 0.000_001),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in ["", "h", "-1", "1 h", "1w", "1e9", "..", "0", "0h", "0.0000001", "1h30m"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse_duration(&"9".repeat(400)).is_err());
    }

    #[test]
    fn durations_are_shown_in_two_units_at_most() {
        for (seconds, expected) in [
            (0, "less than 1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (3_600, "1 h"),
            (5_399, "1 h 29 min"),
            (86_399, "23 h 59 min"),
            (86_401, "1 d"),
            (200_000, "2 d 7 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn times_are_told_from_now() {
        let at = |seconds: i64| Timestamp::from_microseconds(seconds * 1_000_000).unwrap();
        let now = at(1_767_225_600);
        assert_eq!(absolute(now), "2026-01-01T00:00:00Z");
        for (then, expected) in [
            (now, "now"),
            (at(1_767_225_599), "1 s ago"),
            (at(1_767_225_480), "2 min ago"),
            (at(1_767_225_600 - 7_201), "2 h ago"),
            (at(1_767_225_600 - 5 * 86_400), "5 d ago"),
            (at(1_767_225_600 + 720), "in 12 min"),
        ] {
            assert_eq!(relative(then, now), expected);
        }
    }
}
