//! Connections: which are live, what they bring, and what becomes of the nodes that they enter.

use std::collections::VecDeque;

use super::scopes::Scope;
use super::state::NodeState;
use super::status::{Change, Status};
use crate::event::Instance;
use crate::node::NodeOutput;
use crate::plan::{Graph, InPort, NodeIndex, OutPort, Plan};
use crate::value::Value;
use crate::workflow::Join;

/// Where nodes wait for their turn.
pub(super) struct Queues<'a> {
    pub(super) ready: &'a mut VecDeque<Instance>,
    pub(super) dead: &'a mut VecDeque<Instance>,
}

pub(super) fn resolve_outgoing(
    plan: &Plan,
    scope: &mut Scope,
    queues: &mut Queues<'_>,
    node: NodeIndex,
    seq: u64,
) {
    let graph = plan.graph();
    // Most nodes have one port, so the answer for the last connection is the one for the next.
    let mut known = None;
    for &edge in graph.outgoing(node) {
        let port = edge.source_port();
        let live = match known {
            Some((known_port, live)) if known_port == port => live,
            _ => is_live(plan, node, scope.node(node), port),
        };
        known = Some((port, live));
        resolve(graph, scope, queues, edge.to, live, seq);
    }
}

/// Whether a connection that leaves this port is live, once the node has come to its end.
pub(super) fn is_live(plan: &Plan, node: NodeIndex, state: &NodeState, port: OutPort) -> bool {
    match port {
        OutPort::None => state.status == Status::Succeeded,
        OutPort::Error => state.handled,
        OutPort::Port(port) => {
            state.status == Status::Succeeded && value_on(plan, node, state, port).is_some()
        }
    }
}

/// The value that a node set on one of its output ports.
#[inline]
pub(super) fn value_on<'a>(
    plan: &Plan,
    node: NodeIndex,
    state: &'a NodeState,
    port: u16,
) -> Option<&'a Value> {
    let port = usize::from(port);
    if state.in_order {
        return state.outputs.at(port);
    }
    value_by_name(plan, node, state, port)
}

/// As [`value_on`], for a node that set its ports in another order. Apart, so that the other is small
/// enough to be inlined.
#[inline(never)]
fn value_by_name<'a>(
    plan: &Plan,
    node: NodeIndex,
    state: &'a NodeState,
    port: usize,
) -> Option<&'a Value> {
    let names = plan.output_names(plan.graph().node(node));
    state.outputs.get(names[port].as_str())
}

#[inline]
fn resolve(
    graph: &Graph,
    scope: &mut Scope,
    queues: &mut Queues<'_>,
    to: NodeIndex,
    live: bool,
    seq: u64,
) {
    let target = scope.node_mut(to);
    target.pending -= 1;
    target.dead += u32::from(!live);
    let is_first = target.join == Join::First;
    if target.pending > 0 && !(is_first && live) {
        return;
    }
    let runs = match target.join {
        Join::All => target.dead == 0,
        Join::Any => (target.dead as usize) < graph.incoming(to).len(),
        Join::First => live,
    };
    // With `first` it may run already.
    if target.status != Status::Pending {
        return;
    }
    if runs {
        target.status = Status::Pending.next(Change::Unblock).expect("it is in the table");
        target.ready_seq = seq;
    }
    // What ends starts and skips nothing more.
    if scope.ending.is_none() {
        let queue = if runs { &mut *queues.ready } else { &mut *queues.dead };
        queue.push_back(Instance { scope: scope.id, node: to });
        scope.queued += 1;
    }
}

/// What a node read is dropped after its last reader.
pub(super) fn release_incoming(plan: &Plan, scope: &mut Scope, node: NodeIndex) {
    for edge in plan.graph().incoming(node) {
        if edge.target_port() == InPort::None {
            continue;
        }
        let source = scope.node_mut(edge.from);
        source.readers -= 1;
        if source.readers == 0 && source.status.is_terminal() {
            source.outputs = NodeOutput::new();
        }
    }
}
