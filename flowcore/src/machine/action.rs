//! What the machine wants done.

use std::sync::Arc;

use crate::event::{Instance, Record, ScopeId};
use crate::node::CancelReason;
use crate::time::Timestamp;

/// Something that the machine wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start this attempt. Answered by [`super::Fact::AttemptEnded`].
    Start {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Tell this attempt to stop. Answered by its [`super::Fact::AttemptEnded`].
    Cancel {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
        /// Why.
        reason: CancelReason,
    },
    /// Set a timer. Answered by [`super::Fact::TimerFired`].
    SetTimer {
        /// Which.
        timer: Timer,
        /// When it fires.
        at: Timestamp,
    },
    /// Forget a timer.
    ClearTimer {
        /// Which.
        timer: Timer,
    },
    /// Shut down the instances of this round's nodes. Answered by
    /// [`super::Fact::InstancesReleased`]. Only in plans with node types that are not `stateless`.
    ReleaseInstances,
    /// Shut down the instances of the nodes of a scope that is closed. Not answered: nothing waits
    /// for it.
    ReleaseScope {
        /// The scope.
        scope: ScopeId,
    },
    /// The execution has ended: let everything go.
    Finish,
}

/// A timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// The execution has taken as long as it may.
    Deadline,
    /// Cleaning up has taken as long as it may.
    Cleanup,
    /// A control node has taken as long as its `timeout_ms`.
    Limit {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// A node has waited long enough.
    Wait {
        /// The node.
        instance: Instance,
    },
    /// The wait before the next attempt is over.
    Retry {
        /// The node.
        instance: Instance,
        /// The attempt that failed; 0 before the first, which waits for its turn under a rate
        /// limit.
        attempt: u32,
    },
}

/// An action, and what must be safe before it may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wish {
    /// The events up to this number must be durable first; 0 is none.
    pub after: u64,
    /// What to do.
    pub action: Action,
}

/// An event that somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The event, with its number.
    pub record: Record,
    /// Where its node stands, when that is inside of a control node: `each[3].fetch`.
    pub address: Option<Arc<str>>,
}

/// What came of one fact.
#[derive(Debug, Default)]
pub struct Turn {
    /// What to do, in order.
    pub wishes: Vec<Wish>,
    /// What happened, in order; empty unless `recording`.
    pub events: Vec<Recorded>,
    /// Whether somebody wants the events.
    pub recording: bool,
}

impl Turn {
    /// A turn whose events are kept.
    pub fn recording() -> Self {
        Self { recording: true, ..Self::default() }
    }

    /// Forgets the wishes and events, and keeps their memory.
    pub fn clear(&mut self) {
        self.wishes.clear();
        self.events.clear();
    }

    pub(super) fn wish(&mut self, after: u64, action: Action) {
        self.wishes.push(Wish { after, action });
    }
}
