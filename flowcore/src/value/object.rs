//! Keys and values, in order.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{MAX_DEPTH, Value, ValueError};

/// Keys and values, in the order in which the keys were added.
///
/// Cloning is O(1), changing a shared one copies it first. Two objects are equal when they have the
/// same keys with the same values, in any order.
#[derive(Clone, Default)]
pub struct Object(pub(crate) Arc<ObjectBody>);

/// What an [`Object`] shares.
#[derive(Clone)]
pub(crate) struct ObjectBody {
    entries: IndexMap<Arc<str>, Value>,
    depth: u8,
    tainted: bool,
}

impl Default for ObjectBody {
    fn default() -> Self {
        Self { entries: IndexMap::new(), depth: 1, tainted: false }
    }
}

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// An object of these entries; a key that comes again replaces the value and keeps its place.
    ///
    /// # Errors
    /// [`ValueError::TooDeep`] when a value is already as deep as a value may be.
    pub fn from_entries<K: Into<Arc<str>>>(
        entries: impl IntoIterator<Item = (K, Value)>,
    ) -> Result<Self, ValueError> {
        let entries: IndexMap<Arc<str>, Value> =
            entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let depth = entries.values().map(Value::depth).max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            return Err(ValueError::TooDeep);
        }
        let tainted = entries.values().any(Value::is_tainted);
        Ok(Self(Arc::new(ObjectBody { entries, depth, tainted })))
    }

    /// Sets a key; a key that is there keeps its place.
    ///
    /// # Errors
    /// [`ValueError::TooDeep`], and then the object is unchanged.
    pub fn insert(
        &mut self,
        key: impl Into<Arc<str>>,
        value: impl Into<Value>,
    ) -> Result<(), ValueError> {
        let value = value.into();
        if value.depth() >= MAX_DEPTH {
            return Err(ValueError::TooDeep);
        }
        let body = Arc::make_mut(&mut self.0);
        body.depth = body.depth.max(value.depth() + 1);
        body.tainted |= value.is_tainted();
        body.entries.insert(key.into(), value);
        Ok(())
    }

    /// The value at a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.entries.get(key)
    }

    /// Whether the key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.entries.contains_key(key)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> + DoubleEndedIterator {
        self.0.entries.iter()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.0.entries.keys()
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.0.entries.values()
    }

    /// The nesting of this object: 1 when it holds only scalars.
    pub fn depth(&self) -> u8 {
        self.0.depth
    }

    /// Whether something inside is tainted.
    pub fn is_tainted(&self) -> bool {
        self.0.tainted
    }
}

impl ObjectBody {
    pub(crate) fn entries(&self) -> &IndexMap<Arc<str>, Value> {
        &self.entries
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.entries == other.0.entries
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
