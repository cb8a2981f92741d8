//! The registry of a machine's projects and its settings: found and taken over where old releases left
//! it, opened by many at once, and never showing a secret.

mod content;
mod places;

use std::path::{Path, PathBuf};

use autoforge_store::{
    ListProjects, ProjectName, ProjectPath, RegisterProject, Registry, SetSettings, SettingChange,
    SettingKey, Store,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{foreign, listen, say};

/// As AutoForge's first release declared it.
const OLDEST: &str = "
CREATE TABLE projects (
	name VARCHAR(50) NOT NULL, 
	path VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE INDEX ix_projects_name ON projects (name);
INSERT INTO projects VALUES
    ('shop', '/home/user/projects/shop', '2026-01-10 14:06:31.110701'),
    ('my-crm', '/home/user/projects/my-crm', '2026-01-11 00:00:00.000000');
";

/// As its current release does.
const CURRENT: &str = "
CREATE TABLE projects (
	name VARCHAR(50) NOT NULL, 
	path VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	default_concurrency INTEGER NOT NULL, 
	auto_improve_enabled BOOLEAN NOT NULL, 
	auto_improve_interval_minutes INTEGER NOT NULL, 
	PRIMARY KEY (name)
);
CREATE INDEX ix_projects_name ON projects (name);
CREATE TABLE settings (
	\"key\" VARCHAR(50) NOT NULL, 
	value VARCHAR(500) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (\"key\")
);
INSERT INTO projects VALUES
    ('shop', '/home/user/projects/shop', '2026-11-23 14:06:30.738417', 5, 0, 10),
    ('blog_2', '/home/user/projects/blog_2', '2026-11-23 14:06:30.741552', 3, 1, 30);
INSERT INTO settings VALUES
    ('model', 'claude-opus-4-5', '2026-11-23 14:06:30.749887'),
    ('yolo_mode', 'true', '2026-11-23 14:06:30.776532'),
    ('somebody_elses', 'kept', '2026-11-23 14:06:30.779135');
";

/// A home folder.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A home whose registry another program has made in this folder, with these statements.
    fn with_registry(folder: &str, sql: &str) -> Self {
        let home = Self::new();
        std::fs::create_dir(home.path().join(folder)).unwrap();
        foreign(&home.path().join(folder).join("registry.db")).execute_batch(sql).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn database(&self) -> PathBuf {
        self.path().canonicalize().unwrap().join(".autoforge/registry.db")
    }

    fn open(&self) -> Store<Registry> {
        Store::open_registry(self.path()).unwrap()
    }

    fn foreign(&self) -> Connection {
        foreign(&self.database())
    }
}

fn registers(name: &str, path: &str) -> RegisterProject {
    let path = ProjectPath::new(path).unwrap();
    RegisterProject { name: ProjectName::new(name).unwrap(), path }
}

fn names(store: &Store<Registry>) -> Vec<String> {
    store.call(ListProjects).unwrap().into_iter().map(|project| project.name).collect()
}

fn sets<const N: usize>(settings: [(&str, &str); N]) -> SetSettings {
    let change = |(key, value)| SettingChange::set(SettingKey::new(key).unwrap(), value).unwrap();
    SetSettings { changes: settings.map(change).into() }
}

/// The roles of child processes; `false` where there is no such role here.
pub(crate) fn play(role: &str, folder: &Path) -> bool {
    match role {
        "registry_opener" => open_when_told(folder),
        _ => return false,
    }
    true
}

/// In a child: opens the home that it is told, and registers a project under the name that it is told.
fn open_when_told(_: &Path) {
    while let Some(line) = listen() {
        let (name, home) = line.split_once(' ').unwrap();
        let store = match Store::<Registry>::open_registry(home) {
            Ok(store) => store,
            Err(error) => {
                say(&format!("failed: {error}"));
                continue;
            }
        };
        let opening = store.opening();
        let opened = format!("{} {}", opening.created, opening.migrated);
        let registered = store.call(registers(name, &format!("/projects/{name}")));
        // All of one machine want the same thing, too, and one of them gets it.
        let same = store.call(registers("contested", "/contested"));
        let same = same.map_or_else(|error| error.code(), |_| "won");
        let set = store.call(sets([("model", name), ("api_model", name)])).is_ok();
        say(&format!("{opened} {} {same} {set}", registered.is_ok()));
    }
}
