//! The one conversion between values and JSON.
//!
//! Bytes are `{"$bytes": "<base64>"}`. An object that looks like this by chance gets one more `$`
//! in its key, so that every value survives the round trip.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::stored::{self, BLOB_KEY, SEALED_KEY};
use super::{Array, Number, Object, Value, ValueError};

/// The key that marks bytes in JSON.
pub const BYTES_KEY: &str = "$bytes";

/// What is shown instead of a tainted value.
pub const MASK: &str = "•••";

/// Names that have a meaning after `$` as the only key of an object.
const RESERVED: [&str; 3] = ["bytes", "sealed", "blob"];

fn is_reserved(key: &str) -> bool {
    let name = key.trim_start_matches('$');
    name.len() < key.len() && RESERVED.contains(&name)
}

/// Reads what an object with a single key stands for; `None` when it is an ordinary object.
pub(super) fn decode_marker(key: &str, value: &Value) -> Result<Option<Value>, &'static str> {
    if key == BYTES_KEY {
        let text = value.as_str().ok_or("`$bytes` holds a base64 string")?;
        let bytes = STANDARD.decode(text).map_err(|_| "`$bytes` holds text that is not base64")?;
        return Ok(Some(Value::from(bytes)));
    }
    if key == SEALED_KEY || key == BLOB_KEY {
        return stored::read_marker(key, value);
    }
    if key.starts_with("$$") && is_reserved(key) {
        let object = Object::from_entries([(&key[1..], value.clone())])
            .map_err(|_| "the value is nested too deep")?;
        return Ok(Some(Value::Object(object)));
    }
    Ok(None)
}

impl Value {
    /// The value of a parsed JSON document.
    ///
    /// # Errors
    /// [`ValueError::TooDeep`]. An object that only looks like bytes stays an object.
    pub fn from_json(json: serde_json::Value) -> Result<Self, ValueError> {
        Ok(match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::from(value),
                (None, Some(value)) => Self::from(value),
                (None, None) => Self::try_from(number.as_f64().unwrap_or(f64::NAN))?,
            },
            serde_json::Value::String(text) => Self::from(text),
            serde_json::Value::Array(items) => {
                let items: Result<Vec<_>, _> = items.into_iter().map(Self::from_json).collect();
                Self::Array(Array::from_values(items?)?)
            }
            serde_json::Value::Object(map) => {
                let entries: Result<Vec<_>, ValueError> =
                    map.into_iter().map(|(k, v)| Ok((k, Self::from_json(v)?))).collect();
                object_or_marker(entries?)?
            }
        })
    }

    /// The value as a JSON document; tainted values become `•••`, and keys are in the order that
    /// `serde_json` keeps.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a value has string keys and finite numbers only")
    }

    /// Compact JSON text; tainted values as `•••`.
    pub fn to_json_text(&self) -> String {
        serde_json::to_string(self).expect("a value has string keys and finite numbers only")
    }

    /// A view that serialises tainted values as they are: for sending a secret to where it belongs,
    /// never for showing it.
    pub fn reveal(&self) -> Revealed<'_> {
        Revealed(self)
    }
}

pub(crate) fn object_or_marker(entries: Vec<(String, Value)>) -> Result<Value, ValueError> {
    if let [(key, value)] = entries.as_slice()
        && let Ok(Some(marked)) = decode_marker(key, value)
    {
        return Ok(marked);
    }
    Object::from_entries(entries).map(Value::Object)
}

/// A value that serialises with its secrets; see [`Value::reveal`].
#[derive(Clone, Copy)]
pub struct Revealed<'a>(&'a Value);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if stored::is_under_way()
            && let Some(digest) = stored::put_apart(self)
        {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(BLOB_KEY, &format_args!("{digest}"))?;
            return map.end();
        }
        View { value: self, reveal: false }.serialize(serializer)
    }
}

impl Serialize for Revealed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        View { value: self.0, reveal: true }.serialize(serializer)
    }
}

impl Serialize for Array {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::Array(self.clone()).serialize(serializer)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::Object(self.clone()).serialize(serializer)
    }
}

struct View<'a> {
    value: &'a Value,
    reveal: bool,
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = |value| View { value, reveal: self.reveal };
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => number.serialize(serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BYTES_KEY, &STANDARD.encode(bytes))?;
                map.end()
            }
            Value::Array(array) => {
                let mut seq = serializer.serialize_seq(Some(array.len()))?;
                array.iter().try_for_each(|item| seq.serialize_element(&view(item)))?;
                seq.end()
            }
            Value::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                let escape = object.len() == 1;
                for (key, value) in object.iter() {
                    if escape && is_reserved(key) {
                        map.serialize_entry(&format!("${key}"), &view(value))?;
                    } else {
                        map.serialize_entry(&**key, &view(value))?;
                    }
                }
                map.end()
            }
            Value::Tainted(tainted) if self.reveal => view(tainted.reveal()).serialize(serializer),
            Value::Tainted(tainted) if stored::is_under_way() => {
                stored::write_sealed(tainted, serializer)
            }
            Value::Tainted(_) => serializer.serialize_str(MASK),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(array) => Ok(array),
            other => Err(D::Error::custom(format!("expected an array, found {}", other.kind()))),
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(object) => Ok(object),
            other => Err(D::Error::custom(format!("expected an object, found {}", other.kind()))),
        }
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).map_err(E::custom)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::from(bytes))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::from(bytes))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::with_capacity(access.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Array::from_values(items).map(Value::Array).map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
        while let Some((key, value)) = access.next_entry::<String, Value>()? {
            entries.push((key.into(), value));
        }
        if let [(key, value)] = entries.as_slice()
            && let Some(marked) = decode_marker(key, value).map_err(A::Error::custom)?
        {
            return Ok(marked);
        }
        Object::from_entries(entries).map(Value::Object).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::read_json;
    use super::*;

    fn arbitrary_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter_map("finite", |f| Value::try_from(f).ok()),
            "\\PC*".prop_map(Value::from),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            let key = prop_oneof![
                4 => "[a-z$]{0,6}".prop_map(String::from),
                1 => prop_oneof![Just("$bytes"), Just("$$bytes"), Just("$sealed"), Just("$blob")]
                    .prop_map(String::from),
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6)
                    .prop_map(|items| Value::try_from(items).unwrap()),
                proptest::collection::vec((key, inner), 0..6)
                    .prop_map(|entries| Object::from_entries(entries).unwrap().into()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn every_value_survives_json(value in arbitrary_value()) {
            let text = value.to_json_text();
            prop_assert_eq!(&read_json(&text).unwrap(), &value, "own reader, {}", text);
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value, "serde, {}", text);
            prop_assert_eq!(&Value::from_json(value.to_json()).unwrap(), &value, "document, {}", text);
            prop_assert_eq!(read_json(&text).unwrap().to_json_text(), text);
        }
    }

    #[test]
    fn bytes_have_a_marker_and_look_alikes_are_escaped() {
        let bytes = Value::from(vec![1_u8, 2, 255]);
        assert_eq!(bytes.to_json(), json!({"$bytes": "AQL/"}));
        let look_alike =
            Value::from(Object::from_entries([("$bytes", Value::from("AQL/"))]).unwrap());
        assert_eq!(look_alike.to_json(), json!({"$$bytes": "AQL/"}));
        assert!(serde_json::from_str::<Value>(r#"{"$bytes": 3}"#).is_err());
    }

    #[test]
    fn keys_keep_their_order() {
        let text = r#"{"z":1,"a":{"y":2,"b":3}}"#;
        assert_eq!(read_json(text).unwrap().to_json_text(), text);
    }

    #[test]
    fn s20_depth_is_limited_where_a_value_is_made() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(read_json(&deep(100)).unwrap().depth(), 100);
        assert!(read_json(&deep(101)).is_err());
        assert!(serde_json::from_str::<Value>(&deep(101)).is_err());
        assert!(Value::from_json(serde_json::from_str(&deep(101)).unwrap()).is_err());
        let mut array = Array::new();
        assert_eq!(array.push(read_json(&deep(100)).unwrap()), Err(ValueError::TooDeep));
        assert!(array.is_empty());
    }
}
