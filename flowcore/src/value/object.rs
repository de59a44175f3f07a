//! Keys and values, in order.

use std::fmt;
use std::sync::Arc;

use super::entries::Entries;
use super::{MAX_DEPTH, Value, ValueError};

/// Keys and values, in the order in which the keys were added.
///
/// Cloning is O(1), changing a shared one copies it first; an empty one takes no memory. Two objects
/// are equal when they have the same keys with the same values, in any order.
#[derive(Clone, Default)]
pub struct Object(Option<Arc<ObjectBody>>);

/// What an [`Object`] shares.
#[derive(Clone)]
pub(crate) struct ObjectBody {
    entries: Entries,
    depth: u8,
    tainted: bool,
}

impl Default for ObjectBody {
    fn default() -> Self {
        Self { entries: Entries::default(), depth: 1, tainted: false }
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
        Self::of(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// As [`Object::from_entries`], of entries that stand in a list.
    pub(crate) fn from_list(entries: Vec<(Arc<str>, Value)>) -> Result<Self, ValueError> {
        Self::of(entries.into())
    }

    fn of(entries: Entries) -> Result<Self, ValueError> {
        let depth = entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            return Err(ValueError::TooDeep);
        }
        if entries.len() == 0 {
            return Ok(Self::new());
        }
        let tainted = entries.iter().any(|(_, value)| value.is_tainted());
        Ok(Self(Some(Arc::new(ObjectBody { entries, depth, tainted }))))
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
        let body = Arc::make_mut(self.0.get_or_insert_default());
        body.depth = body.depth.max(value.depth() + 1);
        body.tainted |= value.is_tainted();
        body.entries.insert(key.into(), value);
        Ok(())
    }

    /// The value at a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.as_ref()?.entries.get(key)
    }

    /// Whether the key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |body| body.entries.len())
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> + DoubleEndedIterator {
        self.0.as_ref().map_or(Entries::NONE, |body| &body.entries).iter()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.iter().map(|(_, value)| value)
    }

    /// The nesting of this object: 1 when it holds only scalars.
    pub fn depth(&self) -> u8 {
        self.0.as_ref().map_or(1, |body| body.depth)
    }

    /// Whether something inside is tainted.
    pub fn is_tainted(&self) -> bool {
        self.0.as_ref().is_some_and(|body| body.tainted)
    }

    /// What this object shares with its clones.
    pub(crate) fn body(&self) -> Arc<ObjectBody> {
        self.0.clone().unwrap_or_default()
    }

    /// The object with this body.
    pub(crate) fn from_body(body: Arc<ObjectBody>) -> Self {
        Self(Some(body))
    }
}

impl ObjectBody {
    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.entries == b.entries,
            (None, _) | (_, None) => self.is_empty() && other.is_empty(),
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
