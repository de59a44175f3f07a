//! Calls that can never come to an end.

use std::collections::HashSet;

use super::bodies::{Body, BodyIndex, ControlPlan};
use super::graph::{Graph, NodeIndex, OutPort, PlanNode};
use crate::workflow::{Diagnostic, Diagnostics, Join, OnError};

/// Reports the nodes of the workflow itself from which calls go round in a circle without a node on
/// the way that might not run. Where something may be skipped, it is the depth of calls that bounds
/// them when they run.
pub(super) fn check_recursion(graph: &Graph, bodies: &[Body], diagnostics: &mut Diagnostics) {
    let calls = |node: &PlanNode| matches!(node.control(), Some(ControlPlan::Call(_)));
    let stops = |node: &PlanNode| matches!(node.control(), Some(ControlPlan::Stop));
    // A `control.stop` may end everything from elsewhere.
    if !graph.nodes().iter().any(calls) || graph.nodes().iter().any(stops) {
        return;
    }
    let mut search = Search { graph, bodies, found: vec![State::Unknown; bodies.len()] };
    for node in bodies[0].nodes() {
        if search.node_never_ends(node) {
            let id = graph.node(node).id();
            let message = format!("what node `{id}` calls calls itself again and again");
            let pointer = format!("/nodes/{node}/config");
            diagnostics.push(
                Diagnostic::error("call.never_ends", pointer, message)
                    .hint("let a `when`, or a branch of a `control.if`, end the calls"),
            );
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    /// It is on the way from the workflow to here.
    Open,
    Ends,
    NeverEnds,
}

struct Search<'a> {
    graph: &'a Graph,
    bodies: &'a [Body],
    found: Vec<State>,
}

impl Search<'_> {
    fn never_ends(&mut self, body: BodyIndex) -> bool {
        let at = body as usize;
        match self.found[at] {
            State::Open | State::NeverEnds => true,
            State::Ends => false,
            State::Unknown => {
                self.found[at] = State::Open;
                let nodes = self.bodies[at].nodes();
                let is_control = |node: NodeIndex| self.graph.node(node).control().is_some();
                let controls: Vec<NodeIndex> = nodes.filter(|node| is_control(*node)).collect();
                let found = controls
                    .into_iter()
                    .any(|node| self.always_runs(node) && self.node_never_ends(node));
                self.found[at] = if found { State::NeverEnds } else { State::Ends };
                found
            }
        }
    }

    /// Whether a node never ends once it runs.
    fn node_never_ends(&mut self, node: NodeIndex) -> bool {
        match self.graph.node(node).control() {
            Some(ControlPlan::Call(body) | ControlPlan::Try { body, catch: None, .. }) => {
                self.never_ends(*body)
            }
            // Without `while` there is a first iteration.
            Some(ControlPlan::Loop { body, before: None, .. }) => self.never_ends(*body),
            Some(
                ControlPlan::If(_)
                | ControlPlan::Switch(_)
                | ControlPlan::ForEach(_)
                | ControlPlan::Loop { .. }
                | ControlPlan::Race(_)
                | ControlPlan::Try { .. }
                | ControlPlan::Stop
                | ControlPlan::Wait { .. },
            )
            | None => false,
        }
    }

    /// Whether a node runs whenever its body does, unless something fails, and its own failure is one
    /// of the body.
    fn always_runs(&self, node: NodeIndex) -> bool {
        let own = self.graph.node(node);
        if own.handles_error() || own.on_error == OnError::ContinueOnError {
            return false;
        }
        let mut seen = HashSet::from([node]);
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let plan_node = self.graph.node(node);
            if plan_node.when().is_some() || plan_node.join != Join::All {
                return false;
            }
            for edge in self.graph.incoming(node) {
                // A value on a port may be missing.
                if edge.source_port() != OutPort::None {
                    return false;
                }
                if seen.insert(edge.from) {
                    open.push(edge.from);
                }
            }
        }
        true
    }
}
