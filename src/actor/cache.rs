//! The engine cache: at most one resident a key, made on first use and gone after its last.
//!
//! One mutex guards who is in, and it is held only to look and to note, never while a resident is
//! made or closed, so a slow file keeps nobody else waiting. Whoever wants a key that somebody is
//! just making or closing waits for the outcome.
//!
//! A resident's own thread holds a [`Resident`]: its slot is free exactly when that thread has let
//! go of it, however it ended.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::sync::{Condvar, Mutex};

/// What lives in the cache.
pub(crate) trait Resource {
    /// It still serves.
    fn is_usable(&self) -> bool;
    /// Ends it: returns once its thread has let go of its [`Resident`], unless it is that thread
    /// which calls. Harmless when repeated.
    fn close(&self);
}

/// The residents by key.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    inner: Mutex<Inner<K, V>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<K, V> {
    slots: HashMap<K, Slot<V>>,
    /// Tells a slot from a later one under the same key.
    next_generation: u64,
}

#[derive(Debug)]
struct Slot<V> {
    generation: u64,
    state: State<V>,
}

#[derive(Debug)]
enum State<V> {
    /// Somebody is making it.
    Opening,
    /// It serves.
    Open {
        value: Arc<V>,
        /// [`Handle`]s that have been given out and not been dropped.
        handles: usize,
    },
    /// Somebody is closing it.
    Closing,
}

impl<K: Clone + Eq + Hash, V: Resource> Cache<K, V> {
    pub(crate) fn new() -> Self {
        let inner = Inner { slots: HashMap::new(), next_generation: 0 };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// Gives the resident of `key`, made by `open` where there is none that serves. Of several
    /// callers at once one makes it and the others get the same; if it fails, each of them tries in
    /// turn and gets its own error.
    ///
    /// `open` must let go of the [`Resident`] when, and only when, the resident has ended.
    pub(crate) fn get_or_open<E>(
        self: &Arc<Self>,
        key: &K,
        open: impl FnOnce(Resident<K, V>) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E> {
        let generation = loop {
            match self.look(key) {
                Found::Resident(handle) => return Ok(handle),
                Found::Unusable(value) => value.close(),
                Found::Vacant(generation) => break generation,
            }
        };
        let resident = Resident { cache: Arc::clone(self), key: key.clone(), generation };
        let value = Arc::new(open(resident)?);
        let mut inner = self.inner.lock();
        // The resident may have ended already; then its slot is gone, and the caller finds out
        // from the value itself.
        if let Some(slot) = inner.slots.get_mut(key).filter(|slot| slot.generation == generation) {
            slot.state = State::Open { value: Arc::clone(&value), handles: 1 };
        }
        self.changed.notify_all();
        drop(inner);
        Ok(Handle { cache: Arc::clone(self), key: key.clone(), generation, value })
    }

    /// Ends the resident of `key`, if there is one, and returns it once it has ended. One that is
    /// being made is waited for.
    pub(crate) fn dispose(&self, key: &K) -> Option<Arc<V>> {
        let mut inner = self.inner.lock();
        let (value, generation) = loop {
            match inner.slots.get_mut(key) {
                None => return None,
                Some(slot) => {
                    if let State::Open { value, .. } = &slot.state {
                        let value = Arc::clone(value);
                        slot.state = State::Closing;
                        break (value, slot.generation);
                    }
                }
            }
            self.changed.wait(&mut inner);
        };
        drop(inner);
        value.close();
        let mut inner = self.inner.lock();
        while inner.slots.get(key).is_some_and(|slot| slot.generation == generation) {
            self.changed.wait(&mut inner);
        }
        Some(value)
    }

    /// Whether the key has a resident, or is about to have one.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.inner.lock().slots.contains_key(key)
    }

    fn look(self: &Arc<Self>, key: &K) -> Found<K, V> {
        let mut inner = self.inner.lock();
        loop {
            let Some(slot) = inner.slots.get_mut(key) else {
                let generation = inner.next_generation;
                inner.next_generation += 1;
                inner.slots.insert(key.clone(), Slot { generation, state: State::Opening });
                return Found::Vacant(generation);
            };
            let generation = slot.generation;
            match &mut slot.state {
                State::Open { value, handles } if value.is_usable() => {
                    *handles += 1;
                    let (cache, value) = (Arc::clone(self), Arc::clone(value));
                    return Found::Resident(Handle { cache, key: key.clone(), generation, value });
                }
                State::Open { value, .. } => {
                    let value = Arc::clone(value);
                    slot.state = State::Closing;
                    return Found::Unusable(value);
                }
                State::Opening | State::Closing => self.changed.wait(&mut inner),
            }
        }
    }
}

enum Found<K: Eq + Hash, V: Resource> {
    Resident(Handle<K, V>),
    Unusable(Arc<V>),
    Vacant(u64),
}

/// A use of a resident. The last one to be dropped closes it.
#[derive(Debug)]
pub(crate) struct Handle<K: Eq + Hash, V: Resource> {
    cache: Arc<Cache<K, V>>,
    key: K,
    generation: u64,
    value: Arc<V>,
}

impl<K: Eq + Hash, V: Resource> std::ops::Deref for Handle<K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<K: Eq + Hash, V: Resource> Drop for Handle<K, V> {
    fn drop(&mut self) {
        let last = {
            let mut inner = self.cache.inner.lock();
            match inner.slots.get_mut(&self.key) {
                Some(Slot { generation, state }) if *generation == self.generation => match state {
                    State::Open { handles, .. } if *handles > 1 => {
                        *handles -= 1;
                        false
                    }
                    State::Open { .. } => {
                        *state = State::Closing;
                        true
                    }
                    State::Opening | State::Closing => false,
                },
                _ => false,
            }
        };
        if last {
            self.value.close();
        }
    }
}

/// Held by a resident's thread for as long as the resident lives; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Resident<K: Eq + Hash, V> {
    cache: Arc<Cache<K, V>>,
    key: K,
    generation: u64,
}

impl<K: Eq + Hash, V> Drop for Resident<K, V> {
    fn drop(&mut self) {
        let mut inner = self.cache.inner.lock();
        if inner.slots.get(&self.key).is_some_and(|slot| slot.generation == self.generation) {
            // What it held is dropped after the lock is let go.
            let slot = inner.slots.remove(&self.key);
            self.cache.changed.notify_all();
            drop(inner);
            drop(slot);
        }
    }
}

#[cfg(all(test, not(any(autoforge_loom, autoforge_shuttle))))]
#[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::sync::{Lane, Patience, Received, Sender, mailbox};

    /// Holds its own slot, as the thread of an engine does.
    #[derive(Default)]
    struct Plain {
        held: Mutex<Option<Resident<u8, Plain>>>,
        /// Who lets go of the slot after it was closed; it does so itself where there is nobody.
        thread: Option<Sender<Resident<u8, Plain>>>,
        is_over: AtomicBool,
        closings: AtomicUsize,
    }

    impl Plain {
        fn closings(&self) -> usize {
            self.closings.load(Ordering::SeqCst)
        }

        fn let_go(&self) -> Option<Resident<u8, Plain>> {
            self.held.lock().take()
        }
    }

    impl Resource for Plain {
        fn is_usable(&self) -> bool {
            !self.is_over.load(Ordering::SeqCst)
        }

        fn close(&self) {
            self.closings.fetch_add(1, Ordering::SeqCst);
            let held = self.let_go();
            if let (Some(thread), Some(held)) = (&self.thread, held) {
                assert!(thread.send(Lane::Write, held).is_ok());
            }
        }
    }

    type Plains = Arc<Cache<u8, Plain>>;

    fn open_by(cache: &Plains, thread: Option<Sender<Resident<u8, Plain>>>) -> Handle<u8, Plain> {
        let open = |resident| {
            let held = Mutex::new(Some(resident));
            Ok(Plain { held, thread, ..Plain::default() })
        };
        cache.get_or_open::<()>(&1, open).unwrap()
    }

    fn open(cache: &Plains) -> Handle<u8, Plain> {
        open_by(cache, None)
    }

    fn is_one(one: &Handle<u8, Plain>, other: &Handle<u8, Plain>) -> bool {
        Arc::ptr_eq(&one.value, &other.value)
    }

    #[test]
    fn an_opening_that_panics_frees_its_slot() {
        let cache = Arc::new(Cache::<u8, Plain>::new());
        let open = || cache.get_or_open::<()>(&1, |_resident| panic!("while opening"));
        assert!(catch_unwind(AssertUnwindSafe(open)).is_err());
        // Nobody waits for ever for what has ended.
        assert!(cache.get_or_open::<()>(&1, |_resident| Ok(Plain::default())).is_ok());
    }

    #[test]
    fn the_last_of_the_handles_closes_the_resident() {
        let cache = Arc::new(Cache::new());
        let (one, other) = (open(&cache), open(&cache));
        assert!(is_one(&one, &other));
        let value = Arc::clone(&one.value);
        drop(one);
        assert_eq!((value.closings(), cache.has(&1)), (0, true));
        drop(other);
        assert_eq!((value.closings(), cache.has(&1)), (1, false));
    }

    #[test]
    fn a_handle_to_one_that_has_ended_does_nothing_to_its_successor() {
        let cache = Arc::new(Cache::new());
        let old = open(&cache);
        drop(old.let_go());
        let new = open(&cache);
        assert!(!is_one(&old, &new));
        drop(old);
        let inner = cache.inner.lock();
        let state = inner.slots.get(&1).map(|slot| &slot.state);
        assert!(matches!(state, Some(State::Open { handles: 1, .. })), "others can still have it");
    }

    #[test]
    fn one_that_serves_no_more_is_closed_and_replaced() {
        let cache = Arc::new(Cache::new());
        let old = open(&cache);
        old.is_over.store(true, Ordering::SeqCst);
        let new = open(&cache);
        assert!(!is_one(&old, &new));
        assert_eq!((old.closings(), new.closings()), (1, 0));
    }

    #[test]
    fn disposing_returns_after_the_resident_has_let_go() {
        let cache = Arc::new(Cache::new());
        let (thread, closed) = mailbox(1);
        let handle = open_by(&cache, Some(thread));
        let (cache, over) = (&cache, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let held = loop {
                    if let Received::Write(held) = closed.recv(true, Patience::Idle) {
                        break held;
                    }
                };
                over.store(true, Ordering::SeqCst);
                drop(held);
            });
            assert!(cache.dispose(&1).is_some());
            assert!(over.load(Ordering::SeqCst) && !cache.has(&1));
        });
        assert_eq!(handle.closings(), 1);
    }
}
