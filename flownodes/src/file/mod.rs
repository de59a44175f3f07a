//! The `file.*` nodes.

mod path;
mod read;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(read::ReadFactory);
}
