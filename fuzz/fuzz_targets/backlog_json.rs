//! A `feature_list.json` of any bytes is read or refused. What was read has distinct ids from 1,
//! and its export reads back as the same.
#![no_main]

use std::collections::BTreeSet;

use autoforge_store::Feature;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = Feature::parse_backlog(bytes) else { return };
    let ids: BTreeSet<i64> = entries.iter().map(|entry| entry.id.get()).collect();
    assert_eq!(ids.len(), entries.len());
    assert!(ids.iter().all(|id| *id >= 1));
    let export: Value = entries.iter().map(|entry| entry.to_json()).collect();
    let read = Feature::parse_backlog(export.to_string().as_bytes());
    assert_eq!(read.unwrap(), entries);
});
