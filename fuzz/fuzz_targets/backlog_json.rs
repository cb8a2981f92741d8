//! A `feature_list.json` of any bytes is read or refused. What was read has distinct ids from 1,
//! and its export reads back as the same.
#![no_main]

use std::collections::BTreeSet;

use autoforge_store::{BacklogEntry, Feature};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = BacklogEntry::parse_list(bytes) else { return };
    let ids: BTreeSet<i64> = entries.iter().map(|entry| entry.id.get()).collect();
    assert_eq!(ids.len(), entries.len());
    assert!(ids.iter().all(|id| *id >= 1));
    let export: Value = entries.iter().map(|entry| feature(entry).to_json()).collect();
    let read = BacklogEntry::parse_list(export.to_string().as_bytes());
    assert_eq!(read.unwrap(), entries);
});

fn feature(entry: &BacklogEntry) -> Feature {
    let entry = entry.clone();
    Feature {
        id: entry.id,
        priority: entry.priority,
        category: entry.category,
        name: entry.name,
        description: entry.description,
        steps: entry.steps,
        passes: entry.passes,
        in_progress: entry.in_progress,
        dependencies: entry.dependencies,
        needs_human_input: entry.needs_human_input,
        human_input_request: entry.human_input_request,
        human_input_response: entry.human_input_response,
    }
}
