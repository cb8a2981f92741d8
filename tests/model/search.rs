//! Searching for an order of calls that explains their outcomes, where nothing tells the order.
//!
//! Wing and Gong's search with Lowe's memory: of the calls that no other must come before, one is tried
//! after the other, and a set of calls done that has led to a known state once is not tried again. A read is
//! taken as soon as it is explained; it could only lose by waiting.
//!
//! It stands here because of what libraries do: the tester of `stateright` 0.31 has no such memory, so it
//! needs a time that is exponential in the calls at once where a history has no order, and `todc-utils`
//! 0.1.1, which has one, keeps whole states to compare, knows one beginning and asks nothing of the end.
//! Both were judged by their sources and documentation, not measured.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A call that somebody made, as the search sees it.
pub(crate) trait Recorded {
    type State: Clone;
    type Time: PartialOrd;

    fn began(&self) -> &Self::Time;
    fn ended(&self) -> &Self::Time;
    /// Carries it out; whether its outcome is what was told.
    fn is_told_by(&self, state: &mut Self::State) -> bool;
    /// Whether it never changes anything, whatever the state.
    fn is_read(&self) -> bool {
        false
    }
    /// All of the state that outcomes depend on.
    fn digest(state: &Self::State) -> u64;
}

/// A digest of what a value shows of itself.
pub(crate) fn shown(value: &dyn std::fmt::Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{value:?}").hash(&mut hasher);
    hasher.finish()
}

struct Search<'h, C: Recorded> {
    histories: &'h [&'h [C]],
    end: &'h dyn Fn(&C::State) -> bool,
    /// How far each history was when a state was found, and the state.
    known: HashSet<(Vec<usize>, u64)>,
    furthest: Vec<usize>,
}

/// What came of a search.
pub(crate) struct Searched {
    pub(crate) found: bool,
    /// How many states were tried.
    pub(crate) states: usize,
    /// How far each history was where most calls were explained.
    pub(crate) furthest: Vec<usize>,
}

/// Whether some order of the calls has these outcomes and this end: those of each history in their order,
/// and no call before one that had ended when it began.
pub(crate) fn is_explained<C: Recorded>(
    state: &C::State,
    histories: &[&[C]],
    end: &dyn Fn(&C::State) -> bool,
) -> Searched {
    let done = vec![0; histories.len()];
    let mut search = Search { histories, end, known: HashSet::new(), furthest: done.clone() };
    let found = search.goes_on(state, &done);
    Searched { found, states: search.known.len(), furthest: search.furthest }
}

impl<C: Recorded> Search<'_, C> {
    fn goes_on(&mut self, state: &C::State, done: &[usize]) -> bool {
        let digest = C::digest(state);
        if !self.known.insert((done.to_vec(), digest)) {
            return false;
        }
        if done.iter().sum::<usize>() > self.furthest.iter().sum() {
            self.furthest = done.to_vec();
        }
        let heads = self.histories.iter().zip(done).enumerate();
        let mut heads: Vec<(usize, &C)> =
            heads.filter_map(|(at, (calls, done))| Some((at, calls.get(*done)?))).collect();
        if heads.is_empty() {
            return (self.end)(state);
        }
        let is_first = |call: &C| heads.iter().all(|(_, other)| other.ended() >= call.began());
        let mut possible: Vec<(usize, &C)> =
            heads.iter().copied().filter(|(_, call)| is_first(call)).collect();
        possible.sort_by(|(_, a), (_, b)| {
            a.ended().partial_cmp(b.ended()).unwrap_or(std::cmp::Ordering::Equal)
        });
        heads.clear();
        let mut changed = Vec::new();
        for (at, call) in possible {
            let mut after = state.clone();
            if !call.is_told_by(&mut after) {
                continue;
            }
            let mut further = done.to_vec();
            further[at] += 1;
            if call.is_read() {
                return self.goes_on(&after, &further);
            }
            changed.push((after, further));
        }
        changed.iter().any(|(after, further)| self.goes_on(after, further))
    }
}
