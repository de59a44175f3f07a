//! The workflows that others call.

use std::sync::PoisonError;

use flowcore::{CalledWorkflow, Workflow, WorkflowId, WorkflowSource};

use crate::runtime::Shared;

/// What a runtime knows while it compiles a workflow: those that are kept in it, the workflow itself,
/// and whatever else the program gives.
pub(crate) struct KnownWorkflows<'a> {
    shared: &'a Shared,
    own: &'a Workflow,
}

impl<'a> KnownWorkflows<'a> {
    pub(crate) fn new(shared: &'a Shared, own: &'a Workflow) -> Self {
        Self { shared, own }
    }

    fn kept(&self, name: &str) -> Option<Workflow> {
        if self.own.id.as_ref().is_some_and(|id| id.as_str() == name) {
            return Some(self.own.clone());
        }
        let id = WorkflowId::new(name).ok()?;
        let workflows = self.shared.workflows.read().unwrap_or_else(PoisonError::into_inner);
        workflows.get(&id).cloned()
    }
}

impl WorkflowSource for KnownWorkflows<'_> {
    fn find(&self, name: &str, from: Option<&str>) -> Result<CalledWorkflow, String> {
        if let Some(workflow) = self.kept(name) {
            return Ok(CalledWorkflow { key: name.to_owned(), workflow });
        }
        match &self.shared.workflow_source {
            Some(source) => source.find(name, from),
            None => Err("no workflow of this id is registered".to_owned()),
        }
    }
}
