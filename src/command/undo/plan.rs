//! What taking a target back would do: the one decision that [`Undo`](super::Undo) and
//! [`PreviewUndo`](super::PreviewUndo) share.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Ledger;
use super::{
    DependencyProblem, LeftOut, PriorityProblem, SETTLED, UndoRefusal, UndoTarget, Undone,
    UndoneStep,
};
use crate::error::Failure;
use crate::tx::{Access, LenientRow, Standing, Tx, dependencies_in};
use crate::types::{
    Change, DependencyGraph, Effect, Event, EventId, EventKind, FeatureId, Field, Fields,
    GraphNode, Stored,
};

/// What a feature that passes keeps, as [`UpdateFeature`](crate::UpdateFeature) and
/// [`RequestHumanInput`](crate::RequestHumanInput) leave it alone.
const KEPT: Fields =
    Fields::ALL.without(Fields::of(&[Field::Passes, Field::InProgress, Field::Dependencies]));

type Planned<T> = Result<T, Failure<UndoRefusal>>;

/// The columns of a feature.
type Columns = BTreeMap<Field, Stored>;

/// Decides what taking the target back does, and reads alone.
pub(super) fn plan<A: Access>(tx: &Tx<'_, A>, target: &UndoTarget) -> Planned<Undone> {
    if let Some(token) = tx.signature().token
        && !tx.is_running(token)?
    {
        return refuse(UndoRefusal::StaleToken { token });
    }
    let ledger = Ledger::read(tx)?;
    let events = match target {
        UndoTarget::Last(id) => vec![last_change(tx, &ledger, *id)?],
        UndoTarget::Event(id) => vec![undoable(tx, &ledger, *id)?],
        UndoTarget::Session { session, agent } => {
            session_events(tx, &ledger, session, agent.as_deref())?
        }
    };
    let mut planner = Planner {
        tx,
        ledger,
        future: Future::read(tx)?,
        undone: Undone::default(),
        left: BTreeSet::new(),
    };
    for event in events {
        planner.take_back(event)?;
    }
    planner.finish()
}

fn refuse<T>(refusal: UndoRefusal) -> Planned<T> {
    Err(Failure::Refused(refusal))
}

fn last_change<A: Access>(tx: &Tx<'_, A>, ledger: &Ledger, id: FeatureId) -> Planned<EventId> {
    let changes = || ledger.of_feature(id).filter(|event| event.undoes.is_none());
    if let Some(last) = changes().rev().find(|event| ledger.is_in_force(event.id)) {
        return Ok(last.id);
    }
    let is_known = ledger.of_feature(id).next().is_some();
    if !is_known && !tx.has_feature(id)? {
        return refuse(UndoRefusal::NotFound { id });
    }
    let has_begun = changes().any(|event| event.kind.effect() == Effect::Creates);
    match forgotten(tx)? {
        Some(oldest) if !has_begun => refuse(UndoRefusal::Forgotten { oldest }),
        _ => refuse(UndoRefusal::NothingToUndo { target: UndoTarget::Last(id) }),
    }
}

fn undoable<A: Access>(tx: &Tx<'_, A>, ledger: &Ledger, event: EventId) -> Planned<EventId> {
    if ledger.find(event).is_some() {
        return match ledger.taken_back_by(event) {
            Some(by) => refuse(UndoRefusal::AlreadyUndone { event, by }),
            None => Ok(event),
        };
    }
    if let Some(found) = tx.find_event(event)? {
        return refuse(UndoRefusal::ClaimAlone { event, kind: found.kind });
    }
    match forgotten(tx)? {
        Some(oldest) if event > EventId::START && event < oldest => {
            refuse(UndoRefusal::Forgotten { oldest })
        }
        _ => refuse(UndoRefusal::UnknownEvent { event, last: tx.last_event()? }),
    }
}

/// The oldest event that is kept, where there were older ones.
fn forgotten<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Option<EventId>> {
    let oldest = match tx.event_bounds()? {
        Some((oldest, _)) => oldest,
        None => EventId::from(tx.last_event()?.get().saturating_add(1)),
    };
    Ok(Some(oldest).filter(|oldest| oldest.get() > 1))
}

/// What is to be taken back of a session, newest first. What took back a change of the same session
/// is none of it: both together changed nothing.
fn session_events<A: Access>(
    tx: &Tx<'_, A>,
    ledger: &Ledger,
    session: &str,
    agent: Option<&str>,
) -> Planned<Vec<EventId>> {
    let mut own = tx.session_events(session)?;
    own.retain(|(_, by)| agent.is_none_or(|agent| by.as_deref() == Some(agent)));
    let ids: BTreeSet<EventId> = own.iter().map(|(id, _)| *id).collect();
    own.retain(|(id, _)| {
        let takes_back = ledger.find(*id).and_then(|event| event.undoes);
        ledger.is_in_force(*id) && takes_back.is_none_or(|target| !ids.contains(&target))
    });
    let agents: BTreeSet<&String> = own.iter().filter_map(|(_, agent)| agent.as_ref()).collect();
    if agents.len() > 1 {
        let agents = agents.into_iter().cloned().collect();
        return refuse(UndoRefusal::SeveralAgents { session: session.to_owned(), agents });
    }
    if own.is_empty() {
        let (session, agent) = (session.to_owned(), agent.map(str::to_owned));
        let target = UndoTarget::Session { session, agent };
        return refuse(UndoRefusal::NothingToUndo { target });
    }
    Ok(own.into_iter().rev().map(|(id, _)| id).collect())
}

struct Planner<'t, 'c, A> {
    tx: &'t Tx<'c, A>,
    ledger: Ledger,
    future: Future<'t, 'c, A>,
    undone: Undone,
    left: BTreeSet<EventId>,
}

impl<A: Access> Planner<'_, '_, A> {
    /// Takes an event back, unless a step before did or left it.
    fn take_back(&mut self, id: EventId) -> Planned<()> {
        if !self.ledger.is_in_force(id) || self.left.contains(&id) {
            return Ok(());
        }
        let Some(event) = self.tx.find_event(id)? else { return Ok(()) };
        match event.kind.effect() {
            Effect::Changes => self.change_back(&event),
            // Others wait for a feature only while it is there.
            Effect::Creates => {
                self.companions_back(&event)?;
                self.remove(&event)
            }
            Effect::Removes => {
                self.put_back(&event)?;
                self.companions_back(&event)
            }
        }
    }

    /// Takes back what the same command did to the dependencies of others since a feature came or
    /// went, where that can be taken back.
    fn companions_back(&mut self, event: &Event) -> Planned<()> {
        for companion in self.companions(event)? {
            match self.change_back(&companion) {
                Ok(()) => {}
                Err(Failure::Refused(because)) => {
                    self.left.insert(companion.id);
                    let (event, feature) = (companion.id, companion.feature);
                    self.undone.left.push(LeftOut { event, feature, because });
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    fn companions(&self, event: &Event) -> rusqlite::Result<Vec<Event>> {
        let kind = match event.kind {
            EventKind::Deleted => EventKind::Depends,
            EventKind::Restored | EventKind::Withdrawn => EventKind::Undone,
            _ => return Ok(Vec::new()),
        };
        let names =
            |value: &Stored| dependencies_in(value.to_text().as_deref()).contains(&event.feature);
        let went = event.kind.effect() == Effect::Removes;
        let mut companions = Vec::new();
        for outline in self.ledger.of_command(event.command) {
            if outline.kind != kind || !self.ledger.is_in_force(outline.id) {
                continue;
            }
            let Some(companion) = self.tx.find_event(outline.id)? else { continue };
            let change = companion.changes.iter().find(|c| c.field == Field::Dependencies);
            if change.is_some_and(|c| (names(&c.before), names(&c.after)) == (went, !went)) {
                companions.push(companion);
            }
        }
        Ok(companions)
    }

    fn change_back(&mut self, event: &Event) -> Planned<()> {
        let (id, fields) = (event.feature, self.unchanged_since(event)?);
        let Some(before) = self.future.columns(id)? else {
            return refuse(UndoRefusal::NotFound { id });
        };
        let mut after = before.clone();
        for change in event.changes.iter().filter(|change| fields.has(change.field)) {
            if before.get(&change.field) != Some(&change.after) {
                let (event, field) = (event.id, change.field);
                return refuse(UndoRefusal::ChangedUnseen { event, id, field });
            }
            after.insert(change.field, change.before.clone());
        }
        let passes = |columns: &Columns| columns.get(&Field::Passes).is_some_and(Stored::is_set);
        if passes(&before) && passes(&after) && fields.meets(KEPT) {
            return refuse(UndoRefusal::Passing { event: event.id, id });
        }
        if fields.meets(SETTLED) {
            self.future.check_free(event)?;
        }
        self.check_values(event, Some(&before), &after)?;
        self.step(event, Some(&before), Some(&after));
        Ok(())
    }

    fn remove(&mut self, event: &Event) -> Planned<()> {
        let (id, fields) = (event.feature, self.unchanged_since(event)?);
        if self.future.columns(id)?.is_none() {
            return refuse(UndoRefusal::NotFound { id });
        }
        self.future.check_free(event)?;
        let before = self.future.columns(id)?.unwrap_or_default();
        for change in event.changes.iter().filter(|change| fields.has(change.field)) {
            if before.get(&change.field) != Some(&change.after) {
                let (event, field) = (event.id, change.field);
                return refuse(UndoRefusal::ChangedUnseen { event, id, field });
            }
        }
        self.step(event, Some(&before), None);
        Ok(())
    }

    fn put_back(&mut self, event: &Event) -> Planned<()> {
        let id = event.feature;
        self.unchanged_since(event)?;
        if self.future.columns(id)?.is_some() {
            return refuse(UndoRefusal::Exists { event: event.id, id });
        }
        let changes = event.changes.iter();
        let mut after: Columns = changes.map(|c| (c.field, c.before.clone())).collect();
        after.insert(Field::InProgress, Stored::Integer(0));
        self.check_values(event, None, &after)?;
        self.step(event, None, Some(&after));
        Ok(())
    }

    /// What the event changed beside the claim, if no later change stands on it.
    fn unchanged_since(&self, event: &Event) -> Planned<Fields> {
        let Some(outline) = self.ledger.find(event.id) else { return Ok(Fields::NONE) };
        match self.ledger.standing_on(outline) {
            Some(by) => {
                refuse(UndoRefusal::ChangedSince { event: event.id, id: event.feature, by })
            }
            None => Ok(outline.fields),
        }
    }

    /// Checks the values that would come back against the rules that hold between features.
    fn check_values(
        &self,
        event: &Event,
        before: Option<&Columns>,
        after: &Columns,
    ) -> Planned<()> {
        let id = event.feature;
        let came = |field| {
            let value = after.get(&field);
            value.filter(|value| before.and_then(|columns| columns.get(&field)) != Some(value))
        };
        if let Some(&Stored::Integer(priority)) = came(Field::Priority)
            && let Some(holder) = self.future.priority_holder(id, priority)?
        {
            let problem = PriorityProblem::Taken { priority, holder };
            return refuse(UndoRefusal::Priority { event: event.id, problem });
        }
        let Some(dependencies) = came(Field::Dependencies) else { return Ok(()) };
        let waits_for =
            |value: Option<&Stored>| dependencies_in(value.and_then(Stored::to_text).as_deref());
        let waited_for = waits_for(before.and_then(|columns| columns.get(&Field::Dependencies)));
        let mut added = waits_for(Some(dependencies));
        added.retain(|dependency| !waited_for.contains(dependency));
        match self.dependency_problem(event, &added) {
            Some(problem) => refuse(UndoRefusal::Dependencies { event: event.id, problem }),
            None => Ok(()),
        }
    }

    fn dependency_problem(&self, event: &Event, added: &[FeatureId]) -> Option<DependencyProblem> {
        let id = event.feature;
        if added.is_empty() {
            return None;
        }
        if added.contains(&id) {
            return Some(DependencyProblem::Itself { id });
        }
        let is_gone = |dependency: &FeatureId| {
            !self.future.nodes.contains_key(dependency)
                && self.ledger.was_removed_after(event.id, *dependency)
        };
        let ids: Vec<FeatureId> = added.iter().copied().filter(is_gone).collect();
        if !ids.is_empty() {
            return Some(DependencyProblem::Unknown { ids });
        }
        let graph = DependencyGraph::new(self.future.nodes.values().cloned());
        let closing = added.iter().find(|dependency| graph.closes_cycle(id, **dependency));
        closing.map(|&dependency| DependencyProblem::Cycle { id, dependency })
    }

    fn step(&mut self, event: &Event, before: Option<&Columns>, after: Option<&Columns>) {
        let feature = event.feature;
        let effect = match (before, after) {
            (None, _) => Effect::Creates,
            (_, None) => Effect::Removes,
            _ => Effect::Changes,
        };
        let value = |columns: Option<&Columns>, field| {
            columns.and_then(|c| c.get(&field)).cloned().unwrap_or(Stored::Null)
        };
        let changes = Field::ALL.into_iter().map(|field| Change {
            field,
            before: value(before, field),
            after: value(after, field),
        });
        let changes =
            changes.filter(|c| effect != Effect::Changes || c.before != c.after).collect();
        let known = after.or(before);
        let name = value(known, Field::Name).to_text().unwrap_or_default();
        let kind = event.kind;
        self.undone.steps.push(UndoneStep {
            event: event.id,
            kind,
            feature,
            name,
            effect,
            changes,
        });
        self.ledger.take_back(event.id);
        self.future.set(feature, after.cloned());
    }

    /// Nobody may wait for what is gone in the end; on the way there, those may who go too.
    fn finish(self) -> Planned<Undone> {
        for step in &self.undone.steps {
            let id = step.feature;
            if step.effect == Effect::Removes && !self.future.nodes.contains_key(&id) {
                let dependents = self.future.dependents(id);
                if !dependents.is_empty() {
                    let event = step.event;
                    return refuse(UndoRefusal::HasDependents { event, id, dependents });
                }
            }
        }
        Ok(self.undone)
    }
}

/// The features as they will be after the steps so far.
struct Future<'t, 'c, A> {
    tx: &'t Tx<'c, A>,
    /// The features that the steps have looked at; `None` for one that is not there.
    columns: BTreeMap<FeatureId, Option<Columns>>,
    /// What each feature waits for. Of the rest of a node, nothing here is asked.
    nodes: BTreeMap<FeatureId, GraphNode>,
}

impl<'t, 'c, A: Access> Future<'t, 'c, A> {
    fn read(tx: &'t Tx<'c, A>) -> rusqlite::Result<Self> {
        let graph = tx.dependency_graph()?;
        let nodes = graph.nodes().map(|node| (node.id, node.clone())).collect();
        Ok(Self { tx, columns: BTreeMap::new(), nodes })
    }

    fn columns(&mut self, id: FeatureId) -> rusqlite::Result<Option<Columns>> {
        if let Some(columns) = self.columns.get(&id) {
            return Ok(columns.clone());
        }
        let columns = self.tx.stored(id, Fields::ALL)?.map(|values| values.into_iter().collect());
        self.columns.insert(id, columns.clone());
        Ok(columns)
    }

    fn set(&mut self, id: FeatureId, columns: Option<Columns>) {
        match &columns {
            Some(values) => {
                let dependencies = values.get(&Field::Dependencies).and_then(Stored::to_text);
                let node = self.nodes.entry(id).or_insert_with(|| GraphNode {
                    id,
                    priority: 0,
                    passes: false,
                    in_progress: false,
                    needs_human_input: false,
                    exhausted: false,
                    dependencies: Vec::new(),
                });
                node.dependencies = dependencies_in(dependencies.as_deref());
            }
            None => drop(self.nodes.remove(&id)),
        }
        self.columns.insert(id, columns);
    }

    fn dependents(&self, id: FeatureId) -> Vec<FeatureId> {
        let nodes = self.nodes.values();
        nodes.filter(|node| node.dependencies.contains(&id)).map(|node| node.id).collect()
    }

    /// Another feature that has the priority.
    fn priority_holder(&self, id: FeatureId, priority: i64) -> rusqlite::Result<Option<FeatureId>> {
        let in_file =
            self.tx.all("SELECT id FROM features WHERE priority = ?1", [priority], |row| {
                Ok(FeatureId::from(row.integer(0, 0)?))
            })?;
        let untouched = in_file.into_iter().filter(|other| !self.columns.contains_key(other));
        let has_it =
            |columns: &Columns| columns.get(&Field::Priority) == Some(&Stored::Integer(priority));
        let touched =
            self.columns.iter().filter(|(_, columns)| columns.as_ref().is_some_and(has_it));
        let holders = untouched.chain(touched.map(|(other, _)| *other));
        Ok(holders.filter(|other| *other != id).min())
    }

    /// Refuses if somebody works on the feature. A claim that is over is ended before the step.
    fn check_free(&mut self, event: &Event) -> Planned<()> {
        let id = event.feature;
        let Some(Some(columns)) = self.columns.get_mut(&id) else { return Ok(()) };
        if !columns.get(&Field::InProgress).is_some_and(Stored::is_set) {
            return Ok(());
        }
        // No step puts a feature in progress, so this one is as the file has it.
        let Some(feature) = self.tx.feature(id)? else { return Ok(()) };
        match self.tx.standing(&feature)? {
            Standing::Free | Standing::Lapsed(..) => {
                columns.insert(Field::InProgress, Stored::Integer(0));
                Ok(())
            }
            standing => {
                let holder = standing.holder().map(Box::new);
                refuse(UndoRefusal::InProgress { event: event.id, id, holder })
            }
        }
    }
}
