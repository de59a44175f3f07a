//! What a watch knows about an execution.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use flowcore::{
    AfterFailure, Event, EventBody, ExecutionEvent, ExecutionStatus, Instance, NodeEvent,
    NodeMessage, NodeStatus, Plan, Record, SkipReason,
};

use super::line;
use crate::report::human::clean;

/// How many lines may wait for the terminal; beyond it the oldest are lost, and counted.
const MOST_LINES: usize = 4096;
/// How many of the last lines of a node's programs are kept.
const MOST_TAIL: usize = 10;
/// The longest line that is kept, in characters.
const MOST_LETTERS: usize = 400;

/// What lines say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail {
    /// How nodes end.
    pub(crate) statuses: bool,
    /// When nodes start.
    pub(crate) starts: bool,
    /// What nodes have to say.
    pub(crate) messages: bool,
    /// What programs write.
    pub(crate) programs: bool,
}

/// What a watch knows about an execution.
pub(super) struct State {
    pub(super) name: String,
    pub(super) rows: Vec<Row>,
    pub(super) started: Instant,
    pub(super) ended_as: Option<(ExecutionStatus, Instant)>,
    pub(super) cancelling: bool,
    /// There will be no more events.
    pub(super) ended: bool,
    /// What is to be said and was not yet.
    pub(super) lines: VecDeque<String>,
    lost: usize,
    detail: Detail,
    /// Counts the ends of nodes.
    ends: u64,
}

/// A node.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) status: NodeStatus,
    pub(super) attempt: u32,
    pub(super) most_attempts: u32,
    /// When it began to be what it is.
    pub(super) since: Instant,
    pub(super) took: Option<Duration>,
    /// When it is tried again.
    pub(super) again_at: Option<Instant>,
    /// What it said last, or why it ended so.
    pub(super) note: String,
    pub(super) tail: VecDeque<String>,
    /// The attempt that spoke last, and how many messages of it there were.
    heard: (u32, u64),
    /// It failed, and the execution went on without it.
    pub(super) is_tolerated: bool,
    /// How many nodes ended before it.
    pub(super) end: u64,
}

impl State {
    pub(super) fn new(plan: &Plan, detail: Detail) -> Self {
        let workflow = plan.workflow();
        let name = workflow.name.clone().unwrap_or_else(|| plan.workflow_id().to_string());
        let started = Instant::now();
        let rows = workflow.nodes.iter().map(|node| Row {
            id: node.id.to_string(),
            status: NodeStatus::Pending,
            attempt: 0,
            most_attempts: node.retry_policy.as_ref().map_or(1, |policy| policy.max_attempts),
            since: started,
            took: None,
            again_at: None,
            note: String::new(),
            tail: VecDeque::new(),
            heard: (0, 0),
            is_tolerated: false,
            end: 0,
        });
        Self {
            name: clean(&name),
            rows: rows.collect(),
            started,
            ended_as: None,
            cancelling: false,
            ended: false,
            lines: VecDeque::new(),
            lost: 0,
            detail,
            ends: 0,
        }
    }

    /// The lines so far, and how many were lost before them.
    pub(super) fn take_lines(&mut self) -> Vec<String> {
        let lost = std::mem::take(&mut self.lost);
        let lost = (lost > 0).then(|| line::lost(lost));
        lost.into_iter().chain(self.lines.drain(..)).collect()
    }

    /// How many nodes have ended, one way or another.
    pub(super) fn ended_nodes(&self) -> usize {
        self.rows.iter().filter(|row| row.has_ended()).count()
    }

    fn say(&mut self, line: String) {
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
            self.lost += 1;
        }
        self.lines.push_back(line);
    }

    /// Takes the next event.
    pub(super) fn apply(&mut self, event: &ExecutionEvent, now: Instant) {
        match &event.body {
            EventBody::Fact(record) => self.apply_fact(record, now),
            EventBody::Message(message) => self.hear(message),
        }
    }

    fn apply_fact(&mut self, record: &Record, now: Instant) {
        match &record.event {
            Event::WorkflowCompleted { status, .. } => {
                self.ended_as = Some((*status, now));
                self.ended = true;
            }
            Event::CancelRequested { instance: None, .. } => self.cancelling = true,
            Event::RoundStarted { round, .. } => self.start_round(*round, now),
            event => {
                if let Some(instance) = event.instance() {
                    self.apply_to_node(instance, record, now);
                }
            }
        }
    }

    fn start_round(&mut self, round: u32, now: Instant) {
        for row in &mut self.rows {
            row.status = NodeStatus::Pending;
            row.since = now;
            row.attempt = 0;
            row.took = None;
            row.note.clear();
            row.heard = (0, 0);
            row.is_tolerated = false;
        }
        if self.detail.statuses {
            self.say(line::round(round));
        }
    }

    fn apply_to_node(&mut self, instance: Instance, record: &Record, now: Instant) {
        self.ends += 1;
        let ends = self.ends;
        let Some(row) = self.rows.get_mut(instance.node as usize) else { return };
        row.since = now;
        row.end = ends;
        let is_start = matches!(record.event, Event::NodeStarted { .. });
        row.apply(record, now);
        let wanted = if is_start { self.detail.starts } else { self.detail.statuses };
        if wanted && let Some(line) = line::status(row, &record.event) {
            self.say(line);
        }
    }

    /// Takes a message of a node.
    fn hear(&mut self, message: &NodeMessage) {
        let Some(row) = self.rows.get_mut(message.instance.node as usize) else { return };
        let detail = self.detail;
        let missed = row.count(message);
        let gap = (missed > 0 && detail.programs).then(|| line::missed(row, missed));
        let line = match &message.event {
            NodeEvent::Info { message: text } | NodeEvent::Warning { message: text } => {
                row.note = cut(text);
                let is_warning = matches!(message.event, NodeEvent::Warning { .. });
                detail.messages.then(|| line::message(row, text, is_warning))
            }
            NodeEvent::Progress { fraction, message } => {
                let percent = format!("{:.0} %", fraction.clamp(0.0, 1.0) * 100.0);
                let message = message.as_deref().unwrap_or_default();
                row.note = cut(format!("{percent} {message}").trim_end());
                None
            }
            NodeEvent::StdoutLine { line } | NodeEvent::StderrLine { line } => {
                row.note = cut(line);
                row.keep(line);
                detail.programs.then(|| line::message(row, line, false))
            }
            _ => None,
        };
        for line in gap.into_iter().chain(line) {
            self.say(line);
        }
    }
}

/// A text from a node, harmless and not too long.
pub(super) fn cut(text: &str) -> String {
    clean(text).chars().take(MOST_LETTERS).collect()
}

impl Row {
    pub(super) fn has_ended(&self) -> bool {
        match self.status {
            NodeStatus::Succeeded
            | NodeStatus::Failed
            | NodeStatus::Skipped
            | NodeStatus::Cancelled => true,
            NodeStatus::Pending | NodeStatus::Running | NodeStatus::Waiting => false,
        }
    }

    /// Notes that there was a message; gives how many before it were lost on their way.
    fn count(&mut self, message: &NodeMessage) -> u64 {
        let (attempt, number) = self.heard;
        let before = if attempt == message.attempt { number } else { 0 };
        self.heard = (message.attempt, message.number);
        let missed = message.number.saturating_sub(before + 1);
        if missed > 0 {
            // The last lines are those that followed each other.
            self.tail.clear();
        }
        missed
    }

    fn keep(&mut self, line: &str) {
        if self.tail.len() == MOST_TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(cut(line));
    }

    fn apply(&mut self, record: &Record, now: Instant) {
        match &record.event {
            Event::NodeStarted { attempt, .. } => {
                self.status = NodeStatus::Running;
                self.attempt = *attempt;
                self.note.clear();
                self.tail.clear();
            }
            Event::NodeCompleted { attempt, started_at, .. } => {
                self.status = NodeStatus::Succeeded;
                self.attempt = *attempt;
                self.took = Some(record.at.since(*started_at));
                self.note.clear();
                self.tail.clear();
            }
            Event::NodeFailed { attempt, error, then, started_at, .. } => {
                self.attempt = *attempt;
                self.took = Some(record.at.since(*started_at));
                self.note = cut(&format!("{error} [{}]", error.code()));
                self.is_tolerated = *then == AfterFailure::Continue;
                self.status = NodeStatus::Failed;
                if let AfterFailure::Retry(at) = then {
                    self.status = NodeStatus::Waiting;
                    self.again_at = Some(now + at.since(record.at));
                }
            }
            Event::WaitEnded { .. } => self.status = NodeStatus::Pending,
            Event::NodeSkipped { reason, .. } => {
                self.status = NodeStatus::Skipped;
                self.note = match reason {
                    SkipReason::When => "its condition is false".to_owned(),
                    SkipReason::Connections => "its connections are dead".to_owned(),
                };
            }
            Event::NodeCancelled { reason, .. } => {
                self.status = NodeStatus::Cancelled;
                self.note = reason.as_str().replace('_', " ");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use flowcore::{NodeSpec, ScopeId, Timestamp, Workflow};

    use super::*;

    fn state() -> State {
        let mut registry = flowcore::NodeRegistry::new();
        flownodes::register_all(&mut registry);
        let mut workflow = Workflow::new("w");
        workflow.add_node(NodeSpec::new("a", "debug.log").config_value("message", 1));
        let plan = flowcore::compile(&workflow, &registry).plan.unwrap();
        let detail = Detail { statuses: true, starts: true, messages: true, programs: true };
        State::new(&plan, detail)
    }

    fn hear(state: &mut State, line: &str) {
        let (attempt, number) = state.rows[0].heard;
        hear_number(state, attempt.max(1), number + 1, line);
    }

    fn hear_number(state: &mut State, attempt: u32, number: u64, line: &str) {
        state.hear(&NodeMessage {
            instance: Instance { scope: ScopeId(0), node: 0 },
            attempt,
            number,
            after_seq: 1,
            at: Timestamp::from_millis(0),
            event: NodeEvent::StdoutLine { line: line.to_owned() },
        });
    }

    #[test]
    fn lines_that_are_too_many_are_lost_and_counted() {
        let mut state = state();
        for number in 0..MOST_LINES + 3 {
            hear(&mut state, &number.to_string());
        }
        let lines = state.take_lines();
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert!(lines[0].contains("3 lines lost"), "{}", lines[0]);
        assert!(lines[1].ends_with(": 3"), "{}", lines[1]);
        assert!(state.take_lines().is_empty());
    }

    #[test]
    fn the_last_lines_are_kept_and_harmless() {
        let mut state = state();
        (0..20).for_each(|number| hear(&mut state, &format!("\u{1b}[2J{number}")));
        hear(&mut state, &"x".repeat(100_000));
        let tail = &state.rows[0].tail;
        assert_eq!((tail.len(), &*tail[0]), (MOST_TAIL, "\u{fffd}[2J11"));
        assert_eq!(tail[9].len(), MOST_LETTERS);
    }

    #[test]
    fn messages_that_were_lost_on_their_way_are_counted() {
        let mut state = state();
        hear_number(&mut state, 1, 1, "first");
        hear_number(&mut state, 1, 5, "fifth");
        hear_number(&mut state, 2, 1, "again");
        hear_number(&mut state, 2, 2, "and again");
        hear_number(&mut state, 3, 3, "third");
        let lines = state.take_lines();
        let lines: Vec<String> =
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        let expected = [
            "a: first",
            "a: 3 messages lost here: it says more than can be taken",
            "a: fifth",
            "a: again",
            "a: and again",
            "a: 2 messages lost here: it says more than can be taken",
            "a: third",
        ];
        assert_eq!(lines, expected);
        assert_eq!(state.rows[0].tail, ["third"], "what was before the gap is not the last");
    }
}
