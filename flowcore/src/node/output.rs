//! What an attempt produces.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};
use smallvec::SmallVec;

use crate::value::{Object, Value, ValueError};

/// The name of a port; cloning is O(1).
#[derive(Clone)]
pub enum PortName {
    /// Known at compile time, as nearly all are.
    Static(&'static str),
    /// Made at run time.
    Shared(Arc<str>),
}

impl PortName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Static(name) => name,
            Self::Shared(name) => name,
        }
    }

    /// Whether this is the name.
    pub(crate) fn is(&self, name: &str) -> bool {
        // Nearly always the same constant, or a clone.
        std::ptr::eq(self.as_str(), name) || self.as_str() == name
    }
}

impl From<&'static str> for PortName {
    fn from(name: &'static str) -> Self {
        Self::Static(name)
    }
}

impl From<Cow<'static, str>> for PortName {
    fn from(name: Cow<'static, str>) -> Self {
        match name {
            Cow::Borrowed(name) => Self::Static(name),
            Cow::Owned(name) => Self::from(name),
        }
    }
}

impl From<String> for PortName {
    fn from(name: String) -> Self {
        Self::Shared(name.into())
    }
}

impl From<Arc<str>> for PortName {
    fn from(name: Arc<str>) -> Self {
        Self::Shared(name)
    }
}

impl PartialEq for PortName {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.as_str())
    }
}

impl Eq for PortName {}

impl fmt::Debug for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// The values on the output ports of a node. A port that is not here is dead: what hangs on it is
/// skipped.
#[derive(Clone, Default, PartialEq)]
pub struct NodeOutput {
    ports: SmallVec<[(PortName, Value); 1]>,
}

impl NodeOutput {
    /// No live port.
    pub fn new() -> Self {
        Self::default()
    }

    /// One live port.
    pub fn of(port: impl Into<PortName>, value: impl Into<Value>) -> Self {
        Self::new().with(port, value)
    }

    /// Adds a live port.
    #[must_use]
    pub fn with(mut self, port: impl Into<PortName>, value: impl Into<Value>) -> Self {
        self.set(port, value);
        self
    }

    /// Sets a port.
    pub fn set(&mut self, port: impl Into<PortName>, value: impl Into<Value>) {
        let (port, value) = (port.into(), value.into());
        match self.ports.iter_mut().find(|(name, _)| *name == port) {
            Some((_, slot)) => *slot = value,
            None => self.ports.push((port, value)),
        }
    }

    /// The value on a port, if it is live.
    pub fn get(&self, port: &str) -> Option<&Value> {
        self.ports.iter().find(|(name, _)| name.is(port)).map(|(_, value)| value)
    }

    /// Whether the ports that were set are the first ones of these names, in this order.
    pub(crate) fn is_in_order_of(&self, names: &[PortName]) -> bool {
        self.ports.len() <= names.len() && self.ports.iter().zip(names).all(|(a, b)| a.0 == *b)
    }

    /// The value on the port that was set at this position.
    pub(crate) fn at(&self, position: usize) -> Option<&Value> {
        self.ports.get(position).map(|(_, value)| value)
    }

    /// The live ports, in the order in which they were set.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.ports.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether no port is live.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Whether a value on a port is tainted.
    pub fn is_tainted(&self) -> bool {
        self.ports.iter().any(|(_, value)| value.is_tainted())
    }

    /// The same ports, every value tainted.
    #[must_use]
    pub fn tainted(mut self) -> Self {
        for (_, value) in &mut self.ports {
            *value = std::mem::take(value).tainted();
        }
        self
    }

    /// The ports as an object.
    ///
    /// # Errors
    /// [`ValueError::TooDeep`] when a value is already as deep as a value may be.
    pub fn to_object(&self) -> Result<Object, ValueError> {
        Object::from_entries(self.iter().map(|(port, value)| (port, value.clone())))
    }
}

impl fmt::Debug for NodeOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// An object with the ports as keys.
impl Serialize for NodeOutput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.ports.len()))?;
        self.iter().try_for_each(|(port, value)| map.serialize_entry(port, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for NodeOutput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = indexmap::IndexMap::<String, Value>::deserialize(deserializer)?;
        Ok(Self { ports: object.into_iter().map(|(key, value)| (key.into(), value)).collect() })
    }
}
