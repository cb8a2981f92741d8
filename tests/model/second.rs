//! After each step, and across closing and reopening, a second process that has the file open all the
//! time reads what the model says.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use autoforge_store::Store;
use autoforge_store::testing::{Call, Model, Op, World, compare, ops};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::linear::{apply, say, without_pids};
use crate::search::shown;
use crate::{after, cases, event};

/// What tells the second process that it is one.
const PART: &str = "AUTOFORGE_STORE_TEST_SECOND";

/// All that can be read and does not depend on the process that reads.
pub(crate) fn readings() -> [Op; 10] {
    let limit = usize::MAX;
    [
        Op::ListFeatures,
        Op::GetStats,
        Op::GetReady { limit },
        Op::GetBlocked { limit },
        Op::GetGraph,
        Op::CheckFeatures,
        Op::GetClaims,
        Op::GetBudgets,
        Op::GetAttempts { feature: None, limit },
        Op::GetChanges { since: 0, limit },
    ]
}

/// What a store says to one of them.
pub(crate) fn read(store: &Store, op: &Op) -> String {
    without_pids(&format!("{:?}", op.apply_as(store, &Call::default(), &World::default())))
}

fn of_store(store: &Store) -> u64 {
    shown(&readings().map(|op| read(store, &op)))
}

fn of_model(model: &Model) -> u64 {
    shown(&readings().map(|op| apply(&mut model.clone(), &Call::default(), &op)))
}

/// In a child: opens each folder that it is told, and says what it reads there each time it is asked.
#[test]
fn a_second_process_says_what_it_reads() {
    if std::env::var(PART).is_err() {
        return;
    }
    let mut store: Option<Store> = None;
    for line in std::io::stdin().lines().map(Result::unwrap) {
        if !line.is_empty() {
            store = Some(Store::open_project(Path::new(&line)).unwrap());
        }
        say(&format!("\u{1}{}", of_store(store.as_ref().unwrap())));
    }
}

struct Second {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Second {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "second::a_second_process_says_what_it_reads", "--nocapture"])
            .env(PART, "")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, input, output }
    }

    /// What it reads now; in this folder from now on, unless it is empty.
    fn ask(&mut self, folder: &str) -> u64 {
        writeln!(self.input, "{folder}").unwrap();
        loop {
            let Some(line) = self.output.next() else { panic!("the second process has ended") };
            if let Some((_, said)) = line.unwrap().split_once('\u{1}') {
                return said.parse().unwrap();
            }
        }
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn after_each_step_a_second_process_reads_what_the_model_says(
        ops in ops(25),
        events in vec((0..25_usize, event()), 0..6),
    ) {
        let folder = tempfile::tempdir()?;
        let mut store = Store::open_project(folder.path())?;
        let (mut second, mut model) = (Second::start(), Model::default());
        prop_assert_eq!(second.ask(folder.path().to_str().unwrap()), of_model(&model));
        for (at, op) in ops.iter().enumerate() {
            prop_assert_eq!(op.apply_to(&store), model.apply(op), "{:?}", op);
            prop_assert_eq!(second.ask(""), of_model(&model), "after {:?}", op);
            for (_, event) in events.iter().filter(|(place, _)| *place == at) {
                store = after(store, folder.path(), *event)?;
                compare(&model, &store).map_err(TestCaseError::fail)?;
                prop_assert_eq!(second.ask(""), of_model(&model), "after {:?}", event);
            }
        }
    }
}
