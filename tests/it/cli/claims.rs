//! Claims with owners: who may do what, what is over, and who holds what.

use std::sync::Arc;

use autoforge_store::{Caller, ClaimFeature, Command, MarkInProgress, ProcessIdentity};
use serde_json::{Value, json};

use super::{Project, Said, command, said};

/// So short that it is over before anybody can look.
const OVER: &str = "0.000001";

fn claim(project: &Project, id: &str, agent: &str, lease: &str) -> Value {
    project.json(["claim", id, "--as", agent, "--lease", lease]).data()
}

fn fail_thrice(project: &Project, id: &str) {
    for reason in ["one", "two", "three"] {
        project.json(["claim", id, "--as", "bob"]).data();
        project.json(["fail", id, "--as", "bob", "--reason", reason]).data();
    }
}

/// What a run that went wrong in this way advises.
fn hint(said: &Said, code: i32) -> String {
    assert_eq!(said.code, code, "{said:?}");
    let line = said.err.lines().find(|line| line.starts_with("hint: "));
    line.unwrap_or_else(|| panic!("{said:?}")).to_owned()
}

#[test]
fn a_claim_is_its_owners_and_claiming_it_again_renews_it() {
    let project = Project::usual();
    let first = claim(&project, "4", "bob", "1h");
    assert_eq!((&first["in_progress"], &first["renewed"]), (&json!(true), &json!(false)));
    assert_eq!(first["claim"]["lease_seconds"], 3600.0);
    let again = claim(&project, "4", "bob", "1h");
    assert_eq!((&again["token"], &again["renewed"]), (&first["token"], &json!(true)));
    assert!(again["claim"]["renewed_at"].as_str() > first["claim"]["renewed_at"].as_str());
    let longer = project.run(["claim", "4", "--as", "bob", "--lease", "2h"]);
    assert!(longer.err.contains("stays with its lease of 1 h"), "{longer:?}");
    assert!(longer.ok().starts_with("renewed #4 Cart\ntoken\t"));

    let other = project.json(["claim", "4", "--as", "eve"]).error(4);
    assert_eq!((&other["code"], &other["retryable"]), (&json!("held_by_other"), &json!(true)));
    assert_eq!(project.json(["claim", "4"]).error(4)["code"], "held_by_other");
    let advice = hint(&project.run(["claim", "4", "--as", "eve"]), 4);
    assert!(advice.contains("claims 4") && advice.contains("release 4"), "{advice}");
    let advice = hint(&project.run(["claim", "4", "--as", "bob", "--session", "night"]), 4);
    assert!(advice.contains("its session \"cli\""), "{advice}");
}

#[test]
fn a_claim_without_an_owner_has_a_token_too() {
    let project = Project::usual();
    let token = project.json(["claim", "4"]).data()["token"].as_i64().unwrap();
    let wrong = (token + 1).to_string();
    assert_eq!(project.json(["pass", "4", "--token", &wrong]).error(4)["code"], "stale_token");
    project.run(["pass", "4", "--token", &token.to_string()]).ok();
}

#[test]
fn the_agent_and_its_session_may_come_from_variables() {
    let project = Project::usual();
    let with = |agent: &str, session: &str, args: &[&str]| {
        let mut command = command(project.path());
        command.env("AUTOFORGE_AGENT", agent).env("AUTOFORGE_SESSION", session);
        said(command.args(args).arg("--json"))
    };
    let claim = with("bob", "monday", &["claim", "4"]).data()["claim"].take();
    assert_eq!((&claim["agent"], &claim["session"]), (&json!("bob"), &json!("monday")));
    assert_eq!(with("bob", "", &["pass", "4"]).error(4)["code"], "held_by_other");
    with("bob", "monday", &["release", "4"]).data();
    let next = with("bob", "monday", &["ready", "--claim"]).data();
    assert_eq!((&next["id"], &next["claim"]["agent"]), (&json!(4), &json!("bob")));
    with("eve", "", &["pass", "4", "--as", "bob", "--session", "monday"]).data();
}

#[test]
fn what_is_done_to_an_owned_feature_is_done_by_its_owner_under_its_token_or_by_force() {
    for verb in ["pass", "fail", "skip", "release"] {
        let project = Project::usual();
        let token = claim(&project, "4", "bob", "1h")["token"].to_string();
        let other = json!(token.parse::<i64>().unwrap() + 1).to_string();
        let code = |args: &[&str]| {
            let args = [&[verb, "4"], args].concat();
            said(command(project.path()).args(args).arg("--json")).error(4)["code"].take()
        };
        assert_eq!(code(&[]), "held_by_other", "{verb}");
        assert_eq!(code(&["--as", "eve"]), "held_by_other", "{verb}");
        assert_eq!(code(&["--as", "bob", "--token", &other]), "stale_token", "{verb}");
        let advice = hint(&project.run([verb, "4"]), 4);
        assert!(["--as", "--token", "--force", "claims 4"].iter().all(|w| advice.contains(w)));
        let right = match verb {
            "pass" => &["--as", "bob"][..],
            "fail" => &["--token", &token],
            "skip" => &["--as", "bob", "--token", &token],
            _ => &["--force", "--as", "eve", "--reason", "bob is on holiday"],
        };
        said(command(project.path()).args([verb, "4"]).args(right)).ok();
        let last = project.json(["log", "4", "--limit", "1"]).data()["events"][0].take();
        assert_eq!(
            (&last["claim"].to_string(), &last["overrode"]),
            (&token, &json!(verb == "release"))
        );
        if verb == "release" {
            assert_eq!(
                (&last["agent"], &last["reason"]),
                (&json!("eve"), &json!("bob is on holiday"))
            );
        }
    }
}

#[test]
fn a_lease_that_has_run_out_frees_the_feature_and_ends_its_owners_right() {
    let project = Project::usual();
    let token = claim(&project, "4", "bob", OVER)["token"].to_string();
    let claims = project.json(["claims"]).data();
    let over = &claims["claims"][1];
    assert_eq!(
        (&over["feature_id"], &over["over"], &claims["over"]),
        (&json!(4), &json!("expired"), &json!(1))
    );
    assert_eq!(over["lease_left_seconds"], 0.0);
    assert!(project.run(["claims"]).ok().contains("\tbob\tcli\t\t"));
    let status = project.json(["status"]).data();
    assert_eq!((&status["ready"], &status["in_progress"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&status["over"][0]["id"], &status["being_worked_on"][0]["id"]),
        (&json!(4), &json!(2))
    );
    let listed = project.json(["list", "--status", "ready"]).data()["features"][0].take();
    assert_eq!(
        (&listed["id"], &listed["status"], &listed["failures"]),
        (&json!(4), &json!("pending"), &json!(1))
    );
    assert_eq!(project.json(["list", "--status", "in_progress"]).data()["shown"], 1);
    assert_eq!(project.json(["show", "4"]).data()["status"], "pending");

    claim(&project, "4", "eve", "1h");
    let late = project.run(["pass", "4", "--as", "bob", "--token", &token]);
    assert!(late.err.contains(&format!("claim {token} on feature 4 has ended, and eve since ")));
    assert!(hint(&late, 4).contains("claims 4"));
    let attempts = project.json(["claims", "4"]).data();
    let outcomes: Vec<&Value> =
        attempts["attempts"].as_array().unwrap().iter().map(|a| &a["outcome"]).collect();
    assert_eq!(outcomes, [&json!(null), &json!("expired")]);
    assert_eq!((&attempts["failures"], &attempts["attempts_allowed"]), (&json!(1), &json!(3)));
}

#[test]
fn who_holds_what_is_told_by_every_view() {
    let project = Project::usual();
    let token = claim(&project, "4", "bob", "1h")["token"].to_string();
    let show = project.json(["show", "4"]).data();
    assert_eq!(
        (&show["claim"]["agent"], &show["claim"]["token"].to_string()),
        (&json!("bob"), &token)
    );
    let text = project.run(["show", "4"]).ok();
    for line in ["status\tin_progress", "held_by\tbob", "session\tcli", &format!("token\t{token}")]
    {
        assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
    }
    assert!(project.run(["list", "--search", "cart"]).ok().ends_with("\tCart\t\tbob\t\n"));
    let status = project.json(["status"]).data();
    let owners = json!([
        {"agent": null, "session": null, "pid": null, "host": null, "feature_ids": [2]},
        {"agent": "bob", "session": "cli", "pid": null, "host": null, "feature_ids": [4]},
    ]);
    assert_eq!(status["owners"], owners);
    let text = project.run(["status"]).ok();
    assert!(
        text.contains("owners\tbob\tcli\t\t4\n")
            && text.contains("being_worked_on\t4\tCart\tbob\t")
    );
    let all = project.json(["claims", "--all", "--limit", "1"]).data()["attempts"].take();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["name"]), (1, &json!("Cart")));
}

#[test]
fn the_attempts_at_a_feature_that_is_gone_are_remembered() {
    let project = Project::usual();
    claim(&project, "4", "bob", "1h");
    project.run(["delete", "4", "--yes", "--force"]).ok();
    let attempts = project.json(["claims", "4"]).data()["attempts"].take();
    assert_eq!((&attempts[0]["outcome"], &attempts[0]["name"]), (&json!("released"), &json!(null)));
    assert_eq!(project.json(["claims", "99"]).error(3)["code"], "not_found");
}

#[test]
fn a_feature_that_has_failed_too_often_waits_until_somebody_says_so() {
    let project = Project::with(&json!([{"name": "Cart"}]));
    fail_thrice(&project, "1");
    let next = project.run(["claim"]);
    assert!(next.err.contains("0 blocked, 1 out of attempts"), "{next:?}");
    assert!(hint(&next, 5).contains("autoforge-store retry"));
    let ready = project.run(["ready"]);
    assert!(ready.err.contains("autoforge-store retry") && ready.out.is_empty(), "{ready:?}");
    assert!(hint(&project.run(["claim", "1"]), 4).contains("retry 1"));
    assert_eq!(project.json(["claim", "1"]).error(4)["code"], "out_of_attempts");
    assert_eq!(
        project.run(["list", "--status", "exhausted"]).ok(),
        "1\t1\tpending\tuncategorized\tCart\t\t\t3 of 3\n"
    );
    assert_eq!(project.json(["list", "--status", "ready"]).data()["shown"], 0);
    let status = project.json(["status"]).data();
    assert_eq!(status["out_of_attempts"], json!([{"id": 1, "name": "Cart", "failures": 3}]));
    assert_eq!(status["ready"], 0);
    let why = project.json(["explain", "1"]).data()["obstacles"][0].take();
    assert_eq!(
        (&why["kind"], &why["reasons"]),
        (&json!("exhausted"), &json!(["three", "two", "one"]))
    );
    assert!(project.run(["explain", "1"]).ok().contains("\tretry 1\n"));

    assert_eq!(project.json(["retry", "1"]).data()["failures_forgotten"], 3);
    assert_eq!(project.run(["retry", "1"]).ok(), "#1 Cart has not failed\n");
    assert_eq!(project.run(["claim"]).ok().lines().next(), Some("claimed #1 Cart"));
    assert_eq!(project.json(["retry", "9"]).error(3)["code"], "not_found");
}

#[test]
fn failing_tells_how_many_attempts_are_left() {
    let project = Project::usual();
    project.run(["policy", "--attempts", "2"]).ok();
    let fail = || {
        project.json(["claim", "4", "--as", "bob"]).data();
        project.run(["fail", "4", "--as", "bob"])
    };
    let first = fail();
    assert_eq!(
        (first.out.as_str(), first.err.as_str()),
        ("#4 Cart fails; failed attempts: 1 of 2\n", "")
    );
    let last = fail();
    assert!(last.err.contains("retry 4"), "{last:?}");
}

#[test]
fn recover_ends_what_is_over_and_nothing_else() {
    let project = Project::usual();
    claim(&project, "4", "bob", OVER);
    claim(&project, "5", "bob", "1h");
    let store = project.store();
    // A process of this one's number that had another start is dead.
    let process = ProcessIdentity::current().map(|own| ProcessIdentity { started: 1, ..own });
    let dead = Arc::new(Caller::new("eve", "night").in_process(process));
    project.run(["release", "2"]).ok();
    let claimed = store.call(ClaimFeature { id: 2.into() }.by(&dead).owning(None)).unwrap();
    store.close();

    let data = project.json(["claims"]).data();
    let states: Vec<(&Value, &Value)> =
        data["claims"].as_array().unwrap().iter().map(|c| (&c["feature_id"], &c["over"])).collect();
    let expected = [(4, json!("expired")), (5, json!(null)), (2, json!("died"))];
    assert!(
        states.iter().zip(&expected).all(|((id, over), (i, o))| **id == *i && *over == o),
        "{data}"
    );
    let text = project.run(["recover", "--as", "janitor"]).ok();
    let token = claimed.token.unwrap();
    assert!(text.contains("\t4\tCart\tbob\tits lease ran out\n"), "{text}");
    assert!(text.contains(&format!("{token}\t2\tLog out\teve\tits process died\n")), "{text}");
    assert_eq!(project.json(["recover"]).data(), json!({"recovered": []}));
    let log = project.json(["log", "--agent", "janitor"]).data()["events"].take();
    let kinds: Vec<&Value> = log.as_array().unwrap().iter().map(|e| &e["kind"]).collect();
    assert_eq!(kinds, [&json!("died"), &json!("expired")]);
    assert_eq!(project.json(["claims"]).data()["claims"].as_array().unwrap().len(), 1);
}

#[test]
fn a_request_is_carried_out_once_however_often_it_is_sent() {
    let project = Project::usual();
    let add = [
        "add",
        "--category",
        "c",
        "--name",
        "n",
        "--description",
        "d",
        "--step",
        "s",
        "--request-id",
        "add-1",
    ];
    let first = project.json(add).data();
    assert_eq!(project.json(add).data(), first);
    let claim = || project.json(["claim", "--as", "bob", "--request-id", "claim-1"]);
    let token = claim().data()["token"].take();
    assert_eq!(claim().data()["token"], token);
    project.run(["pass", "4", "--as", "bob", "--request-id", "pass-1"]).ok();
    project.run(["pass", "4", "--as", "bob", "--request-id", "pass-1"]).ok();
    assert_eq!(project.json(["pass", "4"]).error(4)["code"], "already_passing");
    let late = claim();
    assert!(late.err.contains(&format!("claim {token} has ended since")), "{late:?}");

    let reused = project.json(["skip", "5", "--request-id", "pass-1"]).error(4);
    assert_eq!(reused["code"], "request_id_reused");
    let answer = ["answer", "3", "--field", "provider=p", "--field", "live=y", "--request-id", "a"];
    let first = project.json(answer).data();
    assert_eq!(project.json(answer).data(), first);
    let delete = ["delete", "5", "--yes", "--request-id", "d"];
    assert_eq!(project.json(delete).data(), project.json(delete).data());
    let edit = ["edit", "6", "--name", "N", "--request-id", "e"];
    assert_eq!(project.json(edit).data(), project.json(edit).data());
}

#[test]
fn the_policy_is_shown_and_changed_rule_by_rule() {
    let project = Project::empty();
    let usual = project.json(["policy"]).data();
    assert_eq!((&usual["attempts"], &usual["events"]), (&json!(3), &json!(100_000)));
    let data = project.json(["policy", "--attempts", "none", "--answers-for", "2d"]).data();
    assert_eq!((&data["attempts"], &data["answers_for_seconds"]), (&json!(null), &json!(172_800)));
    assert_eq!((&data["before"]["attempts"], &data["events"]), (&json!(3), &json!(100_000)));
    let text =
        project.run(["policy", "--events", "9", "--ended-claims", "0", "--answers", "7"]).ok();
    assert_eq!(text, "attempts\tnone\nevents\t9\nended_claims\t0\nanswers\t7\nanswers_for\t2 d\n");
}

#[test]
fn what_the_program_does_is_signed_wherever_it_writes() {
    let project = Project::none();
    let sign = |args: &[&str]| {
        let mut command = command(project.path());
        said(command.args(args).args(["--as", "bob", "--reason", "because"])).ok()
    };
    project.write("list.json", "[{}, {}]");
    sign(&["import", "list.json"]);
    sign(&["add", "--category", "c", "--name", "n", "--description", "d", "--step", "s"]);
    sign(&["edit", "1", "--name", "x"]);
    sign(&["depends", "2", "--add", "1"]);
    project.store().call(MarkInProgress { id: 3.into() }).unwrap();
    sign(&["release", "3"]);
    sign(&["undo", "--feature", "1", "--yes"]);
    sign(&["delete", "3", "--yes"]);
    let data = project.json(["log", "--agent", "bob", "--session", "cli"]).data();
    let events = data["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let expected =
        ["deleted", "undone", "released", "depends", "edited", "created", "imported", "imported"];
    assert_eq!(kinds, expected);
    assert!(events.iter().all(|event| event["reason"] == "because"), "{data}");
}
