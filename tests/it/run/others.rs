//! Other programs beside a run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use autoforge_store::{EventKind, GetLog};
use rustix::process::Signal;
use serde_json::Value;

use super::{Run, assert_tidy, attempts, project, works};
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
    run.until(|line| line["what"] == "trouble");
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
