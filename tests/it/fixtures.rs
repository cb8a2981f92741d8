//! Projects as AutoForge's releases have left them, where a folder with such projects is at hand:
//! `../shared/fixtures` beside this package, or what `AUTOFORGE_FIXTURES` names. Each must open and
//! show what AutoForge itself shows after opening it.
#![expect(clippy::disallowed_methods, reason = "copies of files that nobody has open")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autoforge_store::{GetBlocked, GetGraph, GetReady, GetStats, Store};
use serde_json::{Value, json};

use crate::support::{Project, create, say_note};

fn fixtures() -> Option<PathBuf> {
    let folder = match std::env::var_os("AUTOFORGE_FIXTURES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"),
    };
    if !folder.is_dir() {
        say_note(&format!("skipped: no fixtures in {}", folder.display()));
        return None;
    }
    Some(folder)
}

/// Every fixture: its name, its project's folder, what is known of it.
fn all() -> Vec<(String, PathBuf, Value)> {
    let Some(folder) = fixtures() else { return Vec::new() };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        if let Ok(facts) = std::fs::read_to_string(entry.join("facts.json")) {
            let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
            all.push((name, entry.join("project"), serde_json::from_str(&facts).unwrap()));
        }
    }
    assert!(all.len() >= 20, "the folder should hold all fixtures");
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What AutoForge answered after it had opened the project.
fn expected(facts: &Value) -> &Value {
    let answers = facts.as_object().unwrap().iter();
    answers
        .filter(|(key, _)| key.starts_with("opened_by_autoforge"))
        .map(|(_, v)| v)
        .next()
        .unwrap()
}

/// The same from a store.
fn answers(store: &Store) -> Value {
    let stats = store.call(GetStats).unwrap();
    let ready = store.call(GetReady { limit: 0 }).unwrap();
    let graph = store.call(GetGraph).unwrap();
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &graph.nodes {
        *nodes.entry(node.status.as_str()).or_default() += 1;
    }
    json!({
        "stats": {
            "passing": stats.passing,
            "in_progress": stats.in_progress,
            "needs_human_input": stats.needs_human_input,
            "total": stats.total,
            "percentage": stats.percentage(),
        },
        "total_ready": ready.total,
        "total_blocked": store.call(GetBlocked { limit: 0 }).unwrap().total,
        // AutoForge lists edges from ids that do not exist among the others.
        "edges": graph.edges.len() + graph.dangling.len(),
        "graph_status": nodes,
    })
}

#[test]
fn every_fixture_shows_what_autoforge_shows() {
    for (name, folder, facts) in all() {
        let project = Project::new();
        copy(&folder, project.folder());
        let store = project.open();
        let mut expected = expected(&facts).clone();
        match name.as_str() {
            // An array that holds more than integers: what is none is dropped here, so fewer wait.
            "i_dependencies_some_types" => {
                expected["total_ready"] = json!(7);
                expected["total_blocked"] = json!(11);
                expected["graph_status"] = json!({"done": 2, "pending": 7, "blocked": 11});
                expected.as_object_mut().unwrap().remove("edges");
                expected.as_object_mut().unwrap().remove("first_ready_ids");
            }
            // AutoForge fails on these; here they are features without dependencies.
            "i_dependencies_not_json" => {
                assert_eq!(store.call(GetReady { limit: 0 }).unwrap().total, 4);
                let known = json!({"stats": expected["stats"]});
                expected = known;
            }
            _ => {}
        }
        let found = answers(&store);
        for (key, value) in found.as_object().unwrap() {
            if let Some(expected) = expected.get(key) {
                assert_eq!(value, expected, "{name}: {key}");
            }
        }
        assert!(expected.get("stats").is_some(), "{name}");
        // Its order differs where a dependency path is longer than the shortest one, which AutoForge
        // undercounts; so whole lists are compared, as sets.
        let few = expected["total_ready"].as_u64().is_some_and(|total| total <= 8);
        if let Some(ready) = expected["first_ready_ids"].as_array().filter(|_| few) {
            let mut expected: Vec<i64> = ready.iter().map(|id| id.as_i64().unwrap()).collect();
            let ready = store.call(GetReady { limit: 8 }).unwrap().features;
            let mut found: Vec<i64> = ready.iter().map(|feature| feature.id.get()).collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn every_fixture_can_be_written_to_and_is_sound_and_up_to_date_afterwards() {
    for (name, folder, facts) in all() {
        let project = Project::new();
        copy(&folder, project.folder());
        let store = project.open();
        let total = store.call(GetStats).unwrap().total;
        store.call(create("New")).unwrap();
        assert_eq!(store.diagnose().unwrap().integrity, Vec::<String>::new(), "{name}");
        assert!(store.close().checkpoint.unwrap().complete, "{name}");
        let again = project.open();
        assert!(!again.opening().migrated && !again.opening().created, "{name}");
        assert_eq!(again.call(GetStats).unwrap().total, total + 1, "{name}");

        let files: Vec<&str> = expected(&facts)["files_afterwards"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file.as_str().unwrap())
            .collect();
        let database = again.path().strip_prefix(project.folder()).unwrap();
        assert!(files.iter().any(|file| Path::new(file) == database), "{name}: {files:?}");
        // A list that was imported is kept under another name, one that was not stays.
        let list = project.folder().join("feature_list.json").exists();
        assert_eq!(list, files.contains(&"feature_list.json"), "{name}");
    }
}
