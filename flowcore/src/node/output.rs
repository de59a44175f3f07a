//! What an attempt produces.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};

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
pub struct NodeOutput(Ports);

/// Nearly every node sets one port, so that one needs no memory of its own.
#[derive(Clone, Default)]
enum Ports {
    #[default]
    None,
    One((PortName, Value)),
    Many(Vec<(PortName, Value)>),
}

impl Ports {
    fn as_slice(&self) -> &[(PortName, Value)] {
        match self {
            Self::None => &[],
            Self::One(port) => std::slice::from_ref(port),
            Self::Many(ports) => ports,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [(PortName, Value)] {
        match self {
            Self::None => &mut [],
            Self::One(port) => std::slice::from_mut(port),
            Self::Many(ports) => ports,
        }
    }

    fn push(&mut self, port: (PortName, Value)) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(port),
            Self::One(first) => Self::Many(vec![first, port]),
            Self::Many(mut ports) => {
                ports.push(port);
                Self::Many(ports)
            }
        };
    }
}

impl PartialEq for Ports {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl NodeOutput {
    /// No live port.
    pub fn new() -> Self {
        Self::default()
    }

    /// One live port.
    pub fn of(port: impl Into<PortName>, value: impl Into<Value>) -> Self {
        Self(Ports::One((port.into(), value.into())))
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
        match self.0.as_mut_slice().iter_mut().find(|(name, _)| *name == port) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((port, value)),
        }
    }

    /// The value on a port, if it is live.
    pub fn get(&self, port: &str) -> Option<&Value> {
        self.0.as_slice().iter().find(|(name, _)| name.is(port)).map(|(_, value)| value)
    }

    /// Whether the ports that were set are the first ones of these names, in this order.
    pub(crate) fn is_in_order_of(&self, names: &[PortName]) -> bool {
        let ports = self.0.as_slice();
        ports.len() <= names.len() && ports.iter().zip(names).all(|(port, name)| port.0 == *name)
    }

    /// The value on the port that was set at this position.
    pub(crate) fn at(&self, position: usize) -> Option<&Value> {
        self.0.as_slice().get(position).map(|(_, value)| value)
    }

    /// The live ports, in the order in which they were set.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.as_slice().iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether no port is live.
    pub fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    /// Whether a value on a port is tainted.
    pub fn is_tainted(&self) -> bool {
        self.iter().any(|(_, value)| value.is_tainted())
    }

    /// The same ports, every value tainted.
    #[must_use]
    pub fn tainted(mut self) -> Self {
        for (_, value) in self.0.as_mut_slice() {
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
        let mut map = serializer.serialize_map(Some(self.iter().len()))?;
        self.iter().try_for_each(|(port, value)| map.serialize_entry(port, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for NodeOutput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = indexmap::IndexMap::<String, Value>::deserialize(deserializer)?;
        let ports = object.into_iter().map(|(key, value)| (PortName::from(key), value));
        Ok(ports.fold(Self::new(), |output, (port, value)| output.with(port, value)))
    }
}
