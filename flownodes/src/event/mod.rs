//! The `event.*` nodes, and what takes events to those who listen.

mod publish;
mod publisher;

use flowcore::NodeRegistry;

pub use publish::{MAX_HOPS, PublishFactory};
pub use publisher::{Delivery, Publication, Publisher, unavailable};

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(PublishFactory::to_nobody());
}
