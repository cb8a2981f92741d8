//! Whatever bytes stand where a database should, opening them gives a store or an error, and a
//! store of a damaged file answers every command, if only with a fault. A log may follow the
//! database behind the line `--wal--`.
#![no_main]

use std::fs;
use std::time::Duration;

use autoforge_store::testing::{Expect, Op};
use autoforge_store::{FeatureChanges, OpenOptions, Store};
use autoforge_store_fuzz::folder;
use libfuzzer_sys::fuzz_target;

const LOG: &[u8] = b"\n--wal--\n";

fuzz_target!(|bytes: &[u8]| {
    let folder = folder();
    let path = folder.path().join("features.db");
    let at = bytes.windows(LOG.len()).position(|window| window == LOG);
    let (database, log) = at.map_or((bytes, None), |at| {
        let (database, log) = bytes.split_at(at);
        (database, log.get(LOG.len()..))
    });
    fs::write(&path, database).unwrap();
    if let Some(log) = log {
        fs::write(folder.path().join("features.db-wal"), log).unwrap();
    }
    let options = OpenOptions { lock_wait: Duration::from_millis(200), ..OpenOptions::default() };
    let Ok(store) = Store::open_file(&path, &options) else { return };
    for op in [
        Op::GetStats,
        Op::ListFeatures,
        Op::GetGraph,
        Op::GetBoard,
        Op::ClaimNext,
        Op::MarkPassing(1),
        Op::SkipFeature(2),
        Op::AddDependency { id: 3, dependency: 2 },
        Op::UpdateFeature {
            id: 2,
            changes: FeatureChanges { name: Some("other".to_owned()), ..Default::default() },
            expected: Expect::Current,
        },
        Op::DeleteFeature { id: 1, force: true },
    ] {
        let _ = op.apply_to(&store);
    }
    let _ = store.diagnose();
    store.close();
});
