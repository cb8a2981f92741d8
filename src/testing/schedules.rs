//! The commands on schedules as plain data, and what they do, said naively.
//!
//! A model of its own, since schedules and features have nothing to do with each other. When windows
//! are open is proven against a calendar elsewhere; this one says what is stored.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{
    AfterCrash, Command, Concurrency, CreateSchedule, DeleteSchedule, DeletedSchedule, Error,
    Features, GetActiveOverride, GetSchedule, GetScheduleState, IncrementCrashCount, ListOverrides,
    ListSchedules, ModelChange, NewSchedule, NotWanted, OverrideKind, ProjectName,
    PurgeExpiredOverrides, Refusal, ResetCrashCount, Schedule, ScheduleChanges, ScheduleId,
    ScheduleOverride, ScheduleState, SetOverride, StorageError, Store, TimeOfDay, Timestamp,
    UpdateSchedule, Verdict, Weekdays, WindowMinutes, restart_delay,
};

use super::World;

/// A command on schedules, or what happens around it. Each variant of a command's name is that command.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in the commands")]
pub enum ScheduleOp {
    ListSchedules(ListFilter),
    GetSchedule(i64),
    GetScheduleState(Option<ProjectName>),
    ListOverrides(Option<ProjectName>),
    GetActiveOverride(i64, OverrideKind),
    CreateSchedule(NewSchedule),
    UpdateSchedule(i64, ScheduleChanges),
    DeleteSchedule(i64),
    IncrementCrashCount(i64),
    ResetCrashCount(i64),
    SetOverride(Option<ProjectName>, OverrideKind),
    PurgeExpiredOverrides,
    /// Another program writes.
    Foreign(ForeignWrite),
    /// Minutes pass.
    Pass(u32),
}

/// Which schedules are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the command")]
pub struct ListFilter {
    pub project: Option<ProjectName>,
    pub enabled: bool,
}

/// What another program does to the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignWrite {
    /// Deletes a schedule and forgets its overrides.
    Delete(i64),
    /// Says something to a schedule that may not be there, beside what was said before; it counts for
    /// so many minutes, which may be over.
    Say(i64, OverrideKind, i64),
}

/// What became of a [`ScheduleOp`].
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each holds the output of the commands that give it")]
pub enum ScheduleOutcome {
    Schedules(Vec<Schedule>),
    Schedule(Box<Schedule>),
    State(ScheduleState),
    Overrides(Vec<ScheduleOverride>),
    Override(Option<ScheduleOverride>),
    Deleted(Box<DeletedSchedule>),
    AfterCrash(AfterCrash),
    Count(u32),
    Refused(&'static str),
    Failed(StorageError),
    /// It was no command.
    Happened,
}

use ScheduleOutcome as Told;

impl ForeignWrite {
    /// The statements, for a connection without foreign keys.
    #[must_use]
    pub fn sql(self, world: &World) -> String {
        match self {
            Self::Delete(id) => format!("DELETE FROM schedules WHERE id = {id}"),
            Self::Say(schedule, kind, minutes) => {
                let now = world.moment().wall;
                format!(
                    "INSERT INTO schedule_overrides
                         (schedule_id, override_type, expires_at, created_at)
                     VALUES ({schedule}, '{kind}', '{}', '{}')",
                    later(now, minutes).to_sqlite_text(),
                    now.to_sqlite_text(),
                )
            }
        }
    }
}

fn later(moment: Timestamp, minutes: i64) -> Timestamp {
    Timestamp::from_microseconds(moment.to_microseconds() + minutes * 60_000_000).unwrap_or(moment)
}

impl ScheduleOp {
    /// Runs the command on a store, in a world; does nothing where it is no command.
    #[must_use]
    pub fn apply_to(&self, store: &Store, world: &World) -> ScheduleOutcome {
        let desk = Desk { store, world };
        match self {
            Self::ListSchedules(ListFilter { project, enabled }) => {
                let list = ListSchedules { project: project.clone(), enabled: *enabled };
                desk.call(list, Told::Schedules)
            }
            Self::GetSchedule(id) => desk.call(GetSchedule { id: (*id).into() }, one),
            Self::GetScheduleState(project) => {
                desk.call(GetScheduleState { project: project.clone(), at: None }, Told::State)
            }
            Self::ListOverrides(project) => {
                desk.call(ListOverrides { project: project.clone() }, Told::Overrides)
            }
            Self::GetActiveOverride(schedule, kind) => {
                let get = GetActiveOverride { schedule: (*schedule).into(), kind: *kind };
                desk.call(get, Told::Override)
            }
            Self::CreateSchedule(new) => desk.call(CreateSchedule(new.clone()), one),
            Self::UpdateSchedule(id, changes) => {
                desk.call(UpdateSchedule { id: (*id).into(), changes: changes.clone() }, one)
            }
            Self::DeleteSchedule(id) => desk.call(DeleteSchedule { id: (*id).into() }, |deleted| {
                Told::Deleted(Box::new(deleted))
            }),
            Self::IncrementCrashCount(id) => {
                desk.call(IncrementCrashCount { id: (*id).into() }, Told::AfterCrash)
            }
            Self::ResetCrashCount(id) => {
                desk.call(ResetCrashCount { id: (*id).into() }, Told::Count)
            }
            Self::SetOverride(project, kind) => {
                desk.call(SetOverride { project: project.clone(), kind: *kind }, Told::Overrides)
            }
            Self::PurgeExpiredOverrides => desk.call(PurgeExpiredOverrides, Told::Overrides),
            Self::Foreign(_) | Self::Pass(_) => Told::Happened,
        }
    }
}

struct Desk<'a> {
    store: &'a Store,
    world: &'a World,
}

impl Desk<'_> {
    fn call<C>(&self, command: C, told: impl FnOnce(C::Output) -> Told) -> Told
    where
        C: Command<Database = Features>,
        C::Rejection: Refusal,
    {
        let circumstances = self.world.circumstances();
        match self.store.call(command.because("").in_circumstances(circumstances)) {
            Ok(output) => told(output),
            Err(Error::Refused(refusal)) => Told::Refused(refusal.code()),
            Err(Error::Storage(fault)) => Told::Failed(fault),
        }
    }
}

fn one(schedule: Schedule) -> Told {
    Told::Schedule(Box::new(schedule))
}

/// The two tables in memory.
#[derive(Debug, Clone, Default)]
pub struct ScheduleModel {
    schedules: BTreeMap<i64, Schedule>,
    overrides: BTreeMap<i64, ScheduleOverride>,
    /// The highest number of a schedule that a command of ours has deleted.
    floor: i64,
}

impl ScheduleModel {
    /// What the command tells; the model changes with it, and the world with what is no command.
    pub fn apply(&mut self, op: &ScheduleOp, world: &mut World) -> ScheduleOutcome {
        let now = world.moment().wall;
        match op {
            ScheduleOp::Foreign(write) => {
                self.foreign(*write, now);
                Told::Happened
            }
            ScheduleOp::Pass(minutes) => {
                world.pass(minutes * 60);
                Told::Happened
            }
            _ => self.command(op, now).unwrap_or_else(Told::Refused),
        }
    }

    fn foreign(&mut self, write: ForeignWrite, now: Timestamp) {
        match write {
            ForeignWrite::Delete(id) => drop(self.schedules.remove(&id)),
            ForeignWrite::Say(schedule, kind, minutes) => {
                self.say(schedule.into(), kind, later(now, minutes), now);
            }
        }
    }

    fn command(&mut self, op: &ScheduleOp, now: Timestamp) -> Result<Told, &'static str> {
        Ok(match op {
            ScheduleOp::ListSchedules(ListFilter { project, enabled }) => {
                let mut schedules = self.of(project.as_ref());
                schedules.retain(|schedule| schedule.enabled || !enabled);
                Told::Schedules(schedules)
            }
            ScheduleOp::GetSchedule(id) => one(self.get(*id)?.clone()),
            ScheduleOp::GetScheduleState(project) => {
                let overrides: Vec<_> = self.overrides.values().copied().collect();
                Told::State(ScheduleState::of(&self.of(project.as_ref()), &overrides, now))
            }
            ScheduleOp::ListOverrides(project) => self.overrides_of(project.as_ref()),
            ScheduleOp::GetActiveOverride(id, kind) => {
                self.get(*id)?;
                let said = self.said_to(*id).into_iter().filter(|over| over.expires_at > Some(now));
                let last = said.max_by_key(|over| (over.created_at, over.id));
                Told::Override(last.filter(|over| over.kind == Some(*kind)))
            }
            ScheduleOp::CreateSchedule(new) => self.create(new, now)?,
            ScheduleOp::UpdateSchedule(id, changes) => self.update(*id, changes)?,
            ScheduleOp::DeleteSchedule(id) => {
                let schedule = self.get(*id)?.clone();
                let overrides = self.said_to(*id).len();
                self.schedules.remove(id);
                self.overrides.retain(|_, over| over.schedule.get() != *id);
                self.floor = self.floor.max(*id);
                Told::Deleted(Box::new(DeletedSchedule { schedule, overrides }))
            }
            ScheduleOp::IncrementCrashCount(id) => Told::AfterCrash(self.crash(*id, now)?),
            ScheduleOp::ResetCrashCount(id) => {
                let schedule = self.get(*id)?.clone();
                self.schedules.insert(*id, Schedule { crash_count: 0, ..schedule.clone() });
                Told::Count(schedule.crash_count)
            }
            ScheduleOp::SetOverride(project, kind) => {
                let mut open = self.of(project.as_ref());
                open.sort_by_key(|schedule| schedule.id);
                let mut said = Vec::new();
                for schedule in open.into_iter().filter(|schedule| schedule.enabled) {
                    let window = schedule.window.and_then(|weekly| weekly.open_at(now));
                    let Some(window) = window else { continue };
                    self.overrides.retain(|_, over| over.schedule != schedule.id);
                    said.push(self.say(schedule.id, *kind, window.end, now));
                }
                Told::Overrides(said)
            }
            ScheduleOp::PurgeExpiredOverrides => {
                let over = |over: &ScheduleOverride| {
                    over.expires_at <= Some(now)
                        || !self.schedules.contains_key(&over.schedule.get())
                };
                let mut gone: Vec<_> =
                    self.overrides.values().filter(|one| over(one)).copied().collect();
                gone.sort_by_key(|over| (over.schedule, over.id));
                self.overrides.retain(|_, over| !gone.contains(over));
                Told::Overrides(gone)
            }
            ScheduleOp::Foreign(_) | ScheduleOp::Pass(_) => Told::Happened,
        })
    }

    fn overrides_of(&self, project: Option<&ProjectName>) -> Told {
        let known = |over: &&ScheduleOverride| match project {
            Some(name) => self
                .schedules
                .get(&over.schedule.get())
                .is_some_and(|schedule| schedule.project == name.as_str()),
            None => true,
        };
        let mut overrides: Vec<_> = self.overrides.values().filter(known).copied().collect();
        overrides.sort_by_key(|over| (over.schedule, over.id));
        Told::Overrides(overrides)
    }

    fn create(&mut self, new: &NewSchedule, now: Timestamp) -> Result<Told, &'static str> {
        if self.of(Some(&new.project)).len() >= 50 {
            return Err("too_many_schedules");
        }
        let mentioned = self.overrides.values().map(|over| over.schedule.get());
        let taken = self.schedules.keys().copied().chain(mentioned).chain([self.floor, 0]);
        let id = taken.max().unwrap_or(0).checked_add(1).ok_or("exhausted")?;
        let schedule = Schedule {
            id: id.into(),
            project: new.project.to_string(),
            window: Some(new.window),
            enabled: new.enabled,
            yolo_mode: new.yolo_mode,
            model: new.model.as_ref().map(|model| model.as_str().to_owned()),
            max_concurrency: new.max_concurrency,
            crash_count: 0,
            created_at: Some(now),
        };
        self.schedules.insert(id, schedule.clone());
        Ok(one(schedule))
    }

    fn update(&mut self, id: i64, changes: &ScheduleChanges) -> Result<Told, &'static str> {
        let mut schedule = self.get(id)?.clone();
        if let Some(window) = &mut schedule.window {
            window.start = changes.start.unwrap_or(window.start);
            window.duration = changes.duration.unwrap_or(window.duration);
            window.days = changes.days.unwrap_or(window.days);
        }
        schedule.enabled = changes.enabled.unwrap_or(schedule.enabled);
        schedule.yolo_mode = changes.yolo_mode.unwrap_or(schedule.yolo_mode);
        schedule.max_concurrency = changes.max_concurrency.unwrap_or(schedule.max_concurrency);
        match &changes.model {
            ModelChange::Keep => {}
            ModelChange::Clear => schedule.model = None,
            ModelChange::Set(model) => schedule.model = Some(model.as_str().to_owned()),
        }
        self.schedules.insert(id, schedule.clone());
        Ok(one(schedule))
    }

    fn crash(&mut self, id: i64, now: Timestamp) -> Result<AfterCrash, &'static str> {
        let schedule = self.get(id)?.clone();
        let verdict =
            ScheduleState::of(std::slice::from_ref(&schedule), &self.said_to(id), now).verdict;
        let crashes = schedule.crash_count + 1;
        Ok(match (verdict, restart_delay(crashes)) {
            (Verdict::NoSchedule, _) => AfterCrash::NotWanted(NotWanted::Disabled),
            (Verdict::NoWindow, _) => AfterCrash::NotWanted(NotWanted::NoWindow),
            (Verdict::StoppedByHand, _) => AfterCrash::NotWanted(NotWanted::StoppedByHand),
            (_, None) => AfterCrash::TooOften { crashes: schedule.crash_count },
            (_, Some(delay)) => {
                self.schedules.insert(id, Schedule { crash_count: crashes, ..schedule });
                AfterCrash::Restart { crashes, delay }
            }
        })
    }

    fn get(&self, id: i64) -> Result<&Schedule, &'static str> {
        self.schedules.get(&id).ok_or("no_such_schedule")
    }

    fn of(&self, project: Option<&ProjectName>) -> Vec<Schedule> {
        let named = |one: &&Schedule| project.is_none_or(|name| one.project == name.as_str());
        let mut schedules: Vec<_> = self.schedules.values().filter(named).cloned().collect();
        schedules.sort_by_key(|one| (one.window.map(|window| window.start), one.id));
        schedules
    }

    fn said_to(&self, id: i64) -> Vec<ScheduleOverride> {
        self.overrides.values().filter(|over| over.schedule.get() == id).copied().collect()
    }

    /// SQLite gives a new row the number above the highest.
    fn say(
        &mut self,
        schedule: ScheduleId,
        kind: OverrideKind,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> ScheduleOverride {
        let id = self.overrides.keys().max().unwrap_or(&0) + 1;
        let said = ScheduleOverride {
            id: id.into(),
            schedule,
            kind: Some(kind),
            expires_at: Some(expires_at),
            created_at: Some(now),
        };
        self.overrides.insert(id, said);
        said
    }
}

/// Compares everything that can be read.
///
/// # Errors
/// Names the first reading on which the two differ, and what each says.
pub fn compare_schedules(
    model: &mut ScheduleModel,
    store: &Store,
    world: &mut World,
) -> Result<(), String> {
    for op in [
        ScheduleOp::ListSchedules(ListFilter { project: None, enabled: false }),
        ScheduleOp::ListOverrides(None),
        ScheduleOp::GetScheduleState(None),
    ] {
        let (expected, found) = (model.apply(&op, world), op.apply_to(store, world));
        if expected != found {
            return Err(format!("{op:?}\nthe model says {expected:#?}\nthe store says {found:#?}"));
        }
    }
    Ok(())
}

/// Up to `max` commands and what happens between them. Numbers are small: most name a schedule that is
/// there. Windows are long, so that many are open.
pub fn schedule_ops(max: usize) -> impl Strategy<Value = Vec<ScheduleOp>> {
    vec(schedule_op(), 1..max.max(2))
}

fn schedule_op() -> BoxedStrategy<ScheduleOp> {
    let id = || prop_oneof![12 => 1..=5_i64, 1 => select(vec![0, -1, 40, i64::MAX])];
    let read = prop_oneof![
        (project(), any::<bool>()).prop_map(|(project, enabled)| {
            ScheduleOp::ListSchedules(ListFilter { project, enabled })
        }),
        id().prop_map(ScheduleOp::GetSchedule),
        project().prop_map(ScheduleOp::GetScheduleState),
        project().prop_map(ScheduleOp::ListOverrides),
        (id(), kind()).prop_map(|(id, kind)| ScheduleOp::GetActiveOverride(id, kind)),
    ];
    let write = prop_oneof![
        4 => new_schedule().prop_map(ScheduleOp::CreateSchedule),
        3 => (id(), changes()).prop_map(|(id, changes)| ScheduleOp::UpdateSchedule(id, changes)),
        2 => id().prop_map(ScheduleOp::DeleteSchedule),
        4 => id().prop_map(ScheduleOp::IncrementCrashCount),
        1 => id().prop_map(ScheduleOp::ResetCrashCount),
        4 => (project(), kind()).prop_map(|(project, kind)| ScheduleOp::SetOverride(project, kind)),
        1 => Just(ScheduleOp::PurgeExpiredOverrides),
    ];
    // An override of the highest number there is leaves no number for a schedule.
    let said = (1..=7_i64, kind(), -100..2000_i64)
        .prop_map(|(id, kind, minutes)| ForeignWrite::Say(id, kind, minutes));
    let foreign = prop_oneof![id().prop_map(ForeignWrite::Delete), said];
    prop_oneof![
        3 => read,
        8 => write,
        1 => foreign.prop_map(ScheduleOp::Foreign),
        2 => (1..3000_u32).prop_map(ScheduleOp::Pass),
    ]
    .boxed()
}

fn project() -> impl Strategy<Value = Option<ProjectName>> {
    prop_oneof![3 => Just(None), 2 => name().prop_map(Some)]
}

fn name() -> impl Strategy<Value = ProjectName> {
    select(vec!["shop", "shop", "shop", "other"])
        .prop_filter_map("a name", |name| ProjectName::new(name).ok())
}

fn kind() -> impl Strategy<Value = OverrideKind> {
    select(vec![OverrideKind::Start, OverrideKind::Stop])
}

fn start() -> impl Strategy<Value = TimeOfDay> {
    (0..24_u16, 0..60_u16).prop_filter_map("a time", |(hour, minute)| TimeOfDay::new(hour, minute))
}

fn duration() -> impl Strategy<Value = WindowMinutes> {
    prop_oneof![1..=1440_i64, 720..=1440_i64]
        .prop_filter_map("a duration", |minutes| WindowMinutes::new(minutes).ok())
}

fn days() -> impl Strategy<Value = Weekdays> {
    prop_oneof![Just(127), 0..128_i64].prop_filter_map("days", |bits| Weekdays::new(bits).ok())
}

fn agents() -> impl Strategy<Value = Concurrency> {
    (1..=5_i64).prop_filter_map("a number", |agents| Concurrency::new(agents).ok())
}

fn model() -> impl Strategy<Value = crate::ModelName> {
    select(vec!["opus", "é 😀", "'; --"])
        .prop_filter_map("a model", |name| crate::ModelName::new(name).ok())
}

fn new_schedule() -> BoxedStrategy<NewSchedule> {
    let settings = (prop::bool::weighted(0.85), any::<bool>(), prop::option::of(model()), agents());
    (name(), start(), duration(), days(), settings)
        .prop_map(|(project, start, duration, days, settings)| {
            let (enabled, yolo_mode, model, max_concurrency) = settings;
            let window = crate::WeeklyWindow { start, duration, days };
            NewSchedule { project, window, enabled, yolo_mode, model, max_concurrency }
        })
        .boxed()
}

fn changes() -> BoxedStrategy<ScheduleChanges> {
    let model = prop_oneof![
        2 => Just(ModelChange::Keep),
        1 => Just(ModelChange::Clear),
        1 => model().prop_map(ModelChange::Set),
    ];
    (
        prop::option::weighted(0.3, start()),
        prop::option::weighted(0.3, duration()),
        prop::option::weighted(0.3, days()),
        prop::option::weighted(0.3, prop::bool::weighted(0.7)),
        prop::option::weighted(0.3, any::<bool>()),
        model,
        prop::option::weighted(0.3, agents()),
    )
        .prop_map(|(start, duration, days, enabled, yolo_mode, model, max_concurrency)| {
            ScheduleChanges { start, duration, days, enabled, yolo_mode, model, max_concurrency }
        })
        .boxed()
}
