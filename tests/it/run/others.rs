//! Other programs beside a run.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use autoforge_store::orchestrator::{AgentCommand, Finish, Happening, Settings, Stop, run};
use autoforge_store::{EventKind, GetFeature, GetLog, OpenOptions};
use rustix::process::Signal;
use serde_json::Value;

use super::{Run, assert_tidy, attempts, impatient, project, works};
use crate::support::{can_mount, processes_of, say_note};

#[test]
fn two_runs_share_the_work_and_take_nothing_from_each_other() {
    let project = project(&["pass"; 24]);
    let runs = [(); 2].map(|()| Run::start(&project, &["--coding", "3"]));
    let [first, second] = runs.map(Run::end);
    for ended in [&first, &second] {
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let ends = ended.ends();
        assert!(ends.iter().all(|(_, features)| *features == ["passed"]), "{ends:#?}");
    }
    let passed = |ended: &super::Ended| ended.last()["passed"].as_u64().unwrap();
    assert_eq!(passed(&first) + passed(&second), 24);
    assert_eq!(attempts(&project).len(), 24, "nobody has tried what another one was at");
    let store = project.open();
    let log =
        store.call(GetLog { feature: None, session: None, before: None, limit: 1_000 }).unwrap();
    let times = log.iter().filter(|event| event.kind == EventKind::Passed).count();
    assert_eq!(times, 24);
    store.close();
    assert_tidy(&project, &first);
    assert_tidy(&project, &second);
}

#[test]
fn a_database_that_is_locked_for_long_is_waited_for() {
    let project = project(&["pass"; 4]);
    let mut run = Run::start(&project, &["--coding", "1", "--lock-wait", "0.1"]);
    run.until(works);
    let other = project.foreign();
    other.busy_timeout(crate::support::FOREVER).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    run.until(|line| line["what"] == "trouble");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.last()["finish"], "all_passing");
    assert_tidy(&project, &ended);
}

/// Two agents at a time, one feature each, that speak once and do nothing.
fn idlers() -> Settings {
    let speaks = AgentCommand::new(["sh", "-c", "echo here; exec sleep 600"]).unwrap();
    Settings { coding: 2, testing: 0, batch: 1, ..Settings::new(speaks) }
}

#[test]
fn what_another_program_claims_while_a_run_waits_to_claim_is_left_to_it() {
    let project = project(&["pass"; 2]);
    let (stop, mut lock, mut begun) = (Stop::new(), None, Vec::new());
    let mut observe = |happening: &Happening| match happening {
        Happening::Began { features, .. } => {
            begun.extend(features.iter().map(|(id, _)| id.get()));
            // The claim for the second agent waits from here on.
            if begun.len() == 1 {
                let other = project.foreign();
                other.execute_batch("BEGIN IMMEDIATE").unwrap();
                lock = Some(other);
            }
        }
        Happening::Said { .. } => {
            if let Some(other) = lock.take() {
                let claim = "UPDATE features SET in_progress = 1 WHERE id = 2; COMMIT";
                other.execute_batch(claim).unwrap();
            }
        }
        Happening::Changed(event) if event.feature.get() == 2 => stop.stop(),
        _ => {}
    };
    run(project.folder(), &OpenOptions::default(), &idlers(), &stop, &mut observe).unwrap();
    assert_eq!(begun, [1]);
    let store = project.open();
    assert!(store.call(GetFeature { id: 2.into() }).unwrap().in_progress);
    let log = GetLog { feature: Some(2.into()), limit: 1, ..GetLog::default() };
    let log = store.call(log).unwrap();
    assert_eq!(log[0].kind, EventKind::Claimed, "the last that happened to it: {log:#?}");
}

#[test]
fn agents_are_heard_while_the_storage_is_waited_for() {
    let project = project(&["pass"; 2]);
    let (stop, mut lock, mut seen) = (Stop::new(), None, Vec::new());
    let mut observe = |happening: &Happening| match happening {
        // The claim of the second agent waits from here on, until the first one is heard.
        Happening::Began { .. } if seen.is_empty() => {
            let other = project.foreign();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            lock = Some(other);
            seen.push("one began");
        }
        Happening::Said { .. } if lock.take().is_some() => seen.push("one spoke"),
        Happening::Began { .. } => {
            seen.push("another began");
            stop.stop();
        }
        Happening::Trouble(_) => {
            lock = None;
            seen.push("trouble");
            stop.stop();
        }
        _ => {}
    };
    let options = OpenOptions::default();
    let outcome = run(project.folder(), &options, &idlers(), &stop, &mut observe).unwrap();
    assert_eq!(seen, ["one began", "one spoke", "another began"]);
    assert_eq!((outcome.agents, outcome.unsettled.len(), outcome.left.len()), (2, 0, 0));
}

#[test]
fn what_the_storage_refuses_for_a_while_is_tried_again_although_nothing_else_happens() {
    let project = impatient(&["pass"]);
    let gives_up = AgentCommand::new(["true"]).unwrap();
    let settings = Settings { coding: 1, testing: 0, ..Settings::new(gives_up) };
    let (mut lock, mut troubles) = (None, 0);
    let mut observe = |happening: &Happening| match happening {
        Happening::Began { .. } => {
            let other = project.foreign();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            lock = Some(other);
        }
        // Nobody commits anything, and no agent is left.
        Happening::Trouble(_) => {
            lock = None;
            troubles += 1;
        }
        _ => {}
    };
    let options = OpenOptions { lock_wait: Duration::from_millis(100), ..OpenOptions::default() };
    let outcome = run(project.folder(), &options, &settings, &Stop::new(), &mut observe).unwrap();
    assert_eq!((outcome.finish, outcome.failed, troubles), (Some(Finish::Stuck), 1, 1));
    assert!(outcome.unsettled.is_empty(), "{outcome:?}");
}

/// Files that nobody can change, whoever has them open, until this is dropped.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    /// `None` where the system or the file system offers no such thing.
    fn make(files: Vec<PathBuf>) -> Option<Self> {
        let made = chattr("+i", &files);
        let files = Self(files);
        made.then_some(files)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        chattr("-i", &self.0);
    }
}

fn chattr(attribute: &str, files: &[PathBuf]) -> bool {
    let chattr = Command::new("chattr").arg(attribute).args(files).stderr(Stdio::null()).status();
    chattr.is_ok_and(|status| status.success())
}

#[test]
fn a_database_that_is_read_only_for_a_while_loses_nothing() {
    let project = project(&["pass"; 4]);
    let mut run = Run::start(&project, &["--coding", "1", "--lock-wait", "1"]);
    run.until(works);
    // Not the shared memory: where that cannot be written, the kernel kills whoever writes to it.
    let Some(immutable) = Immutable::make(vec![project.database(), project.log()]) else {
        say_note("skipped: nothing here makes a file immutable");
        run.signal(Signal::TERM);
        run.end();
        return;
    };
    // By the second time the store has been opened anew, and SQLite could open the file only for reading.
    for _ in 0..2 {
        run.until(|line| line["what"] == "trouble");
    }
    drop(immutable);
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.last()["finish"], "all_passing");
    assert_tidy(&project, &ended);
}

/// Fills the disk when an agent is at work, and makes room when somebody has met that.
const SCRIPT: &str = "set -e; mount -t tmpfs -o size=2m tmpfs \"$FOLDER\"; cd \"$FOLDER\"
     \"$STORE\" -C . init > /dev/null; \"$STORE\" -C . import \"$LIST\" > /dev/null
     mkfifo \"$LIST.lines\"
     \"$STORE\" -C . --lock-wait 1 --json run --agent simulated --testing 0 --batch 1 --coding 1 \
         > \"$LIST.lines\" & run=$!
     exec 3< \"$LIST.lines\"; bad=; good=
     while read -r line <&3; do
         echo \"$line\"
         case $line in
             *works_on*) [ \"$bad\" ] || { head -c 3000000 /dev/zero > ballast 2>/dev/null || true; bad=1; } ;;
             *'\"what\":\"trouble\"'*|*'\"refused\"'*|*'\"trouble\"'*) [ \"$good\" ] || { rm ballast; good=1; } ;;
         esac
     done
     wait $run && status=0 || status=$?
     \"$STORE\" -C . --json list; \"$STORE\" -C . doctor >&2; exit $status";

#[test]
fn a_disk_that_is_full_for_a_while_loses_nothing() {
    if !can_mount() {
        say_note("skipped: this system lets nobody mount a small disk");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let list = outside.path().join("list.json");
    let features: Vec<Value> = (0..4)
        .map(|n| serde_json::json!({"category": "c", "name": format!("F{n}"), "description": "d", "steps": ["s"]}))
        .collect();
    #[expect(clippy::disallowed_methods, reason = "it is no database")]
    std::fs::write(&list, serde_json::to_vec(&features).unwrap()).unwrap();
    let mut isolated = Command::new("unshare");
    isolated.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT]);
    isolated.env("FOLDER", folder.path()).env("LIST", &list);
    isolated.env("STORE", env!("CARGO_BIN_EXE_autoforge-store"));
    let output = isolated.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let features = list["data"]["features"].as_array().unwrap();
    assert!(features.iter().all(|feature| feature["passes"] == true), "{list}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}
