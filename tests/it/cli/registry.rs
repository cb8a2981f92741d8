//! Projects and settings as their users meet them. No test touches the registry of whoever runs it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Said, command, run_in, said};

/// A home folder, with folders for projects.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        for project in ["shop", "blog"] {
            std::fs::create_dir(home.path().join(project)).unwrap();
        }
        home
    }

    fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn project(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    fn registry(&self) -> PathBuf {
        self.path().join(".autoforge/registry.db")
    }

    fn run<const N: usize>(&self, args: [&str; N]) -> Said {
        said(command(&self.path()).args(args).arg("--home").arg(self.path()))
    }

    fn json<const N: usize>(&self, args: [&str; N]) -> Said {
        said(command(&self.path()).args(args).arg("--json").arg("--home").arg(self.path()))
    }

    /// Runs a command that reads this from stdin.
    fn feed<const N: usize>(&self, args: [&str; N], input: &str) -> Said {
        let file = self.path().join("input");
        write(&file, input);
        let mut command = command(&self.path());
        #[expect(clippy::disallowed_methods, reason = "a text file of a test")]
        command.args(args).arg("--home").arg(self.path()).stdin(std::fs::File::open(file).unwrap());
        said(&mut command)
    }
}

fn write(path: &Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "a text file of a test")]
    std::fs::write(path, text).unwrap();
}

fn names(data: &Value, list: &str) -> Vec<String> {
    let all = data[list].as_array().unwrap().iter();
    all.map(|project| project["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn projects_are_registered_changed_and_taken_out() {
    let home = Home::new();
    let added = home.json(["projects", "add", "shop", "shop/../shop/"]).data();
    assert_eq!(added["path"], home.project("shop"));
    let here = said(
        command(&home.path().join("blog"))
            .args(["projects", "add", "blog", "--home"])
            .arg(home.path()),
    );
    assert!(here.ok().contains(&home.project("blog")));
    assert_eq!(home.json(["projects", "add", "shop", "blog"]).error(4)["code"], "project_exists");
    assert_eq!(home.json(["projects", "add", "other", "blog"]).error(4)["code"], "path_taken");
    assert_eq!(
        home.json(["projects", "add", "no name", "blog"]).error(2)["code"],
        "invalid_project"
    );
    assert_eq!(home.json(["projects", "add", "x", "nowhere"]).error(3)["code"], "file_not_found");
    assert_eq!(names(&home.json(["projects", "list"]).data(), "projects"), ["blog", "shop"]);

    home.run(["projects", "set", "shop", "--concurrency", "5", "--auto-improve", "on"]).ok();
    home.run(["projects", "set", "shop", "--every", "1440"]).ok();
    let info = home.json(["projects", "info", "shop"]).data();
    let numbers = ["default_concurrency", "auto_improve_enabled", "auto_improve_interval_minutes"];
    assert_eq!(numbers.map(|key| info[key].clone()), [json!(5), json!(true), json!(1440)]);
    for bad in [["--concurrency", "6"], ["--concurrency", "0"], ["--every", "1441"]] {
        assert_eq!(home.run(["projects", "set", "shop", bad[0], bad[1]]).code, 2, "{bad:?}");
    }
    assert_eq!(home.run(["projects", "set", "shop"]).code, 2);

    std::fs::create_dir(home.path().join("moved")).unwrap();
    home.run(["projects", "move", "shop", "moved"]).ok();
    let text = home.run(["projects", "info", "shop"]).ok();
    assert!(text.contains(&format!("path\t{}\n", home.project("moved"))), "{text}");
    home.run(["projects", "remove", "shop"]).ok();
    assert!(home.path().join("moved").exists());
    for args in [["info", "shop"], ["remove", "shop"], ["move", "shop"]] {
        let folder = if args[0] == "move" { ["blog"].as_slice() } else { &[] };
        let args = ["projects"].iter().chain(&args).chain(folder);
        let error =
            said(command(&home.path()).args(args).arg("--json").arg("--home").arg(home.path()));
        assert_eq!(error.error(3)["code"], "unknown_project");
    }
}

#[test]
fn missing_projects_are_marked_and_taken_out_on_request_only() {
    let home = Home::new();
    home.run(["projects", "add", "shop", "shop"]).ok();
    home.run(["projects", "add", "blog", "blog"]).ok();
    std::fs::remove_dir(home.path().join("blog")).unwrap();
    let lines = home.run(["projects", "list"]).ok();
    assert!(lines.contains("blog\tmissing\t") && lines.contains("shop\tthere\t"), "{lines}");
    let stale = home.json(["projects", "stale"]).data();
    assert_eq!((names(&stale, "stale"), &stale["removed"]), (vec!["blog".to_owned()], &json!([])));
    assert_eq!(names(&home.json(["projects", "list"]).data(), "projects"), ["blog", "shop"]);
    let removed = home.json(["projects", "stale", "--remove"]).data();
    assert_eq!(removed["removed"], json!(["blog"]));
    assert_eq!(names(&home.json(["projects", "list"]).data(), "projects"), ["shop"]);
}

#[test]
fn looking_makes_nothing_and_the_home_is_the_users_own_unless_named() {
    let home = Home::new();
    let own = |args: &[&str]| said(command(&home.path()).args(args).env("HOME", home.path()));
    assert_eq!(own(&["projects", "list", "--json"]).data(), json!({"projects": []}));
    assert_eq!(own(&["projects", "stale"]).code, 0);
    assert_eq!(own(&["projects", "info", "shop"]).code, 3);
    assert_eq!(own(&["settings", "get", "model"]).code, 3);
    assert_eq!(own(&["settings", "list"]).code, 0);
    assert!(!home.path().join(".autoforge").exists());
    let added = own(&["projects", "add", "shop", "shop"]);
    assert!(added.err.contains("registry.db is made"), "{added:?}");
    assert_eq!(names(&home.json(["projects", "list"]).data(), "projects"), ["shop"]);
    let nowhere = run_in(&home.path(), ["projects", "list", "--home", "nowhere"]);
    assert_eq!((nowhere.code, home.path().join("nowhere").exists()), (1, false));
}

#[test]
fn a_registry_that_was_left_behind_is_told() {
    let home = Home::new();
    home.run(["projects", "add", "shop", "shop"]).ok();
    std::fs::rename(home.path().join(".autoforge"), home.path().join(".autocoder")).unwrap();
    // The old one is taken over without a word.
    assert_eq!(home.run(["projects", "list"]).err, "");
    std::fs::create_dir(home.path().join(".autocoder")).unwrap();
    std::fs::rename(home.registry(), home.path().join(".autocoder/registry.db")).unwrap();
    home.run(["projects", "add", "blog", "blog"]).ok();
    let listed = home.run(["projects", "list"]);
    assert!(listed.err.contains("an older registry lies in"), "{listed:?}");
    assert!(listed.ok().starts_with("blog\t"));
}

#[test]
fn a_project_has_the_time_of_the_wall_and_a_setting_that_of_utc() {
    let home = Home::new();
    let mut add = command(&home.path());
    add.args(["projects", "add", "shop", "shop", "--json", "--home"]).arg(home.path());
    let local = said(add.env("TZ", "XXX-05:45")).data()["created_at"].as_str().unwrap().to_owned();
    let mut set = command(&home.path());
    set.args(["settings", "set", "model=m", "--json", "--home"]).arg(home.path());
    let data = said(set.env("TZ", "XXX-05:45")).data();
    let utc = data["settings"][0]["updated_at"].as_str().unwrap().strip_suffix("+00:00").unwrap();
    let stored = |column: &str, table: &str| {
        let file = crate::support::foreign(&home.registry());
        crate::support::text(&file, &format!("SELECT {column} FROM {table}")).replace(' ', "T")
    };
    assert_eq!(
        (stored("created_at", "projects"), stored("updated_at", "settings")),
        (local.clone(), utc.to_owned())
    );
    // SQLite reckons the difference: five hours and three quarters, and the moments between.
    let file = crate::support::foreign(&home.registry());
    let sql = format!("SELECT round((julianday('{local}') - julianday('{utc}')) * 1440)");
    let minutes: f64 = file.query_row(&sql, [], |row| row.get(0)).unwrap();
    assert!((minutes - 345.0).abs() <= 1.0, "{local} and {utc}");
}

#[test]
fn settings_are_set_together_listed_and_removed() {
    let home = Home::new();
    let set = home.json([
        "settings",
        "set",
        "yolo_mode=true",
        "batch_size=4",
        "api_base_url=http://x/?a=b",
    ]);
    assert_eq!(set.data()["changed"], json!(["yolo_mode", "batch_size", "api_base_url"]));
    assert_eq!(home.run(["settings", "get", "api_base_url"]).ok(), "http://x/?a=b\n");
    let error = home.json(["settings", "set", "yolo_mode=false", "batch_size=99"]).error(2);
    assert_eq!(error["message"], "batch_size is a number from 1 to 15");
    let error = home.json(["settings", "set", "model=a", "model=b"]).error(2);
    assert_eq!(error["code"], "repeated_setting");
    assert_eq!(home.run(["settings", "get", "yolo_mode"]).ok(), "true\n");
    home.run(["settings", "unset", "yolo_mode", "never_set"]).ok();
    let list = home.json(["settings", "list"]).data();
    let known = |key: &str| {
        let all = list["settings"].as_array().unwrap();
        all.iter().find(|setting| setting["key"] == key).unwrap()["set"].clone()
    };
    assert_eq!(
        ["yolo_mode", "batch_size", "effort"].map(known),
        [json!(false), json!(true), json!(false)]
    );
    let missing = home.json(["settings", "get", "yolo_mode"]).error(3);
    assert_eq!(missing["code"], "unknown_setting");
}

#[test]
fn a_value_can_come_from_stdin_or_from_a_file() {
    let home = Home::new();
    let stored = |key: &str| {
        let file = crate::support::foreign(&home.registry());
        crate::support::text(&file, &format!("SELECT value FROM settings WHERE key = '{key}'"))
    };
    home.feed(["settings", "set", "api_auth_token", "--from", "-"], "sk-1\n").ok();
    assert_eq!(stored("api_auth_token"), "sk-1");
    write(&home.path().join("token"), "sk-2\r\n");
    home.run(["settings", "set", "api_auth_token", "--from", "token"]).ok();
    assert_eq!(stored("api_auth_token"), "sk-2");
    home.feed(["settings", "set", "model", "--from", "-"], " a\nb ").ok();
    assert_eq!(stored("model"), " a\nb ");
    for wrong in [["a=b", "model"], ["model", "effort"], ["a=b", "a=b"]] {
        let said = home.feed(["settings", "set", wrong[0], wrong[1], "--from", "-"], "x");
        assert_eq!((said.code, said.out.as_str()), (2, ""));
    }
    assert_eq!(home.run(["settings", "set", "model", "--from", "nowhere"]).code, 3);
}

#[test]
fn a_secret_is_in_nothing_that_the_program_says() {
    const TOKEN: &str = "sk-do-not-show";
    let home = Home::new();
    let long = TOKEN.repeat(100);
    let with_token = format!("api_auth_token={TOKEN}");
    let look_alike = format!("my_password={TOKEN}");
    let too_long = format!("api_auth_token={long}");
    let bare = format!("{TOKEN}-without-a-key");
    let runs: &[(&[&str], i32)] = &[
        (&["settings", "set", &with_token, &look_alike], 0),
        (&["settings", "set", &too_long], 2),
        (&["settings", "set", &bare], 2),
        (&["settings", "set", "model=m", &bare], 2),
        (&["settings", "set", &with_token, "--from", "-"], 2),
        (&["settings", "set", &with_token, &with_token], 2),
        (&["settings", "list"], 0),
        (&["settings", "get", "api_auth_token"], 0),
        (&["settings", "get", "my_password"], 0),
        (&["settings", "unset", "my_password"], 0),
    ];
    for (args, code) in runs {
        for more in [&[][..], &["--json"]] {
            let mut command = command(&home.path());
            command.args(*args).args(more).arg("--home").arg(home.path());
            let said = said(command.env("RUST_LOG", "trace"));
            let args = &args[..2];
            assert_eq!(said.code == 0, *code == 0, "{args:?}");
            assert!(!said.out.contains(TOKEN) && !said.err.contains(TOKEN), "{args:?}: {said:?}");
        }
        // The list of secrets is told as it is after each.
        let _ = home.run(["settings", "set", &look_alike]);
    }
    assert_eq!(home.run(["settings", "get", "api_auth_token"]).ok(), "set\n");
    let data = home.json(["settings", "get", "api_auth_token"]).data();
    assert_eq!((&data["value"], &data["secret"]), (&Value::Null, &json!(true)));
    let argument = home.run(["settings", "set", &with_token]);
    assert!(argument.err.contains("every user of this machine could read"), "{argument:?}");
}

#[test]
fn a_secret_in_a_file_that_others_can_read_is_warned_of() {
    let home = Home::new();
    let set = home.feed(["settings", "set", "api_auth_token", "--from", "-"], "sk-1");
    assert!(!set.err.contains("can be read by others"), "{set:?}");
    set.ok();
    std::fs::set_permissions(home.registry(), PermissionsExt::from_mode(0o644)).unwrap();
    let listed = home.run(["settings", "list"]);
    assert!(listed.err.contains("can be read by others"), "{listed:?}");
}
