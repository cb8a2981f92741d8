//! Carries out what was decided.

mod reporting;
mod storage;

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::reporting::Reporting;
use self::storage::{Trouble, watch_commits};
use super::hands::{Hand, Hands, Settling};
use super::{Outcome, RunError};
use crate::orchestrator::agent::{Agent, Heard, Limits, Orders, Urge};
use crate::orchestrator::happening::{AgentExit, AgentId, Happening, Kind, Settled};
use crate::orchestrator::plan::{Action, Crew, Finish, Initializer, plan};
use crate::orchestrator::process::{Ended, Mark, strays};
use crate::orchestrator::settings::Settings;
use crate::orchestrator::stop::Stop;
use crate::orchestrator::workplace::{Desk, Task, Workplace};
use crate::{
    Caller, ClaimBatch, ClearInProgress, Command, EventId, EventKind, FeatureId, FenceToken,
    GetChanges, GetFeature, GetLog, GetSnapshot, GetSummary, LeaseKeeper, MarkFailing, OpenOptions,
    ProcessIdentity, ProjectLayout, RecoverClaims, Snapshot, StorageError, Store, Timestamp,
};

/// How often the file that asks for a pause is looked for, and what has failed is tried again.
const TICK: Duration = Duration::from_millis(500);
/// After an agent could not be started, the next one is tried so much later; the second time in a row
/// twice as much later, and so on.
const REST: Duration = Duration::from_secs(2);
/// So many agents in a row may fail to start.
const FAILED_STARTS: u32 = 3;
/// Messages of agents that the loop has not looked at yet.
const UNHEARD: usize = 1024;
/// Events that are read at a time.
const EVENTS: usize = 500;

/// Why claims end that nobody has settled.
const OVER: &str = "the run ended";

/// A run at work.
pub(super) struct Runner<'r> {
    settings: &'r Settings,
    options: OpenOptions,
    stop: &'r Stop,
    observe: &'r mut dyn FnMut(&Happening),
    layout: ProjectLayout,
    workplace: Workplace,
    /// Its presence asks for a pause.
    drain_file: PathBuf,
    own: ProcessIdentity,
    session: String,
    store: Store,
    /// Only opening the store anew helps.
    worn: bool,
    keeper: LeaseKeeper,
    crew: Crew,
    hands: Hands,
    settling: VecDeque<Settling>,
    snapshot: Option<Snapshot>,
    reporting: Reporting,
    last_event: EventId,
    /// Agents that could not be started, in a row.
    failed_starts: u32,
    rest_until: Option<Instant>,
    paused: bool,
    urge: watch::Receiver<Urge>,
    sender: mpsc::Sender<Heard>,
    receiver: mpsc::Receiver<Heard>,
    /// Ends of agents that were heard while the storage was waited for.
    unheard: VecDeque<Heard>,
    /// One for each commit.
    commits: watch::Receiver<()>,
    started: Instant,
    outcome: Outcome,
}

impl<'r> Runner<'r> {
    pub(super) fn new(
        project: &Path,
        options: &OpenOptions,
        settings: &'r Settings,
        stop: &'r Stop,
        observe: &'r mut dyn FnMut(&Happening),
        store: Store,
    ) -> Result<Self, RunError> {
        let own = ProcessIdentity::current().ok_or_else(|| {
            let why = std::io::Error::other("the system does not tell which process this is");
            RunError::system("starting")(why)
        })?;
        let layout = ProjectLayout::existing(project)?;
        let files = settings.logs.clone().unwrap_or_else(|| store.path().with_file_name("agents"));
        let workplace = Workplace::prepare(layout.folder(), files)
            .map_err(RunError::system("making a folder for agents"))?;
        let session = format!("run {}/{}", Timestamp::now().to_iso8601(), own.pid);
        let caller = Caller::new("orchestrator", session.as_str());
        let keeper = LeaseKeeper::start(&store, caller, settings.lease)
            .map_err(RunError::system("starting a thread"))?;
        let (sender, receiver) = mpsc::channel(UNHEARD);
        Ok(Self {
            settings,
            options: *options,
            urge: stop.subscribe(),
            stop,
            observe,
            drain_file: layout.folder().join(".autoforge").join(".pause_drain"),
            layout,
            workplace,
            own,
            session,
            commits: watch_commits(&store),
            store,
            worn: false,
            keeper,
            crew: Crew::default(),
            hands: Hands::default(),
            settling: VecDeque::new(),
            snapshot: None,
            reporting: Reporting::default(),
            last_event: EventId::START,
            failed_starts: 0,
            rest_until: None,
            paused: false,
            sender,
            receiver,
            unheard: VecDeque::new(),
            started: Instant::now(),
            outcome: Outcome::default(),
        })
    }

    /// Goes on until there is nothing more to do, or somebody says so.
    pub(super) async fn drive(&mut self) -> Result<Option<Finish>, RunError> {
        self.clear_up().await;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        let mut due = true;
        loop {
            if self.stop.is_asked() {
                return Ok(None);
            }
            if due {
                due = false;
                if let Some(finish) = self.turn().await? {
                    (self.observe)(&Happening::Finished(finish));
                    return Ok(Some(finish));
                }
            }
            let mut urge = self.urge.clone();
            let heard = if let Some(heard) = self.unheard.pop_front() {
                Some(heard)
            } else {
                tokio::select! {
                    heard = self.receiver.recv() => heard,
                    _ = urge.wait_for(|urge| *urge > Urge::None) => None,
                    changed = self.commits.changed() => {
                        due = true;
                        if changed.is_err() {
                            // The thread ends with its store; a turn finds out what happened.
                            self.commits = watch_commits(&self.store);
                            sleep(TICK).await;
                        }
                        None
                    }
                    claimed = self.reporting.done() => {
                        self.reported(claimed);
                        due = true;
                        None
                    }
                    _ = tick.tick() => {
                        due = self.is_something_waiting();
                        None
                    }
                }
            };
            if let Some(heard) = heard {
                due |= self.hear(heard);
            }
        }
    }

    /// Whether a tick is worth a turn: something has to be tried again, or the wish for a pause has
    /// changed.
    fn is_something_waiting(&self) -> bool {
        !self.settling.is_empty()
            || self.snapshot.is_none()
            || self.rest_until.is_some()
            || (self.settings.report_progress && self.reporting.has_to_be_tried())
            || self.drain_file.exists() != self.crew.drain
    }

    /// What dead orchestrators and dead owners have left.
    async fn clear_up(&mut self) {
        let strays = strays(self.store.path()).await;
        if !strays.is_empty() {
            for tree in &strays {
                let ended = tree.end(self.settings.grace).await;
                self.outcome.left.extend(ended.left);
            }
            (self.observe)(&Happening::Swept(strays.len()));
        }
        let recover = RecoverClaims.by(self.keeper.caller());
        match self.call(recover).await {
            Ok(recovered) if recovered.is_empty() => {}
            Ok(recovered) => {
                let ids = recovered.iter().map(|recovered| recovered.claim.feature).collect();
                (self.observe)(&Happening::Recovered(ids));
            }
            Err(Trouble::Refused(never)) => match never {},
            Err(Trouble::Storage(fault)) => self.tell_trouble(&fault),
        }
        let latest = GetLog { limit: 1, ..GetLog::default() };
        if let Ok(events) = self.call(latest).await {
            self.last_event = events.first().map_or(EventId::START, |event| event.id);
        }
    }

    /// Looks, has decided, does.
    async fn turn(&mut self) -> Result<Option<Finish>, RunError> {
        self.settle().await;
        let drain = self.drain_file.exists();
        if drain != self.crew.drain {
            (self.observe)(if drain { &Happening::Draining } else { &Happening::Resumed });
            (self.crew.drain, self.paused) = (drain, false);
        }
        if drain && !self.paused && self.hands.is_empty() {
            self.paused = true;
            (self.observe)(&Happening::Paused);
        }
        self.rest_until.take_if(|until| *until <= Instant::now());
        self.crew.resting = self.rest_until.is_some();
        let Some(snapshot) = self.look().await else { return Ok(None) };
        for action in plan(&snapshot, &self.crew, self.settings) {
            match action {
                Action::StartCoding { others } => self.start_coding(others).await?,
                Action::StartTesting { features } => self.start_testing(features).await?,
                Action::StartInitializer => self.start_initializer()?,
                Action::Finish(_) if !self.settling.is_empty() => {}
                Action::Finish(finish) => return Ok(Some(finish)),
            }
            if self.stop.is_asked() || self.rest_until.is_some() {
                break;
            }
        }
        Ok(None)
    }

    /// The project as it is now, with what has changed since the last look told; `None` where it
    /// cannot be read at the moment.
    async fn look(&mut self) -> Option<Snapshot> {
        loop {
            let since = self.last_event;
            match self.call(GetChanges { since, limit: EVENTS }).await {
                Ok(events) if events.is_empty() => break,
                Ok(events) => {
                    for event in events {
                        self.last_event = event.id;
                        if event.kind == EventKind::Passed {
                            self.crew.last_pass = event.id;
                        }
                        (self.observe)(&Happening::Changed(event));
                    }
                }
                // Nothing but the telling depends on them.
                Err(Trouble::Refused(_)) => break,
                Err(Trouble::Storage(fault)) => return self.cannot_look(&fault),
            }
        }
        match self.call(GetSnapshot).await {
            Ok(snapshot) => {
                self.last_event = self.last_event.max(snapshot.last_event);
                if self.snapshot.as_ref() != Some(&snapshot) {
                    (self.observe)(&Happening::Stands(snapshot.clone()));
                }
                self.report(&snapshot);
                self.snapshot = Some(snapshot.clone());
                Some(snapshot)
            }
            Err(Trouble::Refused(never)) => match never {},
            Err(Trouble::Storage(fault)) => self.cannot_look(&fault),
        }
    }

    fn cannot_look(&mut self, fault: &StorageError) -> Option<Snapshot> {
        self.tell_trouble(fault);
        self.snapshot = None;
        None
    }

    async fn start_coding(&mut self, others: usize) -> Result<(), RunError> {
        let id = self.next(Kind::Coding);
        let caller = self.caller(id);
        let claim = ClaimBatch { max: self.settings.batch, others };
        let claim = claim.by(&caller).owning(Some(self.settings.lease));
        let batch = match self.call(claim).await {
            Ok(batch) if batch.is_empty() => return Ok(()),
            Ok(batch) => batch,
            Err(Trouble::Refused(never)) => match never {},
            Err(Trouble::Storage(fault)) => {
                self.tell_trouble(&fault);
                self.rest_until = Some(Instant::now() + REST);
                return Ok(());
            }
        };
        let claims: Vec<_> = batch.iter().map(|c| (c.feature.id, c.token)).collect();
        for (feature, token) in &claims {
            self.keeper.keep(*feature, *token);
        }
        let features: Vec<_> =
            batch.into_iter().map(|claimed| (claimed.feature.id, claimed.feature.name)).collect();
        self.crew.coding += 1;
        self.start(id, &features, Hand { caller, claims, tests: BTreeSet::new() })
    }

    async fn start_testing(&mut self, ids: Vec<FeatureId>) -> Result<(), RunError> {
        let mut features = Vec::new();
        for id in ids {
            // One that is gone meanwhile is not tested.
            if let Ok(summary) = self.call(GetSummary { id }).await {
                features.push((id, summary.name));
            }
        }
        let tests: BTreeSet<FeatureId> = features.iter().map(|(id, _)| *id).collect();
        if tests.is_empty() {
            return Ok(());
        }
        let lately = tests.iter().map(|id| (*id, self.crew.last_pass));
        self.crew.tested.extend(lately);
        self.crew.testing.push(tests.clone());
        let id = self.next(Kind::Testing);
        let caller = self.caller(id);
        self.start(id, &features, Hand { caller, claims: Vec::new(), tests })
    }

    fn start_initializer(&mut self) -> Result<(), RunError> {
        self.crew.initializer = Initializer::Works;
        let id = self.next(Kind::Initializing);
        let caller = self.caller(id);
        self.start(id, &[], Hand { caller, claims: Vec::new(), tests: BTreeSet::new() })
    }

    fn next(&self, kind: Kind) -> AgentId {
        AgentId { kind, number: self.outcome.agents + 1 }
    }

    /// An agent as the owner of its claims. They are bound to this process, which renews them.
    fn caller(&self, id: AgentId) -> Arc<Caller> {
        let caller = Caller::new(id.to_string(), format!("{}/{id}", self.session));
        Arc::new(caller.in_process(Some(self.own.clone())))
    }

    /// Starts the process of an agent that has its hands full already, so that whatever happens is
    /// settled as the end of an agent.
    fn start(
        &mut self,
        id: AgentId,
        features: &[(FeatureId, String)],
        hand: Hand,
    ) -> Result<(), RunError> {
        self.outcome.agents += 1;
        self.workplace.tidy(id, &self.hands.agents());
        let mark = Mark::new(&self.own, id.number, self.store.path());
        let command = match id.kind {
            Kind::Coding => &self.settings.coder,
            Kind::Testing => self.settings.tester.as_ref().unwrap_or(&self.settings.coder),
            Kind::Initializing => {
                self.settings.initializer.as_ref().unwrap_or(&self.settings.coder)
            }
        };
        let task = Task {
            id,
            session: &hand.caller.session,
            features,
            claims: &hand.claims,
            lease: self.settings.lease,
            mark: &mark,
        };
        let time = match id.kind {
            Kind::Initializing => self.settings.initializer_time,
            Kind::Coding | Kind::Testing => self.settings.time,
        };
        let (silence, grace) = (self.settings.silence, self.settings.grace);
        let limits = Limits { silence, time, grace, log_bytes: self.settings.log_bytes };
        let started = self.workplace.desk(&task).and_then(|desk| {
            let Desk { values, environment, log } = desk;
            let words = command.fill_in(&values);
            let folder = self.workplace.project().to_owned();
            Agent::start(Orders { id, words, environment, folder, mark, log, limits })
        });
        self.hands.insert(id, hand);
        match started {
            Ok(agent) => {
                self.failed_starts = 0;
                (self.observe)(&Happening::Began {
                    agent: id,
                    features: features.to_vec(),
                    pid: agent.pid(),
                    log: agent.log().to_owned(),
                });
                tokio::spawn(agent.attend(self.urge.clone(), self.sender.clone()));
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                self.unheard.push_back(Heard::Ended(
                    id,
                    AgentExit::NotStarted(why.clone()),
                    Ended::default(),
                ));
                self.failed_starts += 1;
                self.rest_until = Some(Instant::now() + REST * self.failed_starts);
                if self.failed_starts < FAILED_STARTS {
                    return Ok(());
                }
                Err(RunError::NoAgent { why, command: command.to_string() })
            }
        }
    }

    /// Takes note; whether it is worth a turn.
    fn hear(&mut self, heard: Heard) -> bool {
        match heard {
            Heard::Said(agent, line) => {
                (self.observe)(&Happening::Said { agent, line });
                false
            }
            Heard::Ended(agent, exit, Ended { killed, left }) => {
                match agent.kind {
                    Kind::Coding => self.crew.coding = self.crew.coding.saturating_sub(1),
                    Kind::Initializing => self.crew.initializer = Initializer::Done,
                    Kind::Testing => {}
                }
                let Some(hand) = self.hands.remove(agent) else { return true };
                if let Some(at) = self.crew.testing.iter().position(|tests| *tests == hand.tests) {
                    self.crew.testing.swap_remove(at);
                }
                self.outcome.left.extend(&left);
                self.settling.push_back(Settling {
                    agent,
                    caller: hand.caller,
                    exit,
                    killed,
                    left,
                    open: hand.claims.into(),
                    settled: Vec::new(),
                });
                true
            }
        }
    }

    /// Settles what ended agents have left, as far as the storage goes along; the rest is tried again.
    async fn settle(&mut self) {
        while let Some(mut settling) = self.settling.pop_front() {
            while let Some((feature, token)) = settling.open.front().copied() {
                match self.settle_one(&settling, feature, token).await {
                    Ok(settled) => {
                        match settled {
                            Settled::Passed => self.outcome.passed += 1,
                            Settled::Failed => self.outcome.failed += 1,
                            Settled::Released | Settled::Otherwise => {}
                        }
                        settling.settled.push((feature, settled));
                        settling.open.pop_front();
                        if self.keeper.token_of(feature) == Some(token) {
                            self.keeper.forget(feature);
                        }
                    }
                    Err(fault) => {
                        self.tell_trouble(&fault);
                        self.settling.push_front(settling);
                        return;
                    }
                }
            }
            let Settling { agent, exit, killed, left, settled: features, .. } = settling;
            (self.observe)(&Happening::Ended { agent, exit, features, killed, left });
        }
    }

    async fn settle_one(
        &mut self,
        settling: &Settling,
        id: FeatureId,
        token: FenceToken,
    ) -> Result<Settled, StorageError> {
        match self.call(GetFeature { id }).await {
            Ok(feature) if feature.passes => return Ok(Settled::Passed),
            Ok(_) => {}
            // It is gone, and its claim with it.
            Err(Trouble::Refused(_)) => return Ok(Settled::Otherwise),
            Err(Trouble::Storage(fault)) => return Err(fault),
        }
        let (verdict, reason) = (settling.verdict(), settling.reason());
        let caller = Arc::clone(&settling.caller);
        let ended = if verdict == Settled::Failed {
            let fail = MarkFailing { id }.by(&caller).under(token).because(&reason);
            self.call(fail).await.map(drop)
        } else {
            let release = ClearInProgress { id }.by(&caller).under(token).because(&reason);
            self.call(release).await.map(drop)
        };
        match ended {
            Ok(()) => Ok(verdict),
            Err(Trouble::Refused(_)) => Ok(Settled::Otherwise),
            Err(Trouble::Storage(fault)) => Err(fault),
        }
    }

    /// Ends everything that was begun: agents with their processes, claims, the store. Whatever went
    /// before, this is the way out.
    pub(super) async fn wind_up(mut self) -> Outcome {
        if !self.hands.is_empty() {
            // Where the run ends for another reason, agents have to be told so.
            if !self.stop.is_asked() {
                self.stop.stop();
            }
            (self.observe)(&Happening::Stopping { hurry: *self.urge.borrow() == Urge::Hurry });
        }
        let mut hurry_told = *self.urge.borrow() == Urge::Hurry;
        while let Some(heard) = self.unheard.pop_front() {
            self.hear(heard);
        }
        while !self.hands.is_empty() {
            let mut urge = self.urge.clone();
            tokio::select! {
                Some(heard) = self.receiver.recv() => {
                    self.hear(heard);
                }
                _ = urge.wait_for(|urge| *urge == Urge::Hurry), if !hurry_told => {
                    hurry_told = true;
                    (self.observe)(&Happening::Stopping { hurry: true });
                }
            }
        }
        self.settle().await;
        self.report_the_rest().await;
        let unsettled = std::mem::take(&mut self.settling);
        for (feature, _) in unsettled.into_iter().flat_map(|settling| settling.open) {
            self.outcome.unsettled.insert(feature, OVER.to_owned());
        }
        let Self { keeper, store, outcome, started, .. } = self;
        let closed = spawn_blocking(move || {
            // Nothing is left to be renewed but what could not be settled, which shall lapse.
            drop(keeper);
            store.close().fault
        });
        if let Ok(Some(fault)) = closed.await {
            tracing::warn!(%fault, "closing the store");
        }
        Outcome { elapsed: started.elapsed(), ..outcome }
    }
}
