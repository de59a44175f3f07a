//! Joins that can never run.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::Compiler;
use super::graph::{Edge, NodeIndex, OutPort};
use crate::workflow::{Diagnostic, Join};

/// What must have happened for something to run: these nodes failed, or these succeeded.
type Conditions = BTreeSet<(NodeIndex, bool)>;

/// Warns of nodes that wait for both outcomes of another node.
///
/// A node either fails, and its port `error` is live, or it succeeds, and the others are. A node
/// with `join: all` that needs both never runs.
pub(super) fn check_joins(compiler: &mut Compiler<'_>, edges: &[Edge]) {
    let choosers: BTreeSet<NodeIndex> = edges
        .iter()
        .filter(|edge| edge.from_port == OutPort::Error)
        .map(|edge| edge.from)
        .collect();
    if choosers.is_empty() || compiler.diagnostics.has_errors() {
        return;
    }
    let mut incoming: BTreeMap<NodeIndex, Vec<&Edge>> = BTreeMap::new();
    edges.iter().for_each(|edge| incoming.entry(edge.to).or_default().push(edge));
    let mut needed: BTreeMap<NodeIndex, Conditions> = BTreeMap::new();
    for node in topological_order(compiler.workflow.nodes.len(), edges) {
        let Some(sources) = incoming.get(&node) else { continue };
        let per_edge = sources.iter().map(|edge| {
            let mut conditions = needed.get(&edge.from).cloned().unwrap_or_default();
            if choosers.contains(&edge.from) {
                conditions.insert((edge.from, edge.from_port == OutPort::Error));
            }
            conditions
        });
        let conditions = match compiler.workflow.nodes[node as usize].join {
            Join::All => per_edge.fold(Conditions::new(), |all, more| &all | &more),
            Join::Any | Join::First => {
                per_edge.reduce(|common, more| &common & &more).unwrap_or_default()
            }
        };
        match conditions.iter().find(|(chooser, _)| {
            conditions.contains(&(*chooser, true)) && conditions.contains(&(*chooser, false))
        }) {
            Some(&(chooser, _)) => report(compiler, node, chooser),
            None => drop(needed.insert(node, conditions)),
        }
    }
}

fn report(compiler: &mut Compiler<'_>, node: NodeIndex, chooser: NodeIndex) {
    let workflow = compiler.workflow;
    let (id, other) = (&workflow.nodes[node as usize].id, &workflow.nodes[chooser as usize].id);
    compiler.diagnostics.push(
        Diagnostic::warning(
            "join.never_runs",
            format!("/nodes/{node}"),
            format!(
                "node `{id}` never runs: it waits for both success and failure of node `{other}`"
            ),
        )
        .hint("with `\"join\": \"any\"` it runs when one of its connections is live"),
    );
}

fn topological_order(nodes: usize, edges: &[Edge]) -> Vec<NodeIndex> {
    let pairs = edges.iter().map(|edge| (edge.from, edge.to));
    let mut graph = petgraph::graph::DiGraph::<(), (), NodeIndex>::from_edges(pairs);
    while graph.node_count() < nodes {
        graph.add_node(());
    }
    let order = petgraph::algo::toposort(&graph, None).unwrap_or_default();
    order.into_iter().filter_map(|node| NodeIndex::try_from(node.index()).ok()).collect()
}
