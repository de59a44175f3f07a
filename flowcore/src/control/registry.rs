//! The control nodes, as every registry knows them.

use std::sync::{Arc, LazyLock};

use super::{
    approval, call, choose, delay, fail, for_each, loops, merge, race, signal, stop, try_catch,
    until,
};
use crate::node::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, RegisteredNode,
};

/// The control nodes. Their descriptors are made once.
pub(crate) fn control_nodes() -> impl Iterator<Item = (String, RegisteredNode)> {
    static NODES: LazyLock<Vec<RegisteredNode>> = LazyLock::new(|| {
        let by_the_machine = [
            choose::if_descriptor(),
            choose::switch_descriptor(),
            for_each::descriptor(),
            loops::descriptor(),
            race::descriptor(),
            try_catch::descriptor(),
            stop::descriptor(),
            call::descriptor(),
            delay::descriptor(),
            until::descriptor(),
            signal::descriptor(),
            approval::descriptor(),
        ];
        let factory = |descriptor| registered(MachineNode { descriptor });
        let mut nodes: Vec<_> = by_the_machine.into_iter().map(factory).collect();
        nodes.push(registered(FunctionNode { descriptor: fail::descriptor(), call: fail::call }));
        nodes.push(registered(FunctionNode { descriptor: merge::descriptor(), call: merge::call }));
        nodes
    });
    NODES.iter().map(|node| (node.descriptor.node_type.to_string(), node.clone()))
}

fn registered(factory: impl NodeFactory + 'static) -> RegisteredNode {
    let descriptor = Arc::new(factory.descriptor());
    RegisteredNode { factory: Arc::new(factory), descriptor }
}

/// A node that only the machine can run.
struct MachineNode {
    descriptor: NodeDescriptor,
}

impl NodeFactory for MachineNode {
    fn node_type(&self) -> &str {
        &self.descriptor.node_type
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let message = format!("`{}` is run by the machine itself", self.descriptor.node_type);
        Err(NodeError::new("node.not_async", message))
    }

    fn descriptor(&self) -> NodeDescriptor {
        self.descriptor.clone()
    }
}

/// A plain function.
type Function = fn(&NodeContext) -> Result<NodeOutput, NodeError>;

/// A control node that needs nothing from the machine.
struct FunctionNode {
    descriptor: NodeDescriptor,
    call: Function,
}

struct Call(Function);

impl InlineNode for Call {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        (self.0)(ctx)
    }
}

impl NodeFactory for FunctionNode {
    fn node_type(&self) -> &str {
        &self.descriptor.node_type
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(Call(self.call))))
    }

    fn descriptor(&self) -> NodeDescriptor {
        self.descriptor.clone()
    }
}
