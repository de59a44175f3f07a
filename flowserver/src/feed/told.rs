//! An event of an execution, as readers get it.

use flowcore::{ExecutionEvent, ExecutionId, WorkflowId};
use serde_json::Value as Json;

use super::Cursor;

/// An event of an execution of a project.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) execution: ExecutionId,
    pub(crate) seq: u64,
    pub(crate) workflow: WorkflowId,
    /// The type of the event.
    pub(crate) name: &'static str,
    /// How far a reader is that has this one.
    pub(crate) cursor: Cursor,
    /// The event, with its workflow and the cursor.
    pub(crate) text: String,
}

impl Told {
    /// `None` for what stands in no journal.
    pub(super) fn new(
        event: &ExecutionEvent,
        workflow: &WorkflowId,
        cursor: Cursor,
    ) -> Option<Self> {
        let (seq, name) = (event.seq()?, event.event()?.name());
        let mut json = serde_json::to_value(event).ok()?;
        let members = json.as_object_mut()?;
        members.insert("workflow_id".to_owned(), Json::from(workflow.as_str()));
        members.insert("cursor".to_owned(), Json::from(cursor.to_string()));
        let (execution, workflow) = (event.execution_id, workflow.clone());
        Some(Self { execution, seq, workflow, name, cursor, text: json.to_string() })
    }
}
