//! What stands inside of control nodes, for those who show it.

use super::{BodyIndex, ControlPlan, NodeIndex, Plan};
use crate::event::Part;
use crate::workflow::Workflow;

/// A body of a control node, or the undo of a node.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// What its scopes are to the control node; of items and iterations, the first.
    pub part: Part,
    /// Its nodes and connections.
    pub workflow: &'a Workflow,
    /// The index of its first node in the plan; the others follow.
    pub first: NodeIndex,
}

impl Plan {
    /// The bodies that stand inside of a control node, in the order in which they are opened, and the
    /// undo of a node; not the workflow that a node calls, which is compiled once for all who call it.
    pub fn held(&self, node: NodeIndex) -> Vec<Held<'_>> {
        let held = |part, body: BodyIndex| {
            let body = self.body(body);
            Held { part, workflow: &body.workflow, first: body.first }
        };
        let undo = self.graph.node(node).undo().map(|body| held(Part::Undo, body));
        let mut all = match self.graph.node(node).control() {
            Some(ControlPlan::ForEach(body)) => vec![held(Part::Item(0), *body)],
            Some(ControlPlan::Loop { body, .. }) => vec![held(Part::Iteration(0), *body)],
            Some(ControlPlan::Race(branches)) => (0..)
                .zip(&**branches)
                .map(|(index, body)| held(Part::Branch(index), *body))
                .collect(),
            Some(ControlPlan::Try { body, catch, finally }) => {
                let parts =
                    [(Part::Body, Some(*body)), (Part::Catch, *catch), (Part::Finally, *finally)];
                parts.into_iter().filter_map(|(part, body)| Some(held(part, body?))).collect()
            }
            Some(
                ControlPlan::If(_)
                | ControlPlan::Switch(_)
                | ControlPlan::Call(_)
                | ControlPlan::Stop
                | ControlPlan::Wait { .. },
            )
            | None => Vec::new(),
        };
        all.extend(undo);
        all
    }

    /// Whether a node stands in the undo of another one.
    pub fn undoes(&self, node: NodeIndex) -> bool {
        self.graph.node(node).undoes()
    }
}
