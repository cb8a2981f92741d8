//! Where a project's files lie: old places are found, new ones are made private and kept out of
//! version control.
#![expect(clippy::disallowed_methods, reason = "plain text files")]

use autoforge_store::{ProjectLayout, Store};

use crate::old_files;
use crate::support::{Project, create, foreign, names};

/// A project with a database in each of these places, each with a feature that names its place.
fn with_databases(places: &[&str]) -> Project {
    let project = Project::new();
    for place in places {
        let folder = project.folder().join(place);
        std::fs::create_dir_all(&folder).unwrap();
        let file = foreign(&folder.join("features.db"));
        file.execute_batch(&old_files::named("current")).unwrap();
        file.execute("UPDATE features SET name = 'in ' || ?1", [place]).unwrap();
    }
    project
}

#[test]
fn the_first_place_that_has_a_database_wins() {
    for (places, found) in [
        (vec![".autoforge", ".autocoder", "."], ".autoforge"),
        (vec![".autocoder", "."], ".autocoder"),
        (vec!["."], "."),
    ] {
        let project = with_databases(&places);
        let store = project.open();
        assert!(!store.opening().created);
        assert_eq!(names(&store)[0], format!("in {found}"));
        let expected = project.folder().join(found).join("features.db").canonicalize().unwrap();
        assert_eq!(store.path(), expected);
        assert_eq!(ProjectLayout::existing(project.folder()).unwrap().features_db(), expected);
    }
}

#[test]
fn an_old_place_is_used_and_no_new_one_is_made_beside_it() {
    for place in [".autocoder", "."] {
        let project = with_databases(&[place]);
        project.open().call(create("x")).unwrap();
        assert!(!project.folder().join(".autoforge").exists(), "{place}");
    }
}

#[test]
fn a_new_database_is_made_in_its_folder_with_a_gitignore() {
    let project = Project::new();
    let layout = ProjectLayout::existing(project.folder()).unwrap();
    assert!(!layout.has_features());
    let store = project.open();
    assert_eq!(store.path(), project.database());
    assert!(layout.has_features());
    let ignored = project.folder().join(".autoforge/.gitignore");
    let text = std::fs::read_to_string(ignored).unwrap();
    for pattern in ["*.db", "*.db-wal", "*.db-shm", "*.lock", ".pause_drain", ".progress_cache"] {
        assert!(text.lines().any(|line| line == pattern), "{pattern}");
    }
    // Whatever else a user keeps there, such as prompts, is not hidden.
    assert!(!text.lines().any(|line| line == "*"));
}

#[test]
fn a_gitignore_that_somebody_wrote_is_kept() {
    let project = Project::new();
    let folder = project.folder().join(".autoforge");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".gitignore"), "mine\n").unwrap();
    drop(project.open());
    assert_eq!(std::fs::read_to_string(folder.join(".gitignore")).unwrap(), "mine\n");
}

#[test]
fn a_project_folder_is_found_through_a_link_and_named_by_its_real_path() {
    let project = Project::new();
    let link = project.folder().join("link");
    let real = project.folder().join("real");
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert_eq!(ProjectLayout::create(&link).unwrap().folder(), real);
    assert_eq!(Store::open_project(&link).unwrap().path(), real.join(".autoforge/features.db"));
}

#[test]
fn looking_at_a_layout_makes_nothing() {
    let project = Project::new();
    let layout = ProjectLayout::existing(project.folder()).unwrap();
    assert_eq!(layout.features_db(), project.database());
    assert_eq!(layout.legacy_backlog(), project.folder().join("feature_list.json"));
    assert_eq!(std::fs::read_dir(project.folder()).unwrap().count(), 0);
    assert!(ProjectLayout::existing(&project.folder().join("missing")).is_err());
}
