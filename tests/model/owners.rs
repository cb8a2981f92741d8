//! Several owners, several handles, other programs, deaths and clocks on one file: claims and history
//! are what the model says, and keep their promises, however it goes.

use autoforge_store::FeatureId;
use autoforge_store::testing::{Layout, Model, Step, row, steps};
use proptest::collection::btree_map;
use proptest::prelude::*;

use crate::cases;
use crate::file::File;
use crate::scene::{Checked, Scene};

/// Does everything on a file and on the model, and compares after each step.
fn check(mut file: File, model: Model, steps: &[Step]) -> Checked {
    let mut scene = Scene::new(&mut file, model);
    for step in steps {
        scene.take(step)?;
        scene.compare()?;
    }
    scene.end()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn claims_and_history_of_several_programs_are_what_the_model_says(
        steps in steps(30),
    ) {
        check(File::new()?, Model::default(), &steps)?;
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_file_that_was_there_before_gets_claims_and_history_from_then_on(
        rows in btree_map(1..7_i64, row(Layout::Migrated), 0..6),
        steps in steps(20),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(id, row)| (FeatureId::from(id), row)).collect();
        let file = File::of(&rows, false)?;
        check(file, Model::of(Layout::Migrated, rows), &steps)?;
    }
}
