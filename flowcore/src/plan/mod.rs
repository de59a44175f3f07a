//! A workflow, checked once and compiled into what the machine and the driver need.

mod bindings;
mod compile;
mod connections;
mod expressions;
mod graph;
mod joins;

pub use compile::{Compiled, compile, compile_within};
pub use graph::{Graph, NodeIndex, PlanNode, SharedInstance};
pub(crate) use graph::{InPort, OutEdge, OutPort, PortSource};

use std::fmt;
use std::sync::Arc;

use crate::expression::Template;
use crate::id::WorkflowId;
use crate::node::RegisteredNode;
use crate::workflow::Workflow;

/// A compiled workflow; shared by all executions of that version.
pub struct Plan {
    pub(crate) workflow: Workflow,
    pub(crate) workflow_id: WorkflowId,
    pub(crate) graph: Graph,
    pub(crate) types: Vec<RegisteredNode>,
    /// `outputs` of the workflow; `None` when it has none.
    pub(crate) outputs: Option<Template>,
    /// The nodes that `outputs` reads; without `outputs`, those on which nothing depends. In order.
    pub(crate) results: Vec<NodeIndex>,
    /// Whether a node has an instance per execution, which has to be shut down.
    pub(crate) has_instances: bool,
}

impl Plan {
    /// The workflow that was compiled.
    pub fn workflow(&self) -> &Workflow {
        &self.workflow
    }

    /// The workflow's id.
    pub fn workflow_id(&self) -> &WorkflowId {
        &self.workflow_id
    }

    /// The nodes and connections.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The node type of a node.
    pub fn node_type(&self, node: &PlanNode) -> &RegisteredNode {
        &self.types[node.type_index as usize]
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("workflow", &self.workflow_id)
            .field("nodes", &self.graph.len())
            .finish_non_exhaustive()
    }
}

/// A plan that executions share.
pub type SharedPlan = Arc<Plan>;
