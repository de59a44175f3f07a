//! The traits that make a node type.

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::{NodeContext, NodeDescriptor, NodeError, NodeOutput};
use crate::value::{Object, Value};

/// A node that may wait.
#[async_trait]
pub trait Node: Send + Sync {
    /// The node type that workflow files name.
    fn node_type(&self) -> &str;

    /// Runs one attempt.
    ///
    /// The future may be dropped at any await when the attempt is cancelled; a node that has to
    /// clean up asks [`NodeContext::cancellation`] and then has a grace period (10 s unless the
    /// runtime says otherwise).
    ///
    /// # Errors
    /// A [`NodeError`] is the outcome of this attempt; whether there is another one is up to the
    /// retry policy and [`NodeError::is_retryable`]. A panic fails the attempt as well.
    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError>;

    /// Runs once before the first attempt of this instance. Not for `stateless` node types.
    async fn initialize(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    /// Runs once when this instance is let go, after its last attempt ended, on every way out but a
    /// crash of the process. Not for `stateless` node types.
    async fn shutdown(&mut self) -> Result<(), NodeError> {
        Ok(())
    }
}

/// A node that is a plain function: no future, no allocation, no permit.
///
/// It runs on the thread that drives the execution, so it must be cheap and never wait; with
/// [`super::Execution::Blocking`] it runs on the blocking pool instead and may take its time.
pub trait InlineNode: Send + Sync {
    /// Runs one attempt.
    ///
    /// # Errors
    /// As [`Node::execute`].
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError>;
}

/// What a factory makes.
pub enum NodeInstance {
    /// A node that may wait.
    Node(Box<dyn Node>),
    /// A plain function.
    Inline(Box<dyn InlineNode>),
}

/// Makes the instances of one node type.
///
/// A factory for an [`InlineNode`] overrides [`NodeFactory::instance`]; one for a [`Node`] only
/// needs [`NodeFactory::create`].
pub trait NodeFactory: Send + Sync {
    /// The node type that workflow files name, such as `http.request`.
    fn node_type(&self) -> &str;

    /// Makes a node with this config, whose expressions are not resolved yet.
    ///
    /// # Errors
    /// A [`NodeError`] when the config cannot work, whatever the inputs.
    fn create(&self, config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        let _ = config;
        Err(NodeError::new(
            "node.not_async",
            format!("node type `{}` is a plain function", self.node_type()),
        ))
    }

    /// Makes an instance of either kind.
    ///
    /// # Errors
    /// As [`NodeFactory::create`].
    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        self.create(config).map(NodeInstance::Node)
    }

    /// What validation, docs and the scheduler know of the type; by default any ports and any
    /// config.
    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::untyped(self.node_type().to_owned())
    }
}

/// The `config` of a node, as the workflow file gives it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeConfig(Object);

impl NodeConfig {
    /// Wraps an object.
    pub fn new(object: Object) -> Self {
        Self(object)
    }

    /// The value at a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The whole config.
    pub fn as_object(&self) -> &Object {
        &self.0
    }

    /// Reads a Rust type out of the config.
    ///
    /// # Errors
    /// `config.invalid` saying what was expected.
    pub fn to_typed<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        self.0.to_typed().map_err(|error| NodeError::config(error.to_string()))
    }
}
