//! The course of an endurance test: the orchestrator at work on a backlog that never runs dry, writers
//! beside it, and somebody who kills.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::ledger::{Ledger, OURSELVES};
use super::writers::{self, Writers};
use super::{Plan, backlog};
use crate::cli::exit::Failed;
use crate::cli::locate::Place;
use crate::cli::run::{Form, Report, View, drive_with};
use crate::cli::time::span;
use crate::orchestrator::{
    AgentExit, AgentId, Happening, Kind, Outcome, Settings, Stop, processes_at,
};
use crate::{
    Caller, ClearInProgress, Command, CreateFeatures, Error, Features, OpenOptions,
    ProcessIdentity, Snapshot, Store,
};

/// How often it is looked at the clock and at the log.
const TICK: Duration = Duration::from_millis(100);
/// How often a line tells how it goes, where nothing is drawn.
const NEWS: Duration = Duration::from_secs(10);
/// Milliseconds from one kill to the next.
const KILLS: std::ops::Range<u64> = 400..1_400;
/// How many milliseconds after its announcement somebody is killed: about as long as a call takes.
const CALL: std::ops::Range<u64> = 0..20;
/// Of so many kills, one is of a writer, where there are any.
const WRITERS_TURN: u32 = 4;
/// A test in which nobody was killed, or a writer wrote nothing, goes on for so much longer.
const OVERTIME: Duration = Duration::from_mins(1);
/// Longer than a writer waits for a lock.
const WRITERS_END: Duration = Duration::from_secs(40);
/// Looks at processes, of which one alone may miss somebody.
const LOOKS: usize = 3;

/// What happened.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) outcome: Outcome,
    pub(super) report: Report,
    pub(super) ledger: Ledger,
    pub(super) writers: Writers,
    /// For how long features were added and agents were killed.
    pub(super) worked: Duration,
    /// It went on for as long as was asked, and was ended by nothing but that.
    pub(super) is_whole: bool,
    /// A signal has ended it.
    pub(super) interrupted: bool,
    /// Agents that were killed.
    pub(super) killed: usize,
    /// What did not work, and was not a call of an agent's.
    pub(super) troubles: Vec<String>,
    /// The longest that the log was, in bytes.
    pub(super) longest_log: u64,
    /// Processes of this project before and after; `None` where the system shows none.
    pub(super) processes: Option<(BTreeSet<u32>, BTreeSet<u32>)>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    /// No features are added, no agents are started, nobody is killed.
    Draining,
    /// The orchestrator was told to end.
    Ending,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Agent(AgentId),
    /// The writer in a place.
    Writer(usize),
}

/// For whom a kill waits: whoever of these announces a change next becomes the target, so its call is on
/// its way, or was just answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prey {
    Agent,
    Writer,
}

struct Course<'c> {
    plan: &'c Plan,
    options: OpenOptions,
    folder: PathBuf,
    database: PathBuf,
    store: Store,
    caller: Arc<Caller>,
    stop: Stop,
    rng: Rng,
    phase: Phase,
    view: Option<View>,
    started: Instant,
    next_news: Instant,
    next_kill: Instant,
    prey: Option<Prey>,
    target: Option<Target>,
    /// Agents that run, and their processes.
    agents: BTreeMap<AgentId, u32>,
    /// Those among them that were killed.
    struck: BTreeSet<AgentId>,
    /// Features so far; an older snapshot says nothing of what has to be added.
    total: usize,
    passing: usize,
    writers_deadline: Option<Instant>,
    run: Run,
}

/// Runs the whole of it.
pub(super) async fn run(
    plan: &Plan,
    place: &Place,
    store: Store,
    settings: Settings,
    stop: Stop,
    options: OpenOptions,
) -> Result<Run, Failed> {
    let database = store.path().to_owned();
    let before = processes(&database).await;
    let mut course = Course::new(plan, place, store, stop.clone(), options);
    // One batch would do for the beginning, but agents shall find plenty at once.
    for _ in 0..settings.coding.div_ceil(4) {
        course.feed().await;
    }
    let (sender, mut happenings) = mpsc::unbounded_channel();
    let place = place.clone();
    let mut drive = spawn_blocking(move || {
        drive_with(&place, &settings, options, &stop, &mut |happening| {
            // Whoever listens does so to the end.
            let _ = sender.send(happening.clone());
        })
    });
    course.run.writers.start_all();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut drives = true;
    while drives || !course.run.writers.all_have_ended() {
        let (next_kill, works) = (course.next_kill, course.phase == Phase::Working);
        tokio::select! {
            happening = happenings.recv(), if drives => match happening {
                Some(happening) => course.hear(&happening).await,
                None => drives = false,
            },
            heard = course.run.writers.next() => course.hear_writer(heard).await,
            () = sleep_until(next_kill), if works => course.kill(),
            _ = tick.tick() => course.look(drives),
        }
    }
    let outcome = (&mut drive).await;
    let outcome = outcome.map_err(|error| Failed::new("system", format!("driving: {error}")))??;
    let after = processes(&database).await;
    course.end(outcome, before.zip(after))
}

impl<'c> Course<'c> {
    fn new(plan: &'c Plan, place: &Place, store: Store, stop: Stop, options: OpenOptions) -> Self {
        let database = store.path().to_owned();
        let now = Instant::now();
        let mut view = (!plan.json).then(|| View::new(Form::of(false, false)));
        if let Some(view) = &mut view {
            view.print(&plan.to_string());
        }
        let session = format!("{OURSELVES}/{}", std::process::id());
        let caller = Caller::new(OURSELVES, session).in_process(ProcessIdentity::current());
        let caller = Arc::new(caller);
        Self {
            plan,
            options,
            folder: place.folder.clone(),
            store,
            caller,
            stop,
            rng: Rng::with_seed(plan.seed),
            phase: Phase::Working,
            view,
            started: now,
            next_news: now + NEWS,
            next_kill: now,
            prey: None,
            target: None,
            agents: BTreeMap::new(),
            struck: BTreeSet::new(),
            total: 0,
            passing: 0,
            writers_deadline: None,
            run: Run::new(Writers::new(plan.writers, &database, plan.seed)),
            database,
        }
    }

    async fn hear(&mut self, happening: &Happening) {
        self.run.report.hear(happening);
        match happening {
            Happening::Stands(snapshot) => self.look_at(snapshot).await,
            Happening::Began { agent, pid, .. } => {
                self.agents.insert(*agent, *pid);
            }
            Happening::Said { agent, line } => {
                self.run.ledger.said(*agent, line);
                if line.starts_with("{\"passes\"") {
                    self.announced(Prey::Agent, Target::Agent(*agent));
                }
            }
            Happening::Ended { agent, exit, .. } => self.ended(*agent, exit),
            Happening::Trouble(text) => self.run.troubles.push(text.clone()),
            Happening::Stopping { hurry } => {
                self.wind_up();
                if *hurry {
                    self.kill_writers();
                }
            }
            Happening::Paused if self.phase == Phase::Draining => self.phase = Phase::Ending,
            _ => {}
        }
        // Each change and each new agent would be a line; of so many there is nothing to be read.
        let is_end = matches!(happening, Happening::Stopping { .. });
        let is_news = !matches!(happening, Happening::Changed(_));
        if let Some(view) = self.view.as_mut().filter(|view| is_end || is_news && view.is_live()) {
            view.show(happening);
        }
    }

    fn ended(&mut self, agent: AgentId, exit: &AgentExit) {
        self.agents.remove(&agent);
        if !matches!(exit, AgentExit::Code(_)) && agent.kind == Kind::Coding {
            self.run.ledger.cut_short.insert(agent.number);
        }
        let kill = Signal::KILL.as_raw();
        // One that was done before it was killed does not count.
        if self.struck.remove(&agent) && *exit == AgentExit::Signal(kill) {
            self.run.killed += 1;
        }
    }

    async fn look_at(&mut self, snapshot: &Snapshot) {
        self.passing = snapshot.passing;
        let hungry = snapshot.ready.len() < self.plan.enough();
        if self.phase == Phase::Working && hungry && snapshot.total >= self.total {
            self.total = snapshot.total;
            self.feed().await;
        }
    }

    /// Adds features.
    async fn feed(&mut self) {
        let Some(planned) = backlog::plan(self.run.ledger.created(), &mut self.rng) else {
            self.run.troubles.push("the features are not what they should be".to_owned());
            return;
        };
        let create = CreateFeatures::new(planned).by(&self.caller);
        match self.call(create).await {
            Some(Ok(created)) => {
                self.run.ledger.added(&created.ids);
                self.total += created.ids.len();
            }
            Some(Err(refusal)) => self.run.troubles.push(refusal.to_string()),
            None => {}
        }
    }

    async fn hear_writer(&mut self, heard: writers::Heard) {
        match heard {
            writers::Heard::Said(at, line) => {
                self.run.writers.said(at, &line, &mut self.run.ledger);
                if line.starts_with("{\"does\"") {
                    self.announced(Prey::Writer, Target::Writer(at));
                }
            }
            writers::Heard::Ended(at, how) => {
                let killed = how == writers::Ended::Killed;
                if let Some(feature) = self.run.writers.ended(at, how, &mut self.run.ledger) {
                    self.release(feature).await;
                }
                if killed && self.phase == Phase::Working {
                    self.run.writers.start(at);
                }
            }
        }
    }

    /// Gives back what a killed writer may have left in progress. Its claim names nobody, so it never
    /// ends by itself; a claim that has an owner by now stays, since this has not its token.
    async fn release(&mut self, feature: i64) {
        let release = ClearInProgress { id: feature.into() };
        let release = release.by(&self.caller).because("its writer was killed");
        // The writer may have got no claim, or have ended it: then there is nothing to give back, or
        // it is refused. A fault is a trouble by now.
        let _ = self.call(release).await;
    }

    /// Changes the project. A fault is a trouble; what a refusal is, the caller knows.
    async fn call<C>(&mut self, command: C) -> Option<Result<C::Output, C::Rejection>>
    where
        C: Command<Database = Features>,
    {
        let submitted =
            self.store().and_then(|store| store.try_submit(command).map_err(Failed::from));
        let trouble = match submitted {
            Ok(reply) => match pin!(reply).await {
                Ok(output) => return Some(Ok(output)),
                Err(Error::Refused(refusal)) => return Some(Err(refusal)),
                Err(Error::Storage(fault)) => fault.to_string(),
            },
            Err(failed) => failed.message().to_owned(),
        };
        self.run.troubles.push(trouble);
        None
    }

    /// The store; the orchestrator closes its engine at its end, and with it ours.
    fn store(&mut self) -> Result<&Store, Failed> {
        if !self.store.is_open() {
            self.store = Store::open_project_with(&self.folder, &self.options)?;
        }
        Ok(&self.store)
    }

    /// Somebody is about to change something.
    fn announced(&mut self, prey: Prey, target: Target) {
        if self.prey == Some(prey) {
            (self.prey, self.target) = (None, Some(target));
            self.next_kill = Instant::now() + Duration::from_millis(self.rng.u64(CALL));
        }
    }

    /// Kills somebody now, or lies in wait for whoever announces a change.
    fn kill(&mut self) {
        self.next_kill = Instant::now() + Duration::from_millis(self.rng.u64(KILLS));
        // It spoke a moment ago, so its number is its own; a look would come too late.
        match self.target.take() {
            Some(Target::Agent(agent)) => return self.strike(agent, |_, pid| kill_group(pid)),
            Some(Target::Writer(at)) => {
                self.run.writers.process_of(at).map(kill_group);
                return;
            }
            None => {}
        }
        let writers = self.run.writers.processes();
        let agents: Vec<AgentId> =
            self.agents.keys().filter(|agent| !self.struck.contains(agent)).copied().collect();
        if self.rng.u32(..WRITERS_TURN) == 0
            && self.run.writers.all_have_written()
            && let Some(pid) = self.rng.choice(writers)
        {
            if self.rng.bool() {
                self.strike_group(pid);
            } else {
                self.prey = Some(Prey::Writer);
            }
            return;
        }
        match self.rng.choice(agents) {
            Some(agent) if self.rng.bool() => self.strike(agent, Self::strike_group),
            _ => self.prey = Some(Prey::Agent),
        }
    }

    fn strike(&mut self, agent: AgentId, how: impl Fn(&Self, u32) -> bool) {
        let Some(pid) = self.agents.get(&agent).copied() else { return };
        if how(self, pid) {
            self.struck.insert(agent);
        }
    }

    /// Kills a group of processes, without a chance to clean up, while it is one of this project's: its
    /// leader may have ended unheard, and its number may be somebody else's.
    fn strike_group(&self, pid: u32) -> bool {
        let is_ours = processes_at(&self.database).is_none_or(|ours| ours.contains(&pid));
        is_ours && kill_group(pid)
    }

    fn kill_writers(&self) {
        for pid in self.run.writers.processes() {
            self.strike_group(pid);
        }
    }

    /// Looks at the log and at the clock.
    fn look(&mut self, drives: bool) {
        let mut log = self.database.as_os_str().to_owned();
        log.push("-wal");
        let length = std::fs::metadata(Path::new(&log)).map_or(0, |log| log.len());
        self.run.longest_log = self.run.longest_log.max(length);
        let now = Instant::now();
        if now >= self.next_news {
            self.next_news += NEWS;
            self.tell();
        }
        let is_over = self.stop.is_asked() || !drives;
        match self.phase {
            Phase::Working | Phase::Draining if is_over => self.wind_up(),
            Phase::Working if self.is_done(now) => {
                self.run.is_whole = true;
                self.run.worked = now - self.started;
                self.drain(now);
            }
            // Agents have ended by themselves; what writers do is waited for, so that they have
            // written until the end.
            Phase::Ending
                if drives && self.run.writers.all_have_ended() && !self.stop.is_asked() =>
            {
                self.stop.stop();
            }
            _ => {}
        }
        if self.writers_deadline.is_some_and(|deadline| now >= deadline) {
            self.writers_deadline = None;
            self.run.troubles.push("a writer did not end by itself".to_owned());
            self.kill_writers();
        }
    }

    fn is_done(&self, now: Instant) -> bool {
        let worked = now - self.started;
        let has_shown = self.run.killed > 0 && self.run.writers.all_have_written();
        worked >= self.plan.time && (has_shown || worked >= self.plan.time + OVERTIME)
    }

    /// Lets everybody finish what they are at.
    fn drain(&mut self, now: Instant) {
        self.phase = Phase::Draining;
        if let Err(error) = ask_for_pause(&drain_file(&self.folder)) {
            self.run.troubles.push(format!("asking for a pause: {error}"));
            self.stop.stop();
        }
        self.end_writers(now);
    }

    /// It ends before its time: somebody has said so, or the orchestrator has ended by itself.
    fn wind_up(&mut self) {
        // That everybody is told to end is the last step of an orderly end, too.
        if self.phase == Phase::Ending {
            return;
        }
        let now = Instant::now();
        if self.phase == Phase::Working {
            self.run.worked = now - self.started;
        }
        self.run.interrupted = self.stop.is_asked();
        self.phase = Phase::Ending;
        self.end_writers(now);
    }

    fn end_writers(&mut self, now: Instant) {
        self.run.writers.end();
        self.writers_deadline.get_or_insert(now + WRITERS_END);
    }

    fn tell(&mut self) {
        let Some(view) = self.view.as_mut().filter(|view| !view.is_live()) else { return };
        let elapsed = span(self.started.elapsed());
        let (passing, total) = (self.passing, self.total);
        let (agents, writers) = (self.run.killed, self.run.writers.killed);
        view.print(&format!(
            "{elapsed}: {passing} of {total} features pass; killed: {agents} agents, {writers} writers"
        ));
    }

    fn end(
        mut self,
        outcome: Outcome,
        processes: Option<(BTreeSet<u32>, BTreeSet<u32>)>,
    ) -> Result<Run, Failed> {
        if let Some(view) = &mut self.view {
            view.finish();
        }
        self.store.close();
        let file = drain_file(&self.folder);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failed::file("removing", &file, &error));
            }
            _ => {}
        }
        Ok(Run { outcome, processes, ..self.run })
    }
}

impl Run {
    pub(super) fn new(writers: Writers) -> Self {
        Self {
            outcome: Outcome::default(),
            report: Report::default(),
            ledger: Ledger::default(),
            writers,
            worked: Duration::ZERO,
            is_whole: false,
            interrupted: false,
            killed: 0,
            troubles: Vec::new(),
            longest_log: 0,
            processes: None,
        }
    }
}

fn kill_group(leader: u32) -> bool {
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    group.is_some_and(|group| kill_process_group(group, Signal::KILL).is_ok())
}

/// Whose presence asks the orchestrator for a pause.
fn drain_file(folder: &Path) -> PathBuf {
    folder.join(".autoforge").join(".pause_drain")
}

#[expect(clippy::disallowed_methods, reason = "an empty file beside the database")]
fn ask_for_pause(file: &Path) -> std::io::Result<()> {
    std::fs::write(file, "")
}

async fn processes(database: &Path) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    for look in 0..LOOKS {
        if look > 0 {
            sleep(TICK).await;
        }
        all.extend(processes_at(database)?);
    }
    Some(all)
}
