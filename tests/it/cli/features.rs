//! Looking at features, choosing them and changing them.

use serde_json::{Value, json};

use super::Project;

#[test]
fn status_counts_and_names_what_waits() {
    let project = Project::usual();
    let data = project.json(["status"]).data();
    let keys = ["passing", "in_progress", "ready", "blocked", "needs_human_input", "total"];
    assert_eq!(keys.map(|key| data[key].as_i64().unwrap()), [1, 1, 1, 1, 1, 5]);
    assert_eq!(data["percentage"], 20.0);
    let waiting = json!([{"id": 3, "name": "Pay", "prompt": "Which provider?"}]);
    assert_eq!(data["waiting_for_human"], waiting);
    let working = &data["being_worked_on"];
    assert_eq!((&working[0]["id"], &working[0]["name"]), (&json!(2), &json!("Log out")));
    assert_eq!(
        (working.as_array().unwrap().len(), &working[0]["claim"]["agent"]),
        (1, &json!(null))
    );
    assert_eq!(data["warnings"], json!([]));

    let text = project.run(["status"]).ok();
    for line in ["passing\t1", "percentage\t20.0", "waiting_for_you\t3\tPay\tWhich provider?"] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn status_warns_of_what_can_never_be_ready() {
    let project = Project::with(&json!([{"id": 1}, {"id": 2}, {"id": 3}]));
    let database = project.path().join(".autoforge/features.db");
    let other = rusqlite::Connection::open(database).unwrap();
    let broken = "UPDATE features SET dependencies = '[2]' WHERE id = 1;
        UPDATE features SET dependencies = '[1]' WHERE id = 2;
        UPDATE features SET dependencies = '[77]' WHERE id = 3;";
    other.execute_batch(broken).unwrap();
    let said = project.run(["status"]);
    assert!(said.err.contains("warning: features 1, 2 wait for each other"), "{said:?}");
    assert!(said.err.contains("warning: feature 3 waits for feature 77"), "{said:?}");
    assert_eq!(project.json(["status"]).data()["warnings"].as_array().unwrap().len(), 2);
    let states = project.json(["depends", "3"]).data()["dependency_states"].take();
    assert_eq!(states, json!([{"id": 77, "name": null, "status": "missing"}]));
}

#[test]
fn status_warns_of_a_list_that_cannot_be_imported() {
    let project = Project::none();
    project.write("feature_list.json", "{}");
    let said = project.json(["status"]);
    assert!(said.err.contains("warning: "), "{said:?}");
    let data = said.data();
    assert_eq!(data["total"], 0);
    assert!(data["warnings"][0].as_str().unwrap().contains("must be an array"), "{data}");
}

#[test]
fn list_filters_by_status_category_and_text() {
    let project = Project::usual();
    let ids = |data: Value| -> Vec<i64> {
        let features = data["features"].as_array().unwrap();
        features.iter().map(|feature| feature["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(project.json(["list"]).data()), [2, 3, 4, 5, 1]);
    assert_eq!(ids(project.json(["list", "--category", "auth"]).data()), [2, 1]);
    assert_eq!(ids(project.json(["list", "--search", "LOG"]).data()), [2, 1]);
    assert_eq!(ids(project.json(["list", "--search", "two"]).data()), [3], "descriptions count");
    for (status, expected) in
        [("done", 1), ("in_progress", 2), ("needs_human_input", 3), ("ready", 4), ("blocked", 5)]
    {
        assert_eq!(ids(project.json(["list", "--status", status]).data()), [expected], "{status}");
    }
    let both = project.json(["list", "--status", "done,blocked"]).data();
    assert_eq!((ids(both.clone()), both["total"].as_i64()), (vec![5, 1], Some(5)));
    let text = project.run(["list", "--status", "blocked"]).ok();
    assert_eq!(text, "5\t5\tblocked\tShop\tShip\t3, 4\t\t\n");
    assert_eq!(project.run(["list", "--search", "nothing"]).ok(), "");
}

#[test]
fn show_tells_everything_about_a_feature() {
    let project = Project::usual();
    let data = project.json(["show", "5"]).data();
    assert_eq!((&data["status"], &data["blocked_by"]), (&json!("blocked"), &json!([3, 4])));
    assert_eq!(data["dependency_states"][1], json!({"id": 4, "name": "Cart", "status": "pending"}));
    let four = project.json(["show", "#4"]).data();
    assert_eq!(four["dependents"], json!([{"id": 5, "name": "Ship", "status": "blocked"}]));
    let text = project.run(["show", "3"]).ok();
    for line in [
        "id\t3",
        "status\tneeds_human_input",
        "description\tone",
        "description\ttwo",
        "steps\t1\ta",
        "is_waited_for_by\t5\tblocked\tShip",
        "question\tWhich provider?",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
    }
    assert_eq!(project.json(["show", "9"]).error(3)["feature_ids"], json!([9]));
}

#[test]
fn ready_lists_and_claims_in_one_step() {
    let project = Project::usual();
    assert_eq!(project.run(["ready"]).ok(), "4\t4\tShop\tCart\n");
    let none = project.json(["ready", "--limit", "0"]).data();
    assert_eq!((&none["features"], &none["total"]), (&json!([]), &json!(1)));
    let claimed = project.json(["ready", "--claim"]).data();
    assert_eq!((&claimed["id"], &claimed["in_progress"]), (&json!(4), &json!(true)));
    let error = project.json(["ready", "--claim"]).error(5);
    assert_eq!((&error["code"], &error["retryable"]), (&json!("nothing_ready"), &json!(true)));
    assert_eq!(project.run(["ready"]).ok(), "");
}

#[test]
fn blocked_lists_what_waits_and_for_what() {
    let project = Project::usual();
    assert_eq!(project.run(["blocked"]).ok(), "5\tShip\t3, 4\n");
    let data = project.json(["blocked"]).data();
    assert_eq!((&data["features"][0]["blocked_by"], &data["total"]), (&json!([3, 4]), &json!(1)));
}

#[test]
fn claim_gives_a_feature_to_one_caller_only() {
    let project = Project::usual();
    assert_eq!(project.json(["claim", "4"]).data()["in_progress"], true);
    let error = project.json(["claim", "4"]).error(4);
    assert_eq!(
        (&error["code"], &error["feature_ids"]),
        (&json!("already_in_progress"), &json!([4]))
    );
    assert_eq!(project.json(["claim", "1"]).error(4)["code"], "already_passing");
    assert_eq!(project.json(["claim", "3"]).error(4)["code"], "waiting_for_human");
    let text = project.run(["claim"]);
    assert_eq!((text.code, text.out.as_str()), (5, ""));
    assert!(text.err.contains("2 in progress, 1 waiting for a human, 1 blocked"), "{text:?}");
    project.run(["release", "4"]).ok();
    assert!(project.run(["claim"]).ok().starts_with("claimed #4 Cart\n"));
}

#[test]
fn claim_tells_an_empty_project_from_a_finished_one() {
    let project = Project::empty();
    assert_eq!(project.json(["claim"]).error(5)["code"], "nothing_ready");
    let done = Project::with(&json!([{"passes": true}]));
    let error = done.json(["claim"]).error(5);
    assert_eq!((&error["code"], &error["retryable"]), (&json!("all_passing"), &json!(false)));
}

#[test]
fn verdicts_change_a_feature_and_end_its_claim() {
    let project = Project::usual();
    assert_eq!(project.run(["pass", "2"]).ok(), "#2 Log out passes\n");
    assert_eq!(project.json(["pass", "2"]).error(4)["code"], "already_passing");
    assert_eq!(project.json(["fail", "2"]).data()["passes"], false);
    let skipped = project.json(["skip", "2"]).data();
    assert_eq!((&skipped["old_priority"], &skipped["new_priority"]), (&json!(2), &json!(6)));
    assert!(project.run(["skip", "4"]).ok().contains("priority 7 instead of 4"));
    assert_eq!(project.json(["claim", "2"]).data()["in_progress"], true);
    assert_eq!(project.json(["release", "2"]).data()["in_progress"], false);
    assert_eq!(project.run(["fail", "2"]).ok(), "#2 Log out fails\n");
    assert_eq!(
        project.json(["pass", "2"]).data(),
        json!({"id": 2, "name": "Log out", "passes": true})
    );
    for verdict in ["pass", "fail", "skip", "release"] {
        assert_eq!(project.json([verdict, "99"]).error(3)["code"], "not_found");
    }
}

#[test]
fn add_makes_a_feature_and_the_project_if_need_be() {
    let project = Project::none();
    let said = project.run([
        "add",
        "--category",
        "Auth",
        "--name",
        "Log in",
        "--description",
        "d",
        "--step",
        "one",
        "--step",
        "two, three",
    ]);
    assert!(said.err.contains("features.db is made"), "{said:?}");
    assert_eq!(said.ok(), "added #1 Log in\n");
    let second = project.json([
        "add",
        "--category",
        "Auth",
        "--name",
        "Log out",
        "--description",
        "d",
        "--step",
        "one",
        "--depends-on",
        "1",
        "--priority",
        "9",
    ]);
    let second = second.data();
    assert_eq!((&second["dependencies"], &second["priority"]), (&json!([1]), &json!(9)));
    assert_eq!(project.json(["show", "1"]).data()["steps"], json!(["one", "two, three"]));
    let lost = [
        "add",
        "--category",
        "c",
        "--name",
        "n",
        "--description",
        "d",
        "--step",
        "s",
        "--depends-on",
        "1,7,8",
    ];
    assert_eq!(project.json(lost).error(3)["feature_ids"], json!([7, 8]));
    let empty = ["add", "--category", "", "--name", "n", "--description", "d", "--step", "s"];
    assert_eq!(project.json(empty).error(2)["code"], "invalid_feature");
    let low = [
        "add",
        "--category",
        "c",
        "--name",
        "n",
        "--description",
        "d",
        "--step",
        "s",
        "--priority",
        "-1",
    ];
    assert_eq!(project.json(low).error(2)["code"], "priority_too_low");
}

#[test]
fn edit_changes_what_is_named_and_nothing_else() {
    let project = Project::usual();
    let before = project.json(["show", "4"]).data();
    let revision = before["revision"].as_str().unwrap();
    let edited = project.json(["edit", "4", "--name", "Basket", "--expect", revision]).data();
    assert_eq!((&edited["name"], &edited["steps"]), (&json!("Basket"), &before["steps"]));
    let stale = project.json(["edit", "4", "--name", "Bag", "--expect", revision]).error(4);
    assert_eq!(stale["code"], "conflict");
    let text = project.run([
        "edit",
        "4",
        "--category",
        "c",
        "--description",
        "d",
        "--step",
        "s",
        "--priority",
        "44",
        "--depends-on",
        "1",
    ]);
    assert!(text.ok().starts_with("changed #4 Basket (revision "));
    let after = project.json(["show", "4"]).data();
    assert_eq!((&after["dependencies"], &after["priority"]), (&json!([1]), &json!(44)));
    assert_eq!(project.json(["edit", "4", "--priority", "1"]).error(4)["code"], "priority_taken");
    assert_eq!(project.json(["edit", "1", "--name", "x"]).error(4)["code"], "already_passing");
    assert_eq!(project.json(["edit", "9", "--name", "x"]).error(3)["code"], "not_found");
}

#[test]
fn delete_asks_for_consent_and_for_force() {
    let project = Project::usual();
    let unsure = project.run(["delete", "4"]);
    assert_eq!(unsure.code, 2);
    assert!(unsure.err.contains("--yes"), "{unsure:?}");
    let deleted = project.json(["delete", "4", "--yes"]).data();
    assert_eq!((&deleted["deleted"]["name"], &deleted["released"]), (&json!("Cart"), &json!([5])));
    let claimed = project.run(["delete", "2", "-y"]);
    assert_eq!(claimed.code, 4);
    assert!(claimed.err.contains("--force"), "{claimed:?}");
    assert_eq!(project.run(["delete", "2", "-y", "--force"]).ok(), "deleted #2 Log out\n");
    assert_eq!(project.json(["delete", "2", "--yes"]).error(3)["code"], "not_found");
}

#[test]
fn depends_shows_and_changes_what_a_feature_waits_for() {
    let project = Project::usual();
    let text = project.run(["depends", "5"]).ok();
    assert_eq!(text, "waits_for\t3\tneeds_human_input\tPay\nwaits_for\t4\tpending\tCart\n");
    let dependencies = |data: &Value| data["dependencies"].clone();
    assert_eq!(
        dependencies(&project.json(["depends", "5", "--add", "1"]).data()),
        json!([1, 3, 4])
    );
    assert_eq!(
        dependencies(&project.json(["depends", "5", "--remove", "3"]).data()),
        json!([1, 4])
    );
    assert_eq!(dependencies(&project.json(["depends", "5", "--set", "2,3"]).data()), json!([2, 3]));
    let circle = project.json(["depends", "2", "--add", "5"]).error(4);
    assert_eq!(circle["code"], "dependency_cycle");
    assert_eq!(dependencies(&project.json(["depends", "5", "--clear"]).data()), json!([]));
    assert_eq!(
        project.json(["depends", "5", "--remove", "3"]).error(3)["code"],
        "no_such_dependency"
    );
    assert_eq!(project.json(["depends", "5", "--add", "5"]).error(2)["code"], "depends_on_itself");
    assert_eq!(
        project.json(["depends", "5", "--set", "1,1"]).error(2)["code"],
        "repeated_dependency"
    );
    assert_eq!(project.json(["depends", "9"]).error(3)["code"], "not_found");
}

#[test]
fn graph_is_drawn_in_every_format() {
    let project = Project::usual();
    let dot = project.run(["graph", "--format", "dot"]).ok();
    assert!(dot.starts_with("digraph") && dot.contains(r#""3" -> "5";"#), "{dot}");
    let mermaid = project.run(["graph"]).ok();
    assert!(mermaid.starts_with("flowchart") && mermaid.contains("f3 --> f5"), "{mermaid}");
    for class in ["done", "in_progress", "needs_human_input", "pending", "blocked"] {
        assert!(dot.contains(&format!("class=\"{class}\"")), "{class}");
        assert!(mermaid.contains(&format!(":::{class}\n")), "{class}");
    }
    let data = project.json(["graph"]).data();
    assert_eq!(data["edges"][0], json!({"source": 1, "target": 2}));
    assert_eq!((&data["cycles"], &data["dangling"]), (&json!([]), &json!([])));
    assert_eq!(data["nodes"][4]["status"], "blocked");
    let bare = project.run(["graph", "--format", "json"]).ok();
    assert_eq!(serde_json::from_str::<Value>(&bare).unwrap(), data);
    assert_eq!(project.json(["graph", "--format", "dot"]).data()["text"], dot);
    let svg = project.run(["graph", "--format", "svg"]).ok();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(svg.matches("<rect ").count(), 5, "a box for each feature: {svg}");
    assert_eq!(svg.matches("marker-end").count(), data["edges"].as_array().unwrap().len());
    for class in ["done", "in_progress", "needs_human_input", "pending", "blocked"] {
        assert!(svg.contains(&format!("<g class=\"{class}\">")), "{class}");
    }
    assert_eq!(project.json(["graph", "--format", "svg"]).data()["text"], svg);
}
