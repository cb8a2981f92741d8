//! What the store says of a feature's readiness, whoever has worked on the file.

use std::collections::BTreeMap;

use autoforge_store::testing::{Step, World, steps};
use autoforge_store::{
    Command, ExplainFeature, FeatureId, GetReady, ListFeatures, Policy, SetPolicy, Store,
};
use proptest::prelude::*;

use crate::cases;
use crate::file::File;

/// Every feature's explanation against the list of ready ones, in the same circumstances.
fn check_explanations(store: &Store, world: &World) -> Result<(), TestCaseError> {
    let ready = GetReady { limit: usize::MAX }.because("a test");
    let ready = store.call(ready.in_circumstances(world.circumstances()))?.features;
    let places: BTreeMap<FeatureId, usize> = ready.iter().map(|f| f.id).zip(1..).collect();
    for feature in store.call(ListFeatures)? {
        let explain = ExplainFeature { id: feature.id }.because("a test");
        let explained = store.call(explain.in_circumstances(world.circumstances()))?;
        let place = places.get(&feature.id).map(|place| (*place, places.len()));
        prop_assert_eq!(explained.place, place);
        prop_assert_eq!(explained.hindrances.is_empty(), place.is_some(), "{:?}", explained);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn what_is_ready_has_nothing_in_its_way_and_what_is_not_has_something(
        steps in steps(25),
        attempts in 1..4_u32,
    ) {
        let mut file = File::new()?;
        let mut world = World::default();
        // With the usual limit, chance hardly ever makes a feature fail too often.
        let policy = Policy { attempts: Some(attempts), ..Policy::default() };
        file.store(0).call(SetPolicy(policy))?;
        for (turn, step) in steps.iter().enumerate() {
            match step {
                Step::Call(call, op) => drop(op.apply_as(file.store(turn), call, &world)),
                Step::Foreign(foreign) => drop(file.run(foreign)?),
                Step::Reopen(how) => drop(file.reopen(*how)?),
                _ => world.step(step),
            }
            check_explanations(file.store(turn), &world)?;
        }
    }
}
