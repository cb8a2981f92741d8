//! Whether everything held: what agents were told, against the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Play;
use crate::cli::exit::Failed;
use crate::{AttemptOutcome, ClaimRecord, Feature, GetAttempts, JournalMode, ListFeatures, Store};

/// Something that must hold, and what was found.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) holds: bool,
    pub(super) found: String,
}

/// What the demonstration showed.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) checks: Vec<Check>,
}

impl Verdict {
    /// Looks at everything and closes the store, which must be the last user of the file.
    pub(super) fn reach(store: &Store, play: &Play, features: usize) -> Result<Self, Failed> {
        let stored = store.call(ListFeatures)?;
        let attempts = store.call(GetAttempts { feature: None, limit: usize::MAX })?;
        let passed = &play.report.passed;
        let checks = vec![
            sound(store)?,
            all_pass(&stored, features),
            acknowledged_once(play, &stored),
            acknowledged_is_stored(passed, &stored),
            in_one_hand(&attempts),
            claims_ended(play, &attempts),
            priorities_differ(&stored),
            nothing_refused(&play.report.refused),
            all_gone(play),
            closed(store),
        ];
        Ok(Self { checks })
    }

    pub(super) fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    pub(super) fn to_json(&self) -> Value {
        let check =
            |check: &Check| json!({"name": check.name, "holds": check.holds, "found": check.found});
        json!({
            "holds": self.holds(),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        })
    }
}

fn check(name: &'static str, holds: bool, found: impl Into<String>) -> Check {
    Check { name, holds, found: found.into() }
}

fn sound(store: &Store) -> Result<Check, Failed> {
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

fn all_pass(stored: &[Feature], features: usize) -> Check {
    let passing = stored.iter().filter(|feature| feature.passes && !feature.in_progress).count();
    let holds = passing == features && stored.len() == features;
    check("every feature passes", holds, format!("{passing} of {}", stored.len()))
}

fn acknowledged_once(play: &Play, stored: &[Feature]) -> Check {
    let passed = &play.report.passed;
    let times = |id: i64| passed.get(&id).copied().unwrap_or(0);
    // A killed agent may have let its feature pass without having heard of it.
    let unheard =
        |id: i64| play.killed.is_some() && times(id) == 0 && play.report.announced.contains(&id);
    let ids = || stored.iter().map(|feature| feature.id.get());
    let wrong: Vec<String> = ids()
        .filter(|id| times(*id) != 1 && !unheard(*id))
        .map(|id| format!("feature {id} {} times", times(id)))
        .collect();
    let found = match (wrong.is_empty(), ids().filter(|id| unheard(*id)).count()) {
        (true, 0) => format!("{} acknowledgements, no feature twice", passed.len()),
        (true, _) => format!(
            "{} acknowledgements, no feature twice; one more was stored when its agent was killed \
             before it heard of it",
            passed.len()
        ),
        (false, _) => wrong.join(", "),
    };
    check("each feature passed exactly once", wrong.is_empty(), found)
}

fn acknowledged_is_stored(passed: &BTreeMap<i64, usize>, stored: &[Feature]) -> Check {
    let is_stored = |id: i64| stored.iter().any(|feature| feature.id.get() == id && feature.passes);
    let lost: Vec<String> =
        passed.keys().filter(|id| !is_stored(**id)).map(|id| format!("feature {id}")).collect();
    let found = match lost.as_slice() {
        [] => format!("{} of {} are in the file", passed.len(), passed.len()),
        lost => format!("lost: {}", lost.join(", ")),
    };
    check("no acknowledged pass was lost", lost.is_empty(), found)
}

/// Attempts at one feature, by their tokens, follow each other.
fn in_one_hand(attempts: &[ClaimRecord]) -> Check {
    let mut sorted: Vec<&ClaimRecord> = attempts.iter().collect();
    sorted.sort_by_key(|attempt| (attempt.feature, attempt.token));
    let mut shared = Vec::new();
    for pair in sorted.windows(2) {
        if let [first, second] = pair
            && first.feature == second.feature
            && first.end.as_ref().is_none_or(|end| end.at > second.taken_at)
        {
            shared.push(format!("feature {}", first.feature));
        }
    }
    let found = match shared.as_slice() {
        [] => format!("{} claims, none while another one stood on the feature", attempts.len()),
        shared => shared.join(", "),
    };
    check("no feature was in two hands at once", shared.is_empty(), found)
}

/// How the attempts ended, and that of the killed agent.
fn claims_ended(play: &Play, attempts: &[ClaimRecord]) -> Check {
    let ended_as = |outcome| {
        let is = move |a: &&ClaimRecord| a.end.as_ref().is_some_and(|end| end.outcome == outcome);
        attempts.iter().filter(is)
    };
    let standing = attempts.iter().filter(|attempt| attempt.end.is_none()).count();
    let owned = attempts.iter().all(|attempt| attempt.owner.is_some());
    let killed = play.killed.map(|agent| agent.to_string());
    let of_killed = |attempt: &ClaimRecord| {
        attempt.owner.as_ref().map(|owner| owner.agent.as_str()) == killed.as_deref()
    };
    // Only a killed agent fails here; the feature that it was at may have passed in that moment.
    let only_its = ended_as(AttemptOutcome::Failed).all(of_killed)
        && ended_as(AttemptOutcome::Failed).count() <= 1;
    let found = format!(
        "{} attempts: {} passed, {} given back, {} failed with an agent that was killed, \
         {standing} still held",
        attempts.len(),
        ended_as(AttemptOutcome::Passed).count(),
        ended_as(AttemptOutcome::Released).count(),
        ended_as(AttemptOutcome::Failed).count(),
    );
    check(
        "every claim had an owner, and ended as it should",
        standing == 0 && owned && only_its,
        found,
    )
}

fn priorities_differ(stored: &[Feature]) -> Check {
    let mut priorities: Vec<i64> = stored.iter().map(|feature| feature.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let holds = priorities.len() == stored.len();
    let found = format!("{} different ones of {}", priorities.len(), stored.len());
    check("no two features have one priority", holds, found)
}

fn nothing_refused(refused: &[String]) -> Check {
    let found = if refused.is_empty() { "none".to_owned() } else { refused.join("; ") };
    check("no call failed", refused.is_empty(), found)
}

fn all_gone(play: &Play) -> Check {
    let left = &play.outcome.left;
    let found = match left.as_slice() {
        [] => format!("{} agents have ended, and all that they started", play.outcome.agents),
        left => format!("still running: {left:?}"),
    };
    check("no process is left behind", left.is_empty(), found)
}

fn closed(store: &Store) -> Check {
    let report = store.close();
    let copied = report.checkpoint.is_some_and(|checkpoint| checkpoint.complete);
    let mut log = store.path().as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let holds = report.fault.is_none() && copied && !log.exists();
    let found = match report.fault {
        Some(fault) => fault.to_string(),
        None if holds => "everything is in features.db itself, the log is gone".to_owned(),
        None => format!("{} is still there", log.display()),
    };
    check("the file was closed cleanly", holds, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run::Report;
    use crate::orchestrator::{AgentId, Kind, Outcome};
    use crate::{AttemptEnd, Caller, Steps, Timestamp};

    fn play(passed: &[i64], announced: &[i64], killed: bool) -> Play {
        let mut report = Report::default();
        for id in passed {
            *report.passed.entry(*id).or_default() += 1;
        }
        report.announced.extend(announced);
        let agent = AgentId { kind: Kind::Coding, number: 1 };
        Play { outcome: Outcome::default(), report, killed: killed.then_some(agent) }
    }

    fn feature(id: i64, passes: bool) -> Feature {
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
    fn attempt(
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
    fn claims_that_are_held_or_failed_without_a_kill_are_noticed() {
        let (failed, passed) = (AttemptOutcome::Failed, AttemptOutcome::Passed);
        let killed = attempt(1, "coder-1", 1, Some((2, failed)));
        let well = attempt(2, "coder-2", 3, Some((4, passed)));
        let holds = |killed: bool, attempts: &[ClaimRecord]| {
            claims_ended(&play(&[], &[], killed), attempts).holds
        };
        assert!(holds(true, &[killed.clone(), well.clone()]));
        assert!(!holds(false, &[killed.clone(), well.clone()]), "nobody was killed");
        assert!(!holds(true, &[attempt(3, "coder-2", 1, Some((2, failed)))]), "another one");
        assert!(!holds(true, &[attempt(3, "coder-2", 1, None)]), "still held");
        let nobody = ClaimRecord { owner: None, ..well };
        assert!(!holds(true, &[nobody]), "without an owner");
    }

    #[test]
    fn a_pass_that_is_told_twice_or_never_is_noticed() {
        let stored = [feature(7, true)];
        assert!(acknowledged_once(&play(&[7], &[7], false), &stored).holds);
        assert!(!acknowledged_once(&play(&[7, 7], &[7], false), &stored).holds);
        assert!(!acknowledged_once(&play(&[], &[], true), &stored).holds);
        assert!(!acknowledged_once(&play(&[], &[7], false), &stored).holds);
        assert!(acknowledged_once(&play(&[], &[7], true), &stored).holds);
    }

    #[test]
    fn a_pass_that_the_file_lacks_is_noticed() {
        let passed = BTreeMap::from([(7, 1)]);
        assert!(acknowledged_is_stored(&passed, &[feature(7, true)]).holds);
        assert!(!acknowledged_is_stored(&passed, &[feature(7, false)]).holds);
    }

    #[test]
    fn shared_priorities_and_open_features_are_noticed() {
        let stored = [feature(1, true), feature(2, false)];
        assert!(!priorities_differ(&stored).holds);
        assert!(!all_pass(&stored, 2).holds);
        assert!(!all_pass(&stored[..1], 2).holds);
    }
}
