//! Connections to PostgreSQL, shared by all executions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use flowcore::NodeError;
#[cfg(test)]
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::BuilderVerifierExt as _;
#[cfg(test)]
use rustls_platform_verifier::Verifier;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure;

/// A workflow rarely has more than one or two databases; URLs that an expression computes must not
/// make pools without end.
const MAX_POOLS: usize = 8;

/// Servers have a limit of their own, 100 by default, that other programs share.
const MAX_CONNECTIONS: usize = 10;

/// A connection that nobody used for so long is closed: it costs the server a process.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The longest wait for a server to take a connection, unless the URL has its own
/// `connect_timeout`.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The pools, made when they are first needed.
#[derive(Default)]
pub(in super::super) struct Pools {
    pools: Mutex<Vec<(Config, Pool)>>,
    /// `None` where the system's certificates cannot be read.
    tls: OnceCell<Option<MakeRustlsConnect>>,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl Pools {
    /// A connection as if it were new: what an earlier execution set or left behind is gone.
    ///
    /// # Errors
    /// `sql.connect`.
    pub(super) async fn connect(&self, database: Config) -> Result<Object, NodeError> {
        let pool = self.pool(database).await?;
        pool.get().await.map_err(|error| failure::of_connecting(&error))
    }

    /// What encrypts; `None` where the system's certificates cannot be read.
    pub(super) async fn tls(&self) -> Option<MakeRustlsConnect> {
        self.tls.get_or_init(connector).await.clone()
    }

    /// Pools that trust what this has signed, besides what the system trusts.
    #[cfg(test)]
    pub(in super::super) fn trusting(authority: CertificateDer<'static>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new_with_extra_roots([authority], provider.clone());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier.expect("a good certificate")))
            .with_no_client_auth();
        let tls = OnceCell::new_with(Some(Some(MakeRustlsConnect::new(config))));
        Self { pools: Mutex::default(), tls }
    }

    /// Closes the connections of all pools that nobody used for so long.
    #[cfg(test)]
    pub(super) async fn close_idle_since(&self, limit: Duration) {
        self.pools.lock().await.iter().for_each(|(_, pool)| close_since(pool, limit));
    }

    async fn pool(&self, database: Config) -> Result<Pool, NodeError> {
        let tls = self.tls().await.ok_or_else(failure::no_certificates)?;
        let mut pools = self.pools.lock().await;
        if let Some((_, pool)) = pools.iter().find(|(known, _)| *known == database) {
            return Ok(pool.clone());
        }
        let mut connecting = database.clone();
        if connecting.get_connect_timeout().is_none() {
            connecting.connect_timeout(CONNECT_LIMIT);
        }
        let config = ManagerConfig { recycling_method: RecyclingMethod::Clean };
        let manager = Manager::from_config(connecting, tls, config);
        let built = Pool::builder(manager).max_size(MAX_CONNECTIONS).build();
        let pool = built.expect("a pool without time limits needs no runtime");
        tokio::spawn(close_idle(pool.clone()));
        pools.truncate(MAX_POOLS - 1);
        pools.insert(0, (database, pool.clone()));
        Ok(pool)
    }
}

/// Closes connections that nobody uses, until the pool is not known any more.
async fn close_idle(pool: Pool) {
    let weak = pool.weak();
    drop(pool);
    loop {
        tokio::time::sleep(IDLE_LIMIT).await;
        let Some(pool) = weak.upgrade() else { return };
        close_since(&pool, IDLE_LIMIT);
    }
}

/// Closes the connections that nobody used for so long.
fn close_since(pool: &Pool, limit: Duration) {
    pool.retain(|_, metrics| metrics.last_used() < limit);
}

async fn connector() -> Option<MakeRustlsConnect> {
    // Reads the certificates of the system.
    let built = tokio::task::spawn_blocking(|| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        Ok::<_, rustls::Error>(MakeRustlsConnect::new(config))
    });
    match built.await {
        Ok(Ok(connector)) => Some(connector),
        Ok(Err(error)) => {
            tracing::warn!(%error, "PostgreSQL cannot be reached: no usable certificates");
            None
        }
        Err(_) => None,
    }
}
