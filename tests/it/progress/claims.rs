//! Who reports an increase, what the report says, and what AutoForge's programs remember.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use autoforge_store::{
    ClaimProgress, Command, DeleteFeature, Feature, GetReportedProgress, ImportBacklog,
    MarkFailing, MarkPassing, ProgressReport, ProjectLayout, ReportedProgress, RequestId, Store,
    Timestamp,
};
use proptest::prelude::*;

use crate::support::{Child, Project, create, holds_lock, listen, number, say, say_note};

fn claim(project: &Project, store: &Store) -> Option<ProgressReport> {
    let layout = ProjectLayout::existing(project.folder()).unwrap();
    let claimed = store.claim_progress(&layout).unwrap();
    assert_eq!(claimed.cache_problem, None);
    claimed.report
}

fn cache(project: &Project) -> PathBuf {
    project.folder().join(".autoforge/.progress_cache")
}

fn cached(project: &Project) -> String {
    std::fs::read_to_string(cache(project)).unwrap()
}

fn pass(store: &Store, id: i64) {
    store.call(MarkPassing { id: id.into() }).unwrap();
}

fn fail(store: &Store, id: i64) {
    store.call(MarkFailing { id: id.into() }).unwrap();
}

/// What a report says, without its time.
fn told(report: Option<ProgressReport>) -> Option<(u64, u64, u64, Vec<String>)> {
    let report = report?;
    Some((report.previous_passing, report.passing, report.total, report.completed))
}

fn titles(ids: &[i64]) -> Vec<String> {
    ids.iter().map(|id| format!("Category Feature {id}")).collect()
}

#[test]
fn an_increase_is_reported_once_with_the_names_of_what_is_new() {
    let (project, store) = Project::with_features(4);
    assert_eq!(claim(&project, &store), None, "nothing passes");
    assert!(!cache(&project).exists());
    pass(&store, 3);
    pass(&store, 1);
    assert_eq!(told(claim(&project, &store)), Some((0, 2, 4, titles(&[1, 3]))));
    assert_eq!(cached(&project), r#"{"count": 2, "passing_ids": [1, 3]}"#);
    assert_eq!(claim(&project, &store), None);
    pass(&store, 2);
    assert_eq!(told(claim(&project, &store)), Some((2, 3, 4, titles(&[2]))));
    assert_eq!(cached(&project), r#"{"count": 3, "passing_ids": [1, 2, 3]}"#);
    store.close();
    assert_eq!(claim(&project, &project.open()), None, "it is remembered in the file");
}

#[test]
fn a_fall_is_no_report_and_neither_is_making_it_good() {
    let (project, store) = Project::with_features(4);
    for id in 1..=3 {
        pass(&store, id);
    }
    assert!(claim(&project, &store).is_some());
    fail(&store, 2);
    fail(&store, 3);
    assert_eq!(claim(&project, &store), None);
    pass(&store, 4);
    pass(&store, 2);
    assert_eq!(claim(&project, &store), None, "three, as were reported");
    pass(&store, 3);
    assert_eq!(told(claim(&project, &store)), Some((3, 4, 4, titles(&[4]))));
}

#[test]
fn a_report_is_sent_as_the_old_programs_send_it() {
    let at = |text: &str| Timestamp::from_text(text).unwrap();
    let report = ProgressReport {
        passing: 7,
        total: 24,
        previous_passing: 5,
        completed: vec!["Auth Log in".into(), "Zahlen für é".into()],
        at: at("2026-02-03 10:00:00.000001"),
    };
    assert_eq!(
        report.to_webhook_body("shop"),
        concat!(
            r#"[{"event": "test_progress", "passing": 7, "total": 24, "percentage": 29.2, "#,
            r#""previous_passing": 5, "tests_completed_this_session": 2, "#,
            r#""completed_tests": ["Auth Log in", "Zahlen f\u00fcr \u00e9"], "project": "shop", "#,
            r#""timestamp": "2026-02-03T10:00:00.000001Z"}]"#
        )
    );
}

#[test]
fn what_the_old_programs_have_reported_is_not_reported_again() {
    let (project, store) = Project::with_features(5);
    for id in 1..=3 {
        pass(&store, id);
    }
    std::fs::write(cache(&project), r#"{"count": 3, "passing_ids": [1, 2, 3]}"#).unwrap();
    assert_eq!(claim(&project, &store), None);
    // From then on it counts even where the cache is gone.
    std::fs::remove_file(cache(&project)).unwrap();
    assert_eq!(claim(&project, &store), None);
    assert_eq!(cached(&project), r#"{"count": 3, "passing_ids": [1, 2, 3]}"#);
    pass(&store, 4);
    std::fs::write(cache(&project), r#"{"count": 4, "passing_ids": [1, 2, 3, 4]}"#).unwrap();
    pass(&store, 5);
    assert_eq!(told(claim(&project, &store)), Some((4, 5, 5, titles(&[5]))));
}

#[test]
fn a_cache_of_early_releases_names_nothing() {
    let (project, store) = Project::with_features(4);
    for id in 1..=3 {
        pass(&store, id);
    }
    std::fs::write(cache(&project), r#"{"count": 2}"#).unwrap();
    assert_eq!(told(claim(&project, &store)), Some((2, 3, 4, vec![])));
    assert_eq!(cached(&project), r#"{"count": 3, "passing_ids": [1, 2, 3]}"#);
    pass(&store, 4);
    assert_eq!(told(claim(&project, &store)), Some((3, 4, 4, titles(&[4]))));
}

#[test]
fn a_cache_that_is_behind_or_broken_is_brought_along() {
    let (project, store) = Project::with_features(3);
    for id in 1..=2 {
        pass(&store, id);
    }
    assert!(claim(&project, &store).is_some());
    let right = cached(&project);
    for wrong in ["", "{\"count\": 2, \"pass", "[]", r#"{"count": 1, "passing_ids": [1]}"#] {
        std::fs::write(cache(&project), wrong).unwrap();
        assert_eq!(claim(&project, &store), None, "{wrong}");
        assert_eq!(cached(&project), right, "{wrong}");
    }
    let ahead = r#"{"count": 3, "passing_ids": [1, 2, 3]}"#;
    std::fs::write(cache(&project), ahead).unwrap();
    assert_eq!(claim(&project, &store), None);
    assert_eq!(cached(&project), ahead, "what the old programs know better stays");
    assert_eq!(std::fs::read_dir(project.folder().join(".autoforge")).unwrap().count(), 5);
}

#[test]
fn the_cache_is_found_where_any_release_left_it_and_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    for place in ["", ".autocoder", ".autoforge"] {
        let (project, store) = Project::with_features(2);
        let folder = project.folder().join(place);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(".progress_cache");
        std::fs::write(&file, r#"{"count": 0, "passing_ids": []}"#).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        pass(&store, 1);
        assert!(claim(&project, &store).is_some());
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, r#"{"count": 1, "passing_ids": [1]}"#, "{place}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(place == ".autoforge", cache(&project).exists());
    }
    let (project, store) = Project::with_features(1);
    pass(&store, 1);
    assert!(claim(&project, &store).is_some());
    assert_eq!(cache(&project).metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_cache_that_cannot_be_written_costs_no_report_and_is_told() {
    let (project, store) = Project::with_features(1);
    pass(&store, 1);
    std::fs::create_dir(cache(&project)).unwrap();
    let layout = ProjectLayout::existing(project.folder()).unwrap();
    let claimed = store.claim_progress(&layout).unwrap();
    assert_eq!(claimed.report.unwrap().passing, 1);
    let problem = claimed.cache_problem.unwrap();
    assert!(problem.contains(".progress_cache"), "{problem}");
    let names = std::fs::read_dir(project.folder().join(".autoforge")).unwrap();
    let drafts =
        names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(drafts.count(), 0);
}

#[test]
fn a_cache_that_is_a_link_to_the_database_costs_no_lock() {
    let (project, store) = Project::with_features(1);
    pass(&store, 1);
    let shared_memory = format!("{}-shm", project.database().display());
    for target in [project.database(), PathBuf::from(&shared_memory)] {
        drop(std::fs::remove_file(cache(&project)));
        symlink(&target, cache(&project)).unwrap();
        let _ = claim(&project, &store);
        assert!(holds_lock(Path::new(&shared_memory), "READ", 128), "{}", target.display());
        assert!(!cache(&project).is_symlink(), "the link is replaced, not what it leads to");
    }
    assert_eq!(store.diagnose().unwrap().integrity, Vec::<String>::new());
}

#[test]
fn a_report_that_got_lost_is_not_made_again_unless_it_is_asked_for_by_its_name() {
    let (_project, store) = Project::with_features(2);
    pass(&store, 1);
    let id: RequestId = "report-1".parse().unwrap();
    let ask = || store.call(ClaimProgress { cached: None }.once(id.clone())).unwrap();
    let first = ask();
    assert!(first.is_some());
    assert_eq!(store.call(ClaimProgress { cached: None }).unwrap(), None, "at most once");
    pass(&store, 2);
    assert_eq!(ask(), first, "the report of then");
    assert_eq!(store.call(ClaimProgress { cached: None }).unwrap().unwrap().passing, 2);
}

/// In a child: passes the feature that it is told, claims, and says what it has to report.
pub(crate) fn claim_progress(folder: &Path) {
    let layout = ProjectLayout::existing(folder).unwrap();
    let store = Store::open_project(folder).unwrap();
    say("open");
    while let Some(id) = listen() {
        pass(&store, id.parse().unwrap());
        let claimed = store.claim_progress(&layout).unwrap();
        assert_eq!(claimed.cache_problem, None);
        say(&claimed.report.map_or("none".to_owned(), |report| {
            format!("{} {} {}", report.previous_passing, report.passing, report.completed.join("|"))
        }));
    }
}

#[test]
fn of_eight_processes_that_see_an_increase_at_once_exactly_one_reports_it() {
    const PROCESSES: i64 = 8;
    const ROUNDS: i64 = 40;
    let (project, store) = Project::with_features(usize::try_from(PROCESSES * ROUNDS).unwrap());
    let mut children: Vec<Child> =
        (0..PROCESSES).map(|_| Child::start("claim_progress", project.folder())).collect();
    for child in &mut children {
        assert_eq!(child.hear(), "open");
    }
    for round in 0..ROUNDS {
        let first = PROCESSES * round + 1;
        for (child, id) in children.iter_mut().zip(first..) {
            child.tell(&id.to_string());
        }
        let answers: Vec<String> = children.iter_mut().map(Child::hear).collect();
        let mut reports: Vec<(i64, i64, Vec<String>)> = Vec::new();
        for answer in answers.iter().filter(|answer| *answer != "none") {
            let parts: Vec<&str> = answer.splitn(3, ' ').collect();
            let names = parts[2].split('|').map(str::to_owned).collect();
            reports.push((parts[0].parse().unwrap(), parts[1].parse().unwrap(), names));
        }
        // Each goes on where the one before ended, up to what passes now.
        reports.sort();
        let ends = reports.iter().map(|(_, passing, _)| *passing);
        let expected: Vec<i64> = [first - 1].into_iter().chain(ends).collect();
        let starts: Vec<i64> = reports.iter().map(|(previous, ..)| *previous).collect();
        assert_eq!(starts, expected[..reports.len()], "{answers:?}");
        assert_eq!(*expected.last().unwrap(), first - 1 + PROCESSES, "{answers:?}");
        // Nothing is named twice, and nothing is left out.
        let mut names: Vec<String> = reports.into_iter().flat_map(|(.., names)| names).collect();
        names.sort();
        let mut expected = titles(&(first..first + PROCESSES).collect::<Vec<_>>());
        expected.sort();
        assert_eq!(names, expected, "{answers:?}");
        // The cache is right when all have looked, whoever wrote it last.
        let cached = ReportedProgress::from_cache_text(&cached(&project));
        assert_eq!(cached, store.call(GetReportedProgress).unwrap());
    }
}

/// What happens to a project between two claims.
#[derive(Debug, Clone)]
enum Happens {
    Pass(i64),
    Fail(i64),
    Create,
    Delete(i64),
    Claim,
    /// AutoForge's own program looks, and reports if it sees an increase.
    PythonLooks,
    CacheIsLost,
    Reopen,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (1..=8_i64).prop_map(Happens::Pass),
        2 => (1..=8_i64).prop_map(Happens::Fail),
        1 => Just(Happens::Create),
        1 => (1..=8_i64).prop_map(Happens::Delete),
        5 => Just(Happens::Claim),
        2 => Just(Happens::PythonLooks),
        1 => Just(Happens::CacheIsLost),
        1 => Just(Happens::Reopen),
    ]
}

/// What has been reported, said naively: the memory that all programs share.
#[derive(Debug, Clone, Default)]
struct Memory {
    count: u64,
    ids: Vec<i64>,
}

fn passing(store: &Store) -> Vec<Feature> {
    let features = store.call(autoforge_store::ListFeatures).unwrap();
    features.into_iter().filter(|feature| feature.passes).collect()
}

impl Memory {
    /// The names that have to be reported now, if anything has.
    fn look(&mut self, passing: &[Feature]) -> Option<Vec<String>> {
        let count = passing.len() as u64;
        if count <= self.count {
            return None;
        }
        let new = passing.iter().filter(|feature| !self.ids.contains(&feature.id.get()));
        let names = new.map(|feature| format!("{} {}", feature.category, feature.name)).collect();
        let ids = passing.iter().map(|feature| feature.id.get()).collect();
        *self = Self { count, ids };
        Some(names)
    }
}

/// Looks as AutoForge's program does: at the file alone.
fn python_looks(project: &Project, passing: &[Feature]) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(cache(project)).ok();
    let cached = text.and_then(|text| ReportedProgress::from_cache_text(&text));
    let ids = cached.iter().flat_map(|cached| cached.ids.iter().flatten());
    let mut memory = Memory {
        ids: ids.map(|id| id.get()).collect(),
        count: cached.as_ref().map_or(0, |cached| cached.count),
    };
    let names = memory.look(passing)?;
    let ids = Some(memory.ids.iter().map(|id| (*id).into()).collect());
    let text = ReportedProgress { count: memory.count, ids }.to_cache_text();
    std::fs::write(cache(project), text).unwrap();
    Some(names)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_claims_whatever_passes_is_reported_once_and_an_increase_is_what_is_reported(
        steps in prop::collection::vec(happens(), 1..40),
    ) {
        let (project, mut store) = Project::with_features(5);
        let mut memory = Memory::default();
        let mut lost = false;
        for step in steps {
            match step {
                // Refused where there is nothing to change.
                Happens::Pass(id) => drop(store.call(MarkPassing { id: id.into() })),
                Happens::Fail(id) => drop(store.call(MarkFailing { id: id.into() })),
                Happens::Create => drop(store.call(create("New"))),
                Happens::Delete(id) => {
                    drop(store.call(DeleteFeature { id: id.into(), force: true }));
                }
                Happens::Claim => {
                    let expected = memory.look(&passing(&store));
                    let found = claim(&project, &store).map(|report| report.completed);
                    prop_assert_eq!(found, expected);
                    lost = false;
                }
                Happens::PythonLooks if !lost => {
                    let expected = memory.look(&passing(&store));
                    prop_assert_eq!(python_looks(&project, &passing(&store)), expected);
                }
                Happens::CacheIsLost => {
                    // What we have not seen of Python's reports is lost with it.
                    let _ = claim(&project, &store);
                    memory.look(&passing(&store));
                    drop(std::fs::remove_file(cache(&project)));
                    lost = true;
                }
                Happens::PythonLooks => {}
                Happens::Reopen => {
                    store.close();
                    store = project.open();
                }
            }
            let stored = store.call(GetReportedProgress).unwrap();
            prop_assert!(stored.is_none_or(|stored| stored.count <= memory.count));
        }
    }
}

#[test]
fn python_writes_a_cache_of_the_same_bytes() {
    let (project, store) = Project::with_features(3);
    for id in [3, 1] {
        pass(&store, id);
    }
    assert!(claim(&project, &store).is_some());
    let script = "import json, pathlib, sys; path = pathlib.Path(sys.argv[1]); \
        data = json.loads(path.read_text()); \
        path.write_text(json.dumps({'count': data.get('count', 0), \
            'passing_ids': [id for id in data.get('passing_ids', [])]}))";
    let ours = cached(&project);
    let mut python = std::process::Command::new("python3");
    let Ok(ended) = python.args(["-c", script]).arg(cache(&project)).status() else {
        return say_note("there is no python3, so nothing was compared with it");
    };
    assert!(ended.success());
    assert_eq!(cached(&project), ours);
}

#[test]
fn a_large_project_is_reported_by_what_differs() {
    let list: Vec<_> = (1..=3000)
        .map(|id| serde_json::json!({"id": id, "name": format!("{id}"), "passes": id > 1}))
        .collect();
    let entries = Feature::parse_backlog(serde_json::json!(list).to_string().as_bytes()).unwrap();
    let project = Project::new();
    let store = project.open();
    store.call(ImportBacklog { entries }).unwrap();
    assert_eq!(claim(&project, &store).unwrap().completed.len(), 2999);
    store.checkpoint().unwrap();
    pass(&store, 1);
    let frames = || number(&project.foreign(), "SELECT count(*) FROM autoforge_progress");
    assert_eq!(claim(&project, &store).unwrap().completed, ["uncategorized 1"]);
    assert_eq!(frames(), 3000);
    let log = crate::support::log_frames(&project.log()).len();
    assert!(log < 40, "{log} pages were written");
}
