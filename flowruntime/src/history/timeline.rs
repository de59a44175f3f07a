//! When what happened to each node instance, from the events.

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::machine::Machine;
use flowcore::{
    AfterFailure, Event, EventBody, ExecutionEvent, FailureKind, Instance, NodeError, NodeOutput,
    NodeStatus, Object, PauseReason, Plan, Record, ScopeId, SkipReason, Timestamp, Wait,
};
use serde::Serialize;

/// What happened to all node instances.
#[derive(Debug)]
pub struct Timeline {
    /// In the order in which they were heard of first, those inside of a control node after it.
    pub tracks: Vec<Track>,
    /// When the execution started.
    pub started_at: Timestamp,
    /// The end, or the last event.
    pub until: Timestamp,
    /// How many rounds there were.
    pub rounds: u32,
    /// Why it is paused, while it is.
    pub paused: Option<Paused>,
    /// Whether it is kept what nodes gave.
    keeps_outputs: bool,
    of: HashMap<Instance, usize>,
    root: ScopeId,
    last_at: Timestamp,
}

/// Why an execution is paused.
#[derive(Debug, Clone, Serialize)]
pub struct Paused {
    /// The reason.
    pub reason: PauseReason,
    /// Its stable code, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The address of the node that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What was known when Flow itself failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<Arc<str>>,
}

/// What happened to a node instance.
#[derive(Debug)]
pub struct Track {
    /// Where it stands, such as `each[3].fetch`.
    pub address: String,
    /// The round of the workflow, from 1.
    pub round: u32,
    /// Its node type.
    pub node_type: String,
    /// How it stands.
    pub status: NodeStatus,
    /// What it did, in order.
    pub spans: Vec<Span>,
    /// Why its last attempt failed.
    pub error: Option<NodeError>,
    /// What it gave.
    pub outputs: Option<NodeOutput>,
    /// What the last attempt was given.
    pub inputs: Option<Given>,
    /// What it waits for, why it was skipped, and the like.
    pub note: String,
}

/// What an attempt was given, as far as it can be told.
#[derive(Debug)]
pub struct Given {
    /// The values on its ports.
    pub inputs: Object,
    /// Its config with expressions resolved, if it has one.
    pub config: Option<Object>,
}

/// A time in which a node did one thing.
#[derive(Debug, Clone)]
pub struct Span {
    /// What it did.
    pub kind: SpanKind,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The beginning.
    pub from: Timestamp,
    /// `None` while it goes on.
    pub to: Option<Timestamp>,
    /// Why an attempt ended so, or what a wait was for.
    pub note: String,
}

/// What a node does in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// An attempt runs, or has succeeded.
    Run,
    /// An attempt that failed.
    Failed,
    /// An attempt that was cancelled, or whose process ended.
    CutOff,
    /// It waits for a time, a signal, or its turn.
    Wait,
    /// It waits for its next attempt.
    Backoff,
}

impl Track {
    fn new(address: &str, round: u32, node_type: &str) -> Self {
        Self {
            address: address.to_owned(),
            round,
            node_type: node_type.to_owned(),
            status: NodeStatus::Pending,
            spans: Vec::new(),
            error: None,
            outputs: None,
            inputs: None,
            note: String::new(),
        }
    }

    /// How many attempts it had.
    pub fn attempts(&self) -> u32 {
        self.spans.iter().map(|span| span.attempt).max().unwrap_or(0)
    }

    /// When it started, if it has.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.spans.first().map(|span| span.from)
    }

    /// When it ended, if it has.
    pub fn ended_at(&self) -> Option<Timestamp> {
        let is_over = match self.status {
            NodeStatus::Succeeded
            | NodeStatus::Failed
            | NodeStatus::Skipped
            | NodeStatus::Cancelled => true,
            NodeStatus::Pending | NodeStatus::Running | NodeStatus::Waiting => false,
        };
        self.spans.last().filter(|_| is_over).and_then(|span| span.to)
    }

    /// Whether it stands inside of a control node.
    pub fn is_inside(&self) -> bool {
        self.address.contains(['.', '['])
    }

    fn open(&mut self, kind: SpanKind, attempt: u32, from: Timestamp, note: String) {
        self.close(from);
        self.spans.push(Span { kind, attempt, from, to: None, note });
    }

    /// Ends what it does.
    fn close(&mut self, at: Timestamp) {
        if let Some(span) = self.spans.last_mut().filter(|span| span.to.is_none()) {
            span.to = Some(at.max(span.from));
        }
    }

    /// Ends an attempt; one of which nothing was heard before took the time since `from`.
    fn end_attempt(
        &mut self,
        kind: SpanKind,
        attempt: u32,
        from: Timestamp,
        at: Timestamp,
        note: String,
    ) {
        let is_open = |span: &&mut Span| span.to.is_none() && span.attempt == attempt;
        match self.spans.last_mut().filter(is_open) {
            // What waited and ended well has waited all the time.
            Some(span) if span.kind == SpanKind::Wait => span.to = Some(at),
            Some(span) => {
                (span.kind, span.to, span.note) = (kind, Some(at), note);
            }
            None => {
                self.close(from);
                self.spans.push(Span { kind, attempt, from, to: Some(at), note });
            }
        }
    }
}

impl Timeline {
    /// The timeline of an execution that was accepted at this time and has no events yet.
    pub fn new(accepted_at: Timestamp) -> Self {
        Self {
            tracks: Vec::new(),
            started_at: accepted_at,
            until: accepted_at,
            rounds: 1,
            paused: None,
            keeps_outputs: true,
            of: HashMap::new(),
            root: ScopeId(0),
            last_at: accepted_at,
        }
    }

    /// Forgets what nodes gave, which may be large.
    pub(super) fn without_outputs(self) -> Self {
        Self { keeps_outputs: false, ..self }
    }

    /// Takes the next event; `given` is what the attempt that it starts was given.
    pub fn apply(&mut self, event: &ExecutionEvent, given: Option<Given>) {
        let EventBody::Fact(record) = &event.body else { return };
        if record.seq == 1 {
            self.started_at = record.at;
        }
        match &record.event {
            Event::RoundStarted { scope, after, .. } if *after == self.root => {
                self.root = *scope;
                self.rounds += 1;
            }
            Event::Paused { reason, dump, .. } => {
                let (code, node) = (reason.code(), event.node_id().map(str::to_owned));
                self.paused = Some(Paused { reason: *reason, code, node, dump: dump.clone() });
            }
            Event::Resumed { .. } | Event::CancelRequested { instance: None, .. } => {
                self.paused = None;
            }
            _ => {}
        }
        if let Some(instance) = event.instance() {
            let (last_at, keeps_outputs) = (self.last_at, self.keeps_outputs);
            let track = self.track(instance, event);
            apply_to(track, record, last_at);
            if !keeps_outputs {
                track.outputs = None;
            }
            if given.is_some() {
                track.inputs = given;
            }
        }
        self.until = record.at.max(self.until);
        // What a process that ended did last is not known; it lived when it wrote this.
        if !matches!(record.event, Event::Recovered { .. } | Event::NodeInterrupted { .. }) {
            self.last_at = record.at;
        }
    }

    fn track(&mut self, instance: Instance, event: &ExecutionEvent) -> &mut Track {
        let (round, tracks) = (self.rounds, &mut self.tracks);
        let position = *self.of.entry(instance).or_insert_with(|| {
            let node_type = &event.plan().spec(instance.node).node_type;
            let address = event.node_id().unwrap_or_default();
            tracks.push(Track::new(address, round, node_type));
            tracks.len() - 1
        });
        &mut tracks[position]
    }

    /// Puts those inside of control nodes after these, and adds the nodes that never began.
    pub fn finish(mut self, plan: &Plan) -> Self {
        for node in &plan.workflow().nodes {
            let is_there =
                |track: &Track| track.address == *node.id.as_str() && track.round == self.rounds;
            if !self.tracks.iter().any(is_there) {
                self.tracks.push(Track::new(node.id.as_str(), self.rounds, &node.node_type));
            }
        }
        let outer = |track: &Track| {
            let end = track.address.find(['.', '[', '~']).unwrap_or(track.address.len());
            (track.round, track.address[..end].to_owned())
        };
        let mut first: HashMap<(u32, String), usize> = HashMap::new();
        for (position, track) in self.tracks.iter().enumerate() {
            first.entry(outer(track)).or_insert(position);
        }
        self.tracks.sort_by_key(|track| first.get(&outer(track)).copied());
        self
    }
}

fn apply_to(track: &mut Track, record: &Record, last_at: Timestamp) {
    let at = record.at;
    match &record.event {
        Event::NodeStarted { attempt, .. } => {
            track.open(SpanKind::Run, *attempt, at, String::new());
            track.status = NodeStatus::Running;
        }
        Event::NodeWaiting { attempt, wait, until, .. } => {
            track.note = describe_wait(wait, *until);
            track.open(SpanKind::Wait, *attempt, at, track.note.clone());
            track.status = NodeStatus::Waiting;
        }
        Event::WaitEnded { .. } => {
            track.close(at);
            track.status = NodeStatus::Pending;
        }
        Event::NodeCompleted { outputs, kept: true, .. } => {
            track.status = NodeStatus::Succeeded;
            track.outputs = Some(outputs.clone());
            track.note = "the result of the earlier execution".to_owned();
        }
        Event::NodeCompleted { attempt, outputs, started_at, .. } => {
            track.end_attempt(SpanKind::Run, *attempt, *started_at, at, String::new());
            (track.status, track.error) = (NodeStatus::Succeeded, None);
            track.outputs = Some(outputs.clone());
            track.note.clear();
        }
        Event::NodeFailed { attempt, outcome, error, then, started_at, .. } => {
            let why = match outcome {
                FailureKind::Failed => format!("{error} [{}]", error.code()),
                FailureKind::TimedOut => format!("timed out: {error}"),
                FailureKind::Panicked => format!("panicked: {error}"),
                FailureKind::Interrupted => format!("cut off: {error}"),
            };
            track.end_attempt(SpanKind::Failed, *attempt, *started_at, at, why);
            (track.status, track.error) = (NodeStatus::Failed, Some(error.clone()));
            track.note.clear();
            if let AfterFailure::Retry(again) = then {
                track.open(SpanKind::Backoff, *attempt, at, format!("until {again}"));
                track.status = NodeStatus::Waiting;
            }
        }
        Event::NodeInterrupted { attempt, .. } => {
            let from = track.spans.last().map_or(last_at, |span| span.from);
            let why = "its process ended".to_owned();
            track.end_attempt(SpanKind::CutOff, *attempt, from, last_at.max(from), why);
            track.status = NodeStatus::Pending;
        }
        Event::NodeCancelled { reason, .. } => {
            if let Some(span) = track.spans.last_mut().filter(|span| span.to.is_none()) {
                span.note = format!("cancelled, {}", reason.as_str());
                if span.kind == SpanKind::Run {
                    span.kind = SpanKind::CutOff;
                }
            }
            track.close(at);
            track.status = NodeStatus::Cancelled;
            track.note = reason.as_str().replace('_', " ");
        }
        Event::NodeSkipped { reason, .. } => {
            track.status = NodeStatus::Skipped;
            track.note = match reason {
                SkipReason::When => "its condition is false".to_owned(),
                SkipReason::Connections => "its connections are dead".to_owned(),
            };
        }
        Event::StopRequested { .. } => {
            track.end_attempt(SpanKind::Run, 1, at, at, String::new());
            track.status = NodeStatus::Succeeded;
            track.note = "ends the execution".to_owned();
        }
        _ => {}
    }
}

/// What a node waits for: `signal paid`, `until 2026-11-20T10:00:00.000Z`.
pub fn describe_wait(wait: &Wait, until: Option<Timestamp>) -> String {
    let until = until.map(|until| format!("until {until}"));
    let what = match wait {
        Wait::Time => return until.unwrap_or_default(),
        Wait::RateLimit { name } => format!("its turn, rate limit {name}"),
        Wait::Signal { name, key } => named("signal", name, key.as_deref()),
        Wait::Approval { name, key, .. } => named("approval", name, key.as_deref()),
    };
    until.map_or_else(|| what.clone(), |until| format!("{what}, {until}"))
}

fn named(what: &str, name: &str, key: Option<&str>) -> String {
    key.map_or_else(|| format!("{what} {name}"), |key| format!("{what} {name}, key {key}"))
}

/// What an attempt of a node was given, from the values on its ports.
pub(super) fn given(machine: &Machine, instance: Instance, now: Timestamp) -> Option<Given> {
    // An expression that failed gave nothing; the event says why.
    let prepared = machine.prepare(instance, now).ok()?;
    let plan = machine.plan();
    let names = plan.input_names(plan.graph().node(instance.node));
    let named = names.iter().zip(prepared.inputs());
    let entries = named.filter_map(|(name, value)| Some((name.as_str(), value.clone()?)));
    let inputs = Object::from_entries(entries).ok()?;
    Some(Given { inputs, config: prepared.config().cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn record(millis: i64, event: Event) -> Record {
        Record { seq: 2, at: at(millis), event }
    }

    const NODE: Instance = Instance { scope: ScopeId(0), node: 0 };

    fn started(attempt: u32) -> Event {
        Event::NodeStarted { instance: NODE, attempt, opens: None }
    }

    fn failed(attempt: u32, then: AfterFailure) -> Event {
        let error = NodeError::retryable("shell.exit", "it failed");
        let (outcome, started_at) = (FailureKind::Failed, at(0));
        Event::NodeFailed { instance: NODE, attempt, outcome, error, then, started_at }
    }

    #[test]
    fn attempts_waits_and_crashes_are_spans() {
        let mut track = Track::new("a", 1, "shell.exec");
        let events = [
            record(0, started(1)),
            record(10, failed(1, AfterFailure::Retry(at(20)))),
            record(20, Event::WaitEnded { instance: NODE }),
            record(20, started(2)),
            record(900, Event::NodeInterrupted { instance: NODE, attempt: 2 }),
            record(900, started(3)),
            record(950, failed(3, AfterFailure::Stop)),
        ];
        // The process that ended was heard of last at 30.
        events.iter().for_each(|record| apply_to(&mut track, record, at(30)));
        let spans: Vec<_> = track
            .spans
            .iter()
            .map(|span| {
                (span.kind, span.attempt, span.from.as_millis(), span.to.unwrap().as_millis())
            })
            .collect();
        let expected = [
            (SpanKind::Failed, 1, 0, 10),
            (SpanKind::Backoff, 1, 10, 20),
            (SpanKind::CutOff, 2, 20, 30),
            (SpanKind::Failed, 3, 900, 950),
        ];
        assert_eq!(spans, expected);
        assert_eq!((track.attempts(), track.status), (3, NodeStatus::Failed));
        assert_eq!((track.started_at(), track.ended_at()), (Some(at(0)), Some(at(950))));
    }
}
