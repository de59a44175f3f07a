//! The `debug.*` nodes.

use flowcore::NodeRegistry;

pub(crate) fn register(_registry: &mut NodeRegistry) {}
