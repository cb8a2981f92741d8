//! A child in the moment before it becomes the program that it was started for: it has what was open in
//! its parent, the database too, and uses none of it.
//!
//! Whoever holds a lease on a program's file is asked before anybody else opens it, so a child that is to
//! become that program stays in this moment until the lease is given back.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use autoforge_store::{Store, open_elsewhere};

use crate::support::{Child as Other, Project, say, say_note};

/// Takes the lease, says when somebody waits for it, and gives it back when it is told so.
const LEASE: &str = "import fcntl, os, signal, sys\n\
     signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])\n\
     program = os.open(sys.argv[1], os.O_RDONLY)\n\
     fcntl.fcntl(program, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
     print('leased', flush=True)\n\
     signal.sigwait([signal.SIGIO])\n\
     print('wanted', flush=True)\n\
     sys.stdin.readline()\n\
     fcntl.fcntl(program, fcntl.F_SETLEASE, fcntl.F_UNLCK)";

/// A program that nobody can become as long as this is there.
struct Leased {
    program: PathBuf,
    python: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Leased {
    /// `None` where there is no Python, or the system gives no leases.
    fn make(folder: &Path) -> Option<Self> {
        let program = folder.join("program");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut python = Command::new("python3")
            .args(["-c", LEASE])
            .arg(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (input, output) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
        let mut leased = Self { program, python, input, output: BufReader::new(output) };
        (leased.hear() == "leased").then_some(leased)
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // Closing it would tell nobody anything: the child has it, too.
        drop(writeln!(self.input));
        self.python.wait().unwrap();
    }
}

/// The children of this process that have the file open, whatever they are.
fn children_with(file: &Path) -> usize {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let is_child = |process: &PathBuf| {
        let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(&*own)
    };
    let has_it = |process: &PathBuf| {
        let open = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        open.map(|entry| entry.path()).any(|open| open.read_link().is_ok_and(|open| open == file))
    };
    processes.filter(is_child).filter(has_it).count()
}

/// In a child, which has no other threads that start something: starts what cannot begin.
pub(crate) fn half_started(folder: &Path) {
    let Some(mut leased) = Leased::make(folder) else { return say("no lease") };
    let store = Store::open_project(folder).unwrap();
    let program = leased.program.clone();
    let starting = std::thread::spawn(move || Command::new(program).status().unwrap());
    assert_eq!(leased.hear(), "wanted");
    let (children, named) = (children_with(store.path()), open_elsewhere(store.path()));
    say(&format!("{children} child has it open, {} are named", named.len()));
    drop(leased);
    assert!(starting.join().unwrap().success());
    say("it became its program");
}

#[test]
fn a_child_that_has_not_become_its_program_yet_is_no_user_of_what_it_has_open() {
    let project = Project::new();
    let mut child = Other::start("half_started", project.folder());
    let said = child.hear();
    if said == "no lease" {
        return say_note("skipped: no Python here, or a system that gives no leases on files");
    }
    assert_eq!(said, "1 child has it open, 0 are named");
    assert_eq!(child.hear(), "it became its program");
}
