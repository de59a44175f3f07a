//! The standard node library of the Flow workflow engine: one file per node.
#![warn(missing_docs)]

pub mod catalog;
mod content;
mod crypto;
mod debug;
mod deep_stack;
mod digest;
mod encoding;
mod error;
pub mod event;
mod file;
#[cfg(feature = "http")]
mod http;
mod scalar;
mod shell;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(test)]
mod testing;
mod transform;
mod webhook;

use flowcore::NodeRegistry;

/// Adds every node type of this library to a registry.
pub fn register_all(registry: &mut NodeRegistry) {
    crypto::register(registry);
    debug::register(registry);
    event::register(registry);
    file::register(registry);
    #[cfg(feature = "http")]
    http::register(registry);
    shell::register(registry);
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    sql::register(registry);
    transform::register(registry);
    webhook::register(registry);
}
