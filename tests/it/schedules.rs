//! Schedules in the file: what AutoForge's programs read and write of them, and what went wrong there.

mod odd;
mod overrides;

use autoforge_store::{
    AfterCrash, Circumstances, Command, Concurrency, CreateSchedule, DeleteSchedule, Error,
    GetSchedule, GetScheduleState, IncrementCrashCount, ListSchedules, ModelChange, Moment,
    NewSchedule, NotWanted, OverrideKind, ResetCrashCount, Schedule, ScheduleChanges, ScheduleId,
    ScheduleRefusal, SetOverride, Signed, Store, Timestamp, UpdateSchedule, Verdict, Weekdays,
    WindowMinutes,
};
use std::time::Duration;

use crate::support::{Project, number, text, texts, together};

/// All columns of a schedule as they are stored.
const ROW: &str = "SELECT group_concat(quote(value), ' ') FROM (
    SELECT id AS value FROM schedules WHERE id = ?1
    UNION ALL SELECT project_name FROM schedules WHERE id = ?1
    UNION ALL SELECT start_time FROM schedules WHERE id = ?1
    UNION ALL SELECT duration_minutes FROM schedules WHERE id = ?1
    UNION ALL SELECT days_of_week FROM schedules WHERE id = ?1
    UNION ALL SELECT enabled FROM schedules WHERE id = ?1
    UNION ALL SELECT yolo_mode FROM schedules WHERE id = ?1
    UNION ALL SELECT model FROM schedules WHERE id = ?1
    UNION ALL SELECT max_concurrency FROM schedules WHERE id = ?1
    UNION ALL SELECT crash_count FROM schedules WHERE id = ?1
    UNION ALL SELECT created_at FROM schedules WHERE id = ?1)";

pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::from_text(text).unwrap()
}

/// The command as it is carried out at that moment.
pub(super) fn when<C: Command>(moment: &str, command: C) -> Signed<C> {
    let moment = Moment { wall: at(moment), uptime: None };
    command.because("of the time").in_circumstances(Circumstances::told(moment, []))
}

pub(super) fn new(start: &str, minutes: i64, days: &str) -> NewSchedule {
    let minutes = WindowMinutes::new(minutes).unwrap();
    let mut new = NewSchedule::new("shop".parse().unwrap(), start.parse().unwrap(), minutes);
    new.window.days = days.parse().unwrap();
    new
}

pub(super) fn create(store: &Store, start: &str, minutes: i64, days: &str) -> ScheduleId {
    store.call(CreateSchedule(new(start, minutes, days))).unwrap().id
}

/// As a program does that knows nothing of overrides, and runs without foreign keys as AutoForge's do.
pub(super) fn delete_alone(project: &Project, id: ScheduleId) {
    let sql = format!("PRAGMA foreign_keys = OFF; DELETE FROM schedules WHERE id = {id}");
    project.foreign().execute_batch(&sql).unwrap();
}

fn ids(store: &Store, list: ListSchedules) -> Vec<i64> {
    store.call(list).unwrap().iter().map(|schedule| schedule.id.get()).collect()
}

fn row(project: &Project, id: i64) -> String {
    project.foreign().query_row(ROW, [id], |row| row.get(0)).unwrap()
}

#[test]
fn a_schedule_is_stored_as_the_old_programs_store_it() {
    let project = Project::new();
    let store = project.open();
    let full = NewSchedule {
        model: Some("claude-opus-4-5".parse().unwrap()),
        enabled: false,
        yolo_mode: true,
        ..new("22:30", 480, "mon-fri")
    };
    let made = store.call(when("2026-02-03 10:00:00.000001", CreateSchedule(full))).unwrap();
    assert_eq!(
        row(&project, 1),
        "1 'shop' '22:30' 480 31 0 1 'claude-opus-4-5' 3 0 '2026-02-03 10:00:00.000001'"
    );
    assert_eq!(made.created_at, Some(at("2026-02-03 10:00:00.000001")));
    store.call(when("2026-02-03 10:00", CreateSchedule(new("09:00", 240, "daily")))).unwrap();
    assert_eq!(
        row(&project, 2),
        "2 'shop' '09:00' 240 127 1 0 NULL 3 0 '2026-02-03 10:00:00.000000'"
    );
}

#[test]
fn the_concurrency_of_a_request_is_kept() {
    let project = Project::new();
    let store = project.open();
    for agents in 1..=5 {
        let max_concurrency = Concurrency::new(agents).unwrap();
        let made = CreateSchedule(NewSchedule { max_concurrency, ..new("09:00", 60, "daily") });
        let made = store.call(made).unwrap();
        assert_eq!(made.max_concurrency, max_concurrency);
        let sql = format!("SELECT max_concurrency FROM schedules WHERE id = {}", made.id);
        assert_eq!(number(&project.foreign(), &sql), agents);
    }
}

#[test]
fn schedules_are_listed_by_their_start_and_those_of_a_project_apart() {
    let project = Project::new();
    let store = project.open();
    for start in ["22:30", "09:00", "00:00", "09:00"] {
        create(&store, start, 60, "daily");
    }
    let other = NewSchedule { project: "other".parse().unwrap(), ..new("08:00", 60, "daily") };
    store.call(CreateSchedule(NewSchedule { enabled: false, ..other })).unwrap();
    assert_eq!(ids(&store, ListSchedules::default()), [3, 5, 2, 4, 1]);
    let of = |name: &str| Some(name.parse().unwrap());
    assert_eq!(ids(&store, ListSchedules { project: of("shop"), enabled: true }), [3, 2, 4, 1]);
    assert_eq!(ids(&store, ListSchedules { project: of("other"), enabled: false }), [5]);
    assert!(ids(&store, ListSchedules { project: of("other"), enabled: true }).is_empty());
    let state = store.call(GetScheduleState { project: of("other"), at: None }).unwrap();
    assert_eq!(state.verdict, Verdict::NoSchedule);
}

#[test]
fn a_project_gets_no_more_than_fifty_schedules_however_many_are_made_at_once() {
    let project = Project::new();
    let store = project.open();
    for _ in 0..47 {
        create(&store, "09:00", 60, "daily");
    }
    let made = together(8, |_| store.clone().call(CreateSchedule(new("10:00", 60, "daily"))));
    let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (3, 5));
    for refusal in refused {
        let expected =
            ScheduleRefusal::TooMany { project: "shop".parse().unwrap(), count: 50, max: 50 };
        assert_eq!(refusal.unwrap_err(), Error::Refused(expected));
    }
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM schedules"), 50);
    let other = NewSchedule { project: "other".parse().unwrap(), ..new("09:00", 60, "daily") };
    assert!(store.call(CreateSchedule(other)).is_ok());
}

#[test]
fn an_update_changes_what_it_names_and_only_the_model_can_be_taken_away() {
    let project = Project::new();
    let store = project.open();
    let full = NewSchedule {
        model: Some("opus".parse().unwrap()),
        max_concurrency: Concurrency::new(5).unwrap(),
        ..new("09:00", 240, "mon-fri")
    };
    let made = store.call(CreateSchedule(full)).unwrap();
    let id = made.id;
    let update = |changes| store.call(UpdateSchedule { id, changes }).unwrap();
    assert_eq!(update(ScheduleChanges::default()), made);

    let days = Some(Weekdays::NONE);
    let weekly = made.window.unwrap();
    let expected = Schedule {
        window: Some(autoforge_store::WeeklyWindow { days: Weekdays::NONE, ..weekly }),
        ..made.clone()
    };
    assert_eq!(update(ScheduleChanges { days, ..ScheduleChanges::default() }), expected);

    let cleared = ScheduleChanges { model: ModelChange::Clear, ..ScheduleChanges::default() };
    assert_eq!(update(cleared).model, None);
    let set = ModelChange::Set("sonnet".parse().unwrap());
    let all = ScheduleChanges {
        start: Some("23:59".parse().unwrap()),
        duration: Some(WindowMinutes::new(1440).unwrap()),
        days: Some(Weekdays::ALL),
        enabled: Some(false),
        yolo_mode: Some(true),
        model: set,
        max_concurrency: Some(Concurrency::new(1).unwrap()),
    };
    let after = update(all);
    assert_eq!(after.model.as_deref(), Some("sonnet"));
    assert_eq!((after.crash_count, after.created_at), (0, made.created_at));
    let row = row(&project, 1);
    assert!(row.starts_with("1 'shop' '23:59' 1440 127 0 1 'sonnet' 1 0 '"), "{row}");
    assert_eq!(store.call(GetSchedule { id }).unwrap(), after);
}

#[test]
fn a_schedule_that_does_not_exist_is_refused_by_every_command() {
    let project = Project::new();
    let store = project.open();
    let id = ScheduleId::from(7);
    let refusals = [
        store.call(GetSchedule { id }).unwrap_err(),
        store.call(UpdateSchedule { id, changes: ScheduleChanges::default() }).unwrap_err(),
        store.call(DeleteSchedule { id }).unwrap_err(),
        store.call(ResetCrashCount { id }).unwrap_err(),
        store.call(IncrementCrashCount { id }).unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal, Error::Refused(ScheduleRefusal::NotFound { id }));
        assert_eq!((refusal.code(), refusal.retryable()), ("no_such_schedule", false));
    }
}

#[test]
fn a_deleted_schedule_takes_its_overrides_along_and_its_number_is_not_given_out_again() {
    let project = Project::new();
    let store = project.open();
    let kept = create(&store, "00:00", 1440, "daily");
    let gone = create(&store, "09:00", 240, "daily");
    store
        .call(when("2026-02-03 10:00", SetOverride { project: None, kind: OverrideKind::Stop }))
        .unwrap();
    let deleted = store.call(DeleteSchedule { id: gone }).unwrap();
    assert_eq!((deleted.schedule.id, deleted.overrides), (gone, 1));
    let left =
        texts(&project.foreign(), "SELECT CAST(schedule_id AS TEXT) FROM schedule_overrides");
    assert_eq!(left, [kept.to_string()]);
    let next = create(&store, "09:00", 240, "daily");
    assert_eq!(next.get(), 3, "whoever has 2 in mind means the one that is gone");
    store.call(DeleteSchedule { id: next }).unwrap();
    store.close();
    assert_eq!(create(&project.open(), "09:00", 240, "daily").get(), 4);
}

#[test]
fn a_new_schedule_does_not_get_what_another_program_left_of_a_deleted_one() {
    let project = Project::new();
    let store = project.open();
    create(&store, "09:00", 240, "daily");
    let last = create(&store, "09:00", 240, "daily");
    let stop = SetOverride { project: None, kind: OverrideKind::Stop };
    store.call(when("2026-02-03 10:00", stop)).unwrap();
    delete_alone(&project, last);
    let new = create(&store, "09:00", 240, "daily");
    assert_ne!(new, last);
    let moment = at("2026-02-03 10:01");
    let state = store.call(GetScheduleState { project: None, at: Some(moment) }).unwrap();
    assert_eq!(state.verdict, Verdict::Window(new));
}

#[test]
fn crashes_are_counted_three_times_in_a_window_and_nobody_waits_in_a_transaction() {
    let project = Project::new();
    let store = project.open();
    let id = create(&store, "09:00", 240, "daily");
    let crash = || store.call(when("2026-02-03 10:00", IncrementCrashCount { id })).unwrap();
    for (crashes, seconds) in [(1, 10), (2, 30), (3, 90)] {
        let delay = Duration::from_secs(seconds);
        assert_eq!(crash(), AfterCrash::Restart { crashes, delay });
        // Others can write while whoever asked waits.
        let other = project.foreign();
        other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
        assert_eq!(number(&other, "SELECT crash_count FROM schedules"), i64::from(crashes));
    }
    assert_eq!(crash(), AfterCrash::TooOften { crashes: 3 });
    assert_eq!(store.call(GetSchedule { id }).unwrap().crash_count, 3);
    assert_eq!(store.call(ResetCrashCount { id }).unwrap(), 3);
    assert_eq!(store.call(ResetCrashCount { id }).unwrap(), 0);
    assert!(matches!(crash(), AfterCrash::Restart { crashes: 1, .. }));
}

#[test]
fn nothing_is_started_again_that_a_schedule_does_not_want() {
    let project = Project::new();
    let store = project.open();
    let id = create(&store, "09:00", 240, "mon-fri");
    let crash = |moment| store.call(when(moment, IncrementCrashCount { id })).unwrap();
    let refused = AfterCrash::NotWanted;
    assert_eq!(crash("2026-02-03 13:00"), refused(NotWanted::NoWindow));
    assert_eq!(crash("2026-02-07 10:00"), refused(NotWanted::NoWindow), "a Saturday");
    let stop = SetOverride { project: None, kind: OverrideKind::Stop };
    store.call(when("2026-02-03 10:00", stop)).unwrap();
    assert_eq!(crash("2026-02-03 10:01"), refused(NotWanted::StoppedByHand));
    let changes = ScheduleChanges { enabled: Some(false), ..ScheduleChanges::default() };
    store.call(UpdateSchedule { id, changes }).unwrap();
    assert_eq!(crash("2026-02-04 10:00"), refused(NotWanted::Disabled));
    assert_eq!(text(&project.foreign(), "SELECT typeof(crash_count) FROM schedules"), "integer");
    assert_eq!(store.call(GetSchedule { id }).unwrap().crash_count, 0);
}

#[test]
fn of_crashes_that_are_counted_at_once_none_is_lost() {
    let project = Project::new();
    let store = project.open();
    let id = create(&store, "00:00", 1440, "daily");
    let told = together(8, |_| store.clone().call(IncrementCrashCount { id }).unwrap());
    let mut counted: Vec<u32> = told
        .iter()
        .filter_map(|after| match after {
            AfterCrash::Restart { crashes, .. } => Some(*crashes),
            _ => None,
        })
        .collect();
    counted.sort_unstable();
    assert_eq!(counted, [1, 2, 3], "{told:?}");
}
