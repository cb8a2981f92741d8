//! The file in memory and what each command does to it.

mod claims;
mod features;
mod foreign;
mod history;
mod human_input;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ClaimRecord, Event, EventId, EventKind, Feature, FeatureFindings, FeatureId, FenceToken, Field,
    Policy, Snapshot, Stored, Testable,
};

use super::call::{Call, Token, World};
use super::op::{Answer, Op, Outcome};
use super::row::{Layout, Row, written};
use super::schedule::{self, Table};

/// What a command answers, or the code with which it refuses.
type Verdict = Result<Answer, &'static str>;

/// A project's file in memory: its features, their claims, and its history.
///
/// It forgets nothing, whatever the [`Policy`] says of how much is kept.
#[derive(Debug, Clone, Default)]
pub struct Model {
    layout: Layout,
    rows: BTreeMap<FeatureId, Row>,
    /// What is read from the rows.
    features: Table,
    /// The highest id that was ever deleted.
    floor: i64,
    /// All that there ever were, by token; at most one without an end for each feature.
    claims: Vec<ClaimRecord>,
    /// Failed attempts by feature.
    failures: BTreeMap<FeatureId, u32>,
    policy: Policy,
    events: Vec<Event>,
    now: Now,
}

/// The call that is being carried out.
#[derive(Debug, Clone, Default)]
struct Now {
    call: Call,
    world: World,
    /// The first event of it.
    first_event: Option<EventId>,
}

/// On what occasion a feature is changed.
#[derive(Debug, Clone, Copy)]
struct Occasion {
    kind: EventKind,
    /// The claim under which the caller may do it.
    claim: Option<FenceToken>,
    /// That claim is somebody else's.
    overrode: bool,
}

impl From<EventKind> for Occasion {
    fn from(kind: EventKind) -> Self {
        Self { kind, claim: None, overrode: false }
    }
}

impl Model {
    /// A file that was there before this store opened it, with these rows.
    #[must_use]
    pub fn of(layout: Layout, rows: impl IntoIterator<Item = (FeatureId, Row)>) -> Self {
        let mut model = Self { layout, rows: rows.into_iter().collect(), ..Self::default() };
        model.features = model.rows.iter().map(|(id, row)| (*id, row.read(*id))).collect();
        model
    }

    /// Does what the bare command does. Its call names nobody, and is made in the first moment of
    /// the world.
    pub fn apply(&mut self, op: &Op) -> Outcome {
        self.apply_as(op, &Call::default(), &World::default())
    }

    /// Does what the command does with what comes with its call, in a world.
    pub fn apply_as(&mut self, op: &Op, call: &Call, world: &World) -> Outcome {
        self.read(op, world).unwrap_or_else(|| {
            let mut after = self.clone();
            after.now = Now { call: *call, world: world.clone(), first_event: None };
            match after.write(op) {
                Ok(answer) => {
                    *self = after;
                    Outcome::Answered(answer)
                }
                Err(code) => Outcome::Refused(code),
            }
        })
    }

    /// The call with its claim as a number.
    #[must_use]
    pub fn resolve(&self, call: &Call, op: &Op) -> Call {
        let id = op.feature().map(FeatureId::from);
        let of_feature = |claim: &&ClaimRecord| Some(claim.feature) == id;
        let mut claims = self.claims.iter().rev().filter(of_feature);
        let found = match call.token {
            Token::Standing => claims.find(|claim| claim.end.is_none()),
            Token::Ended => claims.find(|claim| claim.end.is_some()),
            Token::None | Token::Of(_) => return *call,
        };
        call.under(Token::Of(found.map_or(0, |claim| claim.token.get())))
    }

    /// The store is closed and opened again: what is NULL among the flags becomes false.
    pub fn reopen(&mut self) {
        self.now = Now::default();
        let ids: Vec<FeatureId> = self.rows.keys().copied().collect();
        for id in ids {
            let Some(row) = self.rows.get(&id) else { continue };
            let unset = [Field::Passes, Field::InProgress, Field::NeedsHumanInput];
            let unset = unset.into_iter().filter(|flag| *row.get(*flag) == Stored::Null);
            let values: Vec<_> = unset.map(|flag| (flag, Stored::Integer(0))).collect();
            self.store(id, &values, EventKind::Changed.into());
        }
    }

    /// Whether opening the file changes it.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let flags = [Field::Passes, Field::InProgress, Field::NeedsHumanInput];
        let has_null = |row: &Row| flags.iter().any(|flag| *row.get(*flag) == Stored::Null);
        self.rows.values().any(has_null)
    }

    /// The whole table as the file holds it.
    #[must_use]
    pub fn rows(&self) -> &BTreeMap<FeatureId, Row> {
        &self.rows
    }

    /// The whole table by priority, then id: what [`ListFeatures`](crate::ListFeatures) gives.
    #[must_use]
    pub fn features(&self) -> Vec<Feature> {
        let mut all: Vec<Feature> = self.features.values().cloned().collect();
        all.sort_by_key(|feature| (feature.priority, feature.id));
        all
    }

    /// The id of the next feature; `None` where the last one is taken.
    #[must_use]
    pub fn next_id(&self) -> Option<FeatureId> {
        let highest = self.features.keys().map(|id| id.get()).max().unwrap_or(0);
        highest.max(self.floor).checked_add(1).map(FeatureId::from)
    }

    /// The last change that was ever made.
    #[must_use]
    pub fn last_event(&self) -> EventId {
        self.events.last().map_or(EventId::START, |event| event.id)
    }

    /// The answer to a reading command; `None` for one that writes.
    pub(super) fn read(&self, op: &Op, world: &World) -> Option<Outcome> {
        let all = &self.features;
        let answer = match op {
            Op::GetStats => Answer::Stats(schedule::stats(all)),
            Op::ListFeatures => Answer::Features(self.features()),
            Op::GetBoard => Answer::Board(schedule::board(&self.features())),
            Op::GetReady { limit } => Answer::Ready(self.ready(world, *limit)),
            Op::GetBlocked { limit } => Answer::Blocked(schedule::blocked(all, *limit)),
            Op::GetGraph => Answer::Graph(schedule::graph(&self.worked_on(world))),
            Op::CheckFeatures => Answer::Findings(Box::new(FeatureFindings {
                records: Some(self.record_findings(world)),
                ..schedule::findings(all, &self.rows)
            })),
            Op::GetSnapshot => Answer::Snapshot(self.snapshot(world)),
            Op::GetClaims => Answer::Claims(self.standing_claims(world)),
            Op::GetBudgets => Answer::Budgets(self.budgets(world)),
            Op::GetAttempts { feature, limit } => Answer::Attempts(self.attempts(*feature, *limit)),
            Op::GetPolicy => Answer::Policy(self.policy),
            Op::GetChanges { since, limit } => match self.changes(*since, *limit) {
                Err(code) => return Some(Outcome::Refused(code)),
                Ok(events) => Answer::Events(events),
            },
            Op::GetLog { feature, session, before, limit } => {
                let mut events = self.log(*feature, session.as_deref(), *before);
                events.truncate(*limit);
                Answer::Events(events)
            }
            Op::GetFeature(id) | Op::GetSummary(id) => match self.existing(*id) {
                Err(code) => return Some(Outcome::Refused(code)),
                Ok(feature) if matches!(op, Op::GetSummary(_)) => {
                    Answer::Summary(schedule::summary(&feature))
                }
                Ok(feature) => one(&feature),
            },
            _ => return None,
        };
        Some(Outcome::Answered(answer))
    }

    fn write(&mut self, op: &Op) -> Verdict {
        match op {
            Op::ClaimNext => Ok(Answer::Next(self.claim_next())),
            Op::ClaimBatch { max, others } => Ok(Answer::Batch(self.claim_batch(*max, *others))),
            Op::ClaimFeature(id) => self.claim_feature(*id),
            Op::MarkInProgress(id) => self.mark_in_progress(*id),
            Op::ClearInProgress(id) => self.clear_in_progress(*id),
            Op::MarkPassing(id) => self.mark_passing(*id),
            Op::MarkFailing(id) => self.mark_failing(*id),
            Op::SkipFeature(id) => self.skip(*id),
            Op::RenewClaims(tokens) => Ok(Answer::Renewed(self.renew(tokens))),
            Op::RecoverClaims => Ok(Answer::Recovered(self.recover())),
            Op::RetryFeature(id) => self.retry(*id),
            Op::SetPolicy(policy) => Ok(Answer::Policy(self.set_policy(*policy))),
            Op::CreateFeature { texts, priority, dependencies } => {
                self.create_one(texts, *priority, dependencies)
            }
            Op::CreateFeatures { features, starting_priority } => {
                self.create_many(features, *starting_priority)
            }
            Op::ImportBacklog { entries } => self.import(entries),
            Op::UpdateFeature { id, changes, expected } => self.update(*id, changes, *expected),
            Op::DeleteFeature { id, force } => self.delete(*id, *force),
            Op::AddDependency { id, dependency } => self.add_dependency(*id, *dependency),
            Op::RemoveDependency { id, dependency } => self.remove_dependency(*id, *dependency),
            Op::SetDependencies { id, dependencies } => self.set_dependencies(*id, dependencies),
            Op::RequestHumanInput { id, prompt, fields } => self.request(*id, prompt, fields),
            Op::AnswerHumanInput { id, fields, at, request } => {
                self.answer(*id, fields, *at, *request)
            }
            _ => Err("a read"),
        }
    }

    fn existing(&self, id: i64) -> Result<Feature, &'static str> {
        self.features.get(&id.into()).cloned().ok_or("not_found")
    }

    fn unfinished(&self, id: i64) -> Result<Feature, &'static str> {
        let feature = self.existing(id)?;
        if feature.passes { Err("already_passing") } else { Ok(feature) }
    }

    /// Writes these columns of a feature.
    fn change(&mut self, after: &Feature, fields: &[Field], occasion: Occasion) {
        let values: Vec<_> = fields.iter().map(|field| (*field, written(after, *field))).collect();
        self.store(after.id, &values, occasion);
    }

    /// Writes values into columns, and the event, where anything differs.
    fn store(&mut self, id: FeatureId, values: &[(Field, Stored)], occasion: Occasion) {
        let Some(before) = self.rows.get(&id).cloned() else { return };
        let mut after = before.clone();
        for (field, value) in values {
            after.set(self.layout, *field, value.clone());
        }
        self.put(id, after.clone());
        if after != before {
            self.note(id, history::differences(&before, &after), occasion);
        }
    }

    fn put(&mut self, id: FeatureId, row: Row) {
        self.features.insert(id, row.read(id));
        self.rows.insert(id, row);
    }

    /// Writes a new feature, and the event. One that is in progress is claimed by nobody.
    fn insert(&mut self, feature: &Feature, kind: EventKind) {
        let values = Field::ALL.map(|field| (field, written(feature, field)));
        let row = Row::new(self.layout, values);
        let now = self.now.world.moment().wall;
        let claim = feature.in_progress.then(|| self.new_claim(feature.id, None, None, now));
        self.put(feature.id, row.clone());
        let occasion = Occasion { claim, ..kind.into() };
        self.note(feature.id, history::appearance(&row), occasion);
    }

    /// Removes a feature with all that is known of it but its history.
    fn remove(&mut self, id: FeatureId) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        self.features.remove(&id);
        self.failures.remove(&id);
        self.floor = self.floor.max(id.get());
        Some(row)
    }

    fn snapshot(&self, world: &World) -> Snapshot {
        let all = self.worked_on(world);
        let exhausted = self.exhausted(world);
        let count = |is: &dyn Fn(&Feature) -> bool| all.values().filter(|f| is(f)).count();
        let waits_for = |other: FeatureId| {
            let ids = all.values().flat_map(|feature| &feature.dependencies);
            ids.filter(|id| **id == other).count()
        };
        let testable = |feature: &Feature| Testable {
            id: feature.id,
            dependents: waits_for(feature.id),
            dependencies: feature.dependencies.len(),
        };
        Snapshot {
            last_event: self.last_event(),
            total: all.len(),
            passing: count(&|feature| feature.passes),
            ready: self.ready(world, usize::MAX).features.iter().map(|f| f.id).collect(),
            in_progress: count(&|feature| !feature.passes && feature.in_progress),
            waiting_for_human: all
                .values()
                .filter(|feature| !feature.passes && feature.needs_human_input)
                .map(|feature| feature.id)
                .collect(),
            blocked: schedule::blocked(&all, 0).total,
            exhausted: count(&|feature| !feature.passes && exhausted.contains(&feature.id)),
            testable: all.values().filter(|f| f.passes && !f.in_progress).map(testable).collect(),
        }
    }

    /// The features by whether somebody works on them: not by flags alone.
    fn worked_on(&self, world: &World) -> Table {
        let over: BTreeSet<FeatureId> =
            self.lapsed(world).into_iter().map(|(claim, _)| claim.feature).collect();
        let mut all = self.features.clone();
        for id in over {
            if let Some(feature) = all.get_mut(&id) {
                feature.in_progress = false;
            }
        }
        all
    }
}

fn one(feature: &Feature) -> Answer {
    Answer::Feature(Box::new(feature.clone()))
}
