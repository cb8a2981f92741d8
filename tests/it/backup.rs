//! `backup`: a sound copy beside work, and nothing that is replaced.
#![cfg(test)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use autoforge_store::{CreateFeature, ListFeatures, NewFeature, OpenOptions, Store};
use serde_json::Value;

fn backup(project: &Path, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_autoforge-store"))
        .args(["backup", "--json", "-C"])
        .arg(project)
        .arg(file)
        .output()
        .unwrap()
}

#[test]
fn a_copy_beside_an_open_store_holds_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_project(dir.path()).unwrap();
    let cart = NewFeature::new("Shop", "Cart", "It works.", ["Try it"]).unwrap();
    store.call(CreateFeature::new(cart)).unwrap();
    let file = dir.path().join("copy.db");
    let output = backup(dir.path(), &file);
    let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!(envelope["data"]["bytes"], metadata.len());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let copy = Store::open_file(&file, &OpenOptions::default()).unwrap();
    assert_eq!(copy.call(ListFeatures).unwrap(), store.call(ListFeatures).unwrap());
}

#[test]
fn an_existing_file_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    Store::open_project(dir.path()).unwrap().close();
    let file = dir.path().join("copy.db");
    assert_eq!(backup(dir.path(), &file).status.code(), Some(0));
    let before = file.metadata().unwrap().modified().unwrap();
    assert_eq!(backup(dir.path(), &file).status.code(), Some(4));
    assert_eq!(file.metadata().unwrap().modified().unwrap(), before);
}

#[test]
fn without_a_project_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(backup(dir.path(), &dir.path().join("copy.db")).status.code(), Some(3));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
