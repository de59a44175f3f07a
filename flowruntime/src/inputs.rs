//! The inputs of an execution.

use std::collections::{BTreeMap, HashMap};

use flowcore::{Object, Value, ValueError};

/// The inputs of an execution, by name. Made from what is at hand: an [`Object`], a map, pairs, or
/// `()` for none.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs(pub(crate) Result<Object, ValueError>);

impl From<()> for Inputs {
    fn from((): ()) -> Self {
        Self(Ok(Object::new()))
    }
}

impl From<Object> for Inputs {
    fn from(object: Object) -> Self {
        Self(Ok(object))
    }
}

fn collect<K: Into<std::sync::Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Inputs {
    Inputs(Object::from_entries(entries))
}

impl From<HashMap<String, Value>> for Inputs {
    fn from(map: HashMap<String, Value>) -> Self {
        collect(map)
    }
}

impl From<BTreeMap<String, Value>> for Inputs {
    fn from(map: BTreeMap<String, Value>) -> Self {
        collect(map)
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Inputs {
    fn from(pairs: [(&str, Value); N]) -> Self {
        collect(pairs)
    }
}
