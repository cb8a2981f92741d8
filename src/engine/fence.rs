//! The fence: what a database holds from the moment its contents are about to live elsewhere.
//!
//! A migration makes a copy, gives the copy its name, and removes the original. Whoever is killed
//! before the removal lets go of the original's lock, and a program that was waiting for it would go
//! on to write where nobody looks any more. So the original is fenced first: triggers refuse every
//! change, and a table names the place of the copy. A fence whose copy never got its name means
//! nothing, and is lifted by the next of our processes that opens the file.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params};

use super::Location;

/// The table that names the place; the triggers' names begin with it, too.
const NAME: &str = "autoforge_store_moved";

/// Refuses every change of the rows of every table from now on, in one transaction. `target` is where
/// the contents will be, seen from the file's folder.
pub(super) fn raise(connection: &Connection, target: &str) -> rusqlite::Result<()> {
    in_transaction(connection, || {
        remove(connection)?;
        connection.execute(&format!("CREATE TABLE {NAME} (target TEXT NOT NULL)"), [])?;
        connection.execute(&format!("INSERT INTO {NAME} VALUES (?1)"), params![target])?;
        let mut statement = connection.prepare(
            "SELECT name FROM pragma_table_list
             WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )?;
        let tables: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for (at, table) in tables.iter().enumerate() {
            for change in ["INSERT", "UPDATE", "DELETE"] {
                connection.execute_batch(&trigger(at, table, change, target))?;
            }
        }
        Ok(())
    })
}

fn trigger(at: usize, table: &str, change: &str, target: &str) -> String {
    let table = table.replace('"', "\"\"");
    let message = format!("this database was moved to {target}; open it there");
    let message = message.replace('\'', "''");
    format!(
        "CREATE TRIGGER {NAME}_{at}_{change} BEFORE {change} ON \"{table}\"
         BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )
}

/// Takes the fence away, if there is one, in one transaction.
pub(super) fn lift(connection: &Connection) -> rusqlite::Result<()> {
    in_transaction(connection, || remove(connection))
}

/// Where the fence says that the contents are; `None` where there is no fence. The file may have
/// been renamed or copied since, so whether anything is there is another question.
pub(super) fn target(
    connection: &Connection,
    location: &Location,
) -> rusqlite::Result<Option<PathBuf>> {
    let fenced = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let found = connection.query_row(fenced, params![NAME], |_| Ok(())).optional()?;
    if found.is_none() {
        return Ok(None);
    }
    let target = format!("SELECT target FROM {NAME}");
    let target = connection.query_row(&target, [], |row| row.get::<_, String>(0)).optional()?;
    let folder = location.path().parent().unwrap_or(location.path());
    Ok(target.map(|target| folder.join(target)))
}

fn remove(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1",
    )?;
    let triggers: Vec<String> =
        statement.query_map(params![NAME], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for trigger in triggers {
        let trigger = trigger.replace('"', "\"\"");
        connection.execute_batch(&format!("DROP TRIGGER \"{trigger}\""))?;
    }
    connection.execute_batch(&format!("DROP TABLE IF EXISTS {NAME}"))
}

fn in_transaction(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = work().and_then(|()| connection.execute_batch("COMMIT"));
    if done.is_err() && !connection.is_autocommit() {
        // What undoes it failed too only where the connection is of no more use.
        drop(connection.execute_batch("ROLLBACK"));
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_that_cannot_be_raised_leaves_no_transaction_open() {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(&format!("CREATE VIEW {NAME} AS SELECT 1")).unwrap();
        raise(&file, "new.db").unwrap_err();
        assert!(file.is_autocommit());
    }
}
