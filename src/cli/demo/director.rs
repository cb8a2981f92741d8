//! The course of the demonstration: workers work, one is killed, what it held is released, and the
//! rest goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::DemoError;
use super::crew::{Crew, Heard};
use super::event::{Event, What, now};
use super::view::View;
use crate::{ClearInProgress, ListFeatures, Store};

/// How long everything may take, and how much longer for each feature.
const DEADLINE: Duration = Duration::from_mins(1);
const DEADLINE_PER_FEATURE: Duration = Duration::from_secs(1);
/// How often the view is drawn and waiting is looked at.
const TICK: Duration = Duration::from_millis(50);
/// After so long without a pass, claims of nobody are looked for once more.
const STANDSTILL: Duration = Duration::from_secs(3);

/// A claim that the parent took back from a killed worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Released {
    pub(super) id: i64,
    /// Before the parent took it back, it was certainly held.
    pub(super) at: u64,
}

/// What the parent did and saw beside the workers' events.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) released: Vec<Released>,
    pub(super) kills: usize,
    pub(super) elapsed: Duration,
}

/// A search for claims that nobody alive holds.
///
/// A claim says nothing of its owner. But each worker tells what it holds, in order and with the
/// time: once every living worker has told something that happened after a look at the file, all
/// that it held at that look is known, and the rest of what was claimed then is nobody's.
#[derive(Debug)]
struct Search {
    /// The look happened between these two moments.
    from: u64,
    until: u64,
    claimed: BTreeSet<i64>,
}

/// Whoever directs.
pub(super) struct Director<'d> {
    pub(super) store: &'d Store,
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
        let mut search: Option<Search> = None;
        let started = Instant::now();
        let mut last_pass = started;
        let patience = u32::try_from(self.features).unwrap_or(u32::MAX);
        let deadline = DEADLINE + DEADLINE_PER_FEATURE.saturating_mul(patience);
        for _ in 0..workers {
            let number = self.crew.start()?;
            self.view.started(number);
        }
        while self.crew.alive().next().is_some() || search.is_some() {
            if started.elapsed() > deadline {
                return Err(DemoError::TooSlow { seconds: deadline.as_secs() });
            }
            let event = match surroundings.next(self.crew).await? {
                Next::Heard(number, Heard::Event(event)) => Some((number, event)),
                Next::Heard(number, Heard::End) => {
                    search = self.ended(number).await?.or(search);
                    None
                }
                Next::Tick => {
                    self.view.tick();
                    if search.is_none() && last_pass.elapsed() > STANDSTILL {
                        last_pass = Instant::now();
                        search = Some(self.look()?);
                    }
                    None
                }
            };
            if let Some((number, event)) = event {
                self.view.event(number, &event);
                if let What::Passed { id } = event.what {
                    last_pass = Instant::now();
                    passed.insert(id);
                }
                if course.kills == 0 && passed.len() >= self.features * 2 / 5 {
                    course.kills += usize::from(self.kill(number, &event)?);
                }
            }
            if search.as_ref().is_some_and(|search| self.is_over(search))
                && let Some(search) = search.take()
            {
                course.released.extend(self.release(&search)?);
            }
        }
        course.elapsed = started.elapsed();
        Ok(course)
    }

    /// Kills the worker where it has a claim this very moment, and starts another one.
    fn kill(&mut self, number: u32, event: &Event) -> Result<bool, DemoError> {
        let What::Claimed { id, .. } = &event.what else { return Ok(false) };
        let Some(worker) = self.crew.worker(number) else { return Ok(false) };
        worker.kill();
        let next = self.crew.start()?;
        self.view.killed(number, *id, next);
        Ok(true)
    }

    /// A worker has told its last: fine where it was done, worth a search where it was killed.
    async fn ended(&mut self, number: u32) -> Result<Option<Search>, DemoError> {
        let Some(worker) = self.crew.worker(number) else { return Ok(None) };
        let well = worker.wait().await;
        if worker.told.killed {
            return self.look().map(Some);
        }
        let done = matches!(worker.told.events.last(), Some(Event { what: What::Done, .. }));
        if well && done {
            self.view.done(number);
            return Ok(None);
        }
        let reason = match worker.told.events.last() {
            Some(Event { what: What::Failed { message }, .. }) => message.clone(),
            _ => "it ended early".to_owned(),
        };
        let messages = worker.messages.clone();
        Err(DemoError::Worker { number, reason, messages })
    }

    fn look(&self) -> Result<Search, DemoError> {
        let from = now();
        let features = self.store.call(ListFeatures).map_err(DemoError::storage)?;
        let until = now();
        let claimed = features.into_iter().filter(|feature| feature.in_progress);
        Ok(Search { from, until, claimed: claimed.map(|feature| feature.id.get()).collect() })
    }

    fn is_over(&self, search: &Search) -> bool {
        let told = |log: &[Event]| log.last().is_some_and(|event| event.at > search.until);
        self.crew.alive().all(|worker| told(&worker.told.events))
    }

    /// Takes back what nobody alive held at the time of the look.
    fn release(&mut self, search: &Search) -> Result<Vec<Released>, DemoError> {
        let held: BTreeSet<i64> = self
            .crew
            .alive()
            .flat_map(|worker| worker.told.held(search.from, search.until))
            .collect();
        let mut released = Vec::new();
        for id in search.claimed.difference(&held).copied() {
            let at = now();
            let answer = self.store.call(ClearInProgress { id: id.into() });
            answer.map_err(DemoError::storage)?;
            self.view.released(id);
            released.push(Released { id, at });
        }
        Ok(released)
    }
}
