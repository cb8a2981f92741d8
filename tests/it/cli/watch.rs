//! Watching: every event once, at once, until somebody has enough of it.
#![expect(clippy::disallowed_types, reason = "a test hears what a process says as it says it")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Project, command};
use crate::support::{FOREVER, eventually};

/// A watch that runs.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(project: &Project, args: &[&str]) -> Self {
        let mut command = command(project.path());
        let mut child = command.arg("watch").args(args).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (said, lines) = channel();
        std::thread::spawn(move || {
            // Ends, and closes the pipe, when nobody listens any more.
            output.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(FOREVER).expect("nothing was printed")
    }

    fn event(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// The exit code, once it has ended by itself.
    fn exit(&mut self) -> i32 {
        let mut status = None;
        assert!(
            eventually(|| {
                status = self.child.try_wait().unwrap();
                status.is_some()
            }),
            "it goes on"
        );
        status.unwrap().code().expect("an orderly end")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn events_of_every_program_are_printed_as_they_come() {
    let project = Project::usual();
    let watch = Watch::start(&project, &["--json", "--since", "4"]);
    let first = watch.event();
    assert_eq!(
        (&first["id"], &first["kind"], &first["name"]),
        (&json!(5), &json!("imported"), &json!("Ship"))
    );
    project.run(["claim", "4", "--as", "bob"]).ok();
    let claimed = watch.event();
    assert_eq!((&claimed["kind"], &claimed["agent"]), (&json!("claimed"), &json!("bob")));
    assert!(claimed.get("schema_version").is_none(), "an event alone, without an envelope");
    project.foreign().execute_batch("UPDATE features SET name = 'Basket' WHERE id = 4").unwrap();
    let edited = watch.event();
    assert_eq!(
        (&edited["id"], &edited["agent"], &edited["name"]),
        (&json!(7), &json!(null), &json!("Basket"))
    );
    project.foreign().execute_batch("DELETE FROM features WHERE id = 5").unwrap();
    assert_eq!(watch.event()["name"], "Ship", "the name that it had");
}

#[test]
fn a_line_for_a_pipe_is_that_of_the_log() {
    let project = Project::usual();
    let watch = Watch::start(&project, &["--since", "5"]);
    project.run(["skip", "4", "--reason", "too early"]).ok();
    let line = watch.line();
    assert_eq!(format!("{line}\n"), project.run(["log", "--limit", "1"]).ok());
    assert!(line.contains("\tput off: priority 4 → 6; reason: too early\t"), "{line}");
}

#[test]
fn a_watch_goes_on_where_another_one_ended() {
    let project = Project::usual();
    let mut first = Watch::start(&project, &["--json", "--since", "0", "--count", "2"]);
    let seen: Vec<Value> =
        [first.event(), first.event()].map(|mut event| event["id"].take()).into();
    assert_eq!((seen, first.exit()), (vec![json!(1), json!(2)], 0));
    let mut second = Watch::start(&project, &["--json", "--since", "2", "--count", "3"]);
    let seen: Vec<Value> = (0..3).map(|_| second.event()["id"].take()).collect();
    assert_eq!((seen, second.exit()), (vec![json!(3), json!(4), json!(5)], 0));
}

#[test]
fn a_signal_ends_it_in_order() {
    let project = Project::usual();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut watch = Watch::start(&project, &["--since", "4"]);
        watch.line();
        let pid = Pid::from_raw(i32::try_from(watch.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(watch.exit(), 0, "{signal:?}");
    }
    assert_eq!(project.names(), [".autoforge"]);
    let left = std::fs::read_dir(project.path().join(".autoforge")).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "features.db-wal"), "its store was closed: {names:?}");
}

#[test]
fn a_reader_that_has_gone_ends_it_before_anything_else_happens() {
    let project = Project::usual();
    let mut command = command(project.path());
    command.args(["watch", "--since", "4"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    assert!(eventually(|| child.try_wait().unwrap().is_some()), "it outlives its reader");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_reader_that_has_stopped_reading_does_not_keep_it_from_ending() {
    let project = Project::usual();
    let foreign = project.foreign();
    for _ in 0..40 {
        let long = "UPDATE features SET description = hex(randomblob(4000)) WHERE id = 4";
        foreign.execute_batch(long).unwrap();
    }
    let mut command = command(project.path());
    let mut child =
        command.args(["watch", "--json", "--since", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(eventually(|| child.try_wait().unwrap().is_some()), "it waits for its reader");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_time_may_be_up_before_enough_has_come() {
    let project = Project::usual();
    assert_eq!(project.run(["watch", "--timeout", "0.05"]).ok(), "");
    let few = project.run(["watch", "--since", "3", "--count", "3", "--timeout", "0.05", "--json"]);
    assert_eq!(few.code, 6, "{few:?}");
    let lines: Vec<Value> = few.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["id"], &lines[1]["id"]), (3, &json!(4), &json!(5)));
    let error = &lines[2]["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("timed_out"), &json!(true)));
    assert!(error["message"].as_str().unwrap().starts_with("only 2 of 3 events"), "{error}");
}

#[test]
fn what_was_forgotten_meanwhile_is_said_with_the_way_on() {
    let project = Project::usual();
    assert_eq!(project.json(["watch", "--since", "99"]).error(3)["code"], "unknown_event");
    project.run(["policy", "--events", "2"]).ok();
    let foreign = project.foreign();
    for _ in 0..4 {
        foreign.execute_batch("UPDATE features SET priority = priority + 9 WHERE id = 4").unwrap();
    }
    let late = project.run(["watch", "--since", "1"]);
    assert_eq!((late.code, late.out.as_str()), (3, ""));
    assert!(late.err.contains("read the features, then go on from 9"), "{late:?}");
    assert!(late.err.contains("\nhint: "), "{late:?}");
    assert_eq!(project.run(["watch", "--since", "9", "--timeout", "0.05"]).ok(), "");
}
