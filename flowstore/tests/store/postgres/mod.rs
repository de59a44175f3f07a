//! What only PostgreSQL has: many processes execute from one database, and a connection may break at
//! any moment.

mod dropped;
mod owners;
mod proxy;
mod restart;
mod saturated;
mod versions;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flowstore::{Access, PostgresStore, StoreUrl};
use futures_util::FutureExt as _;
use tokio_postgres::{Client, NoTls};

use crate::kinds::Place;

/// How long to wait for what must come.
const LIMIT: Duration = Duration::from_secs(60);

/// Nobody holds one connection while asking for another.
pub(crate) async fn with_one_connection() -> Option<Place> {
    place("pool=1").await
}

pub(crate) async fn with_two_connections() -> Option<Place> {
    place("pool=2").await
}

/// The schemas that nobody uses any more: to make a new one takes longer than to empty one.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A schema while it is used.
struct Used(String);

impl Drop for Used {
    fn drop(&mut self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.0));
    }
}

async fn place(more: &str) -> Option<Place> {
    let server = testkit::postgres()?;
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let schema = match free {
        Some(schema) => {
            let tables = [
                "owners",
                "definitions",
                "executions",
                "keys",
                "segments",
                "blobs",
                "blob_uses",
                "inbox",
                "logs",
            ];
            let empty = tables.map(|table| format!("DELETE FROM {schema}.{table};"));
            client(&server.url()).await.batch_execute(&empty.concat()).await.unwrap();
            schema
        }
        None => new_schema(),
    };
    let url = format!("{}?sslmode=disable&lease_ms=3600000&schema={schema}&{more}", server.url());
    let url: StoreUrl = url.parse().unwrap();
    let open = move |access| {
        let url = url.clone();
        async move { flowstore::open(&url, access).await.unwrap() }.boxed()
    };
    Some(Place { open: Box::new(open), _kept: Box::new(Used(schema)) })
}

/// The name of a schema that nobody has.
fn new_schema() -> String {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    format!("place_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed))
}

/// A new schema of the server that all share, as a URL without parameters of the store but this one.
fn new_url() -> Option<String> {
    Some(format!("{}?sslmode=disable&schema={}", testkit::postgres()?.url(), new_schema()))
}

async fn executing(url: &str) -> PostgresStore {
    PostgresStore::connect(url, Access::Execute).await.unwrap()
}

/// A session that is not of a store.
async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Asks until the answer is there.
async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} does not come");
        tokio::task::yield_now().await;
    }
}
