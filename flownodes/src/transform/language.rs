//! The template language over values: its settings, and the way in and out.
//!
//! TODO-design: `flowcore::expression` offers the same; this becomes a re-use of it.

use std::fmt;
use std::sync::Arc;

use flowcore::value::MAX_DEPTH;
use flowcore::{Array, NodeError, Object, Value};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object as Dynamic, ObjectRepr, Value as Inner, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

/// The environment that expressions and templates start from: strict about undefined, nothing is
/// escaped, nothing can be loaded.
pub(super) fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the default delimiters are good"));
    environment.set_fuel(Some(fuel));
    environment
}

/// Hands a value to the template language; O(1) but for bytes. Taint is gone on the other side: the
/// outputs of a pure node are tainted as a whole.
pub(super) fn to_language(value: &Value) -> Inner {
    match value {
        Value::Null => Inner::from(()),
        Value::Bool(value) => Inner::from(*value),
        Value::Number(number) if !number.is_integer() => Inner::from(number.as_f64()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Inner::from(integer),
            None => Inner::from(number.as_u64()),
        },
        Value::String(text) => Inner::from(text),
        Value::Bytes(bytes) => Inner::from_bytes(bytes.to_vec()),
        Value::Array(array) => Inner::from_object(ArrayView(array.clone())),
        Value::Object(object) => Inner::from_object(ObjectView(object.clone())),
        Value::Tainted(tainted) => to_language(tainted.reveal()),
    }
}

/// Takes a value back from the template language; O(1) for what came from a value unchanged.
///
/// # Errors
/// `expression.undefined`; `expression.no_value` for what no value can hold, such as a function;
/// `value.too_deep`; `value.not_finite`.
pub(super) fn from_language(inner: &Inner) -> Result<Value, NodeError> {
    read(inner, MAX_DEPTH)
}

fn read(inner: &Inner, levels: u8) -> Result<Value, NodeError> {
    match inner.kind() {
        ValueKind::Undefined => Err(NodeError::new("expression.undefined", "undefined value")),
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::from(inner.is_true())),
        ValueKind::Number => read_number(inner),
        ValueKind::String => Ok(Value::from(inner.to_str().unwrap_or_default())),
        ValueKind::Bytes => Ok(Value::from(inner.as_bytes().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => read_items(inner, levels),
        ValueKind::Map => read_members(inner, levels),
        kind => Err(no_value(format!("the result is a {kind}, which is no value"))),
    }
}

fn read_number(inner: &Inner) -> Result<Value, NodeError> {
    if !inner.is_integer() {
        let float = f64::try_from(inner.clone()).map_err(|error| failure(&error))?;
        return Ok(Value::try_from(float)?);
    }
    let signed = inner.as_i64().map(Value::from);
    let number = signed.or_else(|| u64::try_from(inner.clone()).ok().map(Value::from));
    number.ok_or_else(|| no_value("the result is an integer beyond 64 bits".to_owned()))
}

fn read_items(inner: &Inner, levels: u8) -> Result<Value, NodeError> {
    if let Some(ArrayView(array)) = inner.downcast_object_ref() {
        return Ok(Value::Array(array.clone()));
    }
    let levels = levels.checked_sub(1).ok_or(flowcore::ValueError::TooDeep)?;
    let items = inner.try_iter().map_err(|error| failure(&error))?.checked();
    let items: Result<Vec<_>, NodeError> =
        items.map(|item| read(&item.map_err(|error| failure(&error))?, levels)).collect();
    Ok(Value::from(Array::from_values(items?)?))
}

fn read_members(inner: &Inner, levels: u8) -> Result<Value, NodeError> {
    if let Some(ObjectView(object)) = inner.downcast_object_ref() {
        return Ok(Value::Object(object.clone()));
    }
    let levels = levels.checked_sub(1).ok_or(flowcore::ValueError::TooDeep)?;
    let keys = inner.try_iter().map_err(|error| failure(&error))?.checked();
    let entries: Result<Vec<_>, NodeError> = keys
        .map(|key| {
            let key = key.map_err(|error| failure(&error))?;
            let value = inner.get_item(&key).map_err(|error| failure(&error))?;
            let key = key.to_str().ok_or_else(|| no_value(format!("the key {key} is no text")))?;
            Ok((key, read(&value, levels)?))
        })
        .collect();
    Ok(Value::from(Object::from_entries(entries?)?))
}

fn no_value(message: String) -> NodeError {
    NodeError::new("expression.no_value", message)
}

/// The failure of an expression, without the text of the expression.
pub(super) fn failure(error: &minijinja::Error) -> NodeError {
    let code = match error.kind() {
        ErrorKind::UndefinedError => "expression.undefined",
        _ => "expression.failed",
    };
    NodeError::new(code, describe(error))
}

/// What an error of the template language says, without the place.
pub(super) fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// An array as the template language sees it.
#[derive(Debug)]
struct ArrayView(Array);

impl Dynamic for ArrayView {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Inner) -> Option<Inner> {
        self.0.get(key.as_usize()?).map(to_language)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render_json(&Value::Array(self.0.clone()), f)
    }
}

/// An object as the template language sees it.
#[derive(Debug)]
struct ObjectView(Object);

impl Dynamic for ObjectView {
    fn get_value(self: &Arc<Self>, key: &Inner) -> Option<Inner> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Inner> {
        self.0.get(key).map(to_language)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(Inner::from).collect())
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
        assert_eq!(from_language(&to_language(value)).unwrap(), *value);
    }

    #[test]
    fn values_survive_the_way_there_and_back() {
        let text = r#"[null, true, 1, 1.0, -9223372036854775808, 18446744073709551615, "é",
                       {"z": [], "a": {"$bytes": "AQL/"}}]"#;
        let value = read_json(text).unwrap();
        round_trip(&value);
        value.as_array().unwrap().iter().for_each(round_trip);
        let back = from_language(&to_language(&value)).unwrap();
        let (Value::Array(before), Value::Array(after)) = (&value, &back) else { panic!() };
        assert!(std::ptr::eq(before.as_ptr(), after.as_ptr()), "nothing was copied");
    }

    #[test]
    fn secrets_are_revealed_to_the_language() {
        let secret = Value::from("s3cret").tainted();
        assert_eq!(to_language(&secret).as_str(), Some("s3cret"));
        let list = Value::from(Array::from_values([secret]).unwrap());
        assert_eq!(to_language(&list).to_string(), r#"["s3cret"]"#);
    }

    #[track_caller]
    fn check_error(inner: &Inner, code: &str) {
        assert_eq!(from_language(inner).unwrap_err().code(), code, "{inner:?}");
    }

    #[test]
    fn what_is_no_value_is_an_error() {
        check_error(&Inner::UNDEFINED, "expression.undefined");
        check_error(&Inner::from_function(|| 1), "expression.no_value");
        check_error(&Inner::from(i128::MAX), "expression.no_value");
        check_error(&Inner::from_pairs([(1, 2)]), "expression.no_value");
        check_error(&Inner::from(f64::NAN), "value.not_finite");
        let deep = (0..101).fold(Inner::from(1), |inner, _| Inner::from(vec![inner]));
        check_error(&deep, "value.too_deep");
    }
}
