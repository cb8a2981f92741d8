//! Many processes, and many threads of one, at one file at once. The processes are this test binary
//! again, in roles that are given by an environment variable.

use std::collections::BTreeSet;
use std::path::Path;

use autoforge_store::{
    ClaimFeature, ClaimNext, ClaimedNext, Command, Error, FeatureRefusal, Features, GetStats,
    MarkInProgress, MarkPassing, OpenOptions, SkipFeature, Store,
};

use crate::old_files;
use crate::support::{
    Child, FOLDER, Project, ROLE, create, foreign, listen, number, say, schema, texts, together,
};

/// Not a test of its own: the body of the child processes, which does nothing in a plain run.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    match role.as_str() {
        "open" => open_on_demand(),
        "work" => work(folder),
        "write_numbered" => crate::copies::write_numbered(folder),
        "count_attempts" => crate::attempts::count_attempts(folder),
        "hold_lock" => hold_lock(folder),
        "stay_connected" => stay_connected(folder),
        "fill_disk" => crate::durability::fill_disk(folder),
        "write_until_killed" => crate::durability::write_until_killed(folder),
        "session" => crate::crashes::session(folder),
        "ask_once" => crate::once::ask_once(folder),
        "create_once_until_killed" => crate::once::create_once_until_killed(folder),
        "import" => import(folder),
        "migrate" => crate::moves::migrate_in_child(folder),
        "restore" => crate::moves::restore_in_child(folder),
        "reset" => crate::moves::reset_in_child(folder),
        "open_once" => crate::moves::open_once(folder),
        "half_started" => crate::moves::half_started(folder),
        "neighbour" => crate::moves::neighbour(folder),
        "claim_progress" => crate::progress::claims::claim_progress(folder),
        "hold_claims" => crate::ownership::hold_claims(folder),
        other if crate::assistant::play(other, folder) || crate::registry::play(other, folder) => {}
        other => panic!("no role {other}"),
    }
}

/// Opens each project that it is told, and closes it when it is told so.
fn open_on_demand() {
    while let Some(folder) = listen() {
        match Store::open_project(&folder) {
            Ok(store) => {
                let total = store.call(GetStats).unwrap().total;
                let opening = store.opening().clone();
                say(&format!("{} {} {total}", opening.created, opening.migrated));
                listen();
                let report = store.close();
                say(&format!("closed {:?}", report.fault));
            }
            Err(error) => {
                say(&format!("failed: {error}"));
                listen();
                say("closed");
            }
        }
    }
}

/// Carries out commands on features by their numbers and says what came of them.
fn work(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    while let Some(task) = listen() {
        let (verb, numbers) = task.split_once(' ').unwrap();
        let mut done = Vec::new();
        for id in numbers.split(' ').map(|id| id.parse::<i64>().unwrap()) {
            done.extend(one(&store, verb, id));
        }
        say(&done.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    }
}

/// The number that the caller shall hear: an id that was won, a priority that was given.
fn one(store: &Store, verb: &str, id: i64) -> Option<i64> {
    match verb {
        "mark" => match store.call(MarkInProgress { id: id.into() }) {
            Ok(claimed) => Some(claimed.feature.id.get()),
            Err(Error::Refused(FeatureRefusal::AlreadyInProgress { .. })) => None,
            Err(error) => panic!("{error}"),
        },
        "claim" => {
            let claim = store.call(ClaimFeature { id: id.into() }).unwrap();
            (!claim.already_claimed).then_some(id)
        }
        "pass" => match store.call(MarkPassing { id: id.into() }) {
            Ok(passed) => Some(passed.id.get()),
            Err(Error::Refused(FeatureRefusal::AlreadyPassing { .. })) => None,
            Err(error) => panic!("{error}"),
        },
        "next" => match store.call(ClaimNext).unwrap() {
            ClaimedNext::Feature(next) => Some(next.feature.id.get()),
            _ => None,
        },
        "skip" => Some(store.call(SkipFeature { id: id.into() }).unwrap().new_priority),
        "create" => Some(store.call(create("by a child")).unwrap().id.get()),
        other => panic!("no verb {other}"),
    }
}

fn hold_lock(database: &Path) {
    let other = foreign(database);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    say("locked");
    listen();
    other.execute_batch("ROLLBACK").unwrap();
    say("unlocked");
    listen();
}

/// Holds a snapshot of the database.
fn stay_connected(database: &Path) {
    let other = foreign(database);
    other.execute_batch("BEGIN; SELECT count(*) FROM features").unwrap();
    say("connected");
    listen();
}

fn import(folder: &Path) {
    while let Some(project) = listen() {
        let store = Store::open_project(folder.join(project)).unwrap();
        let imported = store.opening().imported.is_some();
        say(&format!("{imported} {}", store.call(GetStats).unwrap().total));
    }
}

fn children(count: usize, role: &str, folder: &Path) -> Vec<Child> {
    (0..count).map(|_| Child::start(role, folder)).collect()
}

/// Tells all of them first, so that they work at once, and then hears each.
fn all(children: &mut [Child], line: &str) -> Vec<String> {
    for child in &mut *children {
        child.tell(line);
    }
    children.iter_mut().map(Child::hear).collect()
}

#[test]
fn sixteen_processes_open_the_same_absent_or_old_file_at_once_and_one_makes_the_schema() {
    let mut openers = children(16, "open", Path::new("/"));
    let mut states = old_files::all().into_iter().cycle();
    for round in 0..50 {
        let (state, project) = if round % 2 == 0 {
            ("absent", Project::new())
        } else {
            let (state, sql) = states.next().unwrap();
            (state, Project::with_database(&sql))
        };
        let total = if state == "absent" { 0 } else { 3 };
        let answers = all(&mut openers, project.folder().to_str().unwrap());
        for answer in &answers {
            assert!(answer.ends_with(&format!(" {total}")), "round {round}, {state}: {answer}");
        }
        // While all are connected, the file is whole.
        let other = project.foreign();
        assert_eq!(texts(&other, "PRAGMA integrity_check"), ["ok"], "{state}");
        assert_eq!(number(&other, "SELECT count(*) FROM features"), total);
        let names: Vec<String> = schema(&other);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{state}");
        let migrated = answers.iter().filter(|answer| answer.starts_with("false true")).count();
        assert!(migrated <= 1 && (migrated == 1 || state == "absent"), "{state}: {answers:?}");
        drop(other);
        let closed = all(&mut openers, "close");
        assert!(closed.iter().all(|answer| answer == "closed None"), "{state}: {closed:?}");
        assert_eq!(number(&project.foreign(), "SELECT count(*) FROM features"), total);
    }
}

fn numbers(line: &str) -> Vec<i64> {
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// All numbers that the workers answered; none may be there twice.
fn distinct(answers: &[String]) -> BTreeSet<i64> {
    let all: Vec<i64> = answers.iter().flat_map(|answer| numbers(answer)).collect();
    let distinct: BTreeSet<i64> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len(), "{answers:?}");
    distinct
}

fn task(verb: &str, ids: impl IntoIterator<Item = i64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    format!("{verb} {}", ids.join(" "))
}

#[test]
fn of_eight_processes_exactly_one_wins_each_claim_and_no_priority_is_given_twice() {
    let (project, store) = Project::with_features(60);
    let mut workers = children(8, "work", project.folder());

    let marked = distinct(&all(&mut workers, &task("mark", 1..=20)));
    assert_eq!(marked, (1..=20).collect());
    let claimed = distinct(&all(&mut workers, &task("claim", 21..=40)));
    assert_eq!(claimed, (21..=40).collect());
    let taken = distinct(&all(&mut workers, &task("next", 1..=20)));
    assert_eq!(taken, (41..=60).collect());

    let given = distinct(&all(&mut workers, &task("skip", 1..=10)));
    assert_eq!(given, (61..=140).collect(), "each skip takes the next place");
    let passed = distinct(&all(&mut workers, &task("pass", 1..=60)));
    assert_eq!(passed, (1..=60).collect());
    let created = distinct(&all(&mut workers, &task("create", 1..=10)));
    assert_eq!(created, (61..=140).collect());

    let file = project.foreign();
    let shared = "SELECT count(*) - count(DISTINCT priority) FROM features";
    assert_eq!(number(&file, shared), 0);
    assert_eq!(number(&file, "SELECT count(*) FROM features WHERE in_progress"), 0);
    assert_eq!(texts(&file, "PRAGMA integrity_check"), ["ok"]);
    let stats = store.call(GetStats).unwrap();
    assert_eq!((stats.passing, stats.total), (60, 140));
}

#[test]
fn of_sixteen_threads_exactly_one_wins_each_claim_and_no_priority_is_given_twice() {
    let (project, store) = Project::with_features(60);
    let at_once = |verb: &str, ids: std::ops::RangeInclusive<i64>| {
        let won = together(16, |_| {
            let own = store.clone();
            let won: Vec<_> = ids.clone().filter_map(|id| one(&own, verb, id)).collect();
            won.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        });
        distinct(&won)
    };
    assert_eq!(at_once("mark", 1..=20), (1..=20).collect());
    assert_eq!(at_once("claim", 21..=40), (21..=40).collect());
    assert_eq!(at_once("next", 1..=20), (41..=60).collect());
    assert_eq!(at_once("skip", 1..=10), (61..=220).collect());
    assert_eq!(at_once("pass", 1..=60), (1..=60).collect());
    assert_eq!(at_once("create", 1..=10), (61..=220).collect());
    let shared = "SELECT count(*) - count(DISTINCT priority) FROM features";
    assert_eq!(number(&project.foreign(), shared), 0);
}

#[test]
fn exactly_one_of_eight_processes_imports_a_list() {
    let project = Project::new();
    let mut importers = children(8, "import", project.folder());
    let list: Vec<_> = (0..40).map(|n| serde_json::json!({"name": format!("{n}")})).collect();
    for round in 0..10 {
        let name = format!("round-{round}");
        let folder = project.folder().join(&name);
        std::fs::create_dir(&folder).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a list, which is no database")]
        std::fs::write(folder.join("feature_list.json"), serde_json::json!(list).to_string())
            .unwrap();
        let answers = all(&mut importers, &name);
        let imported = answers.iter().filter(|answer| *answer == "true 40").count();
        let others = answers.iter().filter(|answer| *answer == "false 40").count();
        assert_eq!((imported, others), (1, 7), "{answers:?}");
        assert!(!folder.join("feature_list.json").exists());
        let kept = std::fs::read_dir(&folder).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("feature_list.json.backup.")
        });
        assert_eq!(kept.count(), 1);
    }
}

#[test]
fn a_process_that_died_with_the_lock_is_in_nobodys_way() {
    let (project, store) = Project::with_features(1);
    let mut holder = Child::start("hold_lock", &project.database());
    assert_eq!(holder.hear(), "locked");
    let waiting = store.submit(create("x")).unwrap();
    holder.kill();
    assert_eq!(waiting.wait().unwrap().id.get(), 2);
}

#[test]
fn commands_of_a_store_can_be_sent_from_any_thread() {
    fn sendable<T: Send + Sync + Clone>() {}
    fn sent<C: Command>(_: &C)
    where
        autoforge_store::Reply<C>: Send,
    {
    }
    sendable::<Store<Features>>();
    sent(&ClaimNext);
    let project = Project::new();
    let store =
        Store::<Features>::open_file(project.folder().join("any.db"), &OpenOptions::default())
            .unwrap();
    let made = together(4, |_| store.call(create("x")).unwrap().id.get());
    assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), (1..=4).collect());
}
