//! shuttle runs the actor and the engine cache, as they ship, in sizes that loom cannot reach: many
//! callers with many jobs each, through orders chosen at random.
//!
//! Run with `RUSTFLAGS="--cfg autoforge_shuttle" cargo test --profile loom -p autoforge-store-models`. Each model
//! prints how many orders were tried; `SHUTTLE_ORDERS` says how many that shall be. An order that fails
//! is printed in a form that shuttle can replay.

use std::sync::Arc;

use super::model_stage::{
    Log, Openings, TestActor, TestCache, TestStorage, assert_committed, post, start, use_key,
};
use super::{Asker, Cache, Outcome};
use crate::sync::{Lane, Mutex};

/// So many points of an order are chosen against what a fair scheduler would do.
const DEPTH: usize = 3;

/// Tries so many orders, half of them at random and half by priorities that change at few points, which
/// finds what only a rare order shows.
fn explore(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let orders = std::env::var("SHUTTLE_ORDERS").ok().and_then(|orders| orders.parse().ok());
    let half = orders.unwrap_or(4_000_usize).div_ceil(2);
    let model = Arc::new(model);
    let again = Arc::clone(&model);
    shuttle::check_random(move || model(), half);
    shuttle::check_pct(move || again(), half, DEPTH);
    println!("shuttle: {name}: {} orders", 2 * half);
}

/// What a caller knows at the end of its jobs: its places in the log, in the order of its jobs.
fn call(actor: &TestActor, log: &Log, caller: u32, jobs: u32) -> Vec<usize> {
    let ids = (0..jobs).map(|job| caller * 100 + job);
    // All of them at once: a caller need not wait for one before it hands in the next.
    let handed: Vec<(u32, Option<Asker<usize>>)> =
        ids.map(|id| (id, post(actor, Lane::Write, id))).collect();
    let mut places = Vec::new();
    for (id, asker) in handed {
        match asker.map(Asker::wait) {
            Some(Outcome::Answer(place)) => {
                assert_committed(log, id, place);
                places.push(place);
            }
            Some(Outcome::Lost { started }) => {
                assert!(
                    started || !log.lock().contains(&id),
                    "lost without a start, yet committed"
                );
            }
            None => assert!(!log.lock().contains(&id), "refused, and yet committed"),
            other => panic!("{other:?}"),
        }
    }
    assert!(places.is_sorted(), "a caller's jobs changed places");
    places
}

fn callers(
    actor: &TestActor,
    log: &Log,
    count: u32,
    jobs: u32,
) -> Vec<crate::sync::JoinHandle<Vec<usize>>> {
    let one = |caller| {
        let (actor, log) = (Arc::clone(actor), Arc::clone(log));
        shuttle::thread::spawn(move || call(&actor, &log, caller, jobs))
    };
    (1..=count).map(one).collect()
}

#[test]
fn shuttle_twelve_callers_with_four_jobs_each_are_answered_once_and_in_order() {
    explore("twelve callers, four jobs each", || {
        let log = Log::default();
        let actor = start(8, TestStorage { busy: 1, ..TestStorage::new(&log) });
        let callers = callers(&actor, &log, 12, 4);
        let answered: usize = callers.into_iter().map(|caller| caller.join().unwrap().len()).sum();
        assert_eq!(answered, 48);
        assert!(actor.close());
        assert_eq!(actor.report(), Some(48));
    });
}

#[test]
fn shuttle_a_mailbox_of_one_place_loses_no_wake_up_of_many() {
    explore("eight callers and four readers, one place", || {
        let log = Log::default();
        let actor = start(1, TestStorage::new(&log));
        let writers = callers(&actor, &log, 8, 3);
        let readers = [(); 4].map(|()| {
            let actor = Arc::clone(&actor);
            shuttle::thread::spawn(move || {
                for _ in 0..3 {
                    let asker = post(&actor, Lane::Read, 0).unwrap();
                    assert!(matches!(asker.wait(), Outcome::Answer(_)));
                }
            })
        });
        for writer in writers {
            assert_eq!(writer.join().unwrap().len(), 3);
        }
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(actor.close());
    });
}

#[test]
fn shuttle_what_was_accepted_before_a_close_is_carried_out() {
    explore("six callers, four jobs each, two closers", || {
        let log = Log::default();
        let actor = start(4, TestStorage::new(&log));
        let callers = callers(&actor, &log, 6, 4);
        let closers = [(); 2].map(|()| {
            let actor = Arc::clone(&actor);
            shuttle::thread::spawn(move || {
                assert!(actor.close());
                actor.report().expect("a closer returned before the end")
            })
        });
        let answered: usize = callers.into_iter().map(|caller| caller.join().unwrap().len()).sum();
        for closer in closers {
            assert_eq!(closer.join().unwrap(), answered, "accepted, and not answered");
        }
        assert_eq!(log.lock().len(), answered);
    });
}

#[test]
fn shuttle_when_the_actor_dies_every_one_of_many_callers_is_told() {
    explore("eight callers, three jobs each, a storage that dies", || {
        let log = Log::default();
        let storage = TestStorage { dies_at: Some(401), ..TestStorage::new(&log) };
        let actor = start(4, storage);
        for caller in callers(&actor, &log, 8, 3) {
            caller.join().unwrap();
        }
        assert!(actor.close());
    });
}

#[test]
fn shuttle_users_disposers_and_failing_openings_of_two_keys_all_come_to_an_end() {
    explore("cache: six users, two disposers, two failing openings, two keys", || {
        let cache = TestCache::new(Cache::new());
        let openings = [(); 2].map(|()| Arc::new(Mutex::new(Openings::default())));
        let mut threads = Vec::new();
        for user in 0..6_u8 {
            let (cache, openings) = (Arc::clone(&cache), openings.clone());
            threads.push(shuttle::thread::spawn(move || {
                for turn in 0..2_u8 {
                    let key = (user + turn) % 2;
                    use_key(&cache, key, &openings[usize::from(key)]);
                }
            }));
        }
        for key in 0..2_u8 {
            let disposing = Arc::clone(&cache);
            threads.push(shuttle::thread::spawn(move || {
                if let Some(resident) = disposing.dispose(&key) {
                    assert!(resident.actor.report().is_some(), "dispose returned before the end");
                }
            }));
            let failing = Arc::clone(&cache);
            threads.push(shuttle::thread::spawn(move || {
                drop(failing.get_or_open(&key, |_resident| Err("no such folder")));
            }));
        }
        for thread in threads {
            thread.join().unwrap();
        }
        for openings in &openings {
            assert_eq!(openings.lock().live, 0, "a resident without a handle");
        }
    });
}
