//! The demonstration.

use std::process::ExitCode;

use super::args::{Arguments, DemoArgs, DemoWorkerArgs};
use super::exit::Exit;

pub(super) fn run(_: &DemoArgs, _: &Arguments) -> ExitCode {
    Exit::Failure.into()
}

pub(super) fn work(_: &DemoWorkerArgs) -> ExitCode {
    Exit::Failure.into()
}
