//! Servers for tests, on free ports of this machine.

use std::net::SocketAddr;

use axum::Router;
use flowcore::{ContextBuilder, NodeError, NodeFactory as _, NodeOutput, Policy};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::request::RequestFactory;
use crate::testing::{context, node};

/// A server that ends with the test.
pub(super) struct TestServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl TestServer {
    /// Serves these routes.
    pub(super) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    /// The URL of a path, which starts with a slash.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A context with this config under which every host may be reached.
pub(super) fn anywhere(config: serde_json::Value) -> ContextBuilder {
    context(&RequestFactory::default().descriptor(), std::path::Path::new("/"), config)
}

/// Sends a request with this config.
pub(super) async fn request(config: serde_json::Value) -> Result<NodeOutput, NodeError> {
    node(&RequestFactory::default()).execute(anywhere(config).build()).await
}

/// Sends a request with this config under a policy.
pub(super) async fn request_under(
    policy: Policy,
    config: serde_json::Value,
) -> Result<NodeOutput, NodeError> {
    node(&RequestFactory::default()).execute(anywhere(config).policy(policy).build()).await
}
