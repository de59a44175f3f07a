//! The `file.*` nodes.

mod path;
mod read;
mod write;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(read::ReadFactory).register(write::WriteFactory);
}
