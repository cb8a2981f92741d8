//! What schedules and overrides come to at a moment: whether agents should run, why, and until when.

use super::{OverrideKind, Schedule, ScheduleId, ScheduleOverride, Window};
use crate::types::Timestamp;

/// How long a pattern of windows is until it comes back.
const WEEK: i64 = 7 * 24 * 3600 * 1_000_000;

/// What a project's schedules and overrides come to at a moment. Only enabled schedules count, and
/// an override counts for its own schedule alone: of several that have not expired, the newest.
///
/// A schedule wants agents to run while a window of it is open, unless a human has stopped them, or
/// while a human has started them. They should run while any schedule wants it.
///
/// ```
/// use autoforge_store::{ScheduleState, Timestamp, Verdict};
/// let state = ScheduleState::of(&[], &[], Timestamp::now());
/// assert_eq!(state.verdict, Verdict::NoSchedule);
/// assert_eq!(state.changes_at, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleState {
    /// The moment that it is about.
    pub at: Timestamp,
    /// Whether agents should run, and why.
    pub verdict: Verdict,
    /// The first moment from which on they should not run where they should now, or the other way
    /// round. `None` where that never comes, as the schedules and overrides are.
    pub changes_at: Option<Timestamp>,
    /// The first window that opens after the moment, whether or not agents run already. Of several
    /// that open together, that of the lowest number.
    pub next_start: Option<(ScheduleId, Timestamp)>,
    /// Each enabled schedule that has a window open or an override that counts, in the order in which
    /// the schedules were given.
    pub concerned: Vec<ConcernedSchedule>,
}

/// Whether agents should run, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They should: a window of this schedule is open. Of several, the one whose window ends last.
    Window(ScheduleId),
    /// They should: no window is open, but a human has started them in a window of this schedule, and
    /// that still counts, since the schedule was changed meanwhile.
    StartedByHand(ScheduleId),
    /// They should not: windows are open, and in each of them a human has stopped agents.
    StoppedByHand,
    /// They should not: no window is open.
    NoWindow,
    /// They should not: no schedule is enabled.
    NoSchedule,
}

impl Verdict {
    /// Whether agents should run.
    #[must_use]
    pub fn runs(self) -> bool {
        matches!(self, Self::Window(_) | Self::StartedByHand(_))
    }

    /// The schedule by whose settings they should run.
    #[must_use]
    pub fn schedule(self) -> Option<ScheduleId> {
        match self {
            Self::Window(schedule) | Self::StartedByHand(schedule) => Some(schedule),
            _ => None,
        }
    }

    /// A stable name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Window(_) => "window",
            Self::StartedByHand(_) => "started_by_hand",
            Self::StoppedByHand => "stopped_by_hand",
            Self::NoWindow => "no_window",
            Self::NoSchedule => "no_schedule",
        }
    }
}

/// A schedule that has something to say at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcernedSchedule {
    /// Which one.
    pub schedule: ScheduleId,
    /// Its window, where one is open.
    pub window: Option<Window>,
    /// The override that counts, and until when it does.
    pub overridden: Option<(OverrideKind, Timestamp)>,
}

impl ConcernedSchedule {
    /// Whether the schedule wants agents to run.
    #[must_use]
    pub fn runs(&self) -> bool {
        match self.overridden {
            Some((OverrideKind::Start, _)) => true,
            Some((OverrideKind::Stop, _)) => false,
            None => self.window.is_some(),
        }
    }

    /// Until when what it says now holds for itself.
    fn end(&self) -> Option<Timestamp> {
        let window = self.window.map(|window| window.end);
        window.max(self.overridden.map(|(_, end)| end))
    }
}

impl ScheduleState {
    /// The state at a moment, as a function of these alone.
    #[must_use]
    pub fn of(schedules: &[Schedule], overrides: &[ScheduleOverride], at: Timestamp) -> Self {
        let plan = Plan::new(schedules, overrides);
        Self {
            at,
            verdict: plan.verdict(at),
            changes_at: plan.changes_after(at),
            next_start: plan.next_start(at),
            concerned: plan.concerned(at).collect(),
        }
    }
}

/// The override of this schedule that counts at a moment: of those that have not expired, the newest.
pub(crate) fn override_at(
    overrides: &[ScheduleOverride],
    schedule: ScheduleId,
    at: Timestamp,
) -> Option<&ScheduleOverride> {
    overrides
        .iter()
        .filter(|over| over.schedule == schedule && over.counts_at(at))
        .max_by_key(|over| (over.created_at, over.id))
}

/// The enabled schedules, each with its overrides.
struct Plan<'a> {
    schedules: Vec<&'a Schedule>,
    overrides: &'a [ScheduleOverride],
}

impl<'a> Plan<'a> {
    fn new(schedules: &'a [Schedule], overrides: &'a [ScheduleOverride]) -> Self {
        Self {
            schedules: schedules.iter().filter(|schedule| schedule.enabled).collect(),
            overrides,
        }
    }

    fn concerned(&self, at: Timestamp) -> impl Iterator<Item = ConcernedSchedule> {
        self.schedules.iter().filter_map(move |schedule| {
            let window = schedule.window.and_then(|weekly| weekly.open_at(at));
            let over = override_at(self.overrides, schedule.id, at);
            let overridden = over.and_then(|over| Some((over.kind?, over.expires_at?)));
            let said = window.is_some() || overridden.is_some();
            said.then_some(ConcernedSchedule { schedule: schedule.id, window, overridden })
        })
    }

    fn runs(&self, at: Timestamp) -> bool {
        self.concerned(at).any(|schedule| schedule.runs())
    }

    fn verdict(&self, at: Timestamp) -> Verdict {
        if self.schedules.is_empty() {
            return Verdict::NoSchedule;
        }
        let concerned: Vec<_> = self.concerned(at).collect();
        // Of windows that overlap, the latest end counts.
        let last = |in_window: bool| {
            concerned
                .iter()
                .filter(|one| one.runs() && one.window.is_some() == in_window)
                .max_by_key(|one| (one.end(), std::cmp::Reverse(one.schedule)))
        };
        if let Some(one) = last(true) {
            return Verdict::Window(one.schedule);
        }
        if let Some(one) = last(false) {
            return Verdict::StartedByHand(one.schedule);
        }
        let stopped = concerned.iter().any(|one| one.window.is_some());
        if stopped { Verdict::StoppedByHand } else { Verdict::NoWindow }
    }

    fn next_start(&self, at: Timestamp) -> Option<(ScheduleId, Timestamp)> {
        let next =
            |schedule: &&Schedule| Some((schedule.id, schedule.window?.next_after(at)?.start));
        self.schedules.iter().filter_map(next).min_by_key(|(id, start)| (*start, *id))
    }

    /// The first moment at which the answer is another one. It can only change where a window opens or
    /// ends, or where an override expires. While no override expires, what happens in one week happens
    /// in all that follow, so of each such stretch one week is looked at and the rest is passed over.
    fn changes_after(&self, at: Timestamp) -> Option<Timestamp> {
        let now = self.runs(at);
        let mut from = at;
        loop {
            let expiry = self.next_expiry(from);
            let week = Timestamp::from_microseconds(from.to_microseconds() + WEEK);
            let mut moment = from;
            while let Some(next) = self.next_edge(moment) {
                if expiry.is_some_and(|expiry| next >= expiry) || week.is_none_or(|end| next > end)
                {
                    break;
                }
                if self.runs(next) != now {
                    return Some(next);
                }
                moment = next;
            }
            from = expiry?;
            if self.runs(from) != now {
                return Some(from);
            }
        }
    }

    /// The first moment after this one at which a window opens or ends.
    fn next_edge(&self, after: Timestamp) -> Option<Timestamp> {
        let of = |schedule: &&Schedule| {
            let weekly = schedule.window?;
            let ends = weekly.open_at(after).map(|window| window.end);
            let opens = weekly.next_after(after).map(|window| window.start);
            ends.into_iter().chain(opens).min()
        };
        self.schedules.iter().filter_map(of).min()
    }

    /// The first moment after this one at which an override expires.
    fn next_expiry(&self, after: Timestamp) -> Option<Timestamp> {
        let expiries = self.overrides.iter().filter_map(|over| over.expires_at);
        expiries.filter(|expiry| *expiry > after).min()
    }
}
