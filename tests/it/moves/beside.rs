//! Processes that come in the middle of a migration.

use std::path::Path;

use super::neighbour::{KINDS, ask, start};
use super::{
    AtPoint, NAMES, OLD_PLACES, assert_moved, feature_names, features_project, insert, old_project,
};
use crate::support::{Child, foreign};

/// An opening that has chosen the old path, or has the old file open, when a migration that saw nobody
/// goes on to its end.
#[test]
fn an_opening_in_the_middle_of_a_migration_ends_up_in_the_new_place_and_makes_nothing_in_the_old_one()
 {
    for place in OLD_PLACES {
        for point in ["open.chosen", "open.connected"] {
            let project = features_project(place);
            let migrating = AtPoint::reach("migrate", project.folder(), "migrate.fenced", 1);
            let opening = AtPoint::reach("open_once", project.folder(), point, 1);
            let moved = migrating.go_on();
            assert!(moved.contains("moved 1"), "{moved}");
            assert_eq!(moved.contains("stranded"), point == "open.connected", "{moved}");
            let said = opening.go_on();
            assert!(said.contains(&format!("4 in {}", project.database().display())), "{said}");
            for old in OLD_PLACES {
                let old = project.folder().join(old).join("features.db");
                assert!(!old.exists(), "{point}: {}", old.display());
            }
        }
    }
}

#[test]
fn whoever_comes_before_the_point_of_no_return_keeps_the_database_in_its_place() {
    for (kind, place) in KINDS {
        let project = features_project(place);
        let Some(mut other) = start(kind, project.folder()) else { continue };
        ask(&mut other, "find");
        let migrating = AtPoint::reach("migrate", project.folder(), "migrate.copied", 1);
        assert_eq!(ask(&mut other, "open"), "opened");
        other.tell("write waited");
        let refused = migrating.go_on();
        assert!(refused.contains(&format!("process {}", other.id())), "{refused}");
        assert_eq!(other.hear(), "written");
        ask(&mut other, "close");
        assert!(!project.database().exists());
        assert!(!project.folder().join(".autoforge/.moving-features.db").exists());
        super::migrate(&project);
        assert_eq!(feature_names(&project.open()).last().unwrap(), "waited");
    }
}

#[test]
fn what_comes_into_the_new_place_at_the_last_moment_is_not_replaced_and_the_old_one_goes_on() {
    for place in OLD_PLACES {
        let project = features_project(place);
        let migrating = AtPoint::reach("migrate", project.folder(), "migrate.fenced", 1);
        std::fs::write(project.database(), "somebody's").unwrap();
        let refused = migrating.go_on();
        assert!(refused.contains("refused: two_places"), "{refused}");
        assert_eq!(std::fs::read(project.database()).unwrap(), b"somebody's");
        // Programs that know nothing of us need not wait for one of ours to write again.
        insert(&foreign(&project.folder().join(place).join("features.db")), "later").unwrap();
        std::fs::remove_file(project.database()).unwrap();
        super::migrate(&project);
        assert_eq!(feature_names(&project.open()).last().unwrap(), "later");
    }
}

#[test]
fn an_opening_that_meets_a_new_file_in_the_old_place_ends_up_in_the_new_one() {
    let project = features_project(".");
    let opening = AtPoint::reach("open_once", project.folder(), "open.chosen", 1);
    super::migrate(&project);
    // As a program does that noted the old path before and opens it only now.
    std::fs::write(project.folder().join("features.db"), "").unwrap();
    let said = opening.go_on();
    assert!(said.contains(&format!("4 in {}", project.database().display())), "{said}");
}

/// The body of the child process that opens a project once and says where.
pub(crate) fn open_once(folder: &Path) {
    use autoforge_store::{ListFeatures, Store};
    let store = Store::open_project(folder).unwrap();
    let count = store.call(ListFeatures).unwrap().len();
    crate::support::say(&format!("{count} in {}", store.path().display()));
}

#[test]
fn an_opening_that_waits_for_a_migration_that_dies_uses_what_it_left() {
    for point in ["migrate.copied", "migrate.fenced", "migrate.switched", "migrate.removed"] {
        let project = features_project(".autocoder");
        let migrating = AtPoint::reach("migrate", project.folder(), point, 1);
        let mut other = Child::start("open", project.folder());
        other.tell(project.folder().to_str().unwrap());
        migrating.kill();
        let opened = other.hear();
        assert!(opened.ends_with(&format!(" {}", NAMES.len())), "{point}: {opened}");
        other.tell("close");
        assert_eq!(other.hear(), "closed None");
        drop(project.open());
        let old = project.folder().join(".autocoder");
        assert!(project.database().exists() && !old.exists(), "{point}");
    }
}

#[test]
fn of_many_processes_that_migrate_at_once_one_moves_each_file_and_all_that_open_find_it() {
    for place in OLD_PLACES {
        let project = old_project(place);
        let folder = project.folder();
        let mut moving: Vec<_> = (0..6).map(|_| Child::start("migrate", folder)).collect();
        let mut opening: Vec<_> = (0..4).map(|_| Child::start("open_once", folder)).collect();
        let moved: Vec<String> = moving.iter_mut().map(Child::hear).collect();
        for other in &mut opening {
            let said = other.hear();
            assert!(said.starts_with("4 in "), "{said}");
        }
        drop((moving, opening));
        let sum: usize = moved
            .iter()
            .filter_map(|line| line.strip_prefix("moved ")?.get(..1)?.parse::<usize>().ok())
            .sum();
        // An opening may have been in the way of all of them.
        assert!(sum <= 4, "{moved:?}");
        super::migrate(&project);
        assert_moved(&project, place);
    }
}
