//! What the events of an execution say, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::machine::{ExecutionStatus, HistoryLimits, Machine, MachineOptions};
use flowcore::{
    AfterFailure, Event, EventBody, ExecutionEvent, ExecutionResult, Instance, Join, NodeOutput,
    Record, ScopeId, Secrets, SkipReason,
};

use crate::nodes::OUTPUTS;
use crate::script::{Case, Key, Leaves, Link};

/// Reads the events of an execution, from the first to the last.
pub(crate) struct Story<'a> {
    case: &'a Case,
    links: Vec<Link>,
    scope: ScopeId,
    rounds: u32,
    attempts: BTreeMap<Instance, u32>,
    /// Attempts of nodes that are not inline.
    running: BTreeSet<Instance>,
    ended: BTreeMap<Instance, Ended>,
    status: Option<ExecutionStatus>,
}

/// How a node came to its end.
enum Ended {
    Succeeded(NodeOutput),
    Handled,
    Otherwise,
}

/// Checks the events of an execution, and that they tell the same as its result.
pub(crate) fn check(case: &Case, events: &[ExecutionEvent], result: &ExecutionResult) {
    let mut story = Story {
        case,
        links: case.all_links(),
        scope: ScopeId(0),
        rounds: 1,
        attempts: BTreeMap::new(),
        running: BTreeSet::new(),
        ended: BTreeMap::new(),
        status: None,
    };
    let mut folded = machine(result, events[0].plan());
    for (seq, event) in (1..).zip(events) {
        assert_eq!(event.seq(), Some(seq), "the numbers have no gap");
        let EventBody::Fact(record) = &event.body else { panic!("a journal keeps facts") };
        assert!(story.status.is_none(), "after the end: {record:?}");
        story.read(record);
        folded.apply(Record::clone(record)).unwrap();
    }
    assert_eq!(story.status, Some(result.status), "the last event is the end");
    assert_eq!(story.rounds, result.rounds);
    let told = folded.into_result().expect("it has ended");
    assert_eq!(format!("{told:?}"), format!("{result:?}"));
    for (told, seen) in told.nodes().zip(result.nodes()) {
        assert_eq!((told.status, told.attempts), (seen.status, seen.attempts), "{}", told.id);
    }
}

fn machine(result: &ExecutionResult, plan: &flowcore::SharedPlan) -> Machine {
    let options = MachineOptions {
        execution_id: result.execution_id,
        secrets: Secrets::default(),
        keep_outputs: false,
        history: HistoryLimits::default(),
    };
    Machine::new(plan.clone(), options)
}

impl Story<'_> {
    fn read(&mut self, record: &Record) {
        assert_eq!(matches!(record.event, Event::WorkflowStarted { .. }), record.seq == 1);
        match &record.event {
            Event::NodeStarted { instance, attempt, .. } => {
                self.begin(*instance, *attempt);
                self.running.insert(*instance);
                let most = self.case.max_parallel.unwrap_or(u32::MAX);
                assert!(self.running.len() <= most as usize, "too many run: {record:?}");
            }
            Event::NodeCompleted { instance, attempt, outputs, .. } => {
                self.end_attempt(*instance, *attempt);
                self.end(*instance, Ended::Succeeded(outputs.clone()));
            }
            Event::NodeFailed { instance, attempt, then, .. } => {
                self.end_attempt(*instance, *attempt);
                match then {
                    AfterFailure::Retry(_) => {}
                    AfterFailure::ErrorPort => self.end(*instance, Ended::Handled),
                    AfterFailure::Continue
                    | AfterFailure::Stop
                    | AfterFailure::NewRound
                    | AfterFailure::Ending => self.end(*instance, Ended::Otherwise),
                }
            }
            Event::NodeSkipped { instance, reason } => {
                assert!(!self.attempts.contains_key(instance), "it has run: {record:?}");
                let may_run = self.may_run(*instance);
                assert_eq!(may_run, Some(*reason == SkipReason::When), "{record:?}");
                self.end(*instance, Ended::Otherwise);
            }
            Event::NodeCancelled { instance, .. } => {
                self.running.remove(instance);
                self.end(*instance, Ended::Otherwise);
            }
            Event::RoundStarted { round, scope, .. } => {
                assert!(self.running.is_empty(), "a round follows when nothing runs any more");
                self.rounds += 1;
                assert_eq!(*round, self.rounds);
                self.scope = *scope;
            }
            Event::WorkflowCompleted { status, .. } => {
                assert!(self.running.is_empty(), "it ends when nothing runs any more");
                self.status = Some(*status);
            }
            _ => {}
        }
    }

    /// An attempt starts when the connections of its node say so, one after another.
    fn begin(&mut self, instance: Instance, attempt: u32) {
        assert_eq!(instance.scope, self.scope, "it belongs to another round");
        assert!(!self.ended.contains_key(&instance), "it has ended: {instance:?}");
        assert!(!self.running.contains(&instance), "it runs: {instance:?}");
        assert_eq!(self.may_run(instance), Some(true), "{instance:?} starts");
        let before = self.attempts.insert(instance, attempt).unwrap_or(0);
        assert_eq!(attempt, before + 1);
    }

    fn end_attempt(&mut self, instance: Instance, attempt: u32) {
        if self.running.remove(&instance) {
            assert_eq!(self.attempts.get(&instance), Some(&attempt));
        } else {
            // An inline node, or one whose condition failed: it has one event.
            self.begin(instance, attempt);
        }
    }

    fn end(&mut self, instance: Instance, how: Ended) {
        assert!(self.ended.insert(instance, how).is_none(), "ended twice: {instance:?}");
    }

    /// Whether the connections let a node run; `None` when that is not decided yet.
    fn may_run(&self, instance: Instance) -> Option<bool> {
        let node = instance.node as usize;
        let incoming = self.links.iter().filter(|link| link.to == node);
        let live: Vec<Option<bool>> = incoming.map(|link| self.is_live(instance, link)).collect();
        let is_over = live.iter().all(Option::is_some);
        let (any, all) = (live.contains(&Some(true)), !live.contains(&Some(false)));
        match self.case.nodes[node].join {
            _ if live.is_empty() => Some(true),
            Join::First if any => Some(true),
            Join::All => is_over.then_some(all),
            Join::Any | Join::First => is_over.then_some(any),
        }
    }

    fn is_live(&self, to: Instance, link: &Link) -> Option<bool> {
        let from = Instance { scope: to.scope, node: u32::try_from(link.from).unwrap() };
        self.ended.get(&from).map(|ended| match (ended, link.leaves) {
            (Ended::Succeeded(outputs), Leaves::Port(port)) => outputs.get(OUTPUTS[port]).is_some(),
            (Ended::Succeeded(_), Leaves::Anywhere) | (Ended::Handled, Leaves::Error) => true,
            (Ended::Succeeded(_) | Ended::Handled | Ended::Otherwise, _) => false,
        })
    }
}

/// Whether an attempt was cancelled, or had no time left, at the moment at which it had started.
pub(crate) fn was_stillborn(events: &[ExecutionEvent], key: Key) -> bool {
    let mut rounds = 1;
    let mut started = None;
    for event in events {
        let EventBody::Fact(record) = &event.body else { continue };
        match &record.event {
            Event::RoundStarted { round, .. } => rounds = *round,
            Event::NodeStarted { instance, attempt: number, .. }
                if (rounds, instance.node as usize, *number) == key =>
            {
                started = Some((*instance, record.at));
            }
            Event::NodeCancelled { instance, .. } | Event::NodeFailed { instance, .. }
                if started == Some((*instance, record.at)) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}
