//! The examples of the control nodes, which only an execution can run: each gives the outputs that
//! its descriptor, and so `docs/nodes.md`, says.

use std::collections::BTreeSet;

use flowcore::{Example, ExecutionResult, NodeRegistry, Workflow};
use flowruntime::FlowRuntime;
use serde_json::{Value as Json, json};

use super::support::{self, value};

/// A workflow with a node for each value that the example is given, and the node itself.
fn workflow(node_type: &str, example: &Example) -> Workflow {
    let (mut nodes, mut connections) = (Vec::new(), Vec::new());
    let registry = NodeRegistry::new();
    let descriptor = &registry.get(node_type).unwrap().descriptor;
    for (port, given) in example.inputs.as_object().into_iter().flatten() {
        let takes_many = descriptor.input_port(port).unwrap().multiple;
        let values =
            if takes_many { given.as_array().unwrap().clone() } else { vec![given.clone()] };
        for given in values {
            let id = format!("given-{}", nodes.len());
            connections.push(json!({ "from_node": id, "from_port": "message",
                                     "to_node": "node", "to_port": port }));
            let config = json!({ "message": given });
            nodes.push(json!({ "id": id, "node_type": "debug.log", "config": config }));
        }
    }
    nodes.push(json!({ "id": "node", "node_type": node_type, "config": example.config }));
    let text = json!({
        "inputs": { "amount": { "default": 120_000 } },
        "nodes": nodes,
        "connections": connections,
    });
    Workflow::from_json(&text.to_string()).unwrap()
}

/// The workflow that examples call.
fn totals() -> Workflow {
    let text = r#"{
        "inputs": { "limit": { "type": "integer" } },
        "nodes": [{ "id": "total", "node_type": "debug.log", "config": { "message": "{{ inputs.limit * 2 }}" } }],
        "outputs": { "total": "{{ nodes.total.message }}" }
    }"#;
    Workflow::from_json(text).unwrap()
}

/// Calls lead to [`totals`], whatever their name.
struct Totals;

impl flowcore::WorkflowSource for Totals {
    fn find(
        &self,
        name: &str,
        _: Option<&str>,
    ) -> Result<flowcore::CalledWorkflow, flowcore::NoWorkflow> {
        Ok(flowcore::CalledWorkflow { key: name.to_owned(), workflow: totals() })
    }
}

/// The signal that ends the wait of an example, and what the node then gives.
fn signal(node_type: &str) -> Option<(Json, Json)> {
    match node_type {
        "wait.signal" => Some((json!({ "amount": 120 }), json!({ "payload": { "amount": 120 } }))),
        "wait.approval" => Some((
            json!({ "approved": true, "by": "ada", "reason": "she is right" }),
            json!({ "approved": { "by": "ada", "reason": "she is right" } }),
        )),
        _ => None,
    }
}

async fn run(node_type: &str, example: &Example) -> ExecutionResult {
    let builder = FlowRuntime::builder().registry(support::registry()).workflows(Totals);
    let execution =
        builder.build().unwrap().start(&workflow(node_type, example), ()).await.unwrap();
    if let Some((payload, _)) = signal(node_type) {
        let name = example.config.get("name").and_then(Json::as_str).unwrap_or("node");
        execution.signal(name, value(&payload)).await.unwrap();
    }
    execution.wait().await.unwrap()
}

fn outputs(result: &ExecutionResult) -> Json {
    result.outputs.get("node").map_or_else(|| json!({}), flowcore::Value::to_json)
}

/// What the descriptor says, or, where it says nothing, what must come of the example.
fn expected(node_type: &str, example: &Example) -> Json {
    match node_type {
        "workflow.call" => json!({ "output": { "total": 20 } }),
        _ => signal(node_type).map_or_else(|| example.outputs.clone(), |(_, outputs)| outputs),
    }
}

#[track_caller]
fn check(node_type: &str, example: &Example, result: &ExecutionResult) {
    let place = format!("{node_type}, {}", example.title);
    if node_type == "control.fail" {
        let error = result.error.as_ref().unwrap();
        let shown = (error.code.as_str(), error.message.as_str(), error.node.as_deref());
        let expected = ("order.too_large", "120000 is too much", Some("node"));
        assert_eq!(shown, expected, "{place}");
        return;
    }
    assert!(result.is_success(), "{place}: {result:?}");
    assert_eq!(outputs(result), expected(node_type, example), "{place}");
}

#[tokio::test(start_paused = true)]
async fn examples_give_their_outputs() {
    let mut checked = BTreeSet::new();
    for node in NodeRegistry::new().iter() {
        let node_type = &*node.descriptor.node_type;
        for example in &node.descriptor.examples {
            check(node_type, example, &run(node_type, example).await);
            checked.insert(node_type.to_owned());
        }
    }
    assert_eq!(checked.len(), 14, "every control node has an example: {checked:?}");
}
