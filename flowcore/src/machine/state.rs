//! What a machine knows.

use std::collections::VecDeque;
use std::fmt;

use super::control::Control;
use super::history::HistoryLimits;
use super::recovery::Recovery;
use super::rerun::Kept;
use super::scopes::{Scope, Scopes};
use super::status::{ExecutionStatus, Status};
use super::undo::Undo;
use crate::event::{CacheUse, ExecutionError, Instance, NotUndone, PauseReason, ScopeId};
use crate::id::ExecutionId;
use crate::node::{CancelReason, NodeError, NodeOutput, Secrets};
use crate::plan::{NodeIndex, PlanNode, SharedPlan};
use crate::time::Timestamp;
use crate::value::Value;
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
    /// How long its history may become. It says when to end and changes nothing in what was decided, so
    /// whoever goes on with an execution may have another limit.
    pub history: HistoryLimits,
}

/// The state of one execution.
#[derive(Clone)]
pub struct Machine {
    pub(super) plan: SharedPlan,
    pub(super) options: MachineOptions,
    pub(super) seq: u64,
    pub(super) started_at: Timestamp,
    /// The open scopes: that of the workflow, and those that its control nodes opened.
    pub(super) scopes: Scopes,
    /// The scope of the current round.
    pub(super) root: ScopeId,
    /// May start, in this order.
    pub(super) ready: VecDeque<Instance>,
    /// Are to be skipped, in this order.
    pub(super) dead: VecDeque<Instance>,
    /// How many attempts are under way.
    pub(super) running: u32,
    /// The inline node that has said that it starts: nothing else starts before it has ended.
    pub(super) called: Option<Instance>,
    /// How many nodes wait for a time or a signal.
    pub(super) waiting: u32,
    /// Signals that came before anybody waited for them, in order.
    pub(super) signals: Vec<Signal>,
    /// When cleaning up has taken as long as it may, once it has begun.
    pub(super) cleanup_until: Option<Timestamp>,
    /// Whether cleaning up was told to stop, too.
    pub(super) cleanup_aborted: bool,
    /// What may have to be undone, in the order of completion.
    pub(super) undo: Vec<Undo>,
    /// What was to be undone and was not.
    pub(super) not_undone: Vec<NotUndone>,
    /// Why the outputs of the workflow failed, once that ends it.
    pub(super) outputs_failure: Option<Box<ExecutionError>>,
    /// What nodes of the first round have instead of running.
    pub(super) kept: Option<Box<Kept>>,
    pub(super) end: Option<End>,
    /// Why nothing starts, while it is paused.
    pub(super) paused: Option<PauseReason>,
    /// What is known of crashes, once there was a recovery.
    pub(super) recovery: Option<Recovery>,
    /// Facts that were no longer current.
    pub(super) stale: u64,
    /// The node at the head of the queue whose `when` was found true; not part of the state.
    pub(super) checked: Option<Instance>,
    /// What is to be looked at; not part of the state, because it can be found in it.
    pub(super) due: VecDeque<Due>,
    /// Scopes that begin to end, or end for a stronger reason, since somebody looked; not part of the
    /// state.
    pub(super) begun: Vec<Begun>,
    /// How far the instances of this round are let go; not part of the state.
    pub(super) release: Release,
}

/// A scope that begins to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) scope: ScopeId,
    /// Whether it ended already, for another reason.
    pub(super) again: bool,
}

/// Something that may be decided now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing is left to do in a scope, perhaps.
    Close(ScopeId),
    /// A control node has its next step to take, perhaps.
    Advance(Instance),
}

/// A signal that waits for its waiter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signal {
    pub(super) name: std::sync::Arc<str>,
    pub(super) key: Option<std::sync::Arc<str>>,
    pub(super) payload: Value,
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
    pub(super) not_undone: Vec<NotUndone>,
    pub(super) at: Timestamp,
}

/// Why a scope starts nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A new round follows.
    NewRound,
    /// A node asked for the end of the execution.
    Stopped,
    /// This node failed.
    Failed(NodeIndex),
    /// Its outputs failed; only the workflow itself ends so.
    Outputs,
    /// Somebody or something asked for it.
    Cancelled(CancelReason),
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
    /// How many attempts the end of a process cut off.
    pub(super) interruptions: u16,
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
    /// The event with which it came to its end, or began to wait.
    pub(super) end_seq: u64,
    /// When the first attempt started.
    pub(super) started_at: Timestamp,
    /// When it ended, or between attempts when the next one is due.
    pub(super) ended_at: Timestamp,
    pub(super) outputs: NodeOutput,
    /// Whether the outputs are those of the first ports, in order.
    pub(super) in_order: bool,
    /// Whether the outputs come from the cache; `None` if it was not asked.
    pub(super) cache: Option<CacheUse>,
    pub(super) error: Option<NodeError>,
    /// What a control node has under way.
    pub(super) control: Option<Box<Control>>,
}

impl Machine {
    /// A machine that has not started.
    pub fn new(plan: SharedPlan, options: MachineOptions) -> Self {
        Self {
            plan,
            options,
            seq: 0,
            started_at: Timestamp::default(),
            scopes: Scopes::default(),
            root: ScopeId(0),
            ready: VecDeque::new(),
            dead: VecDeque::new(),
            running: 0,
            called: None,
            waiting: 0,
            signals: Vec::new(),
            cleanup_until: None,
            cleanup_aborted: false,
            undo: Vec::new(),
            not_undone: Vec::new(),
            outputs_failure: None,
            kept: None,
            end: None,
            paused: None,
            recovery: None,
            stale: 0,
            checked: None,
            due: VecDeque::new(),
            begun: Vec::new(),
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

    /// The round of the workflow, from 1.
    pub fn round(&self) -> u32 {
        self.scopes.find(self.root).map_or(1, Scope::round)
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
            None if self.paused.is_some() => ExecutionStatus::Paused,
            None if self.only_waits() => ExecutionStatus::Waiting,
            None => ExecutionStatus::Running,
        }
    }

    /// Why the execution did not succeed, once it has ended.
    pub fn error(&self) -> Option<&ExecutionError> {
        self.end.as_ref()?.error.as_ref()
    }

    /// Whether nothing happens until a time or a signal; a node that waits for a permit is no wait.
    fn only_waits(&self) -> bool {
        self.waiting > 0 && self.running == 0 && self.ready.is_empty()
    }

    /// How a node of the workflow itself stands in the current round.
    pub fn node_status(&self, node: NodeIndex) -> Status {
        let instance = Instance { scope: self.root, node };
        self.find(instance).map_or(Status::Pending, |state| state.status)
    }

    /// What the plan says of an instance.
    #[inline]
    pub(super) fn plan_node(&self, instance: Instance) -> &PlanNode {
        self.plan.graph().node(instance.node)
    }

    /// The state of an instance of an open scope.
    #[inline]
    pub(super) fn node(&self, instance: Instance) -> &NodeState {
        self.scopes.get(instance.scope).node(instance.node)
    }

    /// The state of an instance, if its scope still exists.
    pub(super) fn find(&self, instance: Instance) -> Option<&NodeState> {
        self.scopes.find(instance.scope)?.find(instance.node)
    }

    /// The workflow that a scope belongs to.
    pub(super) fn home(&self, scope: &Scope) -> &Scope {
        if scope.workflow.is_some() {
            return self.scopes.get(scope.id);
        }
        self.scopes.get(scope.home)
    }

    /// The scope of the current round.
    pub(super) fn root_scope(&self) -> &Scope {
        self.scopes.get(self.root)
    }
}

/// Two machines are equal when they know the same: what only speeds up does not count.
impl PartialEq for Machine {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
            && self.started_at == other.started_at
            && self.scopes == other.scopes
            && self.root == other.root
            && self.ready == other.ready
            && self.dead == other.dead
            && (self.running, self.waiting) == (other.running, other.waiting)
            && self.called == other.called
            && self.signals == other.signals
            && self.cleanup_until == other.cleanup_until
            && self.cleanup_aborted == other.cleanup_aborted
            && self.undo == other.undo
            && self.not_undone == other.not_undone
            && self.outputs_failure == other.outputs_failure
            && self.kept == other.kept
            && self.end == other.end
            && self.paused == other.paused
            && self.recovery == other.recovery
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graph = self.plan.graph();
        let nodes: Vec<String> = self
            .scopes
            .iter()
            .flat_map(|scope| (scope.first..).zip(&scope.nodes).map(move |node| (scope, node)))
            .map(|(scope, (node, state))| {
                format!(
                    "{} {}: {:?} attempt {} pending {} dead {} readers {}",
                    scope.id.0,
                    graph.node(node).id(),
                    state.status,
                    state.attempt,
                    state.pending,
                    state.dead,
                    state.readers
                )
            })
            .collect();
        let endings = self.scopes.iter().filter_map(|scope| Some((scope.id, scope.ending?)));
        f.debug_struct("Machine")
            .field("seq", &self.seq)
            .field("round", &self.round())
            .field("nodes", &nodes)
            .field("ready", &self.ready)
            .field("dead", &self.dead)
            .field("endings", &endings.collect::<Vec<_>>())
            .field("paused", &self.paused)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
