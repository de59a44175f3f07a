//! Values as templates see them.
//!
//! `flowcore::expression` has the same bridge for expressions, and keeps it to itself.

use std::fmt;
use std::sync::Arc;

use flowcore::value::MAX_DEPTH;
use flowcore::{Array, Object, Value, ValueError};
use minijinja::value::{Enumerator, Object as JinjaObject, ObjectRepr, Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind};

/// Hands a value to a template; O(1) but for bytes. Taint is gone on the other side: the outputs of
/// a pure node are tainted as a whole.
pub(super) fn to_jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(value) => Jinja::from(*value),
        Value::Number(number) if !number.is_integer() => Jinja::from(number.as_f64()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Jinja::from(integer),
            None => Jinja::from(number.as_u64()),
        },
        Value::String(text) => Jinja::from(text),
        Value::Bytes(bytes) => Jinja::from_bytes(bytes.to_vec()),
        Value::Array(array) => Jinja::from_object(ArrayView(array.clone())),
        Value::Object(object) => Jinja::from_object(ObjectView(object.clone())),
        Value::Tainted(tainted) => to_jinja(tainted.reveal()),
    }
}

/// Takes a value back from a template; O(1) for what came from a value unchanged.
///
/// # Errors
/// When no value can hold it: something undefined, a function, an integer beyond 64 bits, a float
/// that is not finite, a key that is no text, or too deep a nesting.
pub(super) fn from_jinja(jinja: &Jinja) -> Result<Value, Error> {
    read(jinja, MAX_DEPTH)
}

fn read(jinja: &Jinja, levels: u8) -> Result<Value, Error> {
    match jinja.kind() {
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::from(jinja.is_true())),
        ValueKind::Number => read_number(jinja),
        ValueKind::String => Ok(Value::from(jinja.to_str().unwrap_or_default())),
        ValueKind::Bytes => Ok(Value::from(jinja.as_bytes().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => read_items(jinja, levels),
        ValueKind::Map => read_members(jinja, levels),
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        kind => Err(no_value(format!("a {kind} is no value"))),
    }
}

fn read_number(jinja: &Jinja) -> Result<Value, Error> {
    if !jinja.is_integer() {
        let float = f64::try_from(jinja.clone())?;
        return Value::try_from(float).map_err(|error| no_value(error.to_string()));
    }
    let signed = jinja.as_i64().map(Value::from);
    let number = signed.or_else(|| u64::try_from(jinja.clone()).ok().map(Value::from));
    number.ok_or_else(|| no_value("an integer beyond 64 bits is no value".to_owned()))
}

fn read_items(jinja: &Jinja, levels: u8) -> Result<Value, Error> {
    if let Some(ArrayView(array)) = jinja.downcast_object_ref() {
        return Ok(Value::Array(array.clone()));
    }
    let levels = levels.checked_sub(1).ok_or_else(too_deep)?;
    let items = jinja.try_iter()?.checked();
    let items: Result<Vec<_>, Error> = items.map(|item| read(&item?, levels)).collect();
    Ok(Value::from(Array::from_values(items?).map_err(|_| too_deep())?))
}

fn read_members(jinja: &Jinja, levels: u8) -> Result<Value, Error> {
    if let Some(ObjectView(object)) = jinja.downcast_object_ref() {
        return Ok(Value::Object(object.clone()));
    }
    let levels = levels.checked_sub(1).ok_or_else(too_deep)?;
    let members = jinja.try_iter()?.checked().map(|key| {
        let key = key?;
        let value = read(&jinja.get_item(&key)?, levels)?;
        let key = key.to_str().ok_or_else(|| no_value(format!("the key {key} is no text")))?;
        Ok((key, value))
    });
    let members = members.collect::<Result<Vec<_>, Error>>()?;
    Ok(Value::from(Object::from_entries(members).map_err(|_| too_deep())?))
}

fn no_value(message: String) -> Error {
    Error::new(ErrorKind::BadSerialization, message)
}

fn too_deep() -> Error {
    no_value(ValueError::TooDeep.to_string())
}

/// An array as templates see it.
#[derive(Debug)]
struct ArrayView(Array);

impl JinjaObject for ArrayView {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.0.get(key.as_usize()?).map(to_jinja)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render_json(&Value::Array(self.0.clone()), f)
    }
}

/// An object as templates see it.
#[derive(Debug)]
struct ObjectView(Object);

impl JinjaObject for ObjectView {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        self.0.get(key).map(to_jinja)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(Jinja::from).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render_json(&Value::Object(self.0.clone()), f)
    }
}

fn render_json(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&serde_json::to_string(&value.reveal()).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::*;

    #[track_caller]
    fn round_trip(value: &Value) {
        assert_eq!(from_jinja(&to_jinja(value)).unwrap(), *value);
    }

    #[test]
    fn values_survive_the_way_there_and_back() {
        let text = r#"[null, true, 1, 1.0, -9223372036854775808, 18446744073709551615, "é",
                       {"z": [], "a": {"$bytes": "AQL/"}}]"#;
        let value = read_json(text).unwrap();
        round_trip(&value);
        value.as_array().unwrap().iter().for_each(round_trip);
        let back = from_jinja(&to_jinja(&value)).unwrap();
        let (Value::Array(before), Value::Array(after)) = (&value, &back) else { panic!() };
        assert!(std::ptr::eq(before.as_ptr(), after.as_ptr()), "nothing was copied");
    }

    #[test]
    fn secrets_are_revealed_to_templates() {
        let secret = Value::from("s3cret").tainted();
        assert_eq!(to_jinja(&secret).as_str(), Some("s3cret"));
        let list = Value::from(Array::from_values([secret]).unwrap());
        assert_eq!(to_jinja(&list).to_string(), r#"["s3cret"]"#);
    }

    #[test]
    fn what_is_no_value_is_an_error() {
        let deep = (0..101).fold(Jinja::from(1), |inner, _| Jinja::from(vec![inner]));
        let others = [
            Jinja::UNDEFINED,
            Jinja::from_function(|| 1),
            Jinja::from(i128::MAX),
            Jinja::from_pairs([(1, 2)]),
            Jinja::from(f64::NAN),
            deep,
        ];
        for other in others {
            assert!(from_jinja(&other).is_err(), "{other:?}");
        }
    }
}
