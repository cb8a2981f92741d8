//! `progress`, and the webhook that it reports to: a server of the test's own.
#![expect(clippy::disallowed_types, reason = "tests wait for each other outside the models")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::{Project, Said, command, said};

/// A request as it came.
#[derive(Debug)]
struct Request {
    head: Vec<String>,
    body: Value,
}

/// Answers every request with the same line, until it is stopped.
struct Server {
    address: String,
    requests: Receiver<Request>,
    thread: JoinHandle<()>,
}

impl Server {
    fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = channel();
        let thread = std::thread::spawn(move || serve(&listener, status, &sender));
        Self { address, requests, thread }
    }

    fn url(&self) -> String {
        format!("http://{}/webhook/secret?key=secret", self.address)
    }

    /// Everything that was posted.
    fn stop(self) -> Vec<Request> {
        TcpStream::connect(&self.address).unwrap().write_all(b"STOP\r\n\r\n").unwrap();
        self.thread.join().unwrap();
        self.requests.try_iter().collect()
    }
}

fn serve(listener: &TcpListener, status: &str, requests: &Sender<Request>) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let Some(request) = read(&stream) else { return };
        requests.send(request).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

/// `None` for the word that stops the server.
fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            "STOP" => return None,
            line => head.push(line.to_lowercase()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Some(Request { head, body: serde_json::from_slice(&body).unwrap() })
}

/// The program without what the tester's environment says of webhooks and proxies.
fn program(project: &Project, args: &[&str]) -> std::process::Command {
    let mut command = command(project.path());
    for variable in
        ["PROGRESS_N8N_WEBHOOK_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    {
        command.env_remove(variable);
    }
    command.args(args);
    command
}

fn notify(project: &Project, url: &str) -> Said {
    said(&mut program(project, &["progress", "--notify", "--webhook", url, "--json"]))
}

/// Features of which so many pass.
fn project(passing: usize) -> Project {
    let list: Vec<Value> = (1..=8)
        .map(|id| json!({"id": id, "name": format!("{id}"), "category": "C", "passes": id <= passing}))
        .collect();
    Project::with(&json!(list))
}

#[test]
fn progress_is_counted_and_named() {
    let project = Project::usual();
    let data = project.json(["progress"]).data();
    let expected = json!({"has_features": true, "passing": 1, "in_progress": 1,
        "needs_human_input": 1, "total": 5, "percentage": 20.0, "source": "database"});
    assert_eq!(data, expected);
    let named = project.json(["progress", "--names"]).data();
    assert_eq!(named["passing_features"], json!([{"id": 1, "category": "Auth", "name": "Log in"}]));
    let text = project.run(["progress", "--names"]).ok();
    assert!(
        text.starts_with("passing\t1\n") && text.ends_with("passes\t1\tAuth\tLog in\n"),
        "{text}"
    );
}

#[test]
fn a_file_of_an_old_release_is_counted_and_left_alone() {
    let project = Project::none();
    let path = project.path().join("features.db");
    let old = crate::support::foreign(&path);
    old.execute_batch(&crate::old_files::named("no in_progress")).unwrap();
    drop(old);
    #[expect(clippy::disallowed_methods, reason = "nobody has it open")]
    let bytes = || std::fs::read(&path).unwrap();
    let before = bytes();
    let data = project.json(["progress", "--names"]).data();
    assert_eq!((&data["passing"], &data["total"]), (&json!(1), &json!(3)));
    assert_eq!(bytes(), before);
    assert_eq!(project.names(), ["features.db"]);
}

#[test]
fn a_list_that_is_not_imported_yet_is_counted_and_stays() {
    let project = Project::none();
    project.write("feature_list.json", r#"[{"name": "a", "passes": true}, {"name": "b"}]"#);
    let data = project.json(["progress", "--names"]).data();
    assert_eq!((&data["passing"], &data["total"]), (&json!(1), &json!(2)));
    assert_eq!(data["source"], "feature_list.json");
    assert_eq!(data["passing_features"][0]["name"], "a");
    assert_eq!(project.names(), ["feature_list.json"]);
    project.write("feature_list.json", "[{");
    assert_eq!(project.json(["progress"]).error(1)["code"], "backlog");
}

#[test]
fn what_cannot_be_read_is_an_error_with_an_exit_code() {
    let nothing = Project::none();
    assert_eq!(nothing.json(["progress"]).error(3)["code"], "no_project");
    let project = Project::none();
    project.write("features.db", "no database");
    assert_eq!(project.json(["progress"]).error(7)["code"], "not_a_database");
    let project = Project::none();
    let other = crate::support::foreign(&project.path().join("features.db"));
    other.execute_batch(&crate::old_files::named("no in_progress")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let busy = project.json(["progress", "--lock-wait", "0"]).error(6);
    assert_eq!((&busy["code"], &busy["retryable"]), (&json!("busy"), &json!(true)));
}

#[test]
fn an_increase_is_posted_once_and_said() {
    let project = project(2);
    let server = Server::answering("200 OK");
    let data = notify(&project, &server.url()).data();
    let notified = &data["notified"];
    assert_eq!((&notified["delivered"], &notified["status"]), (&json!(true), &json!(200)));
    assert_eq!(notified["webhook"], format!("http://{}", server.address));
    let again = notify(&project, &server.url()).data();
    assert_eq!(again["notified"]["report"], json!(null));
    project.run(["pass", "3"]).ok();
    let url = server.url();
    let mut by_variable = program(&project, &["progress", "--notify"]);
    let text = said(by_variable.env("PROGRESS_N8N_WEBHOOK_URL", &url)).ok();
    assert!(text.contains(&format!("notified\t1 more reported to http://{}\n", server.address)));
    assert!(!text.contains("secret"));

    let requests = server.stop();
    assert_eq!(requests.len(), 2);
    let name = project.real_path().file_name().unwrap().to_str().unwrap().to_owned();
    let mut first = requests[0].body.clone();
    assert!(first[0]["timestamp"].as_str().unwrap().ends_with('Z'));
    first[0]["timestamp"] = json!("now");
    let expected = json!([{"event": "test_progress", "passing": 2, "total": 8, "percentage": 25.0,
        "previous_passing": 0, "tests_completed_this_session": 2, "completed_tests": ["C 1", "C 2"],
        "project": name, "timestamp": "now"}]);
    assert_eq!(first, expected);
    assert_eq!(requests[1].body[0]["completed_tests"], json!(["C 3"]));
    let head = &requests[0].head;
    assert_eq!(head[0], "post /webhook/secret?key=secret http/1.1");
    for line in ["content-type: application/json", "user-agent: autoforge-store/"] {
        assert!(head.iter().any(|found| found.starts_with(line)), "{head:?}");
    }
    assert_eq!(notified["report"]["completed_tests"], json!(["C 1", "C 2"]));
}

#[test]
fn of_eight_processes_at_once_one_posts() {
    let project = project(5);
    let server = Server::answering("204 No Content");
    let url = server.url();
    let args = ["progress", "--notify", "--webhook", &url, "--json"];
    let started: Vec<_> =
        (0..8).map(|_| program(&project, &args).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let mut reports = 0;
    for child in started {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
        let notified = &envelope["data"]["notified"];
        reports += usize::from(!notified["report"].is_null());
        assert_eq!(notified["delivered"], !notified["report"].is_null());
    }
    let requests = server.stop();
    assert_eq!((reports, requests.len()), (1, 1));
    assert_eq!(requests[0].body[0]["completed_tests"], json!(["C 1", "C 2", "C 3", "C 4", "C 5"]));
}

#[test]
fn a_webhook_that_refuses_is_said_and_the_report_is_not_sent_again() {
    for status in ["500 Internal Server Error", "302 Found", "404 Not Found"] {
        let project = project(1);
        let server = Server::answering(status);
        let said = notify(&project, &server.url());
        assert!(said.err.contains("did not reach") && !said.err.contains("secret"), "{said:?}");
        let data = said.data();
        let number: u16 = status[..3].parse().unwrap();
        assert_eq!(data["notified"]["status"], number);
        assert_eq!(data["notified"]["delivered"], false);
        assert_eq!(data["passing"], 1, "the counts are told whatever the webhook says");
        assert_eq!(notify(&project, &server.url()).data()["notified"]["report"], json!(null));
        assert_eq!(server.stop().len(), 1);
    }
}

#[test]
fn a_webhook_that_nobody_serves_is_said() {
    let project = project(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let data = notify(&project, &url).data();
    assert_eq!(data["notified"]["delivered"], false);
    assert!(data["notified"]["problem"].is_string());
    assert_eq!(data["passing"], 1);
}

#[test]
fn a_webhook_that_never_answers_keeps_nobody_from_the_project() {
    let project = project(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let args = ["progress", "--notify", "--webhook", &url, "--json"];
    let waiting = program(&project, &args).stdout(Stdio::piped()).spawn().unwrap();
    // It has decided and is posting; the answer never comes.
    let (held, _) = listener.accept().unwrap();
    // Everybody goes on, with no lock to wait for, and nobody has the database open.
    assert_eq!(project.run(["--lock-wait", "0", "pass", "2"]).code, 0);
    assert_eq!(project.json(["--lock-wait", "0", "progress"]).data()["passing"], 2);
    let foreign = crate::support::foreign(&project.path().join(".autoforge/features.db"));
    foreign.execute_batch("BEGIN EXCLUSIVE; ROLLBACK").unwrap();
    foreign.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    drop(foreign);
    // The connection breaks off, or the limit of time comes first: both are told.
    drop(held);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(envelope["data"]["notified"]["delivered"], false);
    assert_eq!(envelope["data"]["passing"], 1, "as it was when it looked");
}

#[test]
fn a_wrong_address_costs_no_report() {
    let project = project(1);
    assert_eq!(said(&mut program(&project, &["progress", "--notify"])).code, 2);
    for wrong in ["", "example.com", "ftp://example.com/", "https://"] {
        let said = notify(&project, wrong);
        assert_eq!(said.code, 2, "{said:?}");
    }
    assert_eq!(said(&mut program(&project, &["progress", "--webhook", "http://x/"])).code, 2);
    let server = Server::answering("200 OK");
    assert_eq!(notify(&project, &server.url()).data()["notified"]["delivered"], true);
    assert_eq!(server.stop().len(), 1);
}

/// Drives the project with agents that only pretend.
fn drive(project: &Project, url: &str) -> std::process::Command {
    let options = ["run", "--agent", "simulated", "--testing", "0", "--batch", "1", "--webhook"];
    let mut program = program(project, &options);
    program.args([url, "--json"]).stdout(Stdio::piped());
    program
}

#[test]
fn two_runs_report_each_pass_once_between_them() {
    let project = project(2);
    let server = Server::answering("200 OK");
    let runs = [(); 2].map(|()| drive(&project, &server.url()).spawn().unwrap());
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let mut reports: Vec<(u64, u64, usize)> = Vec::new();
    for request in server.stop() {
        let report = &request.body[0];
        let number = |key: &str| report[key].as_u64().unwrap();
        let named = report["completed_tests"].as_array().unwrap().len();
        reports.push((number("previous_passing"), number("passing"), named));
    }
    reports.sort_unstable();
    let mut passing = 0;
    for (previous, now, _) in &reports {
        assert_eq!(*previous, passing, "nothing twice, nothing left out: {reports:?}");
        passing = *now;
    }
    assert_eq!(passing, 8, "{reports:?}");
}

#[test]
fn a_webhook_that_nobody_serves_does_not_keep_a_run_from_its_end() {
    let project = project(6);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret", closed.local_addr().unwrap());
    drop(closed);
    let run = said(&mut drive(&project, &url));
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("\"finish\":\"all_passing\""), "{run:?}");
    assert!(run.err.contains("did not reach http://127.0.0.1"), "{run:?}");
    assert!(!run.err.contains("secret"), "{run:?}");
}
