//! Any sequence of commands has the outcomes and leaves the table that the reference model says,
//! also after the store was opened again.
#![no_main]

use autoforge_store::testing::{Model, compare};
use autoforge_store_fuzz::{RawOp, with_project};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: Vec<RawOp>| {
    with_project(|project| {
        let mut model = Model::default();
        for (at, raw) in raw.iter().take(64).enumerate() {
            let op = raw.op();
            assert_eq!(op.apply_to(&project.store), model.apply(&op), "{op:?}");
            if at % 16 == 15 {
                project.reopen();
            }
        }
        compare(&model, &project.store).unwrap();
    });
});
