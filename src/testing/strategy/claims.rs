//! Histories of several owners, of other programs, and of clocks.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{Field, Policy, Stored, Tenure};

use super::super::call::{Call, OWNERS, Token};
use super::super::foreign::Foreign;
use super::super::op::Op;
use super::super::row::{Layout, Row};
use super::super::step::{Ending, Sequence, Step};
use super::{filling, id, ids, limit, on_one, op, priority, text};

/// Up to `max` things that happen. Mostly the first one fills the project.
pub fn steps(max: usize) -> impl Strategy<Value = Sequence<Step>> {
    let bare = |op| Step::Call(Call::default(), op);
    let first = prop_oneof![7 => filling().prop_map(bare), 1 => step()];
    let next = prop_oneof![12 => step().prop_map(|step| vec![step]), 2 => lost_claim()];
    (first, vec(next, 0..max.max(1))).prop_map(move |(first, next)| {
        let mut steps = vec![first];
        steps.extend(next.into_iter().flatten());
        steps.truncate(max);
        Sequence(steps)
    })
}

fn step() -> BoxedStrategy<Step> {
    let on_one = (call(), on_one()).prop_map(|(call, op)| Step::Call(call, op));
    let any = (call(), op()).prop_map(|(call, op)| Step::Call(call, op));
    let who = || select(OWNERS.to_vec());
    prop_oneof![
        14 => on_one,
        8 => any,
        8 => foreign().prop_map(Step::Foreign),
        4 => seconds().prop_map(Step::Pass),
        2 => select(vec![-1_000_000, -60, -5, 5, 60, 1_000_000]).prop_map(Step::SetWall),
        1 => Just(Step::Reboot),
        2 => who().prop_map(Step::Bury),
        1 => who().prop_map(Step::Doubt),
        2 => select(vec![Ending::Close, Ending::Drop, Ending::Dispose]).prop_map(Step::Reopen),
    ]
    .boxed()
}

/// A claim that ends without its owner, who goes on all the same.
fn lost_claim() -> BoxedStrategy<Vec<Step>> {
    let claim = |who, id| Step::Call(Call::owning(who, Some(LEASE)), Op::ClaimFeature(id));
    let owners = prop_oneof![4 => Just((0, 1)), 1 => Just((1, 1)), 1 => Just((2, 0))];
    let token = prop_oneof![2 => Just(Token::Ended), 1 => Just(Token::Standing)];
    let verdict = prop_oneof![
        id().prop_map(Op::MarkPassing),
        id().prop_map(Op::MarkFailing),
        id().prop_map(Op::SkipFeature),
        id().prop_map(Op::ClearInProgress),
    ];
    (owners, id(), token, any::<bool>(), 0..6_u8, verdict)
        .prop_map(move |((who, other), id, token, is_taken, end, verdict)| {
            let mut steps = vec![claim(who, id)];
            steps.push(match end {
                0 | 1 => Step::Pass(60),
                2 => Step::Bury(who),
                3 => Step::Foreign(Foreign::Clear(id)),
                4 => Step::Foreign(Foreign::Reset),
                _ => Step::SetWall(60),
            });
            steps.extend(is_taken.then(|| claim(other, id)));
            let late = Call { who: Some(who), token, ..Call::default() };
            let verdict = match verdict {
                Op::MarkPassing(_) => Op::MarkPassing(id),
                Op::MarkFailing(_) => Op::MarkFailing(id),
                Op::SkipFeature(_) => Op::SkipFeature(id),
                _ => Op::ClearInProgress(id),
            };
            steps.push(Step::Call(late, verdict));
            steps
        })
        .boxed()
}

const LEASE: Duration = Duration::from_mins(1);

fn seconds() -> impl Strategy<Value = u32> {
    select(vec![1, 5, 59, 60, 1000])
}

/// What comes with a call: mostly an owner, under no claim in particular.
pub fn call() -> BoxedStrategy<Call> {
    let who = prop_oneof![1 => Just(None), 4 => select(OWNERS.to_vec()).prop_map(Some)];
    let tenure = prop_oneof![
        2 => Just(Tenure::Unowned),
        1 => Just(Tenure::Owned { lease: None }),
        5 => select(vec![Duration::from_secs(5), LEASE])
            .prop_map(|lease| Tenure::Owned { lease: Some(lease) }),
    ];
    let token = prop_oneof![
        8 => Just(Token::None),
        2 => Just(Token::Standing),
        1 => Just(Token::Ended),
        1 => number().prop_map(Token::Of),
    ];
    let reason = prop_oneof![8 => Just(None), 1 => Just(Some("because"))];
    (who, tenure, token, prop::bool::weighted(0.1), reason)
        .prop_map(|(who, tenure, token, overriding, reason)| Call {
            who,
            tenure,
            token,
            overriding,
            reason,
        })
        .boxed()
}

/// Of a claim or an event; mostly of one that there is.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![12 => 1..=8_i64, 1 => 0..=40_i64, 1 => select(vec![-1, i64::MIN, i64::MAX])]
}

/// Reading claims and history.
pub(super) fn look_back() -> BoxedStrategy<Op> {
    let of_one = || prop::option::of(id());
    let session = select(vec![None, Some("session 0"), Some("session 1"), Some("nobody's")]);
    let log = (of_one(), session, prop::option::of(number()), limit()).prop_map(
        |(feature, session, before, limit)| {
            let session = session.map(str::to_owned);
            Op::GetLog { feature, session, before, limit }
        },
    );
    prop_oneof![
        1 => Just(Op::GetClaims),
        1 => Just(Op::GetBudgets),
        1 => (of_one(), limit()).prop_map(|(feature, limit)| Op::GetAttempts { feature, limit }),
        1 => Just(Op::GetPolicy),
        1 => (number(), limit()).prop_map(|(since, limit)| Op::GetChanges { since, limit }),
        1 => log,
    ]
    .boxed()
}

/// Claims apart from a feature's state.
pub(super) fn on_claims() -> BoxedStrategy<Op> {
    prop_oneof![
        3 => vec(number(), 0..4).prop_map(Op::RenewClaims),
        2 => Just(Op::RecoverClaims),
        2 => id().prop_map(Op::RetryFeature),
        1 => policy().prop_map(Op::SetPolicy),
    ]
    .boxed()
}

/// None that makes a short history forget something.
fn policy() -> BoxedStrategy<Policy> {
    let attempts = prop_oneof![4 => (1..4_u32).prop_map(Some), 1 => Just(None), 1 => Just(Some(0))];
    (attempts, 10_000..=u32::MAX, 10_000..=u32::MAX, any::<u32>(), any::<u32>())
        .prop_map(|(attempts, events, ended_claims, answers, millis)| Policy {
            attempts,
            events,
            ended_claims,
            answers,
            answers_for: Duration::from_millis(millis.into()),
        })
        .boxed()
}

/// What another program does.
pub fn foreign() -> BoxedStrategy<Foreign> {
    let dependencies = ids().prop_map(|ids| Stored::Text(format!("{ids:?}")));
    let dependencies = prop_oneof![2 => Just(Stored::Null), 1 => dependencies].boxed();
    let insert = (priority(), any::<bool>(), dependencies).prop_map(
        |(priority, in_progress, dependencies)| Foreign::Insert {
            priority,
            in_progress,
            dependencies,
        },
    );
    let set = (id(), field_and_value()).prop_map(|(id, (field, value))| Foreign::Set {
        id,
        field,
        value,
    });
    prop_oneof![
        4 => id().prop_map(Foreign::Claim),
        2 => id().prop_map(Foreign::Pass),
        2 => id().prop_map(Foreign::Fail),
        2 => (id(), priority()).prop_map(|(id, to)| Foreign::Skip { id, to }),
        2 => id().prop_map(Foreign::Clear),
        2 => Just(Foreign::Reset),
        2 => id().prop_map(Foreign::Ask),
        2 => id().prop_map(Foreign::Resolve),
        2 => insert,
        1 => id().prop_map(Foreign::Delete),
        8 => set,
    ]
    .boxed()
}

/// A column and something that it may hold, sensible or not.
fn field_and_value() -> BoxedStrategy<(Field, Stored)> {
    let text = || text().prop_map(Stored::Text);
    let json = || {
        prop_oneof![
            2 => select(vec!["[\"a\"]", "[1, 2]", "[3, 3]", "[4.5, \"5\", 18446744073709551615]",
                "null", "no json", "{\"prompt\": 1}", "7", "-0.5", "\"\\ud800\"", "[9"])
                .prop_map(|text| Stored::Text(text.to_owned())),
            1 => ids().prop_map(|ids| Stored::Text(format!("{ids:?}"))),
            1 => text(),
            1 => Just(Stored::Null),
            1 => Just(Stored::Blob(vec![0xff, 0])),
        ]
    };
    let flag = || {
        prop_oneof![6 => (0..2_i64).prop_map(Stored::Integer), 1 => Just(Stored::Null),
            1 => Just(Stored::Integer(2))]
    };
    prop_oneof![
        2 => (Just(Field::Priority), priority().prop_map(Stored::Integer)),
        1 => (Just(Field::Category), text()),
        1 => (Just(Field::Name), prop_oneof![text(), Just(Stored::Integer(7)), Just(Stored::Null)]),
        1 => (Just(Field::Description), text()),
        1 => (Just(Field::Steps), json()),
        2 => (Just(Field::Passes), flag()),
        3 => (Just(Field::InProgress), flag()),
        4 => (Just(Field::Dependencies), json()),
        2 => (Just(Field::NeedsHumanInput), flag()),
        1 => (Just(Field::HumanInputRequest), json()),
        1 => (Just(Field::HumanInputResponse), json()),
    ]
    .boxed()
}

/// A row that was there before.
pub fn row(layout: Layout) -> BoxedStrategy<Row> {
    let unusual = vec(field_and_value(), 0..4);
    let flags = (any::<bool>(), prop::bool::weighted(0.3));
    (priority(), flags, unusual)
        .prop_map(move |(priority, (passes, in_progress), unusual)| {
            let text = |field, text: &str| (field, Stored::Text(text.to_owned()));
            let values = [
                (Field::Priority, Stored::Integer(priority)),
                text(Field::Category, "c"),
                text(Field::Name, "n"),
                text(Field::Description, "d"),
                text(Field::Steps, "[]"),
                (Field::Passes, Stored::Integer(passes.into())),
                (Field::InProgress, Stored::Integer(in_progress.into())),
                (Field::NeedsHumanInput, Stored::Integer(0)),
            ];
            let is_possible = |(field, value): &(Field, Stored)| {
                *value != Stored::Null || !layout.requires(*field)
            };
            Row::new(layout, values.into_iter().chain(unusual.into_iter().filter(is_possible)))
        })
        .boxed()
}
