//! loom runs the actor, its slots and the engine cache, as they ship, through every interleaving
//! within a bound on preemptions.
//!
//! Run with `RUSTFLAGS="--cfg autoforge_loom" cargo test --profile loom -p autoforge-store-models`. Each model
//! prints how many executions it took; a model that a limit of loom's own would cut short fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as PlainCounter, Ordering};

use super::model_stage::{
    Log, Openings, TestCache, TestStorage, assert_committed, open, post, start, use_key,
};
use super::turnstile::TestBarrier;
use super::{Asker, Barrier, Cache, CommitSignal, News, Outcome, Resource, Turnstile};
use crate::sync::{Condvar, Lane, Mutex, Patience, Received, Receiver, mailbox};

/// Explores a model completely within the bound, and says how large it was.
fn explore(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(PlainCounter::new(0));
    let counted = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    // loom ends a model silently at these limits, and the test would pass.
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.max_branches = 10_000;
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        model();
    });
    let bound = preemptions.map_or("unbounded".to_owned(), |bound| bound.to_string());
    let executions = executions.load(Ordering::SeqCst);
    println!("loom: {name}: {executions} executions, preemption bound {bound}, complete");
}

#[test]
fn loom_every_write_is_answered_once_and_after_its_commit() {
    explore("two writers, closed after", Some(3), || {
        let log = Log::default();
        let actor = start(2, TestStorage::new(&log));
        let other = {
            let (actor, log) = (Arc::clone(&actor), Arc::clone(&log));
            loom::thread::spawn(move || {
                let asker = post(&actor, Lane::Write, 1).unwrap();
                let Outcome::Answer(place) = asker.wait() else { panic!("not answered") };
                assert_committed(&log, 1, place);
            })
        };
        let asker = post(&actor, Lane::Write, 2).unwrap();
        let Outcome::Answer(place) = asker.wait() else { panic!("not answered") };
        assert_committed(&log, 2, place);
        other.join().unwrap();
        assert!(actor.close());
        assert_eq!(actor.report(), Some(2));
    });
}

#[test]
fn loom_closing_carries_out_what_was_accepted_and_refuses_the_rest() {
    explore("a writer and a reader racing a close", Some(2), || {
        let log = Log::default();
        let actor = start(2, TestStorage::new(&log));
        let writer = {
            let (actor, log) = (Arc::clone(&actor), Arc::clone(&log));
            loom::thread::spawn(move || match post(&actor, Lane::Write, 1).map(Asker::wait) {
                Some(Outcome::Answer(place)) => assert_committed(&log, 1, place),
                Some(Outcome::Lost { started }) => {
                    assert!(!started && log.lock().is_empty(), "lost after it was accepted");
                }
                None => assert!(log.lock().is_empty(), "refused, and yet committed"),
                other => panic!("{other:?}"),
            })
        };
        let closer = {
            let actor = Arc::clone(&actor);
            loom::thread::spawn(move || assert!(actor.close()))
        };
        match post(&actor, Lane::Read, 9).map(Asker::wait) {
            Some(Outcome::Answer(_) | Outcome::Lost { started: false }) | None => {}
            other => panic!("{other:?}"),
        }
        writer.join().unwrap();
        closer.join().unwrap();
        assert!(actor.report().is_some(), "close returned before the end");
    });
}

#[test]
fn loom_accepted_work_outlives_the_close_even_while_the_lock_is_somebody_elses() {
    explore("submitted, then closed twice, the lock taken", Some(3), || {
        let log = Log::default();
        let actor = start(2, TestStorage { busy: 2, ..TestStorage::new(&log) });
        let asker = post(&actor, Lane::Write, 1).unwrap();
        let closer = {
            let actor = Arc::clone(&actor);
            loom::thread::spawn(move || assert!(actor.close()))
        };
        assert!(actor.close());
        assert!(actor.report().is_some(), "a second closer returned before the end");
        assert_eq!(asker.wait(), Outcome::Answer(0));
        closer.join().unwrap();
    });
}

#[test]
fn loom_a_caller_that_gives_up_knows_whether_its_job_may_have_run() {
    explore("a caller that leaves", Some(3), || {
        let log = Log::default();
        let actor = start(2, TestStorage::new(&log));
        let asker = post(&actor, Lane::Write, 1).unwrap();
        let outcome = asker.wait_until(std::time::Instant::now());
        assert!(actor.close());
        let committed = log.lock().contains(&1);
        match outcome {
            Outcome::Answer(0) | Outcome::Abandoned => assert!(committed),
            Outcome::Withdrawn => assert!(!committed, "withdrawn, and yet committed"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn loom_a_full_mailbox_loses_no_wake_up() {
    explore("two writers, one place", Some(2), || {
        let log = Log::default();
        let actor = start(1, TestStorage::new(&log));
        let writers = [1, 2].map(|id| {
            let actor = Arc::clone(&actor);
            loom::thread::spawn(move || {
                let first = post(&actor, Lane::Write, id).unwrap();
                let second = post(&actor, Lane::Write, id + 10).unwrap();
                let (Outcome::Answer(first), Outcome::Answer(second)) =
                    (first.wait(), second.wait())
                else {
                    panic!("not answered")
                };
                assert!(first < second, "a caller's writes changed places");
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        assert!(actor.close());
        assert_eq!(actor.report(), Some(4));
    });
}

#[test]
fn loom_reads_are_served_while_a_write_waits_for_the_lock() {
    explore("a blocked write and a read", Some(2), || {
        let log = Log::default();
        let storage = TestStorage { busy: 1, ..TestStorage::new(&log) };
        let actor = start(2, storage);
        let reader = {
            let actor = Arc::clone(&actor);
            loom::thread::spawn(move || {
                let asker = post(&actor, Lane::Read, 9).unwrap();
                assert!(matches!(asker.wait(), Outcome::Answer(_)));
            })
        };
        let write = post(&actor, Lane::Write, 1).unwrap();
        // A read behind a write of the same caller takes the writing lane, and sees it.
        let read = post(&actor, Lane::Write, 2).unwrap();
        assert_eq!(write.wait(), Outcome::Answer(0));
        assert_eq!(read.wait(), Outcome::Answer(1));
        reader.join().unwrap();
        assert!(actor.close());
    });
}

#[test]
fn loom_when_the_actor_dies_every_caller_is_told() {
    explore("a storage that dies", Some(2), || {
        let log = Log::default();
        let storage = TestStorage { dies_at: Some(1), ..TestStorage::new(&log) };
        let actor = start(2, storage);
        let other = {
            let (actor, log) = (Arc::clone(&actor), Arc::clone(&log));
            loom::thread::spawn(move || match post(&actor, Lane::Write, 2).map(Asker::wait) {
                Some(Outcome::Answer(place)) => assert_committed(&log, 2, place),
                Some(Outcome::Lost { .. }) | None => {}
                other => panic!("{other:?}"),
            })
        };
        let asker = post(&actor, Lane::Write, 1).unwrap();
        assert!(matches!(asker.wait(), Outcome::Lost { .. }));
        other.join().unwrap();
        assert!(actor.close());
    });
}

fn use_once(cache: &TestCache, openings: &Arc<Mutex<Openings>>) {
    use_key(cache, 1, openings);
}

#[test]
fn loom_racing_opens_share_one_resident_which_the_last_handle_closes() {
    explore("cache: get, get", Some(2), || {
        let cache = TestCache::new(Cache::new());
        let openings = Arc::new(Mutex::new(Openings::default()));
        let other = {
            let (cache, openings) = (Arc::clone(&cache), Arc::clone(&openings));
            loom::thread::spawn(move || use_once(&cache, &openings))
        };
        use_once(&cache, &openings);
        other.join().unwrap();
        assert_eq!(openings.lock().live, 0, "a resident without a handle");
    });
}

#[test]
fn loom_dispose_against_use_serves_or_says_closed() {
    explore("cache: get, dispose", Some(3), || {
        let cache = TestCache::new(Cache::new());
        let openings = Arc::new(Mutex::new(Openings::default()));
        let disposer = {
            let cache = Arc::clone(&cache);
            loom::thread::spawn(move || {
                if let Some(resident) = cache.dispose(&1) {
                    assert!(resident.actor.report().is_some(), "dispose returned before the end");
                }
            })
        };
        use_once(&cache, &openings);
        disposer.join().unwrap();
        assert_eq!(openings.lock().live, 0);
    });
}

#[test]
fn loom_a_failed_open_is_retried_by_whoever_waited() {
    explore("cache: a failing open, another behind it", Some(2), || {
        let cache = TestCache::new(Cache::new());
        let openings = Arc::new(Mutex::new(Openings::default()));
        let failing = {
            let cache = Arc::clone(&cache);
            loom::thread::spawn(move || {
                let failed = cache.get_or_open(&1, |_resident| Err("no such folder"));
                // Either its own attempt failed, or somebody else's resident was there.
                assert!(failed.err().is_none_or(|error| error == "no such folder"));
            })
        };
        use_once(&cache, &openings);
        failing.join().unwrap();
        assert_eq!(openings.lock().live, 0);
    });
}

#[test]
fn loom_of_two_behind_a_failed_open_neither_is_forgotten() {
    explore("cache: a failing open, two behind it", Some(2), || {
        let cache = TestCache::new(Cache::new());
        let openings = Arc::new(Mutex::new(Openings::default()));
        let failing = {
            let cache = Arc::clone(&cache);
            loom::thread::spawn(move || drop(cache.get_or_open(&1, |_| Err("no such folder"))))
        };
        let second = {
            let (cache, openings) = (Arc::clone(&cache), Arc::clone(&openings));
            loom::thread::spawn(move || use_once(&cache, &openings))
        };
        use_once(&cache, &openings);
        second.join().unwrap();
        failing.join().unwrap();
        assert_eq!(openings.lock().live, 0);
    });
}

/// Those who wait for one slot wait for different things, so a wake-up that reached only one of them
/// could be lost on it.
#[test]
fn loom_two_disposers_and_a_user_all_come_to_an_end() {
    explore("cache: dispose, dispose, get", Some(2), || {
        let cache = TestCache::new(Cache::new());
        let openings = Arc::new(Mutex::new(Openings::default()));
        let first = cache.get_or_open(&1, |resident| open(resident, &openings)).unwrap();
        let disposers = [(); 2].map(|()| {
            let cache = Arc::clone(&cache);
            loom::thread::spawn(move || {
                if let Some(resident) = cache.dispose(&1) {
                    assert!(resident.actor.report().is_some(), "dispose returned before the end");
                }
            })
        });
        use_once(&cache, &openings);
        drop(first);
        for disposer in disposers {
            disposer.join().unwrap();
        }
        assert_eq!(openings.lock().live, 0, "a resident without a handle");
    });
}

#[test]
fn loom_a_slow_opening_keeps_nobody_from_another_key() {
    explore("cache: an opening that ends only after another one", Some(2), || {
        let cache = TestCache::new(Cache::new());
        let other_is_open = Arc::new((Mutex::new(false), Condvar::new()));
        let slow = {
            let (cache, other_is_open) = (Arc::clone(&cache), Arc::clone(&other_is_open));
            loom::thread::spawn(move || {
                let opened = cache.get_or_open(&1, |resident| {
                    let (flag, changed) = &*other_is_open;
                    let mut is_open = flag.lock();
                    while !*is_open {
                        changed.wait(&mut is_open);
                    }
                    drop(is_open);
                    open(resident, &Arc::default())
                });
                assert!(opened.is_ok());
            })
        };
        let fast = cache.get_or_open(&2, |resident| open(resident, &Arc::default()));
        assert!(fast.is_ok());
        *other_is_open.0.lock() = true;
        other_is_open.1.notify_all();
        drop(fast);
        slow.join().unwrap();
    });
}

#[test]
fn loom_an_unusable_resident_is_replaced_after_it_has_ended() {
    explore("cache: closed by one handle, wanted by another", Some(2), || {
        let cache = TestCache::new(Cache::new());
        let openings = Arc::new(Mutex::new(Openings::default()));
        let first = cache.get_or_open(&1, |resident| open(resident, &openings)).unwrap();
        let closer = loom::thread::spawn(move || first.close());
        use_once(&cache, &openings);
        closer.join().unwrap();
        let openings = openings.lock();
        assert_eq!(openings.live, 0);
        assert!((1..=2).contains(&openings.ever));
    });
}

#[test]
fn loom_no_commit_is_missed_by_a_watcher() {
    const COMMITS: usize = 2;
    explore("signal: a committer, two watchers", Some(3), || {
        let (signal, log) = (Arc::new(CommitSignal::new()), Log::default());
        let watch = |signal: Arc<CommitSignal>, log: Log| {
            move || {
                // As a watcher must: first the count, then the data.
                let mut seen = signal.seen();
                while log.lock().len() < COMMITS {
                    match signal.wait(seen, None) {
                        News::Commits(count) => seen = count,
                        other => panic!("{other:?} before the last commit was seen"),
                    }
                }
            }
        };
        let other = loom::thread::spawn(watch(Arc::clone(&signal), Arc::clone(&log)));
        let committer = {
            let (signal, log) = (Arc::clone(&signal), Arc::clone(&log));
            loom::thread::spawn(move || {
                for commit in 0..u32::try_from(COMMITS).unwrap() {
                    log.lock().push(commit);
                    signal.raise();
                }
            })
        };
        watch(Arc::clone(&signal), log)();
        committer.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn loom_the_end_wakes_every_watcher() {
    explore("signal: an end beside a watcher", None, || {
        let signal = Arc::new(CommitSignal::new());
        let ending = {
            let signal = Arc::clone(&signal);
            loom::thread::spawn(move || signal.end())
        };
        assert_eq!(signal.wait(signal.seen(), None), News::Ended);
        ending.join().unwrap();
    });
}

/// Comes to its turn, with whatever its bell and its place in line are good for, and passes.
fn pass_when_next(turnstile: &mut Turnstile<TestBarrier>, mailbox: &Receiver<u32>) {
    while !turnstile.is_next() {
        assert!(matches!(mailbox.recv(true, Patience::Idle), Received::Nothing));
    }
    turnstile.pass();
}

#[test]
fn loom_a_turn_that_is_waited_for_comes_and_its_bell_is_heard() {
    explore("turnstile: two processes", Some(3), || {
        let barrier = TestBarrier::new();
        let other = {
            let barrier = barrier.clone();
            loom::thread::spawn(move || {
                assert!(barrier.lock());
                barrier.unlock();
            })
        };
        let (sender, receiver) = mailbox(1);
        let mut turnstile = Turnstile::new(barrier, receiver.bell());
        pass_when_next(&mut turnstile, &receiver);
        other.join().unwrap();
        drop((turnstile, sender));
    });
}

#[test]
fn loom_who_leaves_the_line_keeps_nobody_and_may_come_again() {
    explore("turnstile: one that changes its mind", Some(3), || {
        let barrier = TestBarrier::new();
        assert!(barrier.try_lock());
        let (sender, receiver) = mailbox(1);
        let mut turnstile = Turnstile::new(barrier.clone(), receiver.bell());
        assert!(!turnstile.is_next());
        let other = {
            let barrier = barrier.clone();
            loom::thread::spawn(move || barrier.unlock())
        };
        turnstile.pass();
        pass_when_next(&mut turnstile, &receiver);
        other.join().unwrap();
        drop((turnstile, sender));
        // Whoever comes later need not wait for the end of anybody.
        assert!(barrier.lock());
        barrier.unlock();
    });
}

#[test]
fn loom_a_turnstile_that_goes_while_it_is_in_line_keeps_nobody() {
    explore("turnstile: one that goes", Some(3), || {
        let barrier = TestBarrier::new();
        assert!(barrier.try_lock());
        let (sender, receiver) = mailbox::<u32>(1);
        let mut turnstile = Turnstile::new(barrier.clone(), receiver.bell());
        assert!(!turnstile.is_next());
        let other = {
            let barrier = barrier.clone();
            loom::thread::spawn(move || barrier.unlock())
        };
        drop(turnstile);
        other.join().unwrap();
        assert!(barrier.lock());
        barrier.unlock();
        drop((receiver, sender));
    });
}
