//! What happened, why things are as they are, and taking it back.

use serde_json::{Value, json};

use super::{Project, command, said};

fn kinds(data: &Value) -> Vec<&str> {
    let events = data["events"].as_array().unwrap();
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

/// The number of the last event.
fn last(project: &Project) -> i64 {
    project.json(["log", "--limit", "1"]).data()["events"][0]["id"].as_i64().unwrap()
}

#[test]
fn the_log_tells_in_words_what_happened_the_latest_first() {
    let project = Project::usual();
    project.run(["skip", "4", "--as", "bob", "--reason", "too early"]).ok();
    project.foreign().execute_batch("UPDATE features SET passes = 1 WHERE id = 4").unwrap();
    project.run(["edit", "5", "--name", "Send", "--description", &"long ".repeat(20)]).ok();
    project.run(["delete", "2", "--yes", "--force"]).ok();
    let text = project.run(["log", "--limit", "4"]).ok();
    let told: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(told.len(), 4, "{text}");
    assert!(told.iter().all(|row| row.len() == 6 && row[1].ends_with('Z')), "{text}");
    let what: Vec<[&str; 3]> = told.iter().map(|row| [row[2], row[3], row[4]]).collect();
    assert_eq!(
        what,
        [
            ["2", "Log out", "deleted"],
            ["5", "Send", "edited: name \"Ship\" → \"Send\", description (0 → 100 characters)"],
            ["4", "Cart", "passes"],
            ["4", "Cart", "put off: priority 4 → 6; reason: too early"],
        ]
    );
    assert_eq!((told[3][5], told[2][5]), ("bob (cli)", "another program"));
    let full = project.run(["log", "5", "--limit", "1", "--full"]).ok();
    let row = format!("\tdescription\t\t{}\n", "long ".repeat(20));
    assert!(full.contains(&row) && full.contains("\tname\tShip\tSend\n"), "{full}");
}

#[test]
fn the_log_is_narrowed_and_turned_page_by_page() {
    let project = Project::usual();
    for (agent, session, id) in [("bob", "monday", "4"), ("eve", "monday", "5"), ("bob", "x", "4")]
    {
        project.run(["skip", id, "--as", agent, "--session", session]).ok();
    }
    let count = |args: &[&str]| {
        let data = said(command(project.path()).args(["log", "--json"]).args(args)).data();
        data["events"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 8);
    assert_eq!(count(&["4"]), 3);
    assert_eq!(count(&["--session", "monday"]), 2);
    assert_eq!(count(&["--agent", "bob"]), 2);
    assert_eq!(count(&["--agent", "bob", "--session", "monday"]), 1);
    assert_eq!(count(&["--since", "5"]), 3);
    assert_eq!(count(&["--since", "5", "--before", "8"]), 2);
    assert_eq!(count(&["--limit", "0"]), 0);
    assert_eq!(count(&["--agent", "nobody"]), 0);
    let mut before = i64::MAX.to_string();
    let mut seen = Vec::new();
    loop {
        let page = project.json(["log", "--limit", "3", "--before", &before]).data();
        seen.extend(page["events"].as_array().unwrap().iter().map(|e| e["id"].as_i64().unwrap()));
        let Some(next) = page["next_before"].as_i64() else { break };
        before = next.to_string();
    }
    assert_eq!(seen, (1..=8).rev().collect::<Vec<_>>());
}

#[test]
fn what_is_forgotten_is_said() {
    let project = Project::usual();
    assert_eq!(project.json(["log", "--since", "99"]).error(3)["code"], "unknown_event");
    project.run(["policy", "--events", "2"]).ok();
    let foreign = project.foreign();
    for _ in 0..4 {
        foreign.execute_batch("UPDATE features SET priority = priority + 9 WHERE id = 4").unwrap();
    }
    let late = project.json(["log", "--since", "1"]);
    assert!(late.err.contains("before event 8 is forgotten"), "{late:?}");
    let data = late.data();
    assert_eq!((&data["complete"], kinds(&data)), (&json!(false), vec!["edited"; 2]));
    assert_eq!(project.json(["log", "--since", "7"]).data()["complete"], true);
    assert_eq!(project.json(["undo", "1", "--yes"]).error(3)["code"], "events_forgotten");
}

#[test]
fn explain_names_each_obstacle_and_what_removes_it() {
    let project = Project::usual();
    let ready = project.json(["explain", "4"]).data();
    assert_eq!(
        (&ready["ready"], &ready["place"], &ready["obstacles"]),
        (&json!(true), &json!(1), &json!([]))
    );
    assert!(project.run(["explain", "4"]).ok().starts_with("#4 Cart is ready, the first of 1"));
    let blocked = project.json(["explain", "5"]).data();
    let states: Vec<&Value> =
        blocked["obstacles"].as_array().unwrap().iter().map(|o| &o["state"]).collect();
    assert_eq!(states, [&json!("needs_human_input"), &json!("pending")]);
    let commands = |id: &str| {
        let text = project.run(["explain", id]).ok();
        let rows = text.lines().filter_map(|line| line.strip_prefix("obstacles\t"));
        rows.map(|row| row.rsplit('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(commands("5"), ["explain 3", "explain 4"]);
    assert_eq!(commands("1"), ["fail 1"]);
    assert_eq!(commands("2"), ["release 2"]);
    assert_eq!(commands("3"), ["answer 3"]);
    project.run(["claim", "4", "--as", "bob"]).ok();
    assert_eq!(commands("4"), ["release 4 --force"]);
    let lost = "UPDATE features SET dependencies = '[77, 5]' WHERE id = 3";
    project.foreign().execute_batch(lost).unwrap();
    assert_eq!(commands("3"), ["answer 3", "depends 3 --remove 77", "depends 3 --remove 5"]);
    assert_eq!(project.json(["explain", "9"]).error(3)["code"], "not_found");
}

#[test]
fn a_dry_run_shows_what_undo_does_and_changes_nothing() {
    let project = Project::usual();
    project.run(["edit", "4", "--name", "Basket"]).ok();
    let event = last(&project).to_string();
    let shown = project.json(["undo", "--feature", "4", "--dry-run"]).data();
    assert_eq!(
        (&shown["dry_run"], &shown["steps"][0]["event"].to_string()),
        (&json!(true), &event)
    );
    assert_eq!(
        project.run(["undo", &event, "--dry-run"]).ok(),
        format!("steps\t{event}\t4\tCart\tedited\tname \"Basket\" → \"Cart\"\n")
    );
    assert_eq!(last(&project).to_string(), event);
    let undone = project.json(["undo", &event, "--yes", "--as", "eve"]).data();
    assert_eq!((&undone["steps"], &undone["dry_run"]), (&shown["steps"], &json!(false)));
    assert_eq!(project.json(["show", "4"]).data()["name"], "Cart");
    let log = project.run(["log", "4", "--limit", "1"]).ok();
    assert!(
        log.contains(&format!("took back event {event}: name \"Basket\" → \"Cart\"\teve (cli)")),
        "{log}"
    );
    assert_eq!(project.json(["undo", &event, "--yes"]).error(4)["code"], "already_undone");
}

#[test]
fn undo_asks_for_consent_where_nobody_can_be_asked() {
    let project = Project::usual();
    for args in [&["undo", "5"][..], &["undo", "5", "--json"]] {
        let said = said(command(project.path()).args(args));
        assert_eq!(said.code, 2, "{said:?}");
        assert!(format!("{}{}", said.out, said.err).contains("--yes or --dry-run"), "{said:?}");
    }
}

#[test]
fn a_session_is_taken_back_as_a_whole() {
    let project = Project::usual();
    let skip =
        |id: &str, agent: &str| project.run(["skip", id, "--as", agent, "--session", "s"]).ok();
    skip("4", "bob");
    skip("5", "bob");
    let steps = |said: super::Said| said.data()["steps"].as_array().unwrap().len();
    assert_eq!(steps(project.json(["undo", "--session", "s", "--dry-run"])), 2);
    skip("2", "eve");
    let unsure = project.run(["undo", "--session", "s", "--yes"]);
    assert_eq!(unsure.code, 2);
    assert!(unsure.err.contains("bob, eve") && unsure.err.contains("hint: --agent"), "{unsure:?}");
    assert_eq!(steps(project.json(["undo", "--session", "s", "--agent", "bob", "--yes"])), 2);
    let priorities: Vec<i64> =
        ["4", "5"].map(|id| project.json(["show", id]).data()["priority"].as_i64().unwrap()).into();
    assert_eq!(priorities, [4, 5]);
    let again = project.json(["undo", "--session", "s", "--agent", "bob", "--yes"]).error(4);
    assert_eq!(again["code"], "nothing_to_undo");
}

#[test]
fn what_stays_when_a_deletion_is_taken_back_is_said_with_the_reason() {
    let project = Project::usual();
    project.run(["delete", "4", "--yes"]).ok();
    project.run(["depends", "5", "--clear"]).ok();
    let text = project.run(["undo", "--feature", "4", "--yes"]).ok();
    assert!(
        text.starts_with("steps\t")
            && text.contains("\t4\tCart\tdeleted\tthe feature is there again\n"),
        "{text}"
    );
    assert!(text.contains("\nleft_out\t") && text.contains("changed feature 5 since"), "{text}");
    assert_eq!(project.json(["show", "4"]).data()["name"], "Cart");
    assert_eq!(project.json(["show", "5"]).data()["dependencies"], json!([]));
}

#[test]
fn every_refusal_to_take_back_has_its_exit() {
    let project = Project::usual();
    let code = |args: &[&str], exit| {
        let mut command = command(project.path());
        said(command.arg("undo").args(args).args(["--yes", "--json"])).error(exit)["code"].take()
    };
    project.run(["claim", "4", "--as", "bob"]).ok();
    let claimed = last(&project).to_string();
    assert_eq!(code(&[&claimed], 4), "claim_alone");
    assert_eq!(code(&["99"], 3), "unknown_event");
    assert_eq!(code(&["--feature", "99"], 3), "not_found");
    assert_eq!(code(&["--session", "nobody's"], 4), "nothing_to_undo");
    assert_eq!(code(&["--feature", "4"], 4), "already_in_progress");
    assert_eq!(code(&["--feature", "4", "--token", "99"], 4), "stale_token");
    assert_eq!(code(&["--feature", "3"], 4), "has_dependents");
    project.run(["skip", "5"]).ok();
    let skipped = last(&project).to_string();
    project.run(["edit", "5", "--priority", "50"]).ok();
    assert_eq!(code(&[&skipped], 4), "changed_since");
}
