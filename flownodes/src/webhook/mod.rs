//! The `webhook.*` nodes.

mod respond;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(respond::RespondFactory);
}
