//! A process that is killed at every named point of its work: opening, migration, each savepoint and
//! commit, checkpoints, closing. What it was told is in the file, nothing is half done, and whoever opens
//! the file next goes on.
#![cfg(test)]

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use autoforge_store::testing::CrashPlan;
use autoforge_store::{
    CheckFeatures, ClaimFeature, CreateFeatures, FeatureId, ListFeatures, MarkPassing, Store,
};

use crate::moves::{planned, points};
use crate::old_files;
use crate::support::{Project, create, foreign, hold, new_feature, say, text};

/// Features that are made at once.
const TOGETHER: usize = 4;

/// In a child: works, and says after each answer what it was told.
pub(crate) fn session(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    let make = |name: &str| {
        let id = store.call(create(name)).unwrap().id;
        say(&format!("made {id}"));
        id
    };
    for name in ["one", "two", "three", "four", "five", "six", "seven"] {
        let id = make(name);
        store.call(ClaimFeature { id }).unwrap();
        say(&format!("claimed {id}"));
        store.call(MarkPassing { id }).unwrap();
        say(&format!("passed {id}"));
    }
    store.checkpoint().unwrap();
    // Calls that share a group, so that there are as many groups each time.
    let held = hold(&store);
    let replies = ["eight", "nine", "ten"].map(|name| store.submit(create(name)).unwrap());
    drop(held);
    for reply in replies {
        say(&format!("made {}", reply.wait().unwrap().id));
    }
    let many = (0..TOGETHER).map(|n| new_feature(&format!("of many {n}")).into()).collect();
    for id in store.call(CreateFeatures::new(many)).unwrap().ids {
        say(&format!("made {id}"));
    }
    store.close();
    say("closed");
}

/// What the process had said before it was killed.
#[derive(Default)]
struct Told {
    made: BTreeSet<FeatureId>,
    passed: BTreeSet<FeatureId>,
    closed: bool,
}

impl Told {
    fn hear(output: &[u8]) -> Self {
        let mut told = Self::default();
        for line in String::from_utf8_lossy(output).lines() {
            let said = line.split_once('\u{1}').map_or("", |(_, said)| said);
            let id = |id: &str| FeatureId::from(id.parse::<i64>().unwrap());
            match said.split_once(' ') {
                Some(("made", made)) => drop(told.made.insert(id(made))),
                Some(("passed", passed)) => drop(told.passed.insert(id(passed))),
                _ => told.closed |= said == "closed",
            }
        }
        told
    }
}

/// Looks at what a killed process has left. `before` features were there when it began.
fn assert_whole(project: &Project, told: &Told, before: usize, context: &str) {
    let file = foreign(&project.database());
    assert_eq!(text(&file, "PRAGMA integrity_check"), "ok", "{context}");
    drop(file);
    let store = project.open();
    let features = store.call(ListFeatures).unwrap();
    let ids: BTreeSet<FeatureId> = features.iter().map(|feature| feature.id).collect();
    assert!(told.made.is_subset(&ids), "{context}: {:?} were told", told.made);
    for feature in &features {
        let passes = feature.passes;
        assert!(passes || !told.passed.contains(&feature.id), "{context}: {feature:?}");
        assert!(!feature.name.is_empty() && !feature.category.is_empty(), "{context}: {feature:?}");
    }
    // All of those that are made at once, or none; and of the others no more than were on their way.
    let many = features.iter().filter(|feature| feature.name.starts_with("of many")).count();
    assert!(many == 0 || many == TOGETHER, "{context}: {many} of {TOGETHER}");
    let unheard = ids.len() - before - told.made.len();
    assert!(unheard <= TOGETHER.max(3), "{context}: {unheard} that nobody was told of");
    let findings = store.call(CheckFeatures).unwrap();
    // What was wrong in the old file before is not what a kill has left.
    let odd = findings.malformed.len() + findings.shared_priorities.len();
    assert!(odd == 0 || before > 0, "{context}: {findings:?}");
    let next = store.call(create("next")).unwrap();
    assert!(!ids.contains(&next.id), "{context}");
    store.close();
    assert!(!project.log().exists(), "{context}");
    assert!(!told.closed || unheard == 0, "{context}");
}

fn kill_everywhere(make: impl Fn() -> Project, before: usize) -> usize {
    let points = points("session", make().folder());
    for (point, nth) in &points {
        let project = make();
        let plan = CrashPlan::Kill { point: point.clone(), nth: *nth };
        let output = planned("session", project.folder(), &plan).output().unwrap();
        let context = format!("killed at {point} {nth}");
        assert_eq!(output.status.signal(), Some(9), "{context}: {output:?}");
        assert_whole(&project, &Told::hear(&output.stdout), before, &context);
    }
    let names: BTreeSet<&str> = points.iter().map(|(point, _)| point.as_str()).collect();
    for part in
        ["schema.", "group.before_s", "group.after_c", "group.after_sync", "checkpoint.", "close."]
    {
        assert!(names.iter().any(|name| name.starts_with(part)), "{part}: {names:?}");
    }
    points.len()
}

#[test]
fn wherever_a_process_is_killed_what_it_was_told_is_there_and_nothing_is_half_done() {
    let kills = kill_everywhere(Project::new, 0);
    crate::support::say_note(&format!("{kills} kills on a new file"));
}

#[test]
fn wherever_a_process_is_killed_on_an_old_file_it_is_migrated_wholly_or_not_at_all() {
    let old = old_files::named("no in_progress");
    let make = || Project::with_database(&old);
    let before = make().open().call(ListFeatures).unwrap().len();
    let kills = kill_everywhere(make, before);
    crate::support::say_note(&format!("{kills} kills on an old file"));
}
