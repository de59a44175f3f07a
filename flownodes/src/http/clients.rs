//! HTTP clients, each with its pool of connections.

use std::time::Duration;

use flowcore::{NodeError, Reach};
use reqwest::{Client, ClientBuilder, redirect};
use tokio::sync::Mutex;

use super::resolver::PublicOnly;

/// A client has one time limit for connecting, and one reach. Workflows rarely have more than one or two; a limit
/// that an expression computes must not make clients without end.
const MAX_CLIENTS: usize = 8;

/// The clients that all `http.request` nodes share, made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Vec<(Kind, Client)>>);

/// What a client is made for.
type Kind = (Duration, Reach);

impl Clients {
    /// The client that gives up connecting after this long, and connects only so far.
    pub(super) async fn get(
        &self,
        connect_timeout: Duration,
        reach: Reach,
    ) -> Result<Client, NodeError> {
        let kind = (connect_timeout, reach);
        let mut clients = self.0.lock().await;
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == kind) {
            return Ok(client.clone());
        }
        // Reads the certificates of the system.
        let built = tokio::task::spawn_blocking(move || build(kind)).await;
        let client = match built {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(not_built(&error)),
            Err(error) => return Err(not_built(&error)),
        };
        clients.truncate(MAX_CLIENTS - 1);
        clients.insert(0, (kind, client.clone()));
        Ok(client)
    }
}

fn build(kind: Kind) -> reqwest::Result<Client> {
    // Fails when the program has chosen another one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder(kind).build().or_else(|error| {
        tracing::warn!(%error, "https will not work: the system has no usable certificates");
        builder(kind).tls_certs_only([]).build()
    })
}

fn builder((connect_timeout, reach): Kind) -> ClientBuilder {
    let builder = match reach {
        Reach::Anywhere => Client::builder(),
        // A proxy would resolve names by itself.
        Reach::Public => Client::builder().dns_resolver(PublicOnly).no_proxy(),
    };
    builder
        .connect_timeout(connect_timeout)
        .user_agent(concat!("flow/", env!("CARGO_PKG_VERSION")))
        // Each hop is a question to the policy, which a client shared by all cannot ask.
        .redirect(redirect::Policy::none())
}

fn not_built(error: &dyn std::error::Error) -> NodeError {
    NodeError::new("http.connect", "no HTTP client could be made").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clients_are_kept_but_not_without_end() {
        let clients = Clients::default();
        for millis in (0..20).chain(18..20) {
            clients.get(Duration::from_millis(millis), Reach::Anywhere).await.unwrap();
        }
        let kept: Vec<_> =
            clients.0.lock().await.iter().map(|((timeout, _), _)| *timeout).collect();
        let expected: Vec<_> = (12..20).rev().map(Duration::from_millis).collect();
        assert_eq!(kept, expected);
    }
}
