//! What happens in executions, counted.

use std::collections::HashMap;
use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowcore::{
    Event, ExecutionEvent, ExecutionScope, ExecutionStatus, FailureKind, Instance, NodeRegistry,
    Timestamp,
};
use flowruntime::{Durations, Histogram};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::encode::{Encode, Tell};

/// The bounds of durations of attempts, in seconds: from what only computes to what asks others.
const ATTEMPT_BOUNDS: [f64; 10] = [0.000_1, 0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

/// The bounds of durations of executions, in seconds: up to a week, because they may wait.
const EXECUTION_BOUNDS: [f64; 12] =
    [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 21_600.0, 86_400.0, 604_800.0];

/// The bounds of how long executions wait for their turn, in seconds.
const QUEUE_BOUNDS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];

/// How executions end, as labels say it.
const STATUSES: [&str; 4] = ["succeeded", "failed", "cancelled", "timed_out"];

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Succeeded,
    Failed,
    TimedOut,
    Panicked,
    Cancelled,
    Interrupted,
}

impl Ending {
    const ALL: [Self; 6] = [
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Panicked,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// As labels and spans say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The end of an attempt, as an event tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptEnd<'a> {
    pub(crate) instance: Instance,
    /// `None` where the event does not say it.
    pub(crate) attempt: Option<u32>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ending: Ending,
    /// The code of the error.
    pub(crate) code: Option<&'a str>,
}

impl<'a> AttemptEnd<'a> {
    /// The end that an event tells, if it tells one. A result of an earlier execution had no attempt.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        let end = |instance: Instance, ending| Self {
            instance,
            attempt: None,
            started_at: None,
            ending,
            code: None,
        };
        match event {
            Event::NodeCompleted { instance, attempt, started_at, .. } if *attempt > 0 => {
                Some(Self {
                    attempt: Some(*attempt),
                    started_at: Some(*started_at),
                    ..end(*instance, Ending::Succeeded)
                })
            }
            Event::NodeFailed { instance, attempt, outcome, error, started_at, .. } => {
                let ending = match outcome {
                    FailureKind::Failed => Ending::Failed,
                    FailureKind::TimedOut => Ending::TimedOut,
                    FailureKind::Panicked => Ending::Panicked,
                    FailureKind::Interrupted => Ending::Interrupted,
                };
                Some(Self {
                    attempt: Some(*attempt),
                    started_at: Some(*started_at),
                    code: Some(error.code()),
                    ..end(*instance, ending)
                })
            }
            Event::NodeCancelled { instance, .. } => Some(end(*instance, Ending::Cancelled)),
            Event::NodeInterrupted { instance, attempt } => {
                Some(Self { attempt: Some(*attempt), ..end(*instance, Ending::Interrupted) })
            }
            _ => None,
        }
    }
}

/// Counts what happens in the executions of this process. The node types are known when it is made, so
/// nothing that workflows say becomes a label.
#[derive(Debug)]
pub(crate) struct Tally {
    started: AtomicU64,
    recovered: AtomicU64,
    /// As [`STATUSES`].
    ended: [AtomicU64; STATUSES.len()],
    queued: Histogram,
    durations: Histogram,
    types: HashMap<String, OfType>,
    /// Of what was registered later.
    other: OfType,
}

/// The attempts of a node type.
#[derive(Debug)]
struct OfType {
    /// As [`Ending::ALL`].
    ended: [AtomicU64; Ending::ALL.len()],
    durations: Histogram,
}

impl Default for OfType {
    fn default() -> Self {
        Self { ended: Default::default(), durations: Histogram::new(&ATTEMPT_BOUNDS) }
    }
}

/// One that knows no node type.
impl Default for Tally {
    fn default() -> Self {
        Self::of_types(Vec::new())
    }
}

impl Tally {
    pub(crate) fn new(registry: &NodeRegistry) -> Self {
        Self::of_types(registry.iter().map(|node| node.descriptor.node_type.to_string()).collect())
    }

    fn of_types(types: Vec<String>) -> Self {
        Self {
            started: AtomicU64::new(0),
            recovered: AtomicU64::new(0),
            ended: Default::default(),
            queued: Histogram::new(&QUEUE_BOUNDS),
            durations: Histogram::new(&EXECUTION_BOUNDS),
            types: types.into_iter().map(|name| (name, OfType::default())).collect(),
            other: OfType::default(),
        }
    }

    /// Counts an event.
    pub(crate) fn hear(&self, execution: &ExecutionScope, event: &ExecutionEvent) {
        let Some(fact) = event.event() else { return };
        match fact {
            Event::WorkflowStarted { .. } => {
                self.started.fetch_add(1, Ordering::Relaxed);
                if let Some(accepted_at) = accepted_at(execution) {
                    self.queued.count(event.at().since(accepted_at));
                }
            }
            Event::Recovered { .. } => {
                self.recovered.fetch_add(1, Ordering::Relaxed);
            }
            Event::WorkflowCompleted { status, .. } => {
                let slot = match status {
                    ExecutionStatus::Succeeded => 0,
                    ExecutionStatus::Failed => 1,
                    ExecutionStatus::Cancelled => 2,
                    ExecutionStatus::TimedOut => 3,
                    ExecutionStatus::Queued
                    | ExecutionStatus::Running
                    | ExecutionStatus::Waiting
                    | ExecutionStatus::Paused => return,
                };
                self.ended[slot].fetch_add(1, Ordering::Relaxed);
                self.durations.count(event.at().since(execution.started_at));
            }
            _ => {
                let Some(end) = AttemptEnd::of(fact) else { return };
                let node_type = &*event.plan().spec(end.instance.node).node_type;
                let of_type = self.types.get(node_type).unwrap_or(&self.other);
                of_type.ended[end.ending as usize].fetch_add(1, Ordering::Relaxed);
                if let Some(started_at) = end.started_at {
                    of_type.durations.count(event.at().since(started_at));
                }
            }
        }
    }

    /// The node types of which something was counted, in order.
    fn counted(&self) -> Vec<(&str, &OfType, Durations)> {
        let types = self.types.iter().map(|(name, of_type)| (&**name, of_type));
        let all = types.chain([("other", &self.other)]);
        let mut counted: Vec<_> = all
            .filter(|(_, of_type)| of_type.ended.iter().any(|n| n.load(Ordering::Relaxed) > 0))
            .map(|(name, of_type)| (name, of_type, of_type.durations.durations()))
            .collect();
        counted.sort_unstable_by_key(|(name, ..)| *name);
        counted
    }
}

/// When an execution was accepted: its id says so, in milliseconds.
fn accepted_at(execution: &ExecutionScope) -> Option<Timestamp> {
    let (seconds, nanos) = execution.execution_id.as_uuid().get_timestamp()?.to_unix();
    let since = Duration::new(seconds, nanos);
    Some(Timestamp::default().after(since))
}

impl Tell for Tally {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let help = "Executions that started";
        encoder.counter("executions_started", help, read(&self.started))?;
        let help = "Executions that this process took over after another had crashed";
        encoder.counter("executions_recovered", help, read(&self.recovered))?;
        let help = "How long executions waited for their turn, in seconds";
        encoder.durations("execution_queue_seconds", help, &self.queued.durations())?;
        let help = "How long executions took, in seconds, waits included";
        encoder.durations("execution_duration_seconds", help, &self.durations.durations())?;
        let help = "Executions that ended";
        let kind = MetricType::Counter;
        let mut ended = encoder.encode_descriptor("executions_ended", help, None, kind)?;
        for (status, count) in STATUSES.iter().zip(&self.ended) {
            let labels = [("status", *status)];
            let mut metric = ended.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&read(count), None)?;
        }
        let counted = self.counted();
        let help = "Attempts of nodes that ended";
        let mut ended = encoder.encode_descriptor("node_attempts_ended", help, None, kind)?;
        for (name, of_type, _) in &counted {
            for ending in Ending::ALL {
                let labels = [("node_type", *name), ("status", ending.name())];
                let count = read(&of_type.ended[ending as usize]);
                let mut metric = ended.encode_family(&labels)?;
                metric.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let help = "How long attempts took, in seconds, if they ended by themselves or timed out";
        let (name, kind) = ("node_attempt_duration_seconds", MetricType::Histogram);
        let mut durations = encoder.encode_descriptor(name, help, None, kind)?;
        for (name, _, took) in &counted {
            let labels = [("node_type", *name)];
            let mut metric = durations.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(took.sum, took.count(), &took.counts, None)?;
        }
        Ok(())
    }
}
