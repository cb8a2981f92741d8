//! What humans say to schedules, as it is stored, replaced, and over.

use autoforge_store::{
    DeleteSchedule, GetActiveOverride, GetScheduleState, ListOverrides, OverrideKind,
    PurgeExpiredOverrides, ScheduleId, ScheduleOverride, ScheduleState, SetOverride, Store,
    Verdict,
};

use super::{at, create, delete_alone, when};
use crate::support::{Project, texts};

const ROWS: &str =
    "SELECT schedule_id || ' ' || override_type || ' ' || expires_at || ' ' || created_at
    FROM schedule_overrides ORDER BY schedule_id, id";

fn say(store: &Store, moment: &str, kind: OverrideKind) -> Vec<ScheduleOverride> {
    store.call(when(moment, SetOverride { project: None, kind })).unwrap()
}

fn state(store: &Store, moment: &str) -> ScheduleState {
    store.call(GetScheduleState { project: None, at: Some(at(moment)) }).unwrap()
}

fn counts(store: &Store, moment: &str, schedule: ScheduleId, kind: OverrideKind) -> bool {
    store.call(when(moment, GetActiveOverride { schedule, kind })).unwrap().is_some()
}

#[test]
fn an_override_is_said_to_every_open_window_and_ends_with_it() {
    let project = Project::new();
    let store = project.open();
    create(&store, "22:30", 480, "mon");
    create(&store, "00:15", 60, "tue");
    create(&store, "02:00", 60, "daily");
    // Tuesday, and the window of Monday is still open.
    let said = say(&store, "2026-02-03 01:00:00.000007", OverrideKind::Stop);
    assert_eq!(
        texts(&project.foreign(), ROWS),
        [
            "1 stop 2026-02-03 06:30:00.000000 2026-02-03 01:00:00.000007",
            "2 stop 2026-02-03 01:15:00.000000 2026-02-03 01:00:00.000007",
        ]
    );
    assert_eq!(said, store.call(ListOverrides::default()).unwrap());
    assert_eq!(state(&store, "2026-02-03 01:01").verdict, Verdict::StoppedByHand);
    // The third window opens as if nothing had been said.
    assert_eq!(state(&store, "2026-02-03 01:01").changes_at, Some(at("2026-02-03 02:00")));
    assert_eq!(state(&store, "2026-02-03 02:30").verdict, Verdict::Window(3.into()));
    assert_eq!(state(&store, "2026-02-03 03:00").verdict, Verdict::StoppedByHand);
}

#[test]
fn nothing_is_said_where_no_window_is_open() {
    let project = Project::new();
    let store = project.open();
    create(&store, "09:00", 240, "daily");
    assert_eq!(say(&store, "2026-02-03 13:00", OverrideKind::Stop), []);
    assert_eq!(store.call(ListOverrides::default()).unwrap(), []);
}

#[test]
fn what_a_human_says_replaces_what_was_said_before_of_either_kind() {
    let project = Project::new();
    let store = project.open();
    let id = create(&store, "09:00", 240, "daily");
    for (minute, kind, other) in [
        (1, OverrideKind::Stop, OverrideKind::Start),
        (2, OverrideKind::Start, OverrideKind::Stop),
        (3, OverrideKind::Stop, OverrideKind::Start),
        (4, OverrideKind::Stop, OverrideKind::Start),
    ] {
        let moment = format!("2026-02-03 10:0{minute}");
        say(&store, &moment, kind);
        assert_eq!(texts(&project.foreign(), ROWS).len(), 1);
        assert!(counts(&store, &moment, id, kind) && !counts(&store, &moment, id, other));
        let runs = state(&store, &moment).verdict.runs();
        assert_eq!(runs, kind == OverrideKind::Start, "{moment}");
    }
}

#[test]
fn a_stop_by_hand_holds_until_the_window_is_over_and_the_next_one_opens() {
    let project = Project::new();
    let store = project.open();
    let id = create(&store, "09:00", 1440, "daily");
    say(&store, "2026-02-03 10:00", OverrideKind::Stop);
    for moment in ["2026-02-03 10:00", "2026-02-03 23:59", "2026-02-04 08:59:59.999999"] {
        let state = state(&store, moment);
        assert_eq!(state.verdict, Verdict::StoppedByHand, "{moment}");
        assert_eq!(state.changes_at, Some(at("2026-02-04 09:00")));
        assert!(counts(&store, moment, id, OverrideKind::Stop));
    }
    assert_eq!(state(&store, "2026-02-04 09:00").verdict, Verdict::Window(id));
    assert!(!counts(&store, "2026-02-04 09:00", id, OverrideKind::Stop), "it is over at its end");
}

#[test]
fn a_start_by_hand_outlives_a_window_that_was_cut_short() {
    let project = Project::new();
    let store = project.open();
    let id = create(&store, "09:00", 240, "daily");
    say(&store, "2026-02-03 10:00", OverrideKind::Start);
    let cut = "UPDATE schedules SET duration_minutes = 90";
    project.foreign().execute(cut, []).unwrap();
    assert_eq!(state(&store, "2026-02-03 10:29").verdict, Verdict::Window(id));
    let state = state(&store, "2026-02-03 10:30");
    assert_eq!(state.verdict, Verdict::StartedByHand(id));
    assert_eq!(state.changes_at, Some(at("2026-02-03 13:00")));
}

#[test]
fn of_two_overrides_that_another_program_left_the_newer_one_counts() {
    for (stop, start, expected) in [("10:02", "10:01", false), ("10:01", "10:02", true)] {
        let project = Project::new();
        let store = project.open();
        let id = create(&store, "09:00", 240, "daily");
        let sql = format!(
            "INSERT INTO schedule_overrides (schedule_id, override_type, expires_at, created_at)
             VALUES ({id}, 'stop', '2026-02-03 13:00:00.000000', '2026-02-03 {stop}:00.000000'),
                    ({id}, 'start', '2026-02-03 13:00:00.000000', '2026-02-03 {start}:00.000000')"
        );
        project.foreign().execute_batch(&sql).unwrap();
        assert_eq!(state(&store, "2026-02-03 10:30").verdict.runs(), expected);
        assert_eq!(counts(&store, "2026-02-03 10:30", id, OverrideKind::Start), expected);
        assert_eq!(counts(&store, "2026-02-03 10:30", id, OverrideKind::Stop), !expected);
    }
}

#[test]
fn a_disabled_schedule_says_nothing_whatever_was_said_to_it() {
    let project = Project::new();
    let store = project.open();
    create(&store, "09:00", 240, "daily");
    say(&store, "2026-02-03 10:00", OverrideKind::Start);
    project.foreign().execute("UPDATE schedules SET enabled = 0", []).unwrap();
    assert_eq!(state(&store, "2026-02-03 10:30").verdict, Verdict::NoSchedule);
    assert_eq!(say(&store, "2026-02-03 10:30", OverrideKind::Stop), []);
}

#[test]
fn what_is_over_can_be_purged_and_what_counts_stays() {
    let project = Project::new();
    let store = project.open();
    create(&store, "09:00", 240, "daily");
    create(&store, "09:00", 60, "daily");
    let gone = create(&store, "09:00", 300, "daily");
    say(&store, "2026-02-03 09:30", OverrideKind::Stop);
    delete_alone(&project, gone);
    let purged = store.call(when("2026-02-03 10:00", PurgeExpiredOverrides)).unwrap();
    let schedules: Vec<i64> = purged.iter().map(|over| over.schedule.get()).collect();
    assert_eq!(schedules, [2, 3], "over at its end, and of a schedule that is gone");
    let kept = store.call(ListOverrides::default()).unwrap();
    assert_eq!(kept.iter().map(|over| over.schedule.get()).collect::<Vec<_>>(), [1]);
    assert_eq!(store.call(when("2026-02-03 10:00", PurgeExpiredOverrides)).unwrap(), []);
}

#[test]
fn overrides_of_a_project_are_told_from_those_of_others() {
    let project = Project::new();
    let store = project.open();
    create(&store, "00:00", 1440, "daily");
    let other = autoforge_store::NewSchedule {
        project: "other".parse().unwrap(),
        ..super::new("00:00", 1440, "daily")
    };
    let other = store.call(autoforge_store::CreateSchedule(other)).unwrap().id;
    let name = || Some("other".parse().unwrap());
    let said = store.call(SetOverride { project: name(), kind: OverrideKind::Stop }).unwrap();
    assert_eq!(said.iter().map(|over| over.schedule).collect::<Vec<_>>(), [other]);
    say(&store, "2026-02-03 10:00", OverrideKind::Start);
    assert_eq!(store.call(ListOverrides { project: name() }).unwrap().len(), 1);
    assert_eq!(store.call(ListOverrides::default()).unwrap().len(), 2);
    store.call(DeleteSchedule { id: other }).unwrap();
    assert_eq!(store.call(ListOverrides { project: name() }).unwrap(), []);
}
