//! What scheduling asks for, kept in memory between transactions.
//!
//! Invariant: what a command is given is what the rows of its own transaction say. The index says
//! so of every row but those that it knows may have changed, and reads these again before it
//! answers: rows that our own commands have touched, whether or not they were kept, and rows that
//! the history names when other programs have committed. Where the history does not explain what
//! others did, all of it is read anew.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rusqlite::types::ValueRef;

use super::{Access, Circumstances, Tx, claims, features};
use crate::types::{
    AttemptOutcome, ClaimRecord, DependencyGraph, Effect, EventId, FeatureId, GraphNode,
};

/// When so many events have come, reading everything costs less than reading what they name.
const MANY_EVENTS: usize = 4096;

/// The index of one connection. It belongs to the engine, which tells it how transactions end;
/// everything else happens when a command asks.
#[derive(Debug, Default)]
pub(crate) struct SchedulingIndex {
    read: RefCell<Option<Contents>>,
    /// Features whose rows, claims or attempts the running transaction has changed.
    touched: RefCell<Vec<FeatureId>>,
    /// The last event that the running transaction has written down, and when that was.
    own_event: Cell<Option<(EventId, i64)>>,
    /// Whether the running transaction was compared with what other programs have done.
    has_caught_up: Cell<bool>,
}

/// What a transaction had done before a savepoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    touched: usize,
    own_event: Option<(EventId, i64)>,
}

impl SchedulingIndex {
    /// A transaction has begun.
    pub(crate) fn begun(&self) {
        self.has_caught_up.set(false);
        self.own_event.set(None);
    }

    /// A savepoint has begun.
    pub(crate) fn savepoint(&self) -> Before {
        Before { touched: self.touched.borrow().len(), own_event: self.own_event.get() }
    }

    /// What was done since the savepoint is undone.
    pub(crate) fn rolled_back_to(&self, before: Before) {
        self.own_event.set(before.own_event);
        let touched = self.touched.borrow();
        if let Some(contents) = self.read.borrow_mut().as_mut() {
            contents.stale.extend(touched.iter().skip(before.touched));
            contents.knows_attempts = false;
        }
    }

    /// The transaction has ended, with a commit or without any change.
    pub(crate) fn ended(&self) {
        self.touched.borrow_mut().clear();
        let Some(own) = self.own_event.get() else { return };
        if let Some(contents) = self.read.borrow_mut().as_mut() {
            contents.seen.own = Some(own);
            // Others could not write meanwhile, so what they did before is known, and the rest is ours.
            if self.has_caught_up.get() {
                contents.seen.last = Some(own);
            }
        }
    }

    /// Nothing is known any more: a transaction was undone, or its fate is unknown, or the index
    /// itself was interrupted by a panic.
    pub(crate) fn forget(&self) {
        self.read.borrow_mut().take();
        self.touched.borrow_mut().clear();
    }

    /// A feature is about to change.
    pub(super) fn touch(&self, id: FeatureId) {
        self.touched.borrow_mut().push(id);
        if let Some(contents) = self.read.borrow_mut().as_mut() {
            contents.stale.insert(id);
        }
    }

    /// The file's rules are about to change.
    pub(super) fn touch_policy(&self) {
        if let Some(contents) = self.read.borrow_mut().as_mut() {
            contents.knows_attempts = false;
        }
    }

    /// An event of ours was written down.
    pub(super) fn noted(&self, event: EventId, at: i64) {
        self.own_event.set(Some((event, at)));
    }

    /// Whether anything was read, so that asking again costs little.
    pub(super) fn is_read(&self) -> bool {
        self.read.borrow().is_some()
    }

    /// What `look` finds in the rows of this transaction.
    pub(super) fn look<A: Access, T>(
        &self,
        tx: &Tx<'_, A>,
        look: impl FnOnce(&Contents) -> T,
    ) -> rusqlite::Result<T> {
        // Taken out meanwhile: if anything goes wrong in between, nothing half-done is left.
        let known = self.read.borrow_mut().take();
        let known = match known {
            Some(mut contents) if !self.has_caught_up.get() => {
                contents.catch_up(tx)?.then_some(contents)
            }
            known => known,
        };
        let mut contents = match known.filter(|contents| !contents.is_mostly_stale()) {
            Some(contents) => contents,
            None => Contents::read(tx)?,
        };
        self.has_caught_up.set(true);
        contents.find_lapses(tx);
        contents.refresh(tx)?;
        let found = look(&contents);
        self.read.borrow_mut().replace(contents);
        Ok(found)
    }
}

/// The rows as they were read.
#[derive(Debug)]
pub(super) struct Contents {
    graph: Rc<DependencyGraph>,
    /// Failed attempts that are written down, where there are any.
    failures: BTreeMap<FeatureId, u32>,
    /// The standing claims of owners. Leases may have been renewed since.
    owned: BTreeMap<FeatureId, ClaimRecord>,
    /// The features whose owners' claims are over.
    over: BTreeSet<FeatureId>,
    /// Those of them that are in progress, by their flag alone.
    flagged: BTreeSet<FeatureId>,
    /// The limit of attempts that the graph was built with.
    attempts: Option<u32>,
    /// It is still the limit of the file.
    knows_attempts: bool,
    /// What has to be read again.
    stale: BTreeSet<FeatureId>,
    /// What was known of the world when it was last looked which claims are over.
    looked_in: Circumstances,
    seen: Seen,
}

/// Up to where it is known what other programs have done.
#[derive(Debug)]
struct Seen {
    /// SQLite's counter of their commits.
    data_version: i64,
    schema_version: i64,
    /// The triggers are there that write other programs' changes into the history.
    has_triggers: bool,
    /// The last event, and when it was: in a copy of the file that was put in its place, the same
    /// number is another event.
    last: Option<(EventId, i64)>,
    /// The last one that is ours. There may be others' before it that nobody has looked at yet.
    own: Option<(EventId, i64)>,
}

impl Contents {
    pub(super) fn graph(&self) -> Rc<DependencyGraph> {
        Rc::clone(&self.graph)
    }

    /// How many features are in progress by their flags, whatever has become of their claims.
    pub(super) fn flagged_in_progress(&self) -> usize {
        self.graph.counts().in_progress + self.flagged.len()
    }

    /// The claims that are over, by token.
    pub(super) fn lapsed<A: Access>(&self, tx: &Tx<'_, A>) -> Vec<(ClaimRecord, AttemptOutcome)> {
        let claims = self.over.iter().filter_map(|id| self.owned.get(id));
        let mut lapsed: Vec<_> =
            claims.filter_map(|claim| Some((claim.clone(), tx.lapse(claim)?))).collect();
        lapsed.sort_by_key(|(claim, _)| claim.token);
        lapsed
    }

    fn read<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Self> {
        let seen = Seen::now(tx)?;
        let claims = tx.standing_claims()?.into_iter().filter(|claim| claim.owner.is_some());
        let owned: BTreeMap<_, _> = claims.map(|claim| (claim.feature, claim)).collect();
        let (failures, attempts) = (tx.written_failures()?, tx.attempts_limit()?);
        let mut contents = Self {
            graph: Rc::default(),
            failures,
            owned,
            over: BTreeSet::new(),
            flagged: BTreeSet::new(),
            attempts,
            knows_attempts: true,
            stale: BTreeSet::new(),
            looked_in: tx.circumstances().clone(),
            seen,
        };
        let is_over = |claim: &&ClaimRecord| tx.lapse(claim).is_some();
        contents.over =
            contents.owned.values().filter(is_over).map(|claim| claim.feature).collect();
        let mut flagged = BTreeSet::new();
        let nodes = tx.graph_nodes(|mut node| {
            contents.mark(&mut node, &mut flagged);
            node
        })?;
        contents.graph = Rc::new(DependencyGraph::new(nodes));
        contents.flagged = flagged;
        Ok(contents)
    }

    /// Learns what other programs have done; `false` where the history does not explain it.
    fn catch_up<A: Access>(&mut self, tx: &Tx<'_, A>) -> rusqlite::Result<bool> {
        let version = data_version(tx)?;
        if version == self.seen.data_version {
            return Ok(true);
        }
        self.knows_attempts = false;
        if !self.seen.has_triggers || schema_version(tx)? != self.seen.schema_version {
            return Ok(false);
        }
        for (event, at) in self.seen.last.into_iter().chain(self.seen.own) {
            if tx.event_time(event)? != Some(at) {
                return Ok(false);
            }
        }
        let since = self.seen.last.map_or(EventId::START, |(event, _)| event);
        let events = tx.event_marks_after(since, MANY_EVENTS)?;
        if events.len() == MANY_EVENTS {
            return Ok(false);
        }
        self.seen.data_version = version;
        if let Some(last) = events.last() {
            self.seen.last = Some((last.id, last.at));
        }
        let mut appeared = BTreeSet::new();
        for event in &events {
            match event.kind.effect() {
                Effect::Creates => drop(appeared.insert(event.feature)),
                // Its row got a number that nobody wrote down.
                Effect::Changes
                    if event.has_changes
                        && !self.graph.contains(event.feature)
                        && !self.stale.contains(&event.feature)
                        && !appeared.contains(&event.feature) =>
                {
                    return Ok(false);
                }
                Effect::Changes | Effect::Removes => {}
            }
        }
        self.stale.extend(events.iter().map(|event| event.feature));
        if events.iter().all(|event| event.is_own) {
            return self.follow_renewals(tx);
        }
        Ok(true)
    }

    /// Whether leases were renewed, which is not in the history and so explains a commit without any
    /// event.
    fn follow_renewals<A: Access>(&mut self, tx: &Tx<'_, A>) -> rusqlite::Result<bool> {
        self.refresh(tx)?;
        let mut claims = tx.standing_claims()?;
        claims.retain(|claim| claim.owner.is_some());
        let mut has_renewals = false;
        for claim in &claims {
            match self.owned.get_mut(&claim.feature) {
                Some(known) if known.token == claim.token => {
                    has_renewals |= known.lease != claim.lease;
                    known.lease.clone_from(&claim.lease);
                }
                _ => return Ok(false),
            }
        }
        Ok(has_renewals && claims.len() == self.owned.len())
    }

    /// Whether reading all costs less than reading again what may have changed.
    fn is_mostly_stale(&self) -> bool {
        self.stale.len() > 256 && self.stale.len() > self.graph.counts().total / 4
    }

    /// Finds the claims that have come to be over since it was last looked, or seem to: their leases
    /// may have been renewed since they were read. A group is carried out in one moment.
    fn find_lapses<A: Access>(&mut self, tx: &Tx<'_, A>) {
        if self.looked_in == *tx.circumstances() {
            return;
        }
        self.looked_in = tx.circumstances().clone();
        let is_over = |claim: &ClaimRecord| tx.lapse(claim).is_some();
        let changed =
            self.owned.iter().filter(|(id, claim)| is_over(claim) != self.over.contains(id));
        self.stale.extend(changed.map(|(id, _)| *id));
    }

    /// Reads again what may have changed.
    ///
    /// Invariant: no claim is taken for over whose lease somebody has renewed.
    fn refresh<A: Access>(&mut self, tx: &Tx<'_, A>) -> rusqlite::Result<()> {
        if !self.knows_attempts {
            let attempts = tx.attempts_limit()?;
            if attempts != self.attempts {
                self.attempts = attempts;
                self.stale.extend(self.failures.keys().chain(&self.over));
            }
            self.knows_attempts = true;
        }
        for id in std::mem::take(&mut self.stale) {
            let SchedulingRow { node, claim, failures } = tx.scheduling_row(id)?;
            let claim = claim.filter(|claim| claim.owner.is_some());
            if claim.as_ref().is_some_and(|claim| tx.lapse(claim).is_some()) {
                self.over.insert(id);
            } else {
                self.over.remove(&id);
            }
            match claim {
                Some(claim) => drop(self.owned.insert(id, claim)),
                None => drop(self.owned.remove(&id)),
            }
            match failures {
                0 => drop(self.failures.remove(&id)),
                failures => drop(self.failures.insert(id, failures)),
            }
            self.flagged.remove(&id);
            let mut flagged = std::mem::take(&mut self.flagged);
            let node = node.map(|mut node| {
                self.mark(&mut node, &mut flagged);
                node
            });
            self.flagged = flagged;
            let graph = Rc::make_mut(&mut self.graph);
            match node {
                Some(node) if graph.node(id) == Some(&node) => {}
                Some(node) => graph.set(node),
                None => graph.remove(id),
            }
        }
        Ok(())
    }

    /// Makes of what a row says what counts: with the claims and the failed attempts of the feature.
    fn mark(&self, node: &mut GraphNode, flagged: &mut BTreeSet<FeatureId>) {
        let is_over = self.over.contains(&node.id);
        if is_over && node.in_progress {
            node.in_progress = false;
            flagged.insert(node.id);
        }
        let failures = self.failures.get(&node.id).copied().unwrap_or(0);
        let failures = failures.saturating_add(is_over.into());
        node.exhausted = failures > 0 && self.attempts.is_some_and(|limit| failures >= limit);
    }
}

impl Seen {
    fn now<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Self> {
        Ok(Self {
            data_version: data_version(tx)?,
            schema_version: schema_version(tx)?,
            has_triggers: tx.has_feature_triggers()?,
            last: tx.last_event_mark()?,
            own: None,
        })
    }
}

/// What the rows say that are about one feature.
#[derive(Debug, Default)]
struct SchedulingRow {
    /// `None` where there is no such feature.
    node: Option<GraphNode>,
    claim: Option<ClaimRecord>,
    failures: u32,
}

impl<A: Access> Tx<'_, A> {
    /// All of it by one statement: one for each would take three times as long.
    fn scheduling_row(&self, id: FeatureId) -> rusqlite::Result<SchedulingRow> {
        let row = self.first(
            claims::select_claims!(
                ", (SELECT failures FROM autoforge_budgets AS budget
                     WHERE budget.feature_id = wanted.id),
                     feature.id, feature.priority, feature.passes, feature.in_progress,
                     feature.needs_human_input, feature.dependencies
                 FROM (SELECT ?1 AS id) AS wanted
                 LEFT JOIN features AS feature ON feature.id = wanted.id
                 LEFT JOIN autoforge_claims AS claim
                     ON claim.feature_id = wanted.id AND claim.outcome IS NULL"
            ),
            [id.get()],
            |row| {
                let is_there =
                    |column| Ok::<_, rusqlite::Error>(row.get_ref(column)? != ValueRef::Null);
                Ok(SchedulingRow {
                    claim: if is_there(0)? { Some(claims::claim(row)?) } else { None },
                    failures: claims::failures(row, claims::COLUMNS)?,
                    node: if is_there(claims::COLUMNS + 1)? {
                        Some(features::graph_node(row, claims::COLUMNS + 1)?)
                    } else {
                        None
                    },
                })
            },
        )?;
        Ok(row.unwrap_or_default())
    }
}

fn data_version<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<i64> {
    Ok(tx.first("PRAGMA data_version", [], |row| row.get(0))?.unwrap_or_default())
}

fn schema_version<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<i64> {
    Ok(tx.first("PRAGMA schema_version", [], |row| row.get(0))?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::command::{Command, CreateFeature};
    use crate::database::{Database, Features};
    use crate::tx::{Circumstances, Transaction, Write};
    use crate::types::NewFeature;

    #[test]
    fn what_a_savepoint_undoes_is_looked_up_again() {
        let file = Connection::open_in_memory().unwrap();
        let (circumstances, index) = (Circumstances::now(), SchedulingIndex::default());
        let transaction = Transaction::begun_on(&file, &circumstances);
        Features::SCHEMA.migrate(&Tx::new(transaction)).unwrap();
        let tx = Tx::<Write>::new(transaction.with_index(&index));
        let create = || {
            let feature = NewFeature::new("Auth", "Log in", "With a password.", ["Try"]).unwrap();
            CreateFeature::new(feature).run(&tx).unwrap().id
        };

        file.execute_batch("BEGIN IMMEDIATE").unwrap();
        index.begun();
        let first = create();
        assert_eq!(tx.dependency_graph().unwrap().ready(), [first]);
        file.execute_batch("SAVEPOINT job").unwrap();
        let before = index.savepoint();
        let second = create();
        assert_eq!(tx.dependency_graph().unwrap().ready(), [first, second]);
        file.execute_batch("ROLLBACK TO job; RELEASE job").unwrap();
        index.rolled_back_to(before);
        assert_eq!(tx.dependency_graph().unwrap().ready(), [first]);
        file.execute_batch("COMMIT").unwrap();
    }
}
