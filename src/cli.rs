//! The command line for people: arguments → store → text or JSON → exit code.
//!
//! A command reads its arguments and calls the store; it gives an [`output::Answer`], or an
//! [`exit::Failed`]. What is printed, where, and in which form is [`output`]'s business alone.

mod args;
mod backup;
mod board;
mod client;
mod commands;
mod demo;
mod doctor;
mod events;
mod exit;
mod file;
mod form;
mod holders;
mod home;
mod input;
mod locate;
mod notify;
mod output;
mod page;
mod render;
mod run;
mod session;
mod signature;
mod simulated;
mod soak;
mod stage;
mod time;
mod verdict;
mod view;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::Targets;

pub(crate) use args::Command;
pub use args::{Arguments, ServeOptions};

use crate::start_log;

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
        Command::Mcp(serve) => {
            let mut serve = serve;
            serve.project_dir = arguments.dir;
            Invocation::Serve(serve)
        }
        _ => Invocation::Command(Box::new(arguments)),
    }
}

/// Runs one command.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    // Only where somebody asks for it.
    start_log(Targets::new());
    match &arguments.command {
        Command::Demo(demo) => demo::run(demo, arguments),
        Command::SimulatedAgent(agent) => simulated::run(agent),
        Command::Run(run) => run::start(run, arguments),
        Command::Soak(soak) => soak::run(soak, arguments),
        Command::Doctor(doctor) => doctor::run(doctor, arguments),
        Command::Watch(watch) => commands::watch::run(watch, arguments).into(),
        command => match commands::task(command) {
            Some(task) => run_task(task, arguments).into(),
            None => exit::Exit::Failure.into(),
        },
    }
}

fn run_task(task: &dyn commands::Task, arguments: &Arguments) -> exit::Exit {
    let mut session = session::Session::new(arguments);
    let output = session.output();
    let outcome = task.run(&mut session);
    for note in session.close() {
        output::note(&note);
    }
    match outcome {
        Ok(answer) => output.answer(&answer),
        Err(failed) => output.failure(&failed),
    }
}
