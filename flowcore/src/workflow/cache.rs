//! How long the result of a node may be reused.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the result of a `pure` node may be reused, by attempts of nodes of the same type and
/// version that are given the same: by all executions of a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheSpec {
    /// How long a result is good, in milliseconds; at least 1.
    #[schemars(range(min = 1))]
    pub ttl_ms: u64,
    /// An expression whose value stands for all that the node is given: attempts with the same value
    /// share a result. Without it they share one when their config and inputs are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
}

impl CacheSpec {
    /// Results are good for so many milliseconds.
    pub fn new(ttl_ms: u64) -> Self {
        Self { ttl_ms, key: None }
    }

    /// The value of this expression stands for all that the node is given.
    #[must_use]
    pub fn key(mut self, expression: &str) -> Self {
        self.key = Some(Arc::from(expression));
        self
    }
}
