//! The `crypto.*` nodes.

mod hmac;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(hmac::HmacFactory);
}
