//! How often nodes start.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often attempts of some nodes start, counted over all executions of a runtime: those of the
/// nodes of one type, or those of the nodes that share a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSpec {
    /// The nodes of this type. Either this or `resource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<Arc<str>>,
    /// A name for what the `nodes` share: limits of the same name count together, in other workflows
    /// too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Arc<str>>,
    /// The nodes that use the resource, by id; one inside of a control node as `each.update`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Arc<str>>,
    /// How many attempts start within `per_ms` at most, from 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
    /// The time in which so many start, in milliseconds, at least 1.
    #[schemars(range(min = 1))]
    pub per_ms: u64,
}

/// The most attempts that a limit may allow within its time.
///
/// The moments of so many starts are kept for each limit, so that it is exact.
pub(crate) const MAX_RATE: u32 = 10_000;

impl RateLimitSpec {
    /// At most so many attempts of nodes of this type start within so many milliseconds.
    pub fn of_node_type(node_type: &str, limit: u32, per_ms: u64) -> Self {
        Self { node_type: Some(Arc::from(node_type)), limit, per_ms, ..Self::default() }
    }

    /// At most so many attempts of these nodes, which share a resource, start within so many
    /// milliseconds.
    pub fn of_resource<'a>(
        resource: &str,
        nodes: impl IntoIterator<Item = &'a str>,
        limit: u32,
        per_ms: u64,
    ) -> Self {
        let nodes = nodes.into_iter().map(Arc::from).collect();
        Self { node_type: None, resource: Some(Arc::from(resource)), nodes, limit, per_ms }
    }
}
