//! How do other ways to work on one SQLite file from many clients do on the same work, and how does this
//! crate do beside them?
//!
//! A cycle claims the feature that comes first and marks it passing, each durable when it is answered (WAL,
//! `synchronous = FULL`). Peers that take SQL do it in two IMMEDIATE transactions on AutoForge's table with its
//! indexes and one more, that leads to the next feature; they keep no history, no owners and no dependencies.
//! Queues take the next task and finish it, as they do, on their own tables.
//!
//! First all clients are of one process, then of one process each. Each peer runs in processes of its own, on a
//! file of its own, and the peers take turns in each round. A table has the median of the rounds, and the longest
//! cycle of all; ratios are against rusqlite with one client, measured in the same rounds.
//!
//! `benches/peers/run` builds it and runs it, with `--quick` for a first look, `--only NAME,NAME` for some of the
//! peers and rusqlite, `--markdown` for tables as BENCHMARKS.md has them.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, or says where it fails"
)]

mod peer;
mod rusqlite;
mod store;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ::rusqlite::Connection;
use autoforge_store::{CreateFeatures, NewFeature, PlannedFeature, Store};
use peer::{Backlog, PEERS, Peer, RAW, STORE};
use peer_part::{FEATURES, INDEX_OF_NEXT, Part, Run};
use table::{Runs, Shown, Table};
use tempfile::TempDir;

const CLIENTS: [usize; 3] = [1, 8, 64];
const PROCESSES: [usize; 4] = [1, 2, 4, 8];

/// How it is measured.
struct Setting {
    rounds: usize,
    time: Duration,
    /// Features that wait for nothing.
    features: usize,
    markdown: bool,
    peers: Vec<&'static Peer>,
}

fn main() {
    match Part::told() {
        Some(Part::Run(part)) => return play(&part),
        Some(Part::Fill { .. }) => unreachable!("no peer of this program has a queue of its own"),
        None => {}
    }
    let arguments: Vec<String> = std::env::args().collect();
    let told = |name: &str| arguments.iter().position(|argument| argument == name);
    let only = told("--only").map(|at| arguments.get(at + 1).unwrap().as_str());
    let setting = Setting {
        rounds: if told("--quick").is_some() { 1 } else { 3 },
        time: Duration::from_millis(if told("--quick").is_some() { 500 } else { 2_000 }),
        features: if told("--quick").is_some() { 8_000 } else { 30_000 },
        markdown: told("--markdown").is_some(),
        peers: taking_part(only),
    };
    let templates: BTreeMap<&str, TempDir> =
        setting.peers.iter().map(|peer| (peer.name, template(peer, setting.features))).collect();
    println!(
        "One process: cycles/s · against rusqlite with one client · median / 99 % / longest, ms\n"
    );
    println!("{}", one_process(&setting, &templates).text(setting.markdown));
    println!("Several processes of one client: cycles/s · least/most served · longest, ms\n");
    println!("{}", several_processes(&setting, &templates).text(setting.markdown));
}

/// In a process of its own.
fn play(part: &Run) {
    match part.peer.as_str() {
        name if name == STORE.name => store::run(part),
        name if name == RAW.name => rusqlite::one_connection(part),
        _ => rusqlite::a_connection_each(part),
    }
}

fn taking_part(only: Option<&str>) -> Vec<&'static Peer> {
    let asked_for = |peer: &&Peer| match only {
        Some(names) => peer.name == RAW.name || names.split(',').any(|name| name == peer.name),
        None => true,
    };
    let able = |peer: &&Peer| {
        let hindrance = peer.hindrance();
        if let Some(hindrance) = hindrance {
            println!("{}: SKIPPED, {hindrance}\n", peer.name);
        }
        hindrance.is_none()
    };
    PEERS.iter().filter(asked_for).filter(able).collect()
}

/// A folder as each run of a peer finds it.
fn template(peer: &Peer, features: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    match peer.backlog {
        Backlog::Own => peer.fill(folder.path(), features),
        Backlog::Store => fill(&folder.path().join(FEATURES), features),
        Backlog::Plain => {
            let file = folder.path().join(FEATURES);
            fill(&file, features);
            make_plain(&file);
        }
    }
    folder
}

fn fill(file: &Path, features: usize) {
    let store = Store::open_file(file, &autoforge_store::OpenOptions::default()).unwrap();
    let description = "What a member of the team sees on the page of a single entry, what happens when \
        the entry is changed by somebody else meanwhile, and what the page says when that fails.";
    let steps =
        ["Open the page of an entry", "Change the entry elsewhere", "Look at the page", "Save it"];
    let planned = |at| {
        let name = format!("Entries: show what has changed, part {at}");
        PlannedFeature::from(NewFeature::new("Entries", name, description, steps).unwrap())
    };
    store.call(CreateFeatures::new((0..features).map(planned).collect())).unwrap();
    store.close();
}

/// Takes the history away, and adds the index that the peers' question wants.
fn make_plain(file: &Path) {
    let connection = Connection::open(file).unwrap();
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let mut triggers = connection.prepare(triggers).unwrap();
    let triggers: Vec<String> =
        triggers.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    for trigger in triggers {
        connection.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    connection.execute_batch(INDEX_OF_NEXT).unwrap();
}

fn one_process(setting: &Setting, templates: &BTreeMap<&str, TempDir>) -> Table {
    let head = CLIENTS.iter().map(|clients| counted(*clients, "client", "clients"));
    let mut table = Table::new(std::iter::once(String::new()).chain(head).collect());
    let mut cells: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for clients in CLIENTS {
        let mut raw = Runs::default();
        let mut runs: BTreeMap<&str, Runs> = BTreeMap::new();
        for _ in 0..setting.rounds {
            if clients > 1 {
                raw.0.push(setting.run(&RAW, templates, 1, 1));
            }
            for peer in setting.peers.iter().filter(|peer| clients >= peer.fewest_clients) {
                let run = setting.run(peer, templates, 1, clients);
                if clients == 1 && peer.name == RAW.name {
                    raw.0.push(run.clone());
                }
                runs.entry(peer.name).or_default().0.push(run);
            }
        }
        for peer in &setting.peers {
            let cell = runs.get(peer.name).map(|runs| runs.of_one_process(&raw));
            cells.entry(peer.name).or_default().push(cell.unwrap_or_default());
        }
    }
    push_rows(&mut table, setting, cells);
    table
}

fn several_processes(setting: &Setting, templates: &BTreeMap<&str, TempDir>) -> Table {
    let head = PROCESSES.iter().map(|processes| counted(*processes, "process", "processes"));
    let mut table = Table::new(std::iter::once(String::new()).chain(head).collect());
    let mut cells: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let peers =
        setting.peers.iter().filter(|peer| peer.across_processes && peer.fewest_clients == 1);
    for processes in PROCESSES {
        let mut runs: BTreeMap<&str, Runs> = BTreeMap::new();
        for _ in 0..setting.rounds {
            for peer in peers.clone() {
                let run = setting.run(peer, templates, processes, 1);
                runs.entry(peer.name).or_default().0.push(run);
            }
        }
        for (peer, runs) in runs {
            cells.entry(peer).or_default().push(runs.of_several_processes());
        }
    }
    push_rows(&mut table, setting, cells);
    table
}

fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// In the order in which the peers are listed.
fn push_rows(table: &mut Table, setting: &Setting, mut cells: BTreeMap<&str, Vec<String>>) {
    for peer in &setting.peers {
        if let Some(cells) = cells.remove(peer.name) {
            table.push(std::iter::once(peer.name.to_owned()).chain(cells).collect());
        }
    }
}

impl Setting {
    fn run(
        &self,
        peer: &Peer,
        templates: &BTreeMap<&str, TempDir>,
        processes: usize,
        clients: usize,
    ) -> Shown {
        let folder = tempfile::tempdir().unwrap();
        peer::copy(templates.get(peer.name).unwrap().path(), folder.path());
        let folder_of_run = folder.path().to_owned();
        let run = Run { peer: String::new(), folder: folder_of_run, clients, time: self.time };
        Shown::by(&peer.run(processes, &run), self.time)
    }
}
