//! Running workflow files of this repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flowcore::{NodeRegistry, Source, check};
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

/// Checks that a workflow has no errors and no warnings. `name` says in which format it is.
#[track_caller]
pub(crate) fn check_valid(place: &str, name: &str, text: &str) {
    let checked = check(&Source::from_path_name(name, text), &registry());
    assert!(checked.diagnostics.is_empty(), "{place}: {}\n{text}", checked.diagnostics);
}
