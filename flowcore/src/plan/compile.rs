//! From a workflow to a plan, finding every problem on the way.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::around::Around;
use super::bindings::bind_node;
use super::bodies::{Body, BodyIndex, WorkflowSource};
use super::concurrency::{Concurrency, compile_concurrency};
use super::conditions::compile_condition;
use super::connections::Connections;
use super::expressions::{Names, Place, compile_outputs};
use super::graph::{Edge, Graph, NodeIndex, PlanNode};
use super::joins::check_joins;
use super::recursion::check_recursion;
use super::{Plan, PlanType, SharedPlan, rates};
use crate::expression::Condition;
use crate::id::WorkflowId;
use crate::node::{ConfigCell, NodeRegistry, PortName, RegisteredNode, Secrets};
use crate::value::Value;
use crate::workflow::{
    Diagnostic, Diagnostics, Durability, Limits, OnError, Workflow, check_definition, nearest,
};

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
    compile_with(workflow, registry, limits, None)
}

/// As [`compile_within`], with the workflows that this one may call.
pub fn compile_with(
    workflow: &Workflow,
    registry: &NodeRegistry,
    limits: &Limits,
    source: Option<&dyn WorkflowSource>,
) -> Compiled {
    compile_in(workflow, &Context { registry, limits, source, secrets: None })
}

/// As [`compile_with`], for where there are other things, too.
pub(crate) fn compile_in(workflow: &Workflow, context: &Context<'_>) -> Compiled {
    let id = workflow.id.clone();
    let id = id.unwrap_or_else(|| WorkflowId::new("workflow").expect("a good id"));
    let mut common = Common::default();
    let body = common.reserve(workflow);
    let outputs = workflow.outputs.clone().map(Value::Object);
    let scope = Scope {
        body,
        workflow,
        outputs: outputs.as_ref(),
        on_error: workflow.settings.on_error,
        id,
        around: None,
        rates: rates::Around::of(workflow),
        key: None,
    };
    let (common, _) = compile_body(context, scope, common);
    let Common { mut diagnostics, types, bodies, nodes, edges, read, when, concurrency, .. } =
        common;
    if diagnostics.has_errors() {
        return Compiled { plan: None, diagnostics };
    }
    let nodes = nodes.into_iter().collect::<Option<Vec<_>>>();
    let plan = nodes.and_then(|nodes| {
        let mut graph = Graph::new(nodes, &edges);
        check_recursion(&graph, &bodies, &mut diagnostics);
        if diagnostics.has_errors() {
            return None;
        }
        graph.mark_read(read);
        bodies.iter().for_each(|body| graph.keep(&body.results));
        let has_rate_limits = graph.nodes().iter().any(|node| !node.rate_limits().is_empty());
        let has_instances = graph.nodes().iter().any(PlanNode::has_own_instance);
        Some(Arc::new(Plan {
            graph,
            bodies,
            types: types.into_iter().map(NodeType::into_plan).collect(),
            // Validation asks for at least one: with none nothing would ever end.
            max_parallel_nodes: workflow.settings.max_parallel_nodes.unwrap_or(u32::MAX),
            is_async: workflow.settings.durability == Some(Durability::Async),
            has_instances,
            has_rate_limits,
            when,
            concurrency,
        }))
    });
    Compiled { plan, diagnostics }
}

/// What is the same for all that is compiled together.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) registry: &'a NodeRegistry,
    pub(crate) limits: &'a Limits,
    pub(crate) source: Option<&'a dyn WorkflowSource>,
    /// The secrets that there are, if that is known: one that is none of them is warned of.
    pub(crate) secrets: Option<&'a Secrets>,
}

/// What is compiled at once: a workflow, or the body of a control node.
pub(super) struct Scope<'a> {
    pub(super) body: BodyIndex,
    pub(super) workflow: &'a Workflow,
    pub(super) outputs: Option<&'a Value>,
    /// What follows a failure, unless the node says otherwise.
    pub(super) on_error: OnError,
    /// The id of the workflow that it belongs to.
    pub(super) id: WorkflowId,
    /// What is around a body; `None` for a workflow.
    pub(super) around: Option<&'a Around<'a>>,
    /// How often its nodes start.
    pub(super) rates: rates::Around,
    /// Under which key the workflow was found; `None` for the one that is compiled.
    pub(super) key: Option<&'a str>,
}

impl Scope<'_> {
    /// Whether it is the body that undoes a node.
    pub(super) fn is_undo(&self) -> bool {
        self.around.is_some_and(|around| around.undone().is_some())
    }
}

/// What all bodies of a plan share while they are compiled, one inside of another.
#[derive(Default)]
pub(super) struct Common {
    pub(super) diagnostics: Diagnostics,
    pub(super) types: Vec<NodeType>,
    /// Node types by name; `None` when unknown.
    known: HashMap<Arc<str>, Option<u32>>,
    pub(super) suggestions: Suggestions,
    pub(super) bodies: Vec<Body>,
    /// The workflows that are called, by key.
    pub(super) called: HashMap<String, BodyIndex>,
    /// The nodes of all bodies, those of one together; `None` where one could not be compiled.
    nodes: Vec<Option<PlanNode>>,
    edges: Vec<Edge>,
    read: Vec<NodeIndex>,
    /// The `when` of the workflow that is compiled.
    when: Option<Condition>,
    /// How many executions of the workflow itself run at the same time.
    concurrency: Option<Concurrency>,
}

impl Common {
    /// Makes room for a body, so that those inside of it come after it.
    pub(super) fn reserve(&mut self, workflow: &Workflow) -> BodyIndex {
        let index = BodyIndex::try_from(self.bodies.len()).expect("fewer bodies than nodes");
        let first = NodeIndex::try_from(self.nodes.len()).expect("fewer than 2^32 nodes");
        self.nodes.extend(workflow.nodes.iter().map(|_| None));
        let id = WorkflowId::new("body").expect("a good id");
        let count = u32::try_from(workflow.nodes.len()).expect("fewer than 2^32 nodes");
        self.bodies.push(Body::of_workflow(workflow.clone(), id, first, count));
        index
    }

    fn first(&self, body: BodyIndex) -> NodeIndex {
        self.bodies[body as usize].first
    }
}

/// Compiles one body and those inside of it; gives what it reads around itself.
/// Of one that is too large nothing else is looked at.
pub(super) fn compile_body(
    context: &Context<'_>,
    scope: Scope<'_>,
    mut common: Common,
) -> (Common, Vec<OuterRead>) {
    if !check_definition(scope.workflow, context.limits, &mut common.diagnostics) {
        return (common, Vec::new());
    }
    let mut compiler = Compiler::new(context, scope, common);
    compiler.find_types();
    compiler.check_ids();
    compiler.build();
    (compiler.common, compiler.outer_reads)
}

/// A node that a body reads and that stands around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OuterRead {
    /// How many bodies further out; at least 1.
    pub(super) levels: usize,
    /// The node's index there.
    pub(super) node: NodeIndex,
}

/// What compiling one body needs to remember. Indices of nodes count from its first node.
pub(super) struct Compiler<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) scope: Scope<'a>,
    pub(super) workflow: &'a Workflow,
    pub(super) common: Common,
    /// Nodes by id; of a duplicate the first.
    pub(super) ids: HashMap<&'a str, NodeIndex>,
    /// Each node's type, by index into the types; `None` when it is unknown.
    pub(super) node_types: Vec<Option<u32>>,
    /// The index of its first node in the plan.
    pub(super) first: NodeIndex,
    pub(super) outer_reads: Vec<OuterRead>,
}

/// How many more names may be compared with all others to say what was probably meant. Each takes
/// milliseconds in a large workflow; after this many wrong names another suggestion helps nobody.
pub(super) struct Suggestions(Cell<u32>);

impl Default for Suggestions {
    fn default() -> Self {
        Self(Cell::new(100))
    }
}

impl Suggestions {
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
    fn new(registered: RegisteredNode) -> Self {
        let names = |ports: &[crate::node::Port]| {
            ports.iter().map(|port| PortName::from(port.name.clone())).collect()
        };
        Self {
            inputs: names(&registered.descriptor.inputs),
            outputs: names(&registered.descriptor.outputs),
            plain_instance: None,
            registered,
        }
    }

    fn into_plan(self) -> PlanType {
        let Self { registered, inputs, outputs, .. } = self;
        let has_required = registered.descriptor.inputs.iter().any(|port| port.required);
        PlanType { registered, inputs, outputs, has_required, config: ConfigCell::default() }
    }
}

impl<'a> Compiler<'a> {
    fn new(context: &'a Context<'a>, scope: Scope<'a>, common: Common) -> Self {
        let workflow = scope.workflow;
        let mut ids = HashMap::with_capacity(workflow.nodes.len());
        // What undoes a node has no name.
        let named = if scope.is_undo() { &[][..] } else { &workflow.nodes[..] };
        for (index, node) in (0..).zip(named) {
            ids.entry(node.id.as_str()).or_insert(index);
        }
        Self {
            context,
            first: common.first(scope.body),
            workflow,
            ids,
            node_types: Vec::with_capacity(workflow.nodes.len()),
            outer_reads: Vec::new(),
            scope,
            common,
        }
    }

    fn find_types(&mut self) {
        for (index, node) in self.workflow.nodes.iter().enumerate() {
            let found = self.find_type(&node.node_type);
            // A node that could not be read has no type; that was reported.
            if found.is_none() && !node.node_type.is_empty() {
                let known = self.context.registry.iter().map(|node| &*node.descriptor.node_type);
                let message = format!("there is no node type `{}`", node.node_type);
                let pointer = format!("/nodes/{index}/node_type");
                let mut problem = Diagnostic::error("node.unknown_type", pointer, message)
                    .hint("`flowcli nodes` lists the node types");
                problem.suggestion =
                    self.common.suggestions.nearest(&node.node_type, known).map(str::to_owned);
                self.common.diagnostics.push(problem);
            }
            self.node_types.push(found);
        }
    }

    pub(super) fn find_type(&mut self, name: &Arc<str>) -> Option<u32> {
        if let Some(found) = self.common.known.get(name) {
            return *found;
        }
        let found = self.context.registry.get(name).map(|registered| {
            let next = u32::try_from(self.common.types.len()).expect("fewer types than nodes");
            self.common.types.push(NodeType::new(registered.clone()));
            next
        });
        self.common.known.insert(name.clone(), found);
        found
    }

    /// Ids are unique along a nesting chain, so that an expression can name each.
    fn check_ids(&mut self) {
        let Some(around) = self.scope.around.filter(|_| !self.scope.is_undo()) else { return };
        for (index, node) in self.workflow.nodes.iter().enumerate() {
            if around.knows(node.id.as_str()) {
                let message = format!("a node around the body has the id `{}` already", node.id);
                let pointer = format!("/nodes/{index}/id");
                self.common.diagnostics.push(Diagnostic::error(
                    "node.duplicate_id",
                    pointer,
                    message,
                ));
            }
        }
    }

    /// The indices of its nodes in the plan.
    pub(super) fn own_nodes(&self) -> std::ops::Range<NodeIndex> {
        let body = &self.common.bodies[self.scope.body as usize];
        body.nodes()
    }

    pub(super) fn type_of(&self, node: NodeIndex) -> Option<&NodeType> {
        self.node_types[node as usize].map(|index| &self.common.types[index as usize])
    }

    fn build(&mut self) {
        let mut connections = Connections::read(self);
        for index in 0..self.workflow.nodes.len() {
            let index = NodeIndex::try_from(index).expect("checked before");
            let node = bind_node(self, &mut connections, index);
            self.common.nodes[(self.first + index) as usize] = node;
        }
        self.bind_when(&mut connections);
        let (outputs, mut results) = compile_outputs(self, &mut connections);
        let concurrency = compile_concurrency(self, &mut connections);
        if self.scope.around.is_none() {
            self.scope.rates.check(self.context, &mut self.common);
        }
        if self.scope.body == 0 {
            self.common.concurrency = concurrency;
        }
        connections.check_cycles(self);
        let (edges, read) = connections.finish();
        check_joins(self, &edges);
        if outputs.is_none() {
            let mut is_sink = vec![true; self.workflow.nodes.len()];
            edges.iter().for_each(|edge| is_sink[edge.from as usize] = false);
            results = (0..).zip(is_sink).filter(|(_, is_sink)| *is_sink).map(|(n, _)| n).collect();
        }
        let first = self.first;
        let in_plan = |node: NodeIndex| first + node;
        let edges = edges.into_iter().map(|edge| Edge {
            from: in_plan(edge.from),
            to: in_plan(edge.to),
            ..edge
        });
        self.common.edges.extend(edges);
        self.common.read.extend(read.into_iter().map(in_plan));
        let body = &mut self.common.bodies[self.scope.body as usize];
        body.outputs = outputs;
        body.results = results.into_iter().map(in_plan).collect();
        body.workflow_id = self.scope.id.clone();
    }

    /// The `when` of a workflow; whoever calls one does not ask it.
    fn bind_when(&mut self, connections: &mut Connections) {
        let Some(when) = self.workflow.when.as_ref().filter(|_| self.scope.around.is_none()) else {
            return;
        };
        let condition = compile_condition(self, connections, when, "/when", &Place::Workflow);
        if self.scope.key.is_none() {
            self.common.when = condition;
        }
    }

    /// What expressions of the workflow may name.
    pub(super) fn names(&self) -> Names<'_> {
        let (around, workflow) = (self.scope.around, self.workflow);
        Names {
            ids: &self.ids,
            types: &self.common.types,
            node_types: &self.node_types,
            first: self.first,
            inputs: around.map_or(workflow.inputs.as_ref(), Around::inputs),
            suggestions: &self.common.suggestions,
            around,
        }
    }
}
