//! Running a node in a test.

use flowcore::value::read_json;
use flowcore::{
    NodeConfig, NodeContext, NodeError, NodeFactory, NodeInstance, NodeOutput, Object, Value,
};

/// The value of a JSON literal.
#[track_caller]
pub(super) fn json_value(json: serde_json::Value) -> Value {
    Value::from_json(json).unwrap()
}

/// A JSON literal, or a JSON text where the order of keys matters.
pub(super) trait IntoObject {
    /// The object.
    fn into_object(self) -> Object;
}

impl IntoObject for serde_json::Value {
    fn into_object(self) -> Object {
        json_value(self).as_object().unwrap().clone()
    }
}

impl IntoObject for &str {
    fn into_object(self) -> Object {
        read_json(self).unwrap().as_object().unwrap().clone()
    }
}

/// Runs a plain function, from its factory, as the engine does.
pub(super) fn run(
    factory: &dyn NodeFactory,
    config: impl IntoObject,
    inputs: impl IntoObject,
) -> Result<NodeOutput, NodeError> {
    let config = config.into_object();
    let node = match factory.instance(&NodeConfig::new(config.clone()))? {
        NodeInstance::Inline(node) => node,
        NodeInstance::Node(_) => panic!("{} is no plain function", factory.node_type()),
    };
    let builder =
        inputs.into_object().iter().fold(NodeContext::builder(), |builder, (port, value)| {
            builder.input(port.clone(), value.clone())
        });
    node.call(&builder.config_for(&factory.descriptor(), &config).build())
}

/// The value on an output port.
#[track_caller]
pub(super) fn output_of(
    factory: &dyn NodeFactory,
    config: impl IntoObject,
    inputs: impl IntoObject,
    port: &str,
) -> Value {
    run(factory, config, inputs).unwrap().get(port).unwrap().clone()
}

/// The error of a node that must fail.
#[track_caller]
pub(super) fn error_of(
    factory: &dyn NodeFactory,
    config: impl IntoObject,
    inputs: impl IntoObject,
) -> NodeError {
    run(factory, config, inputs).unwrap_err()
}
