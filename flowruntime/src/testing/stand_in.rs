//! What is done instead of an attempt.

use std::time::Duration;

use flowcore::machine::Outcome;
use flowcore::{NodeContext, NodeError, NodeIndex, NodeOutput, Object, Plan, Timestamp};

/// What an attempt gives without being made.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// How it ends; `None` lets the attempt be made after all.
    pub outcome: Option<Outcome>,
    /// How long it takes, on the clock of the runtime, and at least, if it is made; inline nodes take
    /// no time whatever it says.
    pub after: Duration,
    /// Not before this moment, on the same clock. Of those whose moment is past when they start
    /// together, the one with the earliest ends first.
    pub until: Option<Timestamp>,
}

impl StandIn {
    /// Succeeds with these outputs, at once.
    pub fn gives(outputs: NodeOutput) -> Self {
        Self::ends(Outcome::Succeeded { outputs, state_writes: Object::new(), cache: None })
    }

    /// Fails, at once.
    pub fn fails(error: NodeError) -> Self {
        Self::ends(Outcome::Failed(error))
    }

    /// Ends so, at once.
    pub fn ends(outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), after: Duration::ZERO, until: None }
    }

    /// Is made as if nobody stood in, and may be told to take a time.
    pub fn made() -> Self {
        Self { outcome: None, after: Duration::ZERO, until: None }
    }

    /// Does not end before this moment.
    #[must_use]
    pub fn until(mut self, moment: Timestamp) -> Self {
        self.until = Some(moment);
        self
    }

    /// Takes this long.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

/// Decides which attempts are made, and what the others give instead: see
/// [`crate::FlowRuntimeBuilder::stand_ins`].
///
/// It is asked for every attempt of every node but control nodes, which have none: right before the
/// attempt, with the config and the inputs evaluated. An attempt whose config or inputs cannot be
/// evaluated has failed before. It is called on the driver's thread and must not block.
pub trait StandIns: Send + Sync {
    /// What the attempt gives instead of being made; `None` lets it be made. `context` says where it
    /// stands, which attempt it is and what it was given.
    fn stand_in(&self, plan: &Plan, node: NodeIndex, context: &NodeContext) -> Option<StandIn>;
}
