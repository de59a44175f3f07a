//! What came of an execution.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::state::{Machine, NodeState};
use super::status::{ExecutionStatus, NodeStatus, Status};
use crate::event::{CacheUse, ExecutionError, NotUndone, millis};
use crate::id::{ExecutionId, NodeId};
use crate::node::{NodeError, NodeOutput};
use crate::plan::{NodeIndex, SharedPlan};
use crate::time::Timestamp;
use crate::value::Value;

/// What came of an execution; cloning is cheap.
#[derive(Clone)]
pub struct ExecutionResult {
    /// The execution.
    pub execution_id: ExecutionId,
    /// How it ended.
    pub status: ExecutionStatus,
    /// What it gave; null unless it succeeded.
    pub outputs: Value,
    /// Why it did not succeed.
    pub error: Option<ExecutionError>,
    /// Outputs that are null because their node did not succeed.
    pub warnings: Vec<String>,
    /// What was to be undone and was not, or perhaps was not, those of earlier rounds first.
    pub not_undone: Vec<NotUndone>,
    /// How many nodes succeeded.
    pub completed_nodes: usize,
    /// How many nodes failed, handled or not.
    pub failed_nodes: usize,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How many rounds there were.
    pub rounds: u32,
    nodes: Arc<Vec<NodeState>>,
    plan: SharedPlan,
}

/// What came of one node, in the last round.
#[derive(Debug, Clone)]
pub struct NodeResult<'a> {
    /// The node.
    pub id: &'a NodeId,
    /// How it ended; `Pending` if it never started.
    pub status: NodeStatus,
    /// How many attempts it had.
    pub attempts: u32,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// From the start of its first attempt to its end.
    pub duration: Option<Duration>,
    /// Why its last attempt failed.
    pub error: Option<&'a NodeError>,
    /// Whether its result comes from the cache; `None` if it was not asked.
    pub cache: Option<CacheUse>,
    /// Its outputs, if they were kept.
    pub outputs: Option<&'a NodeOutput>,
}

impl Machine {
    /// What came of the execution; `None` before its end.
    pub fn into_result(self) -> Option<ExecutionResult> {
        let at = self.end.as_ref()?.at;
        Some(self.into_snapshot(at))
    }

    /// What came of the execution so far; `at` stands for its end when it has none.
    pub fn into_snapshot(self, at: Timestamp) -> ExecutionResult {
        let (round, root, status) = (self.round(), self.root, self.status());
        let mut scopes = self.scopes;
        let scope = scopes.close(root);
        let counts = scope.as_ref().map_or((0, 0), |scope| (scope.succeeded, scope.failed));
        let nodes = scope.map(|scope| scope.nodes).unwrap_or_default();
        let (outputs, error, warnings, not_undone, ended_at) = match self.end {
            Some(end) => (end.outputs, end.error, end.warnings, end.not_undone, end.at),
            None => (None, None, Vec::new(), self.not_undone, at),
        };
        ExecutionResult {
            execution_id: self.options.execution_id,
            status,
            outputs: outputs.unwrap_or_default(),
            error,
            warnings,
            not_undone,
            completed_nodes: counts.0 as usize,
            failed_nodes: counts.1 as usize,
            started_at: self.started_at,
            ended_at,
            rounds: round,
            nodes: Arc::new(nodes),
            plan: self.plan,
        }
    }
}

impl ExecutionResult {
    /// Whether the execution succeeded.
    pub fn is_success(&self) -> bool {
        self.status == ExecutionStatus::Succeeded
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        self.ended_at.since(self.started_at)
    }

    /// What came of a node of the workflow itself, by id; of those inside of control nodes the events
    /// tell.
    pub fn node(&self, id: &str) -> Option<NodeResult<'_>> {
        let own = self.plan.graph().nodes().iter().take(self.nodes.len());
        let position = own.into_iter().position(|node| *node.id() == *id)?;
        Some(self.node_at(position))
    }

    /// What came of each node, in file order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeResult<'_>> {
        (0..self.nodes.len()).map(|position| self.node_at(position))
    }

    /// What came of the node at this index.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node_by_index(&self, index: NodeIndex) -> NodeResult<'_> {
        self.node_at(index as usize)
    }

    fn node_at(&self, position: usize) -> NodeResult<'_> {
        let state = &self.nodes[position];
        let started = state.attempt > 0;
        let ended = started && state.status.is_terminal();
        let is_live = state.status == Status::Succeeded || state.handled;
        NodeResult {
            id: self.plan.graph().nodes()[position].id(),
            status: state.status.to_public(),
            attempts: state.attempt,
            started_at: started.then_some(state.started_at),
            duration: ended.then(|| state.ended_at.since(state.started_at)),
            error: state.error.as_ref().filter(|_| state.status != Status::Succeeded),
            cache: state.cache,
            outputs: Some(&state.outputs).filter(|outputs| is_live && !outputs.is_empty()),
        }
    }
}

impl std::fmt::Debug for ExecutionResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutionResult")
            .field("status", &self.status)
            .field("outputs", &self.outputs)
            .field("error", &self.error)
            .field("warnings", &self.warnings)
            .field("completed_nodes", &self.completed_nodes)
            .finish_non_exhaustive()
    }
}

/// The execution object of the HTTP API and of `--output result`.
impl Serialize for ExecutionResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.execution_id)?;
        map.serialize_entry("workflow_id", self.plan.workflow_id())?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("outputs", &self.outputs)?;
        map.serialize_entry("error", &self.error)?;
        map.serialize_entry("warnings", &self.warnings)?;
        if !self.not_undone.is_empty() {
            map.serialize_entry("not_undone", &self.not_undone)?;
        }
        map.serialize_entry("nodes", &Nodes(self))?;
        map.serialize_entry("rounds", &self.rounds)?;
        map.serialize_entry("started_at", &self.started_at.to_string())?;
        map.serialize_entry("ended_at", &self.ended_at.to_string())?;
        map.serialize_entry("duration_ms", &millis(self.duration()))?;
        map.end()
    }
}

struct Nodes<'a>(&'a ExecutionResult);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.nodes().map(|node| (node.id, NodeEntry::from(node))))
    }
}

#[derive(Serialize)]
struct NodeEntry<'a> {
    status: NodeStatus,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a NodeError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a NodeOutput>,
}

impl<'a> From<NodeResult<'a>> for NodeEntry<'a> {
    fn from(node: NodeResult<'a>) -> Self {
        Self {
            status: node.status,
            attempts: node.attempts,
            started_at: node.started_at.map(|at| at.to_string()),
            duration_ms: node.duration.map(millis),
            error: node.error,
            cache: node.cache,
            outputs: node.outputs,
        }
    }
}
