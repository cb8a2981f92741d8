//! Who calls and how, and what the call is told of the world outside the file: as plain data.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Caller, Circumstances, Command, Error, Features, FenceToken, Moment, ProcessIdentity, Store,
    Tenure, Timestamp, Uptime,
};

/// The numbers of the owners that there are. The last one names no process.
pub const OWNERS: [u8; 3] = [0, 1, 2];

/// What comes with a call. The default says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Call {
    /// Which of the [`OWNERS`] calls; `None` for a call that names nobody.
    pub who: Option<u8>,
    /// For how long it claims.
    pub tenure: Tenure,
    /// Under which claim.
    pub token: Token,
    /// It means to override.
    pub overriding: bool,
    /// Why, for the history.
    pub reason: Option<&'static str>,
}

/// Under which claim a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Token {
    /// It does not say.
    #[default]
    None,
    /// That which stands on the feature of the command, whoever took it; 0 where there is none.
    Standing,
    /// The last that has ended on the feature; 0 where there is none.
    Ended,
    /// This one, whatever it is.
    Of(i64),
}

impl Call {
    /// A call of this owner, in whose name its claims are taken.
    #[must_use]
    pub fn owning(who: u8, lease: Option<Duration>) -> Self {
        Self { who: Some(who), tenure: Tenure::Owned { lease }, ..Self::default() }
    }

    /// The same under a claim.
    #[must_use]
    pub fn under(self, token: Token) -> Self {
        Self { token, ..self }
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> Option<Caller> {
        self.who.map(|who| {
            let caller = Caller::new(format!("agent {who}"), format!("session {who}"));
            caller.in_process((Some(&who) != OWNERS.last()).then(|| process(who)))
        })
    }

    /// The number of the claim; only [`Model::resolve`](super::Model::resolve) knows those which are
    /// not given as numbers.
    pub(super) fn number(&self) -> Option<FenceToken> {
        match self.token {
            Token::None => None,
            Token::Of(number) => Some(number.into()),
            Token::Standing | Token::Ended => Some(0.into()),
        }
    }
}

/// Only what is said.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = f.debug_struct("Call");
        if let Some(who) = self.who {
            parts.field("who", &who);
        }
        match self.tenure {
            Tenure::Owned { lease: Some(lease) } => parts.field("lease", &lease),
            Tenure::Owned { lease: None } => parts.field("owning", &true),
            Tenure::Unowned => &mut parts,
        };
        if self.token != Token::None {
            parts.field("token", &self.token);
        }
        if self.overriding {
            parts.field("overriding", &true);
        }
        if let Some(reason) = self.reason {
            parts.field("reason", &reason);
        }
        parts.finish()
    }
}

fn pid(who: u8) -> u32 {
    u32::from(who) + 1
}

fn process(who: u8) -> ProcessIdentity {
    let [host, boot, namespace] = ["host/1", "boot 0", "pid 1"].map(str::to_owned);
    ProcessIdentity { host, boot, namespace, pid: pid(who), started: 1 }
}

/// The world outside the file, which goes on only as it is told: two clocks and the dead. It begins
/// in 1970, so that times which are told are apart from those of the real clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    /// Seconds on the clock on the wall.
    wall: i64,
    /// How often the machine was started anew.
    boots: u32,
    /// Seconds since it was.
    uptime: u32,
    dead: BTreeSet<u8>,
}

impl World {
    /// Time passes, on both clocks.
    pub fn pass(&mut self, seconds: u32) {
        self.wall += i64::from(seconds);
        self.uptime += seconds;
    }

    /// Somebody sets the clock on the wall forward or back.
    pub fn set_wall(&mut self, by_seconds: i32) {
        self.wall += i64::from(by_seconds);
    }

    /// The machine is started anew: the other clock begins again.
    pub fn reboot(&mut self) {
        (self.boots, self.uptime) = (self.boots + 1, 0);
    }

    /// The process of an owner is proven dead.
    pub fn bury(&mut self, who: u8) {
        self.dead.insert(who);
    }

    /// It is not proven dead any more: whoever looks now cannot tell.
    pub fn doubt(&mut self, who: u8) {
        self.dead.remove(&who);
    }

    /// What both clocks show.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let wall = Timestamp::from_microseconds(self.wall * 1_000_000);
        let boot = format!("boot {}", self.boots);
        let microseconds = u64::from(self.uptime) * 1_000_000;
        Moment {
            wall: wall.unwrap_or(Timestamp::EPOCH),
            uptime: Some(Uptime { boot: boot.into(), namespace: "time 1".into(), microseconds }),
        }
    }

    /// Whether a process is proven dead.
    #[must_use]
    pub fn is_dead(&self, process: &ProcessIdentity) -> bool {
        self.dead.iter().any(|who| pid(*who) == process.pid)
    }

    /// What a command is told of it.
    #[must_use]
    pub fn circumstances(&self) -> Circumstances {
        Circumstances::told(self.moment(), self.dead.iter().copied().map(pid))
    }
}

/// Where commands are handed in: a store, and what comes with each call there. What wraps a command
/// on its way to a store has its place here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) store: &'a Store,
    /// `None` for bare commands, which are told of the world as it is.
    pub(super) signed: Option<(&'a Call, &'a World)>,
}

impl Desk<'_> {
    pub(super) fn call<C>(&self, command: C) -> Result<C::Output, Error<C::Rejection>>
    where
        C: Command<Database = Features>,
    {
        let Some((call, world)) = self.signed else { return self.store.call(command) };
        let mut signed = match (call.caller(), call.tenure) {
            (Some(caller), Tenure::Unowned) => command.by(&Arc::new(caller)),
            (Some(caller), Tenure::Owned { lease }) => command.by(&Arc::new(caller)).owning(lease),
            // Nobody owns in nobody's name.
            (None, _) => command.owning(None),
        };
        if let Some(token) = call.number() {
            signed = signed.under(token);
        }
        if call.overriding {
            signed = signed.overriding();
        }
        if let Some(reason) = call.reason {
            signed = signed.because(reason);
        }
        self.store.call(signed.in_circumstances(world.circumstances()))
    }
}

/// The time, if it was told; that of the real clock, which nobody can know, becomes 1970.
pub(super) fn told(at: Timestamp) -> Timestamp {
    /// 2020; worlds are younger.
    const REAL: i64 = 1_577_836_800_000_000;
    if at.to_microseconds() < REAL { at } else { Timestamp::EPOCH }
}
