//! What the machine is told.

use std::sync::Arc;

use super::action::Timer;
use super::rerun::Kept;
use crate::event::{CacheUse, Instance, PauseReason};
use crate::node::{CancelReason, NodeError, NodeOutput};
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Well.
    Succeeded {
        /// The values on its output ports.
        outputs: NodeOutput,
        /// What it wrote to the shared state.
        state_writes: Object,
        /// Whether they come from the cache; `None` if it was not asked.
        cache: Option<CacheUse>,
    },
    /// With an error.
    Failed(NodeError),
    /// It took longer than it may.
    TimedOut,
    /// It was told to stop.
    Cancelled,
    /// It panicked.
    Panicked {
        /// What it said.
        message: String,
    },
}

impl Fact {
    /// What kind of fact it is, and the node that it is about, if it is about one: for dumps.
    pub fn summary(&self) -> FactSummary {
        let (kind, instance) = match self {
            Self::Start { .. } => ("Start", None),
            Self::PermitGranted => ("PermitGranted", None),
            Self::RateLimited { instance, .. } => ("RateLimited", Some(*instance)),
            Self::AttemptEnded { instance, .. } => ("AttemptEnded", Some(*instance)),
            Self::InstancesReleased => ("InstancesReleased", None),
            Self::TimerFired(timer) => (
                "TimerFired",
                match timer {
                    Timer::Deadline | Timer::Cleanup => None,
                    Timer::Limit { instance, .. }
                    | Timer::Wait { instance }
                    | Timer::Retry { instance, .. } => Some(*instance),
                },
            ),
            Self::Signal { .. } => ("Signal", None),
            Self::Cancel { .. } => ("Cancel", None),
            Self::Pause { .. } => ("Pause", None),
            Self::Recover { .. } => ("Recover", None),
            Self::HistoryGrew { .. } => ("HistoryGrew", None),
            Self::Resume { .. } => ("Resume", None),
        };
        FactSummary { kind, instance }
    }
}

/// Which fact it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactSummary {
    /// The name of its variant.
    pub kind: &'static str,
    /// The node that it is about, if it is about one.
    pub instance: Option<Instance>,
}

/// Something that happened outside of the machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The execution is to start. The first fact.
    Start {
        /// The inputs, checked, defaults included.
        inputs: Object,
        /// Results of an earlier execution that nodes have instead of running.
        kept: Option<Box<Kept>>,
    },
    /// A permit was granted, or an inline node needs none: the next node may start.
    PermitGranted,
    /// The node that would start next has to wait for its turn under a rate limit. Instead of
    /// [`Fact::PermitGranted`], or of the start of an inline node.
    RateLimited {
        /// The node.
        instance: Instance,
        /// When its turn comes.
        until: Timestamp,
        /// The node type or the resource that is limited.
        name: Arc<str>,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
        /// When it started.
        started_at: Timestamp,
        /// How it ended.
        outcome: Outcome,
        /// A random number from 0 to 1, for the wait before the next attempt.
        jitter: f64,
    },
    /// The instances of this round's nodes were shut down.
    InstancesReleased,
    /// A timer fired.
    TimerFired(Timer),
    /// A signal came, one that a node may wait for.
    Signal {
        /// Its name.
        name: Arc<str>,
        /// Which of several waits for the name is meant.
        key: Option<Arc<str>>,
        /// What came with it.
        payload: Value,
    },
    /// The execution is to stop.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// Who asked.
        by: Option<Arc<str>>,
    },
    /// Nothing more is to start: what runs goes on to its end, and times and signals are noted. The
    /// deadline goes on.
    ///
    /// The state says that it is so until [`Fact::Resume`], or [`Fact::Cancel`] or the deadline,
    /// which end the pause. One that comes right after [`Fact::Start`], before any wish is done,
    /// pauses an execution before its first attempt.
    Pause {
        /// Why.
        reason: PauseReason,
        /// Who asked.
        by: Option<Arc<str>>,
    },
    /// The process that had the execution has ended, and the machine is a fold of what it kept. The
    /// first fact of the new owner.
    Recover {
        /// What tells its writes from those of owners before.
        fence: u64,
    },
    /// The history, as it is kept, has grown to so many bytes. Told when [`super::Machine::heeds_size`]
    /// says so.
    HistoryGrew {
        /// Events, and values that are kept apart from them, each counted once.
        bytes: u64,
    },
    /// A paused execution is to go on.
    Resume {
        /// Who asked.
        by: Option<Arc<str>>,
    },
}
