//! What the tests of several nodes share.

use std::sync::{Arc, Mutex};

use flowcore::{
    ContextBuilder, EventSink, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeEvent,
    NodeFactory, NodeInstance, NodeOutput, Object, Policy, Value,
};

/// The object that a `json!` literal stands for.
pub(crate) fn object(json: serde_json::Value) -> Object {
    let value = Value::from_json(json).expect("a shallow literal");
    value.as_object().expect("an object literal").clone()
}

/// A context with this config, split as the engine does; everything is allowed in `directory`.
pub(crate) fn context(
    descriptor: &NodeDescriptor,
    directory: &std::path::Path,
    config: serde_json::Value,
) -> ContextBuilder {
    NodeContext::builder()
        .config_for(descriptor, &object(config))
        .policy(Policy::allow_all(directory))
}

/// Runs one attempt of a plain function node.
pub(crate) fn call(factory: &dyn NodeFactory, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
    match factory.instance(&NodeConfig::default())? {
        NodeInstance::Inline(node) => node.call(ctx),
        NodeInstance::Node(_) => panic!("`{}` is not a plain function", factory.node_type()),
    }
}

/// Makes the node that an asynchronous factory makes.
pub(crate) fn node(factory: &dyn NodeFactory) -> Box<dyn Node> {
    factory.create(&NodeConfig::default()).expect("an empty config is fine until it is used")
}

/// Keeps the events of an attempt.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<NodeEvent>>);

impl Recorder {
    /// A sink for a context.
    pub(crate) fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// What was emitted so far.
    pub(crate) fn events(&self) -> Vec<NodeEvent> {
        self.0.lock().unwrap().clone()
    }
}

impl EventSink for Recorder {
    fn emit(&self, event: NodeEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// Makes a named pipe.
pub(crate) fn mkfifo(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo is everywhere").success());
}
