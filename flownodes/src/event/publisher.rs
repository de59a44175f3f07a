//! What takes events to those who listen.

use async_trait::async_trait;
use flowcore::{NodeError, ProjectId, Value};

/// Takes events to those who listen, such as a server to the event triggers of its workflows.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Hands on an event, and returns when every execution that it starts is committed: what became
    /// of each listener, in a fixed order.
    ///
    /// Publishing an event with the same id again starts nothing twice. Dropping the future leaves
    /// open what was started; the same event may be published again then.
    ///
    /// # Errors
    /// [`unavailable`] when some of it could not be done for the moment; the same event may be
    /// published again.
    async fn publish(&self, event: Publication) -> Result<Vec<Delivery>, NodeError>;
}

/// An event on its way to those who listen.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The project in which it is known.
    pub project: ProjectId,
    /// Tells it from all other events of the project.
    pub id: String,
    /// The topic.
    pub topic: String,
    /// What it says.
    pub data: Value,
    /// How many events led to the executions that it starts: 1 for one that no execution published
    /// which was started by an event itself.
    pub hops: u32,
}

/// What became of an event and one of those who listen to its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The workflow.
    pub workflow_id: String,
    /// The trigger.
    pub trigger: String,
    /// The version of the workflow.
    pub version: u64,
    /// The execution, if there is one.
    pub execution_id: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// What a publisher says that cannot hand on an event for the moment: another attempt may.
pub fn unavailable(message: impl Into<String>) -> NodeError {
    NodeError::retryable("event.unavailable", message)
}
