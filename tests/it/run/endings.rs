//! How runs end before their time, and go on.

use autoforge_store::{AttemptOutcome, FeatureChanges, GetClaims, UpdateFeature};
use rustix::process::Signal;

use super::{Run, assert_tidy, attempts, project, works};
use crate::support::processes_of;

/// Longer than the test takes: whoever waits for it waits for ever.
const PATIENT: [&str; 2] = ["--grace", "10m"];

#[test]
fn a_signal_ends_agents_and_gives_claims_back_as_what_they_were() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let project = project(&["slow", "slow", "pass"]);
        let mut run = Run::start(&project, &["--coding", "2"]);
        run.until(works);
        run.signal(signal);
        let ended = run.end();
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        assert_eq!(ended.all("stopping").len(), 1, "{ended:#?}");
        for (_, outcome, reason) in attempts(&project) {
            assert!(
                matches!(outcome, AttemptOutcome::Released | AttemptOutcome::Passed),
                "{outcome:?}: {reason}"
            );
        }
        assert_tidy(&project, &ended);
    }
}

#[test]
fn the_second_signal_kills_those_that_take_their_time() {
    let project = project(&["hang", "hang"]);
    let mut run = Run::start(&project, &[&["--coding", "2"], &PATIENT[..]].concat());
    run.until(works);
    run.until(works);
    run.signal(Signal::INT);
    run.until(|line| line["what"] == "stopping" && line["hurry"] == false);
    run.signal(Signal::INT);
    let ended = run.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert_tidy(&project, &ended);
}

#[test]
fn what_a_killed_run_has_left_behind_is_ended_by_the_next_one() {
    let project = project(&["hang", "detach"]);
    let mut run = Run::start(&project, &[&["--coding", "2"], &PATIENT[..]].concat());
    run.until(works);
    run.until(works);
    run.signal(Signal::KILL);
    drop(run.end());
    assert_ne!(processes_of(project.folder()), Vec::<String>::new(), "agents outlive it");
    let store = project.open();
    let changes = FeatureChanges {
        steps: Some(vec!["simulate: pass".to_owned()]),
        ..FeatureChanges::default()
    };
    store.call(UpdateFeature { id: 1.into(), changes, expected: None }).unwrap();
    store.close();
    let ended = Run::start(&project, &[]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.all("swept").len(), 1, "{ended:#?}");
    assert!(attempts(&project).iter().any(|(id, how, _)| (*id, *how) == (1, AttemptOutcome::Died)));
    assert_tidy(&project, &ended);
}

#[test]
fn a_pause_starts_nobody_and_a_run_goes_on_afterwards() {
    let project = project(&["slow", "pass", "pass"]);
    let file = project.folder().join(".autoforge/.pause_drain");
    let mut run = Run::start(&project, &["--coding", "1"]);
    run.until(works);
    #[expect(clippy::disallowed_methods, reason = "it is no database")]
    std::fs::write(&file, "").unwrap();
    run.until(|line| line["what"] == "paused");
    let begun = run.seen.iter().filter(|line| line["what"] == "began").count();
    assert_eq!(begun, 1, "{:#?}", run.seen);
    assert_eq!(project.open().call(GetClaims).unwrap().len(), 0);
    std::fs::remove_file(&file).unwrap();
    run.until(|line| line["what"] == "resumed");
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_tidy(&project, &ended);
}
