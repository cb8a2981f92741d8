//! Measuring a disk.

use super::Project;

#[test]
fn a_disk_is_measured_and_left_as_it_was() {
    let project = Project::none();
    let data = project.json(["bench", ".", "--seconds", "1"]).data();
    let agents: Vec<_> =
        data["calls"].as_array().unwrap().iter().map(|one| &one["agents"]).collect();
    assert_eq!(agents, [1, 8, 64]);
    for rates in data["calls"].as_array().unwrap().iter().chain([&data["sync"]]) {
        let of = |key: &str| rates[key].as_f64().unwrap();
        assert!(of("per_second") > 0.0, "{rates}");
        assert!(of("median_us") <= of("p99_us") && of("p99_us") <= of("longest_us"), "{rates}");
    }
    assert_eq!(std::fs::read_dir(project.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_not_there_cannot_be_measured() {
    let project = Project::none();
    let error = project.json(["bench", "nowhere"]).error(3);
    assert!(error["message"].as_str().unwrap().contains("nowhere"), "{error}");
}
