//! The node types of a server, for looking at what it executes.

use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, NodeRegistry,
};
use serde::Deserialize;

/// A list of node types, as servers send it.
#[derive(Deserialize)]
pub(super) struct Listed {
    items: Vec<NodeDescriptor>,
}

/// The node types of a server. Those that this program has in the same version are its own: they
/// know more of their configs. The others are only known by what the server says of them.
pub(super) fn registry(listed: Listed, known: &NodeRegistry) -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    for descriptor in listed.items {
        let same = known.get(&descriptor.node_type).filter(|node| {
            let own = &node.descriptor;
            own.version == descriptor.version && own.config_schema == descriptor.config_schema
        });
        if registry.get(&descriptor.node_type).is_some() {
            // A control node: the machine's own.
            continue;
        }
        match same {
            Some(node) => registry.register_shared(node.factory.clone()),
            None => registry.register(Elsewhere(descriptor)),
        };
    }
    registry
}

/// A node type that only the server can execute.
struct Elsewhere(NodeDescriptor);

impl NodeFactory for Elsewhere {
    fn node_type(&self) -> &str {
        &self.0.node_type
    }

    fn instance(&self, _: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(NotHere)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        self.0.clone()
    }
}

/// Nothing is executed with such a registry.
struct NotHere;

impl InlineNode for NotHere {
    fn call(&self, _: &NodeContext) -> Result<NodeOutput, NodeError> {
        Err(NodeError::new("node.not_async", "the node is executed by the server only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_its_nodes_is_read_again() {
        let mut all = NodeRegistry::new();
        flownodes::register_all(&mut all);
        let items: Vec<&NodeDescriptor> = all.iter().map(|node| &*node.descriptor).collect();
        let text = serde_json::json!({ "items": items, "next_cursor": null }).to_string();
        // A program that has none of them.
        let read = registry(serde_json::from_str(&text).unwrap(), &NodeRegistry::new());
        let again: Vec<&NodeDescriptor> = read.iter().map(|node| &*node.descriptor).collect();
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&items).unwrap());
        let request = read.get("http.request").unwrap();
        assert!(request.factory.instance(&NodeConfig::default()).is_ok());
    }
}
