//! The form of commands and answers about schedules and progress in the file; see [`super::forms`].

use autoforge_store::{
    AfterCrash, ClaimProgress, Command, CreateSchedule, DeleteSchedule, IncrementCrashCount,
    MarkPassing, ModelChange, NewSchedule, NotWanted, OverrideKind, PurgeExpiredOverrides,
    ReportedProgress, ResetCrashCount, ScheduleChanges, SetOverride, UpdateSchedule, WindowMinutes,
};

use super::twice;
use crate::support::Project;

fn form(command: &(impl Command + serde::Serialize)) -> String {
    serde_json::to_string(command).unwrap()
}

fn new(model: Option<&str>) -> NewSchedule {
    let all_day = WindowMinutes::new(1440).unwrap();
    let new = NewSchedule::new("shop".parse().unwrap(), "00:00".parse().unwrap(), all_day);
    NewSchedule { model: model.map(|model| model.parse().unwrap()), ..new }
}

#[test]
fn the_arguments_about_schedules_have_their_lasting_form() {
    let id = 1.into();
    assert_eq!(
        form(&CreateSchedule(new(Some("é")))),
        concat!(
            r#"{"project":"shop","window":{"start":"00:00","duration":1440,"days":127},"#,
            r#""enabled":true,"yolo_mode":false,"model":"é","max_concurrency":3}"#
        )
    );
    assert!(form(&CreateSchedule(new(None))).contains(r#""model":null"#));
    let changes = ScheduleChanges::default();
    assert_eq!(
        form(&UpdateSchedule { id, changes }),
        concat!(
            r#"{"id":1,"changes":{"start":null,"duration":null,"days":null,"enabled":null,"#,
            r#""yolo_mode":null,"model":"keep","max_concurrency":null}}"#
        )
    );
    let model = |model| {
        form(&UpdateSchedule { id, changes: ScheduleChanges { model, ..Default::default() } })
    };
    assert!(model(ModelChange::Clear).contains(r#""model":"clear""#));
    assert!(model(ModelChange::Set("x".parse().unwrap())).contains(r#""model":{"set":"x"}"#));
    assert_eq!(form(&DeleteSchedule { id }), r#"{"id":1}"#);
    assert_eq!(form(&IncrementCrashCount { id }), r#"{"id":1}"#);
    assert_eq!(form(&ResetCrashCount { id }), r#"{"id":1}"#);
    let stop = SetOverride { project: None, kind: OverrideKind::Stop };
    assert_eq!(form(&stop), r#"{"project":null,"kind":"stop"}"#);
    assert_eq!(form(&PurgeExpiredOverrides), "null");
    let cached = ReportedProgress::from_cache_text(r#"{"count": 2}"#);
    assert_eq!(form(&ClaimProgress { cached }), "{}", "without what others remember");
}

#[test]
fn every_command_about_schedules_and_progress_gives_its_answer_again() {
    let (project, store) = Project::with_features(2);
    store.call(MarkPassing { id: 2.into() }).unwrap();
    store.close();
    let id = twice(&project, CreateSchedule(new(Some("é\u{2028}\"")))).id;
    let changes = ScheduleChanges { model: ModelChange::Clear, ..ScheduleChanges::default() };
    assert_eq!(twice(&project, UpdateSchedule { id, changes }).model, None);
    let crash = twice(&project, IncrementCrashCount { id });
    assert!(matches!(crash, AfterCrash::Restart { crashes: 1, .. }));
    assert_eq!(twice(&project, ResetCrashCount { id }), 1);
    let stop = SetOverride { project: Some("shop".parse().unwrap()), kind: OverrideKind::Stop };
    assert_eq!(twice(&project, stop).len(), 1);
    let refused = AfterCrash::NotWanted(NotWanted::StoppedByHand);
    assert_eq!(twice(&project, IncrementCrashCount { id }), refused);
    assert!(twice(&project, PurgeExpiredOverrides).is_empty());
    assert_eq!(twice(&project, DeleteSchedule { id }).overrides, 1);
    assert_eq!(twice(&project, ClaimProgress { cached: None }).unwrap().passing, 1);
    assert_eq!(twice(&project, ClaimProgress { cached: None }), None);
}
