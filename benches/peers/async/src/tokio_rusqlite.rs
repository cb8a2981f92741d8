//! tokio-rusqlite: one connection in a thread of its own, to which tasks send closures.

use peer_part::{CLAIM_NEXT, MARK_PASSING, PATIENCE, Run};
use tokio_rusqlite::rusqlite::{self, OptionalExtension as _, Row, TransactionBehavior};

pub(crate) struct Client(tokio_rusqlite::Connection);

pub(crate) async fn clients(run: &Run) -> Vec<Client> {
    let connection = tokio_rusqlite::Connection::open(run.file()).await.unwrap();
    let set = |connection: &mut rusqlite::Connection| {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "synchronous", "FULL")
    };
    connection.call(set).await.unwrap();
    (0..run.clients).map(|_| Client(connection.clone())).collect()
}

impl crate::Client for Client {
    async fn cycle(&mut self) -> bool {
        let Some((id, _)) = self.0.call(claim_next).await.unwrap() else { return false };
        self.0.call(move |connection| mark_passing(connection, id)).await.unwrap();
        true
    }
}

type Feature = (i64, [String; 3]);

fn claim_next(connection: &mut rusqlite::Connection) -> rusqlite::Result<Option<Feature>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let claimed = transaction.prepare_cached(CLAIM_NEXT)?.query_row([], feature).optional()?;
    transaction.commit()?;
    Ok(claimed)
}

fn feature(row: &Row<'_>) -> rusqlite::Result<Feature> {
    Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]))
}

fn mark_passing(connection: &mut rusqlite::Connection, id: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.prepare_cached(MARK_PASSING)?.execute([id])?;
    transaction.commit()
}
