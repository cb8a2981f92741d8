//! Whether everything held: what was acknowledged, against the file. The demonstration and the endurance
//! test look at the same things in the same way; what only one of them looks at is with it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit::Failed;
use super::page::{Cell, Tone};
use crate::{ClaimRecord, Feature, JournalMode, Store, Timestamp};

/// Times of other programs' changes are noted in whole milliseconds, rounded; in microseconds.
const ROUNDING: i64 = 1_000;

/// So many things are named, the rest is counted.
const NAMED: usize = 10;

/// Something that must hold, and what was found.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) holds: bool,
    pub(crate) found: String,
}

/// What came of all checks.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) checks: Vec<Check>,
}

impl Verdict {
    pub(crate) fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    pub(crate) fn to_json(&self) -> Value {
        let check =
            |check: &Check| json!({"name": check.name, "holds": check.holds, "found": check.found});
        json!({
            "holds": self.holds(),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        })
    }

    /// A row for each check.
    pub(crate) fn rows(&self) -> Vec<Vec<Cell>> {
        let row = |check: &Check| {
            let holds = if check.holds {
                Cell::new(Tone::Good, "ok")
            } else {
                Cell::new(Tone::Bad, "FAILED")
            };
            vec![holds, Cell::plain(check.name), Cell::plain(&check.found)]
        };
        self.checks.iter().map(row).collect()
    }

    /// The last word.
    pub(crate) fn conclusion(&self) -> Cell {
        if self.holds() {
            Cell::new(Tone::Good, "Everything held.")
        } else {
            Cell::new(Tone::Bad, "Not everything held.")
        }
    }
}

pub(crate) fn check(name: &'static str, holds: bool, found: impl Into<String>) -> Check {
    Check { name, holds, found: found.into() }
}

/// The first of many; the rest is counted.
pub(crate) fn named(all: &[String]) -> String {
    let shown = all.get(..NAMED).unwrap_or(all);
    match all.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

pub(crate) fn sound(store: &Store) -> Result<Check, Failed> {
    let diagnosis = store.diagnose()?;
    let findings = diagnosis.integrity.len();
    let holds = findings == 0 && diagnosis.foreign_key_violations == 0;
    let journal = match diagnosis.journal {
        JournalMode::Wal => "write-ahead log",
        JournalMode::Rollback => "rollback journal",
    };
    let found = match diagnosis.integrity.first() {
        None => {
            format!("integrity_check of SQLite {} says ok; {journal}", diagnosis.sqlite_version)
        }
        Some(first) => format!("{findings} findings of integrity_check, the first: {first}"),
    };
    Ok(check("the file is sound", holds, found))
}

/// Attempts at one feature, by their tokens, follow each other.
pub(crate) fn in_one_hand(attempts: &[ClaimRecord]) -> Check {
    let mut sorted: Vec<&ClaimRecord> = attempts.iter().collect();
    sorted.sort_by_key(|attempt| (attempt.feature, attempt.token));
    let mut shared = Vec::new();
    for pair in sorted.windows(2) {
        if let [first, second] = pair
            && first.feature == second.feature
            && first.end.as_ref().is_none_or(|end| end.at > latest(first, second))
        {
            shared.push(format!("feature {}", first.feature));
        }
    }
    let found = match shared.as_slice() {
        [] => format!("{} claims, none while another one stood on the feature", attempts.len()),
        shared => named(shared),
    };
    check("no feature was in two hands at once", shared.is_empty(), found)
}

/// When the first attempt must be over, so that the second one may have been taken. Tokens are given in
/// the order of the commits; times tell that as exactly as they were noted.
fn latest(first: &ClaimRecord, second: &ClaimRecord) -> Timestamp {
    let exact = first.owner.is_some() && second.owner.is_some();
    let slack = if exact { 0 } else { ROUNDING };
    let at = second.taken_at.to_microseconds().saturating_add(slack);
    Timestamp::from_microseconds(at).unwrap_or(second.taken_at)
}

pub(crate) fn priorities_differ(stored: &[Feature]) -> Check {
    let mut priorities: Vec<i64> = stored.iter().map(|feature| feature.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let holds = priorities.len() == stored.len();
    let found = format!("{} different ones of {}", priorities.len(), stored.len());
    check("no two features have one priority", holds, found)
}

pub(crate) fn nothing_refused(refused: &[String]) -> Check {
    let found = if refused.is_empty() { "none".to_owned() } else { named(refused) };
    check("no call failed", refused.is_empty(), found)
}

pub(crate) fn closed(store: &Store) -> Check {
    let report = store.close();
    // A file without a log has nothing to be copied back.
    let copied = report.checkpoint.is_none_or(|checkpoint| checkpoint.complete);
    let mut log = store.path().as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let holds = report.fault.is_none() && copied && !log.exists();
    let found = match report.fault {
        Some(fault) => fault.to_string(),
        None if holds => "everything is in features.db itself, there is no log".to_owned(),
        None => format!("{} is still there: somebody has the file open", log.display()),
    };
    check("the file was closed cleanly", holds, found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{AttemptEnd, AttemptOutcome, Caller, Steps};

    pub(crate) fn feature(id: i64, passes: bool) -> Feature {
        Feature {
            id: id.into(),
            priority: 1,
            category: String::new(),
            name: String::new(),
            description: String::new(),
            steps: Steps::List(Vec::new()),
            passes,
            in_progress: false,
            dependencies: Vec::new(),
            needs_human_input: false,
            human_input_request: None,
            human_input_response: None,
        }
    }

    /// An attempt of an agent, from one second to another.
    pub(crate) fn attempt(
        token: i64,
        agent: &str,
        from: i64,
        end: Option<(i64, AttemptOutcome)>,
    ) -> ClaimRecord {
        let at = |seconds: i64| Timestamp::from_microseconds(seconds * 1_000_000).unwrap();
        ClaimRecord {
            token: token.into(),
            feature: 7.into(),
            owner: Some(Caller::new(agent, "s")),
            taken_at: at(from),
            lease: None,
            end: end.map(|(until, outcome)| AttemptEnd { at: at(until), outcome, reason: None }),
        }
    }

    #[test]
    fn a_feature_in_two_hands_is_noticed() {
        let released = AttemptOutcome::Released;
        let first = attempt(1, "a", 10, Some((20, released)));
        let after = attempt(2, "b", 20, None);
        let during = attempt(2, "b", 19, None);
        assert!(in_one_hand(&[after.clone(), first.clone()]).holds);
        assert!(!in_one_hand(&[during, first]).holds);
        assert!(!in_one_hand(&[attempt(1, "a", 10, None), after]).holds);
    }

    #[test]
    fn what_another_program_noted_in_milliseconds_is_compared_in_milliseconds() {
        let ended = |microseconds| {
            let mut first = attempt(1, "a", 10, Some((20, AttemptOutcome::Released)));
            first.owner = None;
            let at = Timestamp::from_microseconds(microseconds).unwrap();
            first.end = first.end.map(|end| AttemptEnd { at, ..end });
            first
        };
        let second = attempt(2, "b", 20, None);
        assert!(in_one_hand(&[ended(20_001_000), second.clone()]).holds);
        assert!(!in_one_hand(&[ended(20_002_000), second]).holds);
    }

    #[test]
    fn shared_priorities_and_failed_calls_are_noticed() {
        let first = feature(1, true);
        let second = Feature { priority: 2, ..feature(2, false) };
        assert!(priorities_differ(&[first.clone(), second]).holds);
        assert!(!priorities_differ(&[first, feature(2, false)]).holds);
        assert!(nothing_refused(&[]).holds);
        assert!(!nothing_refused(&["database is locked".to_owned()]).holds);
    }

    #[test]
    fn one_check_that_fails_is_enough() {
        let good = || check("a", true, "");
        assert!(Verdict { checks: vec![good(), good()] }.holds());
        let bad = Verdict { checks: vec![good(), check("b", false, "why")] };
        assert!(!bad.holds());
        assert_eq!(bad.to_json()["checks"][1]["found"], "why");
    }

    #[test]
    fn of_many_things_some_are_named_and_the_rest_is_counted() {
        let all: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
        assert_eq!(named(&all[..2]), "1, 2");
        assert_eq!(named(&all), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and 2 more");
    }
}
