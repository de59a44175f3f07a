//! State that the nodes of an execution share.

use std::sync::{Mutex, PoisonError};

use crate::value::{Object, Value};

/// One attempt's view of the state that the nodes of a workflow share.
///
/// It is the state as of the attempt's start plus the attempt's own writes. The writes are
/// committed together with the attempt's result, and only if it succeeds; per key the later commit
/// wins.
pub struct NodeState {
    snapshot: Object,
    writes: Mutex<Object>,
}

impl NodeState {
    /// A view of this state.
    pub fn new(snapshot: Object) -> Self {
        Self { snapshot, writes: Mutex::default() }
    }

    /// The value at a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.get(key).or_else(|| self.snapshot.get(key)).cloned()
    }

    /// Sets a key; others see it once this attempt has succeeded.
    ///
    /// # Errors
    /// [`crate::ValueError::TooDeep`] when the value is already as deep as a value may be.
    pub fn set(&self, key: &str, value: impl Into<Value>) -> Result<(), crate::ValueError> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value)
    }

    /// Takes the writes, for committing them.
    pub fn take_writes(&self) -> Object {
        std::mem::take(&mut *self.writes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
