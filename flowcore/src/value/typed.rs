//! Reading Rust types out of values.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor,
};

use super::{Object, Value};
use crate::expression::conversion_hint;

/// Why a value is not what a Rust type expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TypedError {
    message: String,
    hint: Option<&'static str>,
}

impl TypedError {
    /// What to do about it: the filter that converts the value, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

impl serde::de::Error for TypedError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), hint: None }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let hint = found_kind(found).and_then(|found| conversion_hint(found, wanted(&expected)));
        Self { message: format!("invalid type: {found}, expected {expected}"), hint }
    }
}

/// What serde found, as messages of Flow name it.
fn found_kind(found: Unexpected<'_>) -> Option<&'static str> {
    match found {
        Unexpected::Str(_) => Some("a string"),
        Unexpected::Bool(_) => Some("a boolean"),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => Some("a number"),
        Unexpected::Bytes(_) => Some("bytes"),
        Unexpected::Seq => Some("an array"),
        Unexpected::Map => Some("an object"),
        _ => None,
    }
}

/// What serde expected, in the words of Flow.
fn wanted(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "an integer",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        other => other,
    }
}

impl Value {
    /// Reads a Rust type out of this value; secrets inside are revealed.
    ///
    /// # Errors
    /// [`TypedError`] saying what was expected.
    pub fn to_typed<T: DeserializeOwned>(&self) -> Result<T, TypedError> {
        T::deserialize(Borrowed(self))
    }
}

impl Object {
    /// Reads a Rust type out of this object; secrets inside are revealed.
    ///
    /// # Errors
    /// [`TypedError`] saying what was expected.
    pub fn to_typed<T: DeserializeOwned>(&self) -> Result<T, TypedError> {
        T::deserialize(object_deserializer(self))
    }
}

type Entries<'a> = Box<dyn Iterator<Item = (&'a str, Borrowed<'a>)> + 'a>;

fn object_deserializer(object: &Object) -> MapDeserializer<'_, Entries<'_>, TypedError> {
    let entries: Entries<'_> = Box::new(object.iter().map(|(key, v)| (&**key, Borrowed(v))));
    MapDeserializer::new(entries)
}

struct Borrowed<'a>(&'a Value);

impl<'a> IntoDeserializer<'a, TypedError> for Borrowed<'a> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Borrowed<'de> {
    type Error = TypedError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        match self.0.untainted() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => number.visit(visitor),
            Value::String(text) => visitor.visit_str(text),
            Value::Bytes(bytes) => visitor.visit_bytes(bytes),
            Value::Array(array) => {
                let mut items = SeqDeserializer::new(array.iter().map(Borrowed));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(object) => {
                let mut entries = object_deserializer(object);
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(value)
            }
            Value::Tainted(_) => Err(TypedError::custom("a taint within a taint")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        match self.0.untainted() {
            Value::String(text) => visitor.visit_enum((&**text).into_deserializer()),
            Value::Object(object) => MapAccessDeserializer::new(object_deserializer(object))
                .deserialize_enum(name, variants, visitor),
            other => Err(TypedError::custom(format!("expected {name}, found {}", other.kind()))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::read_json;
    use super::*;

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Up,
        By { key: String },
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Config {
        name: String,
        #[serde(default)]
        limit: Option<u32>,
        orders: Vec<Order>,
        rest: Value,
    }

    #[test]
    fn types_are_read_out_of_values() {
        let text =
            r#"{"name": "x", "limit": 3, "orders": ["up", {"by": {"key": "k"}}], "rest": [1.5]}"#;
        let config: Config = read_json(text).unwrap().to_typed().unwrap();
        assert_eq!(config.orders, [Order::Up, Order::By { key: "k".into() }]);
        assert_eq!((config.limit, config.rest), (Some(3), read_json("[1.5]").unwrap()));
        let error = read_json(r#"{"name": 1}"#).unwrap().to_typed::<Config>().unwrap_err();
        assert_eq!(error.to_string(), "invalid type: integer `1`, expected a string");
        assert_eq!(error.hint(), Some("`| string` makes a text of it"));
    }

    #[test]
    fn secrets_are_revealed_to_typed_configs() {
        let mut object = Object::new();
        object.insert("name", Value::from("s3cret").tainted()).unwrap();
        object.insert("orders", super::super::Array::new()).unwrap();
        object.insert("rest", Value::Null).unwrap();
        assert_eq!(object.to_typed::<Config>().unwrap().name, "s3cret");
    }
}
