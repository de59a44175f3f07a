//! `examples/call-a-workflow`, with a program that finds the workflows beside each other.

use flowcore::{ExecutionResult, Value};
use flowruntime::{FlowRuntime, Inputs};
use serde_json::json;

use super::support::{Beside, path, registry, workflow};

const FOLDER: &str = "examples/call-a-workflow";

async fn run(inputs: impl Into<Inputs>) -> ExecutionResult {
    let beside = Beside { folder: path(FOLDER), ..Beside::default() };
    let runtime = FlowRuntime::builder().registry(registry()).workflows(beside).build().unwrap();
    let invoice = workflow(&format!("{FOLDER}/workflow.json"));
    runtime.execute(&invoice, inputs).await.unwrap()
}

#[tokio::test]
async fn each_call_has_inputs_of_its_own() {
    let result = run(()).await;
    let outputs = result.outputs.to_json();
    assert_eq!(outputs, json!({ "lines": [125.0, 24.87], "freight": 9.2 }), "{result:?}");
}

#[tokio::test]
async fn inputs_are_checked_against_what_the_workflow_declares() {
    let error = run([("freight", Value::from(-1))]).await.error.unwrap();
    assert_eq!(
        (error.code.as_str(), error.node.as_deref()),
        ("call.invalid_inputs", Some("freight"))
    );
    assert!(error.message.contains("net"), "{error}");
}
