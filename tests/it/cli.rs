//! The command line as its users meet it: arguments, stdout, stderr, exit code.
#![cfg(test)]

mod bench;
mod claims;
mod conversations;
mod features;
mod files;
mod history;
mod layout;
mod progress;
mod projects;
mod questions;
mod registry;
mod schedules;
mod watch;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_autoforge-store");

/// What one run of the program said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// Its stdout, if it went well.
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The data in its envelope, if it went well.
    fn data(self) -> Value {
        let mut envelope = self.envelope(0);
        assert_eq!(envelope["schema_version"], 1);
        envelope["data"].take()
    }

    /// The error in its envelope, if it went wrong in this way.
    fn error(self, code: i32) -> Value {
        let mut envelope = self.envelope(code);
        assert_eq!(envelope["schema_version"], 1);
        let error = envelope["error"].take();
        let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "message", "retryable", "feature_ids"]);
        error
    }

    fn envelope(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(folder)
        .env_remove("PROJECT_DIR")
        .env_remove("AUTOFORGE_AGENT")
        .env_remove("AUTOFORGE_SESSION")
        .env_remove("RUST_LOG")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run_in(folder: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Said {
    said(command(folder).args(args))
}

/// A folder that becomes a project.
struct Project {
    dir: TempDir,
}

impl Project {
    /// A folder without a database.
    fn none() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn empty() -> Self {
        let project = Self::none();
        project.run(["init"]).ok();
        project
    }

    /// A project with these features.
    fn with(list: &Value) -> Self {
        let project = Self::empty();
        project.feed(["import", "-"], &list.to_string()).ok();
        project
    }

    /// 1 passes, 2 is claimed, 3 asks a human, 4 can be taken, 5 waits for 3 and 4.
    fn usual() -> Self {
        Self::with(&json!([
            {"id": 1, "name": "Log in", "category": "Auth", "steps": ["a"], "passes": true},
            {"id": 2, "name": "Log out", "category": "Auth", "steps": ["a"], "in_progress": true,
             "dependencies": [1]},
            {"id": 3, "name": "Pay", "category": "Shop", "steps": ["a"], "description": "one\ntwo",
             "needs_human_input": true, "human_input_request": {
                "prompt": "Which provider?",
                "fields": [
                    {"id": "provider", "label": "Provider", "type": "select", "options": [
                        {"value": "s", "label": "Stripe"}, {"value": "p", "label": "PayPal"}]},
                    {"id": "live", "label": "Live?", "type": "boolean"},
                    {"id": "note", "label": "Note", "required": false}]}},
            {"id": 4, "name": "Cart", "category": "Shop", "steps": ["x", "y"]},
            {"id": 5, "name": "Ship", "category": "Shop", "steps": ["a"], "dependencies": [3, 4]},
        ]))
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The folder with its links resolved, as the program prints it.
    fn real_path(&self) -> PathBuf {
        std::fs::canonicalize(self.path()).unwrap()
    }

    fn run<const N: usize>(&self, args: [&str; N]) -> Said {
        run_in(self.path(), args)
    }

    fn json<const N: usize>(&self, args: [&str; N]) -> Said {
        said(command(self.path()).args(args).arg("--json"))
    }

    /// Runs a command that reads this from stdin.
    fn feed<const N: usize>(&self, args: [&str; N], input: &str) -> Said {
        let mut command = command(self.path());
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The project's store, as another process would have it.
    fn store(&self) -> autoforge_store::Store {
        autoforge_store::Store::open_project(self.path()).unwrap()
    }

    /// A connection as another program would have it.
    fn foreign(&self) -> rusqlite::Connection {
        let foreign =
            rusqlite::Connection::open(self.path().join(".autoforge/features.db")).unwrap();
        foreign.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        foreign
    }

    fn write(&self, name: &str, text: &str) {
        #[expect(clippy::disallowed_methods, reason = "a text file of a test")]
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        #[expect(clippy::disallowed_methods, reason = "a text file of a test")]
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// The names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
