//! The MCP server as a client meets it: a process, its streams and the project's files.
#![cfg(test)]

mod arguments;
mod claims;
mod concurrency;
mod history;
mod lines;
mod opening;
mod protocol;
mod results;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value as Cell;

use crate::mcp_client::Server;

/// How many tools there are.
const TOOLS: usize = 27;

/// A project in a folder of its own, and its server.
fn project() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of(dir.path());
    (dir, server)
}

/// Another connection to the project's database.
fn database(project: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(project.join(".autoforge/features.db")).unwrap()
}

/// A connection that keeps everybody else from writing.
fn lock(project: &Path) -> rusqlite::Connection {
    let connection = database(project);
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// Every row of the features table.
fn rows(project: &Path) -> Vec<Vec<Cell>> {
    let connection = database(project);
    let mut statement = connection.prepare("SELECT * FROM features ORDER BY id").unwrap();
    let columns = statement.column_count();
    statement
        .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Every file below a folder, with its bytes.
#[expect(clippy::disallowed_methods, reason = "no process has any of them open")]
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "no process has the file open")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
