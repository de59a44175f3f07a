//! The `file.*` nodes.

mod list;
mod path;
mod read;
mod write;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(list::ListFactory).register(read::ReadFactory).register(write::WriteFactory);
}
