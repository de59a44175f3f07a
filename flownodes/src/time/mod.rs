//! The `time.*` nodes.

mod delay;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(delay::DelayFactory);
}
