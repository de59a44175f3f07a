//! An execution that is kept, for people and programs.

use flowcore::{
    ExecutionError, ExecutionId, ExecutionResult, ExecutionStatus, NodeError, NodeOutput,
    NodeStatus, NotUndone, Object, Value, WorkflowId,
};
use flowruntime::store::ExecutionRow;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::node::one_line;
use super::timeline::{Paused, Timeline, Track};
use crate::report::human::{BOLD, clean, count, paint};
use crate::{duration, moment};

/// How an execution stands, in a list.
#[derive(Serialize)]
pub(crate) struct Summary<'a> {
    id: ExecutionId,
    workflow_id: &'a WorkflowId,
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

impl<'a> From<&'a ExecutionRow> for Summary<'a> {
    fn from(row: &'a ExecutionRow) -> Self {
        let text = |at: Option<flowcore::Timestamp>| at.map(|at| at.to_string());
        Self {
            id: row.id,
            workflow_id: &row.workflow_id,
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

/// The cells of an execution in a table.
pub(crate) fn cells(row: &ExecutionRow) -> [String; 6] {
    let took = row.started_at.zip(row.ended_at).map(|(from, to)| duration::show(to.since(from)));
    let note = match (&row.error, row.owner) {
        (Some(error), _) => format!("{}: {error}", error.code),
        (None, None) if is_abandoned(row) => "nobody executes it".to_owned(),
        (None, _) => String::new(),
    };
    [
        row.id.to_string(),
        clean(row.workflow_id.as_str()),
        row.status.to_string(),
        moment::show(row.created_at),
        took.unwrap_or_default(),
        clean(&note),
    ]
}

/// Whether nobody executes it, and somebody should. One that waits or is paused is in nobody's memory.
pub(crate) fn is_abandoned(row: &ExecutionRow) -> bool {
    let runs = matches!(row.status, ExecutionStatus::Queued | ExecutionStatus::Running);
    runs && row.owner.is_none()
}

/// All that is known of an execution.
pub(crate) struct Known {
    pub(crate) row: ExecutionRow,
    pub(crate) inputs: Object,
    pub(crate) result: ExecutionResult,
    pub(crate) timeline: Timeline,
    pub(crate) is_full: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    id: ExecutionId,
    workflow_id: &'a WorkflowId,
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
struct Nodes<'a>(&'a Known);

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

impl Serialize for Known {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (row, result) = (&self.row, &self.result);
        let text = |at: Option<flowcore::Timestamp>| at.map(|at| at.to_string());
        let document = Document {
            id: row.id,
            workflow_id: &row.workflow_id,
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
        let Known { timeline, is_full, .. } = self.0;
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

/// How many lines of a dump are shown unless all is asked for.
const DUMP_LINES: usize = 8;

/// What the execution is, before the chart.
pub(crate) fn head(known: &Known, width: usize) -> Vec<String> {
    let Known { row, inputs, result, timeline, .. } = known;
    let title = format!("{} {}", paint(BOLD, &row.id.to_string()), row.status);
    let nobody = if is_abandoned(row) { ", nobody executes it" } else { "" };
    let mut lines = vec![format!("{title}{nobody}")];
    let mut say = |name: &str, text: String| lines.push(format!("  {name:<9} {text}"));
    say("workflow", clean(row.workflow_id.as_str()));
    say("accepted", moment::show(row.created_at));
    if let Some(at) = row.started_at {
        let took = row.ended_at.map(|end| format!(", took {}", duration::show(end.since(at))));
        say("started", format!("{}{}", moment::show(at), took.unwrap_or_default()));
    }
    if let Some(at) = row.wake_at.filter(|_| !row.status.is_terminal()) {
        say("wakes", moment::show(at));
    }
    if let Some(of) = row.rerun_of {
        say("again", format!("runs {of} again"));
    }
    let owners = match row.fence {
        0 | 1 => String::new(),
        fence => format!(", executed by {fence} processes in turn"),
    };
    let events = count(usize::try_from(row.last_seq).unwrap_or(usize::MAX), "event");
    let rounds = match timeline.rounds {
        1 => String::new(),
        rounds => format!(", {rounds} rounds"),
    };
    say("history", format!("{events}{rounds}{owners}"));
    if !inputs.is_empty() {
        say("inputs", one_line(&Value::from(inputs.clone()), width.saturating_sub(12)));
    }
    if result.is_success() {
        say("outputs", one_line(&result.outputs, width.saturating_sub(12)));
    }
    if let Some(error) = result.error.as_ref().or(row.error.as_ref()) {
        say("error", clean(&format!("{error} [{}]", error.code)));
        if let Some(hint) = &error.hint {
            say("help", clean(hint));
        }
    }
    if let Some(Paused { reason, code, node, dump }) = &timeline.paused {
        let node = node.as_ref().map_or_else(String::new, |node| format!(", node `{node}`"));
        let code = code.map_or_else(String::new, |code| format!(" [{code}]"));
        say("paused", clean(&format!("{}{node}{code}", reason.as_str())));
        let shown = if known.is_full { usize::MAX } else { DUMP_LINES };
        let mut rest = dump.as_deref().unwrap_or_default().lines();
        rest.by_ref().take(shown).for_each(|line| say("", clean(line)));
        match rest.count() {
            0 => {}
            more => say("", format!("… {}: `--full` shows them", count(more, "more line"))),
        }
    }
    for warning in &result.warnings {
        say("warning", clean(warning));
    }
    for left in &result.not_undone {
        say("undo", clean(&format!("{left} [{}]", left.code)));
    }
    lines
}
