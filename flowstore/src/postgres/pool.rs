//! Connections for what needs no order. Each is used for one request, from its begin to its end, and
//! nobody who has one asks for another.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, RecyclingMethod, Runtime, Status};
use flowruntime::store::StoreError;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::connector::Connector;
use super::failure::{self, unavailable};
use super::settings::Settings;

/// How long a request may take once it has a connection.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// The connections.
#[derive(Clone)]
pub(super) struct Pool(deadpool_postgres::Pool);

impl Pool {
    pub(super) fn new(connector: Connector, settings: &Settings) -> Self {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(settings.config.clone(), connector, config);
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(settings.pool)
            .wait_timeout(Some(settings.wait))
            .runtime(Runtime::Tokio1)
            .build();
        Self(pool.expect("a pool with time limits has a runtime"))
    }

    /// A connection.
    pub(super) async fn lend(&self) -> Result<Lent, StoreError> {
        let client = self.0.get().await;
        let client = client.map_err(|error| failure::of_pool(&error, self.0.status().waiting))?;
        Ok(Lent { client: Some(client) })
    }

    pub(super) fn status(&self) -> Status {
        self.0.status()
    }
}

/// A connection. It is closed, and what is under way in it undone, unless it is given back.
pub(super) struct Lent {
    /// `None` once it is given back.
    client: Option<Object>,
}

impl Lent {
    /// Gives the connection back when what was done on it went well.
    pub(super) fn finish<T>(mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if done.is_ok() {
            drop(self.client.take());
        }
        done
    }

    /// Executes a statement, which is prepared when the connection sees it for the first time.
    pub(super) async fn query(
        &self,
        statement: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        self.try_query(statement, params).await.map_err(|error| failure::of(&error))
    }

    /// As [`Lent::query`], with the error as it is.
    pub(super) async fn try_query(
        &self,
        statement: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let prepared = self.client().prepare_cached(statement).await?;
        self.client().query(&prepared, params).await
    }

    /// Executes what has no parameters and gives nothing, such as `BEGIN`.
    pub(super) async fn execute(&self, statement: &str) -> Result<(), StoreError> {
        self.client().batch_execute(statement).await.map_err(|error| failure::of(&error))
    }

    /// The connection.
    pub(super) fn client(&self) -> &Object {
        self.client.as_ref().expect("it is given back at the end")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // It goes without its pool, which then makes a new one.
        drop(self.client.take().map(Object::take));
    }
}

/// Limits how long something takes that is done on a connection.
pub(super) async fn limited<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| Err(unavailable(format!("PostgreSQL did not answer within {REQUEST_LIMIT:?}")));
    tokio::time::timeout(REQUEST_LIMIT, work).await.unwrap_or_else(late)
}
