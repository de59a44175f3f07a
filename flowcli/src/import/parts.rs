//! What importers build workflows from.

use flowcore::value::escape_pointer;
use flowcore::{Array, Object, Value};

/// An object under construction. Its parts come from a value that was read, or are a few levels
/// deep, so they never are nested too deep together but in hostile files, where they are cut off.
#[derive(Default, Clone)]
pub(super) struct Keys(Vec<(String, Value)>);

impl Keys {
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// These keys and then the others.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn build(self) -> Value {
        Object::from_entries(self.0).map_or(Value::Null, Value::Object)
    }
}

/// An array of these values.
pub(super) fn array(items: impl IntoIterator<Item = Value>) -> Value {
    Array::from_values(items).map_or(Value::Null, Value::Array)
}

/// The pointer of a member.
pub(super) fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", escape_pointer(key))
}

/// The value with `{{` in its texts written so that Flow takes it for text.
pub(super) fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("{{") => Value::from(text.replace("{{", "{{{{")),
        Value::Array(items) => array(items.iter().map(escaped)),
        Value::Object(object) => {
            let entries = object.iter().map(|(key, value)| (key.clone(), escaped(value)));
            Object::from_entries(entries).map_or(Value::Null, Value::Object)
        }
        other => other.clone(),
    }
}
