//! An execution that is kept, as a document for programs.

use flowcore::machine::Machine;
use flowcore::{
    Event, ExecutionError, ExecutionId, ExecutionResult, ExecutionStatus, NodeError, NodeOutput,
    NodeStatus, NotUndone, Object, Record, Timestamp, Value, WorkflowId,
};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::timeline::{Given, Paused, Timeline, Track, given};
use crate::durable::{LoadError, Replay};
use crate::store::ExecutionRow;

/// How an execution stands, in a list, as a document.
#[derive(Debug, Serialize)]
pub struct ExecutionSummary<'a> {
    id: ExecutionId,
    workflow_id: &'a WorkflowId,
    /// Of the saved workflow.
    version: Option<u64>,
    status: ExecutionStatus,
    /// Whether somebody executes it now.
    is_executed: bool,
    error: Option<&'a ExecutionError>,
    created_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun_of: Option<ExecutionId>,
}

impl<'a> From<&'a ExecutionRow> for ExecutionSummary<'a> {
    fn from(row: &'a ExecutionRow) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: row.id,
            workflow_id: &row.workflow_id,
            version: row.version,
            status: row.status,
            is_executed: row.owner.is_some(),
            error: row.error.as_ref(),
            created_at: row.created_at.to_string(),
            started_at: text(row.started_at),
            ended_at: text(row.ended_at),
            wake_at: text(row.wake_at),
            rerun_of: row.rerun_of,
        }
    }
}

/// All that is known of an execution, as of one moment. As JSON it is one flat object.
#[derive(Debug)]
pub struct ExecutionReport {
    /// How it stands.
    pub row: ExecutionRow,
    /// What it was given.
    pub inputs: Object,
    /// What came of it so far.
    pub result: ExecutionResult,
    /// What happened when.
    pub timeline: Timeline,
    /// Whether its JSON has what each node was given and gave.
    pub is_full: bool,
}

/// Of which nodes it is told what they were given; that takes as long as their expressions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail<'a> {
    /// Of those at these addresses.
    Of(&'a [String]),
    /// Of all, and its JSON has it.
    Full,
}

impl Detail<'_> {
    fn wants(self, address: impl FnOnce() -> String) -> bool {
        match self {
            Self::Full => true,
            Self::Of([]) => false,
            Self::Of(addresses) => addresses.contains(&address()),
        }
    }
}

impl ExecutionReport {
    /// Goes through what is kept of an execution.
    ///
    /// # Errors
    /// [`LoadError`] when the events do not follow each other.
    pub fn of(
        row: ExecutionRow,
        mut replay: Replay,
        detail: Detail<'_>,
    ) -> Result<Self, LoadError> {
        let mut timeline = Timeline::new(row.created_at);
        loop {
            let next = replay.next_record();
            let given = next.and_then(|next| given_to(replay.machine(), next, detail));
            let Some(event) = replay.step()? else { break };
            timeline.apply(&event, given);
        }
        let timeline = timeline.finish(replay.machine().plan());
        let inputs = replay.inputs().clone();
        let result = replay.into_result(timeline.until);
        Ok(Self { row, inputs, result, timeline, is_full: detail == Detail::Full })
    }
}

/// What the attempt was given that begins with this event, if that is asked for.
fn given_to(machine: &Machine, next: &Record, detail: Detail<'_>) -> Option<Given> {
    let instance = next.event.instance()?;
    let is_beginning = match &next.event {
        Event::NodeStarted { .. } | Event::NodeWaiting { .. } => true,
        // An inline node has no event when it starts.
        Event::NodeCompleted { .. } | Event::NodeFailed { .. } => {
            !machine.is_under_way(instance, 1)
        }
        _ => false,
    };
    let is_wanted = is_beginning && detail.wants(|| machine.address(instance));
    is_wanted.then(|| given(machine, instance, next.at)).flatten()
}

#[derive(Serialize)]
struct Document<'a> {
    id: ExecutionId,
    workflow_id: &'a WorkflowId,
    version: Option<u64>,
    definition: String,
    status: ExecutionStatus,
    is_executed: bool,
    inputs: &'a Object,
    outputs: &'a Value,
    error: Option<&'a ExecutionError>,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<&'a Paused>,
    #[serde(skip_serializing_if = "<[NotUndone]>::is_empty")]
    not_undone: &'a [NotUndone],
    nodes: Nodes<'a>,
    rounds: u32,
    last_seq: u64,
    created_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun_of: Option<ExecutionId>,
}

/// The node instances of the last round, by address.
struct Nodes<'a>(&'a ExecutionReport);

#[derive(Serialize)]
struct Node<'a> {
    node_type: &'a str,
    status: NodeStatus,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    error: Option<&'a NodeError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<&'a Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a NodeOutput>,
}

impl Serialize for ExecutionReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (row, result) = (&self.row, &self.result);
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let document = Document {
            id: row.id,
            workflow_id: &row.workflow_id,
            version: row.version,
            definition: row.definition.to_string(),
            status: row.status,
            is_executed: row.owner.is_some(),
            inputs: &self.inputs,
            outputs: &result.outputs,
            error: result.error.as_ref().or(row.error.as_ref()),
            warnings: &result.warnings,
            paused: self.timeline.paused.as_ref(),
            not_undone: &result.not_undone,
            nodes: Nodes(self),
            rounds: self.timeline.rounds,
            last_seq: row.last_seq,
            created_at: row.created_at.to_string(),
            started_at: text(row.started_at),
            ended_at: text(row.ended_at),
            wake_at: text(row.wake_at),
            rerun_of: row.rerun_of,
        };
        document.serialize(serializer)
    }
}

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ExecutionReport { timeline, is_full, .. } = self.0;
        let last = |track: &&Track| track.round == timeline.rounds;
        let mut map = serializer.serialize_map(None)?;
        for track in timeline.tracks.iter().filter(last) {
            let took = track.started_at().zip(track.ended_at()).map(|(from, to)| to.since(from));
            let inputs = track.inputs.as_ref().map(|given| &given.inputs);
            let node = Node {
                node_type: &track.node_type,
                status: track.status,
                attempts: track.attempts(),
                started_at: track.started_at().map(|at| at.to_string()),
                duration_ms: took.map(|took| took.as_secs_f64() * 1000.0),
                error: track.error.as_ref(),
                inputs: inputs.filter(|_| *is_full),
                outputs: track.outputs.as_ref().filter(|_| *is_full),
            };
            map.serialize_entry(&track.address, &node)?;
        }
        map.end()
    }
}
