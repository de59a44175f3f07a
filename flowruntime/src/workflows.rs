//! The workflows that others call.

use std::sync::PoisonError;

use flowcore::{CalledWorkflow, Diagnostics, NoWorkflow, Workflow, WorkflowId, WorkflowSource};

use crate::runtime::Shared;

/// Why workflows are not registered: one of them is invalid. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("workflow {} of those to register{} is invalid", position + 1, shown(id.as_ref()))]
pub struct RegisterError {
    /// Which one, from 0.
    pub position: usize,
    /// Its id, if it has one.
    pub id: Option<WorkflowId>,
    /// Every problem of it.
    #[source]
    pub problems: Diagnostics,
}

impl RegisterError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        "workflow.invalid"
    }
}

fn shown(id: Option<&WorkflowId>) -> String {
    id.map_or_else(String::new, |id| format!(", `{id}`,"))
}

/// What a runtime knows while it compiles a workflow: the workflow itself and those that are
/// registered together with it, those that are kept, and whatever else the program gives.
pub(crate) struct KnownWorkflows<'a> {
    shared: &'a Shared,
    together: &'a [Workflow],
    /// Where else they come from, instead of what the runtime has.
    source: Option<&'a dyn WorkflowSource>,
}

impl<'a> KnownWorkflows<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        together: &'a [Workflow],
        source: Option<&'a dyn WorkflowSource>,
    ) -> Self {
        let own = || shared.workflow_source.as_deref().map(|source| source as &dyn WorkflowSource);
        Self { shared, together, source: source.or_else(own) }
    }

    fn kept(&self, name: &str) -> Option<Workflow> {
        let is_meant =
            |workflow: &&Workflow| workflow.id.as_ref().is_some_and(|id| id.as_str() == name);
        // The last of one id is the one that stays registered.
        if let Some(workflow) = self.together.iter().rfind(is_meant) {
            return Some(workflow.clone());
        }
        let id = WorkflowId::new(name).ok()?;
        let workflows = self.shared.workflows.read().unwrap_or_else(PoisonError::into_inner);
        workflows.get(&id).cloned()
    }
}

impl WorkflowSource for KnownWorkflows<'_> {
    fn find(&self, name: &str, from: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        if let Some(workflow) = self.kept(name) {
            return Ok(CalledWorkflow { key: name.to_owned(), workflow });
        }
        match self.source {
            Some(source) => source.find(name, from),
            None => Err(NoWorkflow::NotFound("no workflow of this id is registered".to_owned())),
        }
    }
}
