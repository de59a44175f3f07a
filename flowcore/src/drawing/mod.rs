//! Pictures of workflows.

mod dot;
mod layout;
mod mermaid;
mod svg;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{NodeIndex, Part, Plan, Value, Workflow};

/// What there is to draw of a workflow, its control nodes with what stands inside of them.
///
/// Connections that follow from expressions are dashed, those that leave the port `error` are red.
/// A picture says nothing but what stands in the workflow: ids, names, types and ports, escaped.
pub struct Drawing {
    /// What the whole is called.
    pub(crate) title: String,
    /// The workflow.
    pub(crate) whole: Group,
}

/// Nodes that stand together: a workflow, or a body of a control node.
pub(crate) struct Group {
    /// What it is to its control node, if that has several.
    pub(crate) label: Option<String>,
    /// The nodes, in file order.
    pub(crate) nodes: Vec<DrawnNode>,
    /// The lines between them, one for all connections of a kind between two nodes.
    pub(crate) edges: Vec<DrawnEdge>,
}

/// A node of a drawing.
pub(crate) struct DrawnNode {
    /// Its id.
    pub(crate) id: String,
    /// Its node type, and the workflow that it calls.
    pub(crate) node_type: String,
    /// Its name, if it has one.
    pub(crate) name: Option<String>,
    /// What stands inside of it.
    pub(crate) holds: Vec<Group>,
}

impl DrawnNode {
    /// The lines that describe it: what people call it first.
    pub(crate) fn lines(&self) -> [String; 2] {
        match &self.name {
            Some(name) => [name.clone(), format!("{} · {}", self.id, self.node_type)],
            None => [self.id.clone(), self.node_type.clone()],
        }
    }
}

/// A line of a drawing.
pub(crate) struct DrawnEdge {
    /// The node that it leaves.
    pub(crate) from: usize,
    /// The node that it enters.
    pub(crate) to: usize,
    /// The ports of each connection; none for order only.
    pub(crate) labels: Vec<String>,
    /// What it carries.
    pub(crate) kind: EdgeKind,
}

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EdgeKind {
    /// Values.
    Data,
    /// Order only.
    Order,
    /// What the source failed with.
    Error,
    /// An expression of the target reads the source.
    Implied,
}

impl Drawing {
    /// The most connections that Mermaid draws unless its settings say otherwise.
    pub const MOST_IN_MERMAID: usize = mermaid::MOST_EDGES;

    /// The drawing of a workflow.
    pub fn new(plan: &Plan) -> Self {
        let workflow = plan.workflow();
        let title = workflow.name.clone().unwrap_or_else(|| plan.workflow_id().to_string());
        Self { title, whole: Group::new(plan, workflow, 0, None) }
    }

    /// How many lines there are, those inside of nodes included.
    pub fn count_edges(&self) -> usize {
        self.whole.count_edges()
    }

    /// A flowchart for Markdown, which GitHub and GitLab draw.
    pub fn to_mermaid(&self) -> String {
        mermaid::write(self)
    }

    /// A graph for Graphviz.
    pub fn to_dot(&self) -> String {
        dot::write(self)
    }

    /// A picture for browsers: a document without scripts, that loads nothing.
    pub fn to_svg(&self) -> String {
        svg::write(self)
    }
}

impl Group {
    fn new(plan: &Plan, workflow: &Workflow, first: NodeIndex, label: Option<String>) -> Self {
        let nodes = (first..).zip(&workflow.nodes).map(|(index, node)| {
            let called = node.config.get("workflow").and_then(Value::as_str);
            let called = called.filter(|_| CALLERS.contains(&&*node.node_type));
            let holds = if called.is_some() { Vec::new() } else { plan.held(index) };
            let is_alone = holds.len() == 1;
            DrawnNode {
                id: node.id.to_string(),
                node_type: match called {
                    Some(called) => format!("{} · {called}", node.node_type),
                    None => node.node_type.to_string(),
                },
                name: node.name.as_deref().map(str::to_owned),
                holds: holds
                    .iter()
                    .map(|held| {
                        let is_clear = is_alone && held.part != Part::Undo;
                        let label = label_of(held.part).filter(|_| !is_clear);
                        Self::new(plan, held.workflow, held.first, label)
                    })
                    .collect(),
            }
        });
        let nodes = nodes.collect();
        Self { label, nodes, edges: edges(plan, workflow, first) }
    }

    fn count_edges(&self) -> usize {
        let inside = self.nodes.iter().flat_map(|node| &node.holds).map(Self::count_edges);
        self.edges.len() + inside.sum::<usize>()
    }
}

/// The node types that may name a workflow in their config.
const CALLERS: [&str; 2] = ["control.for_each", "workflow.call"];

fn label_of(part: Part) -> Option<String> {
    match part {
        Part::Branch(index) => Some(format!("branch {index}")),
        Part::Body => Some("body".to_owned()),
        Part::Catch => Some("catch".to_owned()),
        Part::Finally => Some("finally".to_owned()),
        Part::Undo => Some("undo".to_owned()),
        Part::Workflow | Part::Item(_) | Part::Iteration(_) => None,
    }
}

/// Written connections in the order of the file, several between two nodes as one line; then those
/// that follow from expressions.
fn edges(plan: &Plan, workflow: &Workflow, first: NodeIndex) -> Vec<DrawnEdge> {
    let indices: HashMap<&str, usize> =
        workflow.nodes.iter().enumerate().map(|(index, node)| (node.id.as_str(), index)).collect();
    let mut edges: Vec<DrawnEdge> = Vec::new();
    let mut known: BTreeMap<(usize, usize, EdgeKind), usize> = BTreeMap::new();
    let mut written = HashSet::new();
    for connection in &workflow.connections {
        let from = indices[connection.from_node.as_str()];
        let to = indices[connection.to_node.as_str()];
        let from_port = connection.from_port.as_deref();
        let kind = match from_port {
            None => EdgeKind::Order,
            Some("error") => EdgeKind::Error,
            Some(_) => EdgeKind::Data,
        };
        let label = from_port.map(|from| match connection.to_port.as_deref() {
            Some(to) => format!("{from} → {to}"),
            None => from.to_owned(),
        });
        written.insert((from, to));
        let index = *known.entry((from, to, kind)).or_insert_with(|| {
            edges.push(DrawnEdge { from, to, labels: Vec::new(), kind });
            edges.len() - 1
        });
        edges[index].labels.extend(label);
    }
    for (index, to) in (first..).zip(0..workflow.nodes.len()) {
        let sources = plan.graph().predecessors(index).map(|from| (from - first) as usize);
        let implied = sources.filter(|from| !written.contains(&(*from, to)));
        let kind = EdgeKind::Implied;
        edges.extend(implied.map(|from| DrawnEdge { from, to, labels: Vec::new(), kind }));
    }
    edges
}
