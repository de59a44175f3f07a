//! Sequences of values.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{MAX_DEPTH, Value, ValueError};

/// A sequence of values; cloning is O(1), changing a shared one copies it first.
#[derive(Clone, Default)]
pub struct Array(pub(crate) Arc<ArrayBody>);

/// What an [`Array`] shares.
#[derive(Clone)]
pub(crate) struct ArrayBody {
    items: Vec<Value>,
    depth: u8,
    tainted: bool,
}

impl Default for ArrayBody {
    fn default() -> Self {
        Self { items: Vec::new(), depth: 1, tainted: false }
    }
}

impl Array {
    /// An empty array.
    pub fn new() -> Self {
        Self::default()
    }

    /// An array of these values.
    ///
    /// # Errors
    /// [`ValueError::TooDeep`] when a value is already as deep as a value may be.
    pub fn from_values(values: impl IntoIterator<Item = Value>) -> Result<Self, ValueError> {
        let items: Vec<Value> = values.into_iter().collect();
        let depth = items.iter().map(Value::depth).max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            return Err(ValueError::TooDeep);
        }
        let tainted = items.iter().any(Value::is_tainted);
        Ok(Self(Arc::new(ArrayBody { items, depth, tainted })))
    }

    /// Adds a value at the end.
    ///
    /// # Errors
    /// [`ValueError::TooDeep`], and then the array is unchanged.
    pub fn push(&mut self, value: impl Into<Value>) -> Result<(), ValueError> {
        let value = value.into();
        if value.depth() >= MAX_DEPTH {
            return Err(ValueError::TooDeep);
        }
        let body = Arc::make_mut(&mut self.0);
        body.depth = body.depth.max(value.depth() + 1);
        body.tainted |= value.is_tainted();
        body.items.push(value);
        Ok(())
    }

    /// The nesting of this array: 1 when it holds only scalars.
    pub fn depth(&self) -> u8 {
        self.0.depth
    }

    /// Whether something inside is tainted.
    pub fn is_tainted(&self) -> bool {
        self.0.tainted
    }
}

impl ArrayBody {
    pub(crate) fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Deref for Array {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.0.items
    }
}

impl<'a> IntoIterator for &'a Array {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.items == other.0.items
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
