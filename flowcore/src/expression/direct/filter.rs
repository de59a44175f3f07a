//! The filters that are evaluated without the interpreter: those without arguments that look at one
//! value.

use crate::expression::convert::{Conversion, conversion};
use crate::value::Value;

#[derive(Clone, Copy)]
pub(in crate::expression) enum Filter {
    Convert(Conversion),
    Length,
    Lower,
    Upper,
    Trim,
}

impl Filter {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "length" | "count" => Some(Self::Length),
            "lower" => Some(Self::Lower),
            "upper" => Some(Self::Upper),
            "trim" => Some(Self::Trim),
            _ => conversion(name).map(Self::Convert),
        }
    }

    pub(super) fn apply(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Convert(convert), _) => convert(value).ok(),
            (Self::Length, Value::String(text)) => Some(count(text.chars().count())),
            (Self::Length, Value::Array(array)) => Some(count(array.len())),
            (Self::Length, Value::Object(object)) => Some(count(object.len())),
            (Self::Lower, Value::String(text)) => Some(Value::from(text.to_lowercase())),
            (Self::Upper, Value::String(text)) => Some(Value::from(text.to_uppercase())),
            (Self::Trim, Value::String(text)) => Some(Value::from(text.trim())),
            (Self::Length | Self::Lower | Self::Upper | Self::Trim, _) => None,
        }
    }
}

fn count(items: usize) -> Value {
    Value::from(items as u64)
}
