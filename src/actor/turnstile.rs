//! A turnstile before the write lock: of the processes that want it, one at a time is next.
//!
//! A lock that each of several processes tries again and again goes to whoever happens to try in the
//! right moment, and rests between two tries. So they stand in line at a barrier, which only who comes
//! next has passed: that one tries without a pause, and lets the following one pass as soon as it has the
//! lock. While a group is carried out, the next process is awake and ready for its end.
//!
//! It orders who tries when, and protects nothing. A process that never passes it is in the right too.
//!
//! The system lets one wait at a barrier only with a thread that does nothing else. That thread is there
//! from the first time that somebody else was before us.

use std::fmt;
use std::sync::Arc;

use crate::sync::{Bell, Condvar, Mutex, spawn};

/// A lock that one process at a time holds.
pub(crate) trait Barrier: fmt::Debug + Send + Sync + 'static {
    /// Takes it if nobody has it.
    fn try_lock(&self) -> bool;
    /// Waits until it can be taken, in the order in which others do; `false` where the system cannot.
    fn lock(&self) -> bool;
    /// Gives it back.
    fn unlock(&self);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Not in line.
    Apart,
    /// In line: the thread waits at the barrier.
    Behind,
    /// The same, though nobody wants to pass any more.
    Reluctant,
    /// The barrier is ours.
    Next,
    /// There is no order: the system cannot wait for the barrier.
    Broken,
    /// The turnstile is gone.
    Gone,
}

#[derive(Debug)]
struct Shared<B> {
    barrier: B,
    place: Mutex<Place>,
    wanted: Condvar,
}

/// One process's way through; see the module.
#[derive(Debug)]
pub(crate) struct Turnstile<B: Barrier> {
    shared: Arc<Shared<B>>,
    bell: Bell,
    has_thread: bool,
}

impl<B: Barrier> Turnstile<B> {
    /// `bell` is rung when the turn has come.
    pub(crate) fn new(barrier: B, bell: Bell) -> Self {
        let shared = Shared { barrier, place: Mutex::new(Place::Apart), wanted: Condvar::new() };
        Self { shared: Arc::new(shared), bell, has_thread: false }
    }

    /// Whether our turn has come; gets in line otherwise.
    pub(crate) fn is_next(&mut self) -> bool {
        let mut place = self.shared.place.lock();
        match *place {
            Place::Apart if self.shared.barrier.try_lock() => *place = Place::Next,
            Place::Apart | Place::Reluctant => *place = Place::Behind,
            Place::Behind | Place::Next | Place::Broken | Place::Gone => {}
        }
        if *place != Place::Behind {
            return true;
        }
        drop(place);
        self.shared.wanted.notify_all();
        if !self.has_thread {
            let (shared, bell) = (Arc::clone(&self.shared), self.bell.clone());
            let thread = spawn("autoforge-turn", move || shared.stand_in_line(&bell));
            self.has_thread = thread.is_ok();
            if !self.has_thread {
                *self.shared.place.lock() = Place::Broken;
                return true;
            }
        }
        false
    }

    /// Lets the following one pass, and leaves the line.
    pub(crate) fn pass(&mut self) {
        let mut place = self.shared.place.lock();
        match *place {
            Place::Next => {
                self.shared.barrier.unlock();
                *place = Place::Apart;
            }
            Place::Behind => *place = Place::Reluctant,
            Place::Apart | Place::Reluctant | Place::Broken | Place::Gone => {}
        }
    }
}

impl<B: Barrier> Drop for Turnstile<B> {
    /// Waits for nobody: a thread that waits at the barrier lets it go when it comes.
    fn drop(&mut self) {
        self.pass();
        *self.shared.place.lock() = Place::Gone;
        self.shared.wanted.notify_all();
    }
}

impl<B: Barrier> Shared<B> {
    fn stand_in_line(&self, bell: &Bell) {
        let mut place = self.place.lock();
        loop {
            match *place {
                Place::Gone | Place::Broken => return,
                Place::Apart | Place::Next => self.wanted.wait(&mut place),
                Place::Behind | Place::Reluctant => {
                    drop(place);
                    let has_it = self.barrier.lock();
                    place = self.place.lock();
                    *place = self.arrive(*place, has_it);
                    if *place == Place::Next || *place == Place::Broken {
                        bell.ring();
                    }
                }
            }
        }
    }

    /// What becomes of our place at the end of a wait at the barrier. Invariant: the barrier is kept
    /// only for somebody who wants to pass.
    fn arrive(&self, place: Place, has_it: bool) -> Place {
        match place {
            Place::Gone | Place::Reluctant if has_it => {
                self.barrier.unlock();
                if place == Place::Gone { Place::Gone } else { Place::Apart }
            }
            Place::Gone => Place::Gone,
            _ if has_it => Place::Next,
            _ => Place::Broken,
        }
    }
}
