//! A workflow, checked once and compiled into what the machine and the driver need.

mod addresses;
mod around;
mod bindings;
mod bodies;
mod compile;
mod concurrency;
mod conditions;
mod connections;
mod expressions;
mod graph;
mod holders;
mod holds;
mod joins;
mod port_types;
mod rates;
mod recursion;
mod signals;
mod undo;
mod wants;

pub use addresses::AddressError;
pub(crate) use bodies::{Body, BodyIndex, ControlPlan, MAX_NESTING};
pub use bodies::{CalledWorkflow, NoWorkflow, WorkflowSource};
pub use compile::{Compiled, compile, compile_with, compile_within};
pub(crate) use compile::{Context, compile_in};
pub(crate) use concurrency::Concurrency;
pub use concurrency::ConcurrencyLimit;
pub(crate) use expressions::diagnostic as expression_diagnostic;
use graph::Details;
pub use graph::{Graph, NodeIndex, PlanNode, SharedInstance};
pub(crate) use graph::{InEdge, InPort, OutPort, PortSource};
pub use holds::Held;
pub use rates::{RateLimit, RateName};
pub use signals::SignalError;

use std::fmt;
use std::sync::Arc;

use crate::expression::Condition;
use crate::id::{NodeId, WorkflowId};
use crate::node::{ConfigCell, Effect, Execution, PortName, RegisteredNode};
use crate::value::Object;
use crate::workflow::{Join, NodeSpec, OnError, Workflow};

/// A compiled workflow; shared by all executions of that version.
pub struct Plan {
    pub(crate) graph: Graph,
    /// The workflow itself, then the bodies of its control nodes and the workflows that it calls.
    pub(crate) bodies: Vec<Body>,
    pub(crate) types: Vec<PlanType>,
    /// The most nodes that run at the same time.
    pub(crate) max_parallel_nodes: u32,
    /// Whether idempotent attempts start before what led to them is durable.
    pub(crate) is_async: bool,
    /// Whether a node has an instance per execution, which has to be shut down.
    pub(crate) has_instances: bool,
    /// Whether a node has a rate limit.
    pub(crate) has_rate_limits: bool,
    /// Which messages the workflow is for.
    pub(crate) when: Option<Condition>,
    /// How many executions run at the same time; `None` is any number.
    pub(crate) concurrency: Option<Concurrency>,
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
        };
        let id = WorkflowId::new("test").expect("a good id");
        Self {
            graph: Graph::new(vec![node], &[]),
            bodies: vec![Body::of_workflow(Workflow::default(), id, 0, 1)],
            types: Vec::new(),
            max_parallel_nodes: u32::MAX,
            is_async: false,
            has_instances: false,
            has_rate_limits: false,
            when: None,
            concurrency: None,
        }
    }

    /// The workflow that was compiled.
    pub fn workflow(&self) -> &Workflow {
        &self.bodies[0].workflow
    }

    /// The workflow's id.
    pub fn workflow_id(&self) -> &WorkflowId {
        &self.bodies[0].workflow_id
    }

    /// The nodes and connections: first those of the workflow itself, then those inside of control
    /// nodes and of the workflows that it calls.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How many nodes the workflow itself has; their indices come first.
    pub fn len(&self) -> usize {
        self.bodies[0].len()
    }

    /// Whether the workflow has no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds other workflows, which it calls.
    pub fn calls_workflows(&self) -> bool {
        let calls = |node: &PlanNode| matches!(node.control(), Some(ControlPlan::Call(_)));
        self.graph.nodes().iter().any(calls)
    }

    /// Whether one of the nodes has a rate limit.
    #[inline]
    pub fn has_rate_limits(&self) -> bool {
        self.has_rate_limits
    }

    pub(crate) fn body(&self, index: BodyIndex) -> &Body {
        &self.bodies[index as usize]
    }

    /// What the file says of a node.
    pub fn spec(&self, node: NodeIndex) -> &NodeSpec {
        let body = self.bodies.partition_point(|body| body.first <= node) - 1;
        let body = &self.bodies[body];
        &body.workflow.nodes[(node - body.first) as usize]
    }

    /// The node type of a node.
    pub fn node_type(&self, node: &PlanNode) -> &RegisteredNode {
        &self.types[node.type_index as usize].registered
    }

    pub(crate) fn plan_type(&self, node: &PlanNode) -> &PlanType {
        &self.types[node.type_index as usize]
    }

    /// The input ports of a node, by index: the declared ones, then those that connections name.
    pub fn input_names<'a>(&'a self, node: &'a PlanNode) -> &'a [PortName] {
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
            .field("workflow", self.workflow_id())
            .field("nodes", &self.graph.len())
            .finish_non_exhaustive()
    }
}

/// A plan that executions share.
pub type SharedPlan = Arc<Plan>;
