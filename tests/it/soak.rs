//! The endurance test finds what it looks for, and leaves nothing running.
#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use autoforge_store::{GetClaims, ListFeatures, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{FOREVER, eventually, foreign, processes_of};

fn soak(project: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoforge-store"));
    command.args(["soak", "--seed", "7", "--project"]).arg(project).args(options);
    command
}

fn data(output: &Output) -> Value {
    let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(envelope["schema_version"], 1, "{envelope}");
    envelope["data"].clone()
}

/// Everything holds, somebody was killed, and nothing is left.
fn assert_held(project: &Path, output: &Output) -> Value {
    let data = data(output);
    assert!(output.status.success(), "{data:#}");
    assert_eq!((&data["holds"], &data["interrupted"]), (&true.into(), &false.into()), "{data:#}");
    let checks = data["checks"].as_array().unwrap();
    assert!(checks.len() >= 12 && checks.iter().all(|check| check["holds"] == true), "{data:#}");
    assert!(data["agents"]["killed"].as_u64().unwrap() > 0, "{data:#}");
    assert!(data["calls"]["count"].as_u64().unwrap() > 0, "{data:#}");
    assert_eq!(data["processes"]["before"], data["processes"]["after"]);
    assert_eq!(processes_of(project), Vec::<String>::new());
    for file in ["features.db-wal", ".pause_drain"] {
        assert!(!project.join(".autoforge").join(file).exists(), "{file} is left");
    }
    let store = Store::open_project(project).unwrap();
    let features = store.call(ListFeatures).unwrap();
    assert_eq!(data["features"], features.len());
    let passing = features.iter().filter(|feature| feature.passes).count();
    assert_eq!(data["passing"], passing);
    assert!(store.call(GetClaims).unwrap().is_empty());
    data
}

#[test]
fn everything_holds_after_agents_and_writers_were_killed_at_random() {
    let dir = tempfile::tempdir().unwrap();
    let output = soak(dir.path(), &["--for", "3s", "--agents", "3", "--json"]).output().unwrap();
    let data = assert_held(dir.path(), &output);
    assert_eq!((&data["seed"], &data["agents"]["at_a_time"]), (&7.into(), &3.into()));
    let writers = &data["writers"];
    if writers["sqlite"].is_string() {
        assert_eq!(writers["at_a_time"], 2);
        assert!(writers["changes"]["count"].as_u64().unwrap() > 0, "{data:#}");
    } else {
        assert!(writers["why_none"].is_string(), "{data:#}");
    }
}

#[test]
fn where_there_is_no_python_it_says_so_and_goes_on_without() {
    let (dir, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut command = soak(dir.path(), &["--for", "1s", "--agents", "2", "--json"]);
    let data = assert_held(dir.path(), &command.env("PATH", empty.path()).output().unwrap());
    let writers = &data["writers"];
    assert_eq!((&writers["at_a_time"], &writers["started"]), (&0.into(), &0.into()));
    assert!(writers["why_none"].as_str().unwrap().contains("python3"), "{data:#}");
}

#[test]
fn a_signal_ends_it_and_what_was_done_until_then_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let child = soak(dir.path(), &["--for", "1h", "--agents", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(eventually(|| an_agent_has_passed_something(dir.path())));
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted") && text.contains("Everything held."), "{text}");
    assert_eq!(processes_of(dir.path()), Vec::<String>::new());
}

#[test]
fn a_change_that_nobody_has_announced_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let child = soak(dir.path(), &["--for", "1h", "--agents", "2", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(eventually(|| an_agent_has_passed_something(dir.path())));
    let stranger = foreign(&dir.path().join(".autoforge/features.db"));
    stranger.busy_timeout(FOREVER).unwrap();
    let changed = stranger.execute(
        "UPDATE features SET passes = 1 WHERE id = (
             SELECT max(id) FROM features WHERE passes = 0 AND in_progress = 0)",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(stranger);
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let data = data(&output);
    assert_eq!(output.status.code(), Some(1), "that is worse than an interruption: {data:#}");
    assert_eq!((&data["holds"], &data["interrupted"]), (&false.into(), &true.into()));
    let failed = data["checks"].as_array().unwrap().iter().filter(|check| check["holds"] == false);
    let failed: Vec<_> = failed.map(|check| check["name"].as_str().unwrap()).collect();
    let expected = ["each feature passed exactly once", "nothing happened that nobody asked for"];
    assert_eq!(failed, expected, "{data:#}");
}

/// By what agents have said, which is kept in files.
fn an_agent_has_passed_something(project: &Path) -> bool {
    let files =
        std::fs::read_dir(project.join(".autoforge/agents")).into_iter().flatten().flatten();
    #[expect(clippy::disallowed_methods, reason = "logs of agents")]
    let mut said = files.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default());
    said.any(|text| text.contains("{\"passed\""))
}

#[test]
fn a_project_that_has_features_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_project(dir.path()).unwrap();
    let output = soak(dir.path(), &["--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(envelope["error"]["code"], "not_empty");
    assert!(store.call(ListFeatures).unwrap().is_empty());
}
