//! Which project is meant, and what holds for every command.

use std::io::Read;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{PROGRAM, Project, command, run_in, said};

#[test]
fn init_makes_a_database_once_and_says_where() {
    let project = Project::none();
    let database = project.real_path().join(".autoforge/features.db");
    let said = project.run(["init"]);
    assert_eq!(said.err, "");
    assert_eq!(said.ok(), format!("{} is made\n", database.display()));
    let again = project.json(["init"]).data();
    assert_eq!((&again["created"], &again["imported"]), (&json!(false), &Value::Null));
    assert_eq!(again["database"], database.to_str().unwrap());
    assert!(project.run(["init"]).ok().contains("is there already"));
}

#[test]
fn init_inside_a_project_makes_a_project_of_its_own_and_warns() {
    let outer = Project::empty();
    let inner = outer.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let said = run_in(&inner, ["init"]);
    assert!(said.err.contains("lies within the project in"), "{said:?}");
    assert!(inner.join(".autoforge/features.db").exists());
    assert_eq!(run_in(&inner, ["init"]).err, "");
}

#[test]
fn init_takes_over_a_list_of_the_time_before_databases() {
    let project = Project::none();
    project.write("feature_list.json", r#"[{"name": "a"}, {"name": "b"}]"#);
    let said = project.json(["init"]);
    assert!(said.err.contains("2 features were imported from"), "{said:?}");
    assert_eq!(said.data()["imported"]["features"], 2);
    assert_eq!(project.json(["status"]).data()["total"], 2);
}

#[test]
fn a_folder_without_a_database_is_refused_and_left_alone() {
    let project = Project::none();
    let commands: &[&[&str]] = &[
        &["status"],
        &["list"],
        &["show", "1"],
        &["ready"],
        &["ready", "--claim"],
        &["blocked"],
        &["claim"],
        &["claim", "1"],
        &["pass", "1"],
        &["fail", "1"],
        &["skip", "1"],
        &["release", "1"],
        &["edit", "1", "--name", "x"],
        &["delete", "1", "--yes"],
        &["depends", "1"],
        &["answer", "1"],
        &["export"],
        &["export", "list.json"],
        &["graph"],
        &["progress"],
        &["schedules", "list"],
        &["schedules", "next"],
        &["schedules", "override", "stop"],
        &["explain", "1"],
        &["claims"],
        &["claims", "1"],
        &["recover"],
        &["retry", "1"],
        &["log"],
        &["watch"],
        &["undo", "1", "--dry-run"],
        &["undo", "1", "--yes"],
        &["policy"],
    ];
    for args in commands {
        let text = run_in(project.path(), *args);
        assert_eq!((text.code, text.out.as_str()), (3, ""), "{args:?}");
        assert!(
            text.err.starts_with("error: ") && text.err.contains("\nhint: `autoforge-store init`")
        );
        let error = said(command(project.path()).args(*args).arg("--json")).error(3);
        assert_eq!(error["code"], "no_project", "{args:?}");
    }
    assert!(project.names().is_empty());
    let nowhere = project.run(["--dir", "no/where", "status"]);
    assert_eq!(nowhere.code, 3);
    assert!(project.names().is_empty());
}

#[test]
fn a_project_is_named_by_option_then_by_variable_then_by_the_folders_above() {
    let [option, variable, around] = [(); 3].map(|()| Project::empty());
    let deep = around.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    let status = |with_option: bool, with_variable: bool| {
        let mut command = command(&deep);
        if with_option {
            command.arg("--dir").arg(option.path());
        }
        if with_variable {
            command.env("PROJECT_DIR", variable.path());
        }
        let mut data = said(command.args(["status", "--json"])).data();
        (data["project"].take(), data["found_by"].take())
    };
    let expect =
        |project: &Project, by: &str| (json!(project.real_path().to_str().unwrap()), json!(by));
    assert_eq!(status(true, true), expect(&option, "--dir"));
    assert_eq!(status(false, true), expect(&variable, "$PROJECT_DIR"));
    let above = "the nearest folder upward that has a database";
    assert_eq!(status(false, false), expect(&around, above));
}

#[test]
fn databases_of_every_age_are_found_from_below() {
    for place in [".autoforge", ".autocoder", "."] {
        let project = Project::empty();
        let (new, old) = (project.path().join(".autoforge"), project.path().join(place));
        if place != ".autoforge" {
            std::fs::create_dir_all(&old).unwrap();
            std::fs::rename(new.join("features.db"), old.join("features.db")).unwrap();
            std::fs::remove_dir_all(new).unwrap();
        }
        let deep = project.path().join("src/deep");
        std::fs::create_dir_all(&deep).unwrap();
        let data = said(command(&deep).args(["status", "--json"])).data();
        let database = std::fs::canonicalize(old.join("features.db")).unwrap();
        assert_eq!(data["database"], database.to_str().unwrap());
        assert_eq!(data["project"], project.real_path().to_str().unwrap());
    }
}

#[test]
fn relative_and_odd_folders_work() {
    let project = Project::none();
    for name in ["plain", "with space", "quote'\"", "ünï", "#1", "?mode=memory", "a\nb", "-x"] {
        let dir = format!("--dir=./{name}");
        assert_eq!(run_in(project.path(), [&dir, "init"]).code, 0, "{name:?}");
        assert_eq!(run_in(project.path(), ["status", &dir]).code, 0, "{name:?}");
        assert!(project.path().join(name).join(".autoforge/features.db").exists(), "{name:?}");
    }
    assert_eq!(project.run(["--dir", "", "status"]).code, 2);
    project.write("file", "");
    assert_eq!(project.run(["--dir", "file", "init"]).code, 2);
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let project = Project::usual();
    let wrong: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["show"],
        &["show", "one"],
        &["add", "--name", "x"],
        &["edit", "1"],
        &["depends", "5", "--add", "1", "--clear"],
        &["ready", "--claim", "--limit", "3"],
        &["answer", "3", "--field", "novalue"],
        &["list", "--status", "lost"],
        &["export", "--force"],
        &["--lock-wait", "-1", "status"],
        &["claim", "4", "--lease", "1h"],
        &["claim", "4", "--as", "a", "--lease", "soon"],
        &["claim", "4", "--as", ""],
        &["pass", "4", "--session", "s"],
        &["pass", "4", "--token", "1", "--force"],
        &["pass", "4", "--request-id", ""],
        &["claims", "4", "--all"],
        &["claims", "--limit", "4"],
        &["undo"],
        &["undo", "1"],
        &["undo", "1", "--feature", "4", "--yes"],
        &["undo", "1", "--agent", "a", "--yes"],
        &["undo", "1", "--yes", "--dry-run"],
        &["policy", "--attempts", "0"],
        &["policy", "--events", "0"],
        &["policy", "--answers-for", "0.5"],
        &["watch", "--count", "0"],
        &["watch", "--timeout", "0"],
        &["log", "--since", "x"],
    ];
    for args in wrong {
        assert_eq!(run_in(project.path(), *args).code, 2, "{args:?}");
    }
}

#[test]
fn help_lists_every_exit_code() {
    let help = run_in(std::env::temp_dir().as_path(), ["--help"]).ok();
    for code in 0..=7 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}: {help}");
    }
}

#[test]
fn a_file_that_is_no_database_ends_with_7() {
    let project = Project::none();
    std::fs::create_dir(project.path().join(".autoforge")).unwrap();
    project.write(".autoforge/features.db", &"not a database ".repeat(100));
    assert_eq!(project.json(["status"]).error(7)["code"], "not_a_database");
    assert!(project.run(["status"]).err.contains("hint: `autoforge-store doctor`"));
}

#[test]
fn a_locked_database_ends_with_6_and_can_be_retried() {
    let project = Project::usual();
    let database = project.path().join(".autoforge/features.db");
    let other = rusqlite::Connection::open(database).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = project.json(["pass", "4", "--lock-wait", "0.1"]).error(6);
    assert_eq!((&error["code"], &error["retryable"]), (&json!("busy"), &json!(true)));
    assert_eq!(project.json(["show", "4"]).data()["passes"], false, "reading goes on meanwhile");
    other.execute_batch("ROLLBACK").unwrap();
    project.run(["pass", "4", "--lock-wait", "0.1"]).ok();
}

#[test]
fn text_that_steers_a_terminal_reaches_none() {
    let hostile = "x\u{1b}[31m\u{1b}]0;t\u{7}\u{9b}2J\u{7f}\u{202e}\r\n\ty";
    let request = json!({"prompt": hostile, "fields": [{"id": hostile, "label": hostile,
        "type": "select", "options": [{"value": hostile, "label": hostile}]}]});
    let project = Project::with(&json!([
        {"name": hostile, "category": hostile, "description": hostile, "steps": [hostile]},
        {"name": hostile, "category": hostile, "dependencies": [1], "needs_human_input": true,
         "human_input_request": request, "human_input_response": {"fields": {hostile: hostile}}},
        {"name": hostile, "steps": {hostile: hostile}, "in_progress": true},
    ]));
    let commands: &[&[&str]] = &[
        &["status"],
        &["list"],
        &["show", "1"],
        &["show", "2"],
        &["show", "3"],
        &["ready"],
        &["blocked"],
        &["depends", "2"],
        &["answer", "2"],
        &["answer", "2", "--field", "\u{1b}[31m=1"],
        &["graph", "--format", "dot"],
        &["graph", "--format", "mermaid"],
        &["graph", "--format", "json"],
        &["graph", "--format", "svg"],
        &["export"],
        &["claim"],
        &["claim", "1"],
        &["skip", "1"],
        &["release", "1"],
        &["fail", "1"],
        &["edit", "1", "--priority", "9"],
        &["pass", "1"],
        &["delete", "1", "--yes"],
        &["claim", "3", "--as", "x\u{1b}[31m"],
        &["release", "3"],
        &["release", "3", "--force", "--as", "\u{9b}2J\u{202e}", "--reason", "\u{1b}]0;t\u{7}"],
        &["claim", "3", "--as", "x\u{1b}[31m", "--lease", "0.000001"],
        &["claims"],
        &["claims", "3"],
        &["recover"],
        &["log"],
        &["log", "--full"],
        &["watch", "--since", "0", "--count", "9"],
        &["explain", "2"],
        &["retry", "3"],
        &["undo", "--feature", "3", "--dry-run"],
        &["undo", "--session", "\u{1b}[31m", "--dry-run"],
        &["undo", "--feature", "1", "--yes"],
    ];
    for args in commands {
        for json in [&[][..], &["--json"]] {
            let mut command = command(project.path());
            let said = said(command.args(*args).args(json));
            let steers = |c: char| {
                (c.is_control() && c != '\n' && c != '\t') || (c == '\u{202e}' && json.is_empty())
            };
            let verbatim = ["export", "graph"].contains(&args[0]);
            let shown = format!("{}{}", said.out, said.err);
            let found = shown.chars().find(|c| steers(*c) && !(verbatim && *c == '\u{202e}'));
            assert_eq!(found, None, "{args:?}: {shown:?}");
        }
    }
}

#[test]
fn json_keeps_the_text_that_steers_a_terminal() {
    let hostile = "x\u{1b}[31m\u{9b}2J\u{7f}\u{202e}";
    let project = Project::with(&json!([{"name": hostile}]));
    assert_eq!(project.json(["show", "1"]).data()["name"], hostile);
    assert_eq!(project.json(["list"]).data()["features"][0]["name"], hostile);
}

#[test]
fn a_pipe_gets_neither_colours_nor_borders() {
    let project = Project::usual();
    for args in [["list"], ["status"], ["ready"], ["blocked"]] {
        let forced = said(command(project.path()).args(args).env("CLICOLOR_FORCE", "1"));
        let out = forced.ok();
        assert_eq!(out, project.run(args).ok());
        assert!(!out.contains(['\u{1b}', '│', '─', '█']), "{out}");
        assert!(out.contains('\t'), "{out}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let list: Vec<Value> = (0..2000).map(|_| json!({"description": "long ".repeat(20)})).collect();
    let project = Project::with(&Value::Array(list));
    for args in [&["export"][..], &["list", "--json"], &["show", "1"]] {
        let mut child = command(project.path())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}

#[test]
fn completions_exist_for_each_shell() {
    let project = Project::none();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = project.run(["completions", shell]).ok();
        assert!(script.contains("autoforge-store") && script.contains("mcp-config"), "{shell}");
        assert_eq!(project.json(["completions", shell]).data()["script"], script);
    }
    assert_eq!(project.run(["completions", "cmd"]).code, 2);
    assert!(project.names().is_empty());
}

#[test]
fn configurations_name_the_program_and_the_project_in_full() {
    let project = Project::empty();
    let folder = project.real_path();
    let folder = folder.to_str().unwrap();
    for client in ["claude-code", "codex", "cursor", "autoforge", "json"] {
        let args = ["mcp-config", "--client", client];
        let text = project.run(args).ok();
        assert!(text.contains(PROGRAM) && text.contains("mcp"), "{text}");
        assert!(client == "autoforge" || text.contains(folder), "{text}");
        let data = project.json(args).data();
        assert_eq!((&data["command"], &data["configuration"]), (&json!(PROGRAM), &json!(text)));
        assert_eq!(data["env"]["PROJECT_DIR"], folder);
    }
    for client in ["claude-code", "codex", "cursor", "autoforge", "json"] {
        let args = ["mcp-config", "--client", client, "--agent", "a b", "--lease", "2m"];
        let data = project.json(args).data();
        assert_eq!(data["args"], json!(["mcp", "--agent", "a b", "--lease", "120s"]));
        let text = data["configuration"].as_str().unwrap();
        assert!(text.contains("\"a b\"") || text.contains("'a b'"), "{text}");
    }
    for client in ["cursor", "json"] {
        let text = project.run(["mcp-config", "--client", client]).ok();
        let configuration: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(configuration["mcpServers"]["features"]["command"], PROGRAM);
    }
}
