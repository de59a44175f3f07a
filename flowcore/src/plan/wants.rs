//! Which messages a workflow is for.

use super::Plan;
use crate::expression::Slot;
use crate::node::{NodeError, Secrets};
use crate::value::{Object, Value};

impl Plan {
    /// Whether the workflow is for these inputs: whether its `when` holds, or it has none.
    ///
    /// It is asked of those who look for a workflow, and not of those who start this one. Inputs are
    /// not checked yet: one that is not given has its default, or is null.
    ///
    /// # Errors
    /// The error of the expression or rule, or `when.not_boolean`.
    pub fn wants(&self, given: &Object, secrets: &Secrets) -> Result<bool, NodeError> {
        let Some(when) = &self.when else { return Ok(true) };
        when.holds("when", &mut |slot| match slot {
            Slot::Inputs => Some(self.wanted_inputs(given)),
            Slot::Input(name) => Some(self.wanted_input(given, name)),
            Slot::Secret(name) => secrets.get(name).cloned(),
            slot => self.known_before(slot, given),
        })
    }

    /// What is known before an execution with these inputs starts; the compiler refuses the rest.
    pub(super) fn known_before(&self, slot: &Slot, inputs: &Object) -> Option<Value> {
        match slot {
            Slot::Inputs => Some(Value::Object(inputs.clone())),
            Slot::Input(name) => inputs.get(name).cloned(),
            Slot::Workflow(field) => self.body(0).field(field),
            Slot::Node(_)
            | Slot::Port(_)
            | Slot::Execution(_)
            | Slot::Secret(_)
            | Slot::Scope(_)
            | Slot::Local(_) => None,
        }
    }

    fn wanted_input(&self, given: &Object, name: &str) -> Value {
        let declared = || self.workflow().inputs.as_ref()?.get(name)?.default_value();
        given.get(name).or_else(declared).cloned().unwrap_or_default()
    }

    fn wanted_inputs(&self, given: &Object) -> Value {
        let Some(declared) = &self.workflow().inputs else { return Value::Object(given.clone()) };
        let inputs = declared.keys().map(|name| (name.as_str(), self.wanted_input(given, name)));
        // Each was in an object already, or is a default of the file.
        Value::Object(Object::from_entries(inputs).unwrap_or_default())
    }
}
