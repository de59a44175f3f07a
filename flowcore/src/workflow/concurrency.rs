//! How many executions of a workflow run at the same time.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many executions of a workflow with the same key run at the same time in a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySpec {
    /// An expression over the inputs, evaluated before the execution starts: only executions with
    /// the same value count. Without it all executions of the workflow do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// How many run at the same time, at least 1.
    #[schemars(range(min = 1))]
    pub limit: u32,
    /// What happens to an execution that would be one more.
    #[serde(default)]
    pub on_limit: OnLimit,
}

/// What happens to an execution that would be one more than may run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// It waits until others have ended, in the order of the starts.
    #[default]
    Queue,
    /// It is not started: whoever starts it gets an error.
    Skip,
    /// The oldest is cancelled and awaited, then it runs.
    CancelOldest,
}

impl ConcurrencySpec {
    /// So many run at the same time; others wait.
    pub fn new(limit: u32) -> Self {
        Self { key: None, limit, on_limit: OnLimit::default() }
    }

    /// Only executions for which this expression has the same value count.
    #[must_use]
    pub fn key(mut self, expression: &str) -> Self {
        self.key = Some(Arc::from(expression));
        self
    }

    /// What happens to an execution that would be one more.
    #[must_use]
    pub fn on_limit(mut self, on_limit: OnLimit) -> Self {
        self.on_limit = on_limit;
        self
    }
}
