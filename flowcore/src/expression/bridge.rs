//! Values as minijinja sees them, without conversion: a container of Flow is an object of minijinja.

use std::sync::Arc;

use minijinja::Value as Jinja;
use minijinja::value::{Enumerator, Object as JinjaObject, ObjectExt, ObjectRepr, ValueKind};

use crate::value::{Array, ArrayBody, Number, Object, ObjectBody, Value, ValueError};

/// The value as minijinja sees it; allocates nothing but for bytes and empty objects.
pub(super) fn to_jinja(value: &Value) -> Jinja {
    match value.untainted() {
        Value::Null | Value::Tainted(_) => Jinja::from(()),
        Value::Bool(value) => Jinja::from(*value),
        Value::Number(number) => number_to_jinja(*number),
        Value::String(text) => Jinja::from(text.clone()),
        Value::Bytes(bytes) => Jinja::from_bytes(bytes.to_vec()),
        Value::Array(array) => Jinja::from_dyn_object(array.0.clone()),
        Value::Object(object) => Jinja::from_dyn_object(object.body()),
    }
}

fn number_to_jinja(number: Number) -> Jinja {
    if !number.is_integer() {
        return Jinja::from(number.as_f64());
    }
    match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => Jinja::from(value),
        (None, Some(value)) => Jinja::from(value),
        (None, None) => Jinja::from(number.as_f64()),
    }
}

/// Why a result of minijinja is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BridgeError {
    #[error("the result is undefined")]
    Undefined,
    #[error("the integer does not fit into 64 bits")]
    IntegerTooLarge,
    #[error("the result is not data")]
    NotData,
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// The result of an expression; a container that came from a value is that container again.
pub(super) fn from_jinja(jinja: &Jinja) -> Result<Value, BridgeError> {
    match jinja.kind() {
        ValueKind::Undefined => Err(BridgeError::Undefined),
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::Bool(jinja.is_true())),
        ValueKind::Number => number_from_jinja(jinja),
        ValueKind::String => jinja.as_str().map(Value::from).ok_or(BridgeError::NotData),
        ValueKind::Bytes => jinja.as_bytes().map(Value::from).ok_or(BridgeError::NotData),
        ValueKind::Map => map_from_jinja(jinja),
        ValueKind::Seq | ValueKind::Iterable => seq_from_jinja(jinja),
        _ => Err(BridgeError::NotData),
    }
}

fn number_from_jinja(jinja: &Jinja) -> Result<Value, BridgeError> {
    if !jinja.is_integer() {
        let float = f64::try_from(jinja.clone()).map_err(|_| BridgeError::NotData)?;
        return Ok(Value::try_from(float)?);
    }
    if let Some(value) = jinja.as_i64() {
        return Ok(Value::from(value));
    }
    let value = u64::try_from(jinja.clone()).map_err(|_| BridgeError::IntegerTooLarge)?;
    Ok(Value::from(value))
}

fn seq_from_jinja(jinja: &Jinja) -> Result<Value, BridgeError> {
    if let Some(body) = jinja.downcast_object::<ArrayBody>() {
        return Ok(Value::Array(Array(body)));
    }
    let items = jinja.try_iter().map_err(|_| BridgeError::NotData)?;
    let items: Result<Vec<Value>, BridgeError> = items.map(|item| from_jinja(&item)).collect();
    Ok(Value::Array(Array::from_values(items?)?))
}

fn map_from_jinja(jinja: &Jinja) -> Result<Value, BridgeError> {
    if let Some(body) = jinja.downcast_object::<ObjectBody>() {
        return Ok(Value::Object(Object::from_body(body)));
    }
    let keys = jinja.try_iter().map_err(|_| BridgeError::NotData)?;
    let entries: Result<Vec<(String, Value)>, BridgeError> = keys
        .map(|key| {
            let value = jinja.get_item(&key).map_err(|_| BridgeError::NotData)?;
            Ok((key.to_string(), from_jinja(&value)?))
        })
        .collect();
    Ok(Value::Object(Object::from_entries(entries?)?))
}

impl JinjaObject for ArrayBody {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.items().get(key.as_usize()?).map(to_jinja)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items().len())
    }
}

impl std::fmt::Debug for ArrayBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.items()).finish()
    }
}

impl JinjaObject for ObjectBody {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        self.entries().get(key).map(to_jinja)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_enumerator(|body| {
            Box::new(body.entries().iter().map(|(key, _)| Jinja::from(key.clone())))
        })
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.entries().len())
    }
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.entries().iter()).finish()
    }
}
