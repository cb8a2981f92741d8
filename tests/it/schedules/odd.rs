//! Rows that other programs and earlier releases wrote.

use std::process::Command as Program;

use autoforge_store::{
    Concurrency, GetSchedule, GetScheduleState, ListOverrides, ListSchedules, OverrideKind,
    ScheduleChanges, SetOverride, UpdateSchedule, Verdict,
};
use rusqlite::types::Value;

use super::{at, create, when};
use crate::old_files;
use crate::support::{Project, say_note, text, texts};

#[test]
fn schedules_and_overrides_of_every_release_are_read() {
    for (state, sql) in old_files::all().into_iter().filter(|(_, sql)| sql.contains("'22:30'")) {
        let project = Project::with_database(&sql);
        let store = project.open();
        let schedules = store.call(ListSchedules::default()).unwrap();
        assert_eq!(schedules.len(), 1, "{state}");
        let schedule = &schedules[0];
        let window = schedule.window.unwrap();
        assert_eq!(window.start.to_string(), "22:30", "{state}");
        assert_eq!((window.duration.get(), window.days.bits()), (120, 127), "{state}");
        assert_eq!(schedule.max_concurrency, Concurrency::default(), "{state}");
        let day = schedule.created_at.unwrap().to_sqlite_text();
        assert!(day.ends_with(" 09:00:00.000001"), "{state}: {day}");
        if sql.contains("schedule_overrides") {
            let overrides = store.call(ListOverrides::default()).unwrap();
            assert_eq!(overrides[0].kind, Some(OverrideKind::Stop), "{state}");
            assert_eq!(overrides[0].expires_at, Some(at("2026-01-15 10:00")), "{state}");
        }
    }
}

#[test]
fn columns_that_a_migration_added_may_be_null() {
    let project = Project::with_database(&old_files::named("first schedules"));
    let store = project.open();
    let clear = "UPDATE schedules SET max_concurrency = NULL, crash_count = NULL";
    project.foreign().execute(clear, []).unwrap();
    let schedule = store.call(GetSchedule { id: 1.into() }).unwrap();
    assert_eq!((schedule.max_concurrency.get(), schedule.crash_count), (3, 0));
    // Counting goes on from there.
    let crash = autoforge_store::IncrementCrashCount { id: 1.into() };
    store.call(when("2026-02-03 23:00", crash)).unwrap();
    assert_eq!(text(&project.foreign(), "SELECT CAST(crash_count AS TEXT) FROM schedules"), "1");
}

/// A schedule of the first release, whose table takes any value, with one column changed.
fn with_column(column: &str, value: &Value) -> Project {
    let project = Project::with_database(&old_files::named("first schedules"));
    project.open().close();
    let sql = format!("UPDATE schedules SET {column} = ?1");
    project.foreign().execute(&sql, [value]).unwrap();
    project
}

#[test]
fn a_window_that_makes_no_sense_is_shown_and_never_opens() {
    let text = |text: &str| Value::Text(text.to_owned());
    for (column, value) in [
        ("start_time", text("soon")),
        ("start_time", text("25:00")),
        ("start_time", text("")),
        ("start_time", Value::Blob(vec![0xff, 0])),
        ("duration_minutes", Value::Integer(0)),
        ("duration_minutes", Value::Integer(i64::MIN)),
        ("duration_minutes", text("long")),
    ] {
        let project = with_column(column, &value);
        let store = project.open();
        let schedule = store.call(GetSchedule { id: 1.into() }).unwrap();
        assert_eq!(schedule.window, None, "{column}: {value:?}");
        let state = store.call(GetScheduleState::default()).unwrap();
        assert_eq!((state.verdict, state.next_start), (Verdict::NoWindow, None), "{value:?}");
        let said = SetOverride { project: None, kind: OverrideKind::Stop };
        assert_eq!(store.call(said).unwrap(), [], "{value:?}");
        // A change of another part leaves it as it is.
        let changes = ScheduleChanges { yolo_mode: Some(true), ..ScheduleChanges::default() };
        assert!(store.call(UpdateSchedule { id: 1.into(), changes }).unwrap().yolo_mode);
        let sql = format!("SELECT {column} FROM schedules");
        let stored: Value = project.foreign().query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(stored, value, "{column}");
    }
}

#[test]
fn values_beyond_their_bounds_are_read_within_them() {
    for (column, value, expected) in [
        ("start_time", Value::Text("9:5".into()), "09:05 120 daily 3"),
        ("duration_minutes", Value::Integer(5000), "22:30 1440 daily 3"),
        ("days_of_week", Value::Integer(128 + 5), "22:30 120 mon,wed 3"),
        ("days_of_week", Value::Text("mon".into()), "22:30 120 never 3"),
        ("max_concurrency", Value::Integer(99), "22:30 120 daily 5"),
        ("max_concurrency", Value::Integer(-1), "22:30 120 daily 1"),
        ("max_concurrency", Value::Text("many".into()), "22:30 120 daily 3"),
        ("crash_count", Value::Integer(-4), "22:30 120 daily 3"),
        ("created_at", Value::Text("yesterday".into()), "22:30 120 daily 3"),
    ] {
        let project = with_column(column, &value);
        let schedule = project.open().call(GetSchedule { id: 1.into() }).unwrap();
        let window = schedule.window.unwrap();
        let found = format!(
            "{} {} {} {}",
            window.start, window.duration, window.days, schedule.max_concurrency
        );
        assert_eq!(found, expected, "{column}: {value:?}");
        assert_eq!(schedule.crash_count, 0);
        assert_eq!(schedule.created_at.is_none(), column == "created_at");
    }
}

#[test]
fn an_override_that_makes_no_sense_is_shown_and_counts_for_nothing() {
    let project = Project::new();
    let store = project.open();
    let id = create(&store, "00:00", 1440, "daily");
    for (kind, expiry) in [("pause", "2999-01-01 00:00:00.000000"), ("stop", "never"), ("stop", "")]
    {
        let sql = format!(
            "INSERT INTO schedule_overrides (schedule_id, override_type, expires_at, created_at)
             VALUES (1, '{kind}', '{expiry}', 'then')"
        );
        project.foreign().execute_batch(&sql).unwrap();
        assert_eq!(store.call(GetScheduleState::default()).unwrap().verdict, Verdict::Window(id));
    }
    let listed = store.call(ListOverrides::default()).unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!((listed[0].kind, listed[0].created_at), (None, None));
    // What a human says takes their place.
    store.call(SetOverride { project: None, kind: OverrideKind::Stop }).unwrap();
    assert_eq!(store.call(ListOverrides::default()).unwrap().len(), 1);
}

/// Reads the tables with the types that AutoForge's programs declare, and writes a row of each with
/// the statements that they issue.
const PYTHON: &str = r#"
import re, sqlite3, sys
from datetime import datetime
db = sqlite3.connect(sys.argv[1], timeout=60)
form = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
def moment(text):
    assert form.fullmatch(text), text
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")
for row in db.execute("SELECT schedules.id, project_name, start_time, duration_minutes, days_of_week,"
                      " enabled, yolo_mode, model, max_concurrency, crash_count, created_at"
                      " FROM schedules WHERE project_name = ? ORDER BY start_time", ("shop",)):
    hour, minute = map(int, row[2].split(":"))
    print(row[0], hour, minute, *row[3:10], moment(row[10]).isoformat())
for row in db.execute("SELECT id, schedule_id, override_type, expires_at, created_at"
                      " FROM schedule_overrides WHERE expires_at > ?", ("2026-02-03 10:00:00.000000",)):
    print(*row[:3], moment(row[3]).isoformat(), moment(row[4]).isoformat())
with db:
    db.execute("INSERT INTO schedules (project_name, start_time, duration_minutes, days_of_week, enabled,"
               " yolo_mode, model, max_concurrency, crash_count, created_at)"
               " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               ("shop", "09:00", 240, 31, 1, 0, None, 3, 0, "2026-02-03 10:00:00.000001"))
    db.execute("INSERT INTO schedule_overrides (schedule_id, override_type, expires_at, created_at)"
               " VALUES (?, ?, ?, ?)", (2, "stop", "2026-02-03 13:00:00.000000", "2026-02-03 10:00:00.000000"))
"#;

#[test]
fn python_reads_what_we_write_and_writes_the_same_bytes() {
    let project = Project::new();
    let store = project.open();
    let new = autoforge_store::CreateSchedule(super::new("09:00", 240, "mon-fri"));
    store.call(when("2026-02-03 10:00:00.000001", new)).unwrap();
    let say = SetOverride { project: None, kind: OverrideKind::Stop };
    store.call(when("2026-02-03 10:00", say)).unwrap();
    let output = Program::new("python3").args(["-c", PYTHON]).arg(project.database()).output();
    let Ok(output) = output else {
        return say_note("there is no python3, so nothing was compared with it");
    };
    assert!(output.status.success(), "{output:?}");
    let read = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        read,
        "1 9 0 240 31 1 0 None 3 0 2026-02-03T10:00:00.000001\n\
         1 1 stop 2026-02-03T13:00:00 2026-02-03T10:00:00\n"
    );
    let file = project.foreign();
    for (table, columns) in [
        (
            "schedules",
            "project_name, start_time, duration_minutes, days_of_week, enabled, yolo_mode, model,
             max_concurrency, crash_count, created_at",
        ),
        ("schedule_overrides", "override_type, expires_at, created_at"),
    ] {
        let typed: Vec<String> = columns
            .split(',')
            .map(|column| format!("typeof({0}) || ' ' || quote({0})", column.trim()))
            .collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY id", typed.join(" || ', ' || "));
        let rows = texts(&file, &sql);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0], rows[1], "{table}");
    }
}
