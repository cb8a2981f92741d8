//! What the commands store, show and refuse.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use autoforge_store::FolderState::{Missing, NotAFolder, Unknown, Usable};
use autoforge_store::{
    AutoImprove, Concurrency, Error, GetProject, GetSetting, HomeLayout, ImproveInterval,
    InvalidProject, ListProjects, ListSettings, OpenError, ProjectPath, ProjectRefusal, Registry,
    SetAutoImprove, SetConcurrency, SetSettings, SettingChange, SettingKey, SettingValue, Store,
    Timestamp, UnregisterProject, UpdateProjectPath,
};

use super::{CURRENT, Home, OLDEST, names, registers, sets};
use crate::support::{number, schema, text, texts};

fn name(name: &str) -> String {
    name.to_owned()
}

#[test]
fn a_project_is_registered_with_autoforges_defaults_and_found_by_its_name() {
    let home = Home::new();
    let store = home.open();
    let shop = store.call(registers("shop", "/home/me/shop")).unwrap();
    store.call(registers("Blog", "/home/me/blog")).unwrap();
    assert_eq!(store.call(GetProject { name: name("shop") }).unwrap(), shop);
    assert_eq!(names(&store), ["Blog", "shop"]);
    let defaults = (shop.concurrency.get(), shop.auto_improve.enabled, shop.auto_improve.interval);
    assert_eq!(defaults, (3, false, ImproveInterval::minutes(10).unwrap()));
    let row = "SELECT default_concurrency || auto_improve_enabled || auto_improve_interval_minutes
        FROM projects WHERE name = 'shop'";
    assert_eq!(text(&home.foreign(), row), "3010");
}

#[test]
fn a_name_and_a_place_belong_to_one_project() {
    let home = Home::new();
    let store = home.open();
    store.call(registers("shop", "/home/me/shop")).unwrap();
    let code = |command| store.call(command).unwrap_err().code();
    assert_eq!(code(registers("shop", "/elsewhere")), "project_exists");
    assert_eq!(code(registers("other", "/home/me/shop")), "path_taken");
    assert_eq!(code(registers("other", "/home//me/./shop/")), "path_taken");
    // However another program has spelled it.
    let sql = "INSERT INTO projects VALUES ('theirs', '/their//place/', '', 3, 0, 10)";
    home.foreign().execute(sql, []).unwrap();
    assert_eq!(code(registers("other", "/their/place")), "path_taken");
    let path = ProjectPath::new("/their/place").unwrap();
    let moves = UpdateProjectPath { name: name("shop"), path };
    let refusal = store.call(moves).unwrap_err();
    assert_eq!(refusal.to_string(), r#"/their//place/ is registered already, as project "theirs""#);
    assert_eq!(names(&store), ["shop", "theirs"]);
    assert!(store.call(registers("other", "/home/me/shop2")).is_ok());
}

#[test]
fn a_project_moves_changes_and_goes() {
    let home = Home::new();
    let store = home.open();
    let before = store.call(registers("shop", "/a")).unwrap();
    let path = ProjectPath::new("/b").unwrap();
    store.call(UpdateProjectPath { name: name("shop"), path: path.clone() }).unwrap();
    store.call(UpdateProjectPath { name: name("shop"), path }).unwrap();
    let concurrency = Concurrency::new(5).unwrap();
    store.call(SetConcurrency { name: name("shop"), concurrency }).unwrap();
    let interval = ImproveInterval::minutes(1440).unwrap();
    let improve = SetAutoImprove { name: name("shop"), enabled: Some(true), interval: None };
    store.call(improve).unwrap();
    let rest = SetAutoImprove { name: name("shop"), enabled: None, interval: Some(interval) };
    let told = store.call(rest).unwrap();
    let auto_improve = AutoImprove { enabled: true, interval };
    let after = store.call(GetProject { name: name("shop") }).unwrap();
    assert_eq!(
        (after.path.as_str(), after.concurrency, after.auto_improve),
        ("/b", concurrency, auto_improve)
    );
    assert_eq!((after.created_at, &after), (before.created_at, &told));
    let gone = store.call(UnregisterProject { name: name("shop"), expected_path: None }).unwrap();
    assert_eq!((gone, names(&store).len()), (after, 0));
}

#[test]
fn a_project_that_is_not_registered_is_said_by_every_command() {
    let home = Home::new();
    let store = home.open();
    let path = ProjectPath::new("/b").unwrap();
    let (concurrency, enabled, interval) = (Concurrency::default(), Some(true), None);
    for refusal in [
        store.call(GetProject { name: name("x") }),
        store.call(UnregisterProject { name: name("x"), expected_path: None }),
        store.call(UpdateProjectPath { name: name("x"), path }),
        store.call(SetConcurrency { name: name("x"), concurrency }),
        store.call(SetAutoImprove { name: name("x"), enabled, interval }),
    ] {
        let Err(error) = refusal else { panic!("{refusal:?}") };
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("unknown_project", "no project is called \"x\"")
        );
    }
}

/// The defect of the program before: whatever could not be seen at the moment was taken out.
#[test]
fn a_project_that_is_not_there_is_told_and_stays_until_somebody_takes_it_out() {
    let home = Home::new();
    let store = home.open();
    let root = home.path().canonicalize().unwrap();
    let at = |name: &str| root.join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(root.join("there")).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a text file")]
    std::fs::write(root.join("file"), "").unwrap();
    for (project, place) in [("a", "there"), ("b", "gone"), ("c", "file"), ("d", "file/below")] {
        store.call(registers(project, &at(place))).unwrap();
    }
    let sql = "INSERT INTO projects VALUES ('e', 'C:/Users/me/shop', '', 3, 0, 10)";
    home.foreign().execute(sql, []).unwrap();
    let seen = || {
        let seen = store.look_at_projects().unwrap();
        seen.into_iter().map(|seen| (seen.project.name, seen.folder)).collect::<Vec<_>>()
    };
    let expected =
        [("a", Usable), ("b", Missing), ("c", NotAFolder), ("d", Missing), ("e", Unknown)];
    let expected = expected.map(|(project, state)| (name(project), state));
    assert_eq!(seen(), expected);
    assert_eq!(seen(), expected, "looking takes nothing out");
    assert!(Missing.is_stale() && NotAFolder.is_stale() && !Unknown.is_stale());

    // Between the look and its consequence somebody says where the project lies by now.
    let path = ProjectPath::new(at("there2")).unwrap();
    store.call(UpdateProjectPath { name: name("b"), path }).unwrap();
    let remove = UnregisterProject { name: name("b"), expected_path: Some(at("gone")) };
    let Err(Error::Refused(refusal)) = store.call(remove) else { panic!() };
    assert_eq!(refusal, ProjectRefusal::Moved { name: name("b"), path: at("there2") });
    let remove = UnregisterProject { name: name("c"), expected_path: Some(at("file")) };
    store.call(remove).unwrap();
    assert_eq!(names(&store), ["a", "b", "d", "e"]);
}

#[test]
fn a_path_is_made_absolute_by_looking_and_one_place_has_one_path() {
    let home = Home::new();
    let root = home.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("real")).unwrap();
    std::os::unix::fs::symlink("real", root.join("link")).unwrap();
    let spelled = |path: &Path| HomeLayout::project_path(path).unwrap().as_str().to_owned();
    let real = root.join("real").to_str().unwrap().to_owned();
    for spelling in ["real", "link", "./link/", "real/../link", "real/."] {
        assert_eq!(spelled(&root.join(spelling)), real, "{spelling}");
    }
    assert_eq!(spelled(&root.join("link/not/yet")), format!("{real}/not/yet"));
    assert!(spelled(Path::new("relative")).starts_with('/'));
    let up = HomeLayout::project_path(root.join("not/yet/../there"));
    assert_eq!(up, Err(InvalidProject::PathGoesUp));
    let odd = HomeLayout::project_path(root.join(std::ffi::OsStr::from_bytes(b"\xff")));
    assert_eq!(odd, Err(InvalidProject::PathNotText));
}

#[test]
fn times_are_stored_as_python_stores_them() {
    let home = Home::new();
    let store = home.open();
    let before = Timestamp::now();
    let project = store.call(registers("shop", "/a")).unwrap();
    let setting = store.call(sets([("model", "x")])).unwrap().remove(0);
    let file = home.foreign();
    let created = text(&file, "SELECT created_at FROM projects");
    assert_eq!(created, project.created_at.unwrap().to_sqlite_text());
    let updated = text(&file, "SELECT updated_at FROM settings");
    assert_eq!(updated, setting.updated_at.unwrap().to_sqlite_text());
    assert!(before <= setting.updated_at.unwrap());
    for time in [created, updated] {
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000000");
    }
}

#[test]
fn settings_are_set_several_at_once_or_not_at_all() {
    let home = Home::with_registry(".autoforge", CURRENT);
    let store = home.open();
    let key = |key| SettingKey::new(key).unwrap();
    let set = |k, value| SettingChange::set(key(k), value).unwrap();
    let changes = vec![
        set("yolo_mode", "false"),
        set("batch_size", "15"),
        SettingChange::remove(key("model")),
        SettingChange::remove(key("never_set")),
    ];
    let settings = store.call(SetSettings { changes }).unwrap();
    let shown: Vec<_> =
        settings.iter().map(|s| (s.key.as_str(), s.value.shown().unwrap())).collect();
    assert_eq!(shown, [("batch_size", "15"), ("somebody_elses", "kept"), ("yolo_mode", "false")]);
    assert_eq!(store.call(ListSettings).unwrap(), settings);

    let twice = vec![set("effort", "high"), set("batch_size", "1"), set("effort", "low")];
    let refusal = store.call(SetSettings { changes: twice }).unwrap_err();
    assert_eq!(refusal.to_string(), "setting effort is named twice; nothing was changed");
    assert_eq!(store.call(ListSettings).unwrap(), settings);
    let model = store.call(GetSetting { key: name("model") }).unwrap();
    assert_eq!(model, None);
    let kept = store.call(GetSetting { key: name("somebody_elses") }).unwrap().unwrap();
    assert_eq!(kept.updated_at.unwrap().to_sqlite_text(), "2026-11-23 14:06:30.779135");
}

#[test]
fn a_secret_is_in_the_file_and_in_nothing_that_is_shown() {
    const TOKEN: &str = "sk-do-not-show";
    let home = Home::new();
    let store = home.open();
    let command = sets([("api_auth_token", TOKEN), ("github_secret", TOKEN), ("model", "m")]);
    let shown = format!("{command:?}");
    let told = store.call(command).unwrap();
    let read = store.call(GetSetting { key: name("api_auth_token") }).unwrap().unwrap();
    for text in [shown, format!("{told:?}"), format!("{read:?} {store:?}")] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    let SettingValue::Secret(secret) = &read.value else { panic!("{read:?}") };
    assert_eq!((secret.to_string().as_str(), secret.reveal()), ("(hidden)", TOKEN));
    let stored = "SELECT value FROM settings WHERE key = 'api_auth_token'";
    assert_eq!(text(&home.foreign(), stored), TOKEN);
}

#[test]
fn whatever_python_left_in_a_column_is_read() {
    let home = Home::with_registry(".autoforge", CURRENT);
    home.foreign()
        .execute_batch(
            "INSERT INTO projects VALUES
                ('odd name', x'ff', 'soon', 99, 2, -1), (7, 8, 9, 'many', 'yes', 'often');
             INSERT INTO settings VALUES ('odd key', x'ff', 'soon'), ('', 1, 2);",
        )
        .unwrap();
    let store = home.open();
    let projects = store.call(ListProjects).unwrap();
    let odd: Vec<_> = projects
        .iter()
        .filter(|p| !["shop", "blog_2"].contains(&p.name.as_str()))
        .map(|p| {
            let (improve, agents) = (p.auto_improve, p.concurrency.get());
            (p.name.as_str(), p.path.as_str(), agents, improve.enabled, improve.interval.get())
        })
        .collect();
    assert_eq!(odd, [("7", "8", 3, false, 10), ("odd name", "\u{fffd}", 5, true, 1)]);
    assert!(store.call(UnregisterProject { name: name("odd name"), expected_path: None }).is_ok());
    let settings = store.call(ListSettings).unwrap();
    let keys: Vec<_> = settings.iter().map(|setting| setting.key.as_str()).collect();
    assert_eq!(keys, ["", "model", "odd key", "somebody_elses", "yolo_mode"]);
}

#[test]
fn an_old_registry_gets_what_autoforges_own_migration_adds_and_keeps_its_rows() {
    let home = Home::with_registry(".autoforge", OLDEST);
    let store = home.open();
    assert!(store.opening().migrated);
    let file = home.foreign();
    let added = "SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || dflt_value
        FROM pragma_table_info('projects') WHERE cid > 2";
    let expected = [
        "default_concurrency INTEGER 0 3",
        "auto_improve_enabled INTEGER 1 0",
        "auto_improve_interval_minutes INTEGER 1 10",
    ];
    assert_eq!(texts(&file, added), expected);
    let projects = store.call(ListProjects).unwrap();
    let shop = &projects[1];
    assert_eq!((shop.name.as_str(), shop.path.as_str()), ("shop", "/home/user/projects/shop"));
    assert_eq!(shop.created_at.unwrap().to_sqlite_text(), "2026-01-10 14:06:31.110701");
    assert_eq!((shop.concurrency.get(), shop.auto_improve), (3, AutoImprove::default()));
    assert!(store.call(ListSettings).unwrap().is_empty());
    // AutoForge's own statements go on working.
    file.execute_batch(
        "INSERT INTO projects (name, path, created_at, default_concurrency, auto_improve_enabled,
             auto_improve_interval_minutes) VALUES ('theirs', '/t', '2026-01-12 00:00:00.000000', 3, 0, 10);
         INSERT INTO settings (key, value, updated_at) VALUES ('model', 'm', '2026-01-12 00:00:00.000000');
         UPDATE projects SET default_concurrency = 4 WHERE name = 'shop';",
    )
    .unwrap();
    assert_eq!(names(&store), ["my-crm", "shop", "theirs"]);
}

#[test]
fn a_current_registry_is_opened_without_a_write_and_nothing_is_added() {
    let home = Home::with_registry(".autoforge", CURRENT);
    let state = || {
        let modified = home.database().metadata().unwrap().modified().unwrap();
        (modified, schema(&home.foreign()))
    };
    let before = state();
    let store = home.open();
    assert!(!store.opening().migrated && !store.opening().created);
    assert_eq!(names(&store), ["blog_2", "shop"]);
    drop(store);
    assert_eq!(state(), before);
}

#[test]
fn the_journal_mode_of_the_registry_is_left_as_it_is() {
    for (mode, sql) in
        [("delete", CURRENT.to_owned()), ("wal", format!("PRAGMA journal_mode = WAL; {CURRENT}"))]
    {
        let home = Home::with_registry(".autoforge", &sql);
        let store = home.open();
        store.call(registers("new", "/new")).unwrap();
        assert_eq!(text(&home.foreign(), "PRAGMA journal_mode"), mode);
        assert_eq!(store.close().checkpoint.is_some(), mode == "wal");
    }
}

#[test]
fn what_is_no_registry_is_refused_and_kept() {
    for sql in ["CREATE TABLE projects (id INTEGER)", "CREATE TABLE other (id INTEGER)"] {
        let home = Home::with_registry(".autoforge", sql);
        let before = schema(&home.foreign());
        let error = Store::<Registry>::open_registry(home.path()).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert_eq!(schema(&home.foreign()), before);
    }
    let later = format!(
        "{CURRENT} CREATE TABLE autoforge_store (fact TEXT NOT NULL PRIMARY KEY, value INTEGER)
            WITHOUT ROWID;
         INSERT INTO autoforge_store VALUES ('format', 1);"
    );
    let home = Home::with_registry(".autoforge", &later);
    let error = Store::<Registry>::open_registry(home.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 1, known: 0, .. }), "{error}");
    assert_eq!(number(&home.foreign(), "SELECT count(*) FROM projects"), 2);
}
