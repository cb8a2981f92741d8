//! Taking back all that an agent did in one of its runs.

use super::*;
use autoforge_store::{ClaimNext, CreateFeatures, DeleteFeature, Feature, ImportBacklog};

fn of(name: &str, agent: &str) -> UndoTarget {
    UndoTarget::Session { session: name.to_owned(), agent: Some(agent.to_owned()) }
}

#[test]
fn all_of_a_session_is_taken_back_newest_first() {
    let (project, store) = Project::with_features(3);
    let me = agent("coder", "monday");
    let before = content(&project);
    store.call(edit(1, "First.").by(&me)).unwrap();
    store.call(ClaimNext.by(&me).owning(None)).unwrap();
    store.call(MarkPassing { id: 1.into() }.by(&me)).unwrap();
    store.call(create("Mine").by(&me)).unwrap();
    store.call(AddDependency { id: 4.into(), dependency: 2.into() }.by(&me)).unwrap();
    store.call(DeleteFeature { id: 2.into(), force: false }.by(&me)).unwrap();
    store.call(DeleteFeature { id: 4.into(), force: false }.by(&me)).unwrap();
    store.call(edit(1, "Nobody's.")).unwrap_err();

    let undone = undo(&project, &store, &session("monday"));
    assert_eq!(content(&project), before);
    let kinds: Vec<_> = undone.steps.iter().map(|step| step.kind.as_str()).collect();
    let expected = ["deleted", "deleted", "depends", "depends", "created", "passed", "edited"];
    assert_eq!(kinds, expected, "claims are no steps");
    let commands: std::collections::BTreeSet<_> =
        log(&store, undone.steps.len()).iter().map(|event| event.command).collect();
    assert_eq!(commands.len(), 1);
    let nothing = refusal(&project, &store, &session("monday"));
    assert_eq!(nothing, UndoRefusal::NothingToUndo { target: session("monday") });
}

#[test]
fn another_session_between_stands_in_the_way_only_on_the_same_column() {
    let (project, store) = Project::with_features(3);
    let (me, other) = (agent("coder", "monday"), agent("other", "tuesday"));
    store.call(edit(1, "Mine.").by(&me)).unwrap();
    let mine = newest(&store);
    store.call(prioritize(1, 9).by(&other)).unwrap();
    store.call(edit(2, "Mine too.").by(&me)).unwrap();
    undo(&project, &store, &session("monday"));
    assert_eq!(
        (feature(&store, 1).priority, feature(&store, 1).description.as_str()),
        (9, "What it does.")
    );

    // Again, and now the other one follows on the same columns.
    store.call(edit(1, "Mine again.").by(&me)).unwrap();
    let again = newest(&store);
    store.call(edit(1, "Theirs.").by(&other)).unwrap();
    let theirs = newest(&store);
    store.call(edit(2, "Mine, later.").by(&me)).unwrap();
    store.call(create("Mine").by(&me)).unwrap();
    let found = refusal(&project, &store, &session("monday"));
    let (event, by) = (again.id, theirs.id);
    assert_eq!(found, UndoRefusal::ChangedSince { event, id: 1.into(), by });
    assert_ne!(event, mine.id);
    assert_eq!(content(&project).len(), 4, "all or nothing");

    undo(&project, &store, &session("tuesday"));
    assert_eq!(feature(&store, 1).priority, 1);
    undo(&project, &store, &session("monday"));
    assert_eq!(content(&project).len(), 3);
    assert_eq!(feature(&store, 1).description, "What it does.");
}

#[test]
fn what_a_session_took_back_itself_counts_as_never_done() {
    let (project, store) = Project::with_features(2);
    let (me, other) = (agent("coder", "monday"), agent("other", "tuesday"));
    store.call(edit(2, "Theirs.").by(&other)).unwrap();
    let all_theirs = content(&project);
    store.call(edit(1, "Mine.").by(&me)).unwrap();
    store.call(edit(1, "Mine, revised.").by(&me)).unwrap();
    store.call(Undo { target: last(1) }.by(&me)).unwrap();
    // And this took back what is not its own.
    store.call(Undo { target: last(2) }.by(&me)).unwrap();
    assert_eq!(feature(&store, 2).description, "What it does.");
    let undone = undo(&project, &store, &session("monday"));
    assert_eq!(undone.steps.len(), 2);
    assert_eq!(content(&project), all_theirs);
    let undone = undo(&project, &store, &last(2));
    assert_eq!(undone.steps[0].kind, EventKind::Edited, "it is in force again");
}

#[test]
fn a_session_that_was_taken_back_comes_back_by_taking_that_back() {
    let (project, store) = Project::with_features(2);
    let (me, boss) = (agent("coder", "monday"), agent("boss", "review"));
    store.call(edit(1, "Mine.").by(&me)).unwrap();
    store.call(DeleteFeature { id: 2.into(), force: false }.by(&me)).unwrap();
    let after = content(&project);
    store.call(Undo { target: session("monday") }.by(&boss)).unwrap();
    assert_eq!(content(&project).len(), 2);
    undo(&project, &store, &session("review"));
    assert_eq!(content(&project), after);
    undo(&project, &store, &session("monday"));
    assert_eq!(content(&project).len(), 2);
}

#[test]
fn what_was_brought_back_by_another_session_is_seen_as_it_is_step_by_step() {
    let (project, store) = Project::with_features(1);
    let (me, other) = (agent("coder", "monday"), agent("other", "tuesday"));
    let before = content(&project);
    store.call(edit(1, "Mine.").by(&me)).unwrap();
    store.call(Undo { target: last(1) }.by(&other)).unwrap();
    store.call(Undo { target: one(&newest(&store)) }.by(&me)).unwrap();
    // The edit is in force only through the last event: without that, it is taken back already.
    assert_eq!(undo(&project, &store, &session("monday")).steps.len(), 1);
    assert_eq!(content(&project), before);
}

#[test]
fn sessions_of_one_name_are_told_apart_by_their_agents() {
    let (project, store) = Project::with_features(2);
    store.call(edit(1, "One.").by(&agent("one", "monday"))).unwrap();
    store.call(edit(2, "Two.").by(&agent("two", "monday"))).unwrap();
    let agents = vec!["one".to_owned(), "two".to_owned()];
    let found = refusal(&project, &store, &session("monday"));
    assert_eq!(found, UndoRefusal::SeveralAgents { session: "monday".to_owned(), agents });
    assert_eq!(undo(&project, &store, &of("monday", "two")).steps.len(), 1);
    assert_eq!(feature(&store, 1).description, "One.");
    assert_eq!(
        refusal(&project, &store, &of("monday", "two")).to_string(),
        "there is nothing to take back of session monday of two"
    );
    assert_eq!(undo(&project, &store, &session("monday")).steps.len(), 1, "one is left");
}

#[test]
fn features_that_wait_for_each_other_go_together_whatever_their_order() {
    let project = Project::new();
    let store = project.open();
    let me = agent("planner", "monday");
    let list = br#"[{"id": 1, "dependencies": [2]}, {"id": 2, "dependencies": [3]}, {"id": 3}]"#;
    let entries = Feature::parse_backlog(list).unwrap();
    store.call(ImportBacklog { entries }.by(&me)).unwrap();
    let imported = content(&project);
    assert_eq!(refusal(&project, &store, &last(2)).code(), "has_dependents");
    undo(&project, &store, &session("monday"));
    assert!(content(&project).is_empty());
    // Unless somebody else waits for one of them.
    let withdrawn = log(&store, 3);
    for event in &withdrawn {
        undo(&project, &store, &one(event));
    }
    assert_eq!(content(&project), imported);
    let dependencies = ids(&[1]);
    store.call(CreateFeature { dependencies, ..create("Another's") }).unwrap();
    let found = refusal(&project, &store, &session("monday"));
    assert!(matches!(found, UndoRefusal::HasDependents { id, .. } if id.get() == 1), "{found}");
}

#[test]
fn a_refusal_half_way_leaves_everything_as_it_was() {
    let (project, store) = Project::with_features(3);
    let me = agent("coder", "monday");
    store.call(MarkPassing { id: 1.into() }.by(&me)).unwrap();
    store.call(MarkFailing { id: 1.into() }.by(&me)).unwrap();
    store.call(DeleteFeature { id: 3.into(), force: false }.by(&me)).unwrap();
    let more = (0..5).map(|n| new_feature(&format!("More {n}")).into()).collect();
    store.call(CreateFeatures::new(more).by(&me)).unwrap();
    store.call(owned(1, "other")).unwrap();
    let found = refusal(&project, &store, &session("monday"));
    let UndoRefusal::InProgress { id, holder, .. } = found else { panic!("{found}") };
    assert_eq!((id.get(), holder.unwrap().owner.unwrap().agent.as_str()), (1, "other"));
    assert_eq!(content(&project).len(), 7);
}
