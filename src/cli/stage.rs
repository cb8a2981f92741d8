//! New projects, for whoever shows or tries something on one.

use std::io;
use std::path::{Path, PathBuf};

use super::exit::Failed;
use super::locate::{Found, Place};
use crate::{OpenOptions, ProjectLayout, Store};

/// Makes a project in this folder, which must not be one yet, else in a temporary folder that is called
/// so, and opens it.
pub(crate) fn new_project(
    folder: Option<&Path>,
    name: &str,
    options: OpenOptions,
) -> Result<(Place, Store), Failed> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => temporary_folder(name)
            .map_err(|error| Failed::new("system", format!("making a folder: {error}")))?,
    };
    let layout = ProjectLayout::create(&folder)?;
    if layout.has_features() {
        let folder = folder.display();
        let message = format!("{folder} has a database or a list of features already");
        return Err(Failed::new("not_empty", message).hint("name a new folder"));
    }
    let store = Store::open_project_with(layout.folder(), &options)?;
    Ok((Place { folder: layout.folder().to_owned(), found: Found::Option }, store))
}

fn temporary_folder(name: &str) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let mut attempts = 0;
    loop {
        let name = format!("{name}-{:08x}", fastrand::u32(..));
        let folder = std::env::temp_dir().join(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < 100 => {
                attempts += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
