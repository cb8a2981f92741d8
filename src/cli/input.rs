//! Reading what the user hands in: files, stdin, JSON.

use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::exit::Failed;

/// More than the largest backlog that can be stored takes in practice; an endless stream ends here.
const MAX_BYTES: u64 = 1 << 30;
/// How every `SQLite` file begins.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// A file's bytes, or those of stdin for `-`.
///
/// Call it before the project's store is opened: whoever closes a descriptor of a database drops
/// the locks that this process has on it, and any name may turn out to be one.
pub(crate) fn read(name: &Path) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    let stdin = name.as_os_str() == "-";
    let read = if stdin {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        #[expect(clippy::disallowed_methods, reason = "no store is open yet, so no lock is lost")]
        let file = std::fs::File::open(name);
        file.and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failed::file("reading", name, &error))?;
    let shown = if stdin { "stdin".to_owned() } else { name.display().to_string() };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failed::new(
            "invalid_input",
            format!("{shown} has more than {MAX_BYTES} bytes"),
        ));
    }
    if bytes.starts_with(SQLITE_MAGIC) {
        let message = format!("{shown} is a database, not JSON");
        return Err(Failed::new("invalid_input", message)
            .hint("--dir names a project; `export` turns its database into JSON"));
    }
    Ok(bytes)
}

/// The JSON value in a file, or in stdin for `-`.
pub(crate) fn read_json(name: &Path) -> Result<Value, Failed> {
    let bytes = read(name)?;
    let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(json).map_err(|error| {
        Failed::new("invalid_input", format!("{} is no valid JSON: {error}", name.display()))
    })
}
