//! What a node changed, for those who record it.

use std::sync::Arc;

use super::state::Machine;
use crate::event::{Change, Changes, Instance};
use crate::node::NodeOutput;
use crate::value::{Object, Value, escape_pointer};

/// How many changes of one attempt are listed.
const MAX_CHANGES: usize = 1_000;

impl Machine {
    /// What an attempt changed; `None` when its workflow does not record that.
    ///
    /// A node that takes an object or array and gives one has changed it: its first input port that
    /// has a value is compared with each output port. What it wrote to the shared state is compared
    /// with what was there.
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
                compare(&format!("/{}", escape_pointer(port)), &subject, value, &mut found);
            }
        }
        let state = home.workflow.as_ref().map(|workflow| &workflow.state);
        for (key, value) in state_writes.iter() {
            let old = state.and_then(|state| state.get(key));
            let path = format!("/state/{}", escape_pointer(key));
            compare_some(&path, old, Some(value), &mut found);
        }
        Some(Arc::new(found))
    }
}

fn is_container(value: &Value) -> bool {
    value.as_object().is_some() || value.as_array().is_some()
}

fn compare_some(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Changes) {
    match (old, new) {
        (Some(old), Some(new)) => compare(path, old, new, found),
        (None, None) => {}
        (old, new) => found.add(path, old, new),
    }
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Changes) {
    if old == new {
        return;
    }
    if let (Some(old), Some(new)) = (old.as_object(), new.as_object()) {
        let added = new.keys().filter(|key| !old.contains_key(key));
        for key in old.keys().chain(added) {
            let path = format!("{path}/{}", escape_pointer(key));
            compare_some(&path, old.get(key), new.get(key), found);
        }
    } else if let (Some(old), Some(new)) = (old.as_array(), new.as_array()) {
        for index in 0..old.len().max(new.len()) {
            compare_some(&format!("{path}/{index}"), old.get(index), new.get(index), found);
        }
    } else {
        found.add(path, Some(old), Some(new));
    }
}

impl Changes {
    fn add(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>) {
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
    use crate::value::read_json;

    #[track_caller]
    fn check(old: &str, new: &str, expected: &str) {
        let mut found = Changes::default();
        compare("/output", &read_json(old).unwrap(), &read_json(new).unwrap(), &mut found);
        assert_eq!(serde_json::to_string(&found.list).unwrap(), expected);
    }

    #[test]
    fn changes_are_found_where_they_are() {
        check(r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#, "[]");
        check(
            r#"{"a": 1, "gone": null, "in": {"x/y": [1, 2, 3], "same": [1]}}"#,
            r#"{"a": 2, "in": {"x/y": [1, 5], "same": [1]}, "new": null}"#,
            concat!(
                r#"[{"path":"/output/a","old_value":1,"new_value":2},"#,
                r#"{"path":"/output/gone","old_value":null},"#,
                r#"{"path":"/output/in/x~1y/1","old_value":2,"new_value":5},"#,
                r#"{"path":"/output/in/x~1y/2","old_value":3},"#,
                r#"{"path":"/output/new","new_value":null}]"#,
            ),
        );
        check(
            r#"{"a": {"b": 1}}"#,
            r#"{"a": [1]}"#,
            r#"[{"path":"/output/a","old_value":{"b":1},"new_value":[1]}]"#,
        );
    }

    #[test]
    fn the_list_is_bounded() {
        let array = |number: u64| {
            let values = std::iter::repeat_n(Value::from(number), MAX_CHANGES + 5);
            Value::from(crate::value::Array::from_values(values).unwrap())
        };
        let mut found = Changes::default();
        compare("", &array(1), &array(2), &mut found);
        assert_eq!((found.list.len(), found.left_out), (MAX_CHANGES, 5));
    }
}
