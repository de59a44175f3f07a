//! The data that flows between nodes.
//!
//! A [`Value`] is what JSON has, and bytes. Cloning any value is O(1). Containers know their depth
//! and whether something tainted is inside, so both questions are O(1) as well.

mod array;
mod convert;
mod differences;
mod digest;
mod entries;
mod json;
mod locate;
mod number;
mod object;
mod reader;
mod stored;
mod taint;
mod typed;
#[cfg(feature = "yaml")]
mod yaml;

pub use array::Array;
pub(crate) use array::ArrayBody;
pub use differences::{ValueDifference, differences};
pub(crate) use digest::DigestHasher;
pub use digest::{Digest, DigestError};
pub(crate) use json::object_or_marker;
pub use json::{BYTES_KEY, MASK, Revealed};
pub(crate) use locate::{Span, locate};
pub use number::Number;
pub use object::Object;
pub(crate) use object::ObjectBody;
pub use reader::{
    DuplicateKey, JsonError, JsonErrorKind, read_json, read_json_reporting_duplicates,
};
pub use stored::{Codec, MAX_INLINE, Seal, Stored, StoredError};
pub use taint::Tainted;
pub use typed::TypedError;
#[cfg(feature = "yaml")]
pub(crate) use yaml::{locate_yaml, read_yaml, within_yaml};

use std::fmt;
use std::sync::Arc;

/// The deepest nesting of arrays and objects that a value may have.
pub const MAX_DEPTH: u8 = 100;

/// Why a value could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Arrays and objects nested deeper than [`MAX_DEPTH`].
    #[error("a value may be nested at most {MAX_DEPTH} levels deep")]
    TooDeep,
    /// NaN or an infinity.
    #[error("{0} is not a number that JSON has")]
    NotFinite(&'static str),
}

impl ValueError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooDeep => "value.too_deep",
            Self::NotFinite(_) => "value.not_finite",
        }
    }
}

/// A piece of data.
///
/// Equality is structural: `1` and `1.0` differ, the order of an object's keys does not matter, and
/// a tainted value equals the same value without taint.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number: an exact 64-bit integer or a finite float.
    Number(Number),
    /// Text.
    String(Arc<str>),
    /// Bytes; in JSON `{"$bytes": "<base64>"}`.
    Bytes(Arc<[u8]>),
    /// A sequence.
    Array(Array),
    /// Keys and values, in the order in which the keys were added.
    Object(Object),
    /// A value that came from a secret: shown as `•••`, kept out of caches.
    Tainted(Tainted),
}

impl Value {
    /// What this value is, as an error message names it.
    pub fn kind(&self) -> &'static str {
        match self.untainted() {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
            Self::Tainted(_) => "a tainted value",
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self.untainted(), Self::Null)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.untainted() {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<Number> {
        match self.untainted() {
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// The number as an integer, if it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// The number as an unsigned integer, if it is one that fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number().and_then(Number::as_u64)
    }

    /// The number as a float; integers beyond 2^53 lose precision.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number().map(Number::as_f64)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self.untainted() {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if these are bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.untainted() {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self.untainted() {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self.untainted() {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The value at `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object().and_then(|object| object.get(key))
    }

    /// The value at a JSON pointer (RFC 6901); `""` is the value itself.
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, token| {
            match value.untainted() {
                Self::Object(object) => object.get(&unescape_pointer(token)),
                Self::Array(array) => array.get(token.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }

    /// How many arrays and objects are nested: 0 for a scalar, 1 for `[]`.
    pub fn depth(&self) -> u8 {
        match self.untainted() {
            Self::Array(array) => array.depth(),
            Self::Object(object) => object.depth(),
            _ => 0,
        }
    }

    /// The bytes that this value would take as compact JSON, roughly: exact for texts without
    /// escapes. Costs a walk over the whole value.
    pub fn approximate_size(&self) -> usize {
        match self.untainted() {
            Self::Null | Self::Bool(_) => 4,
            Self::Number(_) => 8,
            Self::String(text) => text.len() + 2,
            Self::Bytes(bytes) => bytes.len() * 4 / 3 + 14,
            Self::Array(array) => {
                2 + array.iter().map(|item| item.approximate_size() + 1).sum::<usize>()
            }
            Self::Object(object) => {
                2 + object.iter().map(|(k, v)| k.len() + 4 + v.approximate_size()).sum::<usize>()
            }
            Self::Tainted(_) => 0,
        }
    }
}

/// Escapes one token of a JSON pointer.
pub fn escape_pointer(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// Undoes [`escape_pointer`].
pub(crate) fn unescape_pointer(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self.untainted(), other.untainted()) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a == b,
            _ => false,
        }
    }
}

/// Compact JSON; tainted values as `•••`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_text())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
