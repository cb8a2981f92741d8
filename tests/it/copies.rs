//! Copies of a project that four processes write to meanwhile, two of them AutoForge-like in Python: each copy
//! is sound, opens as a store, and holds of each writer what it had done up to some moment.
//!
//! `COPIES` says how many are made.
#![cfg(test)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command as Program, Stdio};

use autoforge_store::{GetStats, OpenOptions, Store};
use rusqlite::Connection;

use crate::support::{Child, Project, create, foreign, listen, say, say_note, text};

/// Commits of each writer while one copy is made.
const COMMITS: i64 = 4;
const WRITERS: usize = 4;

/// In a child: is told a name, then how many features of that name to make; their numbers follow each
/// other.
pub(crate) fn write_numbered(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    let name = listen().unwrap();
    let mut number = 0;
    while let Some(count) = listen() {
        for _ in 0..count.parse::<i64>().unwrap() {
            number += 1;
            store.call(create(&format!("{name} {number}"))).unwrap();
        }
        say(&number.to_string());
    }
}

const PYTHON: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
name, number = sys.stdin.readline().strip(), 0
for line in sys.stdin:
    for _ in range(int(line)):
        number += 1
        db.execute("BEGIN IMMEDIATE")
        priority = db.execute("SELECT max(priority) FROM features").fetchone()[0] or 0
        db.execute("INSERT INTO features (priority, category, name, description, steps, passes, in_progress,"
                   " needs_human_input) VALUES (?, 'c', ?, 'd', '[]', 0, 0, 0)",
                   (priority + 1, f"{name} {number}"))
        db.execute("COMMIT")
    print(number, flush=True)
"#;

const PYTHON_BACKUP: &str = "import sqlite3, sys
from_, to = sqlite3.connect(sys.argv[1], timeout=60), sqlite3.connect(sys.argv[2])
from_.backup(to)
to.close()";

struct Python {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

enum Writer {
    Ours(Child),
    Python(Python),
}

impl Writer {
    fn start(project: &Project, python: bool) -> Self {
        if !python {
            return Self::Ours(Child::start("write_numbered", project.folder()));
        }
        let mut program = Program::new("python3");
        program.args(["-c", PYTHON]).arg(project.database());
        let mut process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self::Python(Python { process, input, output })
    }

    fn tell(&mut self, line: &str) {
        match self {
            Self::Ours(child) => child.tell(line),
            Self::Python(python) => writeln!(python.input, "{line}").unwrap(),
        }
    }

    /// How many commits it has made by now, all of them acknowledged.
    fn hear(&mut self) -> i64 {
        match self {
            Self::Ours(child) => child.hear().parse().unwrap(),
            Self::Python(python) => {
                let mut line = String::new();
                python.output.read_line(&mut line).unwrap();
                line.trim_end().parse().unwrap()
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Self::Python(python) = self {
            drop(python.process.kill());
            drop(python.process.wait());
        }
    }
}

fn copy(by: usize, project: &Project, store: &Store, to: &Path) {
    let status = match by {
        #[cfg(feature = "cli")]
        1 => Program::new(env!("CARGO_BIN_EXE_autoforge-store"))
            .args(["backup", "--json", "-C"])
            .arg(project.folder())
            .arg(to)
            .stdout(Stdio::null())
            .status(),
        2 if is_there() => Program::new("python3")
            .args(["-c", PYTHON_BACKUP])
            .arg(project.database())
            .arg(to)
            .status(),
        _ => return drop(store.backup(to).unwrap()),
    };
    assert!(status.unwrap().success());
}

fn is_there() -> bool {
    let python = Program::new("python3").args(["-c", "import sqlite3"]).output();
    python.is_ok_and(|output| output.status.success())
}

/// How many commits of each writer the copy holds: from the first on, without a hole.
fn commits_in(copy: &Connection) -> [i64; WRITERS] {
    std::array::from_fn(|writer| {
        let sql = "SELECT count(*), coalesce(max(number), 0) FROM (
                       SELECT DISTINCT CAST(substr(name, 10) AS INTEGER) AS number
                       FROM features WHERE name GLOB ?)";
        let pattern = format!("writer {writer} *");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (count, highest): (i64, i64) = copy.query_row(sql, [pattern], row).unwrap();
        assert_eq!(count, highest, "of writer {writer} there is a hole before {highest}");
        count
    })
}

#[test]
fn every_copy_beside_four_writers_is_sound_and_holds_what_each_had_done_up_to_some_moment() {
    let copies = std::env::var("COPIES").ok().and_then(|copies| copies.parse().ok()).unwrap_or(200);
    let project = Project::in_memory();
    let store = project.open();
    let python = is_there();
    if !python {
        say_note("without python3 and its sqlite3 all writers are ours");
    }
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|writer| Writer::start(&project, python && writer >= 2)).collect();
    for (at, writer) in writers.iter_mut().enumerate() {
        writer.tell(&format!("writer {at}"));
    }
    let (mut done, mut amid) = ([0; WRITERS], 0);
    for number in 0..copies {
        for writer in &mut writers {
            writer.tell(&COMMITS.to_string());
        }
        let to = project.folder().join("copy.db");
        copy(number % 4, &project, &store, &to);
        let raw = foreign(&to);
        assert_eq!(text(&raw, "PRAGMA integrity_check"), "ok");
        let held = commits_in(&raw);
        drop(raw);
        for (at, (held, done)) in held.iter().zip(&mut done).enumerate() {
            let acknowledged = *done..=*done + COMMITS;
            assert!(acknowledged.contains(held), "copy {number}, writer {at}: {held}, of {done}");
            amid += usize::from(*held != *done && *held != *done + COMMITS);
            *done = writers[at].hear();
        }
        let opened = Store::open_file(&to, &OpenOptions::default()).unwrap();
        let total = i64::try_from(opened.call(GetStats).unwrap().total).unwrap();
        assert_eq!(total, held.iter().sum::<i64>());
        opened.close();
        std::fs::remove_file(&to).unwrap();
    }
    say_note(&format!("{copies} copies, {amid} times in the middle of what a writer did"));
    assert!(amid > 0, "no copy was made while anybody wrote");
    assert_eq!(commits_in(&project.foreign()), done);
    assert_eq!(text(&project.foreign(), "PRAGMA integrity_check"), "ok");
}
