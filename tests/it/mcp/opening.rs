//! Projects in odd places, projects that cannot be opened, and projects that change under a server.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use serde_json::{Value, json};

use super::{database, files, lock, project, write};
use crate::mcp_client::{Server, command, command_for};

fn total(server: &mut Server) -> Value {
    server.done("feature_get_stats", json!({}))["total"].clone()
}

/// The server starts and lists its tools, but each call says with this code that the project cannot
/// be opened, and the project is as it was.
fn assert_unopened(project: &Path, code: &str) {
    let before = files(project);
    let mut server = Server::of(project);
    let list = server.request("tools/list", json!({}));
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), super::TOOLS);
    for (tool, arguments) in [
        ("feature_get_stats", json!({})),
        ("feature_claim_and_get", json!({"feature_id": 1})),
        ("feature_create_bulk", json!({"features": []})),
    ] {
        let answer = server.call(tool, arguments);
        assert!(answer.is_error);
        assert_eq!(answer.body["code"], code, "{answer:?}");
        assert_eq!(answer.body["retryable"], false);
        assert_eq!(answer.body["feature_ids"], json!([]));
    }
    let said = server.stderr();
    assert!(said.contains("ERROR"), "{said}");
    drop(server);
    assert_eq!(files(project), before);
}

#[test]
fn a_database_that_is_none_is_left_alone_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".autoforge/features.db");
    write(&dir.path().join(".autoforge/.gitignore"), b"");
    write(&path, &b"this is no database, but long enough to be one. ".repeat(100));
    assert_unopened(dir.path(), "not_a_database");
}

#[test]
fn a_folder_in_place_of_the_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join(".autoforge/.gitignore"), b"");
    write(&dir.path().join(".autoforge/features.db/mine.txt"), b"mine");
    assert_unopened(dir.path(), "not_a_file");
}

#[test]
fn a_database_of_another_program_is_left_alone_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join(".autoforge/.gitignore"), b"");
    let foreign = database(dir.path());
    foreign.execute_batch("PRAGMA application_id = 7; CREATE TABLE notes (text)").unwrap();
    drop(foreign);
    assert_unopened(dir.path(), "foreign_database");
}

#[test]
fn a_file_in_place_of_the_project_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("file"), b"mine");
    let mut server = Server::of(dir.path().join("file"));
    let answer = server.call("feature_get_stats", json!({}));
    assert!(answer.is_error);
    assert_eq!(answer.body["code"], "system");
}

#[test]
fn bad_arguments_are_told_even_where_the_project_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join(".autoforge/features.db"), &b"nothing ".repeat(1000));
    let mut server = Server::of(dir.path());
    let (_, code) = server.rejected("feature_get_by_id", json!({"feature_id": 0}));
    assert_eq!(code, "invalid_argument");
}

#[test]
fn a_project_that_is_mended_is_served_by_the_same_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".autoforge/features.db");
    write(&path, &b"nothing ".repeat(1000));
    let mut server = Server::of(dir.path());
    assert!(server.call("feature_get_stats", json!({})).is_error);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(total(&mut server), 0);
    server.create("one", &[]);
    assert!(server.end().success());
    assert_eq!(super::rows(dir.path()).len(), 1);
}

#[test]
fn a_database_that_is_replaced_is_opened_anew_by_the_next_call() {
    let (dir, mut server) = project();
    server.create("old", &[]);
    std::fs::rename(dir.path().join(".autoforge"), dir.path().join("moved")).unwrap();
    let answer = server.call("feature_get_stats", json!({}));
    assert!(answer.is_error);
    assert_eq!(answer.body["code"], "moved");
    assert_eq!(answer.body["retryable"], true);
    assert_eq!(total(&mut server), 0);
    server.create("new", &[]);
    assert!(server.end().success());
    assert_eq!(super::rows(dir.path()).len(), 1);
}

#[test]
fn many_calls_to_a_worn_out_store_lead_to_one_new_one() {
    let (dir, mut server) = project();
    server.create("old", &[]);
    std::fs::rename(dir.path().join(".autoforge"), dir.path().join("moved")).unwrap();
    for n in 0..20 {
        server.send_call(&format!("{n}"), "feature_get_stats", &json!({}));
    }
    for n in 0..20 {
        let answer = server.result_of(&format!("{n}"));
        assert!(answer.body["code"] == "moved" || answer.body["total"] == 0, "{answer:?}");
    }
    assert_eq!(total(&mut server), 0);
}

#[test]
fn calls_that_come_before_the_project_is_open_are_answered_when_it_is() {
    let dir = tempfile::tempdir().unwrap();
    // An old file that has to be brought up to date, which needs the lock.
    write(&dir.path().join(".autoforge/.gitignore"), b"");
    database(dir.path())
        .execute_batch(
            "CREATE TABLE features (
                 id INTEGER NOT NULL PRIMARY KEY, priority INTEGER NOT NULL,
                 category VARCHAR(100) NOT NULL, name VARCHAR(255) NOT NULL,
                 description TEXT NOT NULL, steps JSON NOT NULL, passes BOOLEAN);
             INSERT INTO features VALUES (1, 1, 'A', 'old', 'd', '[\"s\"]', 0);",
        )
        .unwrap();
    let other = lock(dir.path());
    let mut server = Server::of(dir.path());
    server.send_call("stats", "feature_get_stats", &json!({}));
    server.ping();
    assert_eq!(
        server.request("tools/list", json!({}))["result"]["tools"][0]["name"],
        "feature_get_stats"
    );
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(server.result_of("stats").body["total"], 1);
    let said = server.stderr();
    assert!(said.contains("brought up to date"), "{said}");
}

#[test]
fn a_list_of_the_time_before_databases_is_imported_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("feature_list.json"), br#"[{"name": "a"}, {"name": "b"}]"#);
    let mut server = Server::of(dir.path());
    assert_eq!(total(&mut server), 2);
    let said = server.stderr();
    assert!(said.contains("imported 2 features"), "{said}");

    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("feature_list.json"), b"[{]");
    let mut server = Server::of(dir.path());
    assert_eq!(total(&mut server), 0);
    let said = server.stderr();
    assert!(said.contains("WARN") && said.contains("feature_list.json"), "{said}");
}

#[test]
fn a_project_may_have_any_path() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<OsString> = [
        " with spaces ",
        "quo'te\"s",
        "100%",
        "what?",
        "a#b",
        "über/日本/😀",
        "semi;colon&amp",
        "new\nline",
        "-dash",
        "file:x",
        "back\\slash",
        "a/../b/./c",
    ]
    .map(OsString::from)
    .into_iter()
    .chain([OsString::from_vec(b"not\xffutf8".to_vec()), OsString::from("long/".repeat(80))])
    .collect();
    for name in names {
        let project = dir.path().join(&name);
        let mut server = Server::of(&project);
        server.create("one", &[]);
        assert!(server.end().success());
        assert!(project.join(".autoforge/features.db").is_file(), "{}", project.display());
        assert_eq!(total(&mut Server::of(&project)), 1);
    }
}

#[test]
fn a_path_that_is_too_long_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    for (name, code) in [("x".repeat(300), "system"), ("long/".repeat(150), "path_too_long")] {
        let answer = Server::of(dir.path().join(name)).call("feature_get_stats", json!({}));
        assert!(answer.is_error);
        assert_eq!(answer.body["code"], code, "{answer:?}");
    }
}

#[test]
fn the_project_is_named_by_an_argument_the_environment_or_the_current_folder() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["current", "argument"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    let served = |mut server: Server, folder: &str| {
        server.introduce("2025-06-18");
        assert_eq!(total(&mut server), 0);
        assert!(server.end().success());
        let made = at(folder).join(".autoforge");
        assert!(made.is_dir(), "{folder}");
        std::fs::remove_dir_all(made).unwrap();
    };
    served(Server::spawn(command().current_dir(at("current"))), "current");
    served(Server::spawn(command_for("").current_dir(at("current"))), "current");
    served(
        Server::spawn(command_for("sub/folder").current_dir(at("current"))),
        "current/sub/folder",
    );
    served(Server::spawn(command_for("../new").current_dir(at("current"))), "new");
    served(
        Server::spawn(command_for(at("missing/deep")).current_dir(at("current"))),
        "missing/deep",
    );
    let mut both = command_for(at("current"));
    served(Server::spawn(both.arg("-C").arg(at("argument"))), "argument");
}

#[test]
fn a_link_leads_to_the_same_project() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut first = Server::of(&real);
    let mut second = Server::of(&link);
    first.create("one", &[]);
    assert_eq!(total(&mut second), 1);
}
