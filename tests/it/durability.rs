//! x
use std::path::Path;
pub(crate) fn fill_disk(_: &Path) {}
pub(crate) fn write_until_killed(_: &Path) {}
