//! The backlog that never runs dry.

use fastrand::Rng;

use crate::{NewFeature, PlannedFeature};

/// How many features are added at a time.
pub(super) const BATCH: usize = 24;
/// The first of them that wait for no other.
const LEVEL: usize = 12;
/// Of a hundred features that nobody waits for, so many say how an agent behaves there.
const DIRECTED: usize = 25;
/// How agents behave, as often as it stands here. One that hangs takes long, so there are few.
const BEHAVIOURS: [(&str, usize); 7] = [
    ("crash", 25),
    ("slow", 25),
    ("fail", 25),
    ("lie", 8),
    ("pass-and-fail", 8),
    ("detach", 8),
    ("hang", 1),
];

/// A batch of features: some wait for earlier ones of it, and of those that nobody waits for, some make
/// agents misbehave. `None` where the texts break a rule.
pub(super) fn plan(first: usize, rng: &mut Rng) -> Option<Vec<PlannedFeature>> {
    let dependencies: Vec<Vec<usize>> = (0..BATCH)
        .map(|at| match at {
            at if at < LEVEL => Vec::new(),
            at => {
                let mut needed: Vec<usize> =
                    (0..rng.usize(1..=3)).map(|_| rng.usize(..at)).collect();
                needed.sort_unstable();
                needed.dedup();
                needed
            }
        })
        .collect();
    let is_needed = |at: usize| dependencies.iter().any(|needed| needed.contains(&at));
    let planned = dependencies.iter().enumerate().map(|(at, depends_on)| {
        let mut steps = vec!["Build it".to_owned(), "Try it".to_owned()];
        if !is_needed(at) && rng.usize(..100) < DIRECTED {
            steps.extend(behaviour(rng).map(|behaviour| format!("simulate: {behaviour}")));
        }
        let category = ["Accounts", "Orders", "Search"].get(at % 3)?;
        let name = format!("Feature {} of the soak", first + at);
        let feature = NewFeature::new(*category, name, "As told.", steps).ok()?;
        Some(PlannedFeature { feature, depends_on: depends_on.clone() })
    });
    planned.collect()
}

fn behaviour(rng: &mut Rng) -> Option<&'static str> {
    let mut at = rng.usize(..BEHAVIOURS.iter().map(|(_, times)| times).sum::<usize>());
    for (behaviour, times) in BEHAVIOURS {
        if at < times {
            return Some(behaviour);
        }
        at -= times;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CreateFeatures, Store};

    fn text(planned: &PlannedFeature) -> String {
        format!("{planned:?}")
    }

    #[test]
    fn every_batch_can_be_stored_and_has_features_that_wait_and_some_that_misbehave() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_project(dir.path()).unwrap();
        let mut rng = Rng::with_seed(7);
        let mut all = String::new();
        for batch in 0..8 {
            let planned = plan(batch * BATCH, &mut rng).unwrap();
            all.extend(planned.iter().map(text));
            let created = store.call(CreateFeatures::new(planned)).unwrap();
            assert_eq!((created.ids.len(), created.with_dependencies), (BATCH, BATCH - LEVEL));
        }
        for behaviour in ["crash", "slow", "fail"] {
            assert!(all.contains(&format!("simulate: {behaviour}")), "{behaviour}");
        }
    }

    #[test]
    fn nobody_waits_for_a_feature_that_never_passes() {
        let planned = plan(0, &mut Rng::with_seed(1)).unwrap();
        for (at, feature) in planned.iter().enumerate() {
            let directed = text(feature).contains("simulate:");
            assert!(!directed || planned.iter().all(|other| !other.depends_on.contains(&at)));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_backlog() {
        let of = |seed| plan(0, &mut Rng::with_seed(seed)).unwrap();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }
}
