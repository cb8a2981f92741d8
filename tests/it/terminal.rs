//! What people see at a terminal: the picture of a run, its own and somebody else's.
#![cfg(test)]
#![expect(clippy::disallowed_types, reason = "a test hears what a program draws as it draws it")]

use std::fs::File;
use std::io::Read;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};

use autoforge_store::{HumanInputRequest, MarkInProgress, RequestHumanInput};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;

use crate::run::{Run, project, works};
use crate::support::{FOREVER, Project};

const ROWS: NonZeroU16 = NonZeroU16::new(40).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(120).unwrap();

/// A program at a terminal of its own.
struct Terminal {
    child: Child,
    drawn: Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Terminal {
    fn start(project: &Project, args: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let size =
            Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let theirs = || -> OwnedFd {
            use rustix::fs::{Mode, OFlags};
            #[expect(clippy::disallowed_methods, reason = "a terminal")]
            rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap()
        };
        let child = Command::new(env!("CARGO_BIN_EXE_autoforge-store"))
            .arg("-C")
            .arg(project.folder())
            .args(args)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            .spawn()
            .unwrap();
        let (sender, drawn) = channel();
        std::thread::spawn(move || {
            let mut terminal = File::from(ours);
            let mut bytes = [0; 4096];
            // Ends when the program has, since nobody else has the other side.
            while let Ok(count @ 1..) = terminal.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, drawn, screen: vt100::Parser::new(ROWS, COLUMNS, 1_000) }
    }

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Looks until the screen shows all of this.
    fn until(&mut self, wanted: &[&str]) {
        while !wanted.iter().all(|wanted| self.text().contains(wanted)) {
            let Ok(bytes) = self.drawn.recv_timeout(FOREVER) else {
                panic!("there is no {wanted:?} on the screen:\n{}", self.text());
            };
            self.screen.process(&bytes);
        }
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// The screen when the program has ended, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        while let Ok(bytes) = self.drawn.recv() {
            self.screen.process(&bytes);
        }
        (self.text(), self.child.wait().unwrap().code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Nothing of the picture is left.
fn assert_clean(screen: &str) {
    assert!(!screen.contains(" pass, ") && !screen.contains("[----"), "{screen}");
    assert!(!screen.contains("coder-1  "), "{screen}");
}

fn ask(project: &Project, feature: i64) {
    let field = json!({"id": "way", "label": "The way"});
    let request = HumanInputRequest::new("Which way?", vec![field]).unwrap();
    let store = project.open();
    store.call(MarkInProgress { id: feature.into() }).unwrap();
    store.call(RequestHumanInput { id: feature.into(), request }).unwrap();
    store.close();
}

#[test]
fn a_run_draws_its_agents_and_leaves_the_last_words_alone() {
    let project = project(&["hang", "pass", "ask"]);
    let options = ["run", "--agent", "simulated", "--testing", "0", "--batch", "1"];
    let mut terminal = Terminal::start(&project, &options);
    terminal.until(&["1/3 pass", "1 in progress", "coder-1", "#1 Feature 1 | {\"works_on\":1"]);
    terminal.until(&["feature 2 passes", "? waiting for you: #3 (autoforge-store answer 3)"]);
    terminal.interrupt();
    let (screen, code) = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.contains("feature 2 passes"), "{screen}");
    assert!(screen.contains("stopped: 3 agents, 1 features passed"), "{screen}");
    assert_clean(&screen);
}

#[test]
fn a_watch_draws_a_run_that_was_started_elsewhere() {
    let project = project(&["hang", "pass", "pass"]);
    ask(&project, 3);
    let mut run = Run::start(&project, &["--coding", "1", "--batch", "2"]);
    run.until(works);
    let mut terminal = Terminal::start(&project, &["watch"]);
    terminal.until(&["0/3 pass", "2 in progress", "1 waiting for a human"]);
    terminal.until(&["coder-1", "#1 Feature 1, and 1 more | {\"works_on\":1"]);
    terminal.until(&["? waiting for you: #3 (autoforge-store answer 3)"]);
    run.signal(Signal::TERM);
    drop(run.end());
    terminal.until(&["released"]);
    while terminal.text().contains("coder-1  ") {
        terminal.screen.process(&terminal.drawn.recv_timeout(FOREVER).unwrap());
    }
    terminal.interrupt();
    let (screen, code) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("watch --since"), "{screen}");
    assert_clean(&screen);
}

#[test]
fn a_plain_watch_prints_events_alone() {
    let project = project(&["pass"]);
    let mut terminal = Terminal::start(&project, &["watch", "--plain", "--since", "0"]);
    terminal.until(&["created"]);
    terminal.interrupt();
    let (screen, _) = terminal.end();
    assert_clean(&screen);
}
