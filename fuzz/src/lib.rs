//! What the fuzz targets share: commands made of few bytes, and projects that cost no disk.

use std::cell::RefCell;
use std::path::Path;

use arbitrary::Arbitrary;
use autoforge_store::testing::{Expect, FieldKind, FormField, Given, Op, Texts};
use autoforge_store::{Feature, FeatureChanges, FeatureId, Steps, Store, Timestamp};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

/// A folder in memory where the system has such a place.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// A project that is emptied between inputs, which is much faster than making one for each.
pub struct Project {
    pub folder: TempDir,
    pub store: Store,
    /// Another program's connection to the same file.
    pub foreign: Connection,
}

impl Project {
    fn open() -> Self {
        let folder = folder();
        let store = Store::open_project(folder.path()).unwrap();
        let foreign = Connection::open(store.path()).unwrap();
        Self { folder, store, foreign }
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        assert_eq!(self.store.close().fault, None);
        self.store = Store::open_project(self.folder.path()).unwrap();
    }
}

thread_local! {
    static PROJECT: RefCell<Option<Project>> = const { RefCell::new(None) };
}

/// Runs on an empty project.
pub fn with_project(run: impl FnOnce(&mut Project)) {
    PROJECT.with_borrow_mut(|project| {
        let project = project.get_or_insert_with(Project::open);
        // Claims and history go too, and their numbers begin anew; the features go first, since the
        // triggers note that they went.
        let empty = "BEGIN IMMEDIATE; DELETE FROM features;
             DELETE FROM autoforge_claims; DELETE FROM autoforge_budgets;
             DELETE FROM autoforge_events; DELETE FROM autoforge_requests;
             DELETE FROM sqlite_sequence WHERE name LIKE 'autoforge\\_%' ESCAPE '\\';
             DELETE FROM autoforge_store WHERE fact NOT IN ('format', 'feature_id_floor');
             UPDATE autoforge_store SET value = 0 WHERE fact = 'feature_id_floor'; COMMIT";
        project.foreign.execute_batch(empty).unwrap();
        run(project);
    });
}

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

fn ids(ids: &[Id]) -> Vec<i64> {
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
    fn text(&self) -> String {
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

/// [`Op`], made of few bytes.
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
    ClaimFeature(Id),
    ClaimNext,
    ClaimBatch(u8, u8),
    MarkInProgress(Id),
    ClearInProgress(Id),
    MarkPassing(Id),
    MarkFailing(Id),
    SkipFeature(Id),
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
        match self {
            Self::GetStats => Op::GetStats,
            Self::GetFeature(id) => Op::GetFeature(id.get()),
            Self::GetSummary(id) => Op::GetSummary(id.get()),
            Self::ListFeatures => Op::ListFeatures,
            Self::GetBoard => Op::GetBoard,
            Self::GetReady(limit) => Op::GetReady { limit: usize::from(*limit) },
            Self::GetBlocked(limit) => Op::GetBlocked { limit: usize::from(*limit) },
            Self::GetGraph => Op::GetGraph,
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
            Self::DeleteFeature(id, force) => Op::DeleteFeature { id: id.get(), force: *force },
            Self::AddDependency(id, on) => Op::AddDependency { id: id.get(), dependency: on.get() },
            Self::RemoveDependency(id, on) => {
                Op::RemoveDependency { id: id.get(), dependency: on.get() }
            }
            Self::SetDependencies(id, on) => {
                Op::SetDependencies { id: id.get(), dependencies: ids(on) }
            }
            _ => self.op_with_texts(),
        }
    }

    fn op_with_texts(&self) -> Op {
        match self {
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
