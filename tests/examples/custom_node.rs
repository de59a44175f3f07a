//! `examples/custom-node`, which is a crate of its own: its node is compiled into this test as well,
//! its own tests included. `.ci/run` builds and runs the crate itself.

#[path = "../../examples/custom-node/src/slugify.rs"]
pub(crate) mod slugify;

use std::fs;

use flowcore::{Value, Workflow};
use flowruntime::{BlockingRuntime, FlowRuntime};

use super::support;

#[test]
fn a_workflow_uses_the_node() {
    let text = fs::read_to_string(support::path("examples/custom-node/workflow.json")).unwrap();
    let workflow = Workflow::from_json(&text).unwrap();
    let flow = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let runtime = BlockingRuntime::builder(flow).worker_threads(1).build().unwrap();
    let inputs = [("title", Value::from("Hello, World!"))];
    let result = runtime.execute(&workflow, inputs).unwrap();
    let address = result.outputs.pointer("/address");
    assert_eq!(address, Some(&Value::from("https://example.org/posts/hello-world")));
}

#[test]
fn the_program_is_short() {
    let main = fs::read_to_string(support::path("examples/custom-node/src/main.rs")).unwrap();
    assert!(main.lines().count() <= 10, "{main}");
}
