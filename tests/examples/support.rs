//! Running workflow files of this repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flowcore::{
    CalledWorkflow, Limits, NoWorkflow, NodeRegistry, Source, Value, Workflow, WorkflowSource,
    check_with,
};
use serde_json::Value as Json;

/// A path of this repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(relative)
}

/// The `flowcli` binary, without the variables that would change what it does.
pub(crate) fn flowcli() -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_flowcli"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("FLOW_") || text.contains("COLOR") {
            process.env_remove(&name);
        }
    }
    process.stdin(Stdio::null());
    process
}

/// Runs a workflow file with inputs as `-i` takes them; gives the whole execution.
#[track_caller]
pub(crate) fn run(file: &str, inputs: &[&str]) -> Json {
    let mut process = flowcli();
    process.arg("run").arg(path(file)).args(["--output", "result"]);
    process.args(inputs.iter().flat_map(|input| ["-i", input]));
    let output = process.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    let result = serde_json::from_slice(&output.stdout);
    result.unwrap_or_else(|error| panic!("{file}: {error}\n{messages}"))
}

/// The outputs of an execution that must have succeeded.
#[track_caller]
pub(crate) fn outputs(file: &str, inputs: &[&str]) -> Json {
    let result = run(file, inputs);
    assert_eq!(result["status"], "Succeeded", "{result:#}");
    result["outputs"].clone()
}

/// The standard node types and that of `examples/custom-node`.
pub(crate) fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    registry.register(super::custom_node::slugify::SlugifyFactory);
    registry
}

/// A value of Flow.
#[track_caller]
pub(crate) fn value(json: &Json) -> Value {
    Value::from_json(json.clone()).unwrap()
}

/// The workflow in a file of this repository.
#[track_caller]
pub(crate) fn workflow(file: &str) -> Workflow {
    Workflow::from_json(&fs::read_to_string(path(file)).unwrap()).unwrap()
}

/// The workflows that others call: those of the same page by id, and files of a folder.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) page: Vec<Workflow>,
    pub(crate) folder: PathBuf,
}

impl WorkflowSource for Beside {
    fn find(&self, name: &str, _from: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        let is_it =
            |workflow: &&Workflow| workflow.id.as_ref().is_some_and(|id| id.as_str() == name);
        let key = name.to_owned();
        if let Some(workflow) = self.page.iter().find(is_it) {
            return Ok(CalledWorkflow { key, workflow: workflow.clone() });
        }
        let text = fs::read_to_string(self.folder.join(name));
        let text = text.map_err(|error| NoWorkflow::NotFound(error.to_string()))?;
        let workflow = Workflow::from_json(&text);
        let workflow = workflow.map_err(|problems| NoWorkflow::Invalid(problems.to_string()))?;
        Ok(CalledWorkflow { key, workflow })
    }
}

/// Checks that a workflow has no errors and no warnings. `name` says in which format it is.
#[track_caller]
pub(crate) fn check_valid(place: &str, name: &str, text: &str, beside: &Beside) {
    let source = Source::from_path_name(name, text);
    let checked = check_with(&source, &registry(), &Limits::default(), Some(beside));
    assert!(checked.diagnostics.is_empty(), "{place}: {}\n{text}", checked.diagnostics);
}
