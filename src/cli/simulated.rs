//! The simulated agent: what an agent does, without the thinking. It serves the demonstration, the
//! endurance test and the tests of the orchestrator, and speaks MCP to a server of its own as a real
//! one does.

use std::fmt;
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::args::parse_id;
use super::client::{CallError, Client};
use super::exit::Exit;
use crate::FeatureId;

/// A step of a feature that begins so says how an agent behaves there.
const STAGE_DIRECTION: &str = "simulate: ";
/// Lines of a flood.
const FLOOD: usize = 50_000;
/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_secs(1 << 30);
/// How many times as long the work takes of one that is slow.
const SLOWNESS: u32 = 20;

/// Options of `simulated-agent`.
#[derive(Debug, Args)]
pub(crate) struct SimulatedArgs {
    /// The features to work on, in this order.
    #[arg(long, value_delimiter = ',', value_parser = parse_id)]
    features: Vec<FeatureId>,
    /// What the agent is for: `testing` changes nothing.
    #[arg(long, default_value = "coding")]
    kind: String,
    /// How it behaves, where the steps of a feature say nothing else.
    #[arg(long, value_enum, default_value_t = Behaviour::Pass)]
    behaviour: Behaviour,
    /// Milliseconds of work on a feature, at most.
    #[arg(long, value_name = "MS", default_value_t = 60,
        value_parser = value_parser!(u64).range(..=3_600_000))]
    work: u64,
    /// Of a hundred features, so many are put off or given back, as agents do.
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = value_parser!(u32).range(..=100))]
    whims: u32,
}

/// How an agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Behaviour {
    /// Works and lets the feature pass.
    Pass,
    /// The same, but takes long.
    Slow,
    /// Ends in the middle, without a word.
    Crash,
    /// Says nothing any more, and does not end when it is asked to.
    Hang,
    /// Ends well without having done anything.
    Lie,
    /// Says that it has failed.
    Fail,
    /// Puts the feature off.
    Skip,
    /// Asks a human.
    Ask,
    /// Says far too much, and lets the feature pass.
    Flood,
    /// Starts a process that detaches itself from everything, and lets the feature pass.
    Detach,
    /// Lets the feature pass, and ends badly.
    PassAndFail,
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// How an agent ends.
enum End {
    Well,
    Badly,
}

/// Runs the agent in this process.
pub(super) fn run(arguments: &SimulatedArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let worked = match runtime {
        Ok(runtime) => runtime.block_on(work(arguments)),
        Err(error) => Err(error.into()),
    };
    match worked {
        Ok(End::Well) => Exit::Success.into(),
        Ok(End::Badly) => Exit::Failure.into(),
        Err(error) => {
            // Where nobody listens, there is nobody to tell.
            let _ = tell(&json!({"trouble": error.to_string()}));
            Exit::Failure.into()
        }
    }
}

async fn work(arguments: &SimulatedArgs) -> Result<End, CallError> {
    let mut client = Client::start().await?;
    let mut rng = Rng::new();
    let mut end = End::Well;
    for id in arguments.features.iter().map(|id| id.get()) {
        let one = json!({"feature_id": id});
        let feature = client.call("feature_get_by_id", one.clone()).await?.body;
        tell(&json!({"works_on": id, "name": feature.get("name")}))?;
        let pause = Duration::from_millis(rng.u64(arguments.work / 3..=arguments.work.max(1)));
        if arguments.kind == "testing" {
            sleep(pause).await;
            tell(&json!({"tested": id}))?;
            continue;
        }
        let behaviour = direction(&feature).unwrap_or(arguments.behaviour);
        let whim = rng.u32(0..100) < arguments.whims;
        sleep(if behaviour == Behaviour::Slow { pause * SLOWNESS } else { pause }).await;
        let (tool, more) = match behaviour {
            Behaviour::Lie => {
                client.close().await?;
                return Ok(End::Well);
            }
            Behaviour::Crash => std::process::abort(),
            Behaviour::Hang => {
                hang();
                sleep(FOREVER).await;
                continue;
            }
            Behaviour::Fail => ("feature_mark_failing", json!({"reason": "it does not work"})),
            Behaviour::Ask => ("feature_request_human_input", question()),
            Behaviour::Skip => ("feature_skip", json!({})),
            _ if whim && rng.bool() => ("feature_skip", json!({"reason": "a whim"})),
            _ if whim => ("feature_clear_in_progress", json!({"reason": "a whim"})),
            _ => ("feature_mark_passing", json!({})),
        };
        match behaviour {
            Behaviour::Flood => flood()?,
            Behaviour::Detach => detach()?,
            Behaviour::PassAndFail => end = End::Badly,
            _ => {}
        }
        settle(&mut client, tool, one, more).await?;
    }
    client.close().await?;
    Ok(end)
}

/// Calls the tool, and tells of it before and after: whoever checks the file afterwards knows what was
/// acknowledged, and what may have been on its way.
async fn settle(
    client: &mut Client,
    tool: &str,
    mut arguments: Value,
    more: Value,
) -> Result<(), CallError> {
    let id = arguments.get("feature_id").cloned();
    if let (Value::Object(arguments), Value::Object(more)) = (&mut arguments, more) {
        arguments.extend(more);
    }
    let passes = tool == "feature_mark_passing";
    if passes {
        tell(&json!({"passes": id}))?;
    }
    match client.call(tool, arguments).await {
        Ok(answer) if passes => Ok(tell(&json!({"passed": id, "us": answer.took}))?),
        Ok(answer) => Ok(tell(&json!({"settled": id, "by": tool, "us": answer.took}))?),
        Err(CallError::Refused { tool, message }) => {
            Ok(tell(&json!({"refused": id, "tool": tool, "message": message}))?)
        }
        Err(error) => Err(error),
    }
}

/// What the feature's steps say of the agent's behaviour.
fn direction(feature: &Value) -> Option<Behaviour> {
    let mut steps = feature.get("steps")?.as_array()?.iter().filter_map(Value::as_str);
    let direction = steps.find_map(|step| step.strip_prefix(STAGE_DIRECTION))?;
    Behaviour::from_str(direction.trim(), true).ok()
}

fn question() -> Value {
    json!({"prompt": "Which way?", "fields": [{"id": "way", "label": "The way"}]})
}

/// From now on the polite signals do nothing.
fn hang() {
    use std::sync::Arc;
    let ignored = Arc::new(false.into());
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // It fails for signals that nobody can catch, which these are not.
        let _ = signal_hook::flag::register(signal, Arc::clone(&ignored));
    }
}

fn flood() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in 0..FLOOD {
        writeln!(out, "line {line} of far too many")?;
    }
    out.flush()
}

/// A grandchild in a session of its own, whose parents are gone.
fn detach() -> io::Result<()> {
    let script = "setsid sh -c 'sleep 100000 &' >/dev/null 2>&1 </dev/null";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().map(drop)
}

/// One line of JSON on stdout.
fn tell(what: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}
