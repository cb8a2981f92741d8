//! What scheduling keeps in memory is what the rows say, whoever has written them and however.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use autoforge_store::testing::{Call, Foreign, Op, World, call, foreign, op};
use autoforge_store::{
    Caller, Circumstances, ClaimFeature, Command, CreateFeatures, DeleteFeature, Features,
    GetBlocked, GetGraph, GetReady, GetSnapshot, GetStats, Moment, NewFeature, OpenOptions,
    PlannedFeature, Policy, Read, RenewClaims, RetryFeature, SetPolicy, Store, Timestamp, Undo,
    UndoTarget,
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

    /// All that is answered from memory.
    fn compare(&self) {
        self.is_as_the_rows_say(&GetReady { limit: 3 });
        self.is_as_the_rows_say(&GetReady { limit: usize::MAX });
        self.is_as_the_rows_say(&GetBlocked { limit: usize::MAX });
        self.is_as_the_rows_say(&GetStats);
        self.is_as_the_rows_say(&GetGraph);
        self.is_as_the_rows_say(&GetSnapshot);
    }

    fn ready(&self) -> Vec<i64> {
        let ready = self.store.call(GetReady { limit: usize::MAX }).unwrap();
        ready.features.iter().map(|feature| feature.id.get()).collect()
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
            project.compare();
        }
    }
}

/// With three features that nothing keeps from being ready, and somebody has asked for them.
fn three_ready() -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::new(folder.path());
    project.store.call(CreateFeatures::new(plan_of(3))).unwrap();
    assert_eq!(project.ready(), [1, 2, 3]);
    (folder, project)
}

fn plan_of(features: usize) -> Vec<PlannedFeature> {
    let step = |n| {
        let feature = NewFeature::new("Auth", format!("Step {n}"), "As usual.", ["Try"]).unwrap();
        PlannedFeature { feature, depends_on: Vec::new() }
    };
    (0..features).map(step).collect()
}

#[test]
fn what_the_history_cannot_tell_any_more_is_not_believed_from_it() {
    let (_folder, project) = three_ready();
    let sql = "DROP TRIGGER autoforge_feature_changed;
         UPDATE features SET passes = 1 WHERE id = 1;
         DELETE FROM features WHERE id = 3;";
    project.foreign.execute_batch(sql).unwrap();
    assert_eq!(project.ready(), [2]);
    project.compare();
}

#[test]
fn a_row_that_got_another_number_is_noticed_though_the_history_tells_of_the_new_one_alone() {
    let (_folder, project) = three_ready();
    let sql = "UPDATE features SET id = 9, priority = 9 WHERE id = 1";
    project.foreign.execute(sql, []).unwrap();
    assert_eq!(project.ready(), [2, 3, 9]);
    project.compare();
}

#[test]
fn a_copy_put_in_the_place_of_the_file_is_told_by_the_time_of_its_last_event() {
    let (_folder, mut project) = three_ready();
    let claim = |id: i64| format!("UPDATE features SET in_progress = 1 WHERE id = {id};");
    let version = |project: &Project| {
        let sql = "PRAGMA schema_version";
        project.foreign.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    project.carry_out(&Step::Copy);
    project.store.call(ClaimFeature { id: 1.into() }).unwrap();
    assert_eq!(project.ready(), [2, 3]);
    let before = version(&project);
    project.carry_out(&Step::PutBack(Vec::new()));
    // As where the file was overwritten by other means than SQLite's.
    let sql = format!("PRAGMA schema_version = {before}; {} {}", claim(2), claim(3));
    project.foreign.execute_batch(&sql).unwrap();
    assert_eq!(version(&project), before);
    assert_eq!(project.ready(), [1]);
    project.compare();
}

#[test]
fn more_changes_than_are_read_one_by_one_are_all_noticed() {
    let (_folder, project) = three_ready();
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
         INSERT INTO autoforge_events (at, feature_id, kind, fields, overrode)
         SELECT n, 1, 'edited', 1, 0 FROM n";
    let sql = format!("{many}; UPDATE features SET in_progress = 1 WHERE id = 2;");
    project.foreign.execute_batch(&sql).unwrap();
    assert_eq!(project.ready(), [1, 3]);
    project.compare();
}

#[test]
fn the_limit_of_attempts_that_counts_is_the_one_of_now() {
    let (_folder, project) = three_ready();
    let sql = "INSERT INTO autoforge_budgets (feature_id, failures) VALUES (1, 2)";
    project.foreign.execute(sql, []).unwrap();
    assert_eq!(project.ready(), [1, 2, 3]);
    let limit = |attempts| SetPolicy(Policy { attempts, ..Policy::default() });
    project.store.call(limit(Some(2))).unwrap();
    assert_eq!(project.ready(), [2, 3]);
    project.store.call(limit(None)).unwrap();
    assert_eq!(project.ready(), [1, 2, 3]);
    let theirs = "UPDATE autoforge_store SET value = 1 WHERE fact = 'attempts'";
    project.foreign.execute(theirs, []).unwrap();
    assert_eq!(project.ready(), [2, 3]);
    project.compare();
}

#[test]
fn what_comes_back_is_ready_again() {
    let (_folder, project) = three_ready();
    project.store.call(DeleteFeature { id: 2.into(), force: false }).unwrap();
    assert_eq!(project.ready(), [1, 3]);
    project.store.call(Undo { target: UndoTarget::Last(2.into()) }).unwrap();
    assert_eq!(project.ready(), [1, 2, 3]);
    project.compare();
}

#[test]
fn a_feature_that_may_be_tried_again_is_ready_again() {
    let (_folder, project) = three_ready();
    let sql = "INSERT INTO autoforge_budgets (feature_id, failures) VALUES (1, 3)";
    project.foreign.execute(sql, []).unwrap();
    assert_eq!(project.ready(), [2, 3]);
    project.store.call(RetryFeature { id: 1.into() }).unwrap();
    assert_eq!(project.ready(), [1, 2, 3]);
    project.compare();
}

#[test]
fn a_lease_that_was_renewed_is_not_over_when_the_first_one_would_have_been() {
    let (_folder, project) = three_ready();
    let at = |seconds: i64| {
        let wall = Timestamp::from_microseconds(1_800_000_000_000_000 + seconds * 1_000_000);
        Circumstances::told(Moment { wall: wall.unwrap(), uptime: None }, [])
    };
    let ready = |seconds: i64| {
        let ready = GetReady { limit: 9 }.because("").in_circumstances(at(seconds));
        project.store.call(ready).unwrap().total
    };
    let me = Arc::new(Caller { agent: "me".into(), session: "now".into(), process: None });
    let claim = ClaimFeature { id: 1.into() }.by(&me).owning(Some(Duration::from_mins(1)));
    let token = project.store.call(claim.in_circumstances(at(0))).unwrap().token.unwrap();
    assert_eq!((ready(59), ready(61), ready(59)), (2, 3, 2));
    let renewal = RenewClaims { tokens: vec![token] }.because("").in_circumstances(at(50));
    assert_eq!(project.store.call(renewal).unwrap().held, [token]);
    assert_eq!((ready(61), ready(109), ready(111)), (2, 2, 3));
}
