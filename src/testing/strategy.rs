//! Sequences of commands for property tests.
//!
//! Ids are small numbers, since a project counts its features from 1: most name a feature that is
//! there. About one command in ten has something wrong with it.

mod claims;

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};

use crate::{Feature, FeatureChanges, FeatureId, Limits, Steps, Timestamp};

use super::form::{FieldKind, FormField, Given};
use super::op::{Expect, Op, Texts};
use super::step::Sequence;

pub use claims::{call, foreign, row, steps};

/// Up to `max` commands. Mostly the first one fills the project.
pub fn ops(max: usize) -> impl Strategy<Value = Sequence<Op>> {
    let first = prop_oneof![7 => filling(), 2 => import(), 1 => op()];
    let next = prop_oneof![9 => op().prop_map(|op| vec![op]), 1 => question()];
    (first, vec(next, 0..max.max(1))).prop_map(move |(first, next)| {
        let mut ops = vec![first];
        ops.extend(next.into_iter().flatten());
        ops.truncate(max);
        Sequence(ops)
    })
}

/// One command, whatever the project holds.
pub fn op() -> BoxedStrategy<Op> {
    prop_oneof![
        3 => read(),
        1 => claims::look_back(),
        9 => on_one(),
        2 => claims::on_claims(),
        3 => create(),
        4 => dependency(),
        5 => change(),
    ]
    .boxed()
}

fn read() -> BoxedStrategy<Op> {
    prop_oneof![
        Just(Op::GetStats),
        id().prop_map(Op::GetFeature),
        id().prop_map(Op::GetSummary),
        Just(Op::ListFeatures),
        Just(Op::GetBoard),
        limit().prop_map(|limit| Op::GetReady { limit }),
        limit().prop_map(|limit| Op::GetBlocked { limit }),
        Just(Op::GetGraph),
        Just(Op::CheckFeatures),
    ]
    .boxed()
}

fn on_one() -> BoxedStrategy<Op> {
    prop_oneof![
        4 => id().prop_map(Op::ClaimFeature),
        3 => Just(Op::ClaimNext),
        2 => (0..5_usize, 0..4_usize).prop_map(|(max, others)| Op::ClaimBatch { max, others }),
        3 => id().prop_map(Op::MarkInProgress),
        2 => id().prop_map(Op::ClearInProgress),
        4 => id().prop_map(Op::MarkPassing),
        2 => id().prop_map(Op::MarkFailing),
        2 => id().prop_map(Op::SkipFeature),
        1 => (id(), any::<bool>()).prop_map(|(id, force)| Op::DeleteFeature { id, force }),
    ]
    .boxed()
}

fn create() -> BoxedStrategy<Op> {
    let one = (texts(), wanted_priority(), ids()).prop_map(|(texts, priority, dependencies)| {
        Op::CreateFeature { texts, priority, dependencies }
    });
    prop_oneof![4 => one, 2 => create_features(), 1 => import()].boxed()
}

fn dependency() -> BoxedStrategy<Op> {
    prop_oneof![
        3 => (id(), id()).prop_map(|(id, dependency)| Op::AddDependency { id, dependency }),
        1 => (id(), id()).prop_map(|(id, dependency)| Op::RemoveDependency { id, dependency }),
        1 => (id(), ids()).prop_map(|(id, dependencies)| Op::SetDependencies { id, dependencies }),
    ]
    .boxed()
}

fn change() -> BoxedStrategy<Op> {
    let update = (id(), changes(), expect())
        .prop_map(|(id, changes, expected)| Op::UpdateFeature { id, changes, expected });
    let request = (id(), prompt(), form()).prop_map(|(id, prompt, fields)| Op::RequestHumanInput {
        id,
        prompt,
        fields,
    });
    prop_oneof![3 => update, 2 => request, 2 => id().prop_flat_map(answer)].boxed()
}

/// A feature that is claimed, asked about and answered.
fn question() -> BoxedStrategy<Vec<Op>> {
    let steps = |id| (Just(id), prompt(), form(), vec(answer(id), 1..4));
    let ops = |(id, prompt, fields, answers): (i64, String, Vec<FormField>, Vec<Op>)| {
        let mut ops = vec![Op::ClaimFeature(id), Op::RequestHumanInput { id, prompt, fields }];
        ops.extend(answers);
        ops
    };
    id().prop_flat_map(steps).prop_map(ops).boxed()
}

fn answer(id: i64) -> BoxedStrategy<Op> {
    (vec((field_id(), given()), 0..3), timestamp(), expect())
        .prop_map(move |(fields, at, request)| Op::AnswerHumanInput { id, fields, at, request })
        .boxed()
}

fn id() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 1..=5_i64,
        6 => 1..=9_i64,
        1 => select(vec![0, -1, 30, i64::MAX, i64::MIN]),
    ]
}

fn ids() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        12 => subsequence((1..=6).collect::<Vec<i64>>(), 0..3).prop_shuffle(),
        2 => vec(id(), 0..5),
        1 => vec(1..=30_i64, Limits::DEPENDENCIES..=Limits::DEPENDENCIES + 2),
        1 => Just((1..=30).collect()),
    ]
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..5_usize, 1 => Just(usize::MAX)]
}

fn priority() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 1..=20_i64,
        2 => 0..=1000_i64,
        1 => select(vec![-7, i64::MIN, i64::MAX - 1, i64::MAX]),
    ]
}

fn wanted_priority() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![3 => Just(None), 1 => priority().prop_map(Some)]
}

/// A text that is mostly plain, now and then anything at all, and rarely empty.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        20 => "[a-z]{1,6}",
        4 => any::<String>().prop_filter("empty comes below", |text| !text.is_empty()),
        1 => select(vec!["0", "null", "[1", "{}", "a\0b", "'; --", "\u{202e}\n😀", "\u{2028}"])
            .prop_map(str::to_owned),
        1 => Just(String::new()),
    ]
    .boxed()
}

fn texts() -> BoxedStrategy<Texts> {
    let long = (0..3_usize, 0..2_usize).prop_map(|(which, beyond)| {
        let long = |at: usize, limit: usize| if which == at { limit + beyond } else { 1 };
        Texts {
            category: "ä".repeat(long(0, Limits::CATEGORY_CHARS)),
            name: "ö".repeat(long(1, Limits::NAME_CHARS)),
            description: "d".to_owned(),
            steps: vec!["s".to_owned(); long(2, 20)],
        }
    });
    let usual = (text(), text(), text(), vec(text(), 0..3)).prop_map(
        |(category, name, description, steps)| Texts { category, name, description, steps },
    );
    prop_oneof![12 => plain_texts(), 2 => usual, 1 => long].boxed()
}

fn plain_texts() -> impl Strategy<Value = Texts> {
    "[a-z]{1,4}".prop_map(|name| Texts {
        category: "c".to_owned(),
        name,
        description: "d".to_owned(),
        steps: vec!["s".to_owned()],
    })
}

/// Enough features to work with.
fn filling() -> BoxedStrategy<Op> {
    planned(plain_texts(), 3..9)
        .prop_map(|features| Op::CreateFeatures { features, starting_priority: None })
        .boxed()
}

/// Features that depend on earlier ones.
fn planned(
    texts: impl Strategy<Value = Texts> + 'static,
    count: Range<usize>,
) -> BoxedStrategy<Vec<(Texts, Vec<usize>)>> {
    let planned = |(at, (texts, wanted)): (usize, (Texts, Vec<Index>))| {
        let mut positions: Vec<usize> =
            wanted.iter().filter(|_| at > 0).map(|index| index.index(at)).collect();
        positions.sort_unstable();
        positions.dedup();
        positions.reverse();
        (texts, positions)
    };
    vec((texts, vec(any::<Index>(), 0..3)), count)
        .prop_map(move |features| features.into_iter().enumerate().map(planned).collect())
        .boxed()
}

fn create_features() -> BoxedStrategy<Op> {
    let anything = vec((texts(), vec(0..4_usize, 0..3)), 0..4);
    let start = prop_oneof![5 => Just(None), 1 => priority().prop_map(Some)];
    (prop_oneof![6 => planned(texts(), 0..4), 1 => anything], start)
        .prop_map(|(features, starting_priority)| Op::CreateFeatures {
            features,
            starting_priority,
        })
        .boxed()
}

fn import() -> BoxedStrategy<Op> {
    let ids = prop_oneof![
        6 => subsequence((1..=7_i64).collect::<Vec<_>>(), 0..=6).prop_shuffle(),
        1 => vec(-1..=5_i64, 0..4),
        1 => Just(vec![1, i64::MAX - 1]),
    ];
    (ids, any::<Index>(), vec(entry(), 6))
        .prop_map(|(ids, at, entries)| {
            let earlier = |n: usize| ids.get(at.index(n + 1)).copied().filter(|_| n > 0);
            let place = |(n, mut entry): (usize, Feature)| {
                entry.id = ids.get(n).copied()?.into();
                if entry.dependencies.is_empty() {
                    let earlier = earlier(n).map(FeatureId::from);
                    entry.dependencies.extend(earlier.filter(|id| *id != entry.id));
                }
                Some(entry)
            };
            Op::ImportBacklog {
                entries: entries.into_iter().enumerate().map_while(place).collect(),
            }
        })
        .boxed()
}

fn entry() -> BoxedStrategy<Feature> {
    let steps = prop_oneof![
        3 => vec(text(), 0..3).prop_map(Steps::List),
        1 => select(vec![Value::Null, json!("text"), json!([1, {"a": null}]), json!(-0.5e-7)])
            .prop_map(Steps::Other),
    ];
    let request = prop_oneof![
        2 => Just(None),
        2 => (prompt(), form()).prop_map(|(prompt, fields)| {
            let fields: Vec<Value> = fields.iter().map(FormField::to_json).collect();
            Some(json!({"prompt": prompt, "fields": fields}))
        }),
        1 => select(vec![json!("text"), json!({"fields": [1]}), json!({"fields": {}}), json!([])])
            .prop_map(Some),
    ];
    let flag = || prop::bool::weighted(0.2);
    let dependencies = prop_oneof![6 => Just(Vec::new()), 1 => vec(1..=12_i64, 0..3)];
    let response = prop_oneof![3 => Just(None), 1 => Just(Some(json!({"fields": {"a": "b"}})))];
    let texts = (text(), text(), text(), steps);
    let states = (priority(), flag(), flag(), flag(), dependencies);
    (texts, states, request, response)
        .prop_map(|(texts, states, request, response)| {
            let (category, name, description, steps) = texts;
            let (priority, passes, in_progress, needs_human_input, dependencies) = states;
            Feature {
                id: 1.into(),
                priority,
                category,
                name,
                description,
                steps,
                passes,
                in_progress,
                needs_human_input,
                dependencies: dependencies.into_iter().map(FeatureId::from).collect(),
                human_input_request: request,
                human_input_response: response,
            }
        })
        .boxed()
}

fn changes() -> BoxedStrategy<FeatureChanges> {
    (
        prop::option::weighted(0.3, text()),
        prop::option::weighted(0.3, text()),
        prop::option::weighted(0.3, text()),
        prop::option::weighted(0.3, vec(text(), 0..3)),
        prop::option::weighted(0.3, priority()),
        prop::option::weighted(0.3, ids()),
    )
        .prop_map(|(category, name, description, steps, priority, dependencies)| {
            let ids = |ids: Vec<i64>| ids.into_iter().map(FeatureId::from).collect();
            let dependencies = dependencies.map(ids);
            FeatureChanges { category, name, description, steps, priority, dependencies }
        })
        .boxed()
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![4 => Just(Expect::Anything), 2 => Just(Expect::Current), 1 => Just(Expect::Stale)]
}

fn prompt() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just("Which?".to_owned()), 1 => text()]
}

/// Few enough that answers meet questions.
fn field_id() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just("a"), 3 => Just("b"), 1 => Just("ü"), 1 => Just(" ")]
        .prop_map(str::to_owned)
}

/// The fields of a question, mostly in order.
fn form() -> BoxedStrategy<Vec<FormField>> {
    let kind = prop_oneof![
        4 => Just(FieldKind::Unnamed),
        1 => Just(FieldKind::Text),
        1 => Just(FieldKind::Textarea),
        2 => Just(FieldKind::Boolean),
        2 => Just(FieldKind::Select(vec!["x".to_owned(), "y".to_owned()])),
    ];
    let field = (kind, any::<Option<bool>>());
    let in_order = (field.clone(), prop::option::of(field)).prop_map(|(first, second)| {
        let field = |id: &str, (kind, required)| FormField {
            id: id.to_owned(),
            label: "Label".to_owned(),
            kind,
            required,
        };
        let second = second.map(|second| field("b", second));
        std::iter::once(field("a", first)).chain(second).collect()
    });
    prop_oneof![5 => in_order, 1 => vec(any_field(), 0..4)].boxed()
}

fn any_field() -> impl Strategy<Value = FormField> {
    let kind = prop_oneof![
        4 => Just(FieldKind::Unnamed),
        2 => Just(FieldKind::Text),
        1 => Just(FieldKind::Textarea),
        2 => Just(FieldKind::Boolean),
        2 => vec(select(vec!["x", "y", " "]).prop_map(str::to_owned), 0..3)
            .prop_map(FieldKind::Select),
        1 => Just(FieldKind::TextWithOptions),
        1 => Just(FieldKind::Unknown),
    ];
    let label = prop_oneof![12 => Just("Label"), 1 => Just("\t")].prop_map(str::to_owned);
    (field_id(), label, kind, any::<Option<bool>>())
        .prop_map(|(id, label, kind, required)| FormField { id, label, kind, required })
}

fn given() -> BoxedStrategy<Given> {
    prop_oneof![
        8 => Just(Given::Text("x".to_owned())),
        3 => select(vec!["x", "y", "z", "", " "]).prop_map(|text| Given::Text(text.to_owned())),
        1 => text().prop_map(Given::Text),
        2 => any::<bool>().prop_map(Given::Flag),
        1 => any::<i64>().prop_map(Given::Number),
        1 => Just(Given::Null),
    ]
    .boxed()
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_000_i64).prop_filter_map("out of range", Timestamp::from_microseconds)
}
