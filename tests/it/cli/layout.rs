//! `migrate`, `reset` and `restore`, and what `status` and `doctor` say of old places.

use std::process::{Child, Stdio};

use serde_json::json;

use super::{Project, Said, command};

/// A project whose files lie where an older release had them.
fn old(place: &str) -> Project {
    let project = Project::usual();
    let folder = project.path().join(place);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::rename(project.path().join(".autoforge/features.db"), folder.join("features.db"))
        .unwrap();
    std::fs::remove_dir_all(project.path().join(".autoforge")).unwrap();
    project
}

/// A process that has the database open until it is dropped.
struct Connected(Child);

impl Connected {
    /// An MCP server, which opens its project at once.
    fn to(project: &Project) -> Self {
        let mut server = command(project.path());
        server.args(["mcp"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().unwrap();
        let open = || {
            let plan = project.json(["migrate", "--dry-run"]).data();
            plan["problems"].to_string().contains("in_use")
        };
        assert!(crate::support::eventually(open));
        Self(server)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn migrate_says_first_what_it_would_do_and_then_what_it_did() {
    for (place, shown) in [(".autocoder", ".autocoder/features.db"), (".", "features.db")] {
        let project = old(place);
        let plan = project.run(["migrate", "--dry-run"]).ok();
        assert_eq!(plan, format!("would move {shown} to .autoforge/features.db\n"));
        let before = project.names();
        let data = project.json(["migrate", "--dry-run"]).data();
        assert_eq!((&data["problems"], &data["interrupted"]), (&json!([]), &json!(false)));
        assert_eq!(project.names(), before);
        let done = project.run(["migrate"]).ok();
        assert!(done.starts_with(&format!("moved {shown} to .autoforge/features.db\n")), "{done}");
        assert!(project.path().join(".autoforge/features.db").exists());
        assert_eq!(project.json(["status"]).data()["total"], 5);
        assert_eq!(project.run(["migrate"]).ok(), "nothing to move\n");
    }
}

#[test]
fn migrate_tells_a_wrong_folder_from_a_project_that_has_nothing_to_move() {
    assert_eq!(Project::none().json(["migrate"]).error(3)["code"], "no_project");
    let data = Project::empty().json(["migrate"]).data();
    assert_eq!((&data["moved"], &data["resumed"]), (&json!([]), &json!(false)));
}

#[test]
fn migrate_names_who_is_in_the_way() {
    let project = old(".autocoder");
    let connected = Connected::to(&project);
    let plan = project.json(["migrate", "--dry-run"]).data();
    let message = plan["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains(&format!("process {}", connected.0.id())), "{message}");
    for args in [vec!["migrate"], vec!["migrate", "--force"], vec!["reset", "--yes", "--force"]] {
        let said = super::run_in(project.path(), args);
        assert_eq!(said.code, 4, "{said:?}");
        assert!(said.err.contains(&format!("process {}", connected.0.id())), "{said:?}");
    }
    drop(connected);
    project.run(["migrate"]).ok();
}

#[test]
fn a_lock_file_is_named_with_the_way_to_override_it() {
    let project = old(".autocoder");
    project.write(".autocoder/.agent.lock", "4711");
    for args in [vec!["migrate"], vec!["reset", "--yes"]] {
        let Said { code, err, .. } = super::run_in(project.path(), args);
        assert_eq!(code, 4);
        assert!(err.contains(".agent.lock") && err.contains("--force"), "{err}");
    }
    let error = project.json(["migrate"]).error(4);
    assert_eq!((&error["code"], &error["retryable"]), (&json!("running"), &json!(true)));
    project.run(["migrate", "--force"]).ok();
}

#[test]
fn status_and_doctor_tell_of_an_old_place_and_of_two() {
    let project = old(".autocoder");
    let said = project.json(["status"]);
    assert!(said.err.contains("`autoforge-store migrate`"), "{said:?}");
    assert_eq!(said.data()["old_layout"], true);
    let said = project.run(["doctor"]);
    let line = said.out.lines().find(|line| line.contains("\tlayout\t")).unwrap();
    assert!(line.starts_with("ok\t") && line.contains("`autoforge-store migrate`"), "{line}");
    project.run(["migrate"]).ok();
    let said = project.json(["status"]);
    assert_eq!(said.err, "");
    assert_eq!(said.data()["old_layout"], false);

    let backup = project.path().join("features.db");
    project.run(["backup", backup.to_str().unwrap()]).ok();
    let said = project.json(["status"]);
    assert!(said.err.contains("both exist"), "{said:?}");
    assert!(said.data()["warnings"][0].as_str().unwrap().contains("both exist"));
    let said = project.run(["doctor"]);
    let line = said.out.lines().find(|line| line.contains("\tlayout\t")).unwrap();
    assert!(line.starts_with("warning\t") && line.contains("both exist"), "{line}");
    assert_eq!(project.json(["migrate"]).error(4)["code"], "two_places");
}

#[test]
fn a_move_that_was_cut_short_is_told_and_finished() {
    use autoforge_store::testing::CrashPlan;
    let project = old(".autocoder");
    let plan = CrashPlan::kill("migrate.switched").to_string();
    let killed = command(project.path()).args(["migrate"]).env(CrashPlan::VARIABLE, plan).output();
    assert_eq!(killed.unwrap().status.code(), None);
    let said = project.run(["doctor"]);
    let line = said.out.lines().find(|line| line.contains("\tlayout\t")).unwrap();
    assert!(line.starts_with("warning\t") && line.contains("cut short"), "{line}");
    assert!(project.run(["migrate", "--dry-run"]).ok().contains("cut short"));
    let said = project.json(["status"]);
    assert!(said.err.contains("had been cut short, and is finished"), "{said:?}");
    assert_eq!(said.data()["total"], 5);
    assert!(!project.path().join(".autocoder").exists());
}

#[test]
fn reset_needs_a_word_keeps_a_copy_and_says_where() {
    let project = Project::usual();
    let said = project.run(["reset"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("--yes"), "{said:?}");
    assert_eq!(project.json(["status"]).data()["total"], 5);
    let data = project.json(["reset", "--yes"]).data();
    let copy = data["copies"][0]["copy"].as_str().unwrap();
    assert_eq!(data["copies"][0]["sound"], true);
    assert!(copy.starts_with(data["backup"].as_str().unwrap()));
    assert_eq!(project.json(["status"]).error(3)["code"], "no_project");
    assert_eq!(project.json(["reset", "--yes"]).error(3)["code"], "no_project");

    let said = project.run(["restore", copy, "--yes"]).ok();
    assert_eq!(said, "restored .autoforge/features.db\n");
    assert_eq!(project.json(["status"]).data()["total"], 5);
    let said = project.run(["restore", copy]);
    assert_eq!(said.code, 2);
    let data = project.json(["restore", copy, "--yes"]).data();
    assert_eq!(data["replaced_was_sound"], true);
    let missing = project.json(["restore", "nowhere.db", "--yes"]).error(3);
    assert_eq!(missing["code"], "file_not_found");
}

#[test]
fn reset_leaves_conversations_alone_unless_it_is_told_to_remove_all() {
    for (args, stays) in [(vec!["reset", "--yes"], true), (vec!["reset", "--yes", "--all"], false)]
    {
        let project = Project::usual();
        let assistant = project.path().join(".autoforge/assistant.db");
        let file = crate::support::foreign(&assistant);
        file.execute_batch(
            "CREATE TABLE conversations (id INTEGER PRIMARY KEY);
             CREATE TABLE conversation_messages (id INTEGER PRIMARY KEY)",
        )
        .unwrap();
        drop(file);
        assert_eq!(super::run_in(project.path(), args).code, 0);
        assert_eq!(assistant.exists(), stays);
    }
}

#[test]
fn reset_warns_of_a_list_that_would_come_back() {
    let project = Project::usual();
    project.write("feature_list.json", r#"[{"name": "a"}]"#);
    let said = project.run(["reset", "--yes"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("feature_list.json is there"), "{said:?}");
}
