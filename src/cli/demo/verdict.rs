//! Whether everything held: what agents were told, against the file.

use std::collections::BTreeMap;

use super::Play;
use crate::cli::exit::Failed;
use crate::cli::verdict::{
    Check, Verdict, check, closed, in_one_hand, nothing_refused, priorities_differ, sound,
};
use crate::{AttemptOutcome, ClaimRecord, Feature, GetAttempts, ListFeatures, Store};

/// Looks at everything and closes the store, which must be the last user of the file.
pub(super) fn reach(store: &Store, play: &Play, features: usize) -> Result<Verdict, Failed> {
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
    Ok(Verdict { checks })
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

fn all_gone(play: &Play) -> Check {
    let left = &play.outcome.left;
    let found = match left.as_slice() {
        [] => format!("{} agents have ended, and all that they started", play.outcome.agents),
        left => format!("still running: {left:?}"),
    };
    check("no process is left behind", left.is_empty(), found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run::Report;
    use crate::cli::verdict::tests::{attempt, feature};
    use crate::orchestrator::{AgentId, Kind, Outcome};

    fn play(passed: &[i64], announced: &[i64], killed: bool) -> Play {
        let mut report = Report::default();
        for id in passed {
            *report.passed.entry(*id).or_default() += 1;
        }
        report.announced.extend(announced);
        let agent = AgentId { kind: Kind::Coding, number: 1 };
        Play { outcome: Outcome::default(), report, killed: killed.then_some(agent) }
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
    fn open_features_are_noticed() {
        let stored = [feature(1, true), feature(2, false)];
        assert!(all_pass(&stored[..1], 1).holds);
        assert!(!all_pass(&stored, 2).holds);
        assert!(!all_pass(&stored[..1], 2).holds);
    }
}
