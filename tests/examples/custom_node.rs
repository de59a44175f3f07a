//! `examples/custom-node`, which is a crate of its own: its node is compiled into this test as well,
//! its own tests included. `.ci/run` builds and runs the crate itself.

#[path = "../../examples/custom-node/src/slugify.rs"]
pub(crate) mod slugify;

use std::collections::{BTreeMap, BTreeSet};
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

/// The names and versions in a lock file, and the names on which each package depends.
fn locked(file: &str) -> BTreeMap<String, (Vec<String>, BTreeSet<String>)> {
    let text = fs::read_to_string(support::path(file)).unwrap();
    let mut packages: BTreeMap<String, (Vec<String>, BTreeSet<String>)> = BTreeMap::new();
    for package in text.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let start = format!("{name} = \"");
            let line = package.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap().trim_end_matches('"').to_owned()
        };
        let lines = package.lines().filter_map(|line| line.trim().strip_prefix('"'));
        let names = lines.map(|line| line.split([' ', '"']).next().unwrap().to_owned());
        let entry = packages.entry(field("name")).or_default();
        entry.0.push(field("version"));
        entry.1.extend(names);
    }
    packages
}

/// What the default features of a manifest turn on, each as `dep:name`.
fn turned_on(manifest: &str) -> BTreeSet<&str> {
    let listed = |feature: &str| {
        let list = manifest.split(&format!("\n{feature} = [")).nth(1).unwrap_or_default();
        list.split(']').next().unwrap().split('"').skip(1).step_by(2)
    };
    listed("default").flat_map(listed).collect()
}

/// What a crate of the workspace needs to be built with its default features, by its manifest.
fn needed(krate: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(support::path(&format!("{krate}/Cargo.toml"))).unwrap();
    let section = text.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let turned_on = turned_on(&text);
    let names = section.lines().filter(|line| line.contains('=')).filter_map(|line| {
        let name = line.split(['.', ' ', '=']).next().unwrap();
        let is_left_out =
            line.contains("optional = true") && !turned_on.contains(format!("dep:{name}").as_str());
        (!is_left_out).then(|| name.to_owned())
    });
    names.collect()
}

/// The lock file is no part of the workspace's, so a change of dependencies leaves it behind.
#[test]
fn the_lock_file_is_up_to_date() {
    let own = locked("examples/custom-node/Cargo.lock");
    let workspace = locked("Cargo.lock");
    let hint = "run `cargo metadata --manifest-path examples/custom-node/Cargo.toml`";
    for krate in ["flowcore", "flowruntime", "flownodes", "flowcli"] {
        let (_, locked) = &own[krate];
        let missing: Vec<_> = needed(krate).difference(locked).cloned().collect();
        assert!(missing.is_empty(), "{krate} needs {missing:?}; {hint}");
    }
    for (name, (versions, _)) in own.iter().filter(|(name, _)| *name != "custom-node") {
        let known = workspace.get(name).map(|(versions, _)| versions.as_slice());
        let same = versions.iter().all(|version| known.unwrap_or_default().contains(version));
        assert!(same, "{name} {versions:?} is not what the workspace has: {known:?}; {hint}");
    }
}
