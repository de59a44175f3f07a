//! What an execution runs, as it is kept: the workflow, and those that it calls.
//!
//! An execution finishes with what it began with, whatever becomes of the files in the meantime.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowcore::{CalledWorkflow, Digest, NoWorkflow, Workflow, WorkflowSource};
use serde::{Deserialize, Serialize};

use crate::store::Definition;

/// A workflow with those that it calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bundle {
    pub(crate) workflow: Workflow,
    /// What names mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    calls: Vec<Call>,
    /// The workflows that are called, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    called: BTreeMap<String, Workflow>,
}

/// A name that stands for a workflow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Call {
    name: String,
    /// In which workflow the name stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    key: String,
}

impl Bundle {
    pub(crate) fn to_definition(&self) -> Arc<Definition> {
        let text = serde_json::to_string(self).expect("workflows have string keys only");
        let digest = Digest::of_bytes("flow.definition", text.as_bytes());
        Arc::new(Definition { digest, text })
    }

    pub(crate) fn read(definition: &Definition) -> Result<Self, String> {
        serde_json::from_str(&definition.text).map_err(|error| error.to_string())
    }
}

impl WorkflowSource for Bundle {
    fn find(&self, name: &str, from: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        let found =
            self.calls.iter().find(|call| call.name == name && call.from.as_deref() == from);
        let key = found.map(|call| call.key.clone());
        let workflow = key.as_ref().and_then(|key| self.called.get(key)).cloned();
        match (key, workflow) {
            (Some(key), Some(workflow)) => Ok(CalledWorkflow { key, workflow }),
            _ => Err(NoWorkflow::NotFound("it was not kept".to_owned())),
        }
    }
}

/// Finds workflows in another source, and remembers them.
pub(crate) struct Recording<S> {
    source: S,
    found: Mutex<BTreeMap<Call, Workflow>>,
}

impl<S: WorkflowSource> Recording<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source, found: Mutex::default() }
    }

    /// The workflow with all that were found for it.
    pub(crate) fn into_bundle(self, workflow: &Workflow) -> Bundle {
        let found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let workflow = workflow.clone();
        let called = found.iter().map(|(call, workflow)| (call.key.clone(), workflow.clone()));
        Bundle { workflow, called: called.collect(), calls: found.into_keys().collect() }
    }
}

impl<S: WorkflowSource> WorkflowSource for Recording<S> {
    fn find(&self, name: &str, from: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        let called = self.source.find(name, from)?;
        let call =
            Call { name: name.to_owned(), from: from.map(str::to_owned), key: called.key.clone() };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(call, called.workflow.clone());
        Ok(called)
    }
}
