//! A workflow, checked once and compiled into what the machine and the driver need.

mod bindings;
mod compile;
mod connections;
mod expressions;
mod graph;
mod joins;

pub use compile::{Compiled, compile, compile_within};
use graph::Details;
pub use graph::{Graph, NodeIndex, PlanNode, SharedInstance};
pub(crate) use graph::{InPort, OutPort, PortSource};

use std::fmt;
use std::sync::Arc;

use crate::expression::Template;
use crate::id::{NodeId, WorkflowId};
use crate::node::{ConfigCell, Effect, Execution, PortName, RegisteredNode};
use crate::value::Object;
use crate::workflow::{Join, OnError, Workflow};

/// A compiled workflow; shared by all executions of that version.
pub struct Plan {
    pub(crate) workflow: Workflow,
    pub(crate) workflow_id: WorkflowId,
    pub(crate) graph: Graph,
    pub(crate) types: Vec<PlanType>,
    /// `outputs` of the workflow; `None` when it has none.
    pub(crate) outputs: Option<Template>,
    /// The nodes that `outputs` reads; without `outputs`, those on which nothing depends. In order.
    pub(crate) results: Vec<NodeIndex>,
    /// The most nodes that run at the same time.
    pub(crate) max_parallel_nodes: u32,
    /// Whether a node has an instance per execution, which has to be shut down.
    pub(crate) has_instances: bool,
}

/// What the nodes of one type share.
pub(crate) struct PlanType {
    pub(crate) registered: RegisteredNode,
    /// The declared input ports.
    pub(crate) inputs: Arc<[PortName]>,
    /// The declared output ports.
    pub(crate) outputs: Arc<[PortName]>,
    /// Whether an input port is required.
    pub(crate) has_required: bool,
    /// The empty config.
    pub(crate) config: ConfigCell,
}

impl Plan {
    /// A plan of one node, `test`, of no type: for attempts without a workflow.
    pub(crate) fn of_one_node(inputs: Box<[PortName]>, config: Object) -> Self {
        let details = Details {
            inputs: Some(inputs),
            outputs: Some(Box::default()),
            cell: Some(ConfigCell::new(config)),
            ..Details::default()
        };
        let node = PlanNode {
            id: NodeId::new("test").expect("a good id"),
            type_index: 0,
            instance: None,
            details: Some(Box::new(details)),
            on_error: OnError::default(),
            join: Join::default(),
            effect: Effect::Idempotent,
            execution: Execution::Task,
            has_multiple: false,
            handles_error: false,
            takes_execution_inputs: false,
        };
        Self {
            workflow: Workflow::default(),
            workflow_id: WorkflowId::new("test").expect("a good id"),
            graph: Graph::new(vec![node], &[]),
            types: Vec::new(),
            outputs: None,
            results: Vec::new(),
            max_parallel_nodes: u32::MAX,
            has_instances: false,
        }
    }

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
        &self.types[node.type_index as usize].registered
    }

    pub(crate) fn plan_type(&self, node: &PlanNode) -> &PlanType {
        &self.types[node.type_index as usize]
    }

    /// The input ports of a node, by index: the declared ones, then those that connections name.
    pub(crate) fn input_names<'a>(&'a self, node: &'a PlanNode) -> &'a [PortName] {
        let own = node.details.as_ref().and_then(|details| details.inputs.as_deref());
        own.unwrap_or_else(|| &self.plan_type(node).inputs)
    }

    /// The output ports of a node that connections may name, by index.
    pub(crate) fn output_names<'a>(&'a self, node: &'a PlanNode) -> &'a [PortName] {
        let own = node.details.as_ref().and_then(|details| details.outputs.as_deref());
        own.unwrap_or_else(|| &self.plan_type(node).outputs)
    }

    /// The config of a node, its expressions not resolved.
    pub(crate) fn config<'a>(&'a self, node: &'a PlanNode) -> &'a ConfigCell {
        let own = node.details.as_ref().and_then(|details| details.cell.as_ref());
        own.unwrap_or_else(|| &self.plan_type(node).config)
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
