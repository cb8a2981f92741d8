//! The registry against its reference model, across reopening.

use autoforge_store::testing::{RegistryModel, RegistryOp, RegistryStep, registry_steps, second};
use autoforge_store::{Registry, Store};
use proptest::prelude::*;

use super::cases;

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn the_registry_is_what_the_model_says(steps in registry_steps(40)) {
        let home = tempfile::tempdir()?;
        let mut store = Store::<Registry>::open_registry(home.path())?;
        let mut model = RegistryModel::default();
        for step in &steps {
            let RegistryStep::Call(op, at) = step else {
                prop_assert_eq!(store.close().fault, None);
                drop(store);
                store = Store::open_registry(home.path())?;
                prop_assert!(!store.opening().migrated);
                continue;
            };
            let now = second(*at);
            prop_assert_eq!(op.apply_to(&store, now), model.apply(op, now), "{:?}", op);
            for op in [RegistryOp::ListProjects, RegistryOp::ListSettings] {
                prop_assert_eq!(op.apply_to(&store, now), model.apply(&op, now), "{:?}", op);
            }
        }
    }
}
