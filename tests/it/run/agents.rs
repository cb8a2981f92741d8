//! What agents do.

use std::fs;

use autoforge_store::{AttemptOutcome, GetFeature, Policy, SetPolicy};
use serde_json::{Value, json};

use super::{Run, assert_tidy, attempts, impatient, project};
use crate::support::Project;

#[test]
fn a_backlog_is_driven_to_its_end_in_the_order_of_its_dependencies() {
    let project = project(&["pass"; 7]);
    let store = project.open();
    for (feature, needs) in [(1, 7), (2, 1)] {
        let needs = vec![needs.into()];
        let set = autoforge_store::SetDependencies { id: feature.into(), dependencies: needs };
        store.call(set).unwrap();
    }
    store.close();
    let ended = Run::start(&project, &["--coding", "3", "--batch", "3"]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.last()["finish"], "all_passing");
    let order: Vec<i64> = attempts(&project).iter().map(|(feature, ..)| *feature).collect();
    let place = |id| order.iter().position(|one| *one == id).unwrap();
    assert!(place(7) < place(1) && place(1) < place(2), "{order:?}");
    assert_tidy(&project, &ended);
}

#[test]
fn an_agent_that_crashes_has_failed_until_its_attempts_are_used_up() {
    let project = project(&["crash", "pass"]);
    let store = project.open();
    store.call(SetPolicy(Policy { attempts: Some(2), ..Policy::default() })).unwrap();
    store.close();
    let ended = Run::start(&project, &["--coding", "2"]).end();
    assert_eq!((ended.code, &ended.last()["finish"]), (Some(5), &"stuck".into()), "{ended:#?}");
    let of_first = attempts(&project).into_iter().filter(|(feature, ..)| *feature == 1);
    let of_first: Vec<_> = of_first.map(|(_, outcome, reason)| (outcome, reason)).collect();
    assert_eq!(of_first.len(), 2, "{of_first:?}");
    for (outcome, reason) in of_first {
        assert_eq!(outcome, AttemptOutcome::Failed);
        assert!(reason.ends_with("did not settle it: it was ended by signal 6"), "{reason}");
    }
    assert_tidy(&project, &ended);
}

#[test]
fn an_agent_that_says_nothing_any_more_is_ended_whatever_it_does_with_signals() {
    let project = impatient(&["hang"]);
    let ended = Run::start(&project, &["--silence", "1", "--grace", "1"]).end();
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let end = "it said nothing for 1 s and was ended".to_owned();
    assert_eq!(ended.ends(), [(end, vec!["failed".to_owned()])]);
    assert!(ended.all("ended")[0]["killed"].as_u64().unwrap() > 0, "{ended:#?}");
    assert_tidy(&project, &ended);
}

#[test]
fn an_agent_that_takes_too_long_is_ended() {
    let project = impatient(&["hang"]);
    let ended = Run::start(&project, &["--time", "1", "--grace", "1"]).end();
    let end = "it took longer than 1 s and was ended".to_owned();
    assert_eq!(ended.ends(), [(end, vec!["failed".to_owned()])]);
    assert_tidy(&project, &ended);
}

#[test]
fn what_an_agent_has_detached_ends_with_it() {
    let project = project(&["detach"]);
    let ended = Run::start(&project, &[]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_tidy(&project, &ended);
}

#[test]
fn output_without_end_is_kept_within_its_bound_and_keeps_nobody_from_working() {
    let project = project(&["flood", "pass"]);
    let limits = project.folder().join("limits.toml");
    #[expect(clippy::disallowed_methods, reason = "it is no database")]
    fs::write(&limits, "log-bytes = 100000\n").unwrap();
    let ended = Run::start(&project, &["--config", limits.to_str().unwrap()]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let log = ended.all("began")[0]["log"].as_str().unwrap().to_owned();
    let length = |path: &str| fs::metadata(path).unwrap().len();
    let length = length(&log) + length(&format!("{log}.1"));
    assert!((50_000..=100_000).contains(&length), "{length}");
    assert_tidy(&project, &ended);
}

#[test]
fn an_agent_that_ends_well_without_a_pass_has_failed() {
    let project = impatient(&["lie"]);
    let ended = Run::start(&project, &[]).end();
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert_eq!(ended.ends(), [("it ended with exit code 0".to_owned(), vec!["failed".to_owned()])]);
    let attempts = attempts(&project);
    assert!(attempts[0].2.contains("did not settle it"), "{attempts:?}");
    assert_tidy(&project, &ended);
}

#[test]
fn a_pass_counts_however_its_agent_ends() {
    let project = impatient(&["pass-and-fail"]);
    let ended = Run::start(&project, &[]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.ends(), [("it ended with exit code 1".to_owned(), vec!["passed".to_owned()])]);
    assert_tidy(&project, &ended);
}

#[test]
fn what_an_agent_has_settled_otherwise_stays_so() {
    let project = impatient(&["ask", "fail"]);
    let ended = Run::start(&project, &["--coding", "2", "--no-wait"]).end();
    assert_eq!((ended.code, &ended.last()["finish"]), (Some(5), &"stuck".into()), "{ended:#?}");
    let store = project.open();
    assert!(store.call(GetFeature { id: 1.into() }).unwrap().needs_human_input);
    let outcomes: Vec<_> = attempts(&project).into_iter().map(|(id, how, _)| (id, how)).collect();
    assert!(outcomes.contains(&(1, AttemptOutcome::WaitingForHuman)), "{outcomes:?}");
    assert!(outcomes.contains(&(2, AttemptOutcome::Failed)), "{outcomes:?}");
    store.close();
    assert_tidy(&project, &ended);
}

#[test]
fn an_agent_that_cannot_be_started_costs_no_attempt() {
    let project = project(&["pass"]);
    let program = project.folder().join("nothing here");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_autoforge-store"));
    command.arg("-C").arg(project.folder()).args(["--json", "run", "--"]).arg(&program);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let last = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "no_agent", "{last}");
    for (_, outcome, reason) in attempts(&project) {
        assert_eq!(outcome, AttemptOutcome::Released, "{reason}");
    }
}

/// A file that says how the backlog of an empty project is made: by a command of ours.
fn with_initializer(project: &Project, arguments: &[&str]) -> String {
    let words = [&[env!("CARGO_BIN_EXE_autoforge-store"), "-C", "{project}"], arguments].concat();
    let config = project.folder().join("initializer.toml");
    #[expect(clippy::disallowed_methods, reason = "it is no database")]
    fs::write(&config, format!("initializer = {words:?}\n")).unwrap();
    config.to_str().unwrap().to_owned()
}

#[test]
fn an_empty_project_gets_its_features_from_the_initializer_and_is_driven_to_its_end() {
    let project = Project::new();
    let list = project.folder().join("list.json");
    let features = ["One", "Two"]
        .map(|name| json!({"category": "c", "name": name, "description": "d", "steps": ["s"]}));
    #[expect(clippy::disallowed_methods, reason = "it is no database")]
    fs::write(&list, json!(features).to_string()).unwrap();
    let config = with_initializer(&project, &["import", list.to_str().unwrap()]);
    let ended = Run::start(&project, &["--config", &config]).end();
    assert_eq!(
        (ended.code, &ended.last()["finish"]),
        (Some(0), &"all_passing".into()),
        "{ended:#?}"
    );
    let kinds: Vec<&Value> = ended.all("began").into_iter().map(|began| &began["kind"]).collect();
    assert_eq!(kinds, ["initializing", "coding", "coding"]);
    assert_tidy(&project, &ended);
}

#[test]
fn an_initializer_that_makes_nothing_is_not_started_again() {
    let project = Project::new();
    let config = with_initializer(&project, &["status"]);
    let ended = Run::start(&project, &["--config", &config]).end();
    assert_eq!(
        (ended.code, &ended.last()["finish"]),
        (Some(5), &"no_features".into()),
        "{ended:#?}"
    );
    assert_eq!(ended.all("began").len(), 1, "{ended:#?}");
}

#[test]
fn what_passes_is_tested_beside_the_building_and_stays_as_it_is() {
    let project = project(&["pass", "slow", "slow"]);
    let ended = Run::start(&project, &["--coding", "2", "--testing", "1"]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let testers: Vec<_> =
        ended.all("began").into_iter().filter(|b| b["kind"] == "testing").collect();
    assert!(!testers.is_empty(), "{ended:#?}");
    assert_eq!(testers[0]["features"][0]["id"], 1, "{ended:#?}");
    assert!(ended.all("said").iter().any(|said| said["line"] == "{\"tested\":1}"), "{ended:#?}");
    assert_eq!(attempts(&project).len(), 3, "a test is no attempt");
    assert_tidy(&project, &ended);
}
