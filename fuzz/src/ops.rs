//! Commands made of few bytes.

use std::time::Duration;

use arbitrary::Arbitrary;
use autoforge_store::testing::{Expect, FieldKind, FormField, Given, Op, Texts};
use autoforge_store::{Feature, FeatureChanges, FeatureId, Policy, Steps, Timestamp};
use serde_json::json;

/// An id that mostly exists.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Id(u8);

impl Id {
    pub fn get(self) -> i64 {
        match self.0 {
            255 => i64::MAX,
            254 => i64::MAX - 1,
            253 => -1,
            252 => i64::MIN,
            n if n >= 192 => i64::from(n - 192),
            n => i64::from(n % 8) + 1,
        }
    }
}

pub(crate) fn ids(ids: &[Id]) -> Vec<i64> {
    ids.iter().map(|id| id.get()).collect()
}

fn feature_ids(list: &[Id]) -> Vec<FeatureId> {
    ids(list).into_iter().map(FeatureId::from).collect()
}

/// A text that is mostly short and plain.
#[derive(Debug, Clone, Arbitrary)]
pub enum Word {
    Plain(u8),
    Any(String),
    Long(u16),
}

impl Word {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Plain(n) => char::from(b'a' + n % 26).to_string(),
            Self::Any(text) => text.clone(),
            Self::Long(n) => "é".repeat(usize::from(n % 300)),
        }
    }
}

#[derive(Debug, Clone, Arbitrary)]
pub struct RawTexts(Word, Word, Word, Vec<Word>);

impl RawTexts {
    fn texts(&self) -> Texts {
        let steps = if self.3.is_empty() { vec!["s".to_owned()] } else { words(&self.3) };
        let (category, name, description) = (self.0.text(), self.1.text(), self.2.text());
        Texts { category, name, description, steps }
    }
}

fn words(words: &[Word]) -> Vec<String> {
    words.iter().map(Word::text).collect()
}

#[derive(Debug, Clone, Arbitrary)]
pub struct RawField {
    id: u8,
    kind: u8,
    options: u8,
    required: Option<bool>,
}

impl RawField {
    fn field(&self) -> FormField {
        let option =
            |n: u8| ["x", "y", "z", " "].get(usize::from(n)).map(|text| (*text).to_owned());
        let kind = match self.kind % 8 {
            0 => FieldKind::Unnamed,
            1 => FieldKind::Text,
            2 => FieldKind::Textarea,
            3 => FieldKind::Boolean,
            4 | 5 => FieldKind::Select((0..self.options % 5).filter_map(option).collect()),
            6 => FieldKind::TextWithOptions,
            _ => FieldKind::Unknown,
        };
        let (label, required) = ("Label".to_owned(), self.required);
        FormField { id: field_id(self.id), label, kind, required }
    }
}

fn field_id(n: u8) -> String {
    ["a", "b", "c", " "].get(usize::from(n % 4)).copied().unwrap_or_default().to_owned()
}

#[derive(Debug, Clone, Arbitrary)]
pub enum RawGiven {
    Option(u8),
    Word(Word),
    Flag(bool),
    Number(i64),
    Null,
}

impl RawGiven {
    fn given(&self) -> Given {
        let option = |n: u8| ["x", "y", "z", " "].get(usize::from(n % 4)).copied();
        match self {
            Self::Option(n) => Given::Text(option(*n).unwrap_or_default().to_owned()),
            Self::Word(word) => Given::Text(word.text()),
            Self::Flag(flag) => Given::Flag(*flag),
            Self::Number(number) => Given::Number(*number),
            Self::Null => Given::Null,
        }
    }
}

#[derive(Debug, Clone, Arbitrary)]
pub struct RawEntry {
    id: Id,
    priority: i16,
    texts: RawTexts,
    states: [bool; 3],
    dependencies: Vec<Id>,
    request: Option<(bool, Vec<RawField>)>,
}

impl RawEntry {
    fn entry(&self) -> Feature {
        let Texts { category, name, description, steps } = self.texts.texts();
        let [passes, in_progress, needs_human_input] = self.states;
        let request = self.request.as_ref().map(|(sound, fields)| {
            let fields: Vec<_> = fields.iter().map(|field| field.field().to_json()).collect();
            if *sound { json!({"prompt": "?", "fields": fields}) } else { json!(fields) }
        });
        Feature {
            id: self.id.get().into(),
            priority: i64::from(self.priority),
            category,
            name,
            description,
            steps: Steps::List(steps),
            passes,
            in_progress,
            needs_human_input,
            dependencies: feature_ids(&self.dependencies),
            human_input_request: request,
            human_input_response: None,
        }
    }
}

/// None that makes a short history forget something, which the model never does.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct RawPolicy {
    attempts: Option<u8>,
    more: u16,
    answers: u32,
}

impl RawPolicy {
    fn policy(self) -> Policy {
        let kept = 10_000 + u32::from(self.more);
        Policy {
            attempts: self.attempts.map(|attempts| u32::from(attempts % 4)),
            events: kept,
            ended_claims: kept,
            answers: self.answers,
            answers_for: Duration::from_millis(self.answers.into()),
        }
    }
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum RawExpect {
    Anything,
    Current,
    Stale,
}

impl RawExpect {
    fn expect(self) -> Expect {
        match self {
            Self::Anything => Expect::Anything,
            Self::Current => Expect::Current,
            Self::Stale => Expect::Stale,
        }
    }
}

/// [`Op`], made of few bytes. A test of the tree's shape sees to it that none is missing.
#[derive(Debug, Clone, Arbitrary)]
pub enum RawOp {
    GetStats,
    GetFeature(Id),
    GetSummary(Id),
    ListFeatures,
    GetBoard,
    GetReady(u8),
    GetBlocked(u8),
    GetGraph,
    CheckFeatures,
    GetSnapshot,
    GetClaims,
    GetBudgets,
    GetAttempts(Option<Id>, u8),
    GetPolicy,
    GetChanges(Id, u8),
    GetLog(Option<Id>, Option<u8>, Option<Id>, u8),
    ClaimFeature(Id),
    ClaimNext,
    ClaimBatch(u8, u8),
    MarkInProgress(Id),
    ClearInProgress(Id),
    MarkPassing(Id),
    MarkFailing(Id),
    SkipFeature(Id),
    RenewClaims(Vec<Id>),
    RecoverClaims,
    RetryFeature(Id),
    SetPolicy(RawPolicy),
    CreateFeature(RawTexts, Option<Id>, Vec<Id>),
    CreateFeatures(Vec<(RawTexts, Vec<u8>)>, Option<Id>),
    ImportBacklog(Vec<RawEntry>),
    UpdateFeature(Id, Box<RawChanges>, RawExpect),
    DeleteFeature(Id, bool),
    AddDependency(Id, Id),
    RemoveDependency(Id, Id),
    SetDependencies(Id, Vec<Id>),
    RequestHumanInput(Id, Word, Vec<RawField>),
    AnswerHumanInput(Id, Vec<(u8, RawGiven)>, u32, RawExpect),
}

#[derive(Debug, Clone, Arbitrary)]
pub struct RawChanges {
    category: Option<Word>,
    name: Option<Word>,
    description: Option<Word>,
    steps: Option<Vec<Word>>,
    priority: Option<Id>,
    dependencies: Option<Vec<Id>>,
}

impl RawOp {
    pub fn op(&self) -> Op {
        self.read().or_else(|| self.on_one()).unwrap_or_else(|| self.write())
    }

    /// `None` for one that writes.
    fn read(&self) -> Option<Op> {
        Some(match self {
            Self::GetStats => Op::GetStats,
            Self::GetFeature(id) => Op::GetFeature(id.get()),
            Self::GetSummary(id) => Op::GetSummary(id.get()),
            Self::ListFeatures => Op::ListFeatures,
            Self::GetBoard => Op::GetBoard,
            Self::GetReady(limit) => Op::GetReady { limit: usize::from(*limit) },
            Self::GetBlocked(limit) => Op::GetBlocked { limit: usize::from(*limit) },
            Self::GetGraph => Op::GetGraph,
            Self::CheckFeatures => Op::CheckFeatures,
            Self::GetSnapshot => Op::GetSnapshot,
            Self::GetClaims => Op::GetClaims,
            Self::GetBudgets => Op::GetBudgets,
            Self::GetAttempts(of, limit) => {
                Op::GetAttempts { feature: of.map(Id::get), limit: usize::from(*limit) }
            }
            Self::GetPolicy => Op::GetPolicy,
            Self::GetChanges(since, limit) => {
                Op::GetChanges { since: since.get(), limit: usize::from(*limit) }
            }
            Self::GetLog(of, session, before, limit) => Op::GetLog {
                feature: of.map(Id::get),
                session: session.map(|n| format!("session {}", n % 4)),
                before: before.map(Id::get),
                limit: usize::from(*limit),
            },
            _ => return None,
        })
    }

    /// `None` for one that takes more than ids.
    fn on_one(&self) -> Option<Op> {
        Some(match self {
            Self::ClaimFeature(id) => Op::ClaimFeature(id.get()),
            Self::ClaimNext => Op::ClaimNext,
            Self::ClaimBatch(max, others) => {
                Op::ClaimBatch { max: usize::from(*max % 8), others: usize::from(*others % 8) }
            }
            Self::MarkInProgress(id) => Op::MarkInProgress(id.get()),
            Self::ClearInProgress(id) => Op::ClearInProgress(id.get()),
            Self::MarkPassing(id) => Op::MarkPassing(id.get()),
            Self::MarkFailing(id) => Op::MarkFailing(id.get()),
            Self::SkipFeature(id) => Op::SkipFeature(id.get()),
            Self::RenewClaims(tokens) => Op::RenewClaims(ids(tokens)),
            Self::RecoverClaims => Op::RecoverClaims,
            Self::RetryFeature(id) => Op::RetryFeature(id.get()),
            Self::DeleteFeature(id, force) => Op::DeleteFeature { id: id.get(), force: *force },
            Self::AddDependency(id, on) => Op::AddDependency { id: id.get(), dependency: on.get() },
            Self::RemoveDependency(id, on) => {
                Op::RemoveDependency { id: id.get(), dependency: on.get() }
            }
            Self::SetDependencies(id, on) => {
                Op::SetDependencies { id: id.get(), dependencies: ids(on) }
            }
            _ => return None,
        })
    }

    fn write(&self) -> Op {
        match self {
            Self::SetPolicy(policy) => Op::SetPolicy(policy.policy()),
            Self::CreateFeature(texts, priority, on) => Op::CreateFeature {
                texts: texts.texts(),
                priority: priority.map(Id::get),
                dependencies: ids(on),
            },
            Self::CreateFeatures(features, start) => Op::CreateFeatures {
                features: features
                    .iter()
                    .map(|(texts, on)| {
                        (texts.texts(), on.iter().map(|n| usize::from(*n)).collect())
                    })
                    .collect(),
                starting_priority: start.map(Id::get),
            },
            Self::ImportBacklog(entries) => {
                Op::ImportBacklog { entries: entries.iter().map(RawEntry::entry).collect() }
            }
            Self::UpdateFeature(id, changes, expected) => Op::UpdateFeature {
                id: id.get(),
                changes: FeatureChanges {
                    category: changes.category.as_ref().map(Word::text),
                    name: changes.name.as_ref().map(Word::text),
                    description: changes.description.as_ref().map(Word::text),
                    steps: changes.steps.as_deref().map(words),
                    priority: changes.priority.map(Id::get),
                    dependencies: changes.dependencies.as_deref().map(feature_ids),
                },
                expected: expected.expect(),
            },
            Self::RequestHumanInput(id, prompt, fields) => Op::RequestHumanInput {
                id: id.get(),
                prompt: prompt.text(),
                fields: fields.iter().map(RawField::field).collect(),
            },
            Self::AnswerHumanInput(id, fields, seconds, request) => Op::AnswerHumanInput {
                id: id.get(),
                fields: fields.iter().map(|(id, given)| (field_id(*id), given.given())).collect(),
                at: Timestamp::from_microseconds(i64::from(*seconds) * 1_000_001).unwrap(),
                request: request.expect(),
            },
            _ => Op::GetStats,
        }
    }
}
