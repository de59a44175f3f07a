//! The part of a workflow that one node needs.

use std::collections::HashSet;

use flowcore::{NodeIndex, Plan, Workflow, nearest};

use crate::error::CliError;

/// The workflow with this node and the nodes that it needs, by connections and expressions, and
/// nothing else. As only this node is left that nothing depends on, it gives the node's outputs.
pub(crate) fn reduce(workflow: &Workflow, plan: &Plan, id: &str) -> Result<Workflow, CliError> {
    let ids = || workflow.nodes.iter().map(|node| node.id.as_str());
    let position = ids().position(|other| other == id).ok_or_else(|| CliError::UnknownNode {
        name: id.to_owned(),
        suggestion: nearest(id, ids()).map(str::to_owned),
    })?;
    let mut is_needed = vec![false; workflow.nodes.len()];
    is_needed[position] = true;
    let mut found = vec![position];
    while let Some(node) = found.pop() {
        let index = NodeIndex::try_from(node).expect("a plan's nodes have such indices");
        for before in plan.graph().predecessors(index) {
            let before = before as usize;
            if !std::mem::replace(&mut is_needed[before], true) {
                found.push(before);
            }
        }
    }
    let mut reduced = workflow.clone();
    reduced.outputs = None;
    let mut needed = is_needed.iter();
    reduced.nodes.retain(|_| needed.next().is_some_and(|needed| *needed));
    let kept: HashSet<String> = reduced.nodes.iter().map(|node| node.id.to_string()).collect();
    let is_kept = |id: &str| kept.contains(id);
    reduced.connections.retain(|connection| {
        is_kept(connection.from_node.as_str()) && is_kept(connection.to_node.as_str())
    });
    Ok(reduced)
}
