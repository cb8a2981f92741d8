//! Adding from JSON, importing and exporting.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use super::Project;

fn features(count: usize) -> Value {
    let feature =
        |n| json!({"category": "c", "name": format!("n{n}"), "description": "d", "steps": ["s"]});
    (0..count).map(feature).collect()
}

#[test]
fn a_list_is_added_whole_with_its_inner_dependencies() {
    let project = Project::usual();
    let mut list = features(3);
    list[2]["depends_on_indices"] = json!([0, 1]);
    let data = project.feed(["add", "--json", "--from", "-"], &list.to_string()).data();
    assert_eq!((&data["ids"], &data["with_dependencies"]), (&json!([6, 7, 8]), &json!(1)));
    assert_eq!(project.json(["show", "8"]).data()["dependencies"], json!([6, 7]));
    project.write("plan.json", &features(12).to_string());
    let text = project.run(["add", "--from", "plan.json", "--priority", "100"]).ok();
    assert_eq!(text, "added 12 features: 9 to 20\n");
    assert_eq!(project.json(["show", "20"]).data()["priority"], 111);
}

#[test]
fn a_single_object_may_depend_on_what_exists() {
    let project = Project::usual();
    let mut feature = features(1)[0].take();
    feature["dependencies"] = json!([4]);
    project.write("one.json", &format!("\u{feff}{feature}"));
    let data = project.json(["add", "--from", "one.json", "--priority", "77"]).data();
    assert_eq!((&data["dependencies"], &data["priority"]), (&json!([4]), &json!(77)));
}

#[test]
fn json_that_makes_no_sense_adds_nothing() {
    let project = Project::none();
    let misspelt = json!([{"category": "c", "name": "n", "description": "d", "step": ["s"]}]);
    let not_text = json!([{"category": "c", "name": 7, "description": "d", "steps": ["s"]}]);
    let not_list = json!({"category": "c", "name": "n", "description": "d", "steps": "s"});
    let negative = json!([{"category": "c", "name": "n", "description": "d", "steps": ["s"],
        "depends_on_indices": [-1]}]);
    for wrong in [&misspelt, &not_text, &not_list, &negative, &json!(7), &json!([7])] {
        let error = project.feed(["add", "--json", "--from", "-"], &wrong.to_string()).error(2);
        assert_eq!(error["code"], "invalid_input", "{wrong}");
    }
    assert_eq!(project.feed(["add", "--from", "-"], "{").code, 2);
    assert_eq!(project.json(["add", "--from", "nowhere.json"]).error(3)["code"], "file_not_found");
    assert!(project.names().is_empty());

    let project = Project::empty();
    let mut later = features(2);
    later[0]["depends_on_indices"] = json!([1]);
    let error = project.feed(["add", "--json", "--from", "-"], &later.to_string()).error(2);
    assert_eq!(error["code"], "not_earlier");
    assert_eq!(project.json(["status"]).data()["total"], 0);
}

#[test]
fn an_export_imports_as_the_same_project() {
    let project = Project::usual();
    let text = project.run(["export", "list.json"]).ok();
    assert!(text.starts_with("exported 5 features to "), "{text}");
    let copy = Project::none();
    copy.write("list.json", &project.read("list.json"));
    assert_eq!(copy.json(["import", "list.json"]).data()["imported"], 5);
    let (one, two) = (project.run(["export"]).ok(), copy.run(["export", "-"]).ok());
    assert_eq!(one, two);
    assert_eq!(one, project.read("list.json"));
    let data = project.json(["export"]).data();
    assert_eq!(data, serde_json::from_str::<Value>(&one).unwrap());
    let by_priority: Vec<i64> =
        data.as_array().unwrap().iter().map(|f| f["priority"].as_i64().unwrap()).collect();
    assert!(by_priority.is_sorted());
}

#[test]
fn import_takes_an_empty_project_only_and_a_list_only() {
    let project = Project::usual();
    assert_eq!(project.feed(["import", "-", "--json"], "[{}]").error(4)["code"], "not_empty");
    let empty = Project::none();
    for wrong in ["", "{}", "[", r#"[{"id": 1}, {"id": 1}]"#] {
        let error = empty.feed(["import", "-", "--json"], wrong).error(2);
        assert_eq!(error["code"], "invalid_input", "{wrong}");
    }
    assert!(empty.names().is_empty());
    assert_eq!(empty.json(["import", "nowhere"]).error(3)["code"], "file_not_found");
    let lost = r#"[{"dependencies": [9]}]"#;
    assert_eq!(empty.feed(["import", "-", "--json"], lost).error(3)["code"], "unknown_dependency");
    let text = empty.feed(["import", "-"], "[{}, {}]").ok();
    assert!(text.starts_with("imported 2 features into "), "{text}");
}

#[test]
fn importing_the_list_that_opening_imports_succeeds() {
    let project = Project::none();
    project.write("feature_list.json", "[{}, {}, {}]");
    assert_eq!(project.json(["import", "feature_list.json"]).data()["imported"], 3);
    assert!(!project.path().join("feature_list.json").exists());
}

#[test]
fn a_database_is_neither_imported_nor_added() {
    let project = Project::usual();
    for args in [["import", ".autoforge/features.db"], ["add", "--from=.autoforge/features.db"]] {
        let said = project.run(args);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("is a database, not JSON"), "{said:?}");
    }
}

#[test]
fn export_replaces_a_file_only_when_forced_and_leaves_no_draft() {
    let project = Project::usual();
    project.write("list.json", "precious");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(project.path().join("list.json"), mode).unwrap();
    assert_eq!(project.json(["export", "list.json"]).error(4)["code"], "file_exists");
    assert_eq!(project.read("list.json"), "precious");
    assert_eq!(project.json(["export", "list.json", "--force"]).data()["exported"], 5);
    let mode = std::fs::metadata(project.path().join("list.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    symlink("list.json", project.path().join("link.json")).unwrap();
    project.run(["export", "link.json", "--force"]).ok();
    assert!(project.path().join("link.json").is_symlink());
    assert_eq!(project.names(), [".autoforge", "link.json", "list.json"]);
    assert_eq!(project.json(["export", "no/where.json"]).error(3)["code"], "file_not_found");
    assert_eq!(project.run(["export", ".", "--force"]).code, 2);
    assert_eq!(project.run(["export", "/dev/stdout", "--force"]).code, 2);
}

#[test]
fn export_never_touches_a_database() {
    let project = Project::usual();
    symlink(".autoforge/features.db", project.path().join("link.json")).unwrap();
    std::fs::hard_link(
        project.path().join(".autoforge/.gitignore"),
        project.path().join("ignore.json"),
    )
    .unwrap();
    for target in [
        ".autoforge/features.db",
        ".autoforge/../.autoforge/features.db",
        ".autoforge/features.db-wal",
        "other.db",
        "OTHER.SQLITE3",
        "link.json",
    ] {
        let said = project.json(["export", target, "--force"]).error(2);
        assert_eq!(said["code"], "usage", "{target}");
    }
    assert_eq!(project.json(["status"]).data()["total"], 5);
    assert_eq!(project.names(), [".autoforge", "ignore.json", "link.json"]);
}
