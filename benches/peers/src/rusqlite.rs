//! Plain rusqlite with two IMMEDIATE transactions a cycle: what SQLite itself gets done. The clients share
//! one connection, or have one each and wait for each other as SQLite waits.

use std::path::Path;
use std::sync::{Arc, Mutex};

use peer_part::{CLAIM_NEXT, Client, MARK_PASSING, PATIENCE, Run};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior};

struct Own(Connection);

struct Shared(Arc<Mutex<Connection>>);

pub(crate) fn a_connection_each(run: &Run) {
    run.by_threads((0..run.clients).map(|_| Own(open(&run.file()))).collect());
}

pub(crate) fn one_connection(run: &Run) {
    let connection = Arc::new(Mutex::new(open(&run.file())));
    run.by_threads((0..run.clients).map(|_| Shared(Arc::clone(&connection))).collect());
}

fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection
}

impl Client for Own {
    fn cycle(&mut self) -> bool {
        let Some(id) = claim_next(&mut self.0) else { return false };
        mark_passing(&mut self.0, id);
        true
    }
}

/// Others come in between the two commands.
impl Client for Shared {
    fn cycle(&mut self) -> bool {
        let Some(id) = claim_next(&mut self.0.lock().unwrap()) else { return false };
        mark_passing(&mut self.0.lock().unwrap(), id);
        true
    }
}

fn claim_next(connection: &mut Connection) -> Option<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let claimed = {
        let mut claim = transaction.prepare_cached(CLAIM_NEXT).unwrap();
        claim.query_row([], feature).optional().unwrap()
    };
    transaction.commit().unwrap();
    Some(std::hint::black_box(claimed?).0)
}

fn feature(row: &Row<'_>) -> rusqlite::Result<(i64, [String; 3])> {
    Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]))
}

fn mark_passing(connection: &mut Connection, id: i64) {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    transaction.prepare_cached(MARK_PASSING).unwrap().execute([id]).unwrap();
    transaction.commit().unwrap();
}
