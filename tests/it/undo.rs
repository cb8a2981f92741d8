//! Taking changes back: exactly, in either direction, and only where nothing stands on them.
//!
//! Whatever is taken back here goes through [`undo`] and [`refusal`], which look at the preview, at
//! the whole file and at the history as well.

mod deletions;
mod random;
mod sessions;
mod values;

use std::sync::Arc;
use std::time::Duration;

use autoforge_store::{
    AddDependency, AnswerHumanInput, AttemptOutcome, Caller, ClaimFeature, ClearInProgress,
    Command, CreateFeature, DependencyProblem, Effect, Error, Event, EventId, EventKind,
    FeatureChanges, FeatureId, Field, GetAttempts, GetLog, HumanInputAnswer, HumanInputRequest,
    MarkFailing, MarkInProgress, MarkPassing, Policy, PreviewUndo, PriorityProblem, Refusal,
    RemoveDependency, RequestHumanInput, RetryFeature, SetDependencies, SetPolicy, Signed,
    SkipFeature, Store, Stored, Timestamp, Undo, UndoRefusal, UndoTarget, Undone, UpdateFeature,
};
use serde_json::{Map, json};

use crate::support::{Project, create, feature, ids, new_feature, number, texts};

/// Every row of every table that a command may write to, with the types of the values.
fn dump(project: &Project) -> Vec<String> {
    let connection = project.foreign();
    let mut rows = Vec::new();
    for table in ["features", "autoforge_events", "autoforge_claims", "autoforge_budgets"] {
        rows.extend(rows_of(&connection, table, &[]));
    }
    rows.extend(texts(&connection, "SELECT fact || value FROM autoforge_store"));
    rows
}

/// Every feature but for its claim, with the types of the values.
fn content(project: &Project) -> Vec<String> {
    rows_of(&project.foreign(), "features", &["in_progress"])
}

fn rows_of(connection: &rusqlite::Connection, table: &str, but_for: &[&str]) -> Vec<String> {
    let mut columns =
        texts(connection, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"));
    columns.retain(|column| !but_for.contains(&column.as_str()));
    let key = columns.first().unwrap().clone();
    let columns: Vec<_> =
        columns.iter().map(|c| format!("typeof({c}) || ' ' || hex({c})")).collect();
    let row = columns.join(" || ', ' || ");
    texts(connection, &format!("SELECT '{table} ' || {row} FROM {table} ORDER BY {key}"))
}

/// The latest event.
fn newest(store: &Store) -> Event {
    log(store, 1).remove(0)
}

/// The latest events, newest first.
fn log(store: &Store, limit: usize) -> Vec<Event> {
    store.call(GetLog { limit, ..GetLog::default() }).unwrap()
}

fn last(id: i64) -> UndoTarget {
    UndoTarget::Last(id.into())
}

fn one(event: &Event) -> UndoTarget {
    UndoTarget::Event(event.id)
}

fn session(session: &str) -> UndoTarget {
    UndoTarget::Session { session: session.to_owned(), agent: None }
}

/// Takes something back, which must do what its preview says, and what the history then says.
fn undo(project: &Project, store: &Store, target: &UndoTarget) -> Undone {
    try_undo(project, store, target).unwrap()
}

fn refusal(project: &Project, store: &Store, target: &UndoTarget) -> UndoRefusal {
    try_undo(project, store, target).unwrap_err()
}

fn try_undo(project: &Project, store: &Store, target: &UndoTarget) -> Result<Undone, UndoRefusal> {
    let before = dump(project);
    let shown = verdict(store.call(PreviewUndo { target: target.clone() }));
    assert_eq!(dump(project), before, "a preview changes nothing");
    let done = verdict(store.call(Undo { target: target.clone() }));
    assert_eq!(shown, done, "a preview says what is then done");
    let Ok(undone) = &done else {
        assert_eq!(dump(project), before, "a refusal changes nothing");
        return done;
    };
    // Claims that were over are ended on the way.
    let mut events = log(store, undone.steps.len() * 2);
    events.retain(|event| !matches!(event.kind, EventKind::Expired | EventKind::Died));
    events.truncate(undone.steps.len());
    events.reverse();
    assert!(!undone.steps.is_empty());
    for (step, event) in undone.steps.iter().zip(&events) {
        assert_eq!(event.undoes, Some(step.event));
        assert_eq!((event.feature, event.kind.effect()), (step.feature, step.effect));
        assert_eq!(event.changes, step.changes);
    }
    done
}

fn verdict(answer: Result<Undone, Error<UndoRefusal>>) -> Result<Undone, UndoRefusal> {
    answer.map_err(|error| match error {
        Error::Refused(refusal) => refusal,
        Error::Storage(fault) => panic!("{fault}"),
    })
}

fn edit(id: i64, description: &str) -> UpdateFeature {
    let description = Some(description.to_owned());
    let changes = FeatureChanges { description, ..FeatureChanges::default() };
    UpdateFeature { id: id.into(), changes, expected: None }
}

fn prioritize(id: i64, priority: i64) -> UpdateFeature {
    let changes = FeatureChanges { priority: Some(priority), ..FeatureChanges::default() };
    UpdateFeature { id: id.into(), changes, expected: None }
}

fn ask(store: &Store, id: i64) {
    store.call(ClaimFeature { id: id.into() }).unwrap();
    let request = HumanInputRequest::new("Which?", vec![json!({"id": "a", "label": "A"})]);
    store.call(RequestHumanInput { id: id.into(), request: request.unwrap() }).unwrap();
}

fn answer(store: &Store, id: i64) {
    let fields = Map::from_iter([("a".to_owned(), json!("this one"))]);
    let answer = HumanInputAnswer::new(fields).unwrap();
    let responded_at = Timestamp::from_microseconds(1).unwrap();
    store.call(AnswerHumanInput { id: id.into(), answer, responded_at, request: None }).unwrap();
}

fn agent(name: &str, session: &str) -> Arc<Caller> {
    Arc::new(Caller::new(name, session))
}

fn owned(id: i64, name: &str) -> Signed<ClaimFeature> {
    ClaimFeature { id: id.into() }.by(&agent(name, "monday")).owning(Some(Duration::from_hours(1)))
}

/// A claim whose lease is over as soon as it has begun.
fn lapsed(id: i64, name: &str) -> Signed<ClaimFeature> {
    ClaimFeature { id: id.into() }.by(&agent(name, "monday")).owning(Some(Duration::ZERO))
}

#[test]
fn undoing_again_and_again_walks_back_to_the_creation_and_past_it() {
    let project = Project::new();
    let store = project.open();
    store.call(create("Other")).unwrap();
    let id = FeatureId::from(2);
    let mut past = vec![content(&project)];
    let mut note = || past.push(content(&project));
    store.call(create("Feature")).unwrap();
    note();
    store.call(edit(2, "Something else.")).unwrap();
    note();
    store.call(AddDependency { id, dependency: 1.into() }).unwrap();
    note();
    store.call(ClaimFeature { id }).unwrap();
    store.call(SkipFeature { id }).unwrap();
    note();
    ask(&store, 2);
    note();
    answer(&store, 2);
    note();
    store.call(ClaimFeature { id }).unwrap();
    store.call(MarkPassing { id }).unwrap();
    note();
    store.call(MarkFailing { id }).unwrap();
    note();
    store.call(ClaimFeature { id }).unwrap();
    store.call(ClearInProgress { id }).unwrap();

    assert_eq!(past.pop().unwrap(), content(&project));
    let mut kinds = Vec::new();
    while let Some(before) = past.pop() {
        let undone = undo(&project, &store, &last(2));
        kinds.extend(undone.steps.iter().map(|step| step.kind.as_str()));
        assert_eq!(content(&project), before);
        assert_eq!(number(&project.foreign(), "SELECT sum(in_progress) FROM features"), 0);
    }
    let all = ["failed", "passed", "answered", "asked", "skipped", "depends", "edited", "created"];
    assert_eq!(kinds, all);

    let nothing = refusal(&project, &store, &last(2));
    assert_eq!(nothing, UndoRefusal::NothingToUndo { target: last(2) });
    assert_eq!(nothing.to_string(), "there is nothing to take back of feature 2");
    assert_eq!(store.call(create("Next")).unwrap().id.get(), 3, "an id is not given out again");
}

#[test]
fn what_took_a_change_back_can_itself_be_taken_back() {
    let (project, store) = Project::with_features(1);
    store.call(edit(1, "First.")).unwrap();
    let first = newest(&store);
    store.call(edit(1, "Second.")).unwrap();
    let second = newest(&store);
    let undone = |target: &Event| {
        undo(&project, &store, &one(target));
        newest(&store)
    };
    let description = || feature(&store, 1).description;

    let undo_second = undone(&second);
    let undo_first = undone(&first);
    assert_eq!(description(), "What it does.");
    let by = undo_second.id;
    let again = refusal(&project, &store, &one(&second));
    assert_eq!(again, UndoRefusal::AlreadyUndone { event: second.id, by });
    let (event, id, by) = (undo_second.id, 1.into(), undo_first.id);
    assert_eq!(
        refusal(&project, &store, &one(&undo_second)),
        UndoRefusal::ChangedSince { event, id, by },
        "what was taken back last has to come back first"
    );

    let redo_first = undone(&undo_first);
    assert_eq!(description(), "First.");
    undone(&undo_second);
    assert_eq!(description(), "Second.");
    assert_eq!(
        refusal(&project, &store, &one(&redo_first)),
        UndoRefusal::ChangedSince { event: redo_first.id, id, by: newest(&store).id },
    );
    // Both count as not taken back again.
    assert_eq!(undo(&project, &store, &last(1)).steps[0].event, second.id);
    assert_eq!(undo(&project, &store, &last(1)).steps[0].event, first.id);
    assert_eq!(undo(&project, &store, &last(1)).steps[0].effect, Effect::Removes);

    let withdrawn = newest(&store);
    assert_eq!(withdrawn.kind, EventKind::Withdrawn);
    assert_eq!(undo(&project, &store, &one(&withdrawn)).steps[0].effect, Effect::Creates);
    assert_eq!(newest(&store).kind, EventKind::Restored);
    assert_eq!(description(), "What it does.");
    assert_eq!(undo(&project, &store, &last(1)).steps[0].kind, EventKind::Created);
}

#[test]
fn the_movements_of_a_claim_are_not_taken_back() {
    let (project, store) = Project::with_features(1);
    let id = FeatureId::from(1);
    store.call(ClaimFeature { id }).unwrap();
    let claimed = newest(&store);
    store.call(ClearInProgress { id }).unwrap();
    let released = newest(&store);
    store.call(owned(1, "coder")).unwrap();
    // It did not pass before, so that it fails only ends its claim.
    store.call(MarkFailing { id }.overriding()).unwrap();
    let failed = newest(&store);
    store.call(RetryFeature { id }).unwrap();
    let retried = newest(&store);
    let kinds = [EventKind::Claimed, EventKind::Released, EventKind::Failed, EventKind::Retried];
    for (event, kind) in [claimed, released, failed, retried].iter().zip(kinds) {
        let found = refusal(&project, &store, &one(event));
        assert_eq!(found, UndoRefusal::ClaimAlone { event: event.id, kind });
    }
    assert_eq!(undo(&project, &store, &last(1)).steps[0].kind, EventKind::Created);
}

#[test]
fn a_pass_is_taken_back_without_its_claim_and_the_failures_stay_forgotten() {
    let (project, store) = Project::with_features(1);
    let id = FeatureId::from(1);
    store.call(owned(1, "coder")).unwrap();
    store.call(MarkFailing { id }.overriding()).unwrap();
    store.call(owned(1, "coder")).unwrap();
    store.call(MarkPassing { id }.overriding()).unwrap();
    undo(&project, &store, &last(1));
    let now = feature(&store, 1);
    assert!(!now.passes && !now.in_progress);
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM autoforge_budgets"), 0);
    let attempts = store.call(GetAttempts { feature: Some(id), limit: 1 }).unwrap();
    assert_eq!(attempts[0].end.as_ref().unwrap().outcome, AttemptOutcome::Passed);
}

#[test]
fn while_somebody_works_on_a_feature_it_is_not_settled_over_their_head() {
    let (project, store) = Project::with_features(2);
    let id = FeatureId::from(1);
    store.call(edit(1, "New.")).unwrap();
    store.call(MarkPassing { id }).unwrap();
    store.call(MarkFailing { id }).unwrap();
    let failed = newest(&store);
    let in_progress = |holder: Option<&str>| {
        let found = refusal(&project, &store, &one(&failed));
        assert!(found.retryable() && found.code() == "already_in_progress");
        let UndoRefusal::InProgress { event, id: of, holder: found } = found else { panic!() };
        assert_eq!((event, of), (failed.id, id));
        let name = found.and_then(|holder| holder.owner).map(|owner| owner.agent);
        assert_eq!(name.as_deref(), holder);
    };
    store.call(MarkInProgress { id }).unwrap();
    in_progress(None);
    store.call(ClearInProgress { id }).unwrap();
    store.call(owned(1, "coder")).unwrap();
    in_progress(Some("coder"));
    store.call(ClearInProgress { id }.overriding()).unwrap();

    // A claim that is over is in nobody's way, and is ended.
    store.call(lapsed(1, "coder")).unwrap();
    undo(&project, &store, &one(&failed));
    let now = feature(&store, 1);
    assert!(now.passes && !now.in_progress);
    assert_eq!(log(&store, 2)[1].kind, EventKind::Expired);
}

#[test]
fn what_a_feature_says_is_taken_back_while_somebody_works_on_it() {
    let (project, store) = Project::with_features(2);
    store.call(edit(1, "New.")).unwrap();
    store.call(prioritize(1, 9)).unwrap();
    store.call(AddDependency { id: 1.into(), dependency: 2.into() }).unwrap();
    let claim = store.call(owned(1, "coder")).unwrap();
    for _ in 0..3 {
        undo(&project, &store, &last(1));
        let event = newest(&store);
        assert_eq!((event.claim, event.overrode), (claim.token, true));
        assert!(feature(&store, 1).in_progress);
    }
    let now = feature(&store, 1);
    assert_eq!((now.description.as_str(), now.priority), ("What it does.", 1));
    // Then comes the creation, and the feature is not taken away from whom it belongs to.
    assert!(matches!(refusal(&project, &store, &last(1)), UndoRefusal::InProgress { .. }));
    // Whoever lost a claim knows too little to take anything back.
    let token = claim.token.unwrap();
    store.call(ClearInProgress { id: 1.into() }.overriding()).unwrap();
    let late = store.call(Undo { target: last(1) }.under(token)).unwrap_err();
    assert_eq!(late, Error::Refused(UndoRefusal::StaleToken { token }));
    let late = store.call(PreviewUndo { target: last(1) }.under(token)).unwrap_err();
    assert_eq!(late.code(), "stale_token");
}

#[test]
fn the_owner_takes_back_without_overriding_and_the_history_says_who_and_why() {
    let (_project, store) = Project::with_features(1);
    let me = agent("coder", "monday");
    store.call(edit(1, "New.").by(&me)).unwrap();
    let edited = newest(&store);
    let claim = store.call(owned(1, "coder")).unwrap();
    let target = last(1);
    store.call(Undo { target }.by(&me).under(claim.token.unwrap()).because("a slip")).unwrap();
    let event = newest(&store);
    assert_eq!((event.kind, event.undoes), (EventKind::Undone, Some(edited.id)));
    assert_eq!((event.claim, event.overrode), (claim.token, false));
    assert_eq!(event.agent.as_deref(), Some("coder"));
    assert_eq!(
        (event.session.as_deref(), event.reason.as_deref()),
        (Some("monday"), Some("a slip"))
    );
}

#[test]
fn a_question_and_its_answer_are_taken_back() {
    let (project, store) = Project::with_features(1);
    ask(&store, 1);
    answer(&store, 1);
    undo(&project, &store, &last(1));
    let waiting = feature(&store, 1);
    assert!(waiting.needs_human_input && waiting.human_input_response.is_none());
    let undo_answer = newest(&store);
    undo(&project, &store, &last(1));
    let now = feature(&store, 1);
    assert!(!now.needs_human_input && !now.in_progress && now.human_input_request.is_none());

    // Nobody is made to wait for a human while they work.
    undo(&project, &store, &one(&newest(&store)));
    undo(&project, &store, &one(&undo_answer));
    let answered = log(&store, 20).into_iter().find(|e| e.kind == EventKind::Answered).unwrap();
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    assert!(matches!(refusal(&project, &store, &one(&answered)), UndoRefusal::InProgress { .. }));
    store.call(MarkPassing { id: 1.into() }).unwrap();
    let passing = UndoRefusal::Passing { event: answered.id, id: 1.into() };
    assert_eq!(refusal(&project, &store, &one(&answered)), passing);
}

#[test]
fn what_passes_keeps_what_it_says_until_its_pass_is_taken_back() {
    let (project, store) = Project::with_features(2);
    store.call(edit(1, "New.")).unwrap();
    let edited = newest(&store);
    store.call(SetDependencies { id: 1.into(), dependencies: ids(&[2]) }).unwrap();
    let depends = newest(&store);
    store.call(MarkPassing { id: 1.into() }).unwrap();
    let found = refusal(&project, &store, &one(&edited));
    assert_eq!(found, UndoRefusal::Passing { event: edited.id, id: 1.into() });
    undo(&project, &store, &one(&depends));
    undo(&project, &store, &last(1));
    undo(&project, &store, &one(&edited));
    assert_eq!(feature(&store, 1).description, "What it does.");
}

#[test]
fn a_later_change_of_the_same_column_stands_in_the_way_and_one_of_another_does_not() {
    let (project, store) = Project::with_features(1);
    store.call(edit(1, "Ours.")).unwrap();
    let edited = newest(&store);
    let foreign = project.foreign();
    foreign.execute_batch("UPDATE features SET category = 'Theirs', in_progress = 1").unwrap();
    let elsewhere = newest(&store);
    foreign.execute_batch("UPDATE features SET in_progress = 0").unwrap();
    undo(&project, &store, &one(&edited));
    assert_eq!(feature(&store, 1).category, "Theirs");
    undo(&project, &store, &one(&newest(&store)));

    // Although it is what it was in the end.
    foreign.execute_batch("UPDATE features SET description = 'Theirs'").unwrap();
    foreign.execute_batch("UPDATE features SET description = 'Ours.'").unwrap();
    let found = refusal(&project, &store, &one(&edited));
    let by = newest(&store).id;
    assert_eq!(found, UndoRefusal::ChangedSince { event: edited.id, id: 1.into(), by });
    assert_eq!((found.code(), found.features()), ("changed_since", ids(&[1])));
    let message = format!("event {by} changed feature 1 since; take that back first");
    assert!(found.to_string().ends_with(&message), "{found}");

    // Other programs' changes are taken back like ours: all but the claim.
    assert_eq!(elsewhere.kind, EventKind::Claimed);
    let undone = undo(&project, &store, &one(&elsewhere));
    assert_eq!(undone.steps[0].changes.len(), 1);
    assert_eq!(feature(&store, 1).category, "Category");
}

#[test]
fn a_change_that_nobody_wrote_down_stands_in_the_way_too() {
    let (project, store) = Project::with_features(2);
    store.call(edit(1, "Ours.")).unwrap();
    let edited = newest(&store);
    let created = log(&store, 9).into_iter().find(|event| event.feature.get() == 2).unwrap();
    let foreign = project.foreign();
    let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    foreign.set_db_config(off, false).unwrap();
    foreign.execute_batch("UPDATE features SET description = CAST(description AS BLOB)").unwrap();
    for (event, id) in [(edited.id, 1), (created.id, 2)] {
        let (id, field) = (id.into(), Field::Description);
        let found = refusal(&project, &store, &UndoTarget::Event(event));
        assert_eq!(found, UndoRefusal::ChangedUnseen { event, id, field });
    }
    foreign.execute_batch("DELETE FROM features WHERE id = 1").unwrap();
    let gone = UndoRefusal::NotFound { id: 1.into() };
    assert_eq!(refusal(&project, &store, &one(&edited)), gone);
}

#[test]
fn a_creation_is_not_taken_back_while_anything_stands_on_it() {
    let (project, store) = Project::with_features(1);
    let dependencies = ids(&[1]);
    let created = |id: i64| {
        let events = log(&store, 20);
        events.into_iter().find(|e| e.feature.get() == id && e.kind == EventKind::Created).unwrap()
    };
    let needs = |name| CreateFeature { dependencies: dependencies.clone(), ..create(name) };
    store.call(needs("A")).unwrap();
    store.call(needs("B")).unwrap();
    let (event, id) = (created(1).id, FeatureId::from(1));
    let found = refusal(&project, &store, &last(1));
    assert_eq!(found, UndoRefusal::HasDependents { event, id, dependents: ids(&[2, 3]) });
    assert_eq!(found.features(), ids(&[1, 2, 3]));
    for dependent in [2, 3] {
        undo(&project, &store, &last(dependent));
    }

    store.call(ClaimFeature { id }).unwrap();
    assert!(matches!(refusal(&project, &store, &last(1)), UndoRefusal::InProgress { .. }));
    store.call(ClearInProgress { id }).unwrap();
    store.call(edit(1, "New.")).unwrap();
    let by = newest(&store).id;
    let found = refusal(&project, &store, &one(&created(1)));
    assert_eq!(found, UndoRefusal::ChangedSince { event, id, by });
    undo(&project, &store, &last(1));
    store.call(lapsed(1, "coder")).unwrap();
    undo(&project, &store, &last(1));
    assert!(content(&project).is_empty());
}

#[test]
fn no_priority_comes_back_that_another_feature_has() {
    let (project, store) = Project::with_features(2);
    store.call(SkipFeature { id: 1.into() }).unwrap();
    let skipped = newest(&store);
    store.call(prioritize(2, 1)).unwrap();
    let problem = PriorityProblem::Taken { priority: 1, holder: 2.into() };
    let found = refusal(&project, &store, &one(&skipped));
    assert_eq!(found, UndoRefusal::Priority { event: skipped.id, problem });
    assert_eq!(found.code(), "priority_taken");
    store.call(prioritize(2, 5)).unwrap();
    undo(&project, &store, &one(&skipped));
    assert_eq!(feature(&store, 1).priority, 1);
}

#[test]
fn no_dependency_comes_back_that_is_gone_or_closes_a_cycle() {
    let (project, store) = Project::with_features(3);
    let depend = |id: i64, dependency: i64| {
        let (id, dependency) = (id.into(), dependency.into());
        drop(store.call(AddDependency { id, dependency }).unwrap());
    };
    depend(1, 2);
    store.call(RemoveDependency { id: 1.into(), dependency: 2.into() }).unwrap();
    let removed = newest(&store);
    depend(2, 3);
    depend(3, 1);
    let cycle = DependencyProblem::Cycle { id: 1.into(), dependency: 2.into() };
    let found = refusal(&project, &store, &one(&removed));
    assert_eq!(found, UndoRefusal::Dependencies { event: removed.id, problem: cycle });
    undo(&project, &store, &last(3));
    undo(&project, &store, &last(2));
    undo(&project, &store, &last(2));
    let gone = DependencyProblem::Unknown { ids: ids(&[2]) };
    let found = refusal(&project, &store, &one(&removed));
    assert_eq!(found, UndoRefusal::Dependencies { event: removed.id, problem: gone });
}

#[test]
fn an_id_that_never_named_a_feature_comes_back_as_it_was() {
    let (project, store) = Project::with_features(2);
    let garbage = "UPDATE features SET dependencies = '[2, \"x\", 77 ,2]' WHERE id = 1";
    project.foreign().execute_batch(garbage).unwrap();
    let before = content(&project);
    store.call(SetDependencies { id: 1.into(), dependencies: Vec::new() }).unwrap();
    undo(&project, &store, &last(1));
    assert_eq!(content(&project), before);
    // One that waits for itself does not.
    project
        .foreign()
        .execute_batch("UPDATE features SET dependencies = '[1]' WHERE id = 1")
        .unwrap();
    store.call(SetDependencies { id: 1.into(), dependencies: Vec::new() }).unwrap();
    let problem = DependencyProblem::Itself { id: 1.into() };
    let event = newest(&store).id;
    let found = refusal(&project, &store, &last(1));
    assert_eq!(found, UndoRefusal::Dependencies { event, problem });
}

#[test]
fn what_is_unknown_or_forgotten_is_refused_as_that() {
    let (project, store) = Project::with_features(2);
    let unknown = |event: i64| UndoRefusal::UnknownEvent { event: event.into(), last: 2.into() };
    for event in [0, -4, 3, i64::MAX] {
        let target = UndoTarget::Event(event.into());
        assert_eq!(refusal(&project, &store, &target), unknown(event));
    }
    let missing = refusal(&project, &store, &last(9));
    assert_eq!((missing.code(), missing.features()), ("not_found", ids(&[9])));
    let nothing = refusal(&project, &store, &session("monday"));
    assert_eq!(nothing, UndoRefusal::NothingToUndo { target: session("monday") });

    store.call(SetPolicy(Policy { events: 10, ..Policy::default() })).unwrap();
    for nth in 0..62 {
        store.call(edit(1, &format!("Number {nth}."))).unwrap();
    }
    let oldest = EventId::from(55);
    let forgotten = UndoRefusal::Forgotten { oldest };
    for target in [UndoTarget::Event(1.into()), UndoTarget::Event(54.into()), last(2)] {
        assert_eq!(refusal(&project, &store, &target), forgotten);
    }
    for _ in 0..10 {
        undo(&project, &store, &last(1));
    }
    assert_eq!(refusal(&project, &store, &last(1)), forgotten);
    assert_eq!(forgotten.code(), "events_forgotten");
    project.foreign().execute_batch("DELETE FROM autoforge_events WHERE id < 74").unwrap();
    let all = UndoRefusal::Forgotten { oldest: 74.into() };
    assert_eq!(refusal(&project, &store, &UndoTarget::Event(73.into())), all);
}
