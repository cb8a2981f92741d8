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

/// A barrier, as each of its processes sees it.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(super) struct TestBarrier(Arc<(Mutex<bool>, Condvar)>);

#[cfg(test)]
impl TestBarrier {
    pub(super) fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }
}

#[cfg(test)]
impl Barrier for TestBarrier {
    fn try_lock(&self) -> bool {
        !std::mem::replace(&mut *self.0.0.lock(), true)
    }

    fn lock(&self) -> bool {
        let mut taken = self.0.0.lock();
        while *taken {
            self.0.1.wait(&mut taken);
        }
        *taken = true;
        true
    }

    fn unlock(&self) {
        *self.0.0.lock() = false;
        self.0.1.notify_all();
    }
}

#[cfg(all(test, not(any(autoforge_loom, autoforge_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::{Patience, Received, Receiver, Sender, mailbox};

    /// A turnstile, and the mailbox whose bell it rings.
    struct Process<B: Barrier> {
        turnstile: Turnstile<B>,
        mailbox: Receiver<u32>,
        /// Keeps the mailbox open.
        _sender: Sender<u32>,
    }

    impl<B: Barrier + Clone> Process<B> {
        fn at(barrier: &B) -> Self {
            let (sender, mailbox) = mailbox(1);
            let turnstile = Turnstile::new(barrier.clone(), mailbox.bell());
            Self { turnstile, mailbox, _sender: sender }
        }

        fn is_next(&mut self) -> bool {
            self.turnstile.is_next()
        }

        fn pass(&mut self) {
            self.turnstile.pass();
        }

        fn come(&mut self) {
            while !self.is_next() {
                assert!(matches!(self.mailbox.recv(true, Patience::Idle), Received::Nothing));
            }
        }
    }

    #[test]
    fn one_at_a_time_is_next() {
        let barrier = TestBarrier::new();
        let (mut one, mut other) = (Process::at(&barrier), Process::at(&barrier));
        assert!(one.is_next() && one.is_next());
        assert!(!other.is_next() && !other.is_next());
        one.pass();
        other.come();
        assert!(!one.is_next());
        other.pass();
        one.come();
    }

    #[test]
    fn who_left_the_line_or_is_gone_has_no_turn() {
        let barrier = TestBarrier::new();
        let (mut one, mut two, mut three) =
            (Process::at(&barrier), Process::at(&barrier), Process::at(&barrier));
        assert!(one.is_next() && !two.is_next() && !three.is_next());
        two.pass();
        drop(three);
        drop(one);
        // Each of them lets it go, whoever of them got it first.
        assert!(barrier.lock());
        barrier.unlock();
        two.come();
        two.pass();
        assert!(barrier.lock());
    }

    #[test]
    fn who_comes_back_keeps_the_place_that_was_given_up() {
        let barrier = TestBarrier::new();
        assert!(barrier.try_lock());
        let mut one = Process::at(&barrier);
        assert!(!one.is_next());
        one.pass();
        assert!(!one.is_next());
        barrier.unlock();
        one.come();
        assert!(!barrier.try_lock());
    }

    /// One at which nobody can wait, as on some file systems.
    #[derive(Debug, Clone)]
    struct Broken;

    impl Barrier for Broken {
        fn try_lock(&self) -> bool {
            false
        }

        fn lock(&self) -> bool {
            false
        }

        fn unlock(&self) {}
    }

    #[test]
    fn where_nobody_can_wait_everybody_is_next() {
        let mut one = Process::at(&Broken);
        one.come();
        one.pass();
        assert!(one.is_next());
    }
}
