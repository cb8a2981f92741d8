//! The part that a process plays in the comparison of peers, and how it is told and tells of it.
//!
//! Each run has processes of its own. One is told by its arguments, says that it is ready, begins when its
//! input is closed, and prints a line for each cycle: when it ended, from the beginning, and how long it took,
//! in microseconds. `python.py` does the same in Python.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a benchmark prints, or says where it fails"
)]

use std::io::{BufRead, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The file with the features, in the folder of a run.
pub const FEATURES: &str = "features.db";

/// Claims what is next. Its index is the peers' own: AutoForge's lead to all the features that are left,
/// which would then be sorted for each claim.
pub const CLAIM_NEXT: &str = "UPDATE features SET in_progress = 1 WHERE id = (
        SELECT id FROM features INDEXED BY next_feature
        WHERE passes = 0 AND in_progress = 0 ORDER BY priority, id LIMIT 1
    ) RETURNING id, name, description, steps";

/// See [`CLAIM_NEXT`].
pub const INDEX_OF_NEXT: &str = "CREATE INDEX next_feature ON features (priority, id)
    WHERE passes = 0 AND in_progress = 0";

/// Marks a feature passing.
pub const MARK_PASSING: &str = "UPDATE features SET passes = 1, in_progress = 0 WHERE id = ?1";

/// How long whoever finds a file locked waits, longer than any run.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a process is to do.
#[derive(Debug)]
pub enum Part {
    /// Make a backlog where the peer has one of its own.
    Fill {
        /// Who.
        peer: String,
        /// Where.
        folder: PathBuf,
        /// How many features.
        count: usize,
    },
    /// Cycles, until the time is up or nothing is left.
    Run(Run),
}

/// One run of one process.
#[derive(Debug, Clone)]
pub struct Run {
    /// Who.
    pub peer: String,
    /// Where.
    pub folder: PathBuf,
    /// How many clients, all of this process.
    pub clients: usize,
    /// How long new cycles are begun.
    pub time: Duration,
}

impl Part {
    /// What the arguments say, where they tell a part.
    #[must_use]
    pub fn told() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let owned = |peer: &str, folder: &str| (peer.to_owned(), PathBuf::from(folder));
        match arguments.as_slice() {
            ["fill", peer, folder, count] => {
                let (peer, folder) = owned(peer, folder);
                Some(Self::Fill { peer, folder, count: count.parse().unwrap() })
            }
            ["run", peer, folder, clients, milliseconds] => {
                let (peer, folder) = owned(peer, folder);
                let time = Duration::from_millis(milliseconds.parse().unwrap());
                Some(Self::Run(Run { peer, folder, clients: clients.parse().unwrap(), time }))
            }
            _ => None,
        }
    }

    /// The arguments that tell it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let path = |folder: &Path| folder.to_str().unwrap().to_owned();
        match self {
            Self::Fill { peer, folder, count } => {
                vec!["fill".to_owned(), peer.clone(), path(folder), count.to_string()]
            }
            Self::Run(Run { peer, folder, clients, time }) => vec![
                "run".to_owned(),
                peer.clone(),
                path(folder),
                clients.to_string(),
                time.as_millis().to_string(),
            ],
        }
    }
}

impl Run {
    /// The file with the features.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join(FEATURES)
    }

    /// Lets each client run in a thread of its own, and prints what they did.
    pub fn by_threads<C: Client>(&self, clients: Vec<C>) {
        let began = begin_together();
        let cycles: Vec<Cycle> = thread::scope(|scope| {
            let clients: Vec<_> = clients
                .into_iter()
                .map(|client| scope.spawn(move || self.repeat(client, began)))
                .collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        print(&cycles);
    }

    fn repeat(&self, mut client: impl Client, began: Instant) -> Vec<Cycle> {
        let mut cycles = Vec::new();
        loop {
            let cycle = Instant::now();
            if cycle - began >= self.time || !client.cycle() {
                return cycles;
            }
            cycles.push(Cycle::ending_now(began, cycle));
        }
    }
}

/// One that claims features and finishes them, one after another.
pub trait Client: Send {
    /// Claims the next feature and marks it passing, both durable when this returns; `false` when there is
    /// none left.
    fn cycle(&mut self) -> bool;
}

/// Says that all is open, and waits for the others.
#[must_use]
pub fn begin_together() -> Instant {
    println!("ready");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    Instant::now()
}

/// A feature claimed and finished.
#[derive(Debug, Clone, Copy)]
pub struct Cycle {
    /// When it ended, since all began.
    pub ended: Duration,
    /// How long it took.
    pub took: Duration,
}

impl Cycle {
    /// One that began at `since`.
    #[must_use]
    pub fn ending_now(began: Instant, since: Instant) -> Self {
        Self { ended: began.elapsed(), took: since.elapsed() }
    }
}

/// Tells it to the process that compares.
pub fn print(cycles: &[Cycle]) {
    let mut output = BufWriter::new(std::io::stdout().lock());
    for cycle in cycles {
        writeln!(output, "{} {}", cycle.ended.as_micros(), cycle.took.as_micros()).unwrap();
    }
    output.flush().unwrap();
}

/// What a process has printed after it was ready.
#[must_use]
pub fn read(output: impl BufRead) -> Vec<Cycle> {
    let cycle = |line: String| {
        let (ended, took) = line.split_once(' ').unwrap();
        let micros = |figure: &str| Duration::from_micros(figure.parse().unwrap());
        Cycle { ended: micros(ended), took: micros(took) }
    };
    output.lines().map(Result::unwrap).map(cycle).collect()
}
