//! sqlx: a pool of connections, each with a thread of its own.

use peer_part::{CLAIM_NEXT, MARK_PASSING, PATIENCE, Run};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};

pub(crate) struct Client(SqlitePool);

pub(crate) async fn clients(run: &Run, connections: u32) -> Vec<Client> {
    let options = SqliteConnectOptions::new()
        .filename(run.file())
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE);
    let pool = SqlitePoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .unwrap();
    (0..run.clients).map(|_| Client(pool.clone())).collect()
}

impl crate::Client for Client {
    async fn cycle(&mut self) -> bool {
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let claimed: Option<(i64, String, String, String)> =
            sqlx::query_as(CLAIM_NEXT).fetch_optional(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let Some((id, ..)) = claimed else { return false };
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query(MARK_PASSING).bind(id).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        true
    }
}
