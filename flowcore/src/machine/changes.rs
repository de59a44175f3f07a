//! What a node changed, for those who record it.

use std::sync::Arc;

use super::state::Machine;
use crate::event::{Change, Changes, Instance};
use crate::node::NodeOutput;
use crate::value::{Object, Value, ValueDifference, differences, escape_pointer};

/// How many changes of one attempt are listed.
const MAX_CHANGES: usize = 1_000;

impl Machine {
    /// What an attempt changed; `None` when its workflow does not record that.
    ///
    /// A node that takes an object or array and gives one has changed it: its first input port that
    /// has a value is compared with each output port. What it wrote to the shared state is compared
    /// with what was there. What came from a secret is a change as a whole.
    pub(super) fn changes(
        &self,
        instance: Instance,
        outputs: &NodeOutput,
        state_writes: &Object,
    ) -> Option<Arc<Changes>> {
        let scope = self.scopes.get(instance.scope);
        let home = self.home(scope);
        if !self.plan.body(home.body).workflow.settings.record_changes {
            return None;
        }
        let mut found = Changes::default();
        let mut ports = self.plan.input_names(self.plan_node(instance)).iter();
        let subject = ports
            .find_map(|port| self.port_value(scope, instance.node, port.as_str(), true))
            .filter(is_container);
        if let Some(subject) = subject {
            for (port, value) in outputs.iter().filter(|(_, value)| is_container(value)) {
                let path = format!("/{}", escape_pointer(port));
                differences(&subject, value, &path, &mut |one| found.add(one));
            }
        }
        let state = home.workflow.as_ref().map(|workflow| &workflow.state);
        for (key, value) in state_writes.iter() {
            let path = format!("/state/{}", escape_pointer(key));
            match state.and_then(|state| state.get(key)) {
                Some(old) => differences(old, value, &path, &mut |one| found.add(one)),
                None => found.push(&path, None, Some(value)),
            }
        }
        Some(Arc::new(found))
    }
}

fn is_container(value: &Value) -> bool {
    value.as_object().is_some() || value.as_array().is_some()
}

impl Changes {
    fn add(&mut self, one: ValueDifference<'_>) {
        self.push(one.path, one.old, one.new);
    }

    fn push(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>) {
        if self.list.len() < MAX_CHANGES {
            let path = path.to_owned();
            self.list.push(Change { path, old_value: old.cloned(), new_value: new.cloned() });
        } else {
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded() {
        let array = |number: u64| {
            let values = std::iter::repeat_n(Value::from(number), MAX_CHANGES + 5);
            Value::from(crate::value::Array::from_values(values).unwrap())
        };
        let mut found = Changes::default();
        differences(&array(1), &array(2), "", &mut |one| found.add(one));
        assert_eq!((found.list.len(), found.left_out), (MAX_CHANGES, 5));
    }
}
