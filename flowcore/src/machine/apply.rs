//! Folding events into state: decides nothing, evaluates nothing.

use super::state::{End, Ending, Machine, NodeState, Scope};
use super::status::{Change, ExecutionStatus, Status};
use crate::event::{AfterFailure, Event, Instance, Record, ScopeId};
use crate::node::{NodeError, NodeOutput};
use crate::plan::{Graph, InPort, NodeIndex, OutPort, Plan, PlanNode};
use crate::time::Timestamp;
use crate::value::{Object, Value};
use crate::workflow::Join;

/// An event that cannot follow the ones before it: a bug in Flow, or events of another execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Impossible {
    /// The number is not the next one.
    #[error("event {found} follows event {last}")]
    Sequence {
        /// The last number.
        last: u64,
        /// The number of the event.
        found: u64,
    },
    /// The event is about a scope or node that does not exist.
    #[error("event {seq} is about a node that does not exist")]
    NoSuchInstance {
        /// The number of the event.
        seq: u64,
    },
    /// A node cannot do this in its state.
    #[error("node `{node}` cannot {change:?} when it is {status:?}")]
    Transition {
        /// The node.
        node: String,
        /// Its state.
        status: Status,
        /// What was to happen.
        change: Change,
    },
    /// The execution cannot start twice, nor go on after its end.
    #[error("event {seq} comes before the start or after the end")]
    OutOfBounds {
        /// The number of the event.
        seq: u64,
    },
}

impl Machine {
    /// Folds an event into the state.
    ///
    /// # Errors
    /// [`Impossible`] when the event cannot follow the ones before it; the machine is then useless.
    pub fn apply(&mut self, record: Record) -> Result<(), Impossible> {
        let Record { seq, at, event } = record;
        self.fold(seq, at, event)
    }

    /// As [`Machine::apply`]. Inlined, so that where the kind of the event is known nothing else is
    /// left of it, and the event is never built in memory.
    #[inline(always)]
    pub(super) fn fold(&mut self, seq: u64, at: Timestamp, event: Event) -> Result<(), Impossible> {
        if seq != self.seq + 1 {
            return Err(Impossible::Sequence { last: self.seq, found: seq });
        }
        let is_first = matches!(event, Event::WorkflowStarted { .. });
        if is_first != (self.seq == 0) || self.end.is_some() {
            return Err(Impossible::OutOfBounds { seq });
        }
        if event.instance().is_some_and(|instance| self.find(instance).is_none()) {
            return Err(Impossible::NoSuchInstance { seq });
        }
        self.seq = seq;
        match event {
            Event::WorkflowStarted { inputs } => {
                self.started_at = at;
                self.inputs = inputs;
                self.open_scope(ScopeId(0));
                Ok(())
            }
            Event::NodeStarted { instance, attempt } => self.node_started(instance, attempt, at),
            Event::NodeCompleted { instance, attempt, outputs, state_writes, started_at } => {
                self.begin(instance, attempt, started_at);
                if !state_writes.is_empty() {
                    self.commit(&state_writes);
                }
                self.finish(instance.node, Change::Succeed, outputs, at)
            }
            Event::NodeFailed { instance, attempt, error, then, started_at, .. } => {
                self.begin(instance, attempt, started_at);
                self.node_failed(instance, error, then, at)
            }
            Event::WaitEnded { instance } => {
                self.change(instance.node, Change::Due)?;
                self.scope.ready.push_back(instance.node);
                Ok(())
            }
            Event::NodeSkipped { instance, .. } => {
                self.finish(instance.node, Change::Skip, NodeOutput::new(), at)
            }
            Event::NodeCancelled { instance, reason } => {
                self.scope.nodes[instance.node as usize].cancel = Some(reason);
                self.finish(instance.node, Change::Cancel, NodeOutput::new(), at)
            }
            Event::CancelRequested { instance, reason, .. } => {
                match instance {
                    Some(instance) => {
                        self.scope.nodes[instance.node as usize].cancel = Some(reason);
                    }
                    None => self.scope.ending = Some(Ending::Cancelled(reason)),
                }
                Ok(())
            }
            Event::RoundStarted { round, scope } => {
                self.round = round;
                self.open_scope(scope);
                Ok(())
            }
            Event::WorkflowCompleted { status, outputs, error, warnings } => {
                if status != ExecutionStatus::Succeeded {
                    self.release_unread();
                }
                self.end = Some(End { status, outputs, error, warnings, at });
                Ok(())
            }
        }
    }

    /// What waited for readers that never ran is let go; when all went well, there is nothing left.
    fn release_unread(&mut self) {
        let results = &self.plan.results;
        for (index, state) in (0..).zip(&mut self.scope.nodes) {
            if !self.options.keep_outputs && results.binary_search(&index).is_err() {
                state.outputs = NodeOutput::new();
            }
        }
    }

    fn open_scope(&mut self, id: ScopeId) {
        let graph = self.plan.graph();
        let keep = u32::from(self.options.keep_outputs);
        let mut scope = Scope { id: Some(id), ..Scope::default() };
        scope.nodes.reserve_exact(graph.len());
        for ((index, node), readers) in (0..).zip(graph.nodes()).zip(graph.readers()) {
            let pending = u32::try_from(graph.incoming(index).len()).unwrap_or(u32::MAX);
            let status = if pending == 0 { Status::Ready } else { Status::Pending };
            if pending == 0 {
                scope.ready.push_back(index);
            }
            scope.nodes.push(NodeState {
                status,
                join: node.join,
                cancel: None,
                handled: false,
                attempt: 0,
                pending,
                dead: 0,
                readers: readers + keep,
                ready_seq: self.seq,
                end_seq: 0,
                started_at: Timestamp::default(),
                ended_at: Timestamp::default(),
                outputs: NodeOutput::new(),
                in_order: false,
                error: None,
            });
        }
        self.scope = scope;
    }

    /// Moves a node along the transition table, and keeps the counts and the queues.
    #[inline]
    fn change(&mut self, node: NodeIndex, change: Change) -> Result<Status, Impossible> {
        let state = &mut self.scope.nodes[node as usize];
        let before = state.status;
        let Some(after) = before.next(change) else {
            return Err(Impossible::Transition {
                node: self.plan.graph().node(node).id().to_string(),
                status: before,
                change,
            });
        };
        state.status = after;
        match before {
            Status::Running => self.scope.running -= 1,
            Status::Backoff => self.scope.waiting -= 1,
            Status::Ready => remove(&mut self.scope.ready, node),
            Status::Pending => remove(&mut self.scope.dead, node),
            Status::Succeeded | Status::Failed | Status::Skipped | Status::Cancelled => {}
        }
        match after {
            Status::Running => self.scope.running += 1,
            Status::Backoff => self.scope.waiting += 1,
            Status::Pending
            | Status::Ready
            | Status::Succeeded
            | Status::Failed
            | Status::Skipped
            | Status::Cancelled => {}
        }
        Ok(after)
    }

    /// Notes which attempt an event is about.
    fn begin(&mut self, instance: Instance, attempt: u32, started_at: Timestamp) {
        let state = &mut self.scope.nodes[instance.node as usize];
        if state.attempt == 0 {
            state.started_at = started_at;
        }
        state.attempt = attempt;
    }

    fn node_started(
        &mut self,
        instance: Instance,
        attempt: u32,
        at: Timestamp,
    ) -> Result<(), Impossible> {
        self.begin(instance, attempt, at);
        self.change(instance.node, Change::Start).map(drop)
    }

    fn commit(&mut self, writes: &Object) {
        for (key, value) in writes.iter() {
            self.scope
                .state
                .insert(key.clone(), value.clone())
                .expect("it was in an object already");
        }
    }

    fn node_failed(
        &mut self,
        instance: Instance,
        error: NodeError,
        then: AfterFailure,
        at: Timestamp,
    ) -> Result<(), Impossible> {
        let node = instance.node;
        let state = &mut self.scope.nodes[node as usize];
        state.error = Some(error);
        match then {
            AfterFailure::Retry(due) => {
                state.ended_at = due;
                return self.change(node, Change::Retry).map(drop);
            }
            AfterFailure::ErrorPort => {
                state.handled = true;
                let outputs = error_output(self.plan.graph().node(node), state);
                return self.finish(node, Change::Fail, outputs, at);
            }
            AfterFailure::Stop => self.scope.ending = Some(Ending::Failed(node)),
            AfterFailure::NewRound => self.scope.ending = Some(Ending::NewRound),
            AfterFailure::Continue | AfterFailure::Ending => {}
        }
        self.finish(node, Change::Fail, NodeOutput::new(), at)
    }

    /// A node has come to its end: its connections resolve, and what it read is let go.
    fn finish(
        &mut self,
        node: NodeIndex,
        change: Change,
        outputs: NodeOutput,
        at: Timestamp,
    ) -> Result<(), Impossible> {
        self.change(node, change)?;
        let plan = &*self.plan;
        let state = &mut self.scope.nodes[node as usize];
        state.ended_at = at;
        state.end_seq = self.seq;
        state.in_order = outputs.is_in_order_of(plan.output_names(plan.graph().node(node)));
        let has_readers = state.readers > 0;
        state.outputs = outputs;
        resolve_outgoing(plan, &mut self.scope, node, self.seq);
        release_incoming(plan, &mut self.scope, node);
        if !has_readers {
            self.scope.nodes[node as usize].outputs = NodeOutput::new();
        }
        Ok(())
    }
}

/// Takes a node out of a queue; it nearly always stands at the head.
#[inline]
fn remove(queue: &mut std::collections::VecDeque<NodeIndex>, node: NodeIndex) {
    if queue.front() == Some(&node) {
        queue.pop_front();
    } else {
        queue.retain(|&other| other != node);
    }
}

/// The value of the port `error`.
fn error_output(node: &PlanNode, state: &NodeState) -> NodeOutput {
    let error = state.error.as_ref();
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let entries = [
        ("code", text(error.map(NodeError::code))),
        ("message", text(error.map(ToString::to_string).as_deref())),
        ("node", Value::from(node.id().as_str())),
        ("attempts", Value::from(state.attempt)),
    ];
    let object = Object::from_entries(entries).expect("it holds only scalars");
    NodeOutput::of("error", object)
}

fn resolve_outgoing(plan: &Plan, scope: &mut Scope, node: NodeIndex, seq: u64) {
    let graph = plan.graph();
    // Most nodes have one port, so the answer for the last connection is the one for the next.
    let mut known = None;
    for &edge in graph.outgoing(node) {
        let port = edge.source_port();
        let live = match known {
            Some((known_port, live)) if known_port == port => live,
            _ => is_live(plan, node, &scope.nodes[node as usize], port),
        };
        known = Some((port, live));
        resolve(graph, scope, edge.to, live, seq);
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
    let names = plan.output_names(plan.graph().node(node));
    state.outputs.get(names[port].as_str())
}

#[inline]
fn resolve(graph: &Graph, scope: &mut Scope, to: NodeIndex, live: bool, seq: u64) {
    let target = &mut scope.nodes[to as usize];
    target.pending -= 1;
    target.dead += u32::from(!live);
    if target.status != Status::Pending {
        return;
    }
    let all_resolved = target.pending == 0;
    let runs = match target.join {
        Join::First if live => true,
        Join::All | Join::Any | Join::First if !all_resolved => return,
        Join::All => target.dead == 0,
        Join::Any => (target.dead as usize) < graph.incoming(to).len(),
        Join::First => false,
    };
    if runs {
        target.status = Status::Pending.next(Change::Unblock).expect("it is in the table");
        target.ready_seq = seq;
        scope.ready.push_back(to);
    } else {
        scope.dead.push_back(to);
    }
}

/// What a node read is dropped after its last reader.
fn release_incoming(plan: &Plan, scope: &mut Scope, node: NodeIndex) {
    for edge in plan.graph().incoming(node) {
        if edge.target_port() == InPort::None {
            continue;
        }
        let source = &mut scope.nodes[edge.from as usize];
        source.readers -= 1;
        if source.readers == 0 && source.status.is_terminal() {
            source.outputs = NodeOutput::new();
        }
    }
}
