//! The node types of all tests: the test plays the executor, so they are never run.

use flowcore::{Execution, NodeDescriptor, NodeRegistry, Port};

/// The output ports of every node; `ERROR` stands for the port `error`.
pub(crate) const OUTPUTS: [&str; 3] = ["x", "y", "ok"];
pub(crate) const ERROR: usize = OUTPUTS.len();
/// The input ports; only node types that need something have the last one.
pub(crate) const INPUTS: [&str; 4] = ["a", "b", "many", "need"];
pub(crate) const MANY: usize = 2;
pub(crate) const NEED: usize = 3;

/// The type `kind` of a node, or `kind.needing`, which has a required port.
pub(crate) fn descriptor(kind: &str, needs: bool) -> NodeDescriptor {
    let name = if needs { format!("{kind}.needing") } else { kind.to_owned() };
    let mut descriptor = NodeDescriptor::new(name);
    descriptor.config_schema = None;
    descriptor.inputs = INPUTS[..NEED].iter().map(|name| Port::new(*name)).collect();
    descriptor.inputs[MANY].multiple = true;
    if needs {
        descriptor.inputs.push(Port::new(INPUTS[NEED]).required());
    }
    descriptor.outputs = OUTPUTS.iter().map(|name| Port::new(*name)).collect();
    descriptor
}

/// `inline` and `waiting`, and both as `….needing`.
pub(crate) fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    for needs in [false, true] {
        registry.register_function(descriptor("inline", needs), |_| unreachable!("never run"));
        let waiting = descriptor("waiting", needs).execution(Execution::Async);
        registry.register_async(waiting, |_| async { unreachable!("never run") });
    }
    registry
}
