//! How large workflows, and what comes of their executions, may be.

use super::super::{Diagnostic, Diagnostics, Workflow};
use crate::machine::HistoryLimits;
use crate::value::{MAX_DEPTH, Object, Value};

/// How large workflows, and what comes of their executions, may be; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most nodes; 10,000 unless said otherwise.
    pub max_nodes: Option<usize>,
    /// The most connections; 50,000 unless said otherwise.
    pub max_connections: Option<usize>,
    /// The most events in the history of an execution that is kept in a store; 250,000 unless said
    /// otherwise. One that has so many ends, `Failed`, with the code `history.too_many_events`.
    pub max_events: Option<u64>,
    /// The most bytes in the history of an execution that is kept in a store, where a value of more
    /// than 1 MiB is counted once however often it occurs; 256 MiB unless said otherwise. One that has
    /// so many ends, `Failed`, with the code `history.too_large`.
    pub max_history_bytes: Option<u64>,
    /// About the most bytes, as JSON, of a value on an output port of a node, where the execution is
    /// kept in a store; 64 MiB unless said otherwise. The node fails with the code `output.too_large`.
    pub max_output_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_nodes: Some(10_000),
            max_connections: Some(50_000),
            max_events: Some(250_000),
            max_history_bytes: Some(256 << 20),
            max_output_bytes: Some(64 << 20),
        }
    }
}

impl Limits {
    /// No limit at all.
    pub fn none() -> Self {
        Self {
            max_nodes: None,
            max_connections: None,
            max_events: None,
            max_history_bytes: None,
            max_output_bytes: None,
        }
    }

    /// The most nodes.
    #[must_use]
    pub fn max_nodes(mut self, nodes: Option<usize>) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// The most connections.
    #[must_use]
    pub fn max_connections(mut self, connections: Option<usize>) -> Self {
        self.max_connections = connections;
        self
    }

    /// The most events in a history.
    #[must_use]
    pub fn max_events(mut self, events: Option<u64>) -> Self {
        self.max_events = events;
        self
    }

    /// The most bytes in a history.
    #[must_use]
    pub fn max_history_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_history_bytes = bytes;
        self
    }

    /// The most bytes of an output.
    #[must_use]
    pub fn max_output_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_output_bytes = bytes;
        self
    }

    /// Those of a history.
    pub fn history(&self) -> HistoryLimits {
        HistoryLimits { max_events: self.max_events, max_bytes: self.max_history_bytes }
    }
}

/// How deep a workflow's config stands in the workflow: the workflow, its nodes, the node.
const CONFIG_DEPTH: u8 = 3;

/// Checks the size of a workflow; false when it is too large to be looked at further.
pub(super) fn check(workflow: &Workflow, limits: &Limits, diagnostics: &mut Diagnostics) -> bool {
    let counts = [
        ("workflow.too_many_nodes", "nodes", workflow.nodes.len(), limits.max_nodes),
        (
            "workflow.too_many_connections",
            "connections",
            workflow.connections.len(),
            limits.max_connections,
        ),
    ];
    let mut fits = true;
    for (code, what, count, limit) in counts {
        if let Some(limit) = limit.filter(|limit| count > *limit) {
            fits = false;
            let message = format!("the workflow has {count} {what}");
            diagnostics.push(
                Diagnostic::error(code, format!("/{what}"), message)
                    .expected(format!("at most {limit}"))
                    .hint(format!("the limit is the setting `max_{what}`")),
            );
        }
    }
    check_depths(workflow, diagnostics);
    fits
}

/// Values made in Rust code may be so deep that the workflow around them would be too deep.
fn check_depths(workflow: &Workflow, diagnostics: &mut Diagnostics) {
    let mut check = |depth: u8, around: u8, pointer: &dyn Fn() -> String| {
        if depth > MAX_DEPTH - around {
            let message = format!("a workflow may be nested at most {MAX_DEPTH} levels deep");
            diagnostics.push(Diagnostic::error("workflow.too_deep", pointer(), message));
        }
    };
    for (index, node) in workflow.nodes.iter().enumerate() {
        let at = |key: &str| format!("/nodes/{index}/{key}");
        check(node.config.as_object().depth(), CONFIG_DEPTH, &|| at("config"));
        check(node.when.as_ref().map_or(0, Value::depth), CONFIG_DEPTH, &|| at("when"));
        check(node.extensions.depth(), CONFIG_DEPTH - 1, &|| format!("/nodes/{index}"));
    }
    for (name, input) in workflow.inputs.iter().flatten() {
        check(input.schema.depth(), 2, &|| {
            format!("/inputs/{}", crate::value::escape_pointer(name))
        });
    }
    check(workflow.when.as_ref().map_or(0, Value::depth), 1, &|| "/when".to_owned());
    check(workflow.outputs.as_ref().map_or(0, Object::depth), 1, &|| "/outputs".to_owned());
}
