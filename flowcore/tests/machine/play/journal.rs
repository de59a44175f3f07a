//! What the events say, kept apart from the machine.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::machine::Fact;
use flowcore::{AfterFailure, Event, Instance, NodeOutput, Record, ScopeId};

use crate::nodes::OUTPUTS;
use crate::script::{Leaves, Link};

/// What the events say.
#[derive(Clone, Default)]
pub(super) struct Journal {
    pub(super) last: u64,
    pub(super) ended: BTreeMap<Instance, Ended>,
    /// The event with which each attempt started.
    pub(super) started: BTreeMap<(Instance, u32), u64>,
    /// The event with which each attempt failed that is followed by another.
    pub(super) failed: BTreeMap<(Instance, u32), u64>,
    /// How often each node was interrupted.
    pub(super) interrupted: BTreeMap<Instance, u32>,
    /// Those that were, and have not started again.
    pub(super) to_start_again: BTreeSet<Instance>,
    /// The scope of this round.
    pub(super) root: Option<ScopeId>,
    /// How many attempts were under way at the last recovery.
    pub(super) last_interrupted: usize,
    /// Facts that were taken, and so are stale from now on.
    pub(super) past: Vec<Fact>,
    /// Whether nothing can stop the execution any more, because something has.
    pub(super) is_stopping: bool,
    pub(super) is_paused: bool,
    pub(super) is_complete: bool,
}

/// How a node came to its end.
#[derive(Clone)]
pub(super) enum Ended {
    Succeeded(NodeOutput),
    Handled,
    Otherwise,
}

impl Journal {
    pub(super) fn take(&mut self, record: &Record) {
        assert!(!self.is_complete, "after the last event: {record:?}");
        assert_eq!(record.seq, self.last + 1);
        self.last = record.seq;
        self.check_pause(&record.event);
        match &record.event {
            Event::NodeStarted { instance, attempt, .. } => {
                self.started.insert((*instance, *attempt), record.seq);
                self.to_start_again.remove(instance);
            }
            Event::NodeCompleted { instance, outputs, .. } => {
                self.end(*instance, Ended::Succeeded(outputs.clone()));
            }
            Event::NodeFailed { instance, attempt, then, .. } => match then {
                AfterFailure::Retry(_) => {
                    self.failed.insert((*instance, *attempt), record.seq);
                }
                AfterFailure::ErrorPort => self.end(*instance, Ended::Handled),
                AfterFailure::Continue
                | AfterFailure::Stop
                | AfterFailure::NewRound
                | AfterFailure::Ending => {
                    self.is_stopping |= *then == AfterFailure::Stop;
                    self.end(*instance, Ended::Otherwise);
                }
            },
            Event::NodeSkipped { instance, .. } | Event::NodeCancelled { instance, .. } => {
                self.end(*instance, Ended::Otherwise);
            }
            Event::Recovered { interrupted, .. } => self.last_interrupted = *interrupted as usize,
            Event::NodeInterrupted { instance, .. } => {
                *self.interrupted.entry(*instance).or_default() += 1;
                self.to_start_again.insert(*instance);
            }
            Event::RoundStarted { scope, .. } => self.root = Some(*scope),
            Event::CancelRequested { instance: None, .. } => self.is_stopping = true,
            Event::WorkflowCompleted { .. } => {
                (self.is_complete, self.is_stopping) = (true, true);
            }
            _ => {}
        }
    }

    /// While it is paused, nothing starts, is skipped, or ends but what had started.
    fn check_pause(&mut self, event: &Event) {
        let starts = match event {
            Event::NodeStarted { .. } | Event::NodeSkipped { .. } | Event::RoundStarted { .. } => {
                true
            }
            Event::WorkflowCompleted { .. } => true,
            Event::NodeCompleted { instance, attempt, .. } => {
                !self.started.contains_key(&(*instance, *attempt))
            }
            _ => false,
        };
        assert!(!(self.is_paused && starts), "in a pause: {event:?}");
        match event {
            Event::Paused { .. } => self.is_paused = true,
            Event::Resumed { .. } | Event::CancelRequested { instance: None, .. } => {
                self.is_paused = false;
            }
            _ => {}
        }
    }

    fn end(&mut self, instance: Instance, how: Ended) {
        assert!(self.ended.insert(instance, how).is_none(), "ended twice: {instance:?}");
        self.to_start_again.remove(&instance);
    }

    pub(super) fn is_live(&self, to: Instance, link: &Link) -> Option<bool> {
        let from = Instance { scope: to.scope, node: u32::try_from(link.from).unwrap() };
        self.ended.get(&from).map(|ended| match (ended, link.leaves) {
            (Ended::Succeeded(outputs), Leaves::Port(port)) => outputs.get(OUTPUTS[port]).is_some(),
            (Ended::Succeeded(_), Leaves::Anywhere) | (Ended::Handled, Leaves::Error) => true,
            (Ended::Succeeded(_) | Ended::Handled | Ended::Otherwise, _) => false,
        })
    }
}
