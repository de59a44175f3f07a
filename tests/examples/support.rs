//! Running workflow files of this repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowcore::{NodeRegistry, Policy, Source, Value, check};
use flowruntime::{BlockingRuntime, FlowRuntime};
use serde_json::Value as Json;

/// A path of this repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(relative)
}

/// Runs a workflow file with inputs written as `name=text` or `name:=json`, and gives the execution
/// as `flowcli run --output result` prints it.
#[track_caller]
pub(crate) fn run(file: &str, inputs: &[&str]) -> Json {
    run_with(file, inputs, |_| {})
}

/// As [`run`], inside this process and with more node types.
#[track_caller]
pub(crate) fn run_with(file: &str, inputs: &[&str], register: fn(&mut NodeRegistry)) -> Json {
    let file = path(file);
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    register(&mut registry);
    let text = std::fs::read_to_string(&file).unwrap();
    let checked = check(&Source::from_path_name(file.to_str().unwrap(), text), &registry);
    assert!(checked.diagnostics.is_empty(), "{}", checked.diagnostics);
    let policy = Policy::allow_all(file.parent().unwrap());
    let flow = FlowRuntime::builder().registry(registry).policy(policy).build().unwrap();
    let runtime = BlockingRuntime::builder(flow).worker_threads(2).build().unwrap();
    let inputs: BTreeMap<String, Value> = inputs.iter().map(|input| parse(input)).collect();
    let result = runtime.execute(&checked.workflow.unwrap(), inputs).unwrap();
    serde_json::to_value(result).unwrap()
}

fn parse(input: &str) -> (String, Value) {
    let (name, value) = input.split_once('=').unwrap();
    match name.strip_suffix(':') {
        Some(name) => (name.to_owned(), flowcore::value::read_json(value).unwrap()),
        None => (name.to_owned(), Value::from(value)),
    }
}

/// The outputs of an execution that must have succeeded.
#[track_caller]
pub(crate) fn outputs(file: &str, inputs: &[&str]) -> Json {
    let result = run(file, inputs);
    assert_eq!(result["status"], "Succeeded", "{result:#}");
    result["outputs"].clone()
}
