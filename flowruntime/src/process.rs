//! Messages: what comes in finds the workflows that are for it.

use std::sync::{Arc, PoisonError};

use flowcore::{ExecutionResult, Object, ProjectId, ValueError, Workflow, WorkflowId};
use indexmap::IndexMap;

use crate::inputs::Inputs;
use crate::runtime::{FlowRuntime, StartError};

/// What became of a message.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Processed {
    /// The message, with what the workflows made of it.
    pub message: Object,
    /// The executions, in their order. Only the last can have failed: none comes after it.
    pub executions: Vec<(WorkflowId, ExecutionResult)>,
}

impl Processed {
    /// Whether every execution succeeded; also when there was none.
    pub fn is_success(&self) -> bool {
        self.executions.iter().all(|(_, result)| result.is_success())
    }
}

/// A message that could not be processed to its end.
#[derive(Debug, thiserror::Error)]
#[error("the message cannot be processed{}", .workflow.as_ref().map(|id| format!(" by workflow `{id}`")).unwrap_or_default())]
#[non_exhaustive]
pub struct ProcessError {
    /// The workflow that could not be started; `None` if the message itself is the problem.
    pub workflow: Option<WorkflowId>,
    /// Why not.
    #[source]
    pub reason: StartError,
    /// What the workflows before it did.
    pub before: Box<Processed>,
}

impl FlowRuntime {
    /// Passes a message through the registered workflows that are for it.
    ///
    /// They are asked in the order in which they were first registered: where `when` holds, or there
    /// is none, the workflow is executed, and the next one is asked when it has ended. A workflow is
    /// given those parts of the message that it declares as `inputs`; all of it, if it declares none.
    /// What it declares as `outputs` becomes part of the message, in place of what had the same name.
    /// An execution that does not succeed is the last.
    ///
    /// Dropping the future leaves the execution that is under way running, and starts no other.
    ///
    /// # Errors
    /// [`ProcessError`] when a `when` fails, when a part of the message is not what a workflow
    /// declares, and outside of a tokio runtime. What was done before stands in it.
    pub async fn process(&self, message: impl Into<Inputs>) -> Result<Processed, ProcessError> {
        let mut processed = Processed::default();
        let error = |workflow, reason, before| {
            let before = Box::new(before);
            ProcessError { workflow, reason, before }
        };
        processed.message = match message.into().0 {
            Ok(message) => message,
            Err(reason) => return Err(error(None, reason.into(), processed)),
        };
        for (id, workflow) in &*self.registered() {
            match self.process_by(workflow, &mut processed).await {
                Ok(None) => {}
                Ok(Some(result)) => {
                    let goes_on = result.is_success();
                    processed.executions.push((id.clone(), result));
                    if !goes_on {
                        break;
                    }
                }
                Err(reason) => return Err(error(Some(id.clone()), reason, processed)),
            }
        }
        Ok(processed)
    }

    /// The registered workflows, as they are now.
    fn registered(&self) -> Arc<IndexMap<WorkflowId, Workflow>> {
        self.shared.workflows.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Executes one workflow, if the message is for it.
    async fn process_by(
        &self,
        workflow: &Workflow,
        processed: &mut Processed,
    ) -> Result<Option<ExecutionResult>, StartError> {
        let planned = self.planned(workflow, None)?;
        let given = part_for(workflow, &processed.message)?;
        let secrets = self.shared.secrets.secrets_of(&ProjectId::default());
        if !planned.plan().wants(&given, &secrets).map_err(StartError::When)? {
            return Ok(None);
        }
        let result = self.prepare_planned(planned, given)?.start().await?.wait().await?;
        if workflow.outputs.is_some()
            && let Some(outputs) = result.outputs.as_object()
        {
            for (name, value) in outputs.iter() {
                processed.message.insert(name.clone(), value.clone())?;
            }
        }
        Ok(Some(result))
    }
}

/// What a workflow is given of a message.
fn part_for(workflow: &Workflow, message: &Object) -> Result<Object, ValueError> {
    let Some(declared) = &workflow.inputs else { return Ok(message.clone()) };
    let is_declared = |name: &str| declared.contains_key(name);
    if message.keys().all(|name| is_declared(name)) {
        return Ok(message.clone());
    }
    let parts = message.iter().filter(|(name, _)| is_declared(name));
    Object::from_entries(parts.map(|(name, value)| (name.clone(), value.clone())))
}
