//! The command line for people: arguments → store → text or JSON → exit code.

mod args;
mod backup;
mod demo;
mod doctor;
mod exit;
mod report;

use std::process::ExitCode;

use clap::Parser;

pub(crate) use args::Command;
pub use args::{Arguments, ServeOptions};

/// What the program was asked to do.
#[derive(Debug)]
pub enum Invocation {
    /// Serve MCP over stdin and stdout.
    Serve(ServeOptions),
    /// Run one command and end.
    Command(Box<Arguments>),
}

/// Reads the command line; ends the program with a message where it is wrong or asks for help.
#[must_use]
pub fn parse() -> Invocation {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Mcp => Invocation::Serve(ServeOptions { project_dir: arguments.dir }),
        _ => Invocation::Command(Box::new(arguments)),
    }
}

/// Runs one command.
#[must_use]
pub fn run(arguments: Box<Arguments>) -> ExitCode {
    match &arguments.command {
        Command::Backup(backup) => backup::run(backup, &arguments),
        Command::Demo(demo) => demo::run(demo, &arguments),
        Command::DemoWorker(worker) => demo::work(worker),
        Command::Doctor(doctor) => doctor::run(doctor, &arguments),
        _ => exit::Exit::Failure.into(),
    }
}
