//! What happens to a file that several programs use, made of few bytes.

use std::time::Duration;

use arbitrary::Arbitrary;
use autoforge_store::testing::{Call, Ending, Foreign, Model, OWNERS, Step, Token};
use autoforge_store::{Field, Stored, Tenure};

use crate::ops::{Id, RawOp, Word, ids};
use crate::project::with_file;
use crate::scene::{Checked, Scene};

/// Steps of one input at most.
const STEPS: usize = 64;

/// [`Step`], made of few bytes. A test of the tree's shape sees to it that none is missing.
#[derive(Debug, Clone, Arbitrary)]
pub enum RawStep {
    /// Nothing comes with the call.
    Bare(RawOp),
    Call(RawCall, RawOp),
    Foreign(RawForeign),
    Reopen(u8),
    Pass(u8),
    SetWall(i8),
    Reboot,
    Bury(u8),
    Doubt(u8),
}

impl RawStep {
    fn step(&self) -> Step {
        match self {
            Self::Bare(op) => Step::Call(Call::default(), op.op()),
            Self::Call(call, op) => Step::Call(call.call(), op.op()),
            Self::Foreign(foreign) => Step::Foreign(foreign.foreign()),
            Self::Reopen(how) => Step::Reopen(match how % 3 {
                0 => Ending::Close,
                1 => Ending::Drop,
                _ => Ending::Dispose,
            }),
            Self::Pass(seconds) => Step::Pass(u32::from(*seconds)),
            // Far enough for every lease, either way.
            Self::SetWall(hours) => Step::SetWall(i32::from(*hours) * 3600),
            Self::Reboot => Step::Reboot,
            Self::Bury(who) => Step::Bury(owner(*who)),
            Self::Doubt(who) => Step::Doubt(owner(*who)),
        }
    }
}

fn owner(n: u8) -> u8 {
    n % OWNERS.len() as u8
}

/// What comes with a call.
#[derive(Debug, Clone, Arbitrary)]
pub struct RawCall {
    who: Option<u8>,
    /// `None` claims for nobody; no seconds are no lease.
    lease: Option<u8>,
    token: RawToken,
    overriding: bool,
    because: bool,
}

#[derive(Debug, Clone, Arbitrary)]
enum RawToken {
    None,
    Standing,
    Ended,
    Of(Id),
}

impl RawCall {
    fn call(&self) -> Call {
        let lease =
            |seconds: u8| Some(Duration::from_secs(seconds.into())).filter(|l| !l.is_zero());
        Call {
            who: self.who.map(owner),
            tenure: self.lease.map_or(Tenure::Unowned, |n| Tenure::Owned { lease: lease(n) }),
            token: match self.token {
                RawToken::None => Token::None,
                RawToken::Standing => Token::Standing,
                RawToken::Ended => Token::Ended,
                RawToken::Of(id) => Token::Of(id.get()),
            },
            overriding: self.overriding,
            reason: self.because.then_some("because"),
        }
    }
}

/// [`Foreign`], made of few bytes.
#[derive(Debug, Clone, Arbitrary)]
pub enum RawForeign {
    Claim(Id),
    Pass(Id),
    Fail(Id),
    Skip(Id, i16),
    Clear(Id),
    Reset,
    Ask(Id),
    Resolve(Id),
    Insert(i16, bool, Option<Vec<Id>>),
    Delete(Id),
    Set(Id, u8, RawStored),
}

impl RawForeign {
    fn foreign(&self) -> Foreign {
        match self {
            Self::Claim(id) => Foreign::Claim(id.get()),
            Self::Pass(id) => Foreign::Pass(id.get()),
            Self::Fail(id) => Foreign::Fail(id.get()),
            Self::Skip(id, to) => Foreign::Skip { id: id.get(), to: (*to).into() },
            Self::Clear(id) => Foreign::Clear(id.get()),
            Self::Reset => Foreign::Reset,
            Self::Ask(id) => Foreign::Ask(id.get()),
            Self::Resolve(id) => Foreign::Resolve(id.get()),
            Self::Insert(priority, in_progress, on) => Foreign::Insert {
                priority: (*priority).into(),
                in_progress: *in_progress,
                dependencies: on.as_deref().map_or(Stored::Null, list),
            },
            Self::Delete(id) => Foreign::Delete(id.get()),
            Self::Set(id, field, value) => {
                let field = Field::ALL[usize::from(*field) % Field::ALL.len()];
                Foreign::Set { id: id.get(), field, value: value.stored(field) }
            }
        }
    }
}

/// A value that a column may hold and that the model knows: what SQLite makes of numbers in columns of
/// text, and of text in columns of numbers, is a matter of its own, which the property tests look at.
#[derive(Debug, Clone, Arbitrary)]
pub enum RawStored {
    Null,
    Flag(u8),
    Number(i16),
    Json(u8),
    Ids(Vec<Id>),
    Text(Word),
    Blob(Vec<u8>),
}

const JSON: [&str; 11] = [
    "[\"a\"]",
    "[1, 2]",
    "[3, 3]",
    "[4.5, \"5\", 18446744073709551615]",
    "null",
    "no json",
    "{\"prompt\": 1}",
    "7",
    "-0.5",
    "\"\\ud800\"",
    "[9",
];

impl RawStored {
    fn stored(&self, field: Field) -> Stored {
        let is_flag = matches!(field, Field::Passes | Field::InProgress | Field::NeedsHumanInput);
        match (self, field) {
            (Self::Null, _) => Stored::Null,
            (Self::Number(n), Field::Priority) => Stored::Integer((*n).into()),
            (_, Field::Priority) => Stored::Integer(0),
            (Self::Flag(n), _) if is_flag => Stored::Integer((n % 3).into()),
            _ if is_flag => Stored::Integer(1),
            (Self::Flag(n), _) => Stored::Integer((*n).into()),
            (Self::Number(n), _) => Stored::Integer((*n).into()),
            (Self::Json(n), _) => Stored::Text(JSON[usize::from(*n) % JSON.len()].to_owned()),
            (Self::Ids(on), _) => list(on),
            (Self::Text(word), _) => Stored::Text(word.text()),
            (Self::Blob(_), Field::Category | Field::Name | Field::Description) => Stored::Null,
            (Self::Blob(bytes), _) => Stored::Blob(bytes.clone()),
        }
    }
}

fn list(on: &[Id]) -> Stored {
    Stored::Text(format!("{:?}", ids(on)))
}

/// Takes the steps on an empty file and on the model, and compares each outcome; everything that can
/// be read, whenever the file is opened again and at the end.
pub fn take_all(raw: &[RawStep]) {
    let checked = with_file(|file| -> Checked {
        let mut scene = Scene::new(file, Model::default());
        for raw in raw.iter().take(STEPS) {
            let step = raw.step();
            scene.take(&step)?;
            if matches!(step, Step::Reopen(_)) {
                scene.compare()?;
            }
        }
        scene.compare()?;
        scene.end()
    });
    if let Err(fault) = checked {
        panic!("{fault}");
    }
}
