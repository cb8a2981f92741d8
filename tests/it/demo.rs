//! The demonstration shows what it promises, and leaves nothing running.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use autoforge_store::{ListFeatures, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::processes_of;

fn demo(project: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoforge-store"));
    command.args(["demo", "--project"]).arg(project).args(options);
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn everything_holds_with_few_features() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &["--features", "12", "--workers", "3"]).output().unwrap();
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Everything held."), "{text}");
}

#[test]
fn the_verdict_as_json_agrees_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--features", "10", "--workers", "2", "--json"];
    let output = demo(dir.path(), &options).output().unwrap();
    let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
    let data = &envelope["data"];
    assert_eq!((&envelope["schema_version"], &data["holds"]), (&1.into(), &true.into()));
    assert_eq!(data["features"], 10);
    assert!(data["killed"].is_string(), "{envelope}");
    let checks = data["checks"].as_array().unwrap();
    assert!(checks.len() >= 8 && checks.iter().all(|check| check["holds"] == true), "{envelope}");
    let features = Store::open_project(dir.path()).unwrap().call(ListFeatures).unwrap();
    assert_eq!(features.len(), 10);
    assert!(features.iter().all(|feature| feature.passes && !feature.in_progress));
}

#[test]
fn the_only_worker_is_replaced_when_it_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &["--features", "1", "--workers", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", stdout(&output));
}

#[test]
fn a_project_that_has_features_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_project(dir.path()).unwrap();
    let output = demo(dir.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(store.call(ListFeatures).unwrap().is_empty());
}

#[test]
fn a_signal_ends_all_processes() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = demo(dir.path(), &["--features", "300", "--workers", "3"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    // The first message comes when a part of the features passes, so all are at work by then.
    messages.read_line(&mut String::new()).unwrap();
    assert_ne!(processes_of(dir.path()), Vec::<String>::new());
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(processes_of(dir.path()), Vec::<String>::new());
}

#[test]
fn workers_and_servers_end_when_the_parent_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = demo(dir.path(), &["--features", "300", "--workers", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    messages.read_line(&mut String::new()).unwrap();
    assert_ne!(processes_of(dir.path()), Vec::<String>::new());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !processes_of(dir.path()).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", processes_of(dir.path()));
        std::thread::yield_now();
    }
}
