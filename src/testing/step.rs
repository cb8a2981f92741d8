//! What happens to a file that several programs use, and to the world around them.

use std::fmt;
use std::ops::Deref;

use super::call::{Call, World};
use super::foreign::Foreign;
use super::op::Op;

/// One thing that happens.
#[derive(Clone, PartialEq)]
pub enum Step {
    /// A command is called on a store.
    Call(Call, Op),
    /// Another program changes the file.
    Foreign(Foreign),
    /// All handles end, and the file is opened again.
    Reopen(Ending),
    /// So many seconds pass.
    Pass(u32),
    /// Somebody sets the clock on the wall, by so many seconds.
    SetWall(i32),
    /// The machine is started anew.
    Reboot,
    /// The process of this owner is proven dead from now on.
    Bury(u8),
    /// It is not any more.
    Doubt(u8),
}

/// How handles end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// One of them closes the file for all.
    Close,
    /// The last of them is dropped.
    Drop,
    /// Somebody ends them by the path of the file, as before it is moved.
    Dispose,
}

/// In one line.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call, op) if *call == Call::default() => write!(f, "{op:?}"),
            Self::Call(call, op) => write!(f, "{op:?} in {call:?}"),
            Self::Foreign(foreign) => write!(f, "Foreign::{foreign:?}"),
            Self::Reopen(ending) => write!(f, "Reopen({ending:?})"),
            Self::Pass(seconds) => write!(f, "Pass({seconds} s)"),
            Self::SetWall(seconds) => write!(f, "SetWall({seconds:+} s)"),
            Self::Reboot => write!(f, "Reboot"),
            Self::Bury(who) => write!(f, "Bury({who})"),
            Self::Doubt(who) => write!(f, "Doubt({who})"),
        }
    }
}

/// Things one after the other. A failing test shows each in a line of its own.
#[derive(Clone, PartialEq)]
pub struct Sequence<T>(pub Vec<T>);

impl<T> Deref for Sequence<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Sequence<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|item| write!(f, "\n    {item:?}"))
    }
}

impl World {
    /// What the step does to the world; nothing, if it is one on the file.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Call(..) | Step::Foreign(_) | Step::Reopen(_) => {}
            Step::Pass(seconds) => self.pass(*seconds),
            Step::SetWall(seconds) => self.set_wall(*seconds),
            Step::Reboot => self.reboot(),
            Step::Bury(who) => self.bury(*who),
            Step::Doubt(who) => self.doubt(*who),
        }
    }
}
