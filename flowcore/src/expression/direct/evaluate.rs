//! Evaluating the tree.

use std::fmt::Write as _;
use std::sync::Arc;

use super::operate::{is_true, negative};
use super::{Choice, Direct};
use crate::expression::compile::Segment;
use crate::value::{Array, Object, Value};

/// A value on the way; never tainted at its root, as the whole result is if anything read is.
enum Operand<'a> {
    Undefined,
    Kept(&'a Value),
    Made(Value),
}

impl Operand<'_> {
    /// The value; using what is undefined is an error nearly everywhere.
    fn value(&self) -> Option<&Value> {
        match self {
            Self::Undefined => None,
            Self::Kept(value) => Some(value),
            Self::Made(value) => Some(value),
        }
    }

    fn into_value(self) -> Option<Value> {
        match self {
            Self::Undefined => None,
            Self::Kept(value) => Some(value.clone()),
            Self::Made(value) => Some(value),
        }
    }
}

impl Direct {
    /// The result, with one value per slot; `None` when the interpreter has to say.
    pub(in crate::expression) fn evaluate(&self, values: &[Option<Value>]) -> Option<Value> {
        self.operand(values)?.into_value()
    }

    fn operand<'a>(&'a self, values: &'a [Option<Value>]) -> Option<Operand<'a>> {
        let made = match self {
            Self::Constant(value) => return Some(Operand::Kept(value)),
            Self::Path { slot, segments } => return walk(values.get(*slot)?.as_ref(), segments),
            Self::Item(pair) => {
                let (value, key) = (pair.0.operand(values)?, pair.1.operand(values)?);
                return item(value, key.value()?);
            }
            Self::And(pair) | Self::Or(pair) => {
                let first = pair.0.operand(values)?;
                let decides = is_true(first.value()?) == matches!(self, Self::Or(_));
                return if decides { Some(first) } else { pair.1.operand(values) };
            }
            Self::Choice(choice) => {
                let Choice { condition, then, otherwise } = &**choice;
                let holds = is_true(condition.operand(values)?.value()?);
                return if holds { then.operand(values) } else { otherwise.operand(values) };
            }
            Self::Default(pair) => {
                // The other is evaluated in any case.
                let (value, other) = (pair.0.operand(values)?, pair.1.operand(values)?);
                return Some(if matches!(value, Operand::Undefined) { other } else { value });
            }
            Self::Not(operand) => Value::Bool(!is_true(operand.operand(values)?.value()?)),
            Self::Negative(operand) => negative(operand.operand(values)?.value()?)?,
            Self::Binary(operator, pair) => {
                let (a, b) = (pair.0.operand(values)?, pair.1.operand(values)?);
                operator.apply(a.value()?, b.value()?)?
            }
            Self::Text(pieces) => text(pieces, values)?,
            Self::Array(items) => {
                let items: Option<Vec<_>> =
                    items.iter().map(|item| item.operand(values)?.into_value()).collect();
                Value::Array(Array::from_values(items?).ok()?)
            }
            Self::Object(entries) => object(entries, values)?,
            Self::Filter(filter, operand) => filter.apply(operand.operand(values)?.value()?)?,
            Self::IsDefined(operand) => {
                Value::Bool(!matches!(operand.operand(values)?, Operand::Undefined))
            }
            Self::IsNone(operand) => Value::Bool(operand.operand(values)?.value()?.is_null()),
        };
        Some(Operand::Made(made))
    }
}

/// What is missing is undefined, and to read something of that an error.
fn walk<'a>(start: Option<&'a Value>, segments: &[Segment]) -> Option<Operand<'a>> {
    let Some(start) = start else {
        return segments.is_empty().then_some(Operand::Undefined);
    };
    let mut value = start.untainted();
    for (place, segment) in segments.iter().enumerate() {
        let found = match (value, segment) {
            (Value::Object(object), Segment::Key(key)) => object.get(key),
            (Value::Array(array), Segment::Index(index)) => array.get(*index),
            _ => return None,
        };
        let Some(found) = found else {
            return (place + 1 == segments.len()).then_some(Operand::Undefined);
        };
        value = found.untainted();
    }
    Some(Operand::Kept(value))
}

fn item<'a>(value: Operand<'a>, key: &Value) -> Option<Operand<'a>> {
    let place = |array: &Array| match (key, key.as_i64()) {
        (Value::Number(number), Some(place)) if number.is_integer() => {
            let from_end = usize::try_from(place.unsigned_abs()).ok()?;
            Some(if place < 0 { array.len().checked_sub(from_end) } else { Some(from_end) })
        }
        _ => None,
    };
    let found = |container: &Value| -> Option<Option<Value>> {
        match (container, key) {
            (Value::Object(object), Value::String(key)) => Some(object.get(key).cloned()),
            (Value::Array(array), _) => {
                Some(place(array)?.and_then(|place| array.get(place)).cloned())
            }
            _ => None,
        }
    };
    let found = found(value.value()?)?;
    Some(found.map_or(Operand::Undefined, |found| Operand::Made(found.untainted().clone())))
}

fn text(pieces: &[Direct], values: &[Option<Value>]) -> Option<Value> {
    // Enough for most: it is copied into the value in any case.
    let mut text = String::with_capacity(64);
    for piece in pieces {
        match piece.operand(values)?.value()? {
            Value::String(piece) => text.push_str(piece),
            Value::Number(number) if number.is_integer() => write!(text, "{number}").ok()?,
            Value::Number(number) => push_float(&mut text, number.as_f64()),
            Value::Bool(true) => text.push_str("True"),
            Value::Bool(false) => text.push_str("False"),
            Value::Null => text.push_str("None"),
            _ => return None,
        }
    }
    Some(Value::from(text))
}

/// As the interpreter writes it, which is not how JSON does.
fn push_float(text: &mut String, float: f64) {
    let digits = float.to_string();
    text.push_str(&digits);
    if !digits.contains('.') {
        text.push_str(".0");
    }
}

fn object(entries: &[(Arc<str>, Direct)], values: &[Option<Value>]) -> Option<Value> {
    let entries: Option<Vec<_>> = entries
        .iter()
        .map(|(key, entry)| Some((key.clone(), entry.operand(values)?.into_value()?)))
        .collect();
    Object::from_entries(entries?).map(Value::Object).ok()
}
