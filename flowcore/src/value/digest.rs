//! What identifies data: a hash that is the same for equal values, in every run and every version.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Number, Object, Value};

/// A BLAKE3 hash of data. Values that are equal have the same one, others another.
///
/// It is taken over bytes that say where each part ends and of which kind it is, and never over what
/// Rust makes of a value, so it does not change between runs, machines and versions of Flow. As with
/// equality, `1` and `1.0` differ, and the order of an object's keys and a taint do not count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a value.
    pub fn of(value: &Value) -> Self {
        let mut hasher = DigestHasher::new("flow.value");
        hasher.value(value);
        hasher.finish()
    }

    /// A digest that was kept as bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Hexadecimal.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What stands before each part. A number that was used never means anything else.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Null = 0,
    False = 1,
    True = 2,
    /// An integer that fits into `i64`.
    Signed = 3,
    /// An integer above that.
    Unsigned = 4,
    Float = 5,
    String = 6,
    Bytes = 7,
    Array = 8,
    Object = 9,
}

/// Puts parts into a digest, one after another.
pub(crate) struct DigestHasher(blake3::Hasher);

impl DigestHasher {
    /// Digests for different purposes are never the same.
    pub(crate) fn new(purpose: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.text(purpose);
        hasher
    }

    pub(crate) fn finish(&self) -> Digest {
        Digest(self.0.finalize().into())
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value.untainted() {
            Value::Null => self.kind(Kind::Null),
            Value::Bool(false) => self.kind(Kind::False),
            Value::Bool(true) => self.kind(Kind::True),
            Value::Number(number) => self.number(*number),
            Value::String(text) => self.text(text),
            Value::Bytes(bytes) => {
                self.kind(Kind::Bytes);
                self.sized(bytes);
            }
            Value::Array(items) => {
                self.kind(Kind::Array);
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(object) => self.object(object),
            Value::Tainted(_) => unreachable!("a taint is never under a taint"),
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.kind(Kind::String);
        self.sized(text.as_bytes());
    }

    pub(crate) fn object(&mut self, object: &Object) {
        let entries = object.iter().map(|(key, value)| (&**key, value)).collect();
        self.entries(entries);
    }

    /// Keys with values, each key once, in any order.
    pub(crate) fn entries(&mut self, mut entries: Vec<(&str, &Value)>) {
        entries.sort_unstable_by_key(|(key, _)| *key);
        self.kind(Kind::Object);
        self.count(entries.len());
        for (key, value) in entries {
            self.sized(key.as_bytes());
            self.value(value);
        }
    }

    fn number(&mut self, number: Number) {
        match (number.is_integer(), number.as_i64(), number.as_u64()) {
            (true, Some(signed), _) => {
                self.kind(Kind::Signed);
                self.0.update(&signed.to_le_bytes());
            }
            (true, None, Some(unsigned)) => {
                self.kind(Kind::Unsigned);
                self.0.update(&unsigned.to_le_bytes());
            }
            (_, _, _) => {
                self.kind(Kind::Float);
                // The two zeros are equal: a zero added to either is the positive one.
                self.0.update(&(number.as_f64() + 0.0).to_le_bytes());
            }
        }
    }

    fn kind(&mut self, kind: Kind) {
        self.0.update(&[kind as u8]);
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::read_json;

    fn value(json: &str) -> Value {
        read_json(json).unwrap()
    }

    #[test]
    fn a_digest_never_changes() {
        let text = r#"{"b": [1, 1.5, -0.0, 18446744073709551615, true, false, null, "ü"], "a": {"$bytes": "AAE="}}"#;
        assert_eq!(
            Digest::of(&value(text)).to_string(),
            "d9d6e67fc7654a85fbb0be4f1602233e4e39d0ba7c5b2c9c16ef1e45a77c03a5"
        );
    }

    #[test]
    fn equal_values_have_the_same_digest_and_others_another() {
        let texts = [
            "null",
            "false",
            "true",
            "0",
            "1",
            "-1",
            "1.0",
            "0.0",
            "9223372036854775808",
            "9223372036854775808.0",
            r#""""#,
            r#""1""#,
            r#""null""#,
            r#"{"$bytes": ""}"#,
            r#"{"$bytes": "MQ=="}"#,
            "[]",
            "[[]]",
            "[[], []]",
            "[[[]]]",
            r#"["ab"]"#,
            r#"["a", "b"]"#,
            r#"[["a"], "b"]"#,
            r#"["a", ["b"]]"#,
            "{}",
            r#"{"a": "b"}"#,
            r#"{"ab": ""}"#,
            r#"{"": "ab"}"#,
            r#"{"a": {"b": 1}}"#,
            r#"{"a": {}, "b": 1}"#,
        ];
        for a in texts.map(value) {
            for b in texts.map(value) {
                assert_eq!(a == b, Digest::of(&a) == Digest::of(&b), "{a} and {b}");
            }
        }
        assert_eq!(Digest::of(&value("0.0")), Digest::of(&value("-0.0")));
        let secret = value(r#"["x"]"#).tainted();
        assert_eq!(Digest::of(&secret), Digest::of(&value(r#"["x"]"#)));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2_i64..3).prop_map(Value::from),
            (-2_i32..3).prop_map(|number| Value::from(Number::from_f64(number.into()).ok())),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        scalar.prop_recursive(3, 12, 3, |inner| {
            let entries = proptest::collection::vec(("[ab]{0,2}", inner.clone()), 0..3);
            prop_oneof![
                proptest::collection::vec(inner, 0..3)
                    .prop_map(|items| { Value::Array(crate::Array::from_values(items).unwrap()) }),
                entries.prop_map(|entries| Value::Object(Object::from_entries(entries).unwrap())),
            ]
        })
    }

    proptest! {
        #[test]
        fn digests_are_equal_exactly_when_the_values_are(a in any_value(), b in any_value()) {
            prop_assert_eq!(a == b, Digest::of(&a) == Digest::of(&b));
        }

        #[test]
        fn the_order_of_keys_does_not_count(a in any_value(), b in any_value()) {
            let one = Object::from_entries([("a", a.clone()), ("b", b.clone())]).unwrap();
            let other = Object::from_entries([("b", b), ("a", a)]).unwrap();
            prop_assert_eq!(Digest::of(&Value::Object(one)), Digest::of(&Value::Object(other)));
        }
    }
}
