//! What to do next: a pure function from what is known to what shall happen.
//!
//! Nothing here starts, reads or waits for anything, so every rule can be tested by calling it.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::Settings;
use crate::{EventId, FeatureId, Snapshot, Testable};

/// A feature that was not tested since the last pass anywhere is worth so much more.
const NOT_TESTED_LATELY: usize = 5;
/// So many of a feature's dependencies count.
const DEPENDENCIES: usize = 3;

/// The agents of this orchestrator, as far as they matter for what comes next.
#[derive(Debug, Clone, Default)]
pub(super) struct Crew {
    /// How many build features.
    pub(super) coding: usize,
    /// What those test that test features; one entry an agent.
    pub(super) testing: Vec<BTreeSet<FeatureId>>,
    /// The agent that makes the features of a project that has none.
    pub(super) initializer: Initializer,
    /// Somebody has asked for a pause, by the file that says so.
    pub(super) drain: bool,
    /// An agent could not be started; no other one is tried now.
    pub(super) resting: bool,
    /// When each feature was last given to be tested: the last pass of any feature by then.
    pub(super) tested: BTreeMap<FeatureId, EventId>,
    /// The last pass of any feature that is known.
    pub(super) last_pass: EventId,
}

/// Where the agent is that makes the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Initializer {
    /// It has not been needed yet.
    #[default]
    Waits,
    /// It works.
    Works,
    /// It has had its turn.
    Done,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Claim a batch and start an agent that builds it. So many ready features are left to others.
    StartCoding { others: usize },
    /// Start an agent that tests these.
    StartTesting { features: Vec<FeatureId> },
    /// Start the agent that makes the features.
    StartInitializer,
    /// There is nothing more to do.
    Finish(Finish),
}

/// Why there is nothing more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Every feature passes.
    AllPassing,
    /// There are no features.
    NoFeatures,
    /// No feature can be taken: each of those that are left waits for others in vain, has failed too
    /// often, or, where nobody waits for humans, waits for one.
    Stuck,
}

impl Finish {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllPassing => "all_passing",
            Self::NoFeatures => "no_features",
            Self::Stuck => "stuck",
        }
    }
}

/// Decides what to do.
pub(super) fn plan(snapshot: &Snapshot, crew: &Crew, settings: &Settings) -> Vec<Action> {
    let running =
        crew.coding + crew.testing.len() + usize::from(crew.initializer == Initializer::Works);
    if crew.drain || crew.resting {
        return Vec::new();
    }
    if snapshot.total == 0
        && settings.initializer.is_some()
        && crew.initializer != Initializer::Done
    {
        let start = running == 0;
        return start.then_some(Action::StartInitializer).into_iter().collect();
    }
    let mut room = settings.total.saturating_sub(running);
    let slots = settings.coding.saturating_sub(crew.coding).min(room).min(snapshot.ready.len());
    room -= slots;
    // Each of those that start now, and each that may start later, shall find something.
    let mut actions: Vec<Action> =
        (0..slots).map(|start| Action::StartCoding { others: slots - 1 - start }).collect();
    let building = crew.coding + slots > 0;
    if building && room > 0 && crew.testing.len() < settings.testing {
        let features = test_batch(&snapshot.testable, crew, settings.test_batch);
        if !features.is_empty() {
            actions.push(Action::StartTesting { features });
        }
    }
    if actions.is_empty() && running == 0 {
        actions.extend(finish(snapshot, settings).map(Action::Finish));
    }
    actions
}

/// Whether anything can still come.
fn finish(snapshot: &Snapshot, settings: &Settings) -> Option<Finish> {
    if snapshot.total == 0 {
        return Some(Finish::NoFeatures);
    }
    if snapshot.passing == snapshot.total {
        return Some(Finish::AllPassing);
    }
    let others_work = snapshot.in_progress > 0;
    let human_may_answer = !snapshot.waiting_for_human.is_empty() && settings.wait_for_humans;
    let may_come = !snapshot.ready.is_empty() || others_work || human_may_answer;
    (!may_come).then_some(Finish::Stuck)
}

/// The passing features that are most worth a test now; none where every one of them was tested
/// since anything passed for the last time.
fn test_batch(testable: &[Testable], crew: &Crew, max: usize) -> Vec<FeatureId> {
    let under_test: BTreeSet<FeatureId> = crew.testing.iter().flatten().copied().collect();
    let lately = |id: FeatureId| crew.tested.get(&id).is_some_and(|at| *at >= crew.last_pass);
    let mut candidates: Vec<(usize, FeatureId)> = testable
        .iter()
        .filter(|feature| !under_test.contains(&feature.id))
        .map(|feature| {
            let fresh = if lately(feature.id) { 0 } else { NOT_TESTED_LATELY };
            let links = 2 * feature.dependents + feature.dependencies.min(DEPENDENCIES);
            (links + fresh, feature.id)
        })
        .collect();
    if candidates.iter().all(|(_, id)| lately(*id)) {
        return Vec::new();
    }
    candidates.sort_by(|(a, a_id), (b, b_id)| b.cmp(a).then_with(|| a_id.cmp(b_id)));
    candidates.into_iter().take(max).map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::AgentCommand;

    fn settings() -> Settings {
        let command = AgentCommand::new(["agent"]).unwrap();
        Settings { coding: 3, testing: 1, ..Settings::new(command) }
    }

    fn with_initializer() -> Settings {
        let command = AgentCommand::new(["agent"]).unwrap();
        Settings { initializer: Some(command), ..settings() }
    }

    fn ids(numbers: &[i64]) -> Vec<FeatureId> {
        numbers.iter().map(|&id| id.into()).collect()
    }

    /// 10 features, of which these are ready and so many pass.
    fn snapshot(ready: &[i64], passing: usize) -> Snapshot {
        let testable = (1..=passing).map(|id| Testable {
            id: i64::try_from(id).unwrap().into(),
            dependents: 0,
            dependencies: 0,
        });
        Snapshot {
            total: 10,
            passing,
            ready: ids(ready),
            testable: testable.collect(),
            ..Snapshot::default()
        }
    }

    fn coding(others: usize) -> Action {
        Action::StartCoding { others }
    }

    #[test]
    fn as_many_agents_start_as_are_wanted_and_each_leaves_something_to_the_next() {
        let plan = |ready: &[i64], busy| {
            plan(&snapshot(ready, 0), &Crew { coding: busy, ..Crew::default() }, &settings())
        };
        assert_eq!(plan(&[1, 2, 3, 4], 0), [coding(2), coding(1), coding(0)]);
        assert_eq!(plan(&[1, 2], 0), [coding(1), coding(0)]);
        assert_eq!(plan(&[1, 2, 3, 4], 2), [coding(0)]);
        assert_eq!(plan(&[1, 2, 3, 4], 3), []);
        assert_eq!(plan(&[], 1), []);
    }

    #[test]
    fn never_more_agents_run_than_the_total_allows() {
        let settings = Settings { total: 2, ..settings() };
        let crew = Crew { coding: 1, ..Crew::default() };
        assert_eq!(plan(&snapshot(&[1, 2, 3], 2), &crew, &settings), [coding(0)]);
    }

    #[test]
    fn one_tests_while_others_build_but_not_when_nothing_is_built() {
        let testing = Action::StartTesting { features: ids(&[1, 2]) };
        let crew = Crew::default();
        assert_eq!(plan(&snapshot(&[5], 2), &crew, &settings()), [coding(0), testing.clone()]);
        let busy = Crew { coding: 3, ..Crew::default() };
        assert_eq!(plan(&snapshot(&[5], 2), &busy, &settings()), [testing]);
        let tests = Crew { coding: 3, testing: vec![BTreeSet::new()], ..Crew::default() };
        assert_eq!(plan(&snapshot(&[5], 2), &tests, &settings()), []);
        let none = Settings { testing: 0, ..settings() };
        assert_eq!(plan(&snapshot(&[5], 2), &busy, &none), []);
    }

    #[test]
    fn what_much_depends_on_is_tested_first_and_nothing_twice_without_a_reason() {
        let feature = |id: i64, dependents, dependencies| Testable {
            id: id.into(),
            dependents,
            dependencies,
        };
        let all = [feature(1, 0, 9), feature(2, 2, 0), feature(3, 1, 2), feature(4, 0, 0)];
        let mut crew = Crew { last_pass: 7.into(), ..Crew::default() };
        assert_eq!(test_batch(&all, &crew, 9), ids(&[2, 3, 1, 4]));
        crew.tested.insert(2.into(), 7.into());
        assert_eq!(test_batch(&all, &crew, 2), ids(&[3, 1]), "2 was tested lately");
        crew.testing = vec![[FeatureId::from(3)].into()];
        assert_eq!(test_batch(&all, &crew, 2), ids(&[1, 4]), "3 is being tested");
        crew.tested.extend(all.iter().map(|feature| (feature.id, EventId::from(7))));
        assert_eq!(test_batch(&all, &crew, 2), []);
        crew.last_pass = 8.into();
        assert_eq!(test_batch(&all, &crew, 2), ids(&[2, 1]), "something has passed since");
    }

    #[test]
    fn the_end_is_told_by_what_is_left() {
        let plan =
            |snapshot: &Snapshot, settings: &Settings| plan(snapshot, &Crew::default(), settings);
        let ended = |why| vec![Action::Finish(why)];
        let settings = settings();
        assert_eq!(plan(&snapshot(&[], 10), &settings), ended(Finish::AllPassing));
        let empty = Snapshot { total: 0, ..snapshot(&[], 0) };
        assert_eq!(plan(&empty, &settings), ended(Finish::NoFeatures));
        assert_eq!(plan(&snapshot(&[], 9), &settings), ended(Finish::Stuck));
        let others = Snapshot { in_progress: 1, ..snapshot(&[], 9) };
        assert_eq!(plan(&others, &settings), []);
        let asked = Snapshot { waiting_for_human: ids(&[4]), ..snapshot(&[], 9) };
        assert_eq!(plan(&asked, &settings), []);
        let hasty = Settings { wait_for_humans: false, ..settings };
        assert_eq!(plan(&asked, &hasty), ended(Finish::Stuck));
    }

    #[test]
    fn nothing_starts_and_nothing_ends_during_a_drain_or_a_rest() {
        for (drain, resting) in [(true, false), (false, true)] {
            let crew = Crew { drain, resting, ..Crew::default() };
            assert_eq!(plan(&snapshot(&[1], 3), &crew, &settings()), []);
            assert_eq!(plan(&snapshot(&[], 10), &crew, &settings()), []);
        }
    }

    #[test]
    fn a_project_without_features_gets_them_from_the_initializer_once() {
        let empty = Snapshot { total: 0, ..snapshot(&[], 0) };
        let settings = with_initializer();
        let mut crew = Crew::default();
        assert_eq!(plan(&empty, &crew, &settings), [Action::StartInitializer]);
        crew.initializer = Initializer::Works;
        assert_eq!(plan(&empty, &crew, &settings), []);
        let crew = Crew { initializer: Initializer::Done, ..Crew::default() };
        assert_eq!(plan(&empty, &crew, &settings), [Action::Finish(Finish::NoFeatures)]);
        assert_eq!(plan(&snapshot(&[1], 0), &crew, &settings), [coding(0)]);
    }
}
