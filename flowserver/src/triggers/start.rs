//! The execution that a trigger starts.

use flowcore::Object;
use flowruntime::store::AuditEntry;
use flowruntime::{PreparedExecution, StartError};

use super::Trigger;
use crate::app::App;
use crate::traces;

/// What a start follows from.
pub(crate) struct Cause {
    /// What names it: another start of the trigger for the same gives the execution of the first.
    pub(crate) key: Option<String>,
    /// How many events led to the execution.
    pub(crate) hops: u32,
}

/// An execution of the version of the workflow that the trigger is of; it is not started yet. `audit`
/// is given its id.
pub(crate) async fn prepare(
    app: &App,
    trigger: &Trigger,
    inputs: Object,
    cause: Cause,
    audit: impl FnOnce(&str) -> AuditEntry,
) -> Result<PreparedExecution, StartError> {
    let (key, version) = (&trigger.key, trigger.version);
    let id = key.workflow.as_str();
    let saved = app.workflows.get(&key.project, id, Some(version)).await?;
    let saved = saved.ok_or_else(|| StartError::NoSuchWorkflow(key.workflow.clone()))?;
    let prepared = app.workflows.with_calls(&key.project, |calls| {
        app.runtime.prepare_with(&saved.workflow, inputs.clone(), calls)
    });
    let prepared = prepared.await??;
    let entry = audit(&prepared.id().to_string());
    let prepared = prepared.version(version).project(key.project.clone()).hops(cause.hops);
    let prepared = traces::within(prepared.audit(entry));
    Ok(match cause.key {
        Some(key) => prepared.only_once(key),
        None => prepared,
    })
}
