//! Connections: written ones, and those that expressions imply.

use std::collections::{HashMap, HashSet};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use super::compile::Compiler;
use super::graph::{Edge, InPort, MAX_PORTS, NodeIndex, OutPort};
use super::port_types::check_types;
use crate::node::PortName;
use crate::workflow::{Connection, Diagnostic, Join, Workflow};

/// The port that every node has.
pub(super) const ERROR: &str = "error";

/// The connections of a workflow while it is compiled.
#[derive(Default)]
pub(super) struct Connections {
    edges: Vec<Edge>,
    /// The edges between two nodes, to see which references need one of their own.
    between: HashMap<(NodeIndex, NodeIndex), usize>,
    /// Ports that are named beyond those of the descriptor, by node.
    open_inputs: HashMap<NodeIndex, Vec<PortName>>,
    open_outputs: HashMap<NodeIndex, Vec<PortName>>,
    /// Input ports that have a connection.
    connected: HashMap<NodeIndex, Vec<u16>>,
    incoming: HashSet<NodeIndex>,
    handled: HashSet<NodeIndex>,
    /// Nodes that expressions of other nodes read.
    read: HashSet<NodeIndex>,
}

impl Connections {
    /// Reads the written connections.
    pub(super) fn read(compiler: &mut Compiler<'_>) -> Self {
        let mut connections = Self::default();
        let workflow = compiler.workflow;
        for (index, connection) in workflow.connections.iter().enumerate() {
            if connection.from_node.as_str().is_empty() || connection.to_node.as_str().is_empty() {
                continue; // It could not be read; that was reported.
            }
            connections.read_one(compiler, index, connection);
        }
        connections
    }

    fn read_one(&mut self, compiler: &mut Compiler<'_>, index: usize, connection: &Connection) {
        let pointer = format!("/connections/{index}");
        let from = find(compiler, &connection.from_node, &format!("{pointer}/from_node"));
        let to = find(compiler, &connection.to_node, &format!("{pointer}/to_node"));
        let (Some(from), Some(to)) = (from, to) else { return };
        let from_port = match connection.from_port.as_deref() {
            None => Some(OutPort::None),
            Some(ERROR) => Some(OutPort::Error),
            Some(port) => self
                .output_port(compiler, from, port, &format!("{pointer}/from_port"))
                .map(OutPort::Port),
        };
        let to_port = match connection.to_port.as_deref() {
            None => Some(InPort::None),
            Some(port) => {
                self.input_port(compiler, to, port, &format!("{pointer}/to_port")).map(InPort::Port)
            }
        };
        let (Some(from_port), Some(to_port)) = (from_port, to_port) else { return };
        if from_port == OutPort::None && to_port != InPort::None {
            compiler.common.diagnostics.push(
                Diagnostic::error(
                    "connection.no_from_port",
                    pointer,
                    "the connection names the port it enters but not the one it leaves",
                )
                .hint("name both ports, or neither for order only"),
            );
            return;
        }
        if let InPort::Port(port) = to_port {
            self.check_single(compiler, to, port, &pointer);
        }
        let edge = Edge { from, from_port, to, to_port };
        check_types(compiler, &edge, &pointer);
        self.add(edge);
    }

    fn add(&mut self, edge: Edge) {
        self.between.entry((edge.from, edge.to)).or_insert(self.edges.len());
        self.incoming.insert(edge.to);
        if edge.from_port == OutPort::Error {
            self.handled.insert(edge.from);
        }
        self.edges.push(edge);
    }

    /// Two connections into one port are an error unless somebody chooses between them.
    fn check_single(
        &mut self,
        compiler: &mut Compiler<'_>,
        to: NodeIndex,
        port: u16,
        pointer: &str,
    ) {
        let connected = self.connected.entry(to).or_default();
        let is_second = connected.contains(&port);
        connected.push(port);
        let node = &compiler.workflow.nodes[to as usize];
        let is_multiple = compiler.type_of(to).is_some_and(|node_type| {
            let declared = node_type.registered.descriptor.inputs.get(usize::from(port));
            declared.is_some_and(|port| port.multiple)
        });
        if is_second && node.join == Join::All && !is_multiple {
            let name = self.input_name(compiler, to, port);
            compiler.common.diagnostics.push(
                Diagnostic::error(
                    "connection.port_taken",
                    format!("{pointer}/to_port"),
                    format!("input port `{name}` of node `{}` has two connections", node.id),
                )
                .hint("with `\"join\": \"any\"` the live one that comes first in the file counts"),
            );
        }
    }

    fn input_name(&self, compiler: &Compiler<'_>, node: NodeIndex, port: u16) -> String {
        let names = self.input_names(compiler, node);
        names.get(usize::from(port)).map_or_else(String::new, |name| name.as_str().to_owned())
    }

    /// The input ports of a node: those declared, then those that connections named.
    pub(super) fn input_names(&self, compiler: &Compiler<'_>, node: NodeIndex) -> Vec<PortName> {
        let declared = compiler.type_of(node).map(|node_type| node_type.inputs.to_vec());
        let mut names = declared.unwrap_or_default();
        names.extend(self.open_inputs.get(&node).into_iter().flatten().cloned());
        names
    }

    /// The ports that connections named beyond the declared ones.
    pub(super) fn has_open_inputs(&self, node: NodeIndex) -> bool {
        self.open_inputs.contains_key(&node)
    }

    /// As [`Connections::has_open_inputs`].
    pub(super) fn open_outputs(&self, node: NodeIndex) -> Option<&[PortName]> {
        self.open_outputs.get(&node).map(Vec::as_slice)
    }

    /// How many connections a port has.
    pub(super) fn connection_count(&self, node: NodeIndex, port: u16) -> usize {
        let ports = self.connected.get(&node);
        ports.map_or(0, |ports| ports.iter().filter(|&&other| other == port).count())
    }

    /// Whether any connection, written or implied, enters a node.
    pub(super) fn has_incoming(&self, node: NodeIndex) -> bool {
        self.incoming.contains(&node)
    }

    /// Whether a connection leaves the port `error` of a node.
    pub(super) fn handles_error(&self, node: NodeIndex) -> bool {
        self.handled.contains(&node)
    }

    /// Whether one node runs only when another has succeeded. Both are connected.
    pub(super) fn needs_success(
        &self,
        workflow: &Workflow,
        from: NodeIndex,
        to: NodeIndex,
    ) -> bool {
        let edge = self.between.get(&(from, to)).map(|&index| &self.edges[index]);
        let waits_for_all = workflow.nodes[to as usize].join == Join::All;
        waits_for_all && edge.is_some_and(|edge| edge.from_port != OutPort::Error)
    }

    /// The index of an output port of a node.
    fn output_port(
        &mut self,
        compiler: &mut Compiler<'_>,
        node: NodeIndex,
        port: &str,
        pointer: &str,
    ) -> Option<u16> {
        let node_type = compiler.type_of(node)?;
        let open = node_type.registered.descriptor.open_outputs;
        let declared = node_type.outputs.clone();
        let extra = self.open_outputs.entry(node).or_default();
        let found = find_port(&declared, extra, port, open);
        if extra.is_empty() {
            self.open_outputs.remove(&node);
        }
        if found.is_none() {
            unknown_port(compiler, node, "output", port, &declared, pointer);
        }
        found
    }

    fn input_port(
        &mut self,
        compiler: &mut Compiler<'_>,
        node: NodeIndex,
        port: &str,
        pointer: &str,
    ) -> Option<u16> {
        let node_type = compiler.type_of(node)?;
        let open = node_type.registered.descriptor.open_inputs;
        let declared = node_type.inputs.clone();
        let extra = self.open_inputs.entry(node).or_default();
        let found = find_port(&declared, extra, port, open);
        if extra.is_empty() {
            self.open_inputs.remove(&node);
        }
        if found.is_none() {
            unknown_port(compiler, node, "input", port, &declared, pointer);
        }
        found
    }

    /// An expression of `to` reads `from`: an order connection, unless one is written already.
    pub(super) fn imply(&mut self, from: NodeIndex, to: NodeIndex) {
        self.read.insert(from);
        match self.between.get(&(from, to)) {
            Some(&index) => {
                let edge = &mut self.edges[index];
                if edge.to_port == InPort::None {
                    edge.to_port = InPort::Read;
                }
            }
            None => self.add(Edge { from, from_port: OutPort::None, to, to_port: InPort::Read }),
        }
    }

    /// Reports every cycle, naming its nodes.
    pub(super) fn check_cycles(&self, compiler: &mut Compiler<'_>) {
        let edges = self.edges.iter().map(|edge| (edge.from, edge.to));
        let mut graph = DiGraph::<(), (), NodeIndex>::from_edges(edges);
        while graph.node_count() < compiler.workflow.nodes.len() {
            graph.add_node(());
        }
        // Not Tarjan's algorithm: petgraph's recurses along the connections.
        let mut cycles: Vec<Vec<NodeIndex>> = kosaraju_scc(&graph)
            .into_iter()
            .map(|component| {
                let mut nodes: Vec<NodeIndex> = component
                    .into_iter()
                    .map(|node| NodeIndex::try_from(node.index()).expect("it came from one"))
                    .collect();
                nodes.sort_unstable();
                nodes
            })
            .filter(|nodes| nodes.len() > 1 || self.between.contains_key(&(nodes[0], nodes[0])))
            .collect();
        if cycles.is_empty() {
            return;
        }
        cycles.sort_unstable();
        let mut next: HashMap<NodeIndex, Vec<NodeIndex>> = HashMap::new();
        self.edges.iter().for_each(|edge| next.entry(edge.from).or_default().push(edge.to));
        for nodes in cycles {
            let path = cycle_path(&nodes, &next);
            let ids = path.iter().map(|&node| compiler.workflow.nodes[node as usize].id.as_str());
            let message =
                format!("the nodes wait for each other: {}", ids.collect::<Vec<_>>().join(" → "));
            compiler.common.diagnostics.push(
                Diagnostic::error("workflow.cycle", format!("/nodes/{}", nodes[0]), message).hint(
                    "connections, and expressions that read `nodes.<id>`, may not form a circle",
                ),
            );
        }
    }

    /// All connections, written ones in file order and then the implied ones; and the nodes that
    /// expressions read.
    pub(super) fn finish(self) -> (Vec<Edge>, HashSet<NodeIndex>) {
        (self.edges, self.read)
    }
}

/// One circle through the first node of a strongly connected component; the shortest.
fn cycle_path(nodes: &[NodeIndex], next: &HashMap<NodeIndex, Vec<NodeIndex>>) -> Vec<NodeIndex> {
    let first = nodes[0];
    let mut reached: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = std::collections::VecDeque::from([first]);
    while let Some(node) = queue.pop_front() {
        for &to in next.get(&node).into_iter().flatten() {
            if to == first {
                let mut path = vec![first, node];
                let mut at = node;
                while at != first {
                    at = reached[&at];
                    path.push(at);
                }
                path.reverse();
                return path;
            }
            if nodes.binary_search(&to).is_ok() && !reached.contains_key(&to) {
                reached.insert(to, node);
                queue.push_back(to);
            }
        }
    }
    nodes.to_vec()
}

fn find(compiler: &mut Compiler<'_>, id: &crate::NodeId, pointer: &str) -> Option<NodeIndex> {
    let found = compiler.ids.get(id.as_str()).copied();
    if found.is_none() {
        let message = format!("there is no node `{id}`");
        let mut diagnostic = Diagnostic::error("connection.unknown_node", pointer, message);
        let suggestion =
            compiler.common.suggestions.nearest(id.as_str(), compiler.ids.keys().copied());
        diagnostic.suggestion = suggestion.map(str::to_owned);
        compiler.common.diagnostics.push(diagnostic);
    }
    found
}

fn find_port(
    declared: &[PortName],
    extra: &mut Vec<PortName>,
    port: &str,
    open: bool,
) -> Option<u16> {
    let all = declared.iter().chain(extra.iter());
    let position = all.map(PortName::as_str).position(|name| name == port);
    let position = position.or_else(|| {
        let position = declared.len() + extra.len();
        (open && position < MAX_PORTS).then(|| {
            extra.push(PortName::from(port.to_owned()));
            position
        })
    });
    position.and_then(|position| u16::try_from(position).ok())
}

fn unknown_port(
    compiler: &mut Compiler<'_>,
    node: NodeIndex,
    direction: &str,
    port: &str,
    declared: &[PortName],
    pointer: &str,
) {
    let spec = &compiler.workflow.nodes[node as usize];
    let names: Vec<&str> = declared.iter().map(PortName::as_str).collect();
    let message =
        format!("node `{}` ({}) has no {direction} port `{port}`", spec.id, spec.node_type);
    let diagnostic = Diagnostic::error("connection.unknown_port", pointer, message)
        .suggest(port, names.iter().copied())
        .expected(if names.is_empty() { "no port".to_owned() } else { names.join(", ") });
    compiler.common.diagnostics.push(diagnostic);
}
