//! Answering what a feature asks.

use serde_json::json;

use super::Project;

#[test]
fn the_question_is_shown_where_nobody_can_be_asked() {
    let project = Project::usual();
    let data = project.json(["answer", "3"]).data();
    assert_eq!(data["human_input_request"]["prompt"], "Which provider?");
    assert_eq!(data["request_revision"], project.json(["show", "3"]).data()["request_revision"]);
    let text = project.run(["answer", "3"]).ok();
    for line in ["question\tWhich provider?", "fields\tprovider\tProvider\tone of: s, p\trequired"]
    {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    assert_eq!(project.json(["show", "3"]).data()["needs_human_input"], true);
}

#[test]
fn fields_answer_a_question_and_free_the_feature() {
    let project = Project::usual();
    let text = project.run(["answer", "3", "--field", "provider=p", "--field", "live=yes"]).ok();
    assert_eq!(text, "answered #3 Pay\n");
    let after = project.json(["show", "3"]).data();
    let fields = json!({"provider": "p", "live": true});
    assert_eq!(after["human_input_response"]["fields"], fields);
    assert_eq!(after["status"], "pending");
    assert!(project.run(["show", "3"]).ok().contains("answer\tprovider: p\n"));
    let again = project.json(["answer", "3", "--field", "provider=p"]).error(4);
    assert_eq!((&again["code"], &again["feature_ids"]), (&json!("not_waiting"), &json!([3])));
}

#[test]
fn json_answers_a_question() {
    let project = Project::usual();
    let values = json!({"provider": "s", "live": false, "note": "a=b\nc"});
    let said = project.feed(["answer", "3", "--json", "--json-fields", "-"], &values.to_string());
    assert_eq!(said.data()["human_input_response"]["fields"], values);
}

#[test]
fn an_answer_that_does_not_fit_changes_nothing() {
    let project = Project::usual();
    let wrong: [&[&str]; 5] = [
        &["provider=p"],
        &["provider=x", "live=y"],
        &["provider=p", "live=perhaps"],
        &["provider=p", "live=y", "other=1"],
        &["provider=p", "provider=s", "live=y"],
    ];
    for fields in wrong {
        let fields = fields.iter().flat_map(|field| ["--field", field]);
        let said = super::run_in(project.path(), ["answer", "3"].into_iter().chain(fields));
        assert_eq!(said.code, 2, "{said:?}");
    }
    assert_eq!(project.feed(["answer", "3", "--json-fields", "-"], "[]").code, 2);
    assert_eq!(project.json(["show", "3"]).data()["needs_human_input"], true);
    assert_eq!(project.json(["answer", "4"]).error(4)["code"], "not_waiting");
    assert_eq!(project.json(["answer", "9"]).error(3)["code"], "not_found");
}

#[test]
fn an_answer_to_an_earlier_question_is_refused() {
    let project = Project::usual();
    let answer = |revision: &str| {
        let fields = ["--field", "provider=p", "--field", "live=y"];
        let expected = ["--expect", revision, "--json"];
        super::run_in(project.path(), ["answer", "3"].iter().chain(&fields).chain(&expected))
    };
    let stale = answer("00c0ffee00c0ffee").error(4);
    assert_eq!(stale["code"], "request_changed");
    let shown = project.json(["answer", "3"]).data();
    let revision = shown["request_revision"].as_str().unwrap();
    answer(revision).ok();
}

#[test]
fn a_feature_that_waits_without_a_question_takes_any_answer() {
    let project = Project::with(&json!([{"needs_human_input": true}]));
    assert_eq!(project.json(["answer", "1"]).data()["request_revision"], json!(null));
    let data = project.json(["answer", "1", "--field", "answer=go on"]).data();
    assert_eq!(data["human_input_response"]["fields"], json!({"answer": "go on"}));
}
