//! Another program beside a move: it looks for the database in AutoForge's order, opens what it
//! finds as AutoForge does, and writes. Once with this library's SQLite, once with Python's.

use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};

use rusqlite::Connection;

use crate::support::{Child, FOREVER, listen, say};

/// Looks for the database and says where it is; opens it; starts on it as AutoForge does; writes a
/// row; reads the names. Each when it is told, and each answered by one line.
const PYTHON: &str = r#"
import os, sqlite3, sys
folder = os.environ["AUTOFORGE_STORE_TEST_FOLDER"]
db = None
def say(line):
    print("\x01" + str(line), flush=True)
def find():
    for place in (".autoforge", ".autocoder", ""):
        path = os.path.join(folder, place, "features.db")
        if os.path.exists(path):
            return path
    return os.path.join(folder, ".autoforge", "features.db")
for line in iter(sys.stdin.readline, ""):
    verb, _, rest = line.rstrip("\n").partition(" ")
    try:
        if verb == "find":
            path = find()
            say(path)
        elif verb == "open":
            db = sqlite3.connect(path, timeout=60, isolation_level=None)
            say("opened")
        elif verb == "start":
            say(db.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        elif verb == "write":
            db.execute("INSERT INTO features (priority, category, name, description, steps, passes,"
                       " in_progress, needs_human_input) VALUES (99, 'c', ?, 'd', '[]', 0, 0, 0)",
                       (rest,))
            say("written")
        elif verb == "names":
            say(",".join(row[0] for row in db.execute("SELECT name FROM features ORDER BY id")))
        elif verb == "close":
            if db:
                db.close()
            say("closed")
    except sqlite3.Error as error:
        say("failed: " + str(error))
"#;

/// The body of the child process that does the same with this library's SQLite.
pub(crate) fn neighbour(folder: &Path) {
    let (mut path, mut file) = (PathBuf::new(), None::<Connection>);
    while let Some(line) = listen() {
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match answer(folder, (verb, rest), &mut path, &mut file) {
            Ok(answer) => say(&answer),
            Err(error) => say(&format!("failed: {error}")),
        }
    }
}

fn answer(
    folder: &Path,
    (verb, rest): (&str, &str),
    path: &mut PathBuf,
    file: &mut Option<Connection>,
) -> rusqlite::Result<String> {
    if verb == "find" {
        *path = found(folder);
        return Ok(path.to_str().unwrap().to_owned());
    }
    if verb == "open" {
        let opened = Connection::open(&*path)?;
        opened.busy_timeout(FOREVER)?;
        *file = Some(opened);
        return Ok("opened".to_owned());
    }
    if verb == "close" {
        drop(file.take());
        return Ok("closed".to_owned());
    }
    let file = file.as_ref().unwrap();
    match verb {
        "start" => file.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)),
        "write" => super::insert(file, rest).map(|_| "written".to_owned()),
        "names" => {
            let mut statement = file.prepare("SELECT name FROM features ORDER BY id")?;
            let names = statement.query_map([], |row| row.get::<_, String>(0))?;
            Ok(names.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        other => panic!("no verb {other}"),
    }
}

/// Where AutoForge's programs find the database, or would make it.
pub(super) fn found(folder: &Path) -> PathBuf {
    let places =
        [".autoforge", ".autocoder", ""].map(|place| folder.join(place).join("features.db"));
    places.iter().find(|path| path.exists()).unwrap_or(&places[0]).clone()
}

/// Starts one of the two; `None` where there is no Python.
pub(super) fn start(kind: &str, folder: &Path) -> Option<Child> {
    if kind == "bundled" {
        return Some(Child::start("neighbour", folder));
    }
    let mut probe = Program::new("python3");
    probe.args(["-c", "import sqlite3"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        crate::support::say_note("not run: there is no python3 with sqlite3");
        return None;
    }
    let mut python = Program::new("python3");
    python.args(["-c", PYTHON]);
    Some(Child::start_by(python, "", folder))
}

/// Each of the two, with a place that it finds the project in.
pub(super) const KINDS: [(&str, &str); 2] = [("bundled", ".autocoder"), ("python", ".")];

/// Tells it something, and hears what comes of it.
pub(super) fn ask(neighbour: &mut Child, line: &str) -> String {
    neighbour.tell(line);
    neighbour.hear()
}
