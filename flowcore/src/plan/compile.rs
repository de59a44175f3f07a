//! From a workflow to a plan, finding every problem on the way.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::bindings::bind_node;
use super::connections::Connections;
use super::expressions::{Names, compile_outputs};
use super::graph::{Graph, NodeIndex};
use super::joins::check_joins;
use super::{Plan, PlanType, SharedPlan};
use crate::id::WorkflowId;
use crate::node::{ConfigCell, NodeRegistry, PortName, RegisteredNode};
use crate::workflow::{Diagnostic, Diagnostics, Limits, Workflow, check_definition, nearest};

/// A compiled workflow and what was found on the way.
#[derive(Debug)]
pub struct Compiled {
    /// The plan, unless there are errors.
    pub plan: Option<SharedPlan>,
    /// Every problem; places in a text are not filled in.
    pub diagnostics: Diagnostics,
}

/// Checks a workflow and compiles it into a plan.
///
/// Every problem is found at once. The result depends only on the workflow and on the node types in
/// the registry.
pub fn compile(workflow: &Workflow, registry: &NodeRegistry) -> Compiled {
    compile_within(workflow, registry, &Limits::default())
}

/// As [`compile`], with other limits. Of a workflow beyond them nothing else is checked.
pub fn compile_within(workflow: &Workflow, registry: &NodeRegistry, limits: &Limits) -> Compiled {
    let mut diagnostics = Diagnostics::new();
    if !check_definition(workflow, limits, &mut diagnostics) {
        return Compiled { plan: None, diagnostics };
    }
    let mut compiler = Compiler::new(workflow, registry);
    compiler.diagnostics = diagnostics;
    compiler.find_types();
    let plan = compiler.build();
    let diagnostics = compiler.diagnostics;
    let plan = plan.filter(|_| !diagnostics.has_errors()).map(Arc::new);
    Compiled { plan, diagnostics }
}

/// What compiling one workflow needs to remember.
pub(super) struct Compiler<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) registry: &'a NodeRegistry,
    pub(super) diagnostics: Diagnostics,
    /// Nodes by id; of a duplicate the first.
    pub(super) ids: HashMap<&'a str, NodeIndex>,
    pub(super) types: Vec<NodeType>,
    /// Each node's type, by index into `types`; `None` when it is unknown.
    pub(super) node_types: Vec<Option<u32>>,
    pub(super) suggestions: Suggestions,
}

/// How many more names may be compared with all others to say what was probably meant. Each takes
/// milliseconds in a large workflow; after this many wrong names another suggestion helps nobody.
pub(super) struct Suggestions(Cell<u32>);

impl Suggestions {
    fn new() -> Self {
        Self(Cell::new(100))
    }

    /// The candidate that `found` was probably meant to be.
    pub(super) fn nearest<'c>(
        &self,
        found: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<&'c str> {
        let left = self.0.get().checked_sub(1)?;
        self.0.set(left);
        nearest(found, candidates)
    }
}

/// A node type that the workflow uses.
pub(super) struct NodeType {
    pub(super) registered: RegisteredNode,
    /// The declared input ports.
    pub(super) inputs: Arc<[PortName]>,
    /// The declared output ports.
    pub(super) outputs: Arc<[PortName]>,
    /// The instance that nodes without config share, once there is one.
    pub(super) plain_instance: Option<super::SharedInstance>,
}

impl NodeType {
    fn into_plan(self) -> PlanType {
        let Self { registered, inputs, outputs, .. } = self;
        let has_required = registered.descriptor.inputs.iter().any(|port| port.required);
        PlanType { registered, inputs, outputs, has_required, config: ConfigCell::default() }
    }
}

impl<'a> Compiler<'a> {
    fn new(workflow: &'a Workflow, registry: &'a NodeRegistry) -> Self {
        let mut ids = HashMap::with_capacity(workflow.nodes.len());
        for (index, node) in workflow.nodes.iter().enumerate() {
            let index = NodeIndex::try_from(index).expect("a file has fewer than 2^32 nodes");
            ids.entry(node.id.as_str()).or_insert(index);
        }
        Self {
            workflow,
            registry,
            diagnostics: Diagnostics::new(),
            ids,
            types: Vec::new(),
            node_types: Vec::with_capacity(workflow.nodes.len()),
            suggestions: Suggestions::new(),
        }
    }

    fn find_types(&mut self) {
        let mut known: HashMap<&str, Option<u32>> = HashMap::new();
        for (index, node) in self.workflow.nodes.iter().enumerate() {
            let found = *known.entry(&node.node_type).or_insert_with(|| {
                let registered = self.registry.get(&node.node_type)?.clone();
                let names = |ports: &[crate::node::Port]| {
                    ports.iter().map(|port| PortName::from(port.name.clone())).collect()
                };
                let next = u32::try_from(self.types.len()).expect("fewer types than nodes");
                self.types.push(NodeType {
                    inputs: names(&registered.descriptor.inputs),
                    outputs: names(&registered.descriptor.outputs),
                    plain_instance: None,
                    registered,
                });
                Some(next)
            });
            // A node that could not be read has no type; that was reported.
            if found.is_none() && !node.node_type.is_empty() {
                let known = self.registry.iter().map(|node| &*node.descriptor.node_type);
                let message = format!("there is no node type `{}`", node.node_type);
                let pointer = format!("/nodes/{index}/node_type");
                let mut problem = Diagnostic::error("node.unknown_type", pointer, message)
                    .hint(unknown_type_hint(&node.node_type));
                problem.suggestion =
                    self.suggestions.nearest(&node.node_type, known).map(str::to_owned);
                self.diagnostics.push(problem);
            }
            self.node_types.push(found);
        }
    }

    pub(super) fn type_of(&self, node: NodeIndex) -> Option<&NodeType> {
        self.node_types[node as usize].map(|index| &self.types[index as usize])
    }

    fn build(&mut self) -> Option<Plan> {
        let mut connections = Connections::read(self);
        let mut nodes = Vec::with_capacity(self.workflow.nodes.len());
        for index in 0..self.workflow.nodes.len() {
            let index = NodeIndex::try_from(index).expect("checked above");
            nodes.push(bind_node(self, &mut connections, index));
        }
        let (outputs, mut results) = compile_outputs(self, &mut connections);
        connections.check_cycles(self);
        let (edges, read) = connections.finish();
        check_joins(self, &edges);
        if self.diagnostics.has_errors() {
            return None;
        }
        let mut graph = Graph::new(nodes.into_iter().collect::<Option<Vec<_>>>()?, &edges);
        if outputs.is_none() {
            let sinks = 0..NodeIndex::try_from(graph.len()).expect("checked above");
            results = sinks.filter(|&index| graph.outgoing(index).is_empty()).collect();
        }
        graph.mark_read(read);
        graph.keep(&results);
        let has_instances = graph.nodes().iter().any(|node| node.instance.is_none());
        let workflow_id = self.workflow.id.clone();
        Some(Plan {
            workflow: self.workflow.clone(),
            workflow_id: workflow_id
                .unwrap_or_else(|| WorkflowId::new("workflow").expect("a good id")),
            graph,
            types: self.types.drain(..).map(NodeType::into_plan).collect(),
            outputs,
            results,
            // Validation asks for at least one: with none nothing would ever end.
            max_parallel_nodes: self.workflow.settings.max_parallel_nodes.unwrap_or(u32::MAX),
            has_instances,
        })
    }

    /// What expressions of the workflow may name.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            ids: &self.ids,
            types: &self.types,
            node_types: &self.node_types,
            inputs: self.workflow.inputs.as_ref(),
            suggestions: &self.suggestions,
        }
    }
}

fn unknown_type_hint(node_type: &str) -> &'static str {
    let planned = ["control.", "wait.", "workflow."];
    if planned.iter().any(|prefix| node_type.starts_with(prefix)) {
        "control nodes are planned and not part of this version"
    } else {
        "`flowcli nodes` lists the node types"
    }
}
