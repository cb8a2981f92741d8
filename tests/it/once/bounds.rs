//! For how long and how many answers are kept.

use std::time::Duration;

use autoforge_store::{
    Circumstances, Command, GetPolicy, Moment, Policy, SetPolicy, Store, Timestamp,
};

use super::{id, kept};
use crate::support::{Project, create, number};

fn set(store: &Store, change: impl FnOnce(&mut Policy)) {
    let mut policy = store.call(GetPolicy).unwrap();
    change(&mut policy);
    store.call(SetPolicy(policy)).unwrap();
}

/// Creates a feature under an id, and gives the feature's.
fn send(store: &Store, request: &str) -> i64 {
    store.call(create("x").once(id(request))).unwrap().id.get()
}

/// The same, at so many seconds by the clock on the wall.
fn send_at(store: &Store, request: &str, seconds: i64) -> i64 {
    let wall = Timestamp::from_microseconds(seconds * 1_000_000).unwrap();
    let then = Circumstances::told(Moment { wall, uptime: None }, []);
    let command = create("x").once(id(request)).because("it is time").in_circumstances(then);
    store.call(command).unwrap().id.get()
}

#[test]
fn the_number_of_answers_is_bounded_and_the_latest_stay() {
    let (project, store) = Project::with_features(0);
    set(&store, |policy| policy.answers = 5);
    for n in 1..=40 {
        assert_eq!(send(&store, &format!("{n}")), n);
        assert!(kept(&project).len() <= 5);
    }
    assert_eq!(kept(&project), ["36", "37", "38", "39", "40"]);
    for n in 36..=40 {
        assert_eq!(send(&store, &format!("{n}")), n);
    }
    // What is forgotten is a new request.
    assert_eq!(send(&store, "35"), 41);
    assert_eq!(kept(&project), ["37", "38", "39", "40", "35"]);
}

#[test]
fn a_bound_that_was_lowered_is_reached_little_by_little() {
    let (project, store) = Project::with_features(0);
    for n in 1..=30 {
        send(&store, &format!("{n}"));
    }
    set(&store, |policy| policy.answers = 2);
    let counts: Vec<usize> = (31..=36)
        .map(|n| {
            send(&store, &format!("{n}"));
            kept(&project).len()
        })
        .collect();
    assert_eq!(counts, [23, 16, 9, 2, 2, 2]);
}

#[test]
fn no_answer_is_kept_where_none_shall_be() {
    let (project, store) = Project::with_features(0);
    set(&store, |policy| policy.answers = 0);
    assert_eq!((send(&store, "a"), send(&store, "a")), (1, 2));
    assert_eq!(kept(&project), [""; 0]);
}

#[test]
fn the_age_of_answers_is_bounded() {
    const HOUR: i64 = 3600;
    let (project, store) = Project::with_features(0);
    assert_eq!(Policy::default().answers_for, Duration::from_hours(24));
    for (n, hour) in [(1, 0), (2, 1), (3, 2), (4, 24)] {
        assert_eq!(send_at(&store, &format!("{n}"), hour * HOUR), n);
    }
    assert_eq!(kept(&project), ["1", "2", "3", "4"], "a day is not over");
    // Nothing new has come, so nothing is forgotten, and what is there is given.
    assert_eq!(send_at(&store, "1", 100 * HOUR), 1);
    assert_eq!(send_at(&store, "5", 25 * HOUR + 1), 5);
    assert_eq!(kept(&project), ["3", "4", "5"]);
    assert_eq!(send_at(&store, "1", 25 * HOUR + 2), 6);
    set(&store, |policy| policy.answers_for = Duration::from_secs(1));
    assert_eq!(send_at(&store, "6", 25 * HOUR + 3), 7);
    assert_eq!(kept(&project), ["1", "6"]);
}

#[test]
fn a_clock_that_jumps_makes_the_table_no_larger_than_its_number() {
    let (project, store) = Project::with_features(0);
    set(&store, |policy| policy.answers = 20);
    // Years ahead, and back: nothing is older than a day from now on.
    for n in 0..30 {
        send_at(&store, &format!("ahead {n}"), 4_000_000_000);
    }
    for n in 0..30 {
        send_at(&store, &format!("back {n}"), 1_000_000_000);
        assert!(kept(&project).len() <= 20);
    }
    assert_eq!(kept(&project).first().map(String::as_str), Some("back 10"));
    // A jump ahead forgets a few for each that comes, not all at once.
    send_at(&store, "ahead again", 4_000_000_000);
    assert_eq!(kept(&project).len(), 13);
    // The ends of time.
    send_at(&store, "first", -377_705_023_200);
    send_at(&store, "last", 253_402_207_200);
    set(&store, |policy| policy.answers_for = Duration::MAX);
    send_at(&store, "for ever", 253_402_207_200);
    let file = project.foreign();
    assert!(number(&file, "SELECT count(*) FROM autoforge_requests") > 0);
}
