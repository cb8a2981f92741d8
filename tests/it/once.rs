//! Requests with an id: one effect and one answer, however often, from wherever and after whatever
//! they are sent.

mod bounds;
mod forms;
mod schedules;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autoforge_store::{
    AddDependency, Caller, ClaimFeature, ClaimNext, Command, Error, EventId, Failure,
    FeatureRefusal, Features, GetAttempts, GetChanges, GetLog, GetStats, MarkFailing, MarkPassing,
    OnceRefusal, ProcessIdentity, Refusal, RequestId, SkipFeature, StorageError, Store, Tx, Write,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::groups::with_explosive_names;
use crate::support::{
    Child, Project, commits_in_log, create, feature, hold, listen, names, number, say, texts,
    together,
};

fn id(text: &str) -> RequestId {
    text.parse().unwrap()
}

/// Requests whose answers the file keeps.
fn kept(project: &Project) -> Vec<String> {
    texts(&project.foreign(), "SELECT request FROM autoforge_requests ORDER BY seq")
}

fn last_event(store: &Store) -> Option<EventId> {
    let log = store.call(GetLog { limit: 1, ..GetLog::default() }).unwrap();
    log.first().map(|event| event.id)
}

fn refused<T: std::fmt::Debug, R: Refusal>(answer: Result<T, Error<R>>) -> R {
    match answer {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, not {other:?}"),
    }
}

#[test]
fn the_same_request_has_one_effect_and_gives_the_first_answer() {
    let (project, store) = Project::with_features(2);
    let first = store.call(create("once").once(id("a"))).unwrap();
    let changed = last_event(&store);
    for _ in 0..3 {
        assert_eq!(store.call(create("once").once(id("a"))).unwrap(), first);
    }
    assert_eq!(names(&store), ["Feature 1", "Feature 2", "once"]);
    assert_eq!(last_event(&store), changed);
    assert_eq!(kept(&project), ["a"]);
    // Under another id it is another request.
    let second = store.call(create("once").once(id("A"))).unwrap();
    assert_eq!((first.id.get(), second.id.get()), (3, 4));
    // The answer is that of then, whatever has become of it.
    store.call(MarkPassing { id: first.id }).unwrap();
    assert_eq!(store.call(create("once").once(id("a"))).unwrap(), first);
}

#[test]
fn a_repetition_writes_nothing() {
    let (project, store) = Project::with_features(1);
    store.call(ClaimNext.once(id("a"))).unwrap();
    let other = project.foreign();
    let version = number(&other, "PRAGMA data_version");
    store.call(ClaimNext.once(id("a"))).unwrap();
    assert_eq!(number(&other, "PRAGMA data_version"), version);
    other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
}

#[test]
fn a_request_that_is_sent_again_after_a_restart_has_its_first_answer() {
    let (project, store) = Project::with_features(1);
    let passed = store.call(MarkPassing { id: 1.into() }.once(id("a"))).unwrap();
    store.close();
    let store = project.open();
    let again = store.call(MarkPassing { id: 1.into() }.once(id("a"))).unwrap();
    assert_eq!(again, passed);
    let refusal = refused(store.call(MarkPassing { id: 1.into() }.once(id("b"))));
    assert_eq!(refusal.code(), "already_passing");
}

/// In a child: carries out requests and says what was answered.
pub(crate) fn ask_once(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    while let Some(task) = listen() {
        let (verb, request) = task.split_once(' ').unwrap();
        let request = id(request);
        let answer = match verb {
            "create" => json(&store.call(create("by one of many").once(request)).unwrap()),
            "next" => json(&store.call(ClaimNext.once(request)).unwrap()),
            pass => {
                let id = pass.parse::<i64>().unwrap().into();
                json(&store.call(MarkPassing { id }.once(request)).unwrap())
            }
        };
        say(&answer);
    }
}

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap()
}

#[test]
fn of_eight_processes_that_send_one_request_at_once_one_has_an_effect_and_all_get_its_answer() {
    const ROUNDS: usize = 20;
    let (project, store) = Project::with_features(ROUNDS);
    let mut children: Vec<_> = (0..8).map(|_| Child::start("ask_once", project.folder())).collect();
    let mut at_once = |task: &str| {
        for child in &mut children {
            child.tell(task);
        }
        let answers: Vec<_> = children.iter_mut().map(Child::hear).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{task}: {answers:#?}");
        answers[0].clone()
    };
    for round in 1..=ROUNDS {
        let made = at_once(&format!("create create-{round}"));
        let id = i64::try_from(ROUNDS + round).unwrap();
        assert_eq!(made, json(&feature(&store, id)));
        at_once(&format!("next claim-{round}"));
        let passed = at_once(&format!("{round} pass-{round}"));
        assert_eq!(passed, format!(r#"{{"id":{round},"name":"Feature {round}"}}"#));
    }
    let file = project.foreign();
    let stats = store.call(GetStats).unwrap();
    assert_eq!((stats.total, stats.passing), (2 * 20, 20));
    assert_eq!(number(&file, "SELECT count(*) FROM autoforge_claims"), 20);
    assert_eq!(number(&file, "SELECT count(*) FROM autoforge_requests"), 3 * 20);
    let events = |kind: &str| {
        number(&file, &format!("SELECT count(*) FROM autoforge_events WHERE kind = '{kind}'"))
    };
    assert_eq!((events("created"), events("claimed"), events("passed")), (40, 20, 20));
}

#[test]
fn of_sixteen_threads_that_send_one_request_at_once_all_get_one_answer() {
    let (project, store) = Project::with_features(0);
    for round in 1..=10 {
        let request = id(&format!("{round}"));
        let answers = together(16, |_| store.clone().call(create("x").once(request.clone())));
        let first = answers[0].clone().unwrap();
        assert_eq!(first.id.get(), round);
        assert!(answers.into_iter().all(|answer| answer.as_ref() == Ok(&first)));
    }
    assert_eq!(kept(&project).len(), 10);
}

#[test]
fn two_of_one_request_in_one_group_get_one_answer() {
    let (project, store) = Project::with_features(0);
    let held = hold(&store);
    let first = store.submit(create("x").once(id("a"))).unwrap();
    let between = store.submit(create("y")).unwrap();
    let other = store.clone();
    let second = other.submit(create("x").once(id("a"))).unwrap();
    let commits = commits_in_log(&project.log());
    drop(held);
    let first = first.wait().unwrap();
    assert_eq!((first.id.get(), between.wait().unwrap().id.get()), (1, 2));
    assert_eq!(second.wait().unwrap(), first);
    assert_eq!(commits_in_log(&project.log()) - commits, 1, "they were one transaction");
    assert_eq!(names(&store), ["x", "y"]);
}

#[test]
fn another_command_or_other_arguments_under_the_same_id_are_refused_and_change_nothing() {
    let (project, store) = Project::with_features(3);
    let skipped = store.call(SkipFeature { id: 1.into() }.once(id("a"))).unwrap();
    let before = last_event(&store);
    let other = |command: &str| (id("a"), command.to_owned());

    let arguments = refused(store.call(SkipFeature { id: 2.into() }.once(id("a"))));
    let OnceRefusal::OtherCommand { id: of, command } = &arguments else { panic!("{arguments}") };
    assert_eq!((of.clone(), command.clone()), other("skip_feature"));
    assert_eq!((arguments.code(), arguments.retryable()), ("request_id_reused", false));
    // The arguments of these two look the same.
    let kind = refused(store.call(MarkPassing { id: 1.into() }.once(id("a"))));
    let OnceRefusal::OtherCommand { id: of, command } = kind else { panic!("{kind}") };
    assert_eq!((of, command), other("skip_feature"));

    assert_eq!(last_event(&store), before);
    assert_eq!(kept(&project), ["a"]);
    // The first answer is as it was.
    assert_eq!(store.call(SkipFeature { id: 1.into() }.once(id("a"))).unwrap(), skipped);
}

#[test]
fn a_refused_request_may_be_sent_again_and_its_success_is_kept() {
    let (project, store) = Project::with_features(2);
    store.call(AddDependency { id: 1.into(), dependency: 2.into() }).unwrap();
    let again = || store.call(AddDependency { id: 2.into(), dependency: 1.into() }.once(id("a")));
    for _ in 0..2 {
        let refusal = refused(again());
        assert_eq!(refusal.code(), "dependency_cycle");
        assert_eq!(refusal.features(), crate::support::ids(&[2, 1]));
        assert_eq!(kept(&project), [""; 0]);
    }
    let removed = autoforge_store::RemoveDependency { id: 1.into(), dependency: 2.into() };
    store.call(removed).unwrap();
    let added = again().unwrap();
    assert_eq!(again().unwrap(), added);
    assert_eq!(kept(&project), ["a"]);
    // What a refused command left free, another one may take.
    assert_eq!(refused(store.call(MarkFailing { id: 9.into() }.once(id("b")))).code(), "not_found");
    store.call(MarkFailing { id: 1.into() }.once(id("b"))).unwrap();
}

#[test]
fn a_refusal_of_the_command_keeps_all_it_says() {
    let (_project, store) = Project::with_features(1);
    store.call(ClaimFeature { id: 1.into() }).unwrap();
    let mark = autoforge_store::MarkInProgress { id: 1.into() };
    let refusal = refused(store.call(mark.once(id("a"))));
    let own = refused(store.call(mark));
    assert_eq!(refusal.to_string(), own.to_string());
    assert_eq!((refusal.retryable(), refusal.features()), (own.retryable(), own.features()));
    assert_eq!(refusal, OnceRefusal::Command(own));
}

/// In a child: makes features under the names of its requests, and says each id after it was
/// answered, until somebody ends it.
pub(crate) fn create_once_until_killed(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    let done = store.call(GetStats).unwrap().total;
    for n in done.. {
        let made = store.call(numbered(n)).unwrap();
        say(&format!("{n} {}", made.id));
    }
}

fn numbered(
    n: u64,
) -> impl Command<Database = Features, Access = Write, Output = autoforge_store::Feature> {
    create(&format!("number {n}")).once(id(&format!("request {n}")))
}

#[test]
fn whoever_was_killed_before_it_heard_the_answer_gets_it_when_it_asks_again() {
    let project = Project::new();
    let mut told: Vec<(u64, i64)> = Vec::new();
    let heard = |line: &str| {
        let (n, id) = line.split_once(' ').unwrap();
        (n.parse().unwrap(), id.parse().unwrap())
    };
    for round in 1..=6 {
        let mut child = Child::start("create_once_until_killed", project.folder());
        for _ in 0..round * 5 {
            told.push(heard(&child.hear()));
        }
        child.kill();
        while let Some(line) = child.try_hear() {
            told.push(heard(&line));
        }
        let store = project.open();
        for (n, id) in &told {
            assert_eq!(store.call(numbered(*n)).unwrap().id.get(), *id);
        }
        // The next one may have been carried out, and its answer have died with the process.
        let (before, next) = (store.call(GetStats).unwrap().total, told.len() as u64);
        assert!((next..=next + 1).contains(&before), "{next} told, {before} there");
        let made = store.call(numbered(next)).unwrap();
        assert_eq!(store.call(GetStats).unwrap().total, next + 1);
        told.push((next, made.id.get()));
        store.close();
    }
    let file = project.foreign();
    let twice = "SELECT count(*) - count(DISTINCT name) FROM features";
    assert_eq!(number(&file, twice), 0);
}

/// Writes, and then ends as it is told.
#[derive(Debug, Clone, Copy, Serialize)]
enum WritesThen {
    Panics,
    Fails,
    Refuses,
    Gives { bytes: usize },
}

impl Command for WritesThen {
    const NAME: &'static str = "writes_then";
    type Database = Features;
    type Access = Write;
    type Output = String;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<String, Failure<FeatureRefusal>> {
        assert!(create("written").run(tx).is_ok(), "the write itself works");
        match self {
            Self::Panics => panic!("on purpose"),
            Self::Fails => Err(rusqlite::Error::QueryReturnedNoRows.into()),
            Self::Refuses => Err(Failure::Refused(FeatureRefusal::AlreadyPassing { id: 7.into() })),
            Self::Gives { bytes } => Ok("x".repeat(*bytes)),
        }
    }
}

#[test]
fn what_ends_without_an_answer_leaves_neither_effect_nor_request() {
    for end in [WritesThen::Panics, WritesThen::Fails, WritesThen::Refuses] {
        let (project, store) = Project::with_features(0);
        let held = hold(&store);
        let before = store.submit(create("before").once(id("before"))).unwrap();
        let ended = store.submit(end.once(id("a"))).unwrap();
        let after = store.submit(create("after").once(id("a"))).unwrap();
        drop(held);
        before.wait().unwrap();
        let error = ended.wait().unwrap_err();
        let expected = match end {
            WritesThen::Panics => "panicked",
            WritesThen::Fails => "sqlite",
            _ => "already_passing",
        };
        assert_eq!(error.code(), expected);
        // The id was left free, in the same group even.
        after.wait().unwrap();
        assert_eq!(names(&store), ["before", "after"]);
        assert_eq!(kept(&project), ["before", "a"]);
    }
}

#[test]
fn a_group_that_was_undone_keeps_no_answer() {
    let (project, store) = with_explosive_names();
    store.call(create("taken")).unwrap();
    let held = hold(&store);
    let undone = store.submit(create("once").once(id("a"))).unwrap();
    let repeated = store.submit(create("once").once(id("a"))).unwrap();
    let fatal = store.submit(create("taken")).unwrap();
    drop(held);
    for reply in [undone, repeated] {
        let error = reply.wait().unwrap_err();
        assert!(matches!(error, Error::Storage(StorageError::GroupAborted { .. })), "{error}");
    }
    assert!(fatal.wait().is_err());
    assert_eq!(kept(&project), [""; 0]);
    let made = store.call(create("once").once(id("a"))).unwrap();
    assert_eq!(store.call(create("once").once(id("a"))).unwrap(), made);
    assert_eq!(names(&store), ["taken", "once"]);
}

#[test]
fn who_calls_and_why_is_no_part_of_a_request_on_either_side_of_it() {
    let (_project, store) = Project::with_features(3);
    let caller = |name: &str| {
        let session = format!("session of {name}");
        Arc::new(Caller::new(name, session).in_process(ProcessIdentity::current()))
    };
    let (ada, bob) = (caller("ada"), caller("bob"));
    let lease = Some(Duration::from_mins(10));
    let claim = ClaimFeature { id: 1.into() };

    let inside = store.call(claim.by(&ada).owning(lease).once(id("a"))).unwrap();
    assert!(inside.token.is_some() && !inside.already_claimed);
    let outside = claim.once(id("a")).by(&bob).because("of a restart");
    assert_eq!(store.call(outside).unwrap(), inside);
    assert_eq!(store.call(claim.once(id("a"))).unwrap(), inside);

    let claim = ClaimFeature { id: 2.into() };
    let outside = store.call(claim.once(id("b")).by(&bob).owning(lease)).unwrap();
    assert!(outside.token.is_some() && !outside.already_claimed);
    assert_eq!(store.call(claim.by(&ada).once(id("b")).by(&bob)).unwrap(), outside);

    // What was signed was carried out as signed.
    let attempts = store.call(GetAttempts { feature: None, limit: 9 }).unwrap();
    let owners: Vec<_> =
        attempts.iter().map(|claim| claim.owner.as_ref().unwrap().agent.as_str()).collect();
    assert_eq!(owners, ["bob", "ada"]);
    let pass = MarkPassing { id: 1.into() };
    let refusal = refused(store.call(pass.by(&bob).once(id("c"))));
    assert_eq!(refusal.code(), "held_by_other");
    store.call(pass.once(id("c")).under(inside.token.unwrap())).unwrap();
    // Its token is of a claim that is over by now; the answer is there all the same.
    store.call(pass.under(inside.token.unwrap()).once(id("c"))).unwrap();

    let events = store.call(GetChanges { since: EventId::START, limit: 99 }).unwrap();
    let said: Vec<_> = events.iter().filter_map(|event| event.agent.as_deref()).collect();
    assert_eq!(said, ["ada", "bob"]);
}

#[test]
fn an_answer_that_this_release_cannot_read_is_said_and_nothing_is_done_again() {
    let (project, store) = Project::with_features(2);
    let pass = |id_: i64| MarkPassing { id: id_.into() }.once(id("a"));
    store.call(pass(1)).unwrap();
    let answer = |json: &str| {
        let sql = "UPDATE autoforge_requests SET answer = ?1";
        project.foreign().execute(sql, [json]).unwrap();
    };
    let before = last_event(&store);
    for unreadable in [r#"{"passed":[1]}"#, r#"{"id":1,"name":"n"} {}"#, ""] {
        answer(unreadable);
        let refusal = refused(store.call(pass(1)));
        assert_eq!(refusal, OnceRefusal::Unreadable { id: id("a") });
        assert_eq!((refusal.code(), refusal.retryable()), ("answer_unreadable", false));
    }
    assert_eq!(last_event(&store), before);
    // What a later release says beside what this one knows does no harm.
    answer(r#"{"later":{"x":1},"id":1,"name":"Feature 1"}"#);
    assert_eq!(store.call(pass(1)).unwrap().name, "Feature 1");
    // A row that makes no sense is not taken for a repetition.
    project.foreign().execute_batch("UPDATE autoforge_requests SET digest = 'x'").unwrap();
    assert_eq!(refused(store.call(pass(1))).code(), "request_id_reused");
}

#[test]
fn an_answer_that_is_too_large_to_be_kept_is_refused_with_what_it_would_tell() {
    let (project, store) = Project::with_features(0);
    let max = autoforge_store::Limits::ANSWER_BYTES;
    // Two quotes are part of the answer.
    let held = hold(&store);
    let large = store.submit(WritesThen::Gives { bytes: max - 1 }.once(id("a"))).unwrap();
    let beside = store.submit(create("beside")).unwrap();
    drop(held);
    beside.wait().unwrap();
    let refusal = refused(large.wait());
    let too_large = OnceRefusal::AnswerTooLarge { id: id("a"), bytes: max + 1, max };
    assert_eq!((refusal.code(), &refusal), ("answer_too_large", &too_large));
    assert_eq!((kept(&project), names(&store)), (vec![], vec!["beside".to_owned()]));
    let largest = WritesThen::Gives { bytes: max - 2 };
    store.call(largest.once(id("a"))).unwrap();
    assert_eq!(store.call(largest.once(id("a"))).unwrap().len(), max - 2);
    assert_eq!(names(&store), ["beside", "written"]);
    let stored = number(&project.foreign(), "SELECT length(answer) FROM autoforge_requests");
    assert_eq!(usize::try_from(stored), Ok(max));
}

#[test]
fn a_command_whose_answer_cannot_be_kept_is_undone_alone() {
    let (project, store) = Project::with_features(0);
    let only_one = "CREATE UNIQUE INDEX of_another_program ON autoforge_requests (command)";
    project.foreign().execute_batch(only_one).unwrap();
    let held = hold(&store);
    let kept_one = store.submit(create("kept").once(id("a"))).unwrap();
    let fails = store.submit(create("undone").once(id("b"))).unwrap();
    let beside = store.submit(create("beside")).unwrap();
    drop(held);
    kept_one.wait().unwrap();
    assert_eq!(fails.wait().unwrap_err().code(), "sqlite");
    beside.wait().unwrap();
    assert_eq!(names(&store), ["kept", "beside"]);
    assert_eq!(kept(&project), ["a"]);
}

/// Sends a command twice under one id, the second time through a store that was opened anew, and
/// gives its answer.
fn twice<C>(project: &Project, command: C) -> C::Output
where
    C: Command<Database = Features, Access = Write> + Serialize + Clone,
    C::Output: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let request = RequestId::random();
    let store = project.open();
    let first = store.call(command.clone().once(request.clone())).unwrap();
    let changed = last_event(&store);
    store.close();
    let store = project.open();
    assert_eq!(store.call(command.once(request)).unwrap(), first, "{}", C::NAME);
    assert_eq!(last_event(&store), changed, "{}", C::NAME);
    first
}
