//! Checking a project.

use std::process::ExitCode;

use super::args::{Arguments, DoctorArgs};
use super::exit::Exit;

pub(super) fn run(_: &DoctorArgs, _: &Arguments) -> ExitCode {
    Exit::Failure.into()
}
