//! Scripts on features, in a file with a log.

use autoforge_store::testing::{Expect, Model, Op, Outcome, Texts};
use autoforge_store::{
    ClaimFeature, ClaimNext, ClearInProgress, Command, CreateFeature, CreateFeatures,
    DeleteFeature, FeatureChanges, FeatureId, Features, MarkFailing, MarkPassing, NewFeature,
    PlannedFeature, SkipFeature, StorageError, Store, UpdateFeature,
};

use crate::session::{Answering, Script, answering};

pub(crate) enum OnFeatures {}

impl Script for OnFeatures {
    type Database = Features;
    type Model = Model;
    type Step = Op;
    type View = Vec<Outcome>;
    const FILE: &'static str = "features.db";

    fn submit(step: &Op, store: &Store) -> Answering {
        let id = |id: &i64| FeatureId::from(*id);
        match step {
            Op::CreateFeature { texts, priority, dependencies } => {
                let dependencies = dependencies.iter().map(id).collect();
                let (feature, priority) = (new(texts), *priority);
                hand_in(store, CreateFeature { feature, priority, dependencies })
            }
            Op::CreateFeatures { features, starting_priority } => {
                let planned = |(texts, depends_on): &(Texts, Vec<usize>)| PlannedFeature {
                    feature: new(texts),
                    depends_on: depends_on.clone(),
                };
                let features = features.iter().map(planned).collect();
                let starting_priority = *starting_priority;
                hand_in(store, CreateFeatures { features, starting_priority })
            }
            Op::ClaimNext => hand_in(store, ClaimNext),
            Op::ClaimFeature(of) => hand_in(store, ClaimFeature { id: id(of) }),
            Op::ClearInProgress(of) => hand_in(store, ClearInProgress { id: id(of) }),
            Op::MarkPassing(of) => hand_in(store, MarkPassing { id: id(of) }),
            Op::MarkFailing(of) => hand_in(store, MarkFailing { id: id(of) }),
            Op::SkipFeature(of) => hand_in(store, SkipFeature { id: id(of) }),
            Op::UpdateFeature { id: of, changes, expected: Expect::Anything } => {
                let changes = changes.clone();
                hand_in(store, UpdateFeature { id: id(of), changes, expected: None })
            }
            Op::DeleteFeature { id: of, force } => {
                hand_in(store, DeleteFeature { id: id(of), force: *force })
            }
            _ => panic!("no step of a script: {step:?}"),
        }
    }

    fn apply(step: &Op, model: &mut Model) -> Result<(), &'static str> {
        match model.apply(step) {
            Outcome::Answered(_) => Ok(()),
            Outcome::Refused(code) => Err(code),
            Outcome::Failed(fault) => panic!("a model does not fail: {fault}"),
        }
    }

    fn view_of(model: &Model) -> Vec<Outcome> {
        let mut model = model.clone();
        reads().iter().map(|op| model.apply(op)).collect()
    }

    fn view(store: &Store) -> Result<Vec<Outcome>, StorageError> {
        let read = |op: &Op| match op.apply_to(store) {
            Outcome::Failed(fault) => Err(fault),
            outcome => Ok(outcome),
        };
        reads().iter().map(read).collect()
    }
}

fn hand_in<C: Command<Database = Features>>(store: &Store, command: C) -> Answering {
    answering(store.submit(command))
}

fn reads() -> [Op; 5] {
    let limit = usize::MAX;
    [
        Op::ListFeatures,
        Op::GetReady { limit },
        Op::GetClaims,
        Op::GetAttempts { feature: None, limit },
        Op::GetChanges { since: 0, limit },
    ]
}

fn new(texts: &Texts) -> NewFeature {
    NewFeature::new(&texts.category, &texts.name, &texts.description, &texts.steps).unwrap()
}

fn texts(name: String, bytes: usize) -> Texts {
    let words = "What it does, at some length. ";
    Texts {
        category: "Category".to_owned(),
        name,
        description: words.repeat(bytes / words.len() + 1),
        steps: vec!["Build it".to_owned(), "Try it".to_owned()],
    }
}

pub(crate) fn create(name: &str, bytes: usize) -> Op {
    let texts = texts(name.to_owned(), bytes);
    Op::CreateFeature { texts, priority: None, dependencies: Vec::new() }
}

/// Each but the first waits for the first.
fn create_many(names: &str, count: usize, bytes: usize) -> Op {
    let one = |at: usize| {
        let depends_on = if at == 0 { Vec::new() } else { vec![0] };
        (texts(format!("{names} {at}"), bytes), depends_on)
    };
    Op::CreateFeatures { features: (0..count).map(one).collect(), starting_priority: None }
}

fn edit(id: i64, description: &str) -> Op {
    let changes =
        FeatureChanges { description: Some(description.to_owned()), ..FeatureChanges::default() };
    Op::UpdateFeature { id, changes, expected: Expect::Anything }
}

/// A few commands of all sorts, in groups; the log is copied back after some of them.
pub(crate) fn short() -> Vec<Vec<Op>> {
    vec![
        vec![create_many("First", 3, 40), create("Alone", 40)],
        vec![Op::ClaimNext, Op::MarkPassing(1), Op::MarkPassing(99), edit(4, "Anew.")],
        vec![Op::ClaimFeature(2), Op::DeleteFeature { id: 4, force: false }],
        vec![create("Later", 5_000), Op::MarkPassing(2), Op::SkipFeature(3)],
    ]
}

/// Enough for the log to be copied back early, begun anew and cut.
pub(crate) fn long() -> Vec<Vec<Op>> {
    let mut rounds = vec![
        vec![create_many("Many", 40, 200), create("One", 9_000), create("Two", 20)],
        vec![Op::ClaimNext, Op::MarkPassing(1), edit(2, &"Long. ".repeat(1_500))],
    ];
    for round in 0..14 {
        let id = 2 + round * 2;
        rounds.push(vec![
            Op::ClaimFeature(id),
            create(&format!("Round {round}"), 1_500),
            edit(id + 1, &"Changed. ".repeat(300)),
            Op::MarkPassing(id),
        ]);
        if round % 4 == 3 {
            rounds.push(vec![create_many("More", 25, 600)]);
            rounds.push(vec![
                Op::DeleteFeature { id: id + 1, force: true },
                Op::MarkFailing(id),
                Op::SkipFeature(40),
            ]);
        }
    }
    rounds
}

/// How many rounds of [`over_an_old_log`] come before the log is begun anew.
pub(crate) const IN_THE_OLD_LOG: usize = 4;

/// The log is cut after two rounds, then filled until it is copied back and begun anew, so that what
/// follows is written over frames of the same pages in the same places. Of the page that comes last, the
/// history's, more than half is the same by then: 13 pairs of events are just enough for it.
pub(crate) fn over_an_old_log() -> Vec<Vec<Op>> {
    let mut filled = vec![create_many("Small", 3, 40)];
    filled.extend((0..17).flat_map(|_| [Op::ClaimFeature(1), Op::ClearInProgress(1)]));
    let rounds = vec![
        filled,
        vec![Op::ClaimFeature(2)],
        vec![Op::ClaimFeature(1)],
        vec![create("Large", 520_000)],
        vec![Op::ClearInProgress(1)],
        vec![Op::ClaimFeature(1)],
    ];
    assert!(rounds.len() > IN_THE_OLD_LOG);
    rounds
}
