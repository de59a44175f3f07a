//! What operators do with two values, as far as it is plain.

use std::cmp::Ordering;

use crate::value::{Number, Value};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::expression) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}

impl Operator {
    pub(super) fn apply(self, a: &Value, b: &Value) -> Option<Value> {
        let truth = match self {
            Self::Equal => equal(a, b)?,
            Self::NotEqual => !equal(a, b)?,
            Self::Less => order(a, b)?.is_lt(),
            Self::LessOrEqual => order(a, b)?.is_le(),
            Self::Greater => order(a, b)?.is_gt(),
            Self::GreaterOrEqual => order(a, b)?.is_ge(),
            Self::In => contains(b, a)?,
            Self::NotIn => !contains(b, a)?,
            _ => return self.calculate(a, b),
        };
        Some(Value::Bool(truth))
    }

    fn calculate(self, a: &Value, b: &Value) -> Option<Value> {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => match (integer(*a), integer(*b)) {
                (Some(a), Some(b)) => self.of_integers(a, b),
                _ => self.of_floats(a.as_f64(), b.as_f64()),
            },
            (Value::String(a), Value::String(b)) if self == Self::Add => {
                Some(Value::from([&**a, &**b].concat()))
            }
            _ => None,
        }
    }

    fn of_integers(self, a: i128, b: i128) -> Option<Value> {
        let result = match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::FloorDivide => floor_divide(a, b),
            Self::Remainder => floor_divide(a, b).map(|quotient| a - quotient * b),
            Self::Power if b >= 0 => a.checked_pow(u32::try_from(b).ok()?),
            Self::Divide | Self::Power => return self.of_floats(a as f64, b as f64),
            _ => None,
        };
        Number::from_i128(result?).map(Value::Number)
    }

    fn of_floats(self, a: f64, b: f64) -> Option<Value> {
        let result = match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            // By zero, both fail.
            Self::Divide if b != 0.0 => a / b,
            Self::Power if a != 0.0 || b >= 0.0 => a.powf(b),
            _ => return None,
        };
        Value::try_from(result).ok()
    }
}

/// Rounded down; `b` is not zero.
fn floor_divide(a: i128, b: i128) -> Option<i128> {
    let (quotient, remainder) = (a.checked_div(b)?, a.checked_rem(b)?);
    let is_above = remainder != 0 && (remainder < 0) != (b < 0);
    Some(quotient - i128::from(is_above))
}

fn integer(number: Number) -> Option<i128> {
    number.is_integer().then(|| number.to_i128()).flatten()
}

/// The negative of a number.
pub(super) fn negative(value: &Value) -> Option<Value> {
    let Value::Number(number) = value else { return None };
    match integer(*number) {
        Some(integer) => Number::from_i128(-integer).map(Value::Number),
        None => Value::try_from(-number.as_f64()).ok(),
    }
}

/// What counts as true.
pub(super) fn is_true(value: &Value) -> bool {
    match value.untainted() {
        Value::Null | Value::Tainted(_) => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != 0.0,
        Value::String(text) => !text.is_empty(),
        Value::Bytes(bytes) => !bytes.is_empty(),
        Value::Array(array) => !array.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

/// The interpreter compares true with 1, and containers item by item.
fn equal(a: &Value, b: &Value) -> Option<bool> {
    match (a.untainted(), b.untainted()) {
        (Value::Number(a), Value::Number(b)) => numbers(*a, *b).map(Ordering::is_eq),
        (Value::String(a), Value::String(b)) => Some(a == b),
        (Value::Bool(a), Value::Bool(b)) => Some(a == b),
        (Value::Null, Value::Null) => Some(true),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a == b),
        (Value::Bool(_), Value::Number(_)) | (Value::Number(_), Value::Bool(_)) => None,
        (Value::Array(_) | Value::Object(_), Value::Array(_) | Value::Object(_)) => None,
        _ => Some(false),
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => numbers(*a, *b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn numbers(a: Number, b: Number) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(integer), None) | (None, Some(integer)) if !is_exact_as_float(integer) => None,
        _ => a.as_f64().partial_cmp(&b.as_f64()),
    }
}

/// Beyond, the interpreter compares by how it holds the number, which is not known here.
fn is_exact_as_float(integer: i128) -> bool {
    integer.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}

fn contains(container: &Value, value: &Value) -> Option<bool> {
    match (container, value) {
        (Value::String(text), Value::String(part)) => Some(text.contains(&**part)),
        (Value::Object(object), Value::String(key)) => Some(object.contains_key(key)),
        (Value::Array(array), _) => {
            for item in array.iter() {
                if equal(item, value)? {
                    return Some(true);
                }
            }
            Some(false)
        }
        _ => None,
    }
}
