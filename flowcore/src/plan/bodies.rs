//! Bodies: the workflow itself, what control nodes hold, and the workflows that are called.

use std::sync::Arc;

use super::graph::NodeIndex;
use crate::control::ControlKind;
use crate::expression::{Expression, Template};
use crate::id::WorkflowId;
use crate::node::PortName;
use crate::value::Value;
use crate::workflow::Workflow;

/// The index of a body in its plan.
pub(crate) type BodyIndex = u32;

/// How deep bodies may stand inside of each other, called workflows included.
pub(crate) const MAX_NESTING: usize = 8;

/// The nodes that one scope executes: a workflow, or what a control node holds.
pub(crate) struct Body {
    /// The index of its first node; the others follow.
    pub(crate) first: NodeIndex,
    count: u32,
    /// What its scopes give; `None` gives the outputs of the nodes on which nothing depends.
    pub(crate) outputs: Option<Template>,
    /// The nodes that `outputs` reads; without `outputs`, those on which nothing depends. In order.
    pub(crate) results: Vec<NodeIndex>,
    pub(crate) workflow: Workflow,
    /// The id of the workflow that it belongs to.
    pub(crate) workflow_id: WorkflowId,
}

impl Body {
    /// A workflow that gives nothing.
    pub(super) fn of_workflow(
        workflow: Workflow,
        workflow_id: WorkflowId,
        first: NodeIndex,
        count: u32,
    ) -> Self {
        Self { first, count, outputs: None, results: Vec::new(), workflow, workflow_id }
    }

    /// How many nodes it has.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// The indices of its nodes.
    pub(crate) fn nodes(&self) -> std::ops::Range<NodeIndex> {
        self.first..self.first + self.count
    }

    /// What `workflow.<field>` gives in a workflow.
    pub(crate) fn field(&self, field: &str) -> Option<Value> {
        match field {
            "id" => Some(Value::from(self.workflow_id.as_str())),
            "name" => Some(Value::from(self.workflow.name.clone())),
            // A workflow that is run from a file or from code has no saved versions.
            "version" => Some(Value::Null),
            _ => None,
        }
    }
}

/// What the machine does with a control node. Bodies and conditions only: what may hold expressions
/// is evaluated when the node starts.
pub(crate) enum ControlPlan {
    /// One of two ports.
    If(Expression),
    /// The port of the first condition that holds.
    Switch(Box<[(PortName, Expression)]>),
    /// A scope for each item.
    ForEach(BodyIndex),
    /// A scope after the other.
    Loop { body: BodyIndex, before: Option<Expression>, after: Option<Expression> },
    /// A scope for each branch; the first that succeeds wins.
    Race(Box<[BodyIndex]>),
    /// A body, what follows its failure, and what always follows.
    Try { body: BodyIndex, catch: Option<BodyIndex>, finally: Option<BodyIndex> },
    /// Another workflow.
    Call(BodyIndex),
    /// Ends the execution.
    Stop,
    /// Waits for a time, a signal or an approval of this name.
    Wait { kind: ControlKind, name: Arc<str> },
}

/// Finds the workflows that `workflow.call` and others name.
pub trait WorkflowSource {
    /// The workflow that `name` means inside of the workflow with the key `from`; `None` is the one
    /// that is compiled.
    ///
    /// # Errors
    /// Why there is none.
    fn find(&self, name: &str, from: Option<&str>) -> Result<CalledWorkflow, NoWorkflow>;
}

/// Why a name leads to no workflow; each says so in a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoWorkflow {
    /// Nothing has this name, or nobody may read it: `call.not_found`.
    #[error("{0}")]
    NotFound(String),
    /// What has this name does not read as a workflow: `call.invalid`.
    #[error("{0}")]
    Invalid(String),
}

/// A workflow that others call.
#[derive(Debug, Clone)]
pub struct CalledWorkflow {
    /// The same for the same workflow, however it is named: an id, or the path of a file.
    pub key: String,
    /// The workflow.
    pub workflow: Workflow,
}
