//! Files that lie: a database and its log, changed at random. Whatever they say then, opening them gives
//! a store or a clear error, a store answers every command, nothing panics or hangs, and what was
//! acknowledged on such a file is still there when it is opened again, or is missed with an error.
//!
//! `LIES` says how many files are tried; a failure names the number of its file, and the same file comes
//! again.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "files that nobody has open are written as bytes")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use autoforge_store::testing::{Op, Outcome, realistic_backlog};
use autoforge_store::{
    CheckFeatures, CreateFeatures, Error, GetFeature, OpenOptions, StorageError, Store,
};
use fastrand::Rng;

use crate::support::{Project, create};

/// The bytes of a project in use: its database, and a log that is not copied back.
struct Original {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Original {
    fn make() -> Self {
        let project = Project::new();
        let store = project.open();
        store.call(CreateFeatures::new(realistic_backlog(60, 7))).unwrap();
        for id in 1..=20 {
            drop(Op::ClaimFeature(id).apply_to(&store));
            drop(Op::MarkPassing(id).apply_to(&store));
        }
        store.checkpoint().unwrap();
        for id in 21..=40 {
            drop(Op::SkipFeature(id).apply_to(&store));
        }
        let copy = tempfile::tempdir().unwrap();
        // Another program: reading the files in this one would cost its locks.
        let mut copying = Command::new("cp");
        copying.args([project.database(), project.log()]).arg(copy.path());
        assert!(copying.status().unwrap().success());
        let read = |name| std::fs::read(copy.path().join(name)).unwrap();
        let original = Self { database: read("features.db"), log: read("features.db-wal") };
        assert!(original.log.len() > 30_000, "{}", original.log.len());
        original
    }
}

/// Changes some of the bytes, in one of the ways in which files go wrong.
fn spoil(bytes: &mut Vec<u8>, rng: &mut Rng) {
    const PAGE: usize = 4096;
    let length = bytes.len();
    match rng.u8(0..6) {
        0 => {
            for _ in 0..rng.usize(1..=64) {
                bytes[rng.usize(..length)] = rng.u8(..);
            }
        }
        1 => bytes.truncate(rng.usize(..length)),
        2 => {
            let from = rng.usize(..length);
            let to = (from + rng.usize(1..=2 * PAGE)).min(length);
            bytes[from..to].fill(0);
        }
        3 => {
            // A page that was written to the wrong place.
            let pages = length / PAGE;
            let (from, to) = (rng.usize(..pages), rng.usize(..pages));
            bytes.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
        }
        4 => {
            let more = rng.usize(1..=PAGE);
            bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(more));
        }
        // What a file says about itself.
        _ => bytes[rng.usize(..100)] = rng.u8(..),
    }
}

/// Fails where a command broke a promise that holds for any file.
fn assert_told(outcome: &Outcome, what: &str) {
    if let Outcome::Failed(StorageError::Panicked { command, message }) = outcome {
        panic!("{what}: {command} panicked: {message}");
    }
}

fn try_file(path: &Path, options: &OpenOptions, what: &str) -> &'static str {
    let examined = Store::examine(path, options, &CheckFeatures);
    let Ok(store) = Store::open_file(path, options) else { return "refused" };
    for op in [
        Op::GetStats,
        Op::ListFeatures,
        Op::GetBoard,
        Op::GetGraph,
        Op::GetSnapshot,
        Op::CheckFeatures,
        Op::GetClaims,
        Op::GetLog { feature: None, session: None, before: None, limit: 1_000 },
        Op::ClaimNext,
        Op::MarkPassing(45),
        Op::SkipFeature(46),
        Op::AddDependency { id: 50, dependency: 49 },
        Op::DeleteFeature { id: 51, force: true },
    ] {
        assert_told(&op.apply_to(&store), what);
    }
    let made = store.call(create("acknowledged"));
    let sound = store.diagnose().is_ok_and(|diagnosis| diagnosis.integrity.is_empty());
    store.close();
    let Ok(made) = made else {
        assert!(!matches!(made, Err(Error::Storage(StorageError::Panicked { .. }))), "{what}");
        return "opened, not written";
    };
    let found = match Store::open_file(path, options) {
        Ok(store) => {
            let found = store.call(GetFeature { id: made.id });
            store.close();
            found.map(|feature| feature.name)
        }
        // It says that it is damaged, which is no silence.
        Err(_) => return "written, refused afterwards",
    };
    match found {
        Ok(name) => assert_eq!(name, "acknowledged", "{what}"),
        Err(Error::Storage(_)) => {}
        Err(Error::Refused(refusal)) => panic!("{what}: what was acknowledged is lost: {refusal}"),
    }
    match (sound, examined) {
        (true, _) => "written, sound",
        (false, Ok(examined)) if examined.diagnosis.integrity.is_empty() => {
            panic!("{what}: it is damaged, and was found sound when it was examined")
        }
        (false, _) => "written, and said to be damaged",
    }
}

#[test]
fn whatever_is_changed_in_the_files_nothing_panics_or_hangs_or_is_lost_in_silence() {
    let original = Original::make();
    let count = std::env::var("LIES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let options = OpenOptions { lock_wait: Duration::from_millis(200), ..OpenOptions::default() };
    let mut outcomes = std::collections::BTreeMap::new();
    for number in 0..count {
        let mut rng = Rng::with_seed(number);
        let (mut database, mut log) = (original.database.clone(), original.log.clone());
        match rng.u8(0..5) {
            0 | 1 => spoil(&mut database, &mut rng),
            2 | 3 => spoil(&mut log, &mut rng),
            _ => {
                spoil(&mut database, &mut rng);
                spoil(&mut log, &mut rng);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.db");
        std::fs::write(&path, database).unwrap();
        std::fs::write(folder.path().join("features.db-wal"), log).unwrap();
        let outcome = try_file(&path, &options, &format!("file {number}"));
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    crate::support::say_note(&format!("{count} files that lie: {outcomes:?}"));
    for outcome in ["refused", "written, sound"] {
        assert!(outcomes.contains_key(outcome), "{outcomes:?}");
    }
}
