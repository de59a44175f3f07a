//! The example node and test of the original architecture, nearly as they stand there.
//! `ARCHITECTURE.md` lists what differs, and why.

use flowcore::{
    Node, NodeConfig, NodeContext, NodeError, NodeFactory, NodeOutput, NodeSpec, Value, Workflow,
    async_trait,
};
use flowruntime::FlowRuntime;
use std::collections::HashMap;

pub(crate) struct MyNode {
    greeting: String,
}

impl MyNode {
    fn from_config(config: &NodeConfig) -> Result<Self, NodeError> {
        let greeting = config.get("greeting").and_then(Value::as_str).unwrap_or("hello");
        Ok(Self { greeting: greeting.to_owned() })
    }
}

#[async_trait]
impl Node for MyNode {
    fn node_type(&self) -> &str {
        "category.mynode"
    }
    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        let name = ctx.string_input("name")?;
        Ok(NodeOutput::new().with("text", format!("{} {name}", self.greeting)))
    }
}

pub(crate) struct MyNodeFactory;
impl NodeFactory for MyNodeFactory {
    fn create(&self, config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(MyNode::from_config(config)?))
    }
    fn node_type(&self) -> &str {
        "category.mynode"
    }
}

#[tokio::test]
async fn test_two_of_my_nodes() -> Result<(), Box<dyn std::error::Error>> {
    let mut workflow = Workflow::new("test");
    workflow
        .add_node(NodeSpec::new("first", "category.mynode"))
        .add_node(NodeSpec::new("second", "category.mynode").config_value("greeting", "bye"))
        .connect("first", "text", "second", "name");
    let runtime = FlowRuntime::new();
    runtime.register_node(MyNodeFactory);
    let inputs = HashMap::from([("name".to_owned(), Value::from("ada"))]);
    let result = runtime.execute(&workflow, inputs).await?;
    assert!(result.completed_nodes == 2);
    assert_eq!(result.outputs.pointer("/second/text"), Some(&Value::from("bye hello ada")));
    Ok(())
}
