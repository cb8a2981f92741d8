//! What scheduling keeps in memory is what the rows say, whoever has written them and however.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoforge_store::testing::{Call, Foreign, Op, World, call, foreign, op};
use autoforge_store::{
    Command, Features, GetBlocked, GetGraph, GetReady, GetSnapshot, GetStats, OpenOptions, Read,
    Store,
};
use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;

use crate::cases;

#[derive(Debug, Clone)]
enum Step {
    Ours(Call, Op),
    /// In one transaction, which the history tells of.
    Theirs(Vec<Foreign>),
    /// By a program that has turned triggers off.
    Unseen(Foreign),
    /// A row gets another number, and another priority with it or not.
    Renumber {
        from: i64,
        to: i64,
        priority: Option<i64>,
    },
    /// One of the triggers is gone from now on, and more is done before anybody looks.
    DropTrigger(&'static str, Vec<Foreign>),
    /// No feature may fail more often, by the word of another program.
    Attempts(i64),
    /// A feature has failed so often, by the word of another program.
    Failures {
        feature: i64,
        failures: i64,
    },
    /// All leases are set back by an hour, or begin anew, by the word of another program.
    Leases {
        hours: i64,
    },
    /// A copy is made.
    Copy,
    /// It is put in the place of the file's contents, and more is done before anybody looks.
    PutBack(Vec<Foreign>),
}

fn any_step() -> impl Strategy<Value = Step> {
    let id = || 1..8_i64;
    prop_oneof![
        12 => (call(), op()).prop_map(|(call, op)| Step::Ours(call, op)),
        8 => vec(foreign(), 1..4).prop_map(Step::Theirs),
        3 => foreign().prop_map(Step::Unseen),
        1 => (id(), id(), any::<Option<i8>>()).prop_map(|(from, to, priority)| {
            Step::Renumber { from, to, priority: priority.map(i64::from) }
        }),
        1 => (prop::sample::select(vec![
            "autoforge_feature_created", "autoforge_feature_changed", "autoforge_feature_deleted",
        ]), vec(foreign(), 0..6)).prop_map(|(name, then)| Step::DropTrigger(name, then)),
        1 => (0..3_i64).prop_map(Step::Attempts),
        1 => (id(), 0..4_i64).prop_map(|(feature, failures)| Step::Failures { feature, failures }),
        1 => (0..2_i64).prop_map(|hours| Step::Leases { hours }),
        1 => Just(Step::Copy),
        1 => vec(foreign(), 0..6).prop_map(Step::PutBack),
    ]
}

struct Project {
    store: Store,
    file: PathBuf,
    foreign: Connection,
    copy: Option<Connection>,
}

impl Project {
    fn new(folder: &Path) -> Self {
        let store = Store::open_project(folder).unwrap();
        let file = store.path().to_owned();
        let foreign = Connection::open(&file).unwrap();
        Self { store, file, foreign, copy: None }
    }

    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::Ours(call, op) => drop(op.apply_as(&self.store, call, &World::default())),
            Step::Theirs(all) => {
                self.foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
                for one in all {
                    self.execute(one);
                }
                self.foreign.execute_batch("COMMIT").unwrap();
            }
            Step::Unseen(one) => {
                let triggers = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
                self.foreign.set_db_config(triggers, false).unwrap();
                self.execute(one);
                self.foreign.set_db_config(triggers, true).unwrap();
            }
            Step::Renumber { from, to, priority } => {
                let sql = "UPDATE OR IGNORE features
                     SET id = ?2, priority = coalesce(?3, priority) WHERE id = ?1";
                self.foreign.execute(sql, (from, to, priority)).unwrap();
            }
            Step::DropTrigger(name, then) => {
                self.foreign.execute_batch(&format!("DROP TRIGGER IF EXISTS {name}")).unwrap();
                for one in then {
                    self.execute(one);
                }
            }
            Step::Attempts(limit) => {
                let sql = "INSERT OR REPLACE INTO autoforge_store VALUES ('attempts', ?1)";
                self.foreign.execute(sql, [limit]).unwrap();
            }
            Step::Failures { feature, failures } => {
                let sql = "INSERT OR REPLACE INTO autoforge_budgets (feature_id, failures) VALUES (?1, ?2)";
                self.foreign.execute(sql, [feature, failures]).unwrap();
            }
            Step::Leases { hours } => {
                let sql = "UPDATE autoforge_claims SET clock_boot = NULL, clock_namespace = NULL,
                     renewed_uptime = NULL,
                     renewed_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?1 * 3600000000
                     WHERE outcome IS NULL AND lease IS NOT NULL";
                self.foreign.execute(sql, [hours]).unwrap();
            }
            Step::Copy => {
                let mut copy = Connection::open_in_memory().unwrap();
                transfer(&self.foreign, &mut copy);
                self.copy = Some(copy);
            }
            Step::PutBack(then) => {
                if let Some(copy) = &self.copy {
                    transfer(copy, &mut self.foreign);
                    for one in then {
                        self.execute(one);
                    }
                }
            }
        }
    }

    fn execute(&self, one: &Foreign) {
        let (sql, params) = one.statement();
        // What the file's rules forbid is not done; what is done is what counts.
        drop(self.foreign.execute(&sql, rusqlite::params_from_iter(params)));
    }

    fn is_as_the_rows_say<C>(&self, command: &C)
    where
        C: Command<Database = Features, Access = Read, Rejection = Infallible> + Clone,
        C::Output: PartialEq + std::fmt::Debug,
    {
        let kept = self.store.call(command.clone()).unwrap();
        let anew = Store::look(&self.file, &OpenOptions::default(), command).unwrap();
        assert_eq!(kept, anew);
    }
}

fn transfer(from: &Connection, to: &mut Connection) {
    let backup = Backup::new(from, to).unwrap();
    backup.run_to_completion(1000, Duration::ZERO, None).unwrap();
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn whoever_writes_the_index_is_what_the_rows_say(steps in vec(any_step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut project = Project::new(folder.path());
        for step in &steps {
            project.carry_out(step);
            project.is_as_the_rows_say(&GetReady { limit: 3 });
            project.is_as_the_rows_say(&GetReady { limit: usize::MAX });
            project.is_as_the_rows_say(&GetBlocked { limit: usize::MAX });
            project.is_as_the_rows_say(&GetStats);
            project.is_as_the_rows_say(&GetGraph);
            project.is_as_the_rows_say(&GetSnapshot);
        }
    }
}
