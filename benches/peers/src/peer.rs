//! Who is compared, and how a process that plays one of them is started.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, fs};

use peer_part::{Cycle, Part, Run};

/// One of the compared.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: Program,
    pub(crate) backlog: Backlog,
    /// Whether several of its processes can share a file.
    pub(crate) across_processes: bool,
    /// With fewer clients it does what another one does.
    pub(crate) fewest_clients: usize,
}

/// Where a peer is implemented.
#[derive(Debug, Clone, Copy)]
enum Program {
    /// In this program.
    Here,
    /// In `async/`, which has a SQLite of its own.
    Async,
    /// In `python.py`.
    Python,
}

/// What a peer takes its features from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// A file as the store makes it.
    Store,
    /// The same without the store's history, and with an index for the peers' question.
    Plain,
    /// The peer's own queue.
    Own,
}

/// The store, whose name this is in the table.
pub(crate) const STORE: Peer = peer("autoforge-store", Program::Here, Backlog::Store);
/// Against which all are measured, with one client.
pub(crate) const RAW: Peer = peer("rusqlite", Program::Here, Backlog::Plain);

pub(crate) const PEERS: [Peer; 10] = [
    STORE,
    RAW,
    Peer { fewest_clients: 2, ..peer("rusqlite-pool", Program::Here, Backlog::Plain) },
    peer("tokio-rusqlite", Program::Async, Backlog::Plain),
    peer("sqlx-1", Program::Async, Backlog::Plain),
    Peer { fewest_clients: 2, ..peer("sqlx-8", Program::Async, Backlog::Plain) },
    peer("apalis-sqlite", Program::Async, Backlog::Own),
    peer("huey", Program::Python, Backlog::Own),
    // It looks for the next one and takes it in two steps, so two processes may get the same.
    Peer { across_processes: false, ..peer("persist-queue", Program::Python, Backlog::Own) },
    peer("litequeue", Program::Python, Backlog::Own),
];

const fn peer(name: &'static str, program: Program, backlog: Backlog) -> Peer {
    Peer { name, program, backlog, across_processes: true, fewest_clients: 1 }
}

impl Peer {
    /// Why it cannot take part, if it cannot.
    pub(crate) fn hindrance(&self) -> Option<&'static str> {
        let there = match self.program {
            Program::Here => true,
            Program::Async => async_program().is_file(),
            Program::Python => {
                let able = python().args(["can", self.name]).stderr(Stdio::null()).status();
                able.is_ok_and(|status| status.success())
            }
        };
        match self.program {
            _ if there => None,
            Program::Python => Some("Python cannot import it (PEERS_PYTHON says which Python)"),
            _ => Some("its program is not built (benches/peers/run does that)"),
        }
    }

    /// Has it fill a queue of its own.
    pub(crate) fn fill(&self, folder: &Path, count: usize) {
        let (peer, folder) = (self.name.to_owned(), folder.to_owned());
        let filled = self.command(&Part::Fill { peer, folder, count }).status().unwrap();
        assert!(filled.success());
    }

    /// What so many processes do at once, all on the same file.
    pub(crate) fn run(&self, processes: usize, run: &Run) -> Vec<Vec<Cycle>> {
        let run = Run { peer: self.name.to_owned(), ..run.clone() };
        let mut playing: Vec<_> = (0..processes).map(|_| self.start(&run)).collect();
        // All are open: they begin together.
        for (child, _) in &mut playing {
            drop(child.stdin.take());
        }
        // One that is not listened to would wait until it is.
        let listening: Vec<_> = playing
            .into_iter()
            .map(|(mut child, output)| {
                std::thread::spawn(move || {
                    let cycles = peer_part::read(output);
                    assert!(child.wait().unwrap().success());
                    cycles
                })
            })
            .collect();
        listening.into_iter().map(|cycles| cycles.join().unwrap()).collect()
    }

    fn start(&self, run: &Run) -> (Child, BufReader<ChildStdout>) {
        let mut child = self
            .command(&Part::Run(run.clone()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        (child, output)
    }

    fn command(&self, part: &Part) -> Command {
        let mut command = match self.program {
            Program::Here => Command::new(env::current_exe().unwrap()),
            Program::Async => Command::new(async_program()),
            Program::Python => python(),
        };
        command.args(part.arguments());
        command
    }
}

/// Built beside this one.
fn async_program() -> PathBuf {
    let name = format!("autoforge-store-async-peers{}", env::consts::EXE_SUFFIX);
    env::current_exe().unwrap().with_file_name(name)
}

fn python() -> Command {
    let python = env::var("PEERS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python.py"));
    command
}

/// A folder's files once more, on disk.
pub(crate) fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        fs::copy(file.path(), &to).unwrap();
        fs::File::open(to).unwrap().sync_all().unwrap();
    }
}
