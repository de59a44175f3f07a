//! Pictures of workflows.

pub(crate) mod dot;
mod layout;
pub(crate) mod mermaid;
pub(crate) mod svg;

use std::collections::{BTreeMap, HashMap, HashSet};

use flowcore::{NodeIndex, Plan};

/// What there is to draw.
pub(crate) struct Drawing {
    /// What the whole is called.
    pub(crate) title: String,
    /// The nodes, in file order.
    pub(crate) nodes: Vec<DrawnNode>,
    /// The lines between them, one for all connections of a kind between two nodes.
    pub(crate) edges: Vec<DrawnEdge>,
}

/// A node of a drawing.
pub(crate) struct DrawnNode {
    /// Its id.
    pub(crate) id: String,
    /// Its node type.
    pub(crate) node_type: String,
    /// Its name, if it has one.
    pub(crate) name: Option<String>,
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
    /// The drawing of a workflow.
    pub(crate) fn new(plan: &Plan) -> Self {
        let workflow = plan.workflow();
        let title = workflow.name.clone().unwrap_or_else(|| plan.workflow_id().to_string());
        let nodes = workflow.nodes.iter().map(|node| DrawnNode {
            id: node.id.to_string(),
            node_type: node.node_type.to_string(),
            name: node.name.as_deref().map(str::to_owned),
        });
        Self { title, nodes: nodes.collect(), edges: edges(plan) }
    }
}

/// Written connections in the order of the file, several between two nodes as one line; then those
/// that follow from expressions.
fn edges(plan: &Plan) -> Vec<DrawnEdge> {
    let workflow = plan.workflow();
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
    edges.extend(implied_edges(plan, &written));
    edges
}

fn implied_edges<'a>(
    plan: &'a Plan,
    written: &'a HashSet<(usize, usize)>,
) -> impl Iterator<Item = DrawnEdge> + 'a {
    (0..plan.len()).flat_map(move |to| {
        let index = NodeIndex::try_from(to).expect("a plan's nodes have such indices");
        let sources = plan.graph().predecessors(index).map(|from| from as usize);
        let kind = EdgeKind::Implied;
        sources.filter(move |from| !written.contains(&(*from, to))).map(move |from| DrawnEdge {
            from,
            to,
            labels: Vec::new(),
            kind,
        })
    })
}
