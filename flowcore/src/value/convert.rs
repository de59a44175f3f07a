//! Making values from Rust types.

use std::sync::Arc;

use super::{Array, Number, Object, Value, ValueError};

macro_rules! from_integer {
    ($($signed:ty)* ; $($unsigned:ty)*) => {
        $(impl From<$signed> for Value {
            fn from(value: $signed) -> Self {
                Self::Number(Number::from(i64::from(value)))
            }
        })*
        $(impl From<$unsigned> for Value {
            fn from(value: $unsigned) -> Self {
                Self::Number(Number::from(u64::from(value)))
            }
        })*
    };
}

from_integer!(i8 i16 i32 i64; u8 u16 u32 u64);

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

/// NaN and the infinities are errors: JSON has no such numbers.
impl TryFrom<f64> for Value {
    type Error = ValueError;
    fn try_from(value: f64) -> Result<Self, ValueError> {
        Number::from_f64(value).map(Self::Number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Arc::from(bytes))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Arc::from(bytes))
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// An array of these values; too deep a value is an error.
impl TryFrom<Vec<Value>> for Value {
    type Error = ValueError;
    fn try_from(values: Vec<Value>) -> Result<Self, ValueError> {
        Array::from_values(values).map(Self::Array)
    }
}

/// `serde_json::json!` literals are the shortest way to write a value by hand:
/// `Value::try_from(json!({"a": [1, 2]}))?`.
impl TryFrom<serde_json::Value> for Value {
    type Error = ValueError;
    fn try_from(json: serde_json::Value) -> Result<Self, ValueError> {
        Self::from_json(json)
    }
}
