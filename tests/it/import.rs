//! `feature_list.json`: taken over once, whole or not at all, and kept under another name.
#![expect(clippy::disallowed_methods, reason = "lists, which are no databases")]

use std::path::{Path, PathBuf};

use autoforge_store::{
    Error, Feature, GetFeature, GetStats, ImportBacklog, ImportRefusal, ListFeatures, MarkPassing,
    Steps, Store,
};
use serde_json::{Value, json};

use crate::support::{Project, create, feature, holds_lock, ids, names, text};

fn with_list(list: &str) -> (Project, PathBuf) {
    let project = Project::new();
    let path = project.folder().join("feature_list.json");
    std::fs::write(&path, list).unwrap();
    (project, path)
}

fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_kept = |path: &PathBuf| path.to_string_lossy().contains("feature_list.json.backup.");
    entries.filter(is_kept).collect()
}

#[test]
fn a_list_is_imported_with_its_values_and_renamed_with_the_time() {
    let text = json!([
        {"id": 100, "priority": 7, "category": "C", "name": "N", "description": "D",
         "steps": ["one"], "passes": true, "in_progress": false, "dependencies": []},
        {"id": 50, "priority": 3, "name": "M", "in_progress": true, "dependencies": [100]},
    ])
    .to_string();
    let (project, list) = with_list(&text);
    let store = project.open();
    let imported = store.opening().imported.clone().unwrap();
    assert_eq!(imported.features, 2);
    assert_eq!(store.opening().backlog_problem, None);
    let first = feature(&store, 100);
    assert_eq!((first.priority, first.passes, first.name.as_str()), (7, true, "N"));
    assert_eq!(first.steps, Steps::List(vec!["one".to_owned()]));
    let second = feature(&store, 50);
    assert_eq!((second.in_progress, &second.dependencies), (true, &ids(&[100])));
    // New features go behind the imported ones.
    assert_eq!(store.call(create("new")).unwrap().id.get(), 101);

    assert!(!list.exists());
    let kept_as = imported.kept_as.unwrap();
    assert_eq!(std::fs::read_to_string(&kept_as).unwrap(), text);
    let name = kept_as.file_name().unwrap().to_str().unwrap();
    let stamp = name.strip_prefix("feature_list.json.backup.").unwrap();
    let (date, time) = stamp.split_once('_').unwrap();
    assert!(date.len() == 8 && time.len() == 6, "{stamp}");
    assert!((date.to_owned() + time).bytes().all(|byte| byte.is_ascii_digit()), "{stamp}");
}

#[test]
fn missing_keys_have_their_defaults() {
    let (project, _) = with_list(r#"[{}, {"passes": null, "steps": "as text"}, {"unknown": 1}]"#);
    let store = project.open();
    let first = feature(&store, 1);
    assert_eq!((first.priority, first.category.as_str()), (1, "uncategorized"));
    assert_eq!((first.name.as_str(), first.description.as_str()), ("Feature 1", ""));
    assert_eq!(first.steps, Steps::List(vec![]));
    assert!(!first.passes && !first.in_progress && first.dependencies.is_empty());
    assert_eq!(feature(&store, 2).steps, Steps::Other("as text".into()));
    assert_eq!(feature(&store, 3).name, "Feature 3");
}

#[test]
fn an_export_comes_back_as_it_was() {
    let (_project, store) = Project::with_features(5);
    store.call(MarkPassing { id: 2.into() }).unwrap();
    let exported = store.call(ListFeatures).unwrap();
    let json: Vec<Value> = exported.iter().map(Feature::to_json).collect();
    let (other, _) = with_list(&Value::Array(json).to_string());
    assert_eq!(other.open().call(ListFeatures).unwrap(), exported);
}

#[test]
fn dependencies_are_stored_in_the_order_of_their_ids_whatever_theirs_in_the_list_is() {
    let (project, _) = with_list(r#"[{}, {}, {"dependencies": [2, 1]}]"#);
    assert_eq!(project.open().call(GetStats).unwrap().total, 3);
    let stored = text(&project.foreign(), "SELECT dependencies FROM features WHERE id = 3");
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), json!([1, 2]));
}

#[test]
fn a_list_beside_features_is_left_alone() {
    let (project, store) = Project::with_features(1);
    store.close();
    let list = project.folder().join("feature_list.json");
    std::fs::write(&list, r#"[{"name": "Other"}]"#).unwrap();
    let store = project.open();
    assert_eq!((store.opening().imported.clone(), &store.opening().backlog_problem), (None, &None));
    assert_eq!(names(&store), ["Feature 1"]);
    assert!(list.exists());
    let entries = Feature::parse_backlog(br#"[{"name": "Other"}]"#).unwrap();
    let refused = store.call(ImportBacklog { entries });
    assert_eq!(refused, Err(Error::Refused(ImportRefusal::NotEmpty { count: 1 })));
}

#[test]
fn a_list_that_cannot_be_imported_changes_nothing_and_is_reported_with_its_position() {
    for (text, position) in [
        ("[{\"name\": \"cut", "line 1"),
        ("[\n{},\n{\"id\": }]", "line 3"),
        ("{\"features\": []}", "array"),
        ("\"text\"", "array"),
        ("", "line 1"),
        ("[{}, 7]", "entry 1"),
        ("[{}, {\"id\": 1}]", "entry 1"),
        ("[{}, {}, {\"id\": \"three\"}]", "entry 2"),
        ("[{}, {\"id\": -1}]", "entry 1"),
        ("[{}, {\"name\": []}]", "entry 1"),
        ("[{}, {\"passes\": \"yes\"}]", "entry 1"),
        ("[{}, {\"priority\": 1.5}]", "entry 1"),
        ("[{}, {}, {\"dependencies\": [3]}]", "entry 2"),
        ("[{\"dependencies\": [2]}, {\"dependencies\": [1]}]", "entry 0"),
        ("[{}, {\"dependencies\": [99]}]", "entry 1"),
        ("[{}, {}, {\"dependencies\": [1, 1]}]", "entry 2"),
    ] {
        let (project, list) = with_list(text);
        let store = project.open();
        assert_eq!(store.opening().imported, None, "{text}");
        let problem = store.opening().backlog_problem.clone();
        let problem = problem.unwrap_or_else(|| panic!("{text} was not reported"));
        assert!(problem.contains(position) && problem.contains("feature_list.json"), "{problem}");
        assert_eq!(std::fs::read_to_string(&list).unwrap(), text);
        assert_eq!(kept(project.folder()), Vec::<PathBuf>::new());
        // The store can be used; the list is not forgotten while there is no feature.
        assert_eq!(store.call(GetStats).unwrap().total, 0, "{text}");
        store.close();
        assert!(project.open().opening().backlog_problem.is_some());
    }
}

#[test]
fn a_mended_list_is_imported_by_the_next_opening() {
    let (project, list) = with_list("[{");
    let store = project.open();
    assert!(store.opening().backlog_problem.is_some());
    std::fs::write(&list, "[{}]").unwrap();
    // Even while the engine runs already.
    let again = project.open();
    assert_eq!(again.opening().imported.as_ref().unwrap().features, 1);
    assert_eq!(names(&store), ["Feature 1"]);
}

#[test]
fn an_empty_list_is_imported_as_nothing() {
    let (project, list) = with_list("[]");
    let store = project.open();
    assert_eq!(store.opening().imported.as_ref().unwrap().features, 0);
    assert!(!list.exists());
}

#[test]
fn an_earlier_backup_is_not_overwritten() {
    let (project, list) = with_list("[{}]");
    let first = project.open().opening().imported.clone().unwrap().kept_as.unwrap();
    std::fs::remove_dir_all(project.folder().join(".autoforge")).unwrap();
    // Within one second both would have the same name.
    std::fs::write(&list, "[{}, {}]").unwrap();
    let second = project.open().opening().imported.clone().unwrap().kept_as.unwrap();
    assert_ne!(first, second);
    assert_eq!(std::fs::read_to_string(first).unwrap(), "[{}]");
    assert_eq!(std::fs::read_to_string(second).unwrap(), "[{}, {}]");
}

#[test]
fn a_folder_or_a_pipe_in_the_place_of_the_list_is_not_read() {
    let project = Project::new();
    std::fs::create_dir(project.folder().join("feature_list.json")).unwrap();
    assert_eq!(project.open().opening().imported, None);

    let project = Project::new();
    let pipe = project.folder().join("feature_list.json");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(project.open().opening().imported, None);
}

#[test]
fn a_list_that_is_a_link_to_the_database_costs_no_lock() {
    let shared_memory = |project: &Project| project.folder().join(".autoforge/features.db-shm");
    for target in [Project::database, shared_memory] {
        let project = Project::new();
        let list = project.folder().join("feature_list.json");
        std::os::unix::fs::symlink(target(&project), &list).unwrap();
        let store = Store::open_project(project.folder()).unwrap();
        assert_eq!(store.opening().imported, None);
        assert!(store.opening().backlog_problem.is_some());
        // Closing any descriptor of the files would have dropped these locks of the engine.
        assert!(holds_lock(&project.database(), "READ", 1_073_741_826));
        assert!(holds_lock(&shared_memory(&project), "READ", 128));
        store.call(create("x")).unwrap();
        assert_eq!(store.call(GetFeature { id: 1.into() }).unwrap().name, "x");
    }
}
