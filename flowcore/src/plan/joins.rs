//! Joins that can never run.

use std::collections::BTreeMap;

use super::compile::Compiler;
use super::graph::{Edge, NodeIndex, OutPort};
use crate::workflow::{Diagnostic, Join};

/// The most bits that the search may take: 128 MiB. It only warns, so what is larger goes without.
const MAX_BITS: usize = 1 << 30;

/// What must have happened for something to run: two bits for each node whose failure is handled,
/// one if it succeeded and one if it failed.
type Conditions = Box<[u64]>;

/// Warns of nodes that wait for both outcomes of another node.
///
/// A node either fails, and its port `error` is live, or it succeeds, and the others are. A node
/// with `join: all` that needs both never runs.
pub(super) fn check_joins(compiler: &mut Compiler<'_>, edges: &[Edge]) {
    let mut choosers: BTreeMap<NodeIndex, usize> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| edge.from_port == OutPort::Error) {
        let next = choosers.len();
        choosers.entry(edge.from).or_insert(next);
    }
    let nodes = compiler.workflow.nodes.len();
    let words = (choosers.len() * 2).div_ceil(64);
    if words == 0 || nodes * words * 64 > MAX_BITS || compiler.common.diagnostics.has_errors() {
        return;
    }
    let mut incoming: Vec<Vec<&Edge>> = vec![Vec::new(); nodes];
    edges.iter().for_each(|edge| incoming[edge.to as usize].push(edge));
    // A node without connections, and one that never runs, asks for nothing.
    let nothing: Conditions = vec![0; words].into();
    let mut needed: Vec<Option<Conditions>> = vec![None; nodes];
    for node in topological_order(nodes, edges) {
        let is_all = compiler.workflow.nodes[node as usize].join == Join::All;
        let mut needs: Option<Conditions> = None;
        for edge in &incoming[node as usize] {
            let mut more = needed[edge.from as usize].as_ref().unwrap_or(&nothing).clone();
            if let Some(chooser) = choosers.get(&edge.from) {
                let bit = chooser * 2 + usize::from(edge.from_port == OutPort::Error);
                more[bit / 64] |= 1 << (bit % 64);
            }
            match &mut needs {
                None => needs = Some(more),
                Some(needs) if is_all => needs.iter_mut().zip(more).for_each(|(a, b)| *a |= b),
                Some(needs) => needs.iter_mut().zip(more).for_each(|(a, b)| *a &= b),
            }
        }
        match needs.as_deref().and_then(contradiction) {
            Some(found) => {
                let chooser = choosers.iter().find(|(_, position)| **position == found);
                report(compiler, node, *chooser.expect("its bits are set").0);
            }
            None => needed[node as usize] = needs,
        }
    }
}

/// The first node of which both success and failure are asked for.
fn contradiction(needs: &[u64]) -> Option<usize> {
    /// The bits for success.
    const SUCCESS: u64 = u64::MAX / 3;
    needs.iter().enumerate().find_map(|(word, bits)| {
        let both = bits & (bits >> 1) & SUCCESS;
        (both != 0).then(|| word * 32 + both.trailing_zeros() as usize / 2)
    })
}

fn report(compiler: &mut Compiler<'_>, node: NodeIndex, chooser: NodeIndex) {
    let workflow = compiler.workflow;
    let (id, other) = (&workflow.nodes[node as usize].id, &workflow.nodes[chooser as usize].id);
    compiler.common.diagnostics.push(
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
