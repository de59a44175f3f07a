//! Short ways to make node types and workflows.

use flowcore::{Execution, NodeDescriptor, Workflow};

/// Every place where an attempt can run.
pub(crate) const EXECUTIONS: [Execution; 4] =
    [Execution::Inline, Execution::Async, Execution::Task, Execution::Blocking];

/// A node type with any ports and any config, whose attempts run here. Stateless.
pub(crate) fn kind(node_type: &'static str, execution: Execution) -> NodeDescriptor {
    NodeDescriptor::untyped(node_type).execution(execution).stateless()
}

/// A workflow from a JSON literal.
pub(crate) fn workflow(json: serde_json::Value) -> Workflow {
    Workflow::from_json(&json.to_string()).unwrap()
}
