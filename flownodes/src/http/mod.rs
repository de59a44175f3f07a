//! The `http.*` nodes.

mod clients;
mod content_type;
mod outgoing;
mod redirect;
mod request;
mod resolver;
mod response;
mod retry_after;
#[cfg(test)]
mod test_server;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(request::RequestFactory::default());
}
