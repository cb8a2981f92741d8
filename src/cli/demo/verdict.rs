//! Whether everything held: the workers' own logs against the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::DemoError;
use super::crew::{Crew, name};
use super::director::{Course, Killed};
use super::event::What;
use super::told::Told;
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
    pub(super) elapsed: Duration,
    pub(super) calls: usize,
    pub(super) slowest: Duration,
    pub(super) kills: usize,
}

/// A stretch of time for which a worker certainly held a feature: from the answer to its claim to
/// its announcement that it lets go.
#[derive(Debug, Clone, Copy)]
struct Hold {
    worker: u32,
    from: u64,
    to: u64,
}

impl Verdict {
    /// Looks at everything and closes the store, which must be the last user of the file.
    pub(super) async fn reach(
        store: &Store,
        crew: &mut Crew,
        course: &Course,
        features: usize,
    ) -> Result<Self, DemoError> {
        let left = crew.gone().await;
        let stored = store.call(ListFeatures).map_err(DemoError::storage)?;
        let attempts = GetAttempts { feature: None, limit: usize::MAX };
        let attempts = store.call(attempts).map_err(DemoError::storage)?;
        let told: Vec<&Told> = crew.workers.iter().map(|worker| &worker.told).collect();
        let checks = vec![
            sound(store)?,
            all_pass(&stored, features),
            acknowledged_once(&told, &stored),
            acknowledged_is_stored(&told, &stored),
            nobody_shared(&told, &course.killed),
            claims_ended(&told, &attempts),
            priorities_differ(&stored),
            nothing_refused(&told),
            all_gone(told.len(), &left),
            closed(store),
        ];
        let took = || told.iter().flat_map(|told| &told.events).filter_map(|event| event.took);
        Ok(Self {
            checks,
            elapsed: course.elapsed,
            calls: took().count(),
            slowest: Duration::from_micros(took().max().unwrap_or(0)),
            kills: course.killed.len(),
        })
    }

    pub(super) fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    pub(super) fn calls_per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^53 calls")]
        let calls = self.calls as f64;
        (calls / self.elapsed.as_secs_f64().max(0.001) * 10.0).round() / 10.0
    }

    pub(super) fn to_json(&self) -> Value {
        let check =
            |check: &Check| json!({"name": check.name, "holds": check.holds, "found": check.found});
        json!({
            "holds": self.holds(),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "seconds": (self.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            "calls": self.calls,
            "calls_per_second": self.calls_per_second(),
            "slowest_call_ms": self.slowest.as_secs_f64() * 1000.0,
            "kills": self.kills,
        })
    }
}

fn check(name: &'static str, holds: bool, found: impl Into<String>) -> Check {
    Check { name, holds, found: found.into() }
}

/// How often workers were told that a feature passes now.
fn acknowledged(told: &[&Told]) -> BTreeMap<i64, usize> {
    let mut passes = BTreeMap::new();
    for event in told.iter().flat_map(|told| &told.events) {
        if let What::Passed { id } = event.what {
            *passes.entry(id).or_insert(0) += 1;
        }
    }
    passes
}

fn sound(store: &Store) -> Result<Check, DemoError> {
    let diagnosis = store.diagnose().map_err(DemoError::storage)?;
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

fn acknowledged_once(told: &[&Told], stored: &[Feature]) -> Check {
    let passes = acknowledged(told);
    let in_flight: Vec<i64> = told.iter().filter_map(|told| told.in_flight()).collect();
    let times = |id: i64| passes.get(&id).copied().unwrap_or(0);
    let wrong: Vec<String> = stored
        .iter()
        .map(|feature| feature.id.get())
        .filter(|id| times(*id) != 1 && !(times(*id) == 0 && in_flight.contains(id)))
        .map(|id| format!("feature {id} {} times", times(id)))
        .collect();
    let unheard = in_flight.iter().filter(|id| times(**id) == 0).count();
    let found = match (wrong.is_empty(), unheard) {
        (true, 0) => format!("{} acknowledgements, no feature twice", passes.len()),
        (true, _) => format!(
            "{} acknowledgements, no feature twice; one more was stored when its worker was killed \
             before it heard of it",
            passes.len()
        ),
        (false, _) => wrong.join(", "),
    };
    check("each feature passed exactly once", wrong.is_empty(), found)
}

fn acknowledged_is_stored(told: &[&Told], stored: &[Feature]) -> Check {
    let passes = acknowledged(told);
    let is_stored = |id: i64| stored.iter().any(|feature| feature.id.get() == id && feature.passes);
    let lost: Vec<String> =
        passes.keys().filter(|id| !is_stored(**id)).map(|id| format!("feature {id}")).collect();
    let found = match lost.as_slice() {
        [] => format!("{} of {} are in the file", passes.len(), passes.len()),
        lost => format!("lost: {}", lost.join(", ")),
    };
    check("no acknowledged pass was lost", lost.is_empty(), found)
}

fn nobody_shared(told: &[&Told], killed: &[Killed]) -> Check {
    let mut claims = 0;
    let mut shared = Vec::new();
    for (id, mut holds) in holds(told, killed) {
        claims += holds.len();
        holds.sort_by_key(|hold| hold.from);
        for pair in holds.windows(2) {
            if let [first, second] = pair
                && second.from < first.to
            {
                shared.push(format!("feature {id} by {} and {}", first.worker, second.worker));
            }
        }
    }
    let found = match shared.as_slice() {
        [] => format!("{claims} claims, none while another worker held the feature"),
        shared => shared.join(", "),
    };
    check("no feature was claimed by two workers at once", shared.is_empty(), found)
}

fn holds(told: &[&Told], killed: &[Killed]) -> BTreeMap<i64, Vec<Hold>> {
    let mut holds: BTreeMap<i64, Vec<Hold>> = BTreeMap::new();
    for told in told {
        let mut events = told.events.iter().peekable();
        while let Some(event) = events.next() {
            let What::Claimed { id, .. } = event.what else { continue };
            // A killed worker holds its last claim until it is dead.
            let death = || {
                let mine = killed.iter().find(|killed| killed.id == id);
                mine.map_or(event.at, |killed| killed.at)
            };
            let to = events.peek().map_or_else(death, |next| next.at);
            holds.entry(id).or_default().push(Hold { worker: told.number, from: event.at, to });
        }
    }
    holds
}

/// The records of the attempts in the file against what was told.
fn claims_ended(told: &[&Told], attempts: &[ClaimRecord]) -> Check {
    let by = |attempt: &ClaimRecord, told: &Told| {
        attempt.owner.as_ref().is_some_and(|owner| owner.agent == name(told.number))
    };
    let ended_as = |outcome| {
        let is = move |a: &&ClaimRecord| a.end.as_ref().is_some_and(|end| end.outcome == outcome);
        attempts.iter().filter(is)
    };
    let died = || ended_as(AttemptOutcome::Died);
    let owned = attempts.iter().all(|attempt| told.iter().any(|told| by(attempt, told)));
    let as_told = told.iter().all(|told| {
        let mut deaths = died().filter(|attempt| by(attempt, told)).map(|a| a.feature.get());
        let (death, more) = (deaths.next(), deaths.next());
        let expected = match told.events.last().map(|event| &event.what) {
            _ if !told.killed => death.is_none(),
            Some(What::Claimed { id, .. }) => death == Some(*id),
            // What it was asking for when it died may have been done, or not.
            _ => true,
        };
        expected && more.is_none()
    });
    let standing = attempts.iter().filter(|attempt| attempt.end.is_none()).count();
    let found = format!(
        "{} attempts: {} passed, {} given back, {} ended by a death, {standing} still held",
        attempts.len(),
        ended_as(AttemptOutcome::Passed).count(),
        ended_as(AttemptOutcome::Released).count(),
        died().count(),
    );
    let holds = owned && as_told && standing == 0;
    check("every claim had an owner, and ended as it was told", holds, found)
}

fn priorities_differ(stored: &[Feature]) -> Check {
    let mut priorities: Vec<i64> = stored.iter().map(|feature| feature.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let holds = priorities.len() == stored.len();
    let found = format!("{} different ones of {}", priorities.len(), stored.len());
    check("no two features have one priority", holds, found)
}

fn nothing_refused(told: &[&Told]) -> Check {
    let events = told.iter().flat_map(|told| &told.events);
    let refused: Vec<&str> = events
        .filter_map(|event| match &event.what {
            What::Refused { message } => Some(message.as_str()),
            _ => None,
        })
        .collect();
    let found = if refused.is_empty() { "none".to_owned() } else { refused.join("; ") };
    check("no call failed", refused.is_empty(), found)
}

fn all_gone(count: usize, left: &[u32]) -> Check {
    let found = match left {
        [] => format!("{count} workers and {count} servers have ended"),
        left => format!("still running: {left:?}"),
    };
    check("no process is left behind", left.is_empty(), found)
}

fn closed(store: &Store) -> Check {
    let report = store.close();
    let copied = report.checkpoint.is_some_and(|checkpoint| checkpoint.complete);
    let log = side_file(store.path(), "-wal");
    let holds = report.fault.is_none() && copied && !log.exists();
    let found = match report.fault {
        Some(fault) => fault.to_string(),
        None if holds => "everything is in features.db itself, the log is gone".to_owned(),
        None => format!("{} is still there", log.display()),
    };
    check("the file was closed cleanly", holds, found)
}

fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::event::Event;
    use crate::{FeatureId, Steps};

    fn told(number: u32, killed: bool, events: impl IntoIterator<Item = (u64, What)>) -> Told {
        let events = events.into_iter().map(|(at, what)| Event { at, took: None, what });
        Told { number, killed, events: events.collect() }
    }

    fn claimed(id: i64) -> What {
        What::Claimed { id, name: String::new() }
    }

    fn feature(id: i64, passes: bool) -> Feature {
        Feature {
            id: FeatureId::from(id),
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

    #[test]
    fn a_feature_in_two_hands_is_noticed() {
        let first = told(1, false, [(10, claimed(7)), (30, What::Passes { id: 7 })]);
        let during = told(2, false, [(20, claimed(7)), (40, What::Passes { id: 7 })]);
        let after = told(3, false, [(31, claimed(7)), (40, What::Passes { id: 7 })]);
        assert!(!nobody_shared(&[&first, &during], &[]).holds);
        assert!(nobody_shared(&[&first, &after], &[]).holds);
    }

    #[test]
    fn a_killed_worker_holds_its_claim_until_it_is_dead() {
        let killed = told(1, true, [(10, claimed(7))]);
        let killed_at = [Killed { id: 7, at: 50 }];
        let before = told(2, false, [(40, claimed(7)), (60, What::Passes { id: 7 })]);
        let after = told(2, false, [(51, claimed(7)), (60, What::Passes { id: 7 })]);
        assert!(!nobody_shared(&[&killed, &before], &killed_at).holds);
        assert!(nobody_shared(&[&killed, &after], &killed_at).holds);
    }

    #[test]
    fn a_claim_that_is_held_or_ended_otherwise_than_told_is_noticed() {
        let attempt = |number, feature: i64, outcome: Option<AttemptOutcome>| ClaimRecord {
            token: 1.into(),
            feature: feature.into(),
            owner: Some(crate::Caller::new(name(number), "demo")),
            taken_at: crate::Timestamp::EPOCH,
            lease: None,
            end: outcome.map(|outcome| crate::AttemptEnd {
                at: crate::Timestamp::EPOCH,
                outcome,
                reason: None,
            }),
        };
        let killed = told(1, true, [(10, claimed(7))]);
        let well = told(2, false, [(20, What::Passed { id: 8 })]);
        let (died, passed) = (Some(AttemptOutcome::Died), Some(AttemptOutcome::Passed));
        let holds = |attempts: &[ClaimRecord]| claims_ended(&[&killed, &well], attempts).holds;
        assert!(holds(&[attempt(1, 7, died), attempt(2, 8, passed)]));
        assert!(!holds(&[attempt(2, 8, passed)]), "the death is missing");
        assert!(!holds(&[attempt(1, 6, died)]), "another feature");
        assert!(!holds(&[attempt(1, 7, died), attempt(2, 8, None)]), "still held");
        assert!(!holds(&[attempt(1, 7, died), attempt(2, 8, died)]), "nobody died there");
        assert!(!holds(&[attempt(1, 7, died), attempt(3, 8, passed)]), "a stranger");
    }

    #[test]
    fn a_pass_that_is_told_twice_or_never_is_noticed() {
        let once = told(1, false, [(10, What::Passed { id: 7 })]);
        let again = told(2, false, [(20, What::Passed { id: 7 })]);
        let stored = [feature(7, true)];
        assert!(acknowledged_once(&[&once], &stored).holds);
        assert!(!acknowledged_once(&[&once, &again], &stored).holds);
        assert!(!acknowledged_once(&[], &stored).holds);
        let unheard = told(1, true, [(10, What::Passes { id: 7 })]);
        assert!(acknowledged_once(&[&unheard], &stored).holds);
    }

    #[test]
    fn a_pass_that_the_file_lacks_is_noticed() {
        let told = told(1, false, [(10, What::Passed { id: 7 })]);
        assert!(acknowledged_is_stored(&[&told], &[feature(7, true)]).holds);
        assert!(!acknowledged_is_stored(&[&told], &[feature(7, false)]).holds);
    }

    #[test]
    fn shared_priorities_and_open_features_are_noticed() {
        let stored = [feature(1, true), feature(2, false)];
        assert!(!priorities_differ(&stored).holds);
        assert!(!all_pass(&stored, 2).holds);
        assert!(!all_pass(&stored[..1], 2).holds);
    }
}
