//! The way of values into jq filters and out of them.

use flowcore::value::MAX_DEPTH;
use flowcore::{Array, NodeError, Number, Object, Value, ValueError};
use jaq_json::{Num, Val};

/// The value as jaq has it; integers stay exact, keys keep their order, bytes are byte strings.
/// Taint is gone on the other side: the outputs of a pure node are tainted as a whole.
pub(super) fn to_jq(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(*value),
        Value::Number(number) => Val::Num(number_to_jq(*number)),
        Value::String(text) => text_to_jq(text),
        Value::Bytes(bytes) => Val::byte_str(bytes.to_vec()),
        Value::Array(items) => items.iter().map(to_jq).collect(),
        Value::Object(object) => {
            Val::obj(object.iter().map(|(key, value)| (text_to_jq(key), to_jq(value))).collect())
        }
        Value::Tainted(tainted) => to_jq(tainted.reveal()),
    }
}

fn text_to_jq(text: &str) -> Val {
    Val::utf8_str(text.as_bytes().to_vec())
}

fn number_to_jq(number: Number) -> Num {
    match (number.is_integer(), number.as_i64(), number.as_u64()) {
        (true, Some(integer), _) => Num::from_integral(integer),
        (true, None, Some(integer)) => Num::from_integral(integer),
        _ => Num::Float(number.as_f64()),
    }
}

/// The value that jaq has.
///
/// # Errors
/// `jq.no_value` for integers beyond 64 bits and keys that are not text; `value.too_deep`;
/// `value.not_finite`.
pub(super) fn from_jq(val: &Val) -> Result<Value, NodeError> {
    read(val, MAX_DEPTH)
}

fn read(val: &Val, levels: u8) -> Result<Value, NodeError> {
    match val {
        Val::Null => Ok(Value::Null),
        Val::Bool(value) => Ok(Value::Bool(*value)),
        Val::Num(number) => number_from_jq(number),
        Val::BStr(bytes) => Ok(Value::from(&***bytes)),
        Val::TStr(text) => Ok(Value::from(&*String::from_utf8_lossy(text))),
        Val::Arr(items) => {
            let levels = levels.checked_sub(1).ok_or(ValueError::TooDeep)?;
            let items: Result<Vec<_>, _> = items.iter().map(|item| read(item, levels)).collect();
            Ok(Array::from_values(items?)?.into())
        }
        Val::Obj(entries) => {
            let levels = levels.checked_sub(1).ok_or(ValueError::TooDeep)?;
            let entries =
                entries.iter().map(|(key, value)| Ok((key_from_jq(key)?, read(value, levels)?)));
            Ok(Object::from_entries(entries.collect::<Result<Vec<_>, NodeError>>()?)?.into())
        }
    }
}

fn key_from_jq(key: &Val) -> Result<String, NodeError> {
    match key {
        Val::TStr(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        other => {
            Err(NodeError::new("jq.no_value", format!("the key {other} of an object is no text"))
                .with_hint("make it one: `{(.id | tostring): .}`"))
        }
    }
}

fn number_from_jq(number: &Num) -> Result<Value, NodeError> {
    match number {
        Num::Int(integer) => i64::try_from(*integer).map(Value::from).map_err(|_| too_large()),
        Num::BigInt(integer) => {
            let text = integer.to_string();
            let signed = text.parse::<i64>().map(Value::from);
            signed.or_else(|_| text.parse::<u64>().map(Value::from)).map_err(|_| too_large())
        }
        Num::Float(float) => Ok(Value::try_from(*float)?),
        Num::Dec(text) => Ok(Value::try_from(text.parse().unwrap_or(f64::NAN))?),
    }
}

fn too_large() -> NodeError {
    NodeError::new("jq.no_value", "the result has an integer beyond 64 bits")
        .with_hint("make it a float, `. * 1.0`, or a text, `tostring`")
}
