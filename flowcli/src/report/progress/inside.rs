//! What happens inside of control nodes: counted at the control node, and listed only as far as
//! somebody can read it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use flowcore::{
    Event, ExecutionEvent, Instance, NodeEvent, NodeIndex, NodeMessage, NodeStatus, Opens, Part,
    Plan, Record, ScopeEnd, ScopeId,
};

use super::line;
use super::state::{MOST_TAIL, Row, State, cut};
use crate::report::human::grouped;

/// How many lines about what is inside of control nodes are shown, unless asked for more: enough for
/// a small loop, and few enough that ten thousand items do not hide everything else.
const MOST_LINES: usize = 100;
/// And when asked for more.
const MOST_VERBOSE_LINES: usize = 1_000;
/// How many of the last failures are remembered: the one that ended the execution is among the last.
const MOST_FAILURES: usize = 100;
/// How many failures that the execution went on without are remembered.
const MOST_TOLERATED: usize = 20;

/// What is inside of the control nodes of a workflow.
#[derive(Default)]
pub(super) struct Inside {
    /// The row in which each open scope is counted, and whether the row's node itself opened it.
    scopes: HashMap<ScopeId, (usize, bool)>,
    /// What the programs of nodes that run wrote last.
    tails: HashMap<Instance, VecDeque<String>>,
    failures: VecDeque<Failure>,
    tolerated: Vec<(String, String)>,
    pub(super) tolerated_count: usize,
    lines: usize,
}

/// A node inside of a control node that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Where it stands: `each[3].fetch`.
    pub(crate) address: String,
    /// Its index in the plan.
    pub(crate) node: NodeIndex,
    pub(crate) attempts: u32,
    pub(crate) took: Duration,
    /// The last lines that its programs wrote.
    pub(crate) tail: Vec<String>,
}

/// What a control node counts.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    kind: Kind,
    closed: usize,
    failed: usize,
    nodes: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Items(usize),
    Iteration(u32),
    Branches(usize),
    Part(&'static str),
    Call,
}

impl Counter {
    /// What a control node counts that opens these scopes.
    pub(super) fn new(opens: &Opens) -> Self {
        let kind = match opens {
            Opens::ForEach { items, .. } => Kind::Items(items.len()),
            Opens::Loop { .. } => Kind::Iteration(0),
            Opens::Race => Kind::Branches(0),
            Opens::Try => Kind::Part("body"),
            Opens::Call { .. } => Kind::Call,
        };
        Self { kind, closed: 0, failed: 0, nodes: 0 }
    }

    fn opened(&mut self, part: Part) {
        self.kind = match (part, self.kind) {
            (Part::Iteration(index), _) => Kind::Iteration(index + 1),
            (Part::Branch(_), Kind::Branches(count)) => Kind::Branches(count + 1),
            (Part::Body, _) => Kind::Part("body"),
            (Part::Catch, _) => Kind::Part("catch"),
            (Part::Finally, _) => Kind::Part("finally"),
            (Part::Workflow | Part::Item(_) | Part::Branch(_) | Part::Undo, kind) => kind,
        };
    }

    fn closed(&mut self, end: &ScopeEnd) {
        self.closed += 1;
        if matches!(end, ScopeEnd::Failed(_)) {
            self.failed += 1;
        }
    }

    /// How far it is: `37 of 10,000, 2 failed`.
    pub(super) fn progress(&self) -> String {
        let nodes = || match self.nodes {
            0 => String::new(),
            1 => "1 node done".to_owned(),
            nodes => format!("{} nodes done", grouped(nodes)),
        };
        match self.kind {
            Kind::Items(all) => {
                let (closed, all) = (grouped(self.closed), grouped(all));
                format!("{closed} of {all}{}", self.failures())
            }
            Kind::Iteration(0) => String::new(),
            Kind::Iteration(number) => format!("iteration {}", grouped(number as usize)),
            Kind::Branches(count) => format!("{}{}", many(count, "branch"), self.failures()),
            Kind::Part("body") => nodes(),
            Kind::Part(part) => part.to_owned(),
            Kind::Call => nodes(),
        }
    }

    /// How much it was: `10,000 items, 2 failed`.
    pub(super) fn total(&self) -> String {
        match self.kind {
            Kind::Items(all) => format!("{}{}", many(all, "item"), self.failures()),
            Kind::Iteration(count) => many(count as usize, "iteration"),
            Kind::Part("catch") => "after a failure".to_owned(),
            Kind::Branches(_) | Kind::Part(_) | Kind::Call => String::new(),
        }
    }

    fn failures(&self) -> String {
        match self.failed {
            0 => String::new(),
            failed => format!(", {} failed", grouped(failed)),
        }
    }
}

/// `1 item`, `10,000 items`, `3 branches`.
fn many(count: usize, thing: &str) -> String {
    let plural = if thing.ends_with("ch") { "es" } else { "s" };
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { plural })
}

impl Inside {
    /// The failure of the node at an address.
    pub(super) fn failure(&self, address: &str) -> Option<&Failure> {
        self.failures.iter().rev().find(|failure| failure.address == address)
    }

    /// Where nodes failed that the execution went on without, and why.
    pub(super) fn tolerated(&self) -> &[(String, String)] {
        &self.tolerated
    }

    fn fail(&mut self, failure: Failure) {
        if self.failures.len() == MOST_FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(failure);
    }
}

impl State {
    /// Whether a node stands inside of a control node.
    pub(super) fn is_inside(&self, instance: Instance) -> bool {
        instance.node as usize >= self.rows.len()
    }

    pub(super) fn open_scope(&mut self, scope: ScopeId, opener: Instance, part: Part) {
        let place = match self.inside.scopes.get(&opener.scope) {
            Some(&(row, _)) => (row, false),
            None if self.is_inside(opener) => return,
            None => (opener.node as usize, true),
        };
        self.inside.scopes.insert(scope, place);
        if let (row, true) = place
            && let Some(counter) = &mut self.rows[row].counter
        {
            counter.opened(part);
        }
    }

    pub(super) fn close_scope(&mut self, scope: ScopeId, end: &ScopeEnd) {
        if let Some((row, true)) = self.inside.scopes.remove(&scope)
            && let Some(counter) = &mut self.rows[row].counter
        {
            counter.closed(end);
        }
    }

    /// A called workflow starts again in another scope. Gives whether it was one that is called.
    pub(super) fn replace_scope(&mut self, after: ScopeId, scope: ScopeId) -> bool {
        let place = self.inside.scopes.remove(&after);
        place.is_some_and(|place| self.inside.scopes.insert(scope, place).is_none())
    }

    /// Something happened to a node inside of a control node.
    pub(super) fn apply_inside(
        &mut self,
        instance: Instance,
        event: &ExecutionEvent,
        record: &Record,
        now: Instant,
    ) {
        let address = event.node_id().unwrap_or_default();
        let mut row = Row::inside(address, instance, event.plan(), now);
        row.apply(record, now);
        let has_ended = row.has_ended();
        if has_ended
            && let Some(&(place, _)) = self.inside.scopes.get(&instance.scope)
            && let Some(counter) = &mut self.rows[place].counter
        {
            counter.nodes += 1;
        }
        let starts_again = matches!(record.event, Event::NodeStarted { .. });
        let tail = if has_ended || starts_again {
            self.inside.tails.remove(&instance).unwrap_or_default()
        } else {
            VecDeque::new()
        };
        if row.status == NodeStatus::Failed {
            if row.is_tolerated {
                self.inside.tolerated_count += 1;
                if self.inside.tolerated.len() < MOST_TOLERATED {
                    self.inside.tolerated.push((row.id.clone(), row.note.clone()));
                }
            }
            self.inside.fail(Failure {
                address: address.to_owned(),
                node: instance.node,
                attempts: row.attempt,
                took: row.took.unwrap_or_default(),
                tail: tail.into(),
            });
        }
        // What is undone, people want to hear of.
        let undoes = event.plan().undoes(instance.node) && has_ended;
        let is_wanted = self.detail.statuses
            && (self.detail.starts
                || row.status == NodeStatus::Failed
                || row.waits_for_somebody()
                || undoes);
        if is_wanted && let Some(line) = line::status(&row, &record.event) {
            self.say_inside(line);
        }
    }

    /// Takes a message of a node inside of a control node.
    pub(super) fn hear_inside(&mut self, event: &ExecutionEvent, message: &NodeMessage) {
        let address = event.node_id().unwrap_or_default();
        let is_warning = matches!(message.event, NodeEvent::Warning { .. });
        let (text, wanted) = match &message.event {
            NodeEvent::Info { message } | NodeEvent::Warning { message } => {
                (message, self.detail.messages)
            }
            NodeEvent::StdoutLine { line } | NodeEvent::StderrLine { line } => {
                let tail = self.inside.tails.entry(message.instance).or_default();
                if tail.len() == MOST_TAIL {
                    tail.pop_front();
                }
                tail.push_back(cut(line));
                (line, self.detail.programs)
            }
            _ => return,
        };
        if wanted {
            let row = Row::inside(address, message.instance, event.plan(), Instant::now());
            self.say_inside(line::message(&row, text, is_warning));
        }
    }

    /// Says something about what is inside of a control node, unless enough was said.
    fn say_inside(&mut self, line: String) {
        let most = if self.detail.starts { MOST_VERBOSE_LINES } else { MOST_LINES };
        self.inside.lines += 1;
        if self.inside.lines <= most {
            self.say(line);
        } else if self.inside.lines == most + 1 {
            self.say(line::enough_inside());
        }
    }
}

impl Row {
    /// A row for one line about a node inside of a control node.
    fn inside(address: &str, instance: Instance, plan: &Plan, now: Instant) -> Self {
        let policy = plan.spec(instance.node).retry_policy.as_ref();
        Self::new(address, policy.map_or(1, |policy| policy.max_attempts), now)
    }
}

#[cfg(test)]
mod tests {
    use flowcore::{ExecutionError, Value};

    use super::*;

    fn counter(opens: &Opens, parts: &[Part], failed: usize, closed: usize) -> [String; 2] {
        let mut counter = Counter::new(opens);
        parts.iter().for_each(|part| counter.opened(*part));
        let (code, message) = ("a.b".to_owned(), "no".to_owned());
        let error = ExecutionError { code, message, node: None, attempts: None, hint: None };
        (0..failed).for_each(|_| counter.closed(&ScopeEnd::Failed(error.clone())));
        (failed..closed).for_each(|_| counter.closed(&ScopeEnd::Succeeded(Value::Null)));
        [counter.progress(), counter.total()]
    }

    #[test]
    fn control_nodes_count() {
        let items = flowcore::Array::from_values((0..10_000).map(Value::from)).unwrap();
        let on_item_error = flowcore::OnItemError::Skip;
        let each = Opens::ForEach { items, max_concurrency: 2, on_item_error };
        let parts = [Part::Item(0), Part::Item(1)];
        assert_eq!(counter(&each, &parts, 0, 37), ["37 of 10,000", "10,000 items"]);
        let failed = ["37 of 10,000, 2 failed", "10,000 items, 2 failed"];
        assert_eq!(counter(&each, &parts, 2, 37), failed);
        let repeat = Opens::Loop { state: Value::Null, max_iterations: 9 };
        assert_eq!(counter(&repeat, &[], 0, 0), ["", "0 iterations"]);
        let third = [Part::Iteration(0), Part::Iteration(1), Part::Iteration(2)];
        assert_eq!(counter(&repeat, &third, 0, 2), ["iteration 3", "3 iterations"]);
        let branches = [Part::Branch(0), Part::Branch(1)];
        assert_eq!(counter(&Opens::Race, &branches, 1, 1), ["2 branches, 1 failed", ""]);
        assert_eq!(counter(&Opens::Try, &[Part::Body], 0, 0), ["", ""]);
        let caught = [Part::Body, Part::Catch];
        assert_eq!(counter(&Opens::Try, &caught, 1, 1), ["catch", "after a failure"]);
    }
}
