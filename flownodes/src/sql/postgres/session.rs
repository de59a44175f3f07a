//! A connection while a statement is under way.

use deadpool_postgres::{ClientWrapper, Object};
use flowcore::NodeError;
use tokio::runtime::Handle;
use tokio_postgres::{CancelToken, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::STOP_LIMIT;
use super::pools::Pools;

/// A connection. Dropped before it is closed, it tells the server to stop, and is used no more.
pub(super) struct Session {
    /// `None` once closed.
    client: Option<Object>,
    tls: Option<MakeRustlsConnect>,
}

impl Session {
    /// Takes a connection.
    ///
    /// # Errors
    /// `sql.connect`.
    pub(super) async fn open(pools: &Pools, database: Config) -> Result<Self, NodeError> {
        let client = pools.connect(database).await?;
        Ok(Self { client: Some(client), tls: pools.tls().await })
    }

    /// The connection.
    pub(super) fn client(&self) -> &ClientWrapper {
        self.client.as_deref().expect("closed only at the end")
    }

    /// What stops its statement.
    pub(super) fn cancel_token(&self) -> CancelToken {
        (**self.client()).cancel_token()
    }

    /// Gives the connection back when all went well, else ends it and with it the transaction that
    /// may be open.
    pub(super) async fn close(mut self, went_well: bool) {
        let client = self.client.take();
        let (Some(client), false) = (client, went_well) else { return };
        let tls = self.tls.take();
        end(client, tls).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(client), Ok(runtime)) = (self.client.take(), Handle::try_current()) {
            runtime.spawn(end(client, self.tls.take()));
        }
    }
}

/// Stops what is under way and closes the connection.
async fn end(client: Object, tls: Option<MakeRustlsConnect>) {
    let client = Object::take(client);
    if let Some(tls) = tls {
        let stopping = (*client).cancel_token();
        // When the server cannot be told, it finds the connection closed.
        let _ = tokio::time::timeout(STOP_LIMIT, stopping.cancel_query(tls)).await;
    }
}
