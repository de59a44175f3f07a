//! The one conversion between values and the data of rules.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datalogic_rs::DataValue;
use datalogic_rs::bumpalo::Bump;
use datalogic_rs::datavalue::NumberValue;

use crate::value::{Array, BYTES_KEY, Number, Value, ValueError, object_or_marker};

/// Where what a rule reads stands in its data: only that is converted.
#[derive(Debug)]
pub(super) enum Tree {
    /// The value of the read with this index.
    Leaf(usize),
    /// An object with these keys.
    Branch(Vec<(Arc<str>, Tree)>),
}

impl Tree {
    /// Adds a path; one that another covers adds nothing.
    pub(super) fn insert(&mut self, path: &[Arc<str>], read: usize) {
        let Some((first, rest)) = path.split_first() else {
            *self = Self::Leaf(read);
            return;
        };
        let Self::Branch(children) = self else { return };
        match children.iter_mut().find(|(key, _)| key == first) {
            Some((_, child)) => child.insert(rest, read),
            None => {
                let mut child = Self::Branch(Vec::new());
                child.insert(rest, read);
                children.push((first.clone(), child));
            }
        }
    }

    /// The data of a rule; what has no value is missing in it.
    pub(super) fn fill<'a>(
        &'a self,
        values: &'a [Option<Value>],
        arena: &'a Bump,
    ) -> Result<Option<DataValue<'a>>, DataError> {
        match self {
            Self::Leaf(read) => {
                values[*read].as_ref().map(|value| to_data(value, arena)).transpose()
            }
            Self::Branch(children) => {
                let mut entries = Vec::with_capacity(children.len());
                for (key, child) in children {
                    if let Some(value) = child.fill(values, arena)? {
                        entries.push((&**key, value));
                    }
                }
                Ok(Some(DataValue::Object(arena.alloc_slice_fill_iter(entries))))
            }
        }
    }
}

/// Why a value and the data of a rule do not convert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DataError {
    #[error("an integer is beyond the signed 64 bits that JSONLogic calculates with")]
    IntegerTooLarge,
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Texts are not copied. Bytes are what they are in JSON.
pub(super) fn to_data<'a>(value: &'a Value, arena: &'a Bump) -> Result<DataValue<'a>, DataError> {
    Ok(match value.untainted() {
        Value::Null | Value::Tainted(_) => DataValue::Null,
        Value::Bool(value) => DataValue::Bool(*value),
        Value::Number(number) => DataValue::Number(to_number(*number)?),
        Value::String(text) => DataValue::String(text),
        Value::Bytes(bytes) => {
            let text = DataValue::String(arena.alloc_str(&STANDARD.encode(bytes)));
            DataValue::Object(arena.alloc_slice_fill_iter([(BYTES_KEY, text)]))
        }
        Value::Array(array) => {
            let items: Result<Vec<_>, _> = array.iter().map(|item| to_data(item, arena)).collect();
            DataValue::Array(arena.alloc_slice_fill_iter(items?))
        }
        Value::Object(object) => {
            let entries: Result<Vec<_>, DataError> =
                object.iter().map(|(key, item)| Ok((&**key, to_data(item, arena)?))).collect();
            DataValue::Object(arena.alloc_slice_fill_iter(entries?))
        }
    })
}

/// Integers stay integers; JSONLogic has none beyond `i64`, and rounding one silently is worse than
/// refusing it.
pub(super) fn to_number(number: Number) -> Result<NumberValue, DataError> {
    match (number.is_integer(), number.as_i64()) {
        (true, Some(integer)) => Ok(NumberValue::Integer(integer)),
        (true, None) => Err(DataError::IntegerTooLarge),
        (false, _) => Ok(NumberValue::Float(number.as_f64())),
    }
}

/// The result of a rule as a value.
pub(super) fn from_data(data: &DataValue<'_>) -> Result<Value, DataError> {
    Ok(match data {
        DataValue::Null => Value::Null,
        DataValue::Bool(value) => Value::Bool(*value),
        DataValue::Number(NumberValue::Integer(integer)) => Value::from(*integer),
        DataValue::Number(NumberValue::Float(float)) => Value::try_from(*float)?,
        DataValue::String(text) => Value::from(*text),
        DataValue::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(from_data).collect();
            Value::Array(Array::from_values(items?)?)
        }
        DataValue::Object(entries) => {
            let entries: Result<Vec<_>, DataError> = entries
                .iter()
                .map(|(key, item)| Ok(((*key).to_owned(), from_data(item)?)))
                .collect();
            object_or_marker(entries?)?
        }
    })
}
