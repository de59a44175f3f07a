//! What a watch knows about an execution.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use flowcore::{
    AfterFailure, CacheUse, Event, EventBody, ExecutionEvent, ExecutionStatus, Instance, NodeEvent,
    NodeMessage, NodeStatus, Plan, Record, SkipReason, Wait,
};

use super::inside::{Counter, Inside};
use super::waiting::{Givers, Waiting};
use super::{line, moment};
use crate::report::human::clean;

/// How many lines may wait for the terminal; beyond it the oldest are lost, and counted.
const MOST_LINES: usize = 4096;
/// How many of the last lines of a node's programs are kept.
pub(super) const MOST_TAIL: usize = 10;
/// The shortest wait that is more than a pause.
const LONG_WAIT: Duration = Duration::from_secs(60);
/// Of a node whose result was kept from an earlier attempt.
const CACHED: &str = "cached";
/// Of a node that has the result of the execution that is run again.
const KEPT: &str = "kept from before";
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
    /// Nothing is to be shown for now.
    pub(super) is_held: bool,
    /// What is to be said and was not yet.
    pub(super) lines: VecDeque<String>,
    lost: usize,
    pub(super) detail: Detail,
    pub(super) inside: Inside,
    pub(super) waiting: Waiting,
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
    /// When it is tried again, or has waited long enough.
    pub(super) again_at: Option<Instant>,
    /// What it waits for, if it is a node that waits.
    pub(super) waits: Option<Waits>,
    /// What it counts, if it is a control node that holds others.
    pub(super) counter: Option<Counter>,
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

/// What a node waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// A moment.
    Time,
    /// A signal or an approval.
    Somebody,
}

impl State {
    pub(super) fn new(plan: &Plan, detail: Detail, givers: Givers) -> Self {
        let workflow = plan.workflow();
        let name = workflow.name.clone().unwrap_or_else(|| plan.workflow_id().to_string());
        let started = Instant::now();
        let rows = workflow.nodes.iter().map(|node| {
            let most_attempts = node.retry_policy.as_ref().map_or(1, |policy| policy.max_attempts);
            Row::new(node.id.as_str(), most_attempts, started)
        });
        Self {
            name: clean(&name),
            rows: rows.collect(),
            started,
            ended_as: None,
            cancelling: false,
            ended: false,
            is_held: false,
            lines: VecDeque::new(),
            lost: 0,
            detail,
            inside: Inside::default(),
            waiting: Waiting::new(givers),
            ends: 0,
        }
    }

    /// The lines so far, and how many were lost before them.
    pub(super) fn take_lines(&mut self) -> Vec<String> {
        let lost = std::mem::take(&mut self.lost);
        let lost = (lost > 0).then(|| line::lost(lost));
        lost.into_iter().chain(self.lines.drain(..)).collect()
    }

    /// Takes events of which nobody wants to hear any more.
    pub(super) fn catch_up(&mut self, events: &[ExecutionEvent], now: Instant) {
        let detail = Detail { statuses: false, starts: false, messages: false, programs: false };
        let detail = std::mem::replace(&mut self.detail, detail);
        // Of waits that are over, nobody needs to hear how to end them.
        let mut ends: HashMap<Instance, u64> = HashMap::new();
        for record in events.iter().filter_map(record_of) {
            if let Event::NodeCompleted { instance, .. }
            | Event::NodeFailed { instance, .. }
            | Event::NodeCancelled { instance, .. } = &record.event
            {
                ends.insert(*instance, record.seq);
            }
        }
        for event in events {
            let Some(record) = record_of(event) else { continue };
            self.apply_fact(event, record, now);
            let end = record.event.instance().and_then(|instance| ends.get(&instance));
            if end.is_none_or(|end| *end < record.seq) {
                self.note_waiting(event, record);
            }
        }
        self.detail = detail;
    }

    /// How many nodes have ended, one way or another.
    pub(super) fn ended_nodes(&self) -> usize {
        self.rows.iter().filter(|row| row.has_ended()).count()
    }

    pub(super) fn say(&mut self, line: String) {
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
            self.lost += 1;
        }
        self.lines.push_back(line);
    }

    /// Takes the next event. Gives whether other approvals are to be asked for than before.
    pub(super) fn apply(&mut self, event: &ExecutionEvent, now: Instant) -> bool {
        match &event.body {
            EventBody::Fact(record) => {
                self.apply_fact(event, record, now);
                return self.note_waiting(event, record);
            }
            EventBody::Message(message) if self.is_inside(message.instance) => {
                self.hear_inside(event, message);
            }
            EventBody::Message(message) => self.hear(message),
        }
        false
    }

    fn apply_fact(&mut self, event: &ExecutionEvent, record: &Record, now: Instant) {
        match &record.event {
            Event::WorkflowCompleted { status, .. } => {
                self.ended_as = Some((*status, now));
                self.ended = true;
            }
            Event::CancelRequested { instance: None, .. } => self.cancelling = true,
            Event::RoundStarted { round, scope, after } => {
                if !self.replace_scope(*after, *scope) {
                    self.start_round(*round, now);
                }
            }
            Event::Paused { reason, by, .. } => {
                self.say_if_wanted(line::paused(*reason, event.node_id(), by.as_deref()))
            }
            Event::Resumed { by } => self.say_if_wanted(line::resumed(by.as_deref())),
            Event::Recovered { interrupted, .. } => {
                self.say_if_wanted(line::recovered(*interrupted));
            }
            Event::ScopeOpened { scope, opener, part } => self.open_scope(*scope, *opener, *part),
            Event::ScopeClosed { scope, end } => self.close_scope(*scope, end),
            // What follows from them has events of its own.
            Event::CancelRequested { .. } | Event::SignalReceived { .. } => {}
            fact => match fact.instance() {
                Some(inner) if self.is_inside(inner) => {
                    self.apply_inside(inner, event, record, now);
                }
                Some(instance) => self.apply_to_node(instance, record, now),
                None => {}
            },
        }
    }

    fn say_if_wanted(&mut self, line: String) {
        if self.detail.messages {
            self.say(line);
        }
    }

    fn start_round(&mut self, round: u32, now: Instant) {
        for row in &mut self.rows {
            row.status = NodeStatus::Pending;
            row.since = now;
            row.attempt = 0;
            row.took = None;
            row.waits = None;
            row.counter = None;
            row.note.clear();
            row.heard = (0, 0);
            row.is_tolerated = false;
        }
        self.tell(line::round(round));
    }

    /// Says what happens to the whole execution, unless that is too much.
    fn tell(&mut self, line: String) {
        if self.detail.statuses {
            self.say(line);
        }
    }

    fn apply_to_node(&mut self, instance: Instance, record: &Record, now: Instant) {
        self.ends += 1;
        let ends = self.ends;
        let Some(row) = self.rows.get_mut(instance.node as usize) else { return };
        row.since = now;
        row.end = ends;
        row.apply(record, now);
        let wanted = match &record.event {
            Event::NodeStarted { .. } => self.detail.starts,
            Event::NodeWaiting { .. } => {
                self.detail.statuses && (self.detail.starts || row.is_worth_a_line(now))
            }
            _ => self.detail.statuses,
        };
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

fn record_of(event: &ExecutionEvent) -> Option<&Record> {
    match &event.body {
        EventBody::Fact(record) => Some(record),
        EventBody::Message(_) => None,
    }
}

/// A text from a node, harmless and not too long.
pub(super) fn cut(text: &str) -> String {
    clean(text).chars().take(MOST_LETTERS).collect()
}

impl Row {
    pub(super) fn new(id: &str, most_attempts: u32, now: Instant) -> Self {
        Self {
            id: id.to_owned(),
            status: NodeStatus::Pending,
            attempt: 0,
            most_attempts,
            since: now,
            took: None,
            again_at: None,
            waits: None,
            counter: None,
            note: String::new(),
            tail: VecDeque::new(),
            heard: (0, 0),
            is_tolerated: false,
            end: 0,
        }
    }

    /// Whether it waits for a signal or an approval.
    pub(super) fn waits_for_somebody(&self) -> bool {
        self.status == NodeStatus::Waiting && self.waits == Some(Waits::Somebody)
    }

    /// Whether its wait is one that people want to hear of: not a short pause.
    fn is_worth_a_line(&self, now: Instant) -> bool {
        let left = self.again_at.map(|at| at.saturating_duration_since(now));
        self.waits == Some(Waits::Somebody) || left.is_some_and(|left| left >= LONG_WAIT)
    }

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

    pub(super) fn apply(&mut self, record: &Record, now: Instant) {
        match &record.event {
            Event::NodeStarted { attempt, opens, .. } => {
                self.status = NodeStatus::Running;
                self.attempt = *attempt;
                self.counter = opens.as_deref().map(Counter::new);
                self.note.clear();
                self.tail.clear();
            }
            Event::NodeCompleted { attempt, started_at, cache, kept, .. } => {
                self.status = NodeStatus::Succeeded;
                self.attempt = *attempt;
                self.took = (!kept).then(|| record.at.since(*started_at));
                self.note = match (kept, cache) {
                    (true, _) => KEPT.to_owned(),
                    (false, Some(CacheUse::Hit)) => CACHED.to_owned(),
                    (false, Some(CacheUse::Miss) | None) => String::new(),
                };
                self.tail.clear();
            }
            Event::NodeFailed { attempt, error, then, started_at, .. } => {
                self.attempt = *attempt;
                self.took = Some(record.at.since(*started_at));
                self.note = cut(&format!("{error} [{}]", error.code()));
                self.is_tolerated = *then == AfterFailure::Continue;
                self.status = NodeStatus::Failed;
                self.waits = None;
                if let AfterFailure::Retry(at) = then {
                    self.status = NodeStatus::Waiting;
                    self.again_at = Some(now + at.since(record.at));
                }
            }
            Event::NodeWaiting { attempt, until, wait, .. } => {
                self.status = NodeStatus::Waiting;
                self.attempt = *attempt;
                self.again_at = until.map(|until| now + until.since(record.at));
                self.waits = Some(match wait {
                    Wait::Time | Wait::RateLimit { .. } => Waits::Time,
                    Wait::Signal { .. } | Wait::Approval { .. } => Waits::Somebody,
                });
                self.note = match (wait, until) {
                    (Wait::Time, Some(until)) if until.since(record.at) >= LONG_WAIT => {
                        format!("until {}", moment::local(*until, record.at))
                    }
                    (Wait::Time, _) => String::new(),
                    (Wait::RateLimit { name }, _) => {
                        cut(&format!("for its turn, rate limit {name}"))
                    }
                    (Wait::Signal { name, .. }, _) => cut(&format!("signal {name}")),
                    (Wait::Approval { .. }, _) => "approval".to_owned(),
                };
            }
            Event::StopRequested { reason, .. } => {
                self.status = NodeStatus::Succeeded;
                self.note = match reason {
                    Some(reason) => cut(&format!("ends the execution: {reason}")),
                    None => "ends the execution".to_owned(),
                };
            }
            Event::WaitEnded { .. } | Event::NodeInterrupted { .. } => {
                self.status = NodeStatus::Pending;
            }
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
    use flowcore::{NodeSpec, PauseReason, ScopeId, SharedPlan, Timestamp, Workflow};

    use super::*;

    fn state() -> State {
        let detail = Detail { statuses: true, starts: true, messages: true, programs: true };
        State::new(&plan(), detail, Givers::default())
    }

    fn plan() -> SharedPlan {
        let mut registry = flowcore::NodeRegistry::new();
        flownodes::register_all(&mut registry);
        let mut workflow = Workflow::new("w");
        workflow.add_node(NodeSpec::new("a", "debug.log").config_value("message", 1));
        flowcore::compile(&workflow, &registry).plan.unwrap()
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

    #[test]
    fn pauses_crashes_and_results_from_before_are_said() {
        let mut state = state();
        let instance = Instance { scope: ScopeId(0), node: 0 };
        let at = Timestamp::from_millis(0);
        let id = "019ad1a2-0000-7000-8000-000000000000".parse().unwrap();
        let kept = Event::NodeCompleted {
            instance,
            attempt: 0,
            outputs: flowcore::NodeOutput::new(),
            state_writes: flowcore::Object::new(),
            started_at: at,
            cache: None,
            kept: true,
            changes: None,
            undo: None,
        };
        let events = [
            Event::Paused { reason: PauseReason::Requested, by: None, node: None, dump: None },
            Event::Resumed { by: None },
            Event::Recovered { fence: 2, interrupted: 1 },
            Event::NodeInterrupted { instance, attempt: 1 },
            Event::Paused {
                reason: PauseReason::CrashLoop,
                by: None,
                node: Some(instance),
                dump: None,
            },
            kept,
        ];
        for (seq, event) in (1..).zip(events) {
            let record = Record { seq, at, event };
            state.apply(&ExecutionEvent::fact(id, plan(), record), Instant::now());
        }
        let lines = state.take_lines();
        let lines: Vec<String> =
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        let expected = [
            "paused",
            "resumed",
            "goes on here, 1 attempt cut off",
            "paused after crash upon crash: look at node `a`",
            "a: succeeded, kept from before",
        ];
        assert_eq!(lines, expected);
    }
}
