//! A worker: what an agent does, without the thinking.

use std::io::{self, Write};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::{Answer, CallError, Client};
use super::event::{Event, What};
use crate::cli::args::DemoWorkerArgs;

/// Milliseconds of "work" on one feature.
const WORK: std::ops::Range<u64> = 20..80;
/// Milliseconds until a worker without a feature asks again.
const PAUSE: std::ops::Range<u64> = 5..20;

/// Works until everything passes.
pub(super) async fn work(arguments: &DemoWorkerArgs) -> Result<(), CallError> {
    let mut client = Client::start(&arguments.project, &arguments.name).await?;
    report(What::Ready { server: client.server() }, None)?;
    let mut rng = Rng::with_seed(arguments.seed);
    loop {
        report(What::Asks, None)?;
        let Answer { body, took } = client.call("feature_claim_next", json!({})).await?;
        let Some(feature) = body.get("feature").filter(|_| flag(&body, "claimed")) else {
            if body.get("reason").and_then(Value::as_str) == Some("all_passing") {
                break;
            }
            report(What::Waits, Some(took))?;
            sleep(Duration::from_millis(rng.u64(PAUSE))).await;
            continue;
        };
        let garbled = || CallError::Garbled(body.to_string());
        let id = feature.get("id").and_then(Value::as_i64).ok_or_else(garbled)?;
        let name = feature.get("name").and_then(Value::as_str).ok_or_else(garbled)?.to_owned();
        report(What::Claimed { id, name }, Some(took))?;
        sleep(Duration::from_millis(rng.u64(WORK))).await;
        finish(&mut client, id, &mut rng).await?;
    }
    client.close().await?;
    report(What::Done, None)
}

/// Mostly passes the feature; now and then puts it off or gives it back, as agents do.
async fn finish(client: &mut Client, id: i64, rng: &mut Rng) -> Result<(), CallError> {
    let (tool, before, after) = match rng.u32(0..100) {
        0..8 => ("feature_skip", What::GivesUp { id }, What::GaveUp { id }),
        8..14 => ("feature_clear_in_progress", What::GivesUp { id }, What::GaveUp { id }),
        _ => ("feature_mark_passing", What::Passes { id }, What::Passed { id }),
    };
    report(before, None)?;
    match client.call(tool, json!({"feature_id": id})).await {
        Ok(answer) => report(after, Some(answer.took)),
        Err(CallError::Refused { tool, message }) => {
            report(What::Refused { message: format!("{tool} of feature {id}: {message}") }, None)
        }
        Err(error) => Err(error),
    }
}

/// Tells the parent. Where it is gone, the worker ends with the error, and its server with it.
pub(super) fn report(what: What, took: Option<u64>) -> Result<(), CallError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", Event::now(what, took).to_line())?;
    Ok(out.flush()?)
}

fn flag(body: &Value, key: &str) -> bool {
    body.get(key).and_then(Value::as_bool).unwrap_or(false)
}
