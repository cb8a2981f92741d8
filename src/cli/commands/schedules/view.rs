//! How schedules look, in JSON and on pages. Times are UTC; people get their own beside it.

use serde_json::{Value, json};

use crate::cli::page::{Cell, Tone};
use crate::{OverrideKind, Schedule, ScheduleOverride, Timestamp};

pub(super) const SCHEDULE_HEAD: &[&str] =
    &["ID", "UTC", "Minutes", "Days", "Next start, local", "State", "Agents", "Model", "Project"];
pub(super) const OVERRIDE_HEAD: &[&str] = &["ID", "Schedule", "Said", "Until, UTC", "Until, local"];

pub(super) fn time_json(moment: Option<Timestamp>) -> Value {
    moment.map_or(Value::Null, |moment| moment.to_iso8601().into())
}

/// A moment in UTC, and in the time of whoever reads it.
pub(super) fn time_cell(moment: Timestamp) -> Cell {
    Cell::plain(format!("{} ({})", utc(moment), moment.to_local_text()))
}

fn utc(moment: Timestamp) -> String {
    let text = moment.to_sqlite_text();
    // Without seconds, which windows have none of.
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}

/// The columns as keys, as AutoForge's own interface names them, and what follows from them.
pub(super) fn schedule_json(schedule: &Schedule, now: Timestamp) -> Value {
    let window = schedule.window;
    json!({
        "id": schedule.id.get(),
        "project_name": schedule.project,
        "start_time": window.map(|window| window.start.to_string()),
        "duration_minutes": window.map(|window| window.duration.get()),
        "days_of_week": window.map(|window| window.days.bits()),
        "days": window.map(|window| window.days.to_string()),
        "enabled": schedule.enabled,
        "yolo_mode": schedule.yolo_mode,
        "model": schedule.model,
        "max_concurrency": schedule.max_concurrency.get(),
        "crash_count": schedule.crash_count,
        "created_at": time_json(schedule.created_at),
        "next_start": time_json(next_start(schedule, now)),
    })
}

/// The next window, if the schedule counts.
fn next_start(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let window = schedule.window.filter(|_| schedule.enabled)?;
    Some(window.next_after(now)?.start)
}

pub(super) fn schedule_row(schedule: &Schedule, now: Timestamp) -> Vec<Cell> {
    let [start, minutes, days] = match schedule.window {
        Some(window) => {
            [Cell::plain(window.start), Cell::plain(window.duration), Cell::plain(window.days)]
        }
        None => [Cell::new(Tone::Bad, "unreadable"), Cell::plain(""), Cell::plain("")],
    };
    let next = next_start(schedule, now);
    let next = next.map_or_else(|| Cell::faint("never"), |at| Cell::plain(at.to_local_text()));
    vec![
        Cell::strong(schedule.id),
        start,
        minutes,
        days,
        next,
        state(schedule),
        Cell::plain(schedule.max_concurrency),
        Cell::plain(schedule.model.as_deref().unwrap_or("")),
        Cell::faint(&schedule.project),
    ]
}

fn state(schedule: &Schedule) -> Cell {
    if !schedule.enabled {
        return Cell::faint("disabled");
    }
    let mut parts = vec!["enabled".to_owned()];
    parts.extend(schedule.yolo_mode.then(|| "yolo".to_owned()));
    match schedule.crash_count {
        0 => {}
        1 => parts.push("1 crash".to_owned()),
        crashes => parts.push(format!("{crashes} crashes")),
    }
    let tone = if schedule.crash_count > 0 { Tone::Attention } else { Tone::Good };
    Cell::new(tone, parts.join(", "))
}

pub(super) fn over_json(over: &ScheduleOverride) -> Value {
    json!({
        "id": over.id.get(),
        "schedule_id": over.schedule.get(),
        "override_type": over.kind.map(OverrideKind::as_str),
        "expires_at": time_json(over.expires_at),
        "created_at": time_json(over.created_at),
    })
}

pub(super) fn over_row(over: &ScheduleOverride) -> Vec<Cell> {
    let unreadable = || Cell::new(Tone::Bad, "unreadable");
    let (until, local) = match over.expires_at {
        Some(expiry) => (Cell::plain(utc(expiry)), Cell::plain(expiry.to_local_text())),
        None => (unreadable(), Cell::plain("")),
    };
    vec![
        Cell::strong(over.id),
        Cell::plain(over.schedule),
        over.kind.map_or_else(unreadable, Cell::plain),
        until,
        local,
    ]
}
