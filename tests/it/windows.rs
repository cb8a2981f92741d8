//! When schedules want agents to run, against counting minutes: a calendar that is filled minute by
//! minute, with the days of another library, says the same.

use autoforge_store::{
    Concurrency, OverrideKind, Schedule, ScheduleId, ScheduleOverride, ScheduleState, TimeOfDay,
    Timestamp, Verdict, Weekdays, WeeklyWindow, Window, WindowMinutes,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const DAY: usize = 1440;
/// What is looked at: two weeks.
const LOOKED_AT: usize = 14 * DAY;
/// What is known: a day before, since windows last into the next day, and eight days behind.
const BEFORE: usize = DAY;
const KNOWN: usize = BEFORE + LOOKED_AT + 8 * DAY + 1;

/// Two weeks and what is around them, in minutes.
struct Calendar {
    /// Midnight of the first of the two weeks' days.
    first: Timestamp,
    /// For each minute, the window that is open.
    open: Vec<Option<(usize, usize)>>,
    /// For each minute, the first later one in which a window opens.
    next: Vec<Option<usize>>,
}

fn later(moment: Timestamp, minutes: i64) -> Timestamp {
    Timestamp::from_microseconds(moment.to_microseconds() + minutes * 60_000_000).unwrap()
}

impl Calendar {
    fn of(weekly: WeeklyWindow, first: Date) -> Self {
        let midnight = TimeZone::UTC.to_timestamp(first.at(0, 0, 0, 0)).unwrap();
        let (mut open, mut opens) = (vec![None; KNOWN], vec![false; KNOWN]);
        let length = usize::try_from(weekly.duration.get()).unwrap();
        let mut date = first.yesterday().unwrap();
        for (minute, opens) in opens.iter_mut().enumerate() {
            let (hour, of_hour) = (minute % DAY / 60, minute % 60);
            if minute > 0 && (hour, of_hour) == (0, 0) {
                date = date.tomorrow().unwrap();
            }
            let bit = 1 << date.weekday().to_monday_zero_offset();
            let start = (usize::from(weekly.start.hour()), usize::from(weekly.start.minute()));
            if weekly.days.bits() & bit != 0 && (hour, of_hour) == start {
                *opens = true;
                for open in open.iter_mut().skip(minute).take(length) {
                    *open = Some((minute, minute + length));
                }
            }
        }
        let (mut next, mut coming) = (vec![None; KNOWN], None);
        for minute in (0..KNOWN).rev() {
            next[minute] = coming;
            coming = if opens[minute] { Some(minute) } else { coming };
        }
        let first = Timestamp::from_microseconds(midnight.as_microsecond()).unwrap();
        Self { first, open, next }
    }

    fn moment(&self, minute: usize) -> Timestamp {
        let minutes = |number: usize| i64::try_from(number).unwrap();
        later(self.first, minutes(minute) - minutes(BEFORE))
    }

    fn open_at(&self, minute: usize) -> Option<Window> {
        let (start, end) = self.open[minute]?;
        Some(Window { start: self.moment(start), end: self.moment(end) })
    }

    fn next_after(&self, minute: usize) -> Option<Timestamp> {
        self.next[minute].map(|minute| self.moment(minute))
    }

    /// Compares the arithmetic with the calendar at a minute, and within it.
    fn check(&self, weekly: WeeklyWindow, minute: usize) -> Result<(), TestCaseError> {
        let (open, next) = (self.open_at(minute), self.next_after(minute));
        for within in [0, 1, 59_999_999] {
            let moment = self.moment(minute).to_microseconds() + within;
            let moment = Timestamp::from_microseconds(moment).unwrap();
            prop_assert_eq!(weekly.open_at(moment), open, "{:?} at {}", weekly, moment);
            let found = weekly.next_after(moment).map(|window| window.start);
            prop_assert_eq!(found, next, "{:?} after {}", weekly, moment);
        }
        Ok(())
    }
}

fn weekly(start: &str, minutes: i64, days: i64) -> WeeklyWindow {
    WeeklyWindow {
        start: start.parse().unwrap(),
        duration: WindowMinutes::new(minutes).unwrap(),
        days: Weekdays::new(days).unwrap(),
    }
}

/// Mostly any day, and days before which or after which something is special.
fn first_day() -> impl Strategy<Value = Date> {
    let any = (1960..2100_i16, 1..=12_i8, 1..=28_i8)
        .prop_map(|(year, month, day)| Date::new(year, month, day).unwrap());
    let special = select(vec![
        (2025, 12, 25), // a year's end
        (2024, 2, 20),  // a day that only some years have
        (2026, 2, 20),  // the same without it
        (1969, 12, 25), // before the clock's zero
        (2000, 2, 24),
        (2026, 3, 22), // Europe changes to summer time, UTC does not
    ]);
    prop_oneof![any, special.prop_map(|(year, month, day)| Date::new(year, month, day).unwrap())]
}

fn minutes() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 1..=1440_i64, 1 => select(vec![1, 2, 60, 1439, 1440])]
}

fn any_weekly() -> impl Strategy<Value = WeeklyWindow> {
    let hour = prop_oneof![3 => 0..24_u16, 1 => select(vec![0_u16, 23])];
    let minute = prop_oneof![3 => 0..60_u16, 1 => select(vec![0_u16, 59])];
    let days = prop_oneof![4 => 0..128_i64, 1 => select(vec![0, 1, 64, 65, 127])];
    (hour, minute, minutes(), days).prop_map(|(hour, minute, minutes, days)| WeeklyWindow {
        start: TimeOfDay::new(hour, minute).unwrap(),
        duration: WindowMinutes::new(minutes).unwrap(),
        days: Weekdays::new(days).unwrap(),
    })
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn windows_are_those_of_the_calendar_in_every_minute_of_two_weeks(
        weekly in any_weekly(),
        first in first_day(),
    ) {
        let calendar = Calendar::of(weekly, first);
        for minute in BEFORE..BEFORE + LOOKED_AT {
            calendar.check(weekly, minute)?;
        }
    }
}

#[test]
fn every_set_of_days_has_the_windows_of_the_calendar_around_the_weeks_end() {
    let sunday = Date::new(2026, 2, 8).unwrap();
    for days in 0..128 {
        for (start, minutes) in [("22:30", 480), ("00:00", 1440), ("23:59", 1440), ("09:00", 1)] {
            let weekly = weekly(start, minutes, days);
            let calendar = Calendar::of(weekly, sunday);
            // Around each half hour, where all these open and end.
            let near = |minute: &usize| (minute + 1) % 30 <= 2;
            for minute in (BEFORE..BEFORE + 9 * DAY).filter(near) {
                calendar.check(weekly, minute).unwrap();
            }
        }
    }
}

#[test]
fn a_set_without_days_never_opens() {
    let never = weekly("00:00", 1440, 0);
    for day in 0..14 {
        let moment = later(Timestamp::from_microseconds(0).unwrap(), day * 1440);
        assert_eq!((never.open_at(moment), never.next_after(moment)), (None, None));
    }
    let state = ScheduleState::of(&[schedule(1, never)], &[], Timestamp::now());
    assert_eq!(
        (state.verdict, state.changes_at, state.next_start),
        (Verdict::NoWindow, None, None)
    );
}

fn schedule(id: i64, weekly: WeeklyWindow) -> Schedule {
    Schedule {
        id: id.into(),
        project: "shop".to_owned(),
        window: Some(weekly),
        enabled: true,
        yolo_mode: false,
        model: None,
        max_concurrency: Concurrency::default(),
        crash_count: 0,
        created_at: None,
    }
}

/// Several schedules and what was said to them, in a calendar each.
struct Plan {
    schedules: Vec<Schedule>,
    calendars: Vec<Calendar>,
    overrides: Vec<ScheduleOverride>,
}

impl Plan {
    /// `(schedule, kind, minute of expiry)` for each override, the later ones newer.
    fn of(
        windows: &[(WeeklyWindow, bool)],
        first: Date,
        said: &[(usize, OverrideKind, usize)],
    ) -> Self {
        let one = |(number, (weekly, enabled)): (i64, &(WeeklyWindow, bool))| Schedule {
            enabled: *enabled,
            ..schedule(number, *weekly)
        };
        let schedules: Vec<_> = (1..).zip(windows).map(one).collect();
        let calendars: Vec<_> = windows.iter().map(|(one, _)| Calendar::of(*one, first)).collect();
        let said = said.iter().zip(1..).map(|((at, kind, expiry), number)| ScheduleOverride {
            id: (100 - number).into(),
            schedule: schedules[at % schedules.len()].id,
            kind: Some(*kind),
            expires_at: Some(calendars[0].moment(*expiry)),
            created_at: Timestamp::from_microseconds(number),
        });
        Self { overrides: said.collect(), schedules, calendars }
    }

    /// What was said last to a schedule of what has not expired.
    fn said(&self, id: ScheduleId, minute: usize) -> Option<(OverrideKind, Timestamp)> {
        let now = self.calendars[0].moment(minute);
        let said = self.overrides.iter().rev().find(|over| {
            over.schedule == id && over.expires_at.is_some_and(|expiry| now < expiry)
        })?;
        said.kind.zip(said.expires_at)
    }

    /// The schedules that want agents to run in a minute, whether a window of theirs is open, and until
    /// when that wish holds.
    fn wishes(&self, minute: usize) -> Vec<(bool, Timestamp, ScheduleId)> {
        let mut wishes = Vec::new();
        for (schedule, calendar) in self.schedules.iter().zip(&self.calendars) {
            let window = calendar.open_at(minute);
            let said = self.said(schedule.id, minute);
            let wants = match said {
                Some((kind, _)) => kind == OverrideKind::Start,
                None => window.is_some(),
            };
            let ends = [window.map(|window| window.end), said.map(|(_, expiry)| expiry)];
            if let Some(end) =
                ends.into_iter().flatten().max().filter(|_| wants && schedule.enabled)
            {
                wishes.push((window.is_some(), end, schedule.id));
            }
        }
        wishes
    }

    fn verdict(&self, minute: usize) -> Verdict {
        let mut wishes = self.wishes(minute);
        wishes.sort_by_key(|(in_window, end, id)| (*in_window, *end, -id.get()));
        let mut enabled = self.schedules.iter().zip(&self.calendars).filter(|(one, _)| one.enabled);
        match wishes.last() {
            Some((true, _, id)) => Verdict::Window(*id),
            Some((false, _, id)) => Verdict::StartedByHand(*id),
            None if enabled.clone().next().is_none() => Verdict::NoSchedule,
            None if enabled.any(|(_, one)| one.open[minute].is_some()) => Verdict::StoppedByHand,
            None => Verdict::NoWindow,
        }
    }

    fn next_start(&self, minute: usize) -> Option<(ScheduleId, Timestamp)> {
        let all = self.schedules.iter().zip(&self.calendars).filter(|(one, _)| one.enabled);
        let starts = all.filter_map(|(one, calendar)| Some((calendar.next_after(minute)?, one.id)));
        starts.min().map(|(start, id)| (id, start))
    }
}

fn any_windows() -> impl Strategy<Value = Vec<(WeeklyWindow, bool)>> {
    vec((any_weekly(), prop::bool::weighted(0.85)), 1..5)
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn several_schedules_and_what_was_said_come_to_what_the_calendars_say(
        windows in any_windows(),
        first in first_day(),
        said in vec(
            (0..4_usize, select(vec![OverrideKind::Start, OverrideKind::Stop]), 0..BEFORE + LOOKED_AT),
            0..5,
        ),
        minutes in vec(BEFORE..BEFORE + LOOKED_AT, 24),
    ) {
        let plan = Plan::of(&windows, first, &said);
        let runs: Vec<bool> = (0..KNOWN).map(|minute| !plan.wishes(minute).is_empty()).collect();
        for minute in minutes {
            let now = plan.calendars[0].moment(minute);
            let state = ScheduleState::of(&plan.schedules, &plan.overrides, now);
            prop_assert_eq!(state.verdict, plan.verdict(minute), "{}", now);
            prop_assert_eq!(state.verdict.runs(), runs[minute], "{}", now);
            prop_assert_eq!(state.next_start, plan.next_start(minute), "{}", now);
            // All overrides expire within the two weeks, so what is not seen a week later never comes.
            let change = (minute + 1..KNOWN).find(|later| runs[*later] != runs[minute]);
            let change = change.map(|minute| plan.calendars[0].moment(minute));
            prop_assert_eq!(state.changes_at, change, "{}", now);
        }
    }
}

#[test]
fn windows_that_meet_or_overlap_are_one_stretch_whose_last_end_counts() {
    let at = |text: &str| Timestamp::from_text(text).unwrap();
    let schedules = [
        schedule(1, weekly("09:00", 240, 127)),
        schedule(2, weekly("12:00", 180, 127)),
        schedule(3, weekly("15:00", 60, 127)),
    ];
    let state = |text: &str| ScheduleState::of(&schedules, &[], at(text));
    let morning = state("2026-02-03 10:00");
    assert_eq!(morning.verdict, Verdict::Window(1.into()));
    assert_eq!(morning.changes_at, Some(at("2026-02-03 16:00")));
    assert_eq!(morning.next_start, Some((2.into(), at("2026-02-03 12:00"))));
    let noon = state("2026-02-03 12:30");
    assert_eq!(noon.verdict, Verdict::Window(2.into()), "its window ends later");
    assert_eq!(noon.concerned.len(), 2);
    let night = state("2026-02-03 16:00");
    assert_eq!(night.verdict, Verdict::NoWindow, "a window is over at its end");
    assert_eq!(night.changes_at, Some(at("2026-02-04 09:00")));
}

#[test]
fn an_override_that_counts_for_ages_is_looked_through_at_once() {
    let at = |text: &str| Timestamp::from_text(text).unwrap();
    let schedules: Vec<_> =
        (1..=50).map(|id| schedule(id, weekly(&format!("{:02}:30", id % 24), 30, 127))).collect();
    let said = |(schedule, id): (&Schedule, i64)| ScheduleOverride {
        id: id.into(),
        schedule: schedule.id,
        kind: Some(OverrideKind::Stop),
        expires_at: Some(at("9999-01-01 00:00")),
        created_at: None,
    };
    let overrides: Vec<_> = schedules.iter().zip(1..).map(said).collect();
    let state = ScheduleState::of(&schedules, &overrides, at("2026-02-03 10:45"));
    assert_eq!(state.verdict, Verdict::StoppedByHand);
    assert_eq!(state.changes_at, Some(at("9999-01-01 00:30")), "the first window after that");
}
