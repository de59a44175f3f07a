//! What the tests of both databases share.

use std::path::Path;
use std::sync::Arc;

use flowcore::{AttemptSignals, CancelReason, NodeConfig, NodeError, NodeFactory as _, NodeOutput};

use super::query::QueryFactory;
use crate::testing::context;

/// A factory, whose connections its nodes share, and a folder that they may use.
pub(super) struct Bench {
    pub(super) factory: QueryFactory,
    pub(super) folder: tempfile::TempDir,
    pub(super) database: String,
}

impl Bench {
    pub(super) fn new(database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { factory: QueryFactory::default(), folder, database: database.to_owned() }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a config, to which the database is added.
    pub(super) async fn run(&self, config: serde_json::Value) -> Result<NodeOutput, NodeError> {
        self.run_with(config, Arc::default()).await
    }

    pub(super) async fn run_with(
        &self,
        mut config: serde_json::Value,
        signals: Arc<AttemptSignals>,
    ) -> Result<NodeOutput, NodeError> {
        if config.get("database").is_none() {
            config["database"] = self.database.clone().into();
        }
        let node = self.factory.create(&NodeConfig::default()).unwrap();
        let descriptor = self.factory.descriptor();
        let ctx = context(&descriptor, self.path(), config).signals(signals).build();
        node.execute(ctx).await
    }

    pub(super) async fn query(&self, query: &str) -> NodeOutput {
        let output = self.run(serde_json::json!({ "query": query })).await;
        output.unwrap_or_else(|error| panic!("{query}: {error:?}"))
    }

    /// The rows as JSON.
    pub(super) async fn rows(&self, config: serde_json::Value) -> String {
        let output = self.run(config.clone()).await;
        let output = output.unwrap_or_else(|error| panic!("{config}: {error:?}"));
        output.get("rows").unwrap().to_json_text()
    }

    pub(super) async fn fails(&self, config: serde_json::Value, code: &str) -> NodeError {
        let result = self.run(config.clone()).await;
        let error = result.map_or_else(|error| error, |output| panic!("{config} gives {output:?}"));
        assert_eq!(error.code(), code, "{config}: {error:?}");
        error
    }

    /// Starts a statement that does not end, and cancels it.
    pub(super) async fn cancelled(&self, query: &str) {
        let signals = Arc::new(AttemptSignals::default());
        let config = serde_json::json!({ "query": query });
        let attempt = self.run_with(config, signals.clone());
        let cancel = async {
            tokio::task::yield_now().await;
            signals.cancel(CancelReason::Requested);
        };
        let (result, ()) = tokio::join!(attempt, cancel);
        assert_eq!(result.unwrap_err().code(), "node.cancelled");
    }
}
