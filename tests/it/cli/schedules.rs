//! `schedules`. Times that depend on now are asked about with `--at`.

use serde_json::{Value, json};

use super::{Project, command, said};

fn add(project: &Project, start: &str, minutes: &str, more: &[&str]) -> Value {
    let args = ["schedules", "add", "--project", "shop", "--start", start, "--minutes", minutes];
    said(command(project.path()).args(args).args(more).arg("--json")).data()
}

fn next(project: &Project, at: &str) -> Value {
    project.json(["schedules", "next", "--at", at]).data()
}

#[test]
fn a_schedule_is_added_with_what_was_asked_for_and_listed_by_its_start() {
    let project = Project::empty();
    let nights = add(&project, "22:30", "480", &["--days", "fri-sat,mon", "--agents", "5"]);
    for (key, value) in [
        ("id", json!(1)),
        ("project_name", json!("shop")),
        ("start_time", json!("22:30")),
        ("duration_minutes", json!(480)),
        ("days_of_week", json!(49)),
        ("days", json!("mon,fri-sat")),
        ("enabled", json!(true)),
        ("yolo_mode", json!(false)),
        ("model", json!(null)),
        ("max_concurrency", json!(5)),
        ("crash_count", json!(0)),
    ] {
        assert_eq!(nights[key], value, "{key}");
    }
    let more = ["--model", "opus", "--yolo", "--disabled"];
    let mornings = add(&project, "09:00", "240", &more);
    assert_eq!((&mornings["model"], &mornings["yolo_mode"]), (&json!("opus"), &json!(true)));
    assert_eq!((&mornings["enabled"], &mornings["next_start"]), (&json!(false), &json!(null)));
    let list = project.json(["schedules", "list"]).data();
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&json!(2), &json!(1)));
    let enabled = project.json(["schedules", "list", "--enabled"]).data();
    assert_eq!(enabled.as_array().unwrap().len(), 1);
    let none = project.json(["schedules", "list", "--project", "other"]).data();
    assert_eq!(none, json!([]));
}

#[test]
fn a_persons_own_time_stands_beside_utc() {
    let project = Project::empty();
    add(&project, "22:30", "480", &[]);
    // A zone as POSIX writes it needs no database of zones.
    let run = |args: &[&str]| said(command(project.path()).env("TZ", "ABC-2").args(args)).ok();
    let listed = run(&["schedules", "list"]);
    assert!(listed.starts_with("1\t22:30\t480\tdaily\t"), "{listed}");
    assert!(listed.contains(" 00:30 ABC\t"), "{listed}");
    let next = run(&["schedules", "next", "--at", "2026-02-03T10:00"]);
    let expected = "next_start\t2026-02-03 22:30 UTC (2026-02-04 00:30 ABC), schedule 1\n";
    assert!(next.contains(expected), "{next}");
}

#[test]
fn what_should_run_is_told_with_the_reason_and_its_end() {
    let project = Project::empty();
    assert_eq!(next(&project, "2026-02-03")["reason"], "no_schedule");
    add(&project, "22:30", "480", &["--days", "mon"]);
    add(&project, "06:00", "60", &["--days", "tue"]);
    let night = next(&project, "2026-02-03T01:00:00Z");
    assert_eq!(night["should_run"], true);
    assert_eq!((&night["reason"], &night["schedule"]), (&json!("window"), &json!(1)));
    // The other window opens before this one is over, and ends later.
    assert_eq!(night["changes_at"], "2026-02-03T07:00:00.000000+00:00");
    assert_eq!(night["next_start"]["schedule"], 2);
    assert_eq!(night["open"][0]["window_start"], "2026-02-02T22:30:00.000000+00:00");
    let day = next(&project, "2026-02-03 07:00");
    assert_eq!((&day["should_run"], &day["reason"]), (&json!(false), &json!("no_window")));
    assert_eq!(day["changes_at"], "2026-02-09T22:30:00.000000+00:00");
    let text = project.run(["schedules", "next", "--at", "2026-02-03 07:00"]).ok();
    assert!(text.starts_with("should_run\tno\nbecause\tno window is open\nnot_before\t"), "{text}");
    assert_eq!(project.run(["schedules", "next", "--at", "soon"]).code, 2);
}

#[test]
fn the_file_that_asks_agents_to_pause_is_told() {
    let project = Project::empty();
    assert_eq!(next(&project, "2026-02-03")["pausing"], false);
    project.write(".autoforge/.pause_drain", "");
    assert_eq!(next(&project, "2026-02-03")["pausing"], true);
    assert!(project.run(["schedules", "next"]).ok().contains("pausing\t"));
}

#[test]
fn parts_of_a_schedule_are_changed_and_only_the_model_is_taken_away() {
    let project = Project::empty();
    let before = add(&project, "09:00", "240", &["--model", "opus", "--yolo"]);
    let edit = |args: &[&str]| {
        said(command(project.path()).args(["schedules", "edit", "1"]).args(args).arg("--json"))
    };
    let after = edit(&["--minutes", "60", "--no-model", "--no-yolo", "--disable"]).data();
    let mut expected = before;
    expected["duration_minutes"] = json!(60);
    expected["model"] = json!(null);
    expected["next_start"] = json!(null);
    expected["yolo_mode"] = json!(false);
    expected["enabled"] = json!(false);
    assert_eq!(after, expected);
    assert_eq!(edit(&["--enable", "--days", "never"]).data()["enabled"], true);
    assert_eq!(edit(&["--start", "23:59"]).data()["start_time"], "23:59");
    for wrong in [
        &[][..],
        &["--start", "9:00"],
        &["--start", "24:00"],
        &["--minutes", "0"],
        &["--minutes", "1441"],
        &["--minutes", "x"],
        &["--days", "128"],
        &["--days", ""],
        &["--agents", "6"],
        &["--model", ""],
        &["--model", "a", "--no-model"],
        &["--enable", "--disable"],
        &["--yolo", "--no-yolo"],
    ] {
        assert_eq!(edit(wrong).code, 2, "{wrong:?}");
    }
    let missing = project.json(["schedules", "edit", "7", "--yolo"]).error(3);
    assert_eq!(missing["code"], "no_such_schedule");
    let text = project.run(["schedules", "edit", "7", "--yolo"]);
    assert!(text.err.contains("hint: `autoforge-store schedules list`"), "{text:?}");
}

#[test]
fn a_schedule_is_removed_with_what_was_said_to_it() {
    let project = Project::empty();
    add(&project, "00:00", "1440", &[]);
    assert_eq!(project.json(["schedules", "override", "stop"]).data()[0]["override_type"], "stop");
    let data = project.json(["schedules", "remove", "#1"]).data();
    assert_eq!((&data["removed"]["id"], &data["overrides"]), (&json!(1), &json!(1)));
    assert_eq!(project.json(["schedules", "overrides"]).data(), json!([]));
    assert_eq!(project.json(["schedules", "remove", "1"]).error(3)["code"], "no_such_schedule");
}

#[test]
fn agents_are_stopped_and_started_by_hand_until_the_window_is_over() {
    let project = Project::empty();
    let idle = project.run(["schedules", "override", "stop"]);
    assert!(idle.err.contains("no window is open"), "{idle:?}");
    assert_eq!(idle.ok(), "");
    add(&project, "00:00", "1440", &[]);
    assert_eq!(project.json(["schedules", "next"]).data()["changes_at"], json!(null));
    let stopped = project.json(["schedules", "override", "stop"]).data();
    let state = project.json(["schedules", "next"]).data();
    assert_eq!(
        (&state["should_run"], &state["reason"]),
        (&json!(false), &json!("stopped_by_hand"))
    );
    assert_eq!(state["changes_at"], stopped[0]["expires_at"]);
    project.run(["schedules", "override", "start"]).ok();
    assert_eq!(project.json(["schedules", "next"]).data()["should_run"], true);
    let said = project.json(["schedules", "overrides"]).data();
    assert_eq!(said.as_array().unwrap().len(), 1, "the last word counts");
    assert_eq!(said[0]["override_type"], "start");
    assert_eq!(project.json(["schedules", "overrides", "--purge"]).data(), json!([]));
    assert_eq!(project.run(["schedules", "override", "pause"]).code, 2);
}

#[test]
fn the_project_of_a_new_schedule_is_that_of_the_others_or_the_folders() {
    let folder = Project::none();
    let inner = folder.path().join("web-shop");
    std::fs::create_dir(&inner).unwrap();
    let run = |args: &[&str]| said(command(&inner).args(args).arg("--json"));
    run(&["init"]).data();
    let add = ["schedules", "add", "--start", "09:00", "--minutes", "60"];
    assert_eq!(run(&add).data()["project_name"], "web-shop");
    run(&["schedules", "edit", "1", "--yolo"]).data();
    let named = [&add[..], &["--project", "other"]].concat();
    assert_eq!(run(&named).data()["project_name"], "other");
    let unclear = run(&add).error(2);
    assert!(unclear["message"].as_str().unwrap().contains("other, web-shop"), "{unclear}");
    run(&["schedules", "remove", "1"]).data();
    assert_eq!(run(&add).data()["project_name"], "other");

    let odd = folder.path().join("my shop");
    std::fs::create_dir(&odd).unwrap();
    let run = |args: &[&str]| said(command(&odd).args(args).arg("--json"));
    run(&["init"]).data();
    assert_eq!(run(&add).error(2)["code"], "usage");
    assert_eq!(run(&[&add[..], &["--project", "a b"]].concat()).code, 2);
}

#[test]
fn the_fifty_first_schedule_is_refused() {
    let project = Project::empty();
    for _ in 0..50 {
        add(&project, "09:00", "60", &[]);
    }
    let args = ["schedules", "add", "--start", "09:00", "--minutes", "60"];
    assert_eq!(project.json(args).error(4)["code"], "too_many_schedules");
}
