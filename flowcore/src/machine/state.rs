//! What a machine knows.

use std::collections::VecDeque;
use std::fmt;

use super::status::{ExecutionStatus, Status};
use crate::event::{ExecutionError, Instance, ScopeId};
use crate::id::ExecutionId;
use crate::node::{CancelReason, NodeError, NodeOutput, Secrets};
use crate::plan::{NodeIndex, SharedPlan};
use crate::time::Timestamp;
use crate::value::{Object, Value};
use crate::workflow::Join;

/// What an execution is given besides its plan.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The secrets that its expressions may read.
    pub secrets: Secrets,
    /// Whether every node's outputs are kept to the end. Otherwise a value is dropped after its
    /// last reader.
    pub keep_outputs: bool,
}

/// The state of one execution.
#[derive(Clone)]
pub struct Machine {
    pub(super) plan: SharedPlan,
    pub(super) options: MachineOptions,
    pub(super) seq: u64,
    pub(super) started_at: Timestamp,
    pub(super) inputs: Object,
    pub(super) round: u32,
    /// The scope of the current round.
    pub(super) scope: Scope,
    pub(super) end: Option<End>,
    /// Facts that were no longer current.
    pub(super) stale: u64,
    /// The node at the head of the queue whose `when` was found true; not part of the state.
    pub(super) checked: Option<Instance>,
    /// How far the instances of this round are let go; not part of the state.
    pub(super) release: Release,
}

/// How far the instances of a round are let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Release {
    /// They may be needed.
    #[default]
    Held,
    /// The driver was asked to shut them down.
    Asked,
    /// They were shut down.
    Done,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) status: ExecutionStatus,
    pub(super) outputs: Option<Value>,
    pub(super) error: Option<ExecutionError>,
    pub(super) warnings: Vec<String>,
    pub(super) at: Timestamp,
}

/// Why a scope starts nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A new round follows.
    NewRound,
    /// This node failed.
    Failed(NodeIndex),
    /// Somebody or something asked for it.
    Cancelled(CancelReason),
}

/// The nodes of one scope.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Scope {
    pub(super) id: Option<ScopeId>,
    pub(super) nodes: Vec<NodeState>,
    /// May start, in this order.
    pub(super) ready: VecDeque<NodeIndex>,
    /// Are to be skipped, in this order.
    pub(super) dead: VecDeque<NodeIndex>,
    pub(super) running: u32,
    pub(super) waiting: u32,
    pub(super) ending: Option<Ending>,
    /// What the nodes share.
    pub(super) state: Object,
}

/// One node of a scope.
#[derive(Clone, PartialEq)]
pub(super) struct NodeState {
    pub(super) status: Status,
    /// As in the plan: what is needed for each connection stands together.
    pub(super) join: Join,
    /// Why it was told to stop, apart from its scope, or was cancelled.
    pub(super) cancel: Option<CancelReason>,
    /// Whether its failure is handled by its port `error`.
    pub(super) handled: bool,
    /// The last attempt that started, from 1.
    pub(super) attempt: u32,
    /// Connections that are not resolved yet.
    pub(super) pending: u32,
    /// Connections that are dead.
    pub(super) dead: u32,
    /// Who may still read the outputs.
    pub(super) readers: u32,
    /// The event with which its connections let it run. It sees nothing that ended later: with
    /// `join: first` that would depend on when it gets a permit, and differ between attempts.
    pub(super) ready_seq: u64,
    /// The event with which it came to its end.
    pub(super) end_seq: u64,
    /// When the first attempt started.
    pub(super) started_at: Timestamp,
    /// When it ended, or between attempts when the next one is due.
    pub(super) ended_at: Timestamp,
    pub(super) outputs: NodeOutput,
    /// Whether the outputs are those of the first ports, in order.
    pub(super) in_order: bool,
    pub(super) error: Option<NodeError>,
}

impl Machine {
    /// A machine that has not started.
    pub fn new(plan: SharedPlan, options: MachineOptions) -> Self {
        Self {
            plan,
            options,
            seq: 0,
            started_at: Timestamp::default(),
            inputs: Object::new(),
            round: 1,
            scope: Scope::default(),
            end: None,
            stale: 0,
            checked: None,
            release: Release::Held,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &SharedPlan {
        &self.plan
    }

    /// The number of the last event.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The round, from 1.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// When the execution started.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Facts that were no longer current, and ignored.
    pub fn stale_facts(&self) -> u64 {
        self.stale
    }

    /// How the execution stands.
    pub fn status(&self) -> ExecutionStatus {
        match &self.end {
            Some(end) => end.status,
            None if self.seq == 0 => ExecutionStatus::Queued,
            None if self.only_waits() => ExecutionStatus::Waiting,
            None => ExecutionStatus::Running,
        }
    }

    /// Whether nothing happens until a time or a signal; a node that waits for a permit is no wait.
    fn only_waits(&self) -> bool {
        let scope = &self.scope;
        scope.waiting > 0 && scope.running == 0 && scope.ready.is_empty()
    }

    /// How a node of the current round stands.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node_status(&self, node: NodeIndex) -> Status {
        self.scope.nodes.get(node as usize).map_or(Status::Pending, |state| state.status)
    }

    pub(super) fn scope_id(&self) -> ScopeId {
        self.scope.id.unwrap_or(ScopeId(0))
    }

    pub(super) fn instance(&self, node: NodeIndex) -> Instance {
        Instance { scope: self.scope_id(), node }
    }

    /// The state of an instance, if its scope still exists.
    pub(super) fn find(&self, instance: Instance) -> Option<&NodeState> {
        if self.scope.id != Some(instance.scope) {
            return None;
        }
        self.scope.nodes.get(instance.node as usize)
    }
}

/// Two machines are equal when they know the same: what only speeds up does not count.
impl PartialEq for Machine {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
            && self.started_at == other.started_at
            && self.inputs == other.inputs
            && self.round == other.round
            && self.scope == other.scope
            && self.end == other.end
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.plan.graph().nodes().iter().zip(&self.scope.nodes);
        let nodes: Vec<String> = nodes
            .map(|(node, state)| {
                format!(
                    "{}: {:?} attempt {} pending {} dead {} readers {}",
                    node.id(),
                    state.status,
                    state.attempt,
                    state.pending,
                    state.dead,
                    state.readers
                )
            })
            .collect();
        f.debug_struct("Machine")
            .field("seq", &self.seq)
            .field("round", &self.round)
            .field("nodes", &nodes)
            .field("ready", &self.scope.ready)
            .field("dead", &self.scope.dead)
            .field("ending", &self.scope.ending)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
