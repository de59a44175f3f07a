//! The node types that workflows may name.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

use crate::control::control_nodes;

use super::{
    Execution, InlineNode, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput,
};

/// A node type in a registry.
#[derive(Clone)]
pub struct RegisteredNode {
    /// Makes the instances.
    pub factory: Arc<dyn NodeFactory>,
    /// What is known about the type.
    pub descriptor: Arc<NodeDescriptor>,
}

/// The node types that workflows may name; cloning shares the factories.
///
/// The control nodes, which the machine itself runs, are in every registry.
#[derive(Clone)]
pub struct NodeRegistry {
    nodes: BTreeMap<String, RegisteredNode>,
    generation: u64,
}

impl NodeRegistry {
    /// A registry with nothing but the control nodes.
    pub fn new() -> Self {
        Self { nodes: control_nodes().collect(), generation: 0 }
    }

    /// Adds a node type; one of the same name is replaced.
    pub fn register(&mut self, factory: impl NodeFactory + 'static) -> &mut Self {
        self.register_shared(Arc::new(factory))
    }

    /// Adds a node type that others hold as well; one of the same name is replaced.
    pub fn register_shared(&mut self, factory: Arc<dyn NodeFactory>) -> &mut Self {
        let node_type = factory.node_type().to_owned();
        let descriptor = Arc::new(factory.descriptor());
        self.generation += 1;
        self.nodes.insert(node_type, RegisteredNode { factory, descriptor });
        self
    }

    /// Adds a node type made of an async closure; its attempts are tokio tasks.
    pub fn register_async<F, R>(&mut self, descriptor: NodeDescriptor, run: F) -> &mut Self
    where
        F: Fn(NodeContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<NodeOutput, NodeError>> + Send + 'static,
    {
        let node_type = descriptor.node_type.to_string();
        let run: Arc<AsyncFunction> = Arc::new(move |ctx| Box::pin(run(ctx)));
        let create = move || {
            NodeInstance::Node(Box::new(AsyncNode {
                node_type: node_type.clone(),
                run: run.clone(),
            }))
        };
        self.register(FunctionFactory { descriptor: descriptor.stateless(), create })
    }

    /// Adds a node type made of a plain function. It runs inline unless the descriptor says
    /// [`Execution::Blocking`].
    pub fn register_function<F>(&mut self, descriptor: NodeDescriptor, call: F) -> &mut Self
    where
        F: Fn(&NodeContext) -> Result<NodeOutput, NodeError> + Send + Sync + 'static,
    {
        let execution = match descriptor.execution {
            Execution::Blocking => Execution::Blocking,
            Execution::Inline | Execution::Async | Execution::Task | Execution::Control => {
                Execution::Inline
            }
        };
        let call: Arc<InlineFunction> = Arc::new(call);
        let create = move || NodeInstance::Inline(Box::new(FunctionNode(call.clone())));
        self.register(FunctionFactory { descriptor: descriptor.execution(execution), create })
    }

    /// The node type of this name.
    pub fn get(&self, node_type: &str) -> Option<&RegisteredNode> {
        self.nodes.get(node_type)
    }

    /// All node types, by name.
    pub fn iter(&self) -> impl Iterator<Item = &RegisteredNode> {
        self.nodes.values()
    }

    /// Changes with every registration; plans are cached under it.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Default for NodeRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for NodeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.nodes.keys()).finish()
    }
}

type NodeFuture =
    std::pin::Pin<Box<dyn Future<Output = Result<NodeOutput, NodeError>> + Send + 'static>>;
type AsyncFunction = dyn Fn(NodeContext) -> NodeFuture + Send + Sync;
type InlineFunction = dyn Fn(&NodeContext) -> Result<NodeOutput, NodeError> + Send + Sync;

struct FunctionFactory<C> {
    descriptor: NodeDescriptor,
    create: C,
}

impl<C: Fn() -> NodeInstance + Send + Sync> NodeFactory for FunctionFactory<C> {
    fn node_type(&self) -> &str {
        &self.descriptor.node_type
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok((self.create)())
    }

    fn descriptor(&self) -> NodeDescriptor {
        self.descriptor.clone()
    }
}

struct AsyncNode {
    node_type: String,
    run: Arc<AsyncFunction>,
}

#[async_trait]
impl Node for AsyncNode {
    fn node_type(&self) -> &str {
        &self.node_type
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        (self.run)(ctx).await
    }
}

struct FunctionNode(Arc<InlineFunction>);

impl InlineNode for FunctionNode {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        (self.0)(ctx)
    }
}
