//! Events as subscribers get them: facts with the names that belong to them, and what nodes say.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Event, Instance, Record};
use crate::id::ExecutionId;
use crate::plan::SharedPlan;
use crate::time::Timestamp;

/// A message of a running attempt, for those who watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeMessage {
    /// The node.
    pub instance: Instance,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Counts the messages of the attempt, from 1; a gap is what was dropped.
    pub number: u64,
    /// The message comes after the event with this number.
    pub after_seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: crate::node::NodeEvent,
}

/// What an [`ExecutionEvent`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// A fact: in the journal, numbered without gaps.
    Fact(Arc<Record>),
    /// A message of a node: not in the journal, may be dropped.
    Message(Arc<NodeMessage>),
}

/// An event as subscribers get it; cloning is O(1).
///
/// It serialises as one flat object:
/// `{"seq": 3, "at": "…", "execution_id": "…", "type": "NodeStarted", "node_id": "fetch", …}`.
#[derive(Debug, Clone)]
pub struct ExecutionEvent {
    /// The execution.
    pub execution_id: ExecutionId,
    /// What it says.
    pub body: EventBody,
    pub(super) plan: SharedPlan,
    /// The address of the instance, when it is not just the node's id.
    address: Option<Arc<str>>,
}

impl ExecutionEvent {
    /// A fact of an execution of this plan.
    pub fn fact(execution_id: ExecutionId, plan: SharedPlan, record: Record) -> Self {
        Self { execution_id, body: EventBody::Fact(Arc::new(record)), plan, address: None }
    }

    /// A message of a node of an execution of this plan.
    pub fn message(execution_id: ExecutionId, plan: SharedPlan, message: NodeMessage) -> Self {
        Self { execution_id, body: EventBody::Message(Arc::new(message)), plan, address: None }
    }

    /// Says where the node stands, when it is inside of a control node: `each[3].fetch`.
    #[must_use]
    pub fn at_address(mut self, address: Option<Arc<str>>) -> Self {
        self.address = address;
        self
    }

    /// The number of a fact.
    pub fn seq(&self) -> Option<u64> {
        match &self.body {
            EventBody::Fact(record) => Some(record.seq),
            EventBody::Message(_) => None,
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match &self.body {
            EventBody::Fact(record) => record.at,
            EventBody::Message(message) => message.at,
        }
    }

    /// The fact, if it is one.
    pub fn event(&self) -> Option<&Event> {
        match &self.body {
            EventBody::Fact(record) => Some(&record.event),
            EventBody::Message(_) => None,
        }
    }

    /// The plan of the execution.
    pub fn plan(&self) -> &SharedPlan {
        &self.plan
    }

    /// The node that it is about, if it is about one.
    pub fn instance(&self) -> Option<Instance> {
        match &self.body {
            EventBody::Fact(record) => record.event.instance(),
            EventBody::Message(message) => Some(message.instance),
        }
    }

    /// The address of the node that it is about, if it is about one: its id, or `each[3].fetch`
    /// inside of a control node.
    pub fn node_id(&self) -> Option<&str> {
        let id = |instance: Instance| self.plan.graph().node(instance.node).id().as_str();
        self.address.as_deref().or_else(|| self.instance().map(id))
    }

    /// Whether it is the last event of its execution.
    pub fn is_last(&self) -> bool {
        matches!(self.event(), Some(Event::WorkflowCompleted { .. }))
    }
}
