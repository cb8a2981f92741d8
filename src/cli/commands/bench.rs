//! `bench`.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use clap::{Args, value_parser};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::run::Latencies;
use crate::cli::session::Session;
use crate::cli::stage;
use crate::cli::view::insert;
use crate::{
    ClaimNext, ClaimedNext, ClearInProgress, CreateFeatures, NewFeature, PlannedFeature, Store,
};

/// So many agents call at the same time.
const AGENTS: [usize; 3] = [1, 8, 64];
/// Features enough for all of them.
const FEATURES: usize = 1_000;
/// What is written before each sync: a page of a database.
const PAGE: [u8; 4096] = [0x5a; 4096];
/// A medium that keeps what it is given takes longer.
const TOO_FAST: Duration = Duration::from_micros(15);

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A folder on the disk to measure. A hidden folder is made in it, and removed at the end. Default:
    /// the current one.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// How long each of the four measurements takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = value_parser!(u64).range(1..=60))]
    seconds: u64,
}

impl Task for BenchArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let scratch = Scratch::inside(&self.folder)
            .map_err(|error| Failed::file("making a folder in", &self.folder, &error))?;
        let time = Duration::from_secs(self.seconds);
        let syncs = measure_syncs(&scratch.0, time)
            .map_err(|error| Failed::file("writing in", &self.folder, &error))?;
        let (_, store) = stage::new_project(Some(&scratch.0), "bench", session.options())?;
        store.call(CreateFeatures::new(backlog()?))?;
        let calls = AGENTS
            .into_iter()
            .map(|agents| Ok((agents, Rates::of(measure_calls(&store, agents, time)?, time))))
            .collect::<Result<Vec<_>, Failed>>()?;
        store.close();
        let syncs = Rates::of(syncs, time);
        if syncs.median < TOO_FAST {
            session.warn(
                "a sync returns faster than any medium can write: this is memory, a disk with a battery, or \
                 one that only says so and loses what was acknowledged when the power fails",
            );
        }
        Ok(answer(&syncs, &calls))
    }
}

fn answer(syncs: &Rates, calls: &[(usize, Rates)]) -> Answer {
    let rows = calls.iter().map(|(agents, rates)| {
        let mut row = vec![Cell::strong(agents)];
        row.extend(rates.cells());
        row.push(Cell::plain(format!("{:.1}", rates.a_second / syncs.a_second)));
        row
    });
    let mut page = Page::default()
        .field("sync", Cell::plain(format!("{} of 4 KiB", milliseconds(syncs.median))))
        .field("99 %", Cell::plain(milliseconds(syncs.slow)))
        .field("syncs a second", Cell::plain(format!("{:.0}", syncs.a_second)))
        .table(&["AGENTS", "CALLS/S", "MEDIAN", "99 %", "LONGEST", "PER SYNC"], rows.collect());
    if let [(_, alone), .., (many, together)] = calls {
        let expect = format!(
            "one agent is answered in {}; {many} that call without a pause share the syncs, and each is \
             answered within {}",
            milliseconds(alone.median),
            milliseconds(together.slow),
        );
        page = page.line([Cell::new(Tone::Good, "expect: "), Cell::plain(expect)]);
    }
    let data = json!({
        "sync": syncs.json(),
        "calls": calls.iter().map(|(agents, rates)| {
            let mut one = rates.json();
            insert(&mut one, "agents", json!(agents));
            one
        }).collect::<Value>(),
    });
    Answer::new(data, page)
}

/// What a series of measurements comes to.
#[derive(Debug)]
struct Rates {
    a_second: f64,
    median: Duration,
    slow: Duration,
    longest: Duration,
}

impl Rates {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn of(mut took: Latencies, time: Duration) -> Self {
        Self {
            a_second: took.count() as f64 / time.as_secs_f64(),
            median: took.within(50),
            slow: took.within(99),
            longest: took.slowest(),
        }
    }

    fn cells(&self) -> [Cell; 4] {
        let rate = Cell::plain(format!("{:.0}", self.a_second));
        let [median, slow, longest] =
            [self.median, self.slow, self.longest].map(|took| Cell::plain(milliseconds(took)));
        [rate, median, slow, longest]
    }

    fn json(&self) -> Value {
        let microseconds = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        json!({
            "per_second": self.a_second.round(),
            "median_us": microseconds(self.median),
            "p99_us": microseconds(self.slow),
            "longest_us": microseconds(self.longest),
        })
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1_000.0)
}

/// Writes a page and syncs it, over and over in a file that does not grow: what the log of a database
/// asks of a disk.
fn measure_syncs(folder: &Path, time: Duration) -> io::Result<Latencies> {
    #[expect(clippy::disallowed_methods, reason = "a new file, which is nobody's database")]
    let mut file = fs::File::create_new(folder.join("page"))?;
    file.write_all(&PAGE)?;
    file.sync_all()?;
    let mut took = Latencies::default();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let began = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&PAGE)?;
        file.sync_data()?;
        took.add(began.elapsed());
    }
    Ok(took)
}

/// So many agents at once claim the next feature and give it back, over and over.
fn measure_calls(store: &Store, agents: usize, time: Duration) -> Result<Latencies, Failed> {
    let system = |error: &dyn fmt::Display| Failed::new("system", error);
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| system(&e))?;
    let end = Instant::now() + time;
    runtime.block_on(async {
        let mut working = JoinSet::new();
        for _ in 0..agents {
            working.spawn(agent(store.clone(), end));
        }
        let mut all = Latencies::default();
        while let Some(took) = working.join_next().await {
            took.map_err(|error| system(&error))??.into_iter().for_each(|took| all.add(took));
        }
        Ok(all)
    })
}

/// How long each call took.
async fn agent(store: Store, end: Instant) -> Result<Vec<Duration>, Failed> {
    let mut took = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        let claimed = store.submit(ClaimNext)?.await?;
        took.push(began.elapsed());
        let ClaimedNext::Feature(claimed) = claimed else { continue };
        let began = Instant::now();
        store.submit(ClearInProgress { id: claimed.feature.id })?.await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

fn backlog() -> Result<Vec<PlannedFeature>, Failed> {
    let planned = |number| {
        let name = format!("Feature {number}");
        let steps = ["Open the page", "Press the button", "See that it works"];
        let feature =
            NewFeature::new("Measuring", name, "A description of usual length. ".repeat(8), steps)
                .map_err(|problem| Failed::new("invalid_feature", problem))?;
        Ok(PlannedFeature { feature, depends_on: Vec::new() })
    };
    (1..=FEATURES).map(planned).collect()
}

/// A folder that goes away with all that is in it.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn inside(folder: &Path) -> io::Result<Self> {
        let name = format!(".autoforge-bench-{:08x}", fastrand::u32(..));
        let path = fs::canonicalize(folder)?.join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is hidden, small, and says by its name what it is.
        let _ = fs::remove_dir_all(&self.0);
    }
}
