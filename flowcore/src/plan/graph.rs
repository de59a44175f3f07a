//! Nodes with dense indices and connections in flat arrays.

use std::sync::Arc;
use std::time::Duration;

use super::bodies::{BodyIndex, ControlPlan};
use super::rates::RateLimit;
use crate::expression::{Condition, Expression, Template};
use crate::id::NodeId;
use crate::node::{ConfigCell, Effect, Execution, InlineNode, Node, PortName};
use crate::workflow::{Join, OnError, RetryPolicy};

/// The index of a node in its graph: its position in the file.
pub type NodeIndex = u32;

/// No port: the connection is order only.
const NO_PORT: u16 = u16::MAX;
/// The port `error`, which every node has.
const ERROR_PORT: u16 = u16::MAX - 1;
/// The connection carries no value but an expression reads the source.
const READ_ONLY: u16 = u16::MAX - 2;
/// The most ports of one node.
pub(crate) const MAX_PORTS: usize = 1 << 15;

/// An output port, as a connection names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutPort {
    /// Any: live when the source succeeded.
    None,
    /// The port `error`.
    Error,
    /// A port of the source, by index.
    Port(u16),
}

impl OutPort {
    fn encode(self) -> u16 {
        match self {
            Self::None => NO_PORT,
            Self::Error => ERROR_PORT,
            Self::Port(port) => port,
        }
    }

    fn decode(port: u16) -> Self {
        match port {
            NO_PORT => Self::None,
            ERROR_PORT => Self::Error,
            port => Self::Port(port),
        }
    }
}

/// What a connection brings to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InPort {
    /// Nothing but order.
    None,
    /// Nothing, but an expression of the target reads the source.
    Read,
    /// A value for this input port, by index.
    Port(u16),
}

impl InPort {
    fn encode(self) -> u16 {
        match self {
            Self::None => NO_PORT,
            Self::Read => READ_ONLY,
            Self::Port(port) => port,
        }
    }

    fn decode(port: u16) -> Self {
        match port {
            NO_PORT => Self::None,
            READ_ONLY => Self::Read,
            port => Self::Port(port),
        }
    }
}

/// A connection as its target sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InEdge {
    pub(crate) from: NodeIndex,
    from_port: u16,
    to_port: u16,
}

impl InEdge {
    pub(crate) fn source_port(self) -> OutPort {
        OutPort::decode(self.from_port)
    }

    pub(crate) fn target_port(self) -> InPort {
        InPort::decode(self.to_port)
    }
}

/// A connection as its source sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutEdge {
    pub(crate) to: NodeIndex,
    from_port: u16,
}

impl OutEdge {
    pub(crate) fn source_port(self) -> OutPort {
        OutPort::decode(self.from_port)
    }
}

/// A connection before the graph is built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) from: NodeIndex,
    pub(crate) from_port: OutPort,
    pub(crate) to: NodeIndex,
    pub(crate) to_port: InPort,
}

/// Where an input port takes its value from, when not from one connection.
#[derive(Debug)]
pub(crate) enum PortSource {
    /// All its connections, as an array.
    Connections,
    /// The config.
    Config(Template),
    /// What the scope takes in under this name: an input of the workflow, or what the control node
    /// around gives.
    ScopeInput(Arc<str>),
}

/// An instance of a stateless node type; one serves all executions.
#[derive(Clone)]
pub enum SharedInstance {
    /// A node that may wait.
    Node(Arc<dyn Node>),
    /// A plain function.
    Inline(Arc<dyn InlineNode>),
}

/// One node of a plan; see [`super::Plan`] for what it shares with others of its type.
///
/// Aligned, so that looking at one brings in one line of the cache: in a large workflow that is most of
/// what looking costs. So what few nodes have is in the details.
#[repr(align(64))]
pub struct PlanNode {
    pub(crate) id: NodeId,
    pub(crate) type_index: u32,
    /// `None` for node types with an instance per execution.
    pub(crate) instance: Option<SharedInstance>,
    pub(crate) details: Option<Box<Details>>,
    pub(crate) on_error: OnError,
    pub(crate) join: Join,
    pub(crate) effect: Effect,
    pub(crate) execution: Execution,
    /// Whether an input port takes all its connections, as an array.
    pub(crate) has_multiple: bool,
}

const _: () = assert!(size_of::<PlanNode>() == 64, "it is one line of the cache");

/// What few nodes have.
#[derive(Default)]
pub(crate) struct Details {
    /// The input ports by index, when connections name others than the declared ones.
    pub(crate) inputs: Option<Box<[PortName]>>,
    /// The output ports that connections may name by index, when they name others than the declared
    /// ones.
    pub(crate) outputs: Option<Box<[PortName]>>,
    /// Input ports that take their values from elsewhere than one connection, in order.
    pub(crate) sources: Box<[(u16, PortSource)]>,
    /// The config as it is written; `None` when it is empty.
    pub(crate) cell: Option<ConfigCell>,
    /// The config, when it holds expressions.
    pub(crate) config: Option<Template>,
    pub(crate) when: Option<Condition>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) cache: Option<Cache>,
    pub(crate) rate_limits: Box<[Arc<RateLimit>]>,
    /// What the machine does with it, if it is a control node.
    pub(crate) control: Option<ControlPlan>,
    /// The body, of one node, that takes back what it has done.
    pub(crate) undo: Option<BodyIndex>,
    /// Whether a connection leaves the port `error`.
    pub(crate) handles_error: bool,
    /// Whether ports that are not declared take their values from the execution's inputs.
    pub(crate) takes_execution_inputs: bool,
    /// Whether it undoes another node.
    pub(crate) undoes: bool,
}

/// How long the result of a node may be reused.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) ttl: Duration,
    /// Its value stands for all that the node is given.
    pub(crate) key: Option<Expression>,
}

impl Details {
    /// Whether a node needs them at all.
    pub(crate) fn is_needed(&self) -> bool {
        self.inputs.is_some()
            || self.outputs.is_some()
            || !self.sources.is_empty()
            || self.cell.is_some()
            || self.config.is_some()
            || self.when.is_some()
            || self.retry.is_some()
            || self.timeout_ms.is_some()
            || self.cache.is_some()
            || !self.rate_limits.is_empty()
            || self.control.is_some()
            || self.undo.is_some()
            || self.handles_error
            || self.takes_execution_inputs
            || self.undoes
    }
}

impl PlanNode {
    /// The node's id.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Where its attempts run.
    pub fn execution(&self) -> Execution {
        self.execution
    }

    /// What its attempts do to the world.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether an attempt has one event, at its end: a plain function that leaves nothing behind.
    ///
    /// One that may leave something behind says first that it starts, so that a crash in between is
    /// seen.
    pub fn has_one_event(&self) -> bool {
        self.execution == Execution::Inline && matches!(self.effect, Effect::Pure | Effect::Read)
    }

    /// The instance that serves all executions, if the node type is stateless.
    pub fn shared_instance(&self) -> Option<&SharedInstance> {
        self.instance.as_ref()
    }

    /// Whether it has an instance per execution, which has to be shut down.
    pub(crate) fn has_own_instance(&self) -> bool {
        self.instance.is_none() && self.execution != Execution::Control
    }

    /// How long its result may be reused; `None` if it is not cached.
    pub fn cache_ttl(&self) -> Option<Duration> {
        self.cache().map(|cache| cache.ttl)
    }

    /// How often its attempts start; every limit counts.
    pub fn rate_limits(&self) -> &[Arc<RateLimit>] {
        self.details.as_ref().map_or(&[], |details| &details.rate_limits)
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.details.as_ref()?.cache.as_ref()
    }

    pub(crate) fn control(&self) -> Option<&ControlPlan> {
        self.details.as_ref()?.control.as_ref()
    }

    pub(crate) fn undo(&self) -> Option<BodyIndex> {
        self.details.as_ref()?.undo
    }

    pub(crate) fn handles_error(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.handles_error)
    }

    pub(crate) fn takes_execution_inputs(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.takes_execution_inputs)
    }

    pub(crate) fn undoes(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.undoes)
    }

    pub(crate) fn when(&self) -> Option<&Condition> {
        self.details.as_ref()?.when.as_ref()
    }

    pub(crate) fn config_template(&self) -> Option<&Template> {
        self.details.as_ref()?.config.as_ref()
    }

    pub(crate) fn retry(&self) -> Option<&RetryPolicy> {
        self.details.as_ref()?.retry.as_ref()
    }

    pub(crate) fn timeout_ms(&self) -> Option<u64> {
        self.details.as_ref()?.timeout_ms
    }

    /// Where the input ports without one connection take their values from, by index; others than
    /// those listed stay empty.
    pub(crate) fn sources(&self) -> &[(u16, PortSource)] {
        self.details.as_ref().map_or(&[], |details| &details.sources)
    }

    /// Where an input port takes its value from, unless that is one connection or nowhere.
    pub(crate) fn source(&self, port: usize) -> Option<&PortSource> {
        let mut sources = self.sources().iter();
        sources.find(|(other, _)| usize::from(*other) == port).map(|(_, source)| source)
    }
}

/// The nodes and connections of a workflow.
#[derive(Default)]
pub struct Graph {
    pub(crate) nodes: Vec<PlanNode>,
    in_start: Vec<u32>,
    in_edges: Vec<InEdge>,
    out_start: Vec<u32>,
    out_edges: Vec<OutEdge>,
    /// How many connections read a value of each node; one more where the execution's outputs do.
    readers: Vec<u32>,
    /// Which nodes expressions or the execution's outputs read.
    read: Vec<bool>,
}

impl Graph {
    /// Builds the flat arrays. Incoming connections keep the order of `edges`; outgoing ones are in
    /// the order of their targets, so that what becomes ready together starts in file order.
    pub(crate) fn new(nodes: Vec<PlanNode>, edges: &[Edge]) -> Self {
        let starts = |key: fn(&Edge) -> NodeIndex| {
            let mut starts = vec![0_u32; nodes.len() + 1];
            edges.iter().for_each(|edge| starts[key(edge) as usize + 1] += 1);
            for index in 1..starts.len() {
                starts[index] += starts[index - 1];
            }
            starts
        };
        let in_start = starts(|edge| edge.to);
        let out_start = starts(|edge| edge.from);
        let nowhere = InEdge { from: 0, from_port: NO_PORT, to_port: NO_PORT };
        let mut in_edges = vec![nowhere; edges.len()];
        let mut next = in_start.clone();
        for edge in edges {
            let slot = &mut next[edge.to as usize];
            in_edges[*slot as usize] = InEdge {
                from: edge.from,
                from_port: edge.from_port.encode(),
                to_port: edge.to_port.encode(),
            };
            *slot += 1;
        }
        let mut out_edges = vec![OutEdge { to: 0, from_port: NO_PORT }; edges.len()];
        let mut next = out_start.clone();
        for edge in edges {
            let slot = &mut next[edge.from as usize];
            out_edges[*slot as usize] = OutEdge { to: edge.to, from_port: edge.from_port.encode() };
            *slot += 1;
        }
        let mut readers = vec![0; nodes.len()];
        edges
            .iter()
            .filter(|edge| edge.to_port != InPort::None)
            .for_each(|edge| readers[edge.from as usize] += 1);
        let read = vec![false; nodes.len()];
        let mut graph = Self { nodes, in_start, in_edges, out_start, out_edges, readers, read };
        graph.sort_outgoing();
        graph
    }

    /// These nodes' outputs are kept to the end.
    pub(crate) fn keep(&mut self, nodes: &[NodeIndex]) {
        for &node in nodes {
            self.readers[node as usize] += 1;
            self.read[node as usize] = true;
        }
    }

    /// Expressions read these nodes.
    pub(crate) fn mark_read(&mut self, nodes: impl IntoIterator<Item = NodeIndex>) {
        nodes.into_iter().for_each(|node| self.read[node as usize] = true);
    }

    /// How many readers a node has.
    pub(crate) fn readers(&self, node: NodeIndex) -> u32 {
        self.readers[node as usize]
    }

    /// Whether an expression or the execution's outputs read a node.
    pub(crate) fn is_read(&self, node: NodeIndex) -> bool {
        self.read[node as usize]
    }

    fn sort_outgoing(&mut self) {
        for window in self.out_start.windows(2) {
            self.out_edges[window[0] as usize..window[1] as usize].sort_by_key(|edge| edge.to);
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many connections there are, implied ones included.
    pub fn connection_count(&self) -> usize {
        self.in_edges.len()
    }

    /// A node.
    ///
    /// # Panics
    /// When there is no such index.
    pub fn node(&self, index: NodeIndex) -> &PlanNode {
        &self.nodes[index as usize]
    }

    /// The nodes, in file order.
    pub fn nodes(&self) -> &[PlanNode] {
        &self.nodes
    }

    /// The nodes that a node waits for, in the order of the connections.
    pub fn predecessors(&self, index: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        self.incoming(index).iter().map(|edge| edge.from)
    }

    /// The nodes that wait for a node, in file order.
    pub fn successors(&self, index: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        self.outgoing(index).iter().map(|edge| edge.to)
    }

    pub(crate) fn incoming(&self, index: NodeIndex) -> &[InEdge] {
        let index = index as usize;
        &self.in_edges[self.in_start[index] as usize..self.in_start[index + 1] as usize]
    }

    pub(crate) fn outgoing(&self, index: NodeIndex) -> &[OutEdge] {
        let index = index as usize;
        &self.out_edges[self.out_start[index] as usize..self.out_start[index + 1] as usize]
    }
}
