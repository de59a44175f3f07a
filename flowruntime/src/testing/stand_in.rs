//! What is done instead of an attempt.

use std::time::Duration;

use flowcore::{NodeContext, NodeError, NodeIndex, NodeOutput, Plan};

/// What an attempt gives without being made.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// The outputs, or the failure.
    pub result: Result<NodeOutput, NodeError>,
    /// How long it takes, on the clock of the runtime; inline nodes take no time whatever it says.
    pub after: Duration,
}

impl StandIn {
    /// Succeeds with these outputs, at once.
    pub fn gives(outputs: NodeOutput) -> Self {
        Self { result: Ok(outputs), after: Duration::ZERO }
    }

    /// Fails, at once.
    pub fn fails(error: NodeError) -> Self {
        Self { result: Err(error), after: Duration::ZERO }
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
