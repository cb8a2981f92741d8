//! The commands on features as plain data.

use crate::{
    AddDependency, AnswerHumanInput, Blocked, Board, Budget, CheckFeatures, Claim, ClaimBatch,
    ClaimFeature, ClaimNext, ClaimRecord, ClaimedFeature, ClaimedNext, ClearInProgress,
    CreateFeature, CreateFeatures, CreatedFeatures, DeleteFeature, DeletedFeature, DependencyList,
    Error, Event, EventId, Feature, FeatureChanges, FeatureFindings, FeatureId, FeatureSummary,
    FenceToken, GetAttempts, GetBlocked, GetBoard, GetBudgets, GetChanges, GetClaims, GetFeature,
    GetGraph, GetLog, GetPolicy, GetReady, GetSnapshot, GetStats, GetSummary, Graph, Holder,
    HumanInputAnswer, HumanInputRequest, ImportBacklog, ListFeatures, MarkFailing, MarkInProgress,
    MarkPassing, NewFeature, PassedFeature, PlannedFeature, Policy, Ready, RecoverClaims,
    RecoveredClaim, Refusal, RemoveDependency, RenewClaims, RenewedClaims, RequestHumanInput,
    RetryFeature, Revision, SetDependencies, SetPolicy, SkipFeature, SkippedFeature, Snapshot,
    StandingClaim, Stats, StorageError, Store, Timestamp, UpdateFeature,
};

use super::call::{Call, Desk, World, told};
use super::form::{FormField, Given};

/// The texts of a feature that is to be created; nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in `Feature`")]
pub struct Texts {
    pub category: String,
    pub name: String,
    pub description: String,
    pub steps: Vec<String>,
}

/// Which revision a change names as the one it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// None: it does not care.
    Anything,
    /// The one that is there when it is made. Takes a second call to find out.
    Current,
    /// One that nothing ever has.
    Stale,
}

/// A command on features. Each variant is the command of that name, with its fields.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in the commands")]
pub enum Op {
    GetStats,
    GetFeature(i64),
    GetSummary(i64),
    ListFeatures,
    GetBoard,
    GetReady { limit: usize },
    GetBlocked { limit: usize },
    GetGraph,
    CheckFeatures,
    GetSnapshot,
    GetClaims,
    GetBudgets,
    GetAttempts { feature: Option<i64>, limit: usize },
    GetPolicy,
    GetChanges { since: i64, limit: usize },
    GetLog { feature: Option<i64>, session: Option<String>, before: Option<i64>, limit: usize },
    ClaimFeature(i64),
    ClaimNext,
    ClaimBatch { max: usize, others: usize },
    MarkInProgress(i64),
    ClearInProgress(i64),
    MarkPassing(i64),
    MarkFailing(i64),
    SkipFeature(i64),
    RenewClaims(Vec<i64>),
    RecoverClaims,
    RetryFeature(i64),
    SetPolicy(Policy),
    CreateFeature { texts: Texts, priority: Option<i64>, dependencies: Vec<i64> },
    CreateFeatures { features: Vec<(Texts, Vec<usize>)>, starting_priority: Option<i64> },
    ImportBacklog { entries: Vec<Feature> },
    UpdateFeature { id: i64, changes: FeatureChanges, expected: Expect },
    DeleteFeature { id: i64, force: bool },
    AddDependency { id: i64, dependency: i64 },
    RemoveDependency { id: i64, dependency: i64 },
    SetDependencies { id: i64, dependencies: Vec<i64> },
    RequestHumanInput { id: i64, prompt: String, fields: Vec<FormField> },
    AnswerHumanInput { id: i64, fields: Vec<(String, Given)>, at: Timestamp, request: Expect },
}

/// What became of an [`Op`].
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The command's output.
    Answered(Answer),
    /// The refusal's code: the command's, or that of the value which could not even be made.
    Refused(&'static str),
    /// The storage's fault. The model never gives it.
    Failed(StorageError),
}

/// The output of any command.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each holds the output of the commands that give it")]
pub enum Answer {
    Stats(Stats),
    Feature(Box<Feature>),
    Summary(FeatureSummary),
    Features(Vec<Feature>),
    Board(Board),
    Ready(Ready),
    Blocked(Blocked),
    Graph(Graph),
    Findings(Box<FeatureFindings>),
    Snapshot(Snapshot),
    Claim(Box<Claim>),
    Claimed(Box<ClaimedFeature>),
    Next(ClaimedNext),
    Batch(Vec<ClaimedFeature>),
    Passed(PassedFeature),
    Skipped(SkippedFeature),
    Created(CreatedFeatures),
    Deleted(Box<DeletedFeature>),
    Dependencies(DependencyList),
    Name(String),
    Imported(usize),
    Claims(Vec<StandingClaim>),
    Budgets(Vec<Budget>),
    Attempts(Vec<ClaimRecord>),
    Renewed(RenewedClaims),
    Recovered(Vec<RecoveredClaim>),
    Policy(Policy),
    Events(Vec<Event>),
}

impl Op {
    /// Runs the bare command on a store.
    #[must_use]
    pub fn apply_to(&self, store: &Store) -> Outcome {
        self.hand_in(Desk { store, signed: None })
    }

    /// Runs the command on a store with what comes with its call, in a world.
    #[must_use]
    pub fn apply_as(&self, store: &Store, call: &Call, world: &World) -> Outcome {
        self.hand_in(Desk { store, signed: Some((call, world)) })
    }

    fn hand_in(&self, store: Desk<'_>) -> Outcome {
        self.read_from(store).unwrap_or_else(|| match self {
            Self::CreateFeature { texts, priority, dependencies } => {
                create_one(store, texts, *priority, dependencies)
            }
            Self::CreateFeatures { features, starting_priority } => {
                create_many(store, features, *starting_priority)
            }
            Self::UpdateFeature { id: of, changes, expected } => {
                update(store, id(*of), changes, *expected)
            }
            Self::RequestHumanInput { id: of, prompt, fields } => {
                request(store, id(*of), prompt, fields)
            }
            Self::AnswerHumanInput { id: of, fields, at, request } => {
                answer(store, id(*of), fields, *at, *request)
            }
            _ => self.write_to(store),
        })
    }

    /// `None` for a command that writes.
    fn read_from(&self, store: Desk<'_>) -> Option<Outcome> {
        Some(match self {
            Self::GetStats => told_as(store.call(GetStats), Answer::Stats),
            Self::GetFeature(of) => told_as(store.call(GetFeature { id: id(*of) }), one),
            Self::GetSummary(of) => {
                told_as(store.call(GetSummary { id: id(*of) }), Answer::Summary)
            }
            Self::ListFeatures => told_as(store.call(ListFeatures), Answer::Features),
            Self::GetBoard => told_as(store.call(GetBoard), Answer::Board),
            Self::GetReady { limit } => {
                told_as(store.call(GetReady { limit: *limit }), Answer::Ready)
            }
            Self::GetBlocked { limit } => {
                told_as(store.call(GetBlocked { limit: *limit }), Answer::Blocked)
            }
            Self::GetGraph => told_as(store.call(GetGraph), Answer::Graph),
            Self::CheckFeatures => told_as(store.call(CheckFeatures), findings),
            Self::GetSnapshot => told_as(store.call(GetSnapshot), Answer::Snapshot),
            Self::GetClaims => told_as(store.call(GetClaims), claims),
            Self::GetBudgets => told_as(store.call(GetBudgets), Answer::Budgets),
            Self::GetAttempts { feature, limit } => {
                let command = GetAttempts { feature: feature.map(id), limit: *limit };
                told_as(store.call(command), attempts)
            }
            Self::GetPolicy => told_as(store.call(GetPolicy), Answer::Policy),
            Self::GetChanges { since, limit } => {
                let since = EventId::from(*since);
                told_as(store.call(GetChanges { since, limit: *limit }), events)
            }
            Self::GetLog { feature, session, before, limit } => {
                let command = GetLog {
                    feature: feature.map(id),
                    session: session.clone(),
                    before: before.map(EventId::from),
                    limit: *limit,
                };
                told_as(store.call(command), events)
            }
            _ => return None,
        })
    }

    fn write_to(&self, store: Desk<'_>) -> Outcome {
        match self {
            Self::ClaimFeature(of) => told_as(store.call(ClaimFeature { id: id(*of) }), claim),
            Self::ClaimNext => told_as(store.call(ClaimNext), Answer::Next),
            Self::ClaimBatch { max, others } => {
                told_as(store.call(ClaimBatch { max: *max, others: *others }), Answer::Batch)
            }
            Self::MarkInProgress(of) => {
                told_as(store.call(MarkInProgress { id: id(*of) }), claimed)
            }
            Self::ClearInProgress(of) => told_as(store.call(ClearInProgress { id: id(*of) }), one),
            Self::MarkPassing(of) => {
                told_as(store.call(MarkPassing { id: id(*of) }), Answer::Passed)
            }
            Self::MarkFailing(of) => told_as(store.call(MarkFailing { id: id(*of) }), one),
            Self::SkipFeature(of) => {
                told_as(store.call(SkipFeature { id: id(*of) }), Answer::Skipped)
            }
            Self::RenewClaims(tokens) => {
                let tokens = tokens.iter().copied().map(FenceToken::from).collect();
                told_as(store.call(RenewClaims { tokens }), Answer::Renewed)
            }
            Self::RecoverClaims => told_as(store.call(RecoverClaims), recovered),
            Self::RetryFeature(of) => told_as(store.call(RetryFeature { id: id(*of) }), one),
            Self::SetPolicy(policy) => told_as(store.call(SetPolicy(*policy)), Answer::Policy),
            Self::DeleteFeature { id: of, force } => {
                told_as(store.call(DeleteFeature { id: id(*of), force: *force }), |deleted| {
                    Answer::Deleted(Box::new(deleted))
                })
            }
            Self::AddDependency { id: of, dependency } => {
                let (id, dependency) = (id(*of), id(*dependency));
                told_as(store.call(AddDependency { id, dependency }), Answer::Dependencies)
            }
            Self::RemoveDependency { id: of, dependency } => {
                let (id, dependency) = (id(*of), id(*dependency));
                told_as(store.call(RemoveDependency { id, dependency }), Answer::Dependencies)
            }
            Self::SetDependencies { id: of, dependencies } => {
                let command = SetDependencies { id: id(*of), dependencies: ids(dependencies) };
                told_as(store.call(command), Answer::Dependencies)
            }
            Self::ImportBacklog { entries } => {
                told_as(store.call(ImportBacklog { entries: entries.clone() }), Answer::Imported)
            }
            _ => Outcome::Refused("a read"),
        }
    }

    /// The feature that the command works on, where it works on one that it names.
    #[must_use]
    pub fn feature(&self) -> Option<i64> {
        match self {
            Self::GetFeature(id)
            | Self::GetSummary(id)
            | Self::ClaimFeature(id)
            | Self::MarkInProgress(id)
            | Self::ClearInProgress(id)
            | Self::MarkPassing(id)
            | Self::MarkFailing(id)
            | Self::SkipFeature(id)
            | Self::RetryFeature(id)
            | Self::UpdateFeature { id, .. }
            | Self::DeleteFeature { id, .. }
            | Self::AddDependency { id, .. }
            | Self::RemoveDependency { id, .. }
            | Self::SetDependencies { id, .. }
            | Self::RequestHumanInput { id, .. }
            | Self::AnswerHumanInput { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// Whether [`Op::apply_to`] is a single call, so that no other caller can come in between.
    #[must_use]
    pub fn is_one_call(&self) -> bool {
        !matches!(
            self,
            Self::UpdateFeature { expected: Expect::Current, .. }
                | Self::AnswerHumanInput { request: Expect::Current, .. }
        )
    }
}

const INVALID_FEATURE: Outcome = Outcome::Refused("invalid_feature");

fn create_one(store: Desk<'_>, texts: &Texts, priority: Option<i64>, wanted: &[i64]) -> Outcome {
    let Some(feature) = texts.checked() else { return INVALID_FEATURE };
    told_as(store.call(CreateFeature { feature, priority, dependencies: ids(wanted) }), one)
}

fn create_many(
    store: Desk<'_>,
    features: &[(Texts, Vec<usize>)],
    starting_priority: Option<i64>,
) -> Outcome {
    let planned = |(texts, depends_on): &(Texts, Vec<usize>)| {
        let depends_on = depends_on.clone();
        texts.checked().map(|feature| PlannedFeature { feature, depends_on })
    };
    let planned: Option<Vec<_>> = features.iter().map(planned).collect();
    let Some(features) = planned else { return INVALID_FEATURE };
    told_as(store.call(CreateFeatures { features, starting_priority }), Answer::Created)
}

fn update(store: Desk<'_>, id: FeatureId, changes: &FeatureChanges, expected: Expect) -> Outcome {
    let current = || Some(store.call(GetFeature { id }).ok()?.revision());
    let expected = expected.of(current);
    told_as(store.call(UpdateFeature { id, changes: changes.clone(), expected }), one)
}

fn request(store: Desk<'_>, id: FeatureId, prompt: &str, fields: &[FormField]) -> Outcome {
    match HumanInputRequest::new(prompt, fields.iter().map(FormField::to_json).collect()) {
        Ok(request) => told_as(store.call(RequestHumanInput { id, request }), Answer::Name),
        Err(_) => Outcome::Refused("invalid_request"),
    }
}

fn answer(
    store: Desk<'_>,
    id: FeatureId,
    fields: &[(String, Given)],
    responded_at: Timestamp,
    request: Expect,
) -> Outcome {
    let fields = fields.iter().map(|(id, given)| (id.clone(), given.to_json()));
    let Ok(answer) = HumanInputAnswer::new(fields.collect()) else {
        return Outcome::Refused("invalid_answer");
    };
    let request = request.of(|| {
        let asked = store.call(GetFeature { id }).ok()?.human_input_request?;
        Some(HumanInputRequest::revision_of(&asked))
    });
    told_as(store.call(AnswerHumanInput { id, answer, responded_at, request }), one)
}

impl Texts {
    fn checked(&self) -> Option<NewFeature> {
        let Self { category, name, description, steps } = self;
        NewFeature::new(category, name, description, steps).ok()
    }
}

impl Expect {
    fn of(self, current: impl FnOnce() -> Option<Revision>) -> Option<Revision> {
        match self {
            Self::Anything => None,
            Self::Current => current(),
            Self::Stale => "5ca1ab1e0ddba11".parse().ok(),
        }
    }
}

fn told_as<T, R: Refusal>(
    result: Result<T, Error<R>>,
    answer: impl FnOnce(T) -> Answer,
) -> Outcome {
    match result {
        Ok(output) => Outcome::Answered(answer(output)),
        Err(Error::Refused(refusal)) => Outcome::Refused(refusal.code()),
        Err(Error::Storage(fault)) => Outcome::Failed(fault),
    }
}

fn one(feature: Feature) -> Answer {
    Answer::Feature(Box::new(feature))
}

fn claim(claim: Claim) -> Answer {
    let holder = claim.holder.map(|holder| Holder { since: told(holder.since), ..holder });
    Answer::Claim(Box::new(Claim { holder, ..claim }))
}

fn claimed(claimed: ClaimedFeature) -> Answer {
    Answer::Claimed(Box::new(claimed))
}

fn record(mut claim: ClaimRecord) -> ClaimRecord {
    claim.taken_at = told(claim.taken_at);
    if let Some(end) = &mut claim.end {
        end.at = told(end.at);
    }
    claim
}

fn claims(claims: Vec<StandingClaim>) -> Answer {
    let claims = claims.into_iter();
    Answer::Claims(claims.map(|c| StandingClaim { claim: record(c.claim), ..c }).collect())
}

fn attempts(attempts: Vec<ClaimRecord>) -> Answer {
    Answer::Attempts(attempts.into_iter().map(record).collect())
}

fn findings(findings: FeatureFindings) -> Answer {
    Answer::Findings(Box::new(findings))
}

fn recovered(claims: Vec<RecoveredClaim>) -> Answer {
    let claims = claims.into_iter();
    Answer::Recovered(claims.map(|c| RecoveredClaim { claim: record(c.claim), ..c }).collect())
}

fn events(events: Vec<Event>) -> Answer {
    Answer::Events(events.into_iter().map(|event| Event { at: told(event.at), ..event }).collect())
}

fn id(id: i64) -> FeatureId {
    id.into()
}

fn ids(ids: &[i64]) -> Vec<FeatureId> {
    ids.iter().copied().map(FeatureId::from).collect()
}
