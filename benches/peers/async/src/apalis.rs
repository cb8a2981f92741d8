//! apalis-sqlite: a queue of its own, by its own statements. Its workers take ten tasks at a time and finish
//! them in batches; here each client is a worker that takes one and finishes one, as the others do.

use std::path::Path;

use apalis_core::backend::TaskResult;
use apalis_core::task::Task;
use apalis_core::task::status::Status;
use apalis_core::worker::context::WorkerContext;
use apalis_sqlite::queries::{ack_tasks, fetch_next, push_tasks, register_worker};
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use peer_part::{FEATURES, PATIENCE, Run};
use sqlx::sqlite::SqliteSynchronous;

/// As many as its documentation's pools have, unless there are fewer clients.
const CONNECTIONS: usize = 10;

pub(crate) struct Client {
    pool: SqlitePool,
    config: Config,
    worker: WorkerContext,
}

async fn open(folder: &Path, connections: usize) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(folder.join(FEATURES))
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE);
    SqlitePoolOptions::new()
        .min_connections(u32::try_from(connections).unwrap())
        .max_connections(u32::try_from(connections).unwrap())
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .unwrap()
}

pub(crate) async fn fill(folder: &Path, count: usize) {
    let pool = open(folder, 1).await;
    SqliteStorage::setup(&pool).await.unwrap();
    let tasks: Vec<_> = (0..count).map(|at| Task::new(at.to_string().into_bytes())).collect();
    let mut transaction = pool.begin().await.unwrap();
    push_tasks(&mut *transaction, Config::default().queue.as_ref(), &tasks).await.unwrap();
    transaction.commit().await.unwrap();
    pool.close().await;
}

pub(crate) async fn clients(run: &Run) -> Vec<Client> {
    let pool = open(&run.folder, run.clients.min(CONNECTIONS)).await;
    let config = Config::default().batch_size(1);
    let mut clients = Vec::new();
    for at in 0..run.clients {
        let worker = WorkerContext::new(&format!("{}-{at}", std::process::id()));
        register_worker(&pool, &config, &worker, "SqliteStorage").await.unwrap();
        clients.push(Client { pool: pool.clone(), config: config.clone(), worker });
    }
    clients
}

impl crate::Client for Client {
    async fn cycle(&mut self) -> bool {
        let fetched = fetch_next(&self.pool, &self.config, &self.worker).await.unwrap();
        let Some(task) = fetched.first() else { return false };
        let done = TaskResult {
            task_id: task.task_id().unwrap().clone(),
            attempt: task.attempt(),
            status: Status::Done,
            result: Ok(serde_json::Value::Null),
        };
        ack_tasks(&self.pool, &[&done], self.worker.name()).await.unwrap() == 1
    }
}
