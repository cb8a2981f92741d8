//! The store against the reference model of `autoforge_store::testing`: any sequence of commands
//! has the outcomes that the model says, leaves the table that the model says, and does so across
//! reopening; commands of several threads have the outcomes of some order of them.
//!
//! `PROPTEST_CASES` sets the number of cases.
#![expect(clippy::indexing_slicing, reason = "a test that indexes in vain fails with the place")]

mod conversations;
mod explain;
mod file;
mod index;
mod kills;
mod linear;
mod old_clients;
mod owners;
mod raw;
mod registry;
mod replay;
mod scene;
mod schedules;
mod search;
mod second;

use std::path::Path;
use std::thread;
use std::time::Instant;

use autoforge_store::testing::{Model, Op, Outcome, Texts, compare, op, ops, realistic_backlog};
use autoforge_store::{
    ClaimNext, ClaimedNext, CreateFeatures, Feature, FeatureId, GetStats, MarkPassing, Store,
    dispose,
};
use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::types::Value as Sql;
use serde_json::Value;

use search::is_explained;

/// What happens to the store between two commands.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Closed for all handles, and opened again.
    Close,
    /// Its last handle is dropped, and it is opened again.
    Drop,
    /// Ended by its path, as before a file is moved, and opened again.
    Dispose,
    /// Another handle takes over.
    Clone,
    /// The log is copied back while the store is open.
    Checkpoint,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Checkpoint),
        Just(Event::Clone),
        Just(Event::Close),
        Just(Event::Drop),
        Just(Event::Dispose),
    ]
}

fn after(store: Store, folder: &Path, event: Event) -> Result<Store, TestCaseError> {
    match event {
        Event::Clone => return Ok(store.clone()),
        Event::Checkpoint => {
            store.checkpoint()?;
            return Ok(store);
        }
        Event::Close => prop_assert!(store.close().fault.is_none()),
        Event::Drop => {}
        Event::Dispose => prop_assert!(dispose(store.path())?.is_some()),
    }
    drop(store);
    let store = Store::open_project(folder)?;
    let opening = store.opening();
    prop_assert!(!opening.created && !opening.migrated, "{opening:?}");
    Ok(store)
}

/// The table as any SQLite program sees it.
fn check_raw(path: &Path, model: &Model) -> Result<(), TestCaseError> {
    let foreign = rusqlite::Connection::open(path)?;
    let sound: String = foreign.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    prop_assert_eq!(sound, "ok");
    let mut features = model.features();
    features.sort_by_key(|feature| feature.id);
    let mut statement = foreign.prepare(
        "SELECT id, priority, category, name, description, steps, passes, in_progress,
                needs_human_input, dependencies, human_input_request, human_input_response
         FROM features ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    for feature in &features {
        let row = rows.next()?.ok_or_else(|| TestCaseError::fail("a row is missing"))?;
        let column = |at| row.get::<_, Sql>(at);
        for (at, expected) in plain_columns(feature) {
            prop_assert_eq!(column(at)?, expected, "column {}", at);
        }
        prop_assert_eq!(json(column(5)?)?, Some(feature.steps.to_json()));
        let ids: Vec<i64> = feature.dependencies.iter().map(|id| id.get()).collect();
        let ids = Sql::Text(format!("{ids:?}"));
        let ids = if feature.dependencies.is_empty() { Sql::Null } else { ids };
        prop_assert_eq!(column(9)?, ids);
        prop_assert_eq!(json(column(10)?)?, feature.human_input_request.clone());
        prop_assert_eq!(json(column(11)?)?, feature.human_input_response.clone());
    }
    prop_assert!(rows.next()?.is_none());
    let floor: i64 = foreign.query_row(
        "SELECT value FROM autoforge_store WHERE fact = 'feature_id_floor'",
        [],
        |row| row.get(0),
    )?;
    let highest = features.last().map_or(0, |feature| feature.id.get());
    let next = floor.max(highest).checked_add(1).map(FeatureId::from);
    prop_assert_eq!(next, model.next_id());
    Ok(())
}

/// The columns that hold no JSON, by their place.
fn plain_columns(feature: &Feature) -> [(usize, Sql); 8] {
    let flag = |flag| Sql::Integer(i64::from(flag));
    [
        (0, Sql::Integer(feature.id.get())),
        (1, Sql::Integer(feature.priority)),
        (2, Sql::Text(feature.category.clone())),
        (3, Sql::Text(feature.name.clone())),
        (4, Sql::Text(feature.description.clone())),
        (6, flag(feature.passes)),
        (7, flag(feature.in_progress)),
        (8, flag(feature.needs_human_input)),
    ]
}

/// The value of a JSON column, which must be plain ASCII. SQLite turns a text that is a number into
/// one, since it knows no type `JSON`.
fn json(column: Sql) -> Result<Option<Value>, TestCaseError> {
    match column {
        Sql::Null => Ok(None),
        Sql::Text(text) => {
            prop_assert!(text.is_ascii(), "{text}");
            Ok(Some(serde_json::from_str(&text)?))
        }
        Sql::Integer(number) => Ok(Some(number.into())),
        Sql::Real(number) => Ok(Some(number.into())),
        other @ Sql::Blob(_) => Err(TestCaseError::fail(format!("{other:?} is no text"))),
    }
}

/// A command that one thread gave, with its outcome.
#[derive(Debug)]
struct Call {
    op: Op,
    outcome: Outcome,
    began: Instant,
    ended: Instant,
}

fn call_all(store: &Store, ops: Vec<Op>) -> Vec<Call> {
    let call = |op: Op| {
        let began = Instant::now();
        let outcome = op.apply_to(store);
        Call { op, outcome, began, ended: Instant::now() }
    };
    ops.into_iter().map(call).collect()
}

impl search::Recorded for Call {
    type State = Model;
    type Time = Instant;

    fn began(&self) -> &Instant {
        &self.began
    }

    fn ended(&self) -> &Instant {
        &self.ended
    }

    fn is_told_by(&self, model: &mut Model) -> bool {
        model.apply(&self.op) == self.outcome
    }

    fn digest(model: &Model) -> u64 {
        search::shown(model)
    }
}

fn cases(usual: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = wanted.unwrap_or(usual);
    ProptestConfig {
        cases,
        max_shrink_iters: 5000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn any_sequence_of_commands_does_what_the_model_says(
        ops in ops(40),
        events in vec((0..40_usize, event()), 0..8),
    ) {
        let folder = tempfile::tempdir()?;
        let mut store = Store::open_project(folder.path())?;
        let mut model = Model::default();
        for (at, op) in ops.iter().enumerate() {
            prop_assert_eq!(op.apply_to(&store), model.apply(op), "{:?}", op);
            compare(&model, &store).map_err(TestCaseError::fail)?;
            for (_, event) in events.iter().filter(|(place, _)| *place == at) {
                store = after(store, folder.path(), *event)?;
            }
        }
        compare(&model, &store).map_err(TestCaseError::fail)?;
        check_raw(store.path(), &model)?;
    }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn commands_of_several_threads_take_effect_in_some_order(
        first in ops(4),
        parallel in vec(vec(op().prop_filter("calls twice", Op::is_one_call), 1..6), 3),
    ) {
        let folder = tempfile::tempdir()?;
        let store = Store::open_project(folder.path())?;
        let mut model = Model::default();
        for op in first.iter() {
            prop_assert_eq!(op.apply_to(&store), model.apply(op), "{:?}", op);
        }
        let histories: Vec<Vec<Call>> = thread::scope(|scope| {
            let call = |ops| {
                let store = store.clone();
                scope.spawn(move || call_all(&store, ops))
            };
            let threads: Vec<_> = parallel.into_iter().map(call).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let slices: Vec<&[Call]> = histories.iter().map(Vec::as_slice).collect();
        let end = |model: &Model| compare(model, &store).is_ok();
        prop_assert!(is_explained(&model, &slices, &end).found, "{:#?}", histories);
    }
}

#[test]
fn a_history_that_no_order_explains_is_seen() {
    let mut model = Model::default();
    let create = Op::CreateFeature { texts: texts(), priority: None, dependencies: vec![] };
    model.apply(&create);
    let claim = Op::ClaimFeature(1);
    let mut claimed = model.clone();
    let (won, late) = (claimed.apply(&claim), claimed.apply(&claim));
    let now = Instant::now();
    let later = now + std::time::Duration::from_secs(1);
    let call = |outcome: &Outcome, began| Call {
        op: claim.clone(),
        outcome: outcome.clone(),
        began,
        ended: began,
    };
    let explained = |a, b| is_explained(&model, &[&[a], &[b]], &|_| true).found;
    assert!(explained(call(&late, now), call(&won, now)));
    assert!(!explained(call(&won, now), call(&won, now)), "both won");
    assert!(!explained(call(&late, now), call(&won, later)), "lost before anybody had won");
}

#[test]
fn each_feature_of_a_backlog_is_claimed_by_one_of_many_workers() {
    const FEATURES: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    let created = store.call(CreateFeatures::new(realistic_backlog(FEATURES, 7))).unwrap();
    let work = |store: Store| {
        let mut done = Vec::new();
        loop {
            match store.call(ClaimNext).unwrap() {
                ClaimedNext::Feature(next) => {
                    let feature = next.feature;
                    store.call(MarkPassing { id: feature.id }).unwrap();
                    done.push(feature.id);
                }
                ClaimedNext::NothingReady { .. } => thread::yield_now(),
                ClaimedNext::AllPassing => return done,
            }
        }
    };
    let mut done: Vec<FeatureId> = thread::scope(|scope| {
        let stores = std::iter::repeat_with(|| store.clone()).take(8);
        let workers: Vec<_> = stores.map(|store| scope.spawn(move || work(store))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_unstable();
    assert_eq!(done, created.ids);
    let stats = store.call(GetStats).unwrap();
    assert_eq!((stats.passing, stats.total, stats.in_progress), (200, 200, 0));
}

/// Runs the commands on both, on a new project.
fn check(ops: &[Op]) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let store = Store::open_project(folder.path()).map_err(|error| error.to_string())?;
    let mut model = Model::default();
    for op in ops {
        let (found, expected) = (op.apply_to(&store), model.apply(op));
        if found != expected {
            return Err(format!("{op:?}: {found:?}, not {expected:?}"));
        }
    }
    compare(&model, &store)
}

fn texts() -> Texts {
    let [category, name, description] = ["c", "n", "d"].map(str::to_owned);
    Texts { category, name, description, steps: vec!["s".to_owned()] }
}

#[test]
fn the_highest_priority_and_the_highest_id_can_be_given_out() {
    let bulk = |count| Op::CreateFeatures {
        features: vec![(texts(), Vec::new()); count],
        starting_priority: Some(i64::MAX - 1),
    };
    assert_eq!(check(&[bulk(3), bulk(2), Op::ListFeatures]), Ok(()));

    let json = format!(r#"[{{"id": {}, "priority": 1}}]"#, i64::MAX - 1);
    let entries = Feature::parse_backlog(json.as_bytes()).unwrap();
    let last = Op::CreateFeatures { features: vec![(texts(), vec![])], starting_priority: None };
    assert_eq!(check(&[Op::ImportBacklog { entries }, last.clone(), last]), Ok(()));
}

#[test]
fn a_backlog_made_by_hand_is_refused_for_its_ids_as_a_whole() {
    let entries = Feature::parse_backlog(br#"[{"id": 1}, {"id": 2}, {"id": 3}]"#).unwrap();
    for wrong in [0, -1, 1, 2] {
        let mut entries = entries.clone();
        entries[2].id = wrong.into();
        assert_eq!(check(&[Op::ImportBacklog { entries }]), Ok(()), "{wrong}");
    }
}
