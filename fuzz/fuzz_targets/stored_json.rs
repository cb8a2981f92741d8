//! Another program may have stored anything in a row. Every command answers all the same, with an
//! output or a refusal, never with a fault.
#![no_main]

use arbitrary::Arbitrary;
use autoforge_store::testing::Outcome;
use autoforge_store_fuzz::{RawOp, with_project};
use libfuzzer_sys::fuzz_target;
use rusqlite::Connection;
use rusqlite::types::Value;

#[derive(Debug, Arbitrary)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// Text of any bytes.
    Bytes(Vec<u8>),
    Blob(Vec<u8>),
    Ids(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
struct Row {
    flags: [Cell; 3],
    priority: Cell,
    texts: [Cell; 3],
    /// The steps, then what may be NULL.
    json: [Cell; 4],
}

#[derive(Debug, Arbitrary)]
struct Input {
    rows: Vec<Row>,
    ops: Vec<RawOp>,
}

fuzz_target!(|input: Input| {
    with_project(|store, foreign| {
        let transaction = foreign.transaction().unwrap();
        for (id, row) in (1_i64..).zip(input.rows.iter().take(8)) {
            insert(&transaction, id, row);
        }
        transaction.commit().unwrap();
        for raw in input.ops.iter().take(16) {
            let op = raw.op();
            let outcome = op.apply_to(store);
            assert!(!matches!(outcome, Outcome::Failed(_)), "{op:?}: {outcome:?}");
        }
    });
});

fn insert(connection: &Connection, id: i64, row: &Row) {
    let mut cells = vec![(Value::Integer(id), false)];
    let [steps, optional @ ..] = &row.json;
    let needed = row.flags.iter().chain([&row.priority]).chain(&row.texts).chain([steps]);
    // These columns take no NULL.
    cells.extend(needed.map(|cell| match cell {
        Cell::Null => (Value::Integer(0), false),
        // SQLite stores it as NULL.
        Cell::Real(number) if number.is_nan() => (Value::Integer(0), false),
        cell => value(cell),
    }));
    cells.extend(optional.iter().map(value));
    // Only a cast makes text of bytes that are no UTF-8.
    let places: Vec<String> = (1..)
        .zip(&cells)
        .map(
            |(at, (_, cast))| if *cast { format!("CAST(?{at} AS TEXT)") } else { format!("?{at}") },
        )
        .collect();
    let sql = format!(
        "INSERT INTO features (id, passes, in_progress, needs_human_input, priority, category,
             name, description, steps, dependencies, human_input_request, human_input_response)
         VALUES ({})",
        places.join(", ")
    );
    let values = cells.into_iter().map(|(value, _)| value);
    connection.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
}

/// The value, and whether it is to be cast to text.
fn value(cell: &Cell) -> (Value, bool) {
    match cell {
        Cell::Null => (Value::Null, false),
        Cell::Integer(number) => (Value::Integer(*number), false),
        Cell::Real(number) => (Value::Real(*number), false),
        Cell::Text(text) => (Value::Text(text.clone()), false),
        Cell::Bytes(bytes) => (Value::Blob(bytes.clone()), true),
        Cell::Blob(bytes) => (Value::Blob(bytes.clone()), false),
        Cell::Ids(ids) => (Value::Text(format!("{ids:?}")), false),
    }
}
