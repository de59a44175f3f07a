//! Values that came from a secret.

use std::fmt;
use std::sync::Arc;

use super::{Array, Object, Value, ValueError};

/// A value that came from a secret. Whatever prints, logs or serialises it shows `•••`.
#[derive(Clone)]
pub struct Tainted(Arc<Value>);

impl Tainted {
    /// The value itself; never tainted at its root.
    pub fn reveal(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Tainted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::MASK)
    }
}

impl Value {
    /// This value, marked as coming from a secret.
    #[must_use]
    pub fn tainted(self) -> Self {
        match self {
            Self::Tainted(_) => self,
            plain => Self::Tainted(Tainted(Arc::new(plain))),
        }
    }

    /// Whether this value, or anything inside it, came from a secret. O(1).
    pub fn is_tainted(&self) -> bool {
        match self {
            Self::Tainted(_) => true,
            Self::Array(array) => array.is_tainted(),
            Self::Object(object) => object.is_tainted(),
            _ => false,
        }
    }

    /// The value under a taint at its root; what is inside a container stays tainted.
    pub fn untainted(&self) -> &Self {
        match self {
            Self::Tainted(tainted) => tainted.reveal(),
            plain => plain,
        }
    }

    /// The value without any taint, for sending it to where the secret belongs. O(1) when nothing
    /// is tainted, else the containers on the way are copied.
    ///
    /// # Errors
    /// None in practice: the depth of the value does not change.
    pub fn revealed(&self) -> Result<Self, ValueError> {
        if !self.is_tainted() {
            return Ok(self.clone());
        }
        match self.untainted() {
            Self::Array(array) => {
                let items: Result<Vec<_>, _> = array.iter().map(Self::revealed).collect();
                Array::from_values(items?).map(Self::Array)
            }
            Self::Object(object) => {
                let entries: Result<Vec<_>, ValueError> =
                    object.iter().map(|(k, v)| Ok((k.clone(), v.revealed()?))).collect();
                Object::from_entries(entries?).map(Self::Object)
            }
            plain => Ok(plain.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taint_is_seen_through_containers_and_never_shown() {
        let secret = Value::from("s3cret").tainted();
        let mut object = Object::new();
        object.insert("token", secret.clone()).unwrap();
        object.insert("user", "ada").unwrap();
        let value = Value::from(object);
        assert!(value.is_tainted());
        assert_eq!(value.to_string(), r#"{"token":"•••","user":"ada"}"#);
        assert_eq!(format!("{value:?}"), r#"{"token":"•••","user":"ada"}"#);
        assert_eq!(secret.as_str(), Some("s3cret"));
        assert_eq!(value.get("token").and_then(Value::as_str), Some("s3cret"));
        let plain = value.revealed().unwrap();
        assert!(!plain.is_tainted());
        assert_eq!(plain.to_string(), r#"{"token":"s3cret","user":"ada"}"#);
    }
}
