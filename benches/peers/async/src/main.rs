//! The peers that are called from tasks: each client is a task of one tokio runtime. Started by the program
//! beside this folder, whose head says what is compared.
#![expect(clippy::unwrap_used, reason = "a benchmark says where it fails")]

mod apalis;
mod sqlx;
mod tokio_rusqlite;

use std::time::{Duration, Instant};

use peer_part::{Cycle, Part, Run};
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().unwrap();
    match Part::told() {
        Some(Part::Fill { folder, count, .. }) => runtime.block_on(apalis::fill(&folder, count)),
        Some(Part::Run(part)) => match part.peer.as_str() {
            "tokio-rusqlite" => {
                let clients = runtime.block_on(tokio_rusqlite::clients(&part));
                by_tasks(&runtime, &part, clients);
            }
            "sqlx-1" => by_tasks(&runtime, &part, runtime.block_on(sqlx::clients(&part, 1))),
            "sqlx-8" => by_tasks(&runtime, &part, runtime.block_on(sqlx::clients(&part, 8))),
            _ => by_tasks(&runtime, &part, runtime.block_on(apalis::clients(&part))),
        },
        None => unreachable!("started by the program that compares"),
    }
}

/// One that claims features and finishes them, one after another.
trait Client: Send + 'static {
    /// As that of [`peer_part::Client`].
    fn cycle(&mut self) -> impl Future<Output = bool> + Send;
}

fn by_tasks(runtime: &Runtime, run: &Run, clients: Vec<impl Client>) {
    let began = peer_part::begin_together();
    let tasks: Vec<_> =
        clients.into_iter().map(|client| runtime.spawn(repeat(client, began, run.time))).collect();
    let cycles: Vec<Cycle> =
        tasks.into_iter().flat_map(|task| runtime.block_on(task).unwrap()).collect();
    peer_part::print(&cycles);
}

async fn repeat(mut client: impl Client, began: Instant, time: Duration) -> Vec<Cycle> {
    let mut cycles = Vec::new();
    loop {
        let cycle = Instant::now();
        if cycle - began >= time || !client.cycle().await {
            return cycles;
        }
        cycles.push(Cycle::ending_now(began, cycle));
    }
}
