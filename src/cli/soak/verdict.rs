//! Whether everything held: what agents and writers were told, against the file and its history.

use std::collections::{BTreeMap, BTreeSet};

use super::course::Run;
use super::ledger::{Deed, Ledger, Who};
use crate::cli::exit::Failed;
use crate::cli::verdict::{
    Check, Verdict, check, closed, in_one_hand, named, nothing_refused, priorities_differ, sound,
};
use crate::{
    AttemptOutcome, CheckFeatures, ClaimRecord, Event, EventId, EventKind, Feature, GetAttempts,
    GetChanges, ListFeatures, RecordFindings, Store,
};

/// Events that are read at a time.
const EVENTS: usize = 5_000;

/// What the history says, from the beginning.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// How often each deed is in it.
    happened: BTreeMap<Deed, usize>,
    /// Who has let each feature pass, in this order.
    passed: BTreeMap<i64, Vec<Who>>,
    pub(super) events: usize,
}

impl Past {
    fn read(store: &Store) -> Result<Self, Failed> {
        let mut past = Self::default();
        let mut since = EventId::START;
        loop {
            let events = store.call(GetChanges { since, limit: EVENTS })?;
            let Some(last) = events.last() else { return Ok(past) };
            since = last.id;
            for event in &events {
                past.note(event);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        self.events += 1;
        let Some(who) = Who::of(event) else { return };
        let (feature, kind) = (event.feature.get(), event.kind);
        *self.happened.entry(Deed { feature, kind, who }).or_default() += 1;
        if kind == EventKind::Passed {
            self.passed.entry(feature).or_default().push(who);
        }
    }
}

/// Everything that was looked at.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) verdict: Verdict,
    pub(super) features: usize,
    pub(super) passing: usize,
    pub(super) claims: usize,
    pub(super) events: usize,
}

/// Looks at everything and closes the store, which must be the last user of the file.
pub(super) fn reach(store: &Store, run: &Run) -> Result<Findings, Failed> {
    let stored = store.call(ListFeatures)?;
    let attempts = store.call(GetAttempts { feature: None, limit: usize::MAX })?;
    let past = Past::read(store)?;
    let records = store.call(CheckFeatures)?.records.unwrap_or_default();
    let checks = vec![
        sound(store)?,
        explained(&records, past.events),
        passed_once(&run.ledger, &past, &stored),
        nothing_lost(&run.ledger, &past, &stored),
        nothing_unasked(&run.ledger, &past, &stored),
        in_one_hand(&attempts),
        claims_ended(&attempts, &stored),
        priorities_differ(&stored),
        nothing_failed(run),
        went_on(run),
        all_gone(run),
        closed(store),
    ];
    Ok(Findings {
        verdict: Verdict { checks },
        features: stored.len(),
        passing: stored.iter().filter(|feature| feature.passes).count(),
        claims: attempts.len(),
        events: past.events,
    })
}

/// Nothing is in the file that its history does not know.
fn explained(records: &RecordFindings, events: usize) -> Check {
    let unseen: Vec<String> =
        records.unseen_changes.iter().map(|id| format!("feature {id}")).collect();
    let holds = unseen.is_empty() && records.missing_events == 0;
    let found = match (holds, unseen.is_empty()) {
        (true, _) => format!("{events} events lead to what the file holds"),
        (false, true) => format!("{} events are missing", records.missing_events),
        (false, false) => format!("not as the last event left them: {}", named(&unseen)),
    };
    check("the history explains the file", holds, found)
}

/// Each feature that passes was let pass once, by somebody who was told so, or was killed before that.
fn passed_once(ledger: &Ledger, past: &Past, stored: &[Feature]) -> Check {
    let mut acknowledged: BTreeMap<i64, Vec<(Who, usize)>> = BTreeMap::new();
    for (deed, times) in &ledger.acknowledged {
        if deed.kind == EventKind::Passed {
            acknowledged.entry(deed.feature).or_default().push((deed.who, *times));
        }
    }
    let may_be_unheard = |id: i64, who: &Who| match who {
        Who::Coder(number) => ledger.cut_short.contains(number),
        Who::Writer => ledger.unheard.contains_key(&(id, EventKind::Passed)),
        Who::Soak => false,
    };
    let (mut unheard, mut wrong) = (0, Vec::new());
    for feature in stored {
        let id = feature.id.get();
        let passers = past.passed.get(&id).map_or(&[][..], Vec::as_slice);
        let told = acknowledged.get(&id).map_or(&[][..], Vec::as_slice);
        match (feature.passes, passers, told) {
            (false, [], []) => {}
            (true, [who], [(told, 1)]) if who == told => {}
            (true, [who], []) if may_be_unheard(id, who) => unheard += 1,
            _ => wrong.push(format!(
                "feature {id} (passes: {}, by {passers:?}, acknowledged to {told:?})",
                feature.passes
            )),
        }
    }
    let passing = stored.iter().filter(|feature| feature.passes).count();
    let found = match (wrong.is_empty(), unheard) {
        (true, 0) => format!("{passing} features, each acknowledged once"),
        (true, unheard) => format!(
            "{passing} features; {} were acknowledged, of {unheard} whoever did it was killed before \
             it heard of it",
            passing - unheard
        ),
        (false, _) => named(&wrong),
    };
    check("each feature passed exactly once", wrong.is_empty(), found)
}

/// Whatever was acknowledged has happened, and every feature that was added is there: nobody deletes any.
fn nothing_lost(ledger: &Ledger, past: &Past, stored: &[Feature]) -> Check {
    let there: BTreeSet<i64> = stored.iter().map(|feature| feature.id.get()).collect();
    let happened = |deed: &Deed| past.happened.get(deed).copied().unwrap_or(0);
    let lost = ledger.acknowledged.iter().filter(|(deed, times)| happened(deed) < **times);
    let mut lost: Vec<String> = lost
        .map(|(deed, times)| {
            let Deed { feature, kind, who } = deed;
            format!("feature {feature} {kind} by {who:?}: {} of {times}", happened(deed))
        })
        .collect();
    let added = ledger.acknowledged.keys().filter(|deed| deed.kind == EventKind::Created);
    let gone = added.map(|deed| deed.feature).filter(|id| !there.contains(id));
    lost.extend(gone.map(|id| format!("feature {id} is gone")));
    let found = match lost.as_slice() {
        [] => format!("{} changes are all in the history", ledger.acknowledgements()),
        lost => format!("lost: {}", named(lost)),
    };
    check("no acknowledged change was lost", lost.is_empty(), found)
}

/// Writers changed what they said, and what they were about to change when they were killed; nobody has
/// added features that nobody knows of.
fn nothing_unasked(ledger: &Ledger, past: &Past, stored: &[Feature]) -> Check {
    let names: BTreeMap<i64, &str> =
        stored.iter().map(|feature| (feature.id.get(), feature.name.as_str())).collect();
    let mut wrong = Vec::new();
    let mut unheard = 0;
    for (deed, times) in &past.happened {
        let Deed { feature, kind, who } = deed;
        let told = ledger.acknowledged.get(deed).copied().unwrap_or(0);
        let more = times.saturating_sub(told);
        let is_checked = *who == Who::Writer || *kind == EventKind::Created;
        if more == 0 || !is_checked {
            continue;
        }
        let name = names.get(feature).copied().unwrap_or_default();
        let may_be = match (who, kind) {
            (Who::Writer, EventKind::Created) => usize::from(ledger.unheard_names.contains(name)),
            (Who::Writer, kind) => ledger.unheard.get(&(*feature, *kind)).copied().unwrap_or(0),
            _ => 0,
        };
        unheard += more;
        if more > may_be {
            wrong.push(format!("feature {feature} {kind} by {who:?}: {times}, told {told}"));
        }
    }
    let known: BTreeSet<i64> = past
        .happened
        .keys()
        .filter(|deed| deed.kind == EventKind::Created)
        .map(|deed| deed.feature)
        .collect();
    wrong.extend(names.keys().filter(|id| !known.contains(id)).map(|id| format!("feature {id}")));
    let found = match wrong.as_slice() {
        [] if unheard == 0 => "nothing".to_owned(),
        [] => format!(
            "nothing; {unheard} changes of writers that were killed before they heard of it"
        ),
        wrong => named(wrong),
    };
    check("nothing happened that nobody asked for", wrong.is_empty(), found)
}

/// None is held, and none was over before its holder ended it: the orchestrator has lived all the time.
fn claims_ended(attempts: &[ClaimRecord], stored: &[Feature]) -> Check {
    let ended_as = |outcome| {
        let is = move |a: &&ClaimRecord| a.end.as_ref().is_some_and(|end| end.outcome == outcome);
        attempts.iter().filter(is).count()
    };
    let standing = attempts.iter().filter(|attempt| attempt.end.is_none()).count();
    let flagged = stored.iter().filter(|feature| feature.in_progress).count();
    let over = ended_as(AttemptOutcome::Expired) + ended_as(AttemptOutcome::Died);
    let found = format!(
        "{} claims: {} passed, {} given back, {} failed, {over} lapsed, {} still held",
        attempts.len(),
        ended_as(AttemptOutcome::Passed),
        ended_as(AttemptOutcome::Released),
        ended_as(AttemptOutcome::Failed),
        standing.max(flagged),
    );
    check("every claim ended, by whoever held it", standing + flagged + over == 0, found)
}

fn nothing_failed(run: &Run) -> Check {
    let refused = run.report.refused.iter().chain(&run.writers.failures).chain(&run.troubles);
    let unsettled = run.outcome.unsettled.iter();
    let unsettled = unsettled.map(|(id, why)| format!("the claim on feature {id}: {why}"));
    nothing_refused(&refused.cloned().chain(unsettled).collect::<Vec<_>>())
}

/// It was a test: it went on for as long as was asked, and somebody was killed.
fn went_on(run: &Run) -> Check {
    let shown = run.is_whole && run.killed > 0 && run.writers.all_have_written();
    let found = format!(
        "{:.1} s; {} agents and {} writers were killed",
        run.worked.as_secs_f64(),
        run.killed,
        run.writers.killed
    );
    check("it went on for as long as was asked", shown || run.interrupted, found)
}

fn all_gone(run: &Run) -> Check {
    let left = &run.outcome.left;
    let agents = run.outcome.agents;
    let (is_as_before, found) = match &run.processes {
        None => (true, format!("{agents} agents have ended; the system shows no processes")),
        Some((before, after)) => {
            let new: Vec<u32> = after.difference(before).chain(left).copied().collect();
            let found = match new.as_slice() {
                [] => format!(
                    "{} before, {} after; {agents} agents and {} writers have ended",
                    before.len(),
                    after.len(),
                    run.writers.started
                ),
                new => format!("still running: {new:?}"),
            };
            (new.is_empty(), found)
        }
    };
    check("as many processes as before", is_as_before && left.is_empty(), found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::cli::soak::ledger::Pending;
    use crate::cli::soak::writers::Writers;
    use crate::cli::verdict::tests::{attempt, feature};

    const CODER: Who = Who::Coder(1);

    fn past(deeds: &[(i64, EventKind, Who)]) -> Past {
        let mut past = Past::default();
        for (feature, kind, who) in deeds.iter().copied() {
            *past.happened.entry(Deed { feature, kind, who }).or_default() += 1;
            if kind == EventKind::Passed {
                past.passed.entry(feature).or_default().push(who);
            }
        }
        past
    }

    fn ledger(deeds: &[(i64, EventKind, Who)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (feature, kind, who) in deeds.iter().copied() {
            ledger.acknowledge(who, feature, kind);
        }
        ledger
    }

    fn run() -> Run {
        Run { is_whole: true, killed: 1, ..Run::new(Writers::new(0, Path::new("/x"), 1)) }
    }

    #[test]
    fn a_pass_by_two_or_told_to_another_one_or_twice_is_noticed() {
        let passed = |feature, who| (feature, EventKind::Passed, who);
        let holds = |told: &[_], happened: &[_], passes| {
            passed_once(&ledger(told), &past(happened), &[feature(7, passes)]).holds
        };
        let once = [passed(7, CODER)];
        assert!(holds(&once, &once, true));
        assert!(holds(&[], &[], false));
        let both = [passed(7, CODER), passed(7, Who::Writer)];
        assert!(!holds(&both, &both, true), "by two");
        assert!(!holds(&once, &both, true), "by two, one of them told");
        assert!(!holds(&both, &once, true), "told to two");
        assert!(!holds(&[once[0], once[0]], &once, true), "told twice");
        assert!(!holds(&[passed(7, Who::Writer)], &once, true), "told to another one");
        assert!(!holds(&once, &once, false), "the file has lost it");
        assert!(!holds(&[], &[], true), "nobody did it");
        assert!(!holds(&[], &once, true), "nobody was told, nobody was killed");
    }

    #[test]
    fn a_pass_that_nobody_was_told_of_is_right_only_where_its_maker_was_killed() {
        let stored = [feature(7, true)];
        let unheard = |who, cut_short: &[u32], pending: Option<Pending>| {
            let mut ledger = Ledger::default();
            ledger.cut_short.extend(cut_short);
            if let Some(pending) = pending {
                ledger.lost_sight(pending);
            }
            passed_once(&ledger, &past(&[(7, EventKind::Passed, who)]), &stored).holds
        };
        assert!(unheard(CODER, &[1], None));
        assert!(!unheard(CODER, &[2], None));
        let pending = |feature, kind| Some(Pending::Change(feature, kind));
        assert!(unheard(Who::Writer, &[], pending(7, EventKind::Passed)));
        assert!(!unheard(Who::Writer, &[1], pending(7, EventKind::Skipped)));
        assert!(!unheard(Who::Writer, &[1], pending(8, EventKind::Passed)));
    }

    #[test]
    fn a_change_that_was_acknowledged_and_is_not_in_the_history_is_noticed() {
        let skips = [(7, EventKind::Skipped, CODER), (7, EventKind::Skipped, CODER)];
        assert!(nothing_lost(&ledger(&skips), &past(&skips), &[]).holds);
        assert!(!nothing_lost(&ledger(&skips), &past(&skips[..1]), &[]).holds);
        let writer = [(7, EventKind::Skipped, Who::Writer)];
        assert!(!nothing_lost(&ledger(&writer), &past(&skips), &[]).holds, "somebody else's");
        let added = [(7, EventKind::Created, Who::Soak)];
        let holds = |stored: &[Feature]| nothing_lost(&ledger(&added), &past(&added), stored).holds;
        assert!(holds(&[feature(7, true)]));
        assert!(!holds(&[feature(8, true)]), "a feature that was added is gone");
    }

    #[test]
    fn changes_and_features_that_nobody_knows_of_are_noticed() {
        let created = (7, EventKind::Created, Who::Writer);
        let claimed = (7, EventKind::Claimed, Who::Writer);
        let mut stored = feature(7, false);
        stored.name = "Feature 1 of writer 0.1".to_owned();
        let holds = |ledger: &Ledger, happened: &[_], stored: &[Feature]| {
            nothing_unasked(ledger, &past(happened), stored).holds
        };
        let stored = [stored];
        assert!(holds(&ledger(&[created, claimed]), &[created, claimed], &stored));
        assert!(!holds(&ledger(&[created]), &[created, claimed], &stored), "a claim");
        assert!(!holds(&ledger(&[claimed]), &[created, claimed], &stored), "a feature");
        assert!(!holds(&Ledger::default(), &[], &stored), "a feature without a history");
        let mut killed = Ledger::default();
        killed.lost_sight(Pending::Change(7, EventKind::Claimed));
        assert!(!holds(&killed, &[created, claimed], &stored), "the feature is still unknown");
        killed.lost_sight(Pending::Creation("Feature 1 of writer 0.1".to_owned()));
        assert!(holds(&killed, &[created, claimed], &stored));
        assert!(!holds(&killed, &[created, claimed, claimed], &stored), "one claim was on its way");
    }

    #[test]
    fn claims_that_are_held_or_lapsed_are_noticed() {
        let holds = |outcome, flag| {
            let stored = Feature { in_progress: flag, ..feature(7, false) };
            claims_ended(&[attempt(1, "coder-1", 1, outcome)], &[stored]).holds
        };
        assert!(holds(Some((2, AttemptOutcome::Failed)), false));
        assert!(!holds(Some((2, AttemptOutcome::Expired)), false));
        assert!(!holds(Some((2, AttemptOutcome::Died)), false));
        assert!(!holds(None, false));
        assert!(!holds(Some((2, AttemptOutcome::Passed)), true));
    }

    #[test]
    fn a_file_that_is_not_as_its_history_says_is_noticed() {
        let good = RecordFindings::default();
        assert!(explained(&good, 3).holds);
        let unseen = RecordFindings { unseen_changes: vec![7.into()], ..good.clone() };
        assert!(!explained(&unseen, 3).holds);
        assert!(!explained(&RecordFindings { missing_events: 1, ..good }, 3).holds);
    }

    #[test]
    fn a_test_that_ended_early_or_killed_nobody_shows_nothing_unless_it_was_interrupted() {
        assert!(went_on(&run()).holds);
        assert!(!went_on(&Run { is_whole: false, ..run() }).holds);
        assert!(!went_on(&Run { killed: 0, ..run() }).holds);
        assert!(!went_on(&Run { writers: Writers::new(1, Path::new("/x"), 1), ..run() }).holds);
        assert!(went_on(&Run { is_whole: false, killed: 0, interrupted: true, ..run() }).holds);
    }

    #[test]
    fn processes_that_were_not_there_before_are_noticed() {
        let processes = |before: &[u32], after: &[u32]| {
            let set = |pids: &[u32]| pids.iter().copied().collect::<BTreeSet<u32>>();
            all_gone(&Run { processes: Some((set(before), set(after))), ..run() }).holds
        };
        assert!(processes(&[], &[]));
        assert!(processes(&[5, 6], &[5]));
        assert!(!processes(&[5, 6], &[5, 7]));
        let mut left = run();
        assert!(all_gone(&left).holds);
        left.outcome.left.push(9);
        assert!(!all_gone(&left).holds);
    }

    #[test]
    fn whatever_did_not_work_is_a_call_that_failed() {
        assert!(nothing_failed(&run()).holds);
        let mut failed = run();
        failed.troubles.push("the disk is full".to_owned());
        assert!(!nothing_failed(&failed).holds);
        let mut failed = run();
        failed.writers.failures.push("database is locked".to_owned());
        assert!(nothing_failed(&failed).found.contains("database is locked"));
        let mut failed = run();
        failed.outcome.unsettled.insert(7.into(), "no".to_owned());
        assert!(!nothing_failed(&failed).holds);
        assert_eq!(failed.worked, Duration::ZERO);
    }
}
