//! The course of the demonstration: workers work, one is killed, and the rest goes on, with what it
//! held as well.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::DemoError;
use super::crew::{Crew, Heard};
use super::event::{Event, What, now};
use super::view::View;

/// How long everything may take, and how much longer for each feature.
const DEADLINE: Duration = Duration::from_mins(1);
const DEADLINE_PER_FEATURE: Duration = Duration::from_secs(1);
/// How often the view is drawn and waiting is looked at.
const TICK: Duration = Duration::from_millis(50);

/// A worker that was killed, and what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Killed {
    /// The feature.
    pub(super) id: i64,
    /// A moment at which it certainly still lived.
    pub(super) at: u64,
}

/// What the parent did and saw beside the workers' events.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) killed: Vec<Killed>,
    pub(super) elapsed: Duration,
}

/// Whoever directs.
pub(super) struct Director<'d> {
    pub(super) crew: &'d mut Crew,
    pub(super) view: &'d mut View,
    pub(super) features: usize,
}

/// Signals that end the demonstration, and the clock.
struct Surroundings {
    interrupt: Signal,
    terminate: Signal,
    tick: Interval,
}

enum Next {
    Heard(u32, Heard),
    Tick,
}

impl Surroundings {
    fn new() -> Result<Self, DemoError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|source| DemoError::System { action: "listening for signals", source })
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: listen(SignalKind::terminate())?, tick })
    }

    async fn next(&mut self, crew: &mut Crew) -> Result<Next, DemoError> {
        tokio::select! {
            _ = self.interrupt.recv() => Err(DemoError::Interrupted),
            _ = self.terminate.recv() => Err(DemoError::Interrupted),
            heard = crew.hear() => Ok(match heard {
                Some((number, heard)) => Next::Heard(number, heard),
                None => Next::Tick,
            }),
            _ = self.tick.tick() => Ok(Next::Tick),
        }
    }
}

impl Director<'_> {
    /// Runs until every worker has ended, all features passing.
    pub(super) async fn run(&mut self, workers: u32) -> Result<Course, DemoError> {
        let mut surroundings = Surroundings::new()?;
        let mut course = Course::default();
        let mut passed = BTreeSet::new();
        let started = Instant::now();
        let patience = u32::try_from(self.features).unwrap_or(u32::MAX);
        let deadline = DEADLINE + DEADLINE_PER_FEATURE.saturating_mul(patience);
        for _ in 0..workers {
            let number = self.crew.start()?;
            self.view.started(number);
        }
        while self.crew.alive().next().is_some() {
            if started.elapsed() > deadline {
                return Err(DemoError::TooSlow { seconds: deadline.as_secs() });
            }
            let (number, event) = match surroundings.next(self.crew).await? {
                Next::Heard(number, Heard::Event(event)) => (number, event),
                Next::Heard(number, Heard::End) => {
                    self.ended(number).await?;
                    continue;
                }
                Next::Tick => {
                    self.view.tick();
                    continue;
                }
            };
            self.view.event(number, &event);
            match event.what {
                What::Passed { id } => {
                    passed.insert(id);
                }
                What::Claimed { id, .. } => self.taken_over(&course, number, id),
                _ => {}
            }
            if course.killed.is_empty() && passed.len() >= self.features * 2 / 5 {
                course.killed.extend(self.kill(number, &event)?);
            }
        }
        course.elapsed = started.elapsed();
        Ok(course)
    }

    /// Kills the worker where it has a claim this very moment, and starts another one.
    fn kill(&mut self, number: u32, event: &Event) -> Result<Option<Killed>, DemoError> {
        let What::Claimed { id, .. } = event.what else { return Ok(None) };
        let Some(worker) = self.crew.worker(number) else { return Ok(None) };
        let killed = Killed { id, at: now() };
        worker.kill();
        let next = self.crew.start()?;
        self.view.killed(number, id, next);
        Ok(Some(killed))
    }

    /// Shows it where the feature is one that a killed worker held.
    fn taken_over(&self, course: &Course, number: u32, id: i64) {
        if let Some(killed) = course.killed.iter().find(|killed| killed.id == id) {
            self.view.taken_over(id, number, now().saturating_sub(killed.at));
        }
    }

    /// A worker has told its last: fine where it was done or killed.
    async fn ended(&mut self, number: u32) -> Result<(), DemoError> {
        let Some(worker) = self.crew.worker(number) else { return Ok(()) };
        let well = worker.wait().await;
        if worker.told.killed {
            return Ok(());
        }
        let done = matches!(worker.told.events.last(), Some(Event { what: What::Done, .. }));
        if well && done {
            self.view.done(number);
            return Ok(());
        }
        let reason = match worker.told.events.last() {
            Some(Event { what: What::Failed { message }, .. }) => message.clone(),
            _ => "it ended early".to_owned(),
        };
        let messages = worker.messages.clone();
        Err(DemoError::Worker { number, reason, messages })
    }
}
