//! Where node types come from.

use std::fmt;
use std::sync::Arc;

use super::{NodeFactory, NodeRegistry};

type Register = Arc<dyn Fn(&mut NodeRegistry) + Send + Sync>;

/// What registers node types, in order; nothing is registered until a registry is asked for. Programs
/// that are made of libraries hand it from one to the other.
#[derive(Clone, Default)]
pub struct NodeRegistrations(Vec<Register>);

impl NodeRegistrations {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the node types that a function registers.
    pub fn add(&mut self, register: impl Fn(&mut NodeRegistry) + Send + Sync + 'static) {
        self.0.push(Arc::new(register));
    }

    /// Adds one node type; one of the same name is replaced.
    pub fn add_node(&mut self, factory: impl NodeFactory + 'static) {
        let factory: Arc<dyn NodeFactory> = Arc::new(factory);
        self.add(move |registry| {
            registry.register_shared(factory.clone());
        });
    }

    /// A registry with all of them, and the control nodes.
    pub fn registry(&self) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        self.0.iter().for_each(|register| register(&mut registry));
        registry
    }
}

impl fmt::Debug for NodeRegistrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeRegistrations").field(&self.0.len()).finish()
    }
}
