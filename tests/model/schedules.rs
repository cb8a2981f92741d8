//! The tables of schedules and overrides against their model, across reopening and beside another
//! program.

use autoforge_store::testing::{ScheduleModel, ScheduleOp, World, compare_schedules, schedule_ops};
use autoforge_store::{Store, dispose};
use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;

/// How a store ends, to be opened again.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Close,
    Drop,
    Dispose,
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![Just(Ending::Close), Just(Ending::Drop), Just(Ending::Dispose)]
}

proptest! {
    #![proptest_config(super::cases(96))]

    #[test]
    fn any_sequence_on_schedules_does_what_the_model_says(
        ops in schedule_ops(40),
        endings in vec((0..40_usize, ending()), 0..4),
    ) {
        let folder = tempfile::tempdir()?;
        let mut store = Store::open_project(folder.path())?;
        let foreign = Connection::open(store.path())?;
        foreign.execute_batch("PRAGMA foreign_keys = OFF")?;
        let (mut model, mut world) = (ScheduleModel::default(), World::default());
        for (at, op) in ops.iter().enumerate() {
            let found = op.apply_to(&store, &world);
            if let ScheduleOp::Foreign(write) = op {
                foreign.execute_batch(&write.sql(&world))?;
            }
            prop_assert_eq!(&found, &model.apply(op, &mut world), "{:?}", op);
            for (_, ending) in endings.iter().filter(|(place, _)| *place == at) {
                match ending {
                    Ending::Close => prop_assert!(store.close().fault.is_none()),
                    Ending::Drop => {}
                    Ending::Dispose => prop_assert!(dispose(store.path())?.is_some()),
                }
                drop(store);
                store = Store::open_project(folder.path())?;
                prop_assert!(!store.opening().migrated);
            }
            compare_schedules(&mut model, &store, &mut world).map_err(TestCaseError::fail)?;
        }
        let sound: String = foreign.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        prop_assert_eq!(sound, "ok");
    }
}
