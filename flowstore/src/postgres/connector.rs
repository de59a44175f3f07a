//! Connections, encrypted or not, that are ready for the statements of the store.

use std::pin::Pin;
use std::sync::Arc;

use deadpool_postgres::Connect;
use flowruntime::store::StoreError;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls, Notification};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::Settings;

/// Gets what other sessions say.
pub(super) type Listener = Arc<dyn Fn(&Notification) + Send + Sync>;

/// A session that waits inside of a transaction holds locks: when its process is stopped, the server
/// ends it after so long. All transactions of the store are sent in one piece, or nearly.
const IDLE_LIMIT: &str = "10s";

/// How long the server works on a statement, or lets it wait for others: a little less than whoever
/// asked waits, so that nothing is left behind.
const STATEMENT_LIMIT: &str = "25s";

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    /// What each session begins with.
    preamble: Arc<str>,
    /// `None` when the URL says that nothing is encrypted.
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    pub(super) async fn new(settings: &Settings) -> Result<Self, StoreError> {
        let tls = match settings.config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls(&settings.shown).await?),
        };
        // What was set to more than `on` stays.
        let preamble = format!(
            "SET search_path TO \"{}\"; SET idle_in_transaction_session_timeout TO '{IDLE_LIMIT}'; \
             SET statement_timeout TO '{STATEMENT_LIMIT}'; \
             SET jit TO off; SET client_min_messages TO warning; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off';",
            settings.schema
        );
        Ok(Self { config: settings.config.clone(), preamble: preamble.into(), tls })
    }

    /// A connection, and the task that drives it, which ends with it.
    pub(super) async fn connect(
        &self,
        listener: Option<Listener>,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, task) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(drive(connection, listener)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(drive(connection, listener)))
            }
        };
        client.batch_execute(&self.preamble).await?;
        Ok((client, task))
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(Self::connect(self, None))
    }
}

async fn drive<S, T>(mut connection: Connection<S, T>, listener: Option<Listener>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await
    {
        match (message, &listener) {
            (Ok(AsyncMessage::Notification(notification)), Some(listener)) => {
                listener(&notification);
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
                return;
            }
        }
    }
}

async fn tls(url: &str) -> Result<MakeRustlsConnect, StoreError> {
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
        Ok(Ok(connector)) => Ok(connector),
        Ok(Err(_)) | Err(_) => Err(StoreError::BadUrl {
            url: url.to_owned(),
            message: "the system has no usable certificates, and `sslmode` is not `disable`"
                .to_owned(),
        }),
    }
}
