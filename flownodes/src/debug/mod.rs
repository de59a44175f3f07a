//! The `debug.*` nodes.

mod log;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(log::LogFactory);
}
